//! Descriptors and sockets of synthetic checkpoints: what real ones seldom have.

use ckx_core::inspect::Collect;
use ckx_core::inspect::descriptors::{Descriptors, Details};
use ckx_core::inspect::sockets::Sockets;
use ckx_testkit::{Fd, FdType, ImageBuilder, Msg, Process, SynthCheckpoint, files, parts};

use crate::synthetic::open;

fn with(fds: impl FnOnce(Process) -> Process) -> SynthCheckpoint {
    SynthCheckpoint::new().process(1, 0, |process| fds(process.usual_memory()))
}

/// The lines of a report, as people read them.
fn drawn(report: &impl Collect) -> Vec<String> {
    fn walk(nodes: &[ckx_core::outline::Node], out: &mut Vec<String>) {
        use ckx_core::outline::Node;
        for node in nodes {
            match node {
                Node::Group(line, below) => {
                    out.push(ckx_core::outline::Cell::Line(line.clone()).to_string());
                    walk(below, out);
                }
                Node::Field(name, value) => out.push(format!("{name} {value}")),
                Node::Table(table) => {
                    let rows = table.rows.iter().cloned();
                    out.extend(rows.map(|row| ckx_core::outline::Cell::Line(row).to_string()));
                }
                Node::Lines(lines) => out.extend(lines.iter().map(ToString::to_string)),
            }
        }
    }
    let mut out = Vec::new();
    walk(&report.outline().nodes, &mut out);
    out
}

/// Sets in sets, one of them in itself by another, and one that watches what is closed.
#[test]
fn epoll_sets_that_watch_each_other() {
    let checkpoint = open(with(|process| {
        process
            .fd(3, Fd::epoll(&[(4, 1), (5, 0x8000_0001)]))
            .fd(4, Fd::epoll(&[(3, 1)]))
            .fd(5, Fd::eventfd(u64::MAX - 1))
            .fd(6, Fd::epoll(&[(99, 4)]))
            .fd(7, Fd::epoll(&[]))
    }));
    let report = Descriptors::collect(&checkpoint);
    assert_eq!(report.issues, []);
    let sets: Vec<Vec<(u32, Vec<&str>)>> = report
        .files
        .iter()
        .filter_map(|file| match &file.details {
            Some(Details::Epoll(set)) => Some(set),
            _ => None,
        })
        .map(|set| {
            let targets = set.targets.iter();
            targets.map(|each| (each.fd, each.events.iter().map(String::as_str).collect())).collect()
        })
        .collect();
    let expected = vec![
        vec![(4, vec!["EPOLLIN"]), (5, vec!["EPOLLIN", "EPOLLET"])],
        vec![(3, vec!["EPOLLIN"])],
        vec![(99, vec!["EPOLLOUT"])],
        vec![],
    ];
    assert_eq!(sets, expected);
    let lines = drawn(&report);
    for expected in
        ["watches 4, 5", "watches 3", "watches 99", "watches nothing", "counter 18446744073709551614"]
    {
        assert!(lines.iter().any(|line| line.ends_with(expected)), "{expected}: {lines:#?}");
    }
}

#[test]
fn control_bytes_in_names_are_escaped_and_kept() {
    let evil = b"/run/\x1b[2J\xff\n";
    let checkpoint = open(with(|process| {
        process.fd(3, Fd::reg(evil, 2)).fd(4, Fd::unix(7, 0, [&evil[..], b"\0"].concat())).fd(
            5,
            Fd::new(
                FdType::Inotify,
                files::inotify(0, [files::inotify_wd(0, 1, 9).msg(7, parts::fh(Some(evil)))]),
            ),
        )
    }));
    let files = Descriptors::collect(&checkpoint);
    let sockets = Sockets::collect(&checkpoint);
    // The bytes are what they were; only what is shown has them in another form.
    assert!(files.files.iter().any(|file| file.name.as_ref().is_some_and(|name| name.as_bytes() == evil)));
    let local = sockets.sockets[0].socket.local_address.as_ref().expect("a name");
    assert_eq!(local.as_bytes(), evil);
    let lines: Vec<String> = drawn(&files).into_iter().chain(drawn(&sockets)).collect();
    assert!(lines.iter().all(|line| !line.chars().any(char::is_control)), "{lines:#?}");
    let shown =
        lines.iter().filter(|line| line.contains(r"/run/\x1b[2J\xff\x0a") || line.contains(r"\xff\n"));
    assert!(shown.count() >= 3, "{lines:#?}");
}

