//! A pair for each kind of comparison: one change in, that change out, and nothing else.

use ckx_core::Checkpoint;
use ckx_core::diff::{DIFFS, Options};
use ckx_criu::typed::messages::{CoreEntry, MmEntry, TaskKobjIdsEntry};
use ckx_testkit::tarball::{Member, tar};
use ckx_testkit::{Fd, ImageBuilder, Msg, SynthCheckpoint, presets};
use prost::Message;

use super::lines;
use super::synthetic::{base, checkpoint, image, made, with_files};

/// A checkpoint with an image of one record changed.
fn edited<M: Message + Default>(set: SynthCheckpoint, name: &str, edit: impl FnOnce(&mut M)) -> Checkpoint {
    let bytes = set.clone().build().get(name).expect("the image is there").to_vec();
    // Two magic words and a length.
    let (head, record) = bytes.split_at(12);
    let mut message = M::decode(record).expect("a record");
    edit(&mut message);
    let record = message.encode_to_vec();
    let len = u32::try_from(record.len()).expect("small").to_le_bytes();
    checkpoint(set.file(name, [&head[..8], &len, &record].concat()))
}

fn core(edit: impl FnOnce(&mut CoreEntry)) -> Checkpoint {
    edited(base(), "core-7.img", edit)
}

fn with(name: &str, row: &str, record: Msg, payload: &[u8]) -> Checkpoint {
    let image = ImageBuilder::of(row).record(record);
    let image = if payload.is_empty() { image } else { image.payload(payload) };
    checkpoint(base().file(name, image.build()))
}

fn document(name: &str, text: &str) -> Checkpoint {
    with_files(base(), &[(name, text.into())])
}

fn inner(name: &str, text: &[u8]) -> Checkpoint {
    with_files(base(), &[(name, tar(&[("x", Member::File(text))]))])
}

/// A process with another member of this name.
fn parent(change: impl FnOnce(ckx_testkit::Process) -> ckx_testkit::Process) -> Checkpoint {
    checkpoint(made(change, |child| child))
}

struct Case {
    kind: &'static str,
    before: Checkpoint,
    after: Checkpoint,
    expected: &'static [&'static str],
}

fn case(
    kind: &'static str,
    (before, after): (Checkpoint, Checkpoint),
    expected: &'static [&'static str],
) -> Case {
    Case { kind, before, after, expected }
}

fn same() -> Checkpoint {
    checkpoint(base())
}

/// What processes are.
fn of_processes() -> Vec<Case> {
    let thread = |core: &mut CoreEntry| core.thread_core.clone().expect("its thread");
    vec![
        case("processes", (same(), parent(|process| process.cwd("/srv"))), &["processes ~ proc[1].cwd"]),
        case(
            "threads",
            (
                same(),
                core(|core| {
                    core.thread_core = Some(ckx_criu::typed::messages::ThreadCoreEntry {
                        sched_nice: Some(5),
                        ..thread(core)
                    });
                }),
            ),
            &["threads ~ proc[7].thread[7].sched.nice"],
        ),
        case(
            "arguments",
            (same(), parent(|process| process.args(&["web", "-p", "81"]))),
            // They lie on the stack.
            &["arguments ~ proc[1].cmdline", "memory ~ proc[1].memory[0x7ffc00000000]"],
        ),
        case(
            "environment",
            (same(), parent(|process| process.env(&["PATH=/usr/sbi", "TOKEN=first"]))),
            &["environment ~ proc[1].env.PATH", "memory ~ proc[1].memory[0x7ffc00000000]"],
        ),
        case(
            "credentials",
            (
                same(),
                core(|core| {
                    let mut changed = thread(core);
                    changed.creds.as_mut().expect("its user").egid = 33;
                    core.thread_core = Some(changed);
                }),
            ),
            &["credentials ~ proc[7].credentials.egid"],
        ),
        case(
            "limits",
            (
                same(),
                core(|core| {
                    let task = core.tc.as_mut().expect("its task");
                    task.rlimits.as_mut().expect("limits").rlimits[7].cur = 4096;
                }),
            ),
            &["limits ~ proc[7].limits[Max open files].soft"],
        ),
        case(
            "threads",
            (
                same(),
                core(|core| {
                    let mut changed = thread(core);
                    changed.blk_sigset = Some(1 << 9);
                    core.thread_core = Some(changed);
                }),
            ),
            &["threads ~ proc[7].thread[7].blocked"],
        ),
        case(
            "signals",
            (same(), core(|core| core.tc.as_mut().expect("its task").sigactions[9].sigaction = 1)),
            &["signals + proc[7].sigaction[SIGSEGV]"],
        ),
        case(
            "timers",
            (
                same(),
                core(|core| {
                    let task = core.tc.as_mut().expect("its task");
                    task.timers.as_mut().expect("timers").real.isec = 3;
                }),
            ),
            &["timers + proc[7]"],
        ),
        case(
            "auxv",
            (
                same(),
                edited::<MmEntry>(base(), "mm-7.img", |mm| {
                    let at = mm.mm_saved_auxv.chunks(2).position(|pair| pair[0] == 17).expect("a clock");
                    mm.mm_saved_auxv[2 * at + 1] = 250;
                }),
            ),
            &["auxv ~ proc[7].auxv[AT_CLKTCK].value"],
        ),
        case(
            "seccomp",
            (
                same(),
                core(|core| {
                    let mut changed = thread(core);
                    changed.seccomp_mode = Some(1);
                    core.thread_core = Some(changed);
                }),
            ),
            &["seccomp + proc[7]"],
        ),
    ]
}

