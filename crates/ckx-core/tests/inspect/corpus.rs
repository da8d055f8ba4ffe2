//! Real checkpoints: shipped ones, and the corpus with its truth files.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ckx_archive::archive::KeepAll;
use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::{Checkpoint, Options, Wanted};
use serde_json::Value;

/// Place of the corpus; `None` says so and means that a test cannot look at it.
pub fn corpus() -> Option<PathBuf> {
    let place = std::env::var_os("CKX_CORPUS").map(PathBuf::from);
    if place.is_none() {
        println!("skipped: CKX_CORPUS names no corpus");
    }
    place
}

/// A shipped checkpoint of `fixtures/checkpoints`, by file name.
pub fn fixture(name: &str) -> Checkpoint {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/checkpoints").join(name);
    Checkpoint::open(&path, Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A checkpoint archive in memory, opened as a mapped tar would be.
pub fn open_bytes(name: &str, data: impl Into<Bytes>, options: Options) -> Checkpoint {
    let archive =
        Archive::from_bytes(Path::new(name), data.into(), &mut Wanted::default(), ArchiveOptions::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    Checkpoint::from_archive(archive, options)
}

/// Archives of the corpus as `(name, plain tar)`, such as `podman/nginx-1.tar`: the members of the
/// bundles `archives/*.tar.zst`, and the archives that lie there by themselves.
pub fn archives(place: &Path) -> Vec<(String, Bytes)> {
    let mut found = Vec::new();
    for bundle in ["podman", "crio", "containerd"] {
        let path = place.join("archives").join(format!("{bundle}.tar.zst"));
        let file = fs::File::open(&path).expect("the bundle is there");
        let bundle_tar = Archive::from_stream(
            &path,
            file,
            &mut KeepAll,
            ArchiveOptions { budget_bytes: 1 << 30, ..ArchiveOptions::default() },
        )
        .expect("a bundle");
        for member in bundle_tar.current().filter(|member| member.name.ends_with(b".tar")) {
            let name = String::from_utf8_lossy(member.file_name()).into_owned();
            // Blobs of OCI layouts have no suffix; a name with more slashes lies in one.
            if let Ok(data) = bundle_tar.read(member) {
                found.push((name, data));
            }
        }
    }
    let mut plain = Vec::new();
    let file = fs::File::open(place.join("archives/bash-counter.tar.zst")).expect("it is there");
    zstd::stream::read::Decoder::new(file).expect("zstd").read_to_end(&mut plain).expect("it decodes");
    found.push(("bash-counter.tar.zst".to_owned(), plain.into()));
    found
}

/// The truth file of an archive, if there is one.
pub fn truth(place: &Path, name: &str) -> Option<Value> {
    let text = fs::read(place.join("truth").join(format!("{name}.json"))).ok()?;
    Some(serde_json::from_slice(&text).expect("truth files are JSON"))
}

#[test]
fn fixtures_open() {
    for name in
        ["nginx-crio-1.tar.zst", "nginx-containerd-1.tar.zst", "nginx-tcp-est.tar.zst", "bash-counter.tar.gz"]
    {
        let checkpoint = fixture(name);
        assert!(checkpoint.has_images(), "{name}");
        assert_eq!(checkpoint.archive().faults(), [], "{name}");
        assert!(!checkpoint.processes().list.is_empty(), "{name}");
        assert_eq!(checkpoint.processes().issues, [], "{name}");
    }
}

#[test]
fn archives_of_the_corpus_open() {
    let Some(place) = corpus() else { return };
    let all = archives(&place);
    assert!(all.len() >= 12, "only {} archives", all.len());
    for (name, data) in all {
        let checkpoint = open_bytes(&name, data, Options::default());
        let Some(truth) = truth(&place, &name) else {
            println!("{name}: no truth file");
            continue;
        };
        let processes = truth["processes"].as_array().expect("a list");
        assert_eq!(checkpoint.processes().list.len(), processes.len(), "{name}");
    }
}
