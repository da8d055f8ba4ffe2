//! Pairs that differ in one thing: that is found, and nothing else.

use ckx_core::Checkpoint;
use ckx_core::diff::{Diff, Options, Pattern};
use ckx_testkit::tarball::{Member, tar};
use ckx_testkit::{Arch, Fd, Process, SynthCheckpoint, presets};

use super::{compare, lines, open};

/// A program with two threads and a child.
pub fn base() -> SynthCheckpoint {
    made(|process| process, |child| child)
}

/// The same, changed.
pub fn made(
    parent: impl FnOnce(Process) -> Process,
    child: impl FnOnce(Process) -> Process,
) -> SynthCheckpoint {
    let usual = |process: Process| process.usual_memory().exe("/usr/bin/web").fd(0, Fd::reg("/dev/null", 2));
    SynthCheckpoint::new()
        .process(1, 0, |process| {
            let env = ["PATH=/usr/bin", "TOKEN=first"];
            parent(usual(process).comm("web").args(&["web", "-p", "80"]).env(&env).thread(2))
        })
        .process(7, 1, |process| child(usual(process).comm("worker").group(1, 1)))
}

pub fn checkpoint(synthetic: SynthCheckpoint) -> Checkpoint {
    with_files(synthetic, &[])
}

/// The same, with files beside the images.
pub fn with_files(synthetic: SynthCheckpoint, more: &[(&str, Vec<u8>)]) -> Checkpoint {
    let made = synthetic.build();
    let names: Vec<String> = made.files.iter().map(|(name, _)| format!("checkpoint/{name}")).collect();
    let files = made.files.iter().zip(&names).map(|((_, bytes), name)| (&name[..], Member::File(bytes)));
    let more = more.iter().map(|(name, bytes)| (*name, Member::File(bytes)));
    let members: Vec<_> =
        std::iter::once(("checkpoint/", Member::Directory)).chain(files).chain(more).collect();
    open("made", tar(&members))
}

fn diff(before: SynthCheckpoint, after: SynthCheckpoint) -> Diff {
    compare(&checkpoint(before), &checkpoint(after))
}

#[test]
fn nothing() {
    let diff = diff(base(), base());
    assert_eq!(lines(&diff), [] as [&str; 0]);
    assert_eq!(diff.issues, []);
    assert!(diff.same);
}

#[test]
fn one_change_in_one_change_out() {
    let keep = |process: Process| process;
    let heap = presets::layout(Arch::X86_64).heap;
    let cases: Vec<(SynthCheckpoint, &[&str])> = vec![
        (
            made(|process| process.exe("/usr/bin/other"), keep),
            &[
                "processes ~ proc[1].exe",
                // The path also stands on the stack.
                "auxv ~ proc[1].auxv[AT_EXECFN].value",
                "mappings ~ proc[1].map[0x558120000000]",
                "mappings ~ proc[1].map[0x558120010000]",
                "memory ~ proc[1].memory[0x7ffc00000000]",
            ],
        ),
        (made(|process| process.cwd("/srv"), keep), &["processes ~ proc[1].cwd"]),
        (made(keep, |child| child.group(7, 1)), &["processes ~ proc[7].pgid"]),
        (
            made(keep, |child| child.stopped(19)),
            &["processes ~ proc[7].state", "processes + proc[7].stop_signal"],
        ),
        (base().process(9, 7, |process| process.usual_memory()), &["processes + proc[9]"]),
        (made(|process| process.thread(3), keep), &["threads + proc[1].thread[3]"]),
        (made(|process| process.fd(9, Fd::eventfd(3)), keep), &["descriptors + proc[1].fd[9]"]),
        (
            made(|process| process.fd(9, Fd::tcp_listen(77, 8080)), keep),
            &["descriptors + proc[1].fd[9]", "sockets + socket[tcp 0.0.0.0:8080]"],
        ),
        (
            made(|process| process.pages(heap + 0x4000, b"news"), keep),
            &["memory ~ proc[1].memory[0x558130000000]"],
        ),
    ];
    for (after, expected) in cases {
        let found = diff(base(), after);
        assert_eq!(lines(&found), expected);
        assert_eq!(found.issues, []);
        assert!(!found.same);
    }
}