/// What processes use.
fn of_resources() -> Vec<Case> {
    let own = |name: &str| {
        let set = ["1", "7"].iter().fold(base(), |set, pid| {
            let image = format!("ids-{pid}.img");
            let bytes = set.clone().build().get(&image).expect("ids").to_vec();
            let mut ids = TaskKobjIdsEntry::decode(&bytes[12..]).expect("a record");
            ids.uts_ns_id = Some(44);
            let record = ids.encode_to_vec();
            let len = u32::try_from(record.len()).expect("small").to_le_bytes();
            set.file(&image, [&bytes[..8], &len, &record].concat())
        });
        let uts = Msg::new().text(1, name).text(2, "(none)");
        checkpoint(set.file("utsns-44.img", ImageBuilder::of("UTSNS").record(uts).build()))
    };
    let limit = |text: &str| {
        let property = Msg::new().text(1, "memory.max").text(2, text);
        let directory = Msg::new().text(1, "/web").msgs(3, [property]);
        let controller = Msg::new().text(1, "").msgs(2, [directory]);
        with("cgroup.img", "CGROUP", Msg::new().msgs(2, [controller]), b"")
    };
    let lock = |kind: u64| {
        let set = made(|process| process.fd(9, Fd::reg("/data/x", 2)), |child| child);
        let lock = Msg::new().seq(1, [1, kind, 1, 9, 100, 10]);
        checkpoint(set.file("filelocks.img", ImageBuilder::of("FILE_LOCKS").record(lock).build()))
    };
    let semaphore = |value: u8| {
        let set = Msg::new().msg(1, ckx_testkit::parts::ipc_desc(77, 3)).uint(2, 2);
        with("ipcns-sem-11.img", "IPCNS_SEM", set, &[1, 0, value, 0, 0, 0, 0, 0])
    };
    let heap = presets::layout(ckx_testkit::Arch::X86_64).heap;
    let at = 0x10_0000_0000;
    let of = |name: &str, old: &[u8], new: &[u8]| {
        (
            checkpoint(base().file(name, image(name, old, old))),
            checkpoint(base().file(name, image(name, old, new))),
        )
    };
    vec![
        case("namespaces", (own("one"), own("two")), &["namespaces ~ namespace[uts 1].nodename"]),
        case(
            "cgroups",
            (limit("max"), limit("4096")),
            &["cgroups ~ cgroup[].directories[/web].properties[memory.max].value"],
        ),
        case(
            "descriptors",
            (
                parent(|process| process.fd(9, Fd::eventfd(3))),
                parent(|process| process.fd(9, Fd::eventfd(4))),
            ),
            &["descriptors ~ proc[1].fd[9].efd.counter"],
        ),
        case(
            "sockets",
            (
                parent(|process| process.fd(9, Fd::unix(7, 8, "").holding(b"one"))),
                parent(|process| process.fd(9, Fd::unix(7, 8, "").holding(b"two"))),
            ),
            &["sockets ~ socket[unix 1/9].content_xxh3"],
        ),
        case("locks", (lock(0), lock(1)), &["locks ~ lock[1 /data/x 100].type"]),
        case("mounts", of("mountpoints-14.img", b"zdtm_run", b"zdtm_ran"), &["mounts ~ mount[/run].source"]),
        case("ipc", (semaphore(1), semaphore(2)), &["ipc ~ sem[77 3].extra"]),
        case("network", of("nftables-10.img", b"accept", b"reject"), &["network ~ nftables"]),
        case(
            "mappings",
            (same(), parent(|process| process.vma(at, at + 0x1000, 3, 0x22, 0x201))),
            &["mappings + proc[1].map[0x1000000000]"],
        ),
        case(
            "memory",
            (same(), parent(|process| process.pages(heap + 0x4000, b"news"))),
            &["memory ~ proc[1].memory[0x558130000000]"],
        ),
    ]
}