#[test]
fn what_waits_is_counted_where_it_waits() {
    let checkpoint = open(with(|process| {
        process
            .fd(3, Fd::pipe_reader(5).holding(b"seven b"))
            .fd(4, Fd::pipe_writer(5))
            .fd(5, Fd::unix(20, 21, "").holding(b"one").holding(b"three"))
            .fd(6, Fd::unix(21, 20, ""))
            .fd(7, Fd::tcp(0x30, ([10, 0, 0, 1], 80), ([10, 0, 0, 2], 4000)).holding(b"in").sending(b"out"))
    }));
    let files = Descriptors::collect(&checkpoint);
    assert_eq!(files.issues, []);
    let pending: Vec<_> = files
        .files
        .iter()
        .filter_map(|file| match &file.details {
            Some(Details::Pipe(pipe)) => Some((pipe.end, pipe.pending_bytes, pipe.capacity_bytes)),
            _ => None,
        })
        .collect();
    // Both ends are one pipe.
    assert_eq!(pending, [(Some("read"), Some(7), Some(65536)), (Some("write"), Some(7), Some(65536))]);
    let sockets = Sockets::collect(&checkpoint);
    assert_eq!(sockets.issues, []);
    let queues: Vec<_> = sockets
        .sockets
        .iter()
        .map(|held| {
            let socket = &held.socket;
            (socket.inode, socket.receive_queue_bytes, socket.receive_queue_packets, socket.send_queue_bytes)
        })
        .collect();
    let expected = [
        (Some(0x30), Some(2), None, Some(3)),
        (Some(20), Some(8), Some(2), None),
        (Some(21), Some(0), Some(0), None),
    ];
    for each in expected {
        assert!(queues.contains(&each), "{each:?}: {queues:?}");
    }
}

/// Another end that is nowhere, a queue of nothing, and files sent that are none.
#[test]
fn ids_that_lead_nowhere_are_told() {
    let set = with(|process| process.fd(3, Fd::unix(20, 999, "")));
    assert_eq!(Sockets::collect(&open(with(|process| process.fd(3, Fd::unix(20, 0, "x"))))).issues, []);
    let scm = Msg::new().uint(1, 1).uints(2, [777]);
    let packet = Msg::new().seq(1, [888, 1]).msgs(4, [scm]);
    let queues = ImageBuilder::of("SK_QUEUES").record(packet).payload(b"x").build();
    let report = Sockets::collect(&open(set.file("sk-queues.img", queues)));
    let told: Vec<(&str, &str)> =
        report.issues.iter().map(|issue| (issue.image.as_str(), issue.code)).collect();
    let expected = [
        ("sk-queues.img", "unknown-socket"),
        ("sk-queues.img", "unknown-file"),
        ("files.img", "unknown-peer"),
    ];
    assert_eq!(told, expected, "{:?}", report.issues);
    for (issue, id) in report.issues.iter().zip(["888", "777", "999"]) {
        assert!(issue.reason.ends_with(id), "{issue}");
    }
}

/// Connections without their state, unless CRIU was told to drop them.
#[test]
fn connections_without_their_state() {
    let tcp = |ino| Fd::tcp(ino, ([10, 0, 0, 1], 80), ([10, 0, 0, 2], 4000));
    let all = || {
        (0..40).fold(with(|process| process), |set, at| set.process(100 + at, 1, |it| it.fd(3, tcp(at + 1))))
    };
    assert_eq!(Sockets::collect(&open(all())).issues, []);
    let bare = (1..=40).fold(all(), |set, ino| set.without(&format!("tcp-stream-{ino:x}.img")));
    let issues = Sockets::collect(&open(bare.clone())).issues;
    assert_eq!(issues.len(), 17, "the first of them, and how many more");
    assert_eq!(issues[16].reason, "the state of 24 more connections is missing");
    let inventory = ImageBuilder::of("INVENTORY").record(Msg::new().uint(1, 2).bool(10, true)).build();
    assert_eq!(Sockets::collect(&open(bare.file("inventory.img", inventory))).issues, []);
}
