//! `processes` beside the truth files, which CRIU's own library made.

use ckx_core::Options;
use ckx_core::explore::TaskState;
use ckx_core::inspect::Collect as _;
use ckx_core::inspect::processes::{ProcessReport, Processes};
use ckx_testkit::{ImageBuilder, Msg, SynthCheckpoint};
use serde_json::Value;

use crate::corpus::{archives, corpus, fixture, open_bytes, truth};
use crate::synthetic::open;

fn number(state: Option<TaskState>) -> Option<u32> {
    Some(match state? {
        TaskState::Alive => 1,
        TaskState::Zombie => 2,
        TaskState::Stopped => 3,
        TaskState::Other(number) => number,
    })
}

fn as_truth(process: &ProcessReport) -> Value {
    let memory = process.memory.as_ref();
    let pages = memory.and_then(|memory| memory.pages.as_ref());
    serde_json::json!({
        "pid": process.pid,
        "ppid": process.ppid,
        "pgid": process.pgid,
        "sid": process.sid,
        "threads": process.threads,
        "comm": process.comm,
        "state": number(process.state),
        "uid": process.uid,
        "gid": process.gid,
        "exe": process.exe,
        "vmas": memory.map(|memory| memory.mappings),
        "vma_bytes": memory.map(|memory| memory.mapped_bytes),
        "pages_id": pages.map(|pages| pages.pages_id),
        "pagemap_pages": pages.map(|pages| pages.pages),
        "pages_present": pages.map(|pages| pages.present_pages),
    })
}

#[test]
fn archives_of_the_corpus() {
    let Some(place) = corpus() else { return };
    let mut compared = 0;
    for (name, data) in archives(&place) {
        let Some(truth) = truth(&place, &name) else { continue };
        let report = Processes::collect(&open_bytes(&name, data, Options::default()));
        assert_eq!(report.issues, [], "{name}");
        let expected = truth["processes"].as_array().expect("a list");
        assert_eq!(report.processes.len(), expected.len(), "{name}");
        for (process, expected) in report.processes.iter().zip(expected) {
            let mut expected = expected.clone();
            expected.as_object_mut().expect("an object").remove("fds");
            assert_eq!(as_truth(process), expected, "{name}");
            // The previous dump of this one is another archive.
            let absent = (name == "nginx-incr.tar")
                .then_some("the page is in a previous dump that is not in the source");
            assert_eq!(process.cmdline_absent.as_deref(), absent, "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 40, "only {compared} processes");
}

#[test]
fn titles_and_arguments() {
    let report = Processes::collect(&fixture("nginx-crio-1.tar.zst"));
    let lines: Vec<String> = report
        .processes
        .iter()
        .map(|process| {
            process.cmdline.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join("|")
        })
        .collect();
    assert_eq!(lines[0], "nginx: master process /usr/sbin/nginx -c /etc/nginx/nginx.conf");
    assert_eq!(lines[1], "nginx: worker process");
    let report = Processes::collect(&fixture("bash-counter.tar.gz"));
    let words = report.processes[0].cmdline.as_ref().expect("there are some");
    assert_eq!(words[..2].iter().map(ToString::to_string).collect::<Vec<_>>(), ["bash", "-c"]);
    assert_eq!(words.len(), 3);
}

fn lines(report: &Processes) -> Vec<String> {
    use ckx_core::outline::Node;
    let mut out = Vec::new();
    let outline = report.outline();
    let mut open: Vec<(&Node, usize)> = outline.nodes.iter().rev().map(|node| (node, 0)).collect();
    while let Some((node, depth)) = open.pop() {
        let Node::Group(line, children) = node else { panic!("{node:?}") };
        out.push(format!(
            "{depth} {}",
            line[..2].iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        ));
        open.extend(children.iter().rev().map(|child| (child, depth + 1)));
    }
    out
}

/// A tree of zombies, which need no images but their cores.
fn zombies(ids: &[(u64, u64)]) -> Processes {
    let add = |set: SynthCheckpoint, (pid, ppid): &(u64, u64)| {
        set.process(*pid, *ppid, |process| process.comm(format!("c{pid}")).zombie(0x709))
    };
    Processes::collect(&open(ids.iter().fold(SynthCheckpoint::new(), add)))
}

#[test]
fn trees_that_are_none() {
    let report = zombies(&[(1, 0), (5, 77), (3, 4), (4, 3), (2, 1), (6, 5)]);
    assert_eq!(lines(&report), ["0 1 c1", "1 2 c2", "0 5 c5", "1 6 c6", "0 3 c3", "1 4 c4"]);
    let codes: Vec<&str> = report.issues.iter().map(|issue| issue.code).collect();
    assert_eq!(codes, ["missing-parent", "parent-cycle"]);
}

#[test]
fn a_chain_of_many_processes() {
    const COUNT: u64 = 100_000;
    let entry = |pid: u64| Msg::new().seq(1, [pid, pid - 1, 1, 1]).uint(5, pid);
    let tree = ImageBuilder::of("PSTREE").records((1..=COUNT).map(entry)).build();
    let report = Processes::collect(&open(SynthCheckpoint::new().file("pstree.img", tree)));
    assert_eq!(report.processes.len(), COUNT as usize);
    let lines = lines(&report);
    assert_eq!(lines.len(), COUNT as usize);
    assert_eq!(lines.last().map(String::as_str), Some("48 100000 -"));
}

#[test]
fn exits_stops_and_absences() {
    let set = SynthCheckpoint::new()
        .process(1, 0, |process| process.comm("init").usual_memory().args(&["init", "--token", "x"]))
        .process(2, 1, |process| process.comm("killed").zombie(0x8b))
        .process(3, 1, |process| process.comm("ended").zombie(7 << 8))
        .process(4, 1, |process| process.comm("stopped").usual_memory().stopped(20))
        .without("pages-2.img");
    let report = Processes::collect(&open(set));
    let of = |pid: u32| report.processes.iter().find(|process| process.pid == pid).expect("it is there");
    let shown = |pid: u32| serde_json::to_value(of(pid)).expect("JSON");
    assert_eq!(shown(1)["cmdline"], serde_json::json!(["init", "--token", "[redacted]"]));
    assert_eq!(shown(1)["redacted"], true);
    let killed = serde_json::json!({ "wait_status": 0x8b, "signal": "SIGSEGV", "core_dumped": true });
    assert_eq!(shown(2)["exit"], killed);
    assert_eq!(shown(3)["exit"], serde_json::json!({ "wait_status": 0x700, "code": 7 }));
    assert_eq!(shown(4)["stop_signal"], "SIGTSTP");
    assert_eq!(shown(4)["cmdline_absent"], "pages-2.img is missing");
    assert_eq!(shown(2)["cmdline_absent"], "a zombie has none");
}
