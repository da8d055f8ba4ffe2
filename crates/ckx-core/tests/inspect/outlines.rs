//! What people see of sections, where it is less than what programs get.

use std::path::Path;

use ckx_core::inspect::Collect;
use ckx_core::inspect::auxv::Auxv;
use ckx_core::inspect::cgroups::Cgroups;
use ckx_core::inspect::maps::Maps;
use ckx_core::inspect::signals::SignalsReport;
use ckx_core::inspect::sockets::Sockets;
use ckx_core::inspect::threads::Threads;
use ckx_core::outline::{Cell, Node, Outline, Table};
use ckx_core::{Checkpoint, Options};

use crate::corpus::fixture;

/// A shipped dump in a directory.
fn images(name: &str) -> Checkpoint {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images").join(name);
    Checkpoint::open(&path, Options::default()).expect("a directory")
}

/// Heading and number of nodes below it, of each group at the top.
fn groups(outline: &Outline) -> Vec<(String, usize)> {
    let group = |node: &Node| match node {
        Node::Group(line, below) => Some((Cell::Line(line.clone()).to_string(), below.len())),
        _ => None,
    };
    outline.nodes.iter().filter_map(group).collect()
}

fn tables(nodes: &[Node]) -> Vec<&Table> {
    let mut found = Vec::new();
    for node in nodes {
        match node {
            Node::Table(table) => found.push(table),
            Node::Group(_, below) => found.extend(tables(below)),
            _ => {}
        }
    }
    found
}

/// The master of nginx has forked its workers: all have its vector, and the workers one set of handlers.
#[test]
fn what_processes_have_alike_is_told_once() {
    let checkpoint = fixture("nginx-crio-1.tar.zst");
    let auxv = Auxv::collect(&checkpoint);
    assert!(auxv.processes.iter().all(|process| process.auxv == auxv.processes[0].auxv));
    let expected = [
        ("1 nginx", 1),
        ("7 nginx the same as 1", 0),
        ("8 nginx the same as 1", 0),
        ("9 nginx the same as 1", 0),
        ("10 nginx the same as 1", 0),
    ];
    let expected: Vec<_> = expected.iter().map(|(line, below)| ((*line).to_owned(), *below)).collect();
    assert_eq!(groups(&auxv.outline()), expected);
    let signals = SignalsReport::collect(&checkpoint).outline();
    let alike =
        groups(&signals).into_iter().filter(|(line, below)| line.contains("the same as") && *below == 0);
    assert!(alike.count() >= 2, "{signals:?}");
}

#[test]
fn maps_have_a_column_for_the_parent_where_there_is_one() {
    let columns = |checkpoint: &Checkpoint| {
        let outline = Maps::collect(checkpoint).outline();
        tables(&outline.nodes).first().expect("a table").columns.clone()
    };
    assert_eq!(columns(&fixture("nginx-crio-1.tar.zst")), ["RANGE", "PERM", "SIZE", "PAGES", "NAME"]);
    let incremental = ["RANGE", "PERM", "SIZE", "PAGES", "PARENT", "NAME"];
    assert_eq!(columns(&images("fork-incremental")), incremental);
}

/// A narrow screen cuts the last column of a table.
#[test]
fn limits_of_groups_are_before_what_may_be_cut() {
    let outline = Cgroups::collect(&fixture("nginx-tcp-est.tar.zst")).outline();
    let limits = tables(&outline.nodes).into_iter().find(|table| table.columns.contains(&"LIMIT"));
    assert_eq!(limits.expect("limits").columns, ["LIMIT", "VALUE", "GROUP"]);
}

/// Lines are broken between cells: each word of a connection is one.
#[test]
fn options_of_connections_are_words() {
    let outline = Sockets::collect(&fixture("nginx-tcp-est.tar.zst")).outline();
    let lines = outline.nodes.iter().find_map(|node| match node {
        Node::Lines(lines) => Some(lines),
        _ => None,
    });
    let Some([Cell::Line(cells), ..]) = lines.map(Vec::as_slice) else { panic!("{outline:?}") };
    assert!(cells.iter().all(|cell| !cell.to_string().contains(' ')), "{cells:?}");
    assert!(cells.iter().any(|cell| cell.to_string().starts_with("mss:")), "{cells:?}");
}

/// The images of this dump have no `seccomp_mode`, as `crit` shows.
#[test]
fn a_seccomp_mode_that_is_not_recorded_is_not_told() {
    let checkpoint = images("v2.12-tcp");
    let report = Threads::collect(&checkpoint);
    let modes = report.processes.iter().flat_map(|process| &process.threads).map(|thread| &thread.seccomp);
    assert!(
        modes.clone().count() > 0 && modes.clone().all(Option::is_none),
        "{:?}",
        modes.collect::<Vec<_>>()
    );
}