/// What lies beside the images, and what is of the dump.
fn of_the_archive() -> Vec<Case> {
    let stats = |time: u64| {
        let stats = Msg::new().seq(1, [time, 2, 3, 4, 5, 6, 7]);
        with("stats-dump", "STATS", Msg::new().msg(1, stats), b"")
    };
    let inventory =
        |version: u64| with("inventory.img", "INVENTORY", Msg::new().uint(1, 2).uint(2, version), b"");
    vec![
        case(
            "container",
            (
                document("spec.dump", r#"{"process":{"cwd":"/"}}"#),
                document("spec.dump", r#"{"process":{"cwd":"/srv"}}"#),
            ),
            &["container ~ spec.dump.process.cwd"],
        ),
        case(
            "rootfs",
            (inner("rootfs-diff.tar", b"one"), inner("rootfs-diff.tar", b"two")),
            &["rootfs ~ rootfs[/x]"],
        ),
        case(
            "tmpfs",
            (inner("devshm-checkpoint.tar", b"one"), inner("devshm-checkpoint.tar", b"two")),
            &["tmpfs ~ tmpfs /dev/shm[/x]"],
        ),
        case(
            "volumes",
            (inner("volumes/data.tar", b"one"), inner("volumes/data.tar", b"two")),
            &["volumes ~ volume data[/x]"],
        ),
        case("logs", (document("ctr.log", "a\n"), document("ctr.log", "a\nb\n")), &["logs ~ log[ctr.log]"]),
        case("inventory", (inventory(0), inventory(1)), &["inventory ~ inventory.fdinfo_per_id"]),
        case("statistics", (stats(1), stats(2)), &["statistics ~ stats-dump.dump.freezing_time"]),
    ]
}

#[test]
fn one_change_of_each_kind() {
    let all: Vec<Case> = [of_processes(), of_resources(), of_the_archive()].into_iter().flatten().collect();
    for Case { kind, before, after, expected } in &all {
        // What is of the dump counts only where it is asked for.
        let only =
            if matches!(*kind, "inventory" | "statistics") { vec![(*kind).to_owned()] } else { vec![] };
        let options = Options { only, ..Options::default() };
        let compare = |a, b| ckx_core::diff::compare(a, b, &options);
        let found = compare(before, after);
        assert_eq!(lines(&found), *expected, "{kind}: {:#?}", found.changes);
        assert!(!found.same, "{kind}");
        let back: Vec<String> = lines(&compare(after, before));
        let turned = |line: &&str| line.replace(" + ", " - ");
        assert_eq!(back, expected.iter().map(turned).collect::<Vec<_>>(), "{kind}, the other way");
        for side in [before, after] {
            let found = compare(side, side);
            assert!(found.same && lines(&found).is_empty(), "{kind}: {:?}", lines(&found));
        }
    }
    for row in DIFFS {
        assert!(all.iter().any(|case| case.kind == row.name), "no pair for {}", row.name);
    }
}

/// A tar in a compressed source that is too large to be kept: its files are read in another pass. A pipe has
/// none, and that is told.
#[test]
fn files_of_large_inner_tars_are_compared_by_content() {
    let packed = |text: &[u8]| {
        let mut content = vec![7u8; 6 << 20];
        content[5 << 20..][..text.len()].copy_from_slice(text);
        let files = tar(&[("big", Member::File(&content)), ("small", Member::File(b"same"))]);
        let made = base().build();
        let images = made.files.iter().map(|(name, bytes)| (format!("checkpoint/{name}"), bytes));
        let images: Vec<_> = images.collect();
        let mut all: Vec<_> =
            images.iter().map(|(name, bytes)| (name.as_str(), Member::File(bytes.as_slice()))).collect();
        all.push(("rootfs-diff.tar", Member::File(&files)));
        tar(&all)
    };
    let zstd = |tar: Vec<u8>| super::open("zstd", zstd::encode_all(&tar[..], 1).expect("zstd"));
    let plain = super::open("plain", packed(b"one"));
    let found = super::compare(&plain, &zstd(packed(b"one")));
    assert_eq!((lines(&found), found.issues), (vec![], vec![]));
    for (a, b) in [(&plain, &zstd(packed(b"two"))), (&zstd(packed(b"two")), &plain)] {
        let found = super::compare(a, b);
        assert_eq!(lines(&found), ["rootfs ~ rootfs[/big]"]);
        assert_eq!(found.issues, []);
        assert!(found.changes[0].after.as_ref().is_some_and(|after| after.get("content_xxh3").is_some()));
    }
    let piped = ckx_archive::Archive::from_stream(
        std::path::Path::new("-"),
        &packed(b"two")[..],
        &mut ckx_core::Wanted::default(),
        ckx_archive::Options::default(),
    );
    let piped = Checkpoint::from_archive(piped.expect("a tar"), ckx_core::Options::default());
    let only = Options { only: vec!["rootfs".to_owned()], ..Options::default() };
    let found = ckx_core::diff::compare(&plain, &piped, &only);
    assert_eq!(lines(&found), [] as [&str; 0]);
    let told: Vec<String> = found.issues.iter().map(|issue| issue.issue.to_string()).collect();
    assert!(told[0].starts_with("rootfs-diff.tar: contents of 2 files were not compared"), "{told:?}");
}
