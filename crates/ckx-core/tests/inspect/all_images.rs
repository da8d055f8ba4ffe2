//! All image directories of the corpus, with all sections.

use std::collections::BTreeMap;

use ckx_core::inspect::{Report, SECTIONS};
use ckx_core::{Issue, Options};
use serde_json::Value;

use crate::bundle::{checkpoint, directories};
use crate::corpus::corpus;

fn issues(name: &str, files: &BTreeMap<String, bytes::Bytes>) -> Vec<Issue> {
    let checkpoint = checkpoint(name, files, Options::default());
    let mut all = Vec::new();
    for section in SECTIONS {
        let report: Box<dyn Report> = (section.collect)(&checkpoint);
        report.outline();
        serde_json::to_vec(&report).unwrap_or_else(|error| panic!("{name} {}: {error}", section.name));
        all.extend(report.issues().to_vec());
    }
    all
}

/// The process tree as crit decoded it.
fn same_tree(name: &str, files: &BTreeMap<String, bytes::Bytes>, crit: &Value) {
    let checkpoint = checkpoint(name, files, Options::default());
    let shown: Vec<_> = checkpoint
        .processes()
        .list
        .iter()
        .map(|process| [process.pid, process.ppid, process.pgid, process.sid])
        .collect();
    let entries = crit["entries"].as_array().expect("a list");
    let number =
        |entry: &Value, key: &str| u32::try_from(entry[key].as_u64().expect("a number")).expect("small");
    let expected: Vec<_> =
        entries.iter().map(|entry| ["pid", "ppid", "pgid", "sid"].map(|key| number(entry, key))).collect();
    assert_eq!(shown, expected, "{name}");
}

/// What is said to be missing has to be; of memory, the page maps or pages are left out of the corpus,
/// or lie in a previous dump that is another directory.
fn is_right(issue: &Issue, files: &BTreeMap<String, bytes::Bytes>) -> bool {
    let lacks = |name: &str| !files.contains_key(name);
    let named = issue.reason.rsplit(": ").next().and_then(|reason| reason.strip_suffix(" is missing"));
    match issue.code {
        "missing" => lacks(&issue.image),
        "environment-unreadable" | "cmdline-unreadable" => {
            named.is_some_and(lacks) || issue.reason.ends_with("in a previous dump that is not in the source")
        }
        _ => false,
    }
}

#[test]
fn every_directory_is_told_of() {
    let Some(place) = corpus() else { return };
    let choose = |name: &str| {
        !name.contains("synthetic-magic")
            && (name.ends_with(".img") || name.ends_with("/pstree.img.crit.json"))
    };
    let all = directories(&place, "images.tar.zst", Some(choose));
    let (mut told, mut trees) = (0, 0);
    let mut odd: Vec<String> = Vec::new();
    for (name, files) in all.iter().filter(|(_, files)| files.contains_key("inventory.img")) {
        told += 1;
        for issue in issues(name, files) {
            if !is_right(&issue, files) {
                odd.push(format!("{name}: {} {issue}", issue.code));
            }
        }
        if let Some(crit) = files.get("pstree.img.crit.json") {
            same_tree(name, files, &serde_json::from_slice(crit).expect("JSON"));
            trees += 1;
        }
    }
    assert!(told > 800 && trees > 700, "only {told} directories and {trees} trees");
    odd.sort();
    assert!(odd.is_empty(), "{} odd ones: {:#?}", odd.len(), odd.get(..20).unwrap_or(&odd));
}
