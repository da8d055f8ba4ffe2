//! The arrows between the crates, and what each may lean on. ARCHITECTURE.md draws the picture.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Each crate with the crates of this workspace that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("ckx-criu", &[]),
    ("ckx-archive", &[]),
    ("ckx-core", &["ckx-criu", "ckx-archive"]),
    ("ckx-oci", &["ckx-core", "ckx-criu", "ckx-archive"]),
    ("ckx-tui", &["ckx-core", "ckx-criu", "ckx-archive"]),
    ("ckx-cli", &["ckx-tui", "ckx-oci", "ckx-core", "ckx-criu", "ckx-archive"]),
    ("ckx", &["ckx-cli"]),
    ("ckx-testkit", &[]),
];

/// Crates that a crate must not lean on, directly or through others.
const NEVER: &[(&str, &[&str])] = &[
    ("ckx-archive", &["prost", "clap", "ratatui", "tokio", "reqwest"]),
    // The core reads messages, so prost comes to it through the format crate.
    ("ckx-core", &["clap", "ratatui", "anstream", "tokio", "reqwest"]),
    ("ckx-oci", &["clap", "ratatui", "anstream"]),
    ("ckx-testkit", &["prost", "ckx-criu"]),
];

/// Everything the format crate leans on, directly or through others. None of it opens files of its
/// own accord or starts threads; an addition is looked at before it is written down here.
const FORMAT_CRATE: &[&str] = &[
    "anyhow",
    "base64",
    "bytes",
    "either",
    "itertools",
    "itoa",
    "memchr",
    "proc-macro2",
    "prost",
    "prost-derive",
    "quote",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "strsim",
    "syn",
    "unicode-ident",
    "zmij",
];

/// Names of what a package leans on, itself left out: directly, or with all that lies below.
fn leans_on(package: &str, directly: bool) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--offline", "--edges=normal", "--prefix=none", "--package", package]);
    if directly {
        command.arg("--depth=1");
    }
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("package names are text");
    let names = text.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty());
    names.filter(|name| *name != package).map(str::to_owned).collect()
}

#[test]
fn arrows_point_down_only() {
    for (name, allowed) in ARROWS {
        if !Path::new("crates").join(name).exists() && *name != "ckx" {
            continue;
        }
        for dependency in leans_on(name, true).iter().filter(|each| each.starts_with("ckx")) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not use {dependency}");
        }
    }
}

#[test]
fn every_crate_has_a_row() {
    for entry in std::fs::read_dir("crates").expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let known = !path.is_dir() || ARROWS.iter().any(|(each, _)| *each == name);
        assert!(known, "{name} has no row in ARROWS");
    }
}

#[test]
fn crates_keep_away_from_what_is_not_theirs() {
    for (name, never) in NEVER {
        let all = leans_on(name, false);
        for each in *never {
            assert!(!all.contains(*each), "{name} leans on {each}");
        }
    }
}

#[test]
fn the_format_crate_leans_on_nothing_unknown() {
    let all = leans_on("ckx-criu", false);
    assert!(all.contains("prost"), "the list of dependencies was not read: {all:?}");
    let unknown: Vec<_> = all.iter().filter(|name| !FORMAT_CRATE.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "ckx-criu leans on {unknown:?}: look at them, then add them to the list");
}

#[test]
fn the_format_crate_names_neither_files_nor_threads() {
    let words = ["std::fs", "std::thread", "std::process", "std::env", "unsafe "];
    let mut open = vec![std::path::PathBuf::from("crates/ckx-criu/src")];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(&path).expect("readable").map(|entry| entry.expect("readable").path()),
            );
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("sources are text");
        seen += 1;
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for word in words {
                assert!(!line.contains(word), "{}: `{}`", path.display(), line.trim());
            }
        }
    }
    assert!(seen > 20, "only {seen} sources were found");
}
