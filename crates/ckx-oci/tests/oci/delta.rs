//! Memory against an earlier checkpoint, and back to one that stands on its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ckx_core::memory::{Content, Memory};
use ckx_core::{Checkpoint, inspect};
use ckx_oci::MemoryOptions;
use ckx_oci::compress::Method;
use ckx_oci::repack::{Input, Options, Report, repack};

use crate::support::{FIXTURES, corpus, fixture, open};

fn options(memory: MemoryOptions) -> Options {
    Options { method: Some(Method::None), memory, ..Options::default() }
}

fn write(base: Option<&Path>, source: &Path, target: &str, memory: MemoryOptions) -> Report {
    let (checkpoint, base) = (open(source), base.map(open));
    let input = Input { checkpoint: &checkpoint, base: base.as_ref() };
    repack(input, &target.parse().unwrap(), &options(memory))
        .unwrap_or_else(|error| panic!("{}: {error}", source.display()))
}

pub fn delta(base: &Path, source: &Path, place: &Path, name: &str) -> (PathBuf, Report) {
    let layout = place.join(name);
    let report = write(Some(base), source, &format!("oci:{}", layout.display()), MemoryOptions::default());
    (layout, report)
}

pub fn flat(source: &Path, place: &Path, name: &str) -> PathBuf {
    let file = place.join(name);
    let memory = MemoryOptions { flatten: true, ..MemoryOptions::default() };
    write(None, source, &format!("tar:{}", file.display()), memory);
    file
}

/// Pages by map and address; what cannot be read has its reason.
pub type Pages = BTreeMap<(String, u64), Result<Vec<u8>, String>>;

/// All pages.
pub fn pages(checkpoint: &Checkpoint) -> Pages {
    let memory = Memory::at_hand(checkpoint);
    let mut found = BTreeMap::new();
    for (name, _) in checkpoint.image_members().filter(|(name, _)| name.starts_with(b"pagemap-")) {
        let name = String::from_utf8(name.to_vec()).unwrap();
        for run in memory.chain(&name).runs(0, u64::MAX) {
            let run = run.unpacked();
            for at in (run.start..run.end).step_by(memory.page_size() as usize) {
                let page = match run.cut(at, at + memory.page_size()).content {
                    Content::Bytes(bytes) => Ok(bytes.to_vec()),
                    Content::Zero => Ok(vec![0; memory.page_size() as usize]),
                    other => Err(format!("{other:?}")),
                };
                found.insert((name.clone(), at), page);
            }
        }
    }
    found
}

pub fn check_same_memory(a: &Path, b: &Path) {
    check_same_pages(&pages(&open(a)), &pages(&open(b)));
}

pub fn check_same_pages(a: &Pages, b: &Pages) {
    assert!(!a.is_empty());
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (place, page) in a {
        assert!(page.is_ok(), "{place:x?}: {page:?}");
        assert!(b[place] == *page, "{place:x?} differs");
    }
}

pub fn layer<'r>(report: &'r Report, kind: &str) -> Vec<&'r ckx_oci::layer::Layer> {
    report.image.as_ref().unwrap().layers.iter().filter(|layer| layer.kind == kind).collect()
}

pub fn find(archives: &[PathBuf], name: &str) -> PathBuf {
    archives.iter().find(|path| path.ends_with(name)).unwrap_or_else(|| panic!("no {name}")).clone()
}

#[test]
fn a_delta_of_the_corpus_is_small_and_holds_the_same_memory() {
    let place = tempfile::tempdir().unwrap();
    let archives = corpus(place.path());
    if archives.is_empty() {
        return;
    }
    let (first, second) = (find(&archives, "python-1.tar"), find(&archives, "python-2.tar"));
    let full = write(
        None,
        &second,
        &format!("oci:{}", place.path().join("full").display()),
        MemoryOptions::default(),
    );
    let (image, report) = delta(&first, &second, place.path(), "delta");
    let told = report.delta.as_ref().unwrap();
    assert_eq!((told.depth, &told.rebased), (1, &None));
    let sizes = (layer(&report, "memory")[0].size_bytes, layer(&full, "memory")[0].size_bytes);
    assert!(sizes.0 * 100 <= sizes.1 * 3, "{sizes:?}: more than 3 %");
    // The base is the same layer in each delta.
    let (_, again) = delta(&first, &first, place.path(), "delta-of-itself");
    assert_eq!(layer(&again, "parent")[0].digest, layer(&report, "parent")[0].digest);
    assert_eq!(again.delta.unwrap().changed_pages, 0);

    check_same_memory(&second, &image);
    let file = flat(&image, place.path(), "flat.tar");
    check_same_memory(&second, &file);
    let told = |path: &Path| inspected(&open(path));
    for (section, report) in told(&second) {
        assert_eq!(told(&file)[section], report, "{section}");
    }
    // A chain of two.
    let (chained, report) = delta(&image, &second, place.path(), "chain");
    assert_eq!(report.delta.unwrap().depth, 2);
    assert_eq!(report.image.unwrap().layers.iter().filter(|layer| layer.kind == "parent").count(), 2);
    check_same_memory(&second, &chained);
    check_same_memory(&second, &flat(&chained, place.path(), "flat-2.tar"));
}

