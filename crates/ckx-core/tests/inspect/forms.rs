//! One checkpoint in every form that it may lie in gives one report; what is cut off gives a report of
//! what is there.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;
use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::inspect::{SECTIONS, collect};
use ckx_core::{Checkpoint, Options, Wanted};
use serde_json::Value;

use crate::corpus::{corpus, open_bytes};

/// All sections as one value.
fn report(checkpoint: &Checkpoint) -> Value {
    let sections: Vec<_> = SECTIONS.iter().collect();
    let reports = collect(checkpoint, &sections);
    let pairs = sections.iter().zip(&reports).map(|(section, report)| {
        report.outline();
        (section.name.to_owned(), serde_json::to_value(report).expect("JSON"))
    });
    Value::Object(pairs.collect())
}

/// Says where two reports part.
fn same(name: &str, expected: &Value, found: &Value) {
    for (section, expected) in expected.as_object().expect("sections") {
        let found = &found[section];
        if found != expected {
            let (expected, found) = (format!("{expected:#}"), format!("{found:#}"));
            let lines = expected.lines().zip(found.lines()).filter(|(a, b)| a != b).take(5);
            panic!("{name}: {section}: {:#?}", lines.collect::<Vec<_>>());
        }
    }
}

/// A shipped checkpoint as a plain tar.
fn plain(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/checkpoints").join(name);
    zstd::decode_all(std::fs::File::open(path).expect("it is there")).expect("zstd").into()
}

fn compressed(tar: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(tar).expect("memory has room");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    xz.write_all(tar).expect("memory has room");
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(tar).expect("memory has room");
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(tar).expect("memory has room");
    vec![
        ("gzip", gzip.finish().expect("gzip")),
        ("zstd", zstd::encode_all(tar, 1).expect("zstd")),
        ("xz", xz.finish().expect("xz")),
        ("bzip2", bzip2.finish().expect("bzip2")),
        ("lz4", lz4.finish().expect("lz4")),
    ]
}

#[test]
fn every_form_gives_the_same_report() {
    for name in ["nginx-crio-1.tar.zst", "nginx-containerd-1.tar.zst", "nginx-tcp-est.tar.zst"] {
        let tar = plain(name);
        let expected = report(&open_bytes(name, tar.clone(), Options::default()));
        for (form, bytes) in compressed(&tar) {
            same(&format!("{name} {form}"), &expected, &report(&open_bytes(name, bytes, Options::default())));
        }
        let piped =
            Archive::from_stream(Path::new("-"), &tar[..], &mut Wanted::default(), ArchiveOptions::default());
        let piped = Checkpoint::from_archive(piped.expect("a tar"), Options::default());
        same(&format!("{name} piped"), &expected, &report(&piped));
        let place = tempfile::tempdir().expect("a directory");
        tar::Archive::new(&tar[..]).unpack(place.path()).expect("it unpacks");
        let directory = Checkpoint::open(place.path(), Options::default()).expect("a directory");
        same(&format!("{name} unpacked"), &expected, &report(&directory));
    }
}

/// Images that buildah made of an archive.
#[test]
fn images_give_the_report_of_their_archive() {
    let Some(place) = corpus() else { return };
    let temporary = tempfile::tempdir().expect("a directory");
    let bundle = std::fs::File::open(place.join("archives/crio.tar.zst")).expect("it is there");
    let bundle = zstd::Decoder::new(bundle).expect("zstd");
    tar::Archive::new(bundle).unpack(temporary.path()).expect("it unpacks");
    let open =
        |name: &str| Checkpoint::open(&temporary.path().join(name), Options::default()).expect("it opens");
    let expected = report(&open("nginx-crio-1.tar"));
    for image in ["oci-buildah-crio", "oci-buildah-crio-zstd"] {
        same(image, &expected, &report(&open(image)));
    }
}

/// Opens what is left of an archive and asks everything of it.
fn survives(name: &str, data: Bytes) -> Option<Checkpoint> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let archive =
            Archive::from_bytes(Path::new(name), data, &mut Wanted::default(), ArchiveOptions::default())
                .ok()?;
        let checkpoint = Checkpoint::from_archive(archive, Options::default());
        report(&checkpoint);
        Some(checkpoint)
    }));
    opened.unwrap_or_else(|_| panic!("{name}: a panic"))
}

#[test]
fn archives_cut_at_each_tenth() {
    for name in ["nginx-crio-1.tar.zst", "nginx-containerd-1.tar.zst", "nginx-tcp-est.tar.zst"] {
        let tar = plain(name);
        let forms =
            [("plain", tar.to_vec()), compressed(&tar).swap_remove(0), compressed(&tar).swap_remove(1)];
        for (form, bytes) in forms {
            for tenth in 1..10 {
                let cut = Bytes::from(bytes[..bytes.len() * tenth / 10].to_vec());
                let at = format!("{name} {form} {tenth}/10");
                let checkpoint = survives(&at, cut).unwrap_or_else(|| panic!("{at}: no report"));
                assert!(!checkpoint.archive().faults().is_empty(), "{at}: nothing is said to be wrong");
                assert!(!checkpoint.archive().members().is_empty(), "{at}: nothing is there");
            }
        }
    }
}

/// Whatever is there is told: all members before the cut, and processes once their tree is.
#[test]
fn archives_cut_after_each_member() {
    for name in ["nginx-crio-1.tar.zst", "nginx-tcp-est.tar.zst"] {
        let tar = plain(name);
        let whole = open_bytes(name, tar.clone(), Options::default());
        let mut entries = tar::Archive::new(&tar[..]);
        let mut ends = Vec::new();
        for entry in entries.entries().expect("a tar") {
            let entry = entry.expect("an entry");
            ends.push((entry.raw_file_position() + entry.size()).next_multiple_of(512) as usize);
        }
        for (index, end) in ends.iter().enumerate() {
            let at = format!("{name} after member {index}");
            let checkpoint = survives(&at, tar.slice(..*end)).unwrap_or_else(|| panic!("{at}: no report"));
            assert_eq!(checkpoint.archive().members().len(), index + 1, "{at}");
            let has_tree = checkpoint.image_member(b"pstree.img").is_some();
            let processes = checkpoint.processes().list.len();
            assert_eq!(processes, if has_tree { whole.processes().list.len() } else { 0 }, "{at}");
            if !has_tree {
                assert!(
                    checkpoint.processes().issues.iter().any(|issue| issue.image == "pstree.img"),
                    "{at}"
                );
            }
        }
    }
}
