//! The explorers beside crit's own output, recorded from CRIU 4.2.
//!
//! `recorded/` holds small sets of images with what crit printed; see its README. The corpus of
//! real dumps is large and not part of the project: `CKX_CORPUS` names its place, and without it
//! its test says so and passes. Of its directories, `recorded/corpus.tsv` has hashes of crit's
//! output.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ckx_archive::Directory;
use ckx_core::explore::{EXPLORERS, Report, explorer};
use ckx_core::{ImageSet, MemoryImages};
use ckx_criu::json::Style;

/// crit's explorers.
const WHAT: [&str; 4] = ["ps", "fds", "mems", "rss"];

/// A recorded set, and where our output differs from crit's, which the README explains.
const SETS: &[(&str, &[&str])] = &[
    ("compat32", &[]),
    ("fork-incremental", &["fds", "mems", "rss"]),
    ("long-socket-name", &["fds"]),
    ("memfd", &["mems"]),
    ("no-descriptors", &["fds"]),
    ("ns-link-ghost", &[]),
    ("packet", &[]),
    ("ppc64el-64k", &["rss"]),
    ("s390x", &WHAT),
    ("v2.12-tcp", &["rss"]),
    ("zombie", &["fds", "mems", "rss"]),
];

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

/// Images of a set: its own, or those of the fixture with its name.
fn images_of(set: &str) -> Directory {
    let own = recorded().join(set).join("images");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images").join(set);
    Directory::open(if own.is_dir() { &own } else { &fixture }).expect("the images are there")
}

fn run(what: &str, images: &dyn ImageSet) -> Box<dyn Report> {
    (explorer(what).expect("an explorer").run)(images)
}

fn text(report: &dyn Report) -> String {
    let mut out = Vec::new();
    report.write_text(&mut out).expect("writing to memory");
    String::from_utf8(out).expect("text is UTF-8")
}

/// Takes the names of memory files away, which crit does not have.
fn without_memory_files(text: &str) -> String {
    const END: &str = " (deleted)";
    let line = |line: &str| {
        let begin = ["/memfd:", "/dev/zero (deleted)", "/anon_hugepage (deleted)"];
        let begin = begin.iter().find_map(|name| line.find(&format!(" {name}")));
        match begin.and_then(|begin| Some((begin + 1, begin + line.get(begin..)?.find(END)? + END.len()))) {
            Some((begin, end)) => format!("{}unknown path{}\n", &line[..begin], &line[end..]),
            None => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

#[test]
fn text_is_that_of_crit_or_differs_as_recorded() {
    for (set, differing) in SETS {
        let images = images_of(set);
        for what in WHAT {
            let file = |name: String| {
                let path = recorded().join(set).join(name);
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            };
            let crit = file(format!("{what}.crit.txt"));
            let report = run(what, &images);
            let ours = text(&*report);
            if differing.contains(&what) {
                assert_eq!(ours, file(format!("{what}.txt")), "{set} {what}");
                assert_ne!(ours, crit, "{set} {what}: no longer differs");
            } else {
                assert_eq!(without_memory_files(&ours), crit, "{set} {what}");
            }
            let issues: Vec<String> = report.issues().iter().map(ToString::to_string).collect();
            assert!(issues.is_empty(), "{set} {what}: {issues:?}");
        }
    }
}

#[test]
fn recorded_sets_are_all_tested() {
    let listed: Vec<&str> = SETS.iter().map(|(set, _)| *set).collect();
    let entries = fs::read_dir(recorded()).expect("recorded/ is there");
    let mut found: Vec<String> = entries
        .map(|entry| entry.expect("readable"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, listed);
}

/// Image directories of the corpus by path.
type Corpus = BTreeMap<String, MemoryImages>;

fn corpus() -> Option<Corpus> {
    let Some(place) = std::env::var_os("CKX_CORPUS") else {
        println!("skipped: CKX_CORPUS does not name the corpus of real checkpoints");
        return None;
    };
    let mut corpus = Corpus::new();
    for archive in ["images.tar.zst", "qemu.tar.zst"] {
        let file = fs::File::open(Path::new(&place).join(archive)).expect("the corpus is readable");
        let mut decoder = zstd::Decoder::new(file).expect("a zstd frame");
        decoder.window_log_max(31).expect("a window");
        read_tar(decoder, &mut corpus);
    }
    Some(corpus)
}

fn read_tar(stream: impl std::io::Read, corpus: &mut Corpus) {
    let mut archive = tar::Archive::new(stream);
    for member in archive.entries().expect("a tar") {
        let mut member = member.expect("a whole tar");
        let path = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        // The explorers do not look at pages.
        let Some((directory, name)) = path.rsplit_once('/').filter(|(_, name)| name.ends_with(".img")) else {
            continue;
        };
        if !member.header().entry_type().is_file() || name.starts_with("pages-") {
            continue;
        }
        let mut data = Vec::new();
        member.read_to_end(&mut data).expect("a whole member");
        corpus.entry(directory.to_owned()).or_default().insert(name, data);
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

#[test]
fn the_corpus() {
    let Some(corpus) = corpus() else { return };
    let table = fs::read_to_string(recorded().join("corpus.tsv")).expect("corpus.tsv is there");
    let mut compared = 0;
    for row in table.lines().skip(1) {
        let mut cells = row.split('\t');
        let directory = cells.next().expect("a path");
        let images = corpus.get(directory).unwrap_or_else(|| panic!("{directory} is not in the corpus"));
        for (what, expected) in WHAT.iter().zip(cells).filter(|(_, expected)| *expected != "-") {
            let ours = without_memory_files(&text(&*run(what, images)));
            assert_eq!(hash(ours.as_bytes()), expected, "{directory} {what}:\n{ours}");
            compared += 1;
        }
    }
    println!("{compared} outputs are those of crit");
    let whole = corpus.iter().filter(|(_, images)| matches!(images.get("pstree.img"), Ok(Some(_))));
    for (directory, images) in whole {
        for explorer in EXPLORERS {
            let report = run(explorer.name, images);
            report.write_json(&mut std::io::sink(), Style::Line).expect("writing to nowhere");
            for issue in report.issues() {
                // The other side of a page server has the page maps.
                let expected = directory.contains("page-server") && issue.image.starts_with("pagemap-");
                assert!(expected, "{directory} {}: {issue}", explorer.name);
            }
        }
    }
}