/// What `inspect` tells of a checkpoint, but the size of its files and where they lie.
pub fn inspected(checkpoint: &Checkpoint) -> BTreeMap<&'static str, serde_json::Value> {
    let sections: Vec<_> =
        inspect::SECTIONS.iter().filter(|section| !["images", "overview"].contains(&section.name)).collect();
    let reports = inspect::collect(checkpoint, &sections);
    let value = |report| serde_json::to_value(report).unwrap();
    sections.iter().map(|section| section.name).zip(reports.iter().map(value)).collect()
}

#[test]
fn images_tell_what_their_archives_tell() {
    // As the command opens them: layers go by once, and of their pages only those are kept that are asked for.
    let opened = |path: &Path| Checkpoint::open(path, ckx_core::Options::default()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let options = Options { method: Some(Method::Zstd(3)), ..Options::default() };
    let image = |source: &str, base: Option<&str>, target: &str| {
        let (source, base) = (open(&fixture(source)), base.map(|base| open(&fixture(base))));
        let input = Input { checkpoint: &source, base: base.as_ref() };
        repack(input, &format!("{target}{}", place.path().join("x").display()).parse().unwrap(), &options)
            .unwrap();
        let told = inspected(&opened(&place.path().join("x")));
        let _ =
            fs::remove_dir_all(place.path().join("x")).or_else(|_| fs::remove_file(place.path().join("x")));
        told
    };
    for target in ["oci:", "oci-archive:"] {
        for name in FIXTURES {
            let wanted = inspected(&opened(&fixture(name)));
            assert!(
                wanted["environment"]["processes"].as_array().is_some_and(|all| !all.is_empty()),
                "{name}"
            );
            for (section, told) in image(name, None, target) {
                assert_eq!(told, wanted[section], "{target} {name} {section}");
            }
        }
        let [first, second] = ["nginx-crio-1.tar.zst", "nginx-crio-2.tar.zst"];
        let (told, wanted) = (image(second, Some(first), target), inspected(&opened(&fixture(second))));
        for section in ["environment", "auxv"] {
            assert_eq!(told[section], wanted[section], "{target} {section}");
        }
    }
}

#[test]
fn limits_make_a_full_image() {
    let place = tempfile::tempdir().unwrap();
    let archives = corpus(place.path());
    if archives.is_empty() {
        return;
    }
    let (first, second) = (find(&archives, "nginx-1.tar"), find(&archives, "nginx-2.tar"));
    for (name, memory) in [
        ("depth", MemoryOptions { max_depth: 0, ..MemoryOptions::default() }),
        ("share", MemoryOptions { max_share_percent: 0, ..MemoryOptions::default() }),
    ] {
        let target = format!("oci:{}", place.path().join(name).display());
        let report = write(Some(&first), &second, &target, memory);
        let told = report.delta.as_ref().unwrap();
        assert!(told.depth == 0 && told.rebased.is_some(), "{told:?}");
        assert!(layer(&report, "parent").is_empty());
        check_same_memory(&second, &place.path().join(name));
    }
}

#[test]
fn zeros_are_left_out_and_read_as_zeros() {
    let place = tempfile::tempdir().unwrap();
    let archives = corpus(place.path());
    if archives.is_empty() {
        return;
    }
    let source = find(&archives, "python-1.tar");
    let file = place.path().join("dropped.tar");
    let memory = MemoryOptions { drop_zero_pages: true, ..MemoryOptions::default() };
    let report = write(None, &source, &format!("tar:{}", file.display()), memory);
    assert!(report.changes.iter().any(|change| change.detail.contains("of zeros left out")), "{report:?}");
    let (before, after) = (pages(&open(&source)), pages(&open(&file)));
    assert!(after.len() < before.len());
    for (at, page) in before {
        match after.get(&at) {
            Some(known) => assert!(*known == page, "{at:x?}"),
            None => assert!(page.unwrap().iter().all(|byte| *byte == 0), "{at:x?} was not zeros"),
        }
    }
}

#[test]
fn a_base_of_another_container_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let archives = corpus(place.path());
    if archives.is_empty() {
        return;
    }
    let (checkpoint, base) = (open(&find(&archives, "python-1.tar")), open(&find(&archives, "nginx-1.tar")));
    let target = place.path().join("refused");
    let input = Input { checkpoint: &checkpoint, base: Some(&base) };
    let error = repack(input, &format!("oci:{}", target.display()).parse().unwrap(), &Options::default())
        .unwrap_err();
    assert!(error.to_string().contains("the base does not fit"), "{error}");
    assert!(!fs::exists(target).unwrap(), "nothing is written");
}
