//! Mappings beside what other tools read of the same dumps.

use ckx_core::Options;
use ckx_core::inspect::Collect;
use ckx_core::inspect::maps::Maps;

use crate::corpus::{archives, corpus, fixture, open_bytes, truth};

#[test]
fn a_shipped_checkpoint() {
    let report = Maps::collect(&fixture("nginx-crio-1.tar.zst"));
    assert_eq!(report.issues, []);
    let master = &report.processes[0];
    assert_eq!((master.process.pid, master.page_size_bytes), (1, 4096));
    let of = |name: &str| {
        master.mappings.iter().find(|mapping| mapping.name.as_ref().is_some_and(|it| it.to_string() == name))
    };
    assert_eq!(of("[stack]").map(|mapping| mapping.permissions.as_str()), Some("rw-p"));
    assert!(of("[heap]").and_then(|mapping| mapping.pages).is_some_and(|pages| pages.present_pages > 0));
    assert!(of("/usr/sbin/nginx").is_some_and(|mapping| mapping.backing == "file"));
    assert_eq!(of("[vvar]").map(|mapping| (mapping.backing, mapping.pages)), Some(("none", None)));
}

/// Number and size of mappings, and pages in all, for each process of the corpus.
#[test]
fn archives_of_the_corpus() {
    let Some(place) = corpus() else { return };
    let mut compared = 0;
    for (name, data) in archives(&place) {
        let Some(truth) = truth(&place, &name) else { continue };
        let checkpoint = open_bytes(&name, data, Options::default());
        let report = Maps::collect(&checkpoint);
        for process in &report.processes {
            let list = truth["processes"].as_array().expect("a list");
            let pid = process.process.pid;
            let Some(truth) = list.iter().find(|truth| truth["pid"] == pid) else { panic!("{name}: {pid}") };
            assert_eq!(process.mappings.len() as u64, truth["vmas"].as_u64().expect("vmas"), "{name} {pid}");
            assert_eq!(process.mapped_bytes, truth["vma_bytes"].as_u64().expect("vma_bytes"), "{name} {pid}");
            let private = process.mappings.iter().filter(|mapping| mapping.backing != "shared");
            let pages: u64 = private
                .filter_map(|mapping| mapping.pages)
                .map(|it| it.present_pages + it.parent_pages)
                .sum();
            assert_eq!(pages, truth["pagemap_pages"].as_u64().expect("pages"), "{name} {pid}");
            compared += 1;
        }
    }
    assert!(compared > 30, "only {compared}");
}