#[test]
fn another_user() {
    let found = diff(base(), made(|process| process.uid(33), |child| child));
    let numbers = ["uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid"];
    let told = lines(&found);
    for name in numbers.map(|name| format!("credentials ~ proc[1].credentials.{name}")) {
        assert!(told.contains(&name), "{name}");
    }
    // It has no capabilities either, each list of which is one change.
    assert!(told.contains(&"credentials ~ proc[1].credentials.cap_eff".to_owned()));
    let elsewhere = |line: &&String| {
        !["processes ~ proc[1].", "credentials ~ proc[1].", "auxv ~ proc[1].auxv[AT_"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    assert_eq!(told.iter().find(elsewhere), None);
}

#[test]
fn what_is_open_is_compared_by_number() {
    let with = |fd: Fd| made(move |process| process.fd(9, fd), |child| child);
    let tcp = |port| Fd::tcp(0x1a2c, ([127, 0, 0, 1], 80), ([127, 0, 0, 1], port));
    let cases = [
        (Fd::eventfd(3), Fd::eventfd(4), &["descriptors ~ proc[1].fd[9].efd.counter"][..]),
        (Fd::eventfd(3), Fd::eventfd(3).close_on_exec(), &["descriptors ~ proc[1].fd[9].close_on_exec"]),
        (
            Fd::reg("/a", 0),
            Fd::reg("/b", 0),
            &["descriptors ~ proc[1].fd[9].name", "descriptors ~ proc[1].fd[9].reg.path"],
        ),
        (Fd::reg("/a", 0), Fd::reg("/a", 1), &["descriptors ~ proc[1].fd[9].flags"]),
        // Numbers of the host are no difference.
        (Fd::tcp_listen(1, 80), Fd::tcp_listen(2, 80), &[]),
        (Fd::pipe_reader(1), Fd::pipe_reader(2), &[]),
        (
            tcp(4000),
            tcp(5000),
            &[
                "sockets - socket[tcp 127.0.0.1:80 127.0.0.1:4000]",
                "sockets + socket[tcp 127.0.0.1:80 127.0.0.1:5000]",
            ],
        ),
    ];
    for (before, after, expected) in cases {
        let found = diff(with(before.clone()), with(after.clone()));
        assert_eq!(lines(&found), expected, "{before:?} {after:?}");
        assert_eq!(found.issues, []);
    }
    // Bytes that wait.
    let holding = |bytes: &[u8]| with(tcp(4000).holding(bytes));
    let found = lines(&diff(holding(b"one"), holding(b"three")));
    assert!(
        found.contains(&"sockets ~ socket[tcp 127.0.0.1:80 127.0.0.1:4000].receive_queue_bytes".to_owned()),
        "{found:?}"
    );
}

/// As many bytes as before, but others.
#[test]
fn what_waits_is_compared_by_content() {
    let pair = |one: Fd, other: Fd| {
        let with = |fd: Fd| made(move |process| process.fd(9, fd), |child| child);
        lines(&diff(with(one), with(other)))
    };
    let tcp = || Fd::tcp(0x1a2c, ([127, 0, 0, 1], 80), ([127, 0, 0, 1], 4000));
    assert_eq!(
        pair(Fd::pipe_reader(1).holding(b"one"), Fd::pipe_reader(1).holding(b"two")),
        ["descriptors ~ proc[1].fd[9].pipe.content_xxh3"]
    );
    assert_eq!(
        pair(Fd::unix(7, 8, "").holding(b"one"), Fd::unix(7, 8, "").holding(b"two")),
        ["sockets ~ socket[unix 1/9].content_xxh3"]
    );
    assert_eq!(
        pair(tcp().holding(b"one"), tcp().holding(b"two")),
        ["sockets ~ socket[tcp 127.0.0.1:80 127.0.0.1:4000].content_xxh3"]
    );
    // In the numbers of another host.
    let same = pair(Fd::pipe_reader(1).holding(b"one"), Fd::pipe_reader(2).holding(b"one"));
    assert_eq!(same, [] as [&str; 0]);
}

#[test]
fn an_open_file_that_several_have_is_told_once() {
    let with = |flags| {
        let fd = move || Fd::reg("/log", flags).shared(5);
        made(move |process| process.fd(4, fd()).fd(5, fd()), move |child| child.fd(4, fd()))
    };
    assert_eq!(lines(&diff(with(0), with(1))), ["descriptors ~ proc[1].fd[4].flags"]);
}

#[test]
fn pages_are_counted() {
    let keep = |process: Process| process;
    let heap = presets::layout(Arch::X86_64).heap;
    let with = |pages: &[(u64, &'static [u8])]| {
        let pages = pages.to_vec();
        made(
            move |process| pages.iter().fold(process, |process, (at, bytes)| process.pages(heap + at, bytes)),
            keep,
        )
    };
    let before = with(&[(0x4000, b"old"), (0x8000, b"gone"), (0xa000, b"")]);
    let after = with(&[(0x4000, b"new"), (0x6000, b"added")]);
    let found = diff(before, after);
    let memory = found.changes[0].memory.as_ref().expect("memory");
    assert_eq!((memory.changed_pages, memory.added_pages, memory.removed_pages), (1, 1, 1));
    assert_eq!(memory.changed_bytes, Some(3));
    let ranges: Vec<_> =
        memory.ranges.iter().map(|range| (range.mark.sign(), range.start.0 - heap)).collect();
    assert_eq!(ranges, [("~", 0x4000), ("+", 0x6000), ("-", 0x8000)]);
}

#[test]
fn secrets_are_compared_and_not_told() {
    let keep = |process: Process| process;
    let after = || made(|process| process.env(&["PATH=/bin", "TOKEN=other"]), keep);
    let (a, b) = (checkpoint(base()), checkpoint(after()));
    let only = |reveal| {
        let options = Options { only: vec!["environment".to_owned()], reveal, ..Options::default() };
        serde_json::to_value(ckx_core::diff::compare(&a, &b, &options).changes).expect("JSON")
    };
    let expected = serde_json::json!([
        { "kind": "environment", "mark": "changed", "path": "proc[1].env.PATH", "before": "/usr/bin", "after": "/bin" },
        { "kind": "environment", "mark": "changed", "path": "proc[1].env.TOKEN", "redacted": true },
    ]);
    assert_eq!(only(false), expected);
    assert_eq!(only(true)[1]["after"], "other");
}

#[test]
fn processes_are_paired_by_place_and_on_request() {
    let worker = |process: Process| process.usual_memory().exe("/usr/bin/web").comm("worker").group(1, 1);
    let root = |process: Process| process.usual_memory().exe("/usr/bin/web").comm("web");
    let one = SynthCheckpoint::new().process(1, 0, root).process(7, 1, worker);
    let other = SynthCheckpoint::new().process(1, 0, root).process(12, 1, worker);
    // Registers of synthetic threads hold their ids.
    let without = || Options { without: vec!["threads".to_owned()], ..Options::default() };
    let pair = (checkpoint(one.clone()), checkpoint(other.clone()));
    let found = ckx_core::diff::compare(&pair.0, &pair.1, &without());
    assert_eq!(lines(&found), [] as [&str; 0], "the same worker, with another id");
    assert_eq!(
        found.pairs.iter().map(|pair| (pair.before, pair.after)).collect::<Vec<_>>(),
        [(1, 1), (7, 12)]
    );
    let two = other.process(13, 1, |process| worker(process).cwd("/srv"));
    let (a, b) = (checkpoint(one), checkpoint(two));
    let options = Options { pairs: vec![(7, 13)], ..without() };
    let found = ckx_core::diff::compare(&a, &b, &options);
    assert_eq!(lines(&found), ["processes ~ proc[7:13].cwd", "processes + proc[12]"]);
}

#[test]
fn what_is_ignored_is_not_told() {
    let keep = |process: Process| process;
    let after = made(|process| process.group(1, 5).cwd("/srv"), keep);
    let (a, b) = (checkpoint(base()), checkpoint(after));
    let with = |options: Options| lines(&ckx_core::diff::compare(&a, &b, &options));
    let ignore = |text: &str| Options { ignore: vec![Pattern::new(text)], ..Options::default() };
    assert_eq!(with(ignore("proc[*].sid")), ["processes ~ proc[1].cwd"]);
    assert_eq!(with(ignore("proc[1]")), [] as [&str; 0]);
    assert_eq!(
        with(Options { without: vec!["processes".to_owned()], ..Options::default() }),
        [] as [&str; 0]
    );
    assert_eq!(with(Options { only: vec!["processes".to_owned()], ..Options::default() }).len(), 2);
}

#[test]
fn what_is_damaged_is_no_difference() {
    let keep = |process: Process| process;
    for missing in [
        "core-7.img",
        "mm-7.img",
        "pagemap-7.img",
        "fs-7.img",
        "files.img",
        "core-2.img",
        "core-1.img",
        "ids-7.img",
        "ids-1.img",
    ] {
        let found = diff(base(), base().without(missing));
        assert!(lines(&found).is_empty(), "{missing}: {:?}", lines(&found));
        assert!(!found.issues.is_empty(), "{missing}");
    }
    // What is there beside it is still compared.
    let after = made(|process| process.cwd("/srv"), keep).without("core-7.img");
    assert_eq!(lines(&diff(base(), after)), ["processes ~ proc[1].cwd"]);
    let lazy = || made(|process| process.lazy(presets::layout(Arch::X86_64).heap + 0x4000, 2), keep);
    let found = diff(base(), lazy());
    assert_eq!(lines(&found), [] as [&str; 0]);
    assert_eq!(found.issues[0].issue.reason, "2 pages were not compared: 2 left on the dumping host");
}

#[test]
fn mappings_come_go_and_grow() {
    let keep = |process: Process| process;
    let at = 0x10_0000_0000;
    let with = |end: u64, prot: u64| made(move |process| process.vma(at, at + end, prot, 0x22, 0x201), keep);
    let place = "proc[1].map[0x1000000000]";
    let cases = [
        (base(), with(0x1000, 3), format!("mappings + {place}"), "none"),
        (with(0x1000, 3), base(), format!("mappings - {place}"), "none"),
        (with(0x1000, 3), with(0x3000, 3), format!("mappings ~ {place}"), "end"),
        (with(0x1000, 3), with(0x1000, 1), format!("mappings ~ {place}"), "permissions"),
    ];
    for (before, after, expected, field) in cases {
        let found = diff(before, after);
        assert_eq!(lines(&found), [expected]);
        let fields = found.changes[0].before.as_ref().zip(found.changes[0].after.as_ref());
        let names: Option<Vec<&String>> =
            fields.map(|(before, _)| before.as_object().expect("fields").keys().collect());
        assert_eq!(names.as_deref().unwrap_or(&[&"none".to_owned()]), [field]);
    }
}

#[test]
fn moved_programs_are_compared_when_asked() {
    let at = |start: u64, text: &'static [u8]| {
        made(
            move |process| {
                process.file_vma(start, start + 0x2000, 5, "/opt/plugin.so", 0x1000).pages(start, text)
            },
            |child| child,
        )
    };
    let (a, b) = (checkpoint(at(0x10_0000_0000, b"code")), checkpoint(at(0x20_0000_0000, b"code")));
    assert_eq!(
        lines(&compare(&a, &b)),
        [
            "mappings - proc[1].map[0x1000000000]",
            "mappings + proc[1].map[0x2000000000]",
            "memory - proc[1].memory[0x1000000000]",
            "memory + proc[1].memory[0x2000000000]",
        ]
    );
    let relocated = Options { relocated: true, ..Options::default() };
    assert_eq!(lines(&ckx_core::diff::compare(&a, &b, &relocated)), [] as [&str; 0]);
    let c = checkpoint(at(0x20_0000_0000, b"c0de"));
    let found = ckx_core::diff::compare(&a, &c, &relocated);
    assert_eq!(lines(&found), ["memory ~ proc[1].memory[0x1000000000]"]);
    assert_eq!(found.changes[0].remark.as_deref(), Some("code differs"));
}

#[test]
fn moved_mappings_are_compared_by_size_and_nameless_ones_by_neighbour_or_size() {
    const NAMELESS: u64 = 0x201;
    // A library with what the program loader puts behind it, and areas that stand alone.
    let at = |base: u64, library: u64, bss: u64, alone: &'static [u64]| {
        let build = move |mut process: Process| {
            let end = base + library;
            process = process.file_vma(base, end, 5, "/opt/plugin.so", 0);
            process = process.vma(end, end + bss, 3, 0x22, NAMELESS);
            let mut start = base + 0x1000_0000;
            for size in alone {
                process = process.vma(start, start + size, 3, 0x22, NAMELESS);
                start += 0x100_0000;
            }
            process
        };
        checkpoint(made(build, |child| child))
    };
    let relocated = |a: &Checkpoint, b: &Checkpoint| {
        let options = Options { relocated: true, only: vec!["mappings".to_owned()], ..Options::default() };
        ckx_core::diff::compare(a, b, &options)
    };
    let (low, high) = (0x10_0000_0000, 0x20_0000_0000);
    let a = at(low, 0x2000, 0x1000, &[0x5000, 0x7000]);
    assert_eq!(lines(&relocated(&a, &at(high, 0x2000, 0x1000, &[0x5000, 0x7000]))), [] as [&str; 0]);
    let grown = relocated(&a, &at(high, 0x3000, 0x1000, &[0x5000, 0x7000]));
    assert_eq!(lines(&grown), ["mappings ~ proc[1].map[0x1000000000]"]);
    assert_eq!(grown.changes[0].before, Some(serde_json::json!({ "size_bytes": 0x2000 })));
    assert_eq!(grown.changes[0].after, Some(serde_json::json!({ "size_bytes": 0x3000 })));
    let neighbour = relocated(&a, &at(high, 0x2000, 0x4000, &[0x5000, 0x7000]));
    assert_eq!(lines(&neighbour), ["mappings ~ proc[1].map[0x1000002000]"]);
    // The second of those that stand alone is still itself when the first is gone.
    let gone = relocated(&a, &at(high, 0x2000, 0x1000, &[0x7000]));
    assert_eq!(lines(&gone), ["mappings - proc[1].map[0x1010000000]"]);
    let other = relocated(&a, &at(high, 0x2000, 0x1000, &[0x5000, 0x9000]));
    assert_eq!(
        lines(&other),
        ["mappings - proc[1].map[0x1011000000]", "mappings + proc[1].map[0x2011000000]"]
    );
}

#[test]
fn files_are_compared_one_by_one() {
    let archive = |files: &[(&str, Member<'_>)]| tar(files);
    let before = archive(&[
        ("etc/", Member::Directory),
        ("etc/same", Member::File(b"same")),
        ("etc/changed", Member::File(b"one")),
        ("etc/gone", Member::File(b"x")),
        ("link", Member::Link("a")),
    ]);
    let after = archive(&[
        ("etc/", Member::Directory),
        ("etc/same", Member::File(b"same")),
        ("etc/changed", Member::File(b"two")),
        ("etc/new", Member::Fifo),
        ("link", Member::Link("b")),
    ]);
    let expected = ["~ X[/etc/changed]", "- X[/etc/gone]", "+ X[/etc/new]", "~ X[/link]"];
    for (member, kind, called) in [
        ("rootfs-diff.tar", "rootfs", "rootfs"),
        ("volumes/data.tar", "volumes", "volume data"),
        ("devshm-checkpoint.tar", "tmpfs", "tmpfs /dev/shm"),
    ] {
        let gzip = ckx_testkit::tarball::gzip(&after);
        for after in [after.clone(), gzip] {
            let a = with_files(base(), &[(member, before.clone())]);
            let b = with_files(base(), &[(member, after)]);
            let expected = expected.map(|line| format!("{kind} {}", line.replace('X', called)));
            let found = compare(&a, &b);
            assert_eq!(lines(&found), expected);
            assert_eq!(found.issues, []);
        }
    }
    let broken = with_files(base(), &[("rootfs-diff.tar", b"no tar at all".repeat(100))]);
    let found = compare(&broken, &with_files(base(), &[("rootfs-diff.tar", after)]));
    assert_eq!(lines(&found), [] as [&str; 0]);
    assert!(!found.issues.is_empty(), "it is told");
}

#[test]
fn what_the_engine_says_is_compared_by_path() {
    let with = |spec: &str, log: &str| {
        with_files(base(), &[("spec.dump", spec.into()), ("ctr.log", log.into()), ("dump.log", log.into())])
    };
    let a = with(
        r#"{"process": {"cwd": "/", "env": ["A=1", "TOKEN=x"]}, "mounts": [{"destination": "/proc", "type": "proc"}]}"#,
        "one\n",
    );
    let b = with(r#"{"process": {"cwd": "/srv", "env": ["A=2", "TOKEN=y"]}, "mounts": []}"#, "one\ntwo\n");
    let found = compare(&a, &b);
    assert_eq!(
        lines(&found),
        [
            "container - spec.dump.mounts[/proc]",
            "container ~ spec.dump.process.cwd",
            "container ~ spec.dump.process.env.A",
            "container ~ spec.dump.process.env.TOKEN",
            "logs ~ log[ctr.log]",
        ]
    );
    assert!(found.changes[3].redacted);
    let of_dump: Vec<&str> =
        found.changes.iter().filter(|change| change.of_dump).map(|change| &change.path[..]).collect();
    assert_eq!(of_dump, ["log[dump.log]"]);
    let broken = with("{", "one\n");
    let found = compare(&a, &broken);
    assert_eq!(lines(&found), [] as [&str; 0]);
    assert_eq!(found.issues[0].issue.code, "bad-json");
}

/// A shipped image, with one text in it replaced by another of the same length.
pub fn image(name: &str, old: &[u8], new: &[u8]) -> Vec<u8> {
    let path = format!("{}/../../fixtures/images/ns-link-ghost/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = std::fs::read(&path).expect("the fixture is there");
    assert_eq!(old.len(), new.len());
    let at = bytes.windows(old.len()).position(|window| window == old).expect("the text is in it");
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn images_are_compared_by_what_they_say() {
    type Case<'c> = (&'c str, &'c [u8], &'c [u8], &'c [&'c str]);
    let cases: [Case<'_>; 3] = [
        ("netdev-10.img", b"lo", b"l1", &["network - device[lo]", "network + device[l1]"]),
        ("mountpoints-14.img", b"zdtm_run", b"zdtm_ran", &["mounts ~ mount[/run].source"]),
        ("nftables-10.img", b"accept", b"reject", &["network ~ nftables"]),
    ];
    for (name, old, new, expected) in cases {
        let with = |new: &[u8]| checkpoint(base().file(name, image(name, old, new)));
        let (a, b) = (with(old), with(new));
        assert_eq!(lines(&compare(&a, &a)), [] as [&str; 0], "{name}");
        let found = compare(&a, &b);
        assert_eq!(lines(&found), expected, "{name}");
        assert_eq!(found.issues, [], "{name}");
        if name.starts_with("nft") {
            continue;
        }
        let broken = checkpoint(base().file(name, image(name, old, old)[..9].to_vec()));
        let found = compare(&a, &broken);
        assert_eq!(lines(&found), [] as [&str; 0], "{name}");
        assert!(!found.issues.is_empty(), "{name}");
    }
}

#[test]
fn what_belongs_to_the_dump_is_told_apart() {
    let with = |version: u64| {
        let inventory = ckx_testkit::ImageBuilder::of("INVENTORY");
        let message = ckx_testkit::Msg::new().uint(1, 2).uint(2, version);
        checkpoint(base().file("inventory.img", inventory.record(message).build()))
    };
    let (a, b) = (with(0), with(1));
    let found = compare(&a, &b);
    assert!(found.same && lines(&found).is_empty());
    let kind = found.kinds.iter().find(|kind| kind.kind == "inventory").expect("a kind");
    assert_eq!((kind.of_dump, kind.total()), (1, 0));
    for options in [
        Options { with_dump: true, ..Options::default() },
        Options { only: vec!["inventory".to_owned()], ..Options::default() },
    ] {
        let found = ckx_core::diff::compare(&a, &b, &options);
        assert!(!found.same);
        assert_eq!(lines(&found), ["inventory ~ inventory.fdinfo_per_id"]);
    }
}
