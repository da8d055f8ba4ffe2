//! Memory stays bounded: the command runs under a limit that the kernel enforces.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Output};

use ckx_testkit::tarball::{Member, tar};
use ckx_testkit::{ImageBuilder, Msg, SynthCheckpoint};

const PAGES: u64 = (4 << 30) / 4096;

/// Runs `ckx` with at most this much anonymous memory (`RLIMIT_DATA` counts private writable
/// mappings and the heap). Output goes nowhere.
fn limited(mebibytes: u64, arguments: &str, directory: &Path) -> Output {
    let script = format!("ulimit -d {} && exec \"$CKX\" {arguments} > /dev/null", mebibytes << 10);
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(directory).env("CKX", env!("CARGO_BIN_EXE_ckx"));
    command.output().expect("sh runs")
}

/// A directory of a process with 4 GiB of memory, each page a run of its own: the pages file is
/// sparse, the page map has a million entries.
fn large_dump(directory: &Path) {
    let pages = File::create(directory.join("pages-1.img")).expect("a file");
    pages.set_len(PAGES * 4096).expect("a sparse file");
    let head = ImageBuilder::of("PAGEMAP").record(Msg::new().uint(1, 1)).build();
    let mut map = BufWriter::new(File::create(directory.join("pagemap-1.img")).expect("a file"));
    map.write_all(&head).expect("room");
    for page in 0..PAGES {
        let entry = Msg::new().uint(1, 0x10_0000_0000 + page * 8192).uint(2, 0).uint(4, 6).uint(5, 1);
        map.write_all(&(entry.len() as u32).to_le_bytes()).expect("room");
        map.write_all(entry.as_bytes()).expect("room");
    }
    map.into_inner().expect("room");
}

#[test]
fn a_dump_of_4_gib_is_decoded_below_64_mib() {
    let place = tempfile::tempdir().expect("a folder");
    large_dump(place.path());
    assert!(fs::metadata(place.path().join("pagemap-1.img")).expect("there").len() > 17_000_000);
    for arguments in ["decode .", "decode --jsonl .", "decode --pretty pagemap-1.img", "info ."] {
        let output = limited(64, arguments, place.path());
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // The limit is one: with less, nothing starts.
    assert!(!limited(0, "info .", place.path()).status.success());
}

/// Lengths that nothing backs cost nothing.
#[test]
fn lengths_are_not_trusted() {
    let place = tempfile::tempdir().expect("a folder");
    let huge = u64::from(u32::MAX);
    let cases = [
        ("pstree.img", ImageBuilder::of("PSTREE").sized(0xffff_fff0, Msg::new().uint(1, 1))),
        (
            "pipes-data.img",
            ImageBuilder::of("PIPES_DATA").record(Msg::new().uint(1, 1).uint(2, huge).uint(3, 4096)),
        ),
        ("sk-queues.img", ImageBuilder::of("SK_QUEUES").record(Msg::new().uint(1, 1).uint(2, huge))),
        ("tcp-stream-1.img", ImageBuilder::of("TCP_STREAM").record(Msg::new().uint(1, huge).uint(3, huge))),
        ("ipcns-sem-1.img", ImageBuilder::of("IPCNS_SEM").record(Msg::new().uint(2, huge))),
        ("ipcns-msg-1.img", ImageBuilder::of("IPCNS_MSG").record(Msg::new().uint(3, huge))),
    ];
    for (name, image) in cases {
        fs::write(place.path().join(name), image.build()).expect("room");
        let output = limited(16, &format!("decode {name}"), place.path());
        assert_eq!(output.status.code(), Some(3), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A checkpoint of a process with 512 MiB, each page a run of its own; the last page holds `text`.
fn large_checkpoint(directory: &Path, text: &[u8]) {
    const PAGES: u64 = (512 << 20) / 4096;
    const START: u64 = 0x10_0000_0000;
    let made = SynthCheckpoint::new()
        .process(1, 0, |process| process.vma(START, START + PAGES * 8192, 3, 0x22, 0x201))
        .build();
    made.write_to(directory).expect("room");
    let map = fs::read(directory.join("pagemap-1.img")).expect("a map");
    let head = u32::from_le_bytes(map[8..12].try_into().expect("four bytes")) as usize;
    let mut map = BufWriter::new(File::create(directory.join("pagemap-1.img")).expect("a file"));
    map.write_all(&made.get("pagemap-1.img").expect("a map")[..12 + head]).expect("room");
    for page in 0..PAGES {
        let entry = Msg::new().uint(1, START + page * 8192).uint(2, 0).uint(4, 4).uint(5, 1);
        map.write_all(&(entry.len() as u32).to_le_bytes()).expect("room");
        map.write_all(entry.as_bytes()).expect("room");
    }
    map.into_inner().expect("room");
    let pages = File::create(directory.join("pages-1.img")).expect("a file");
    pages.write_all_at(text, (PAGES - 1) * 4096).expect("room");
    pages.set_len(PAGES * 4096).expect("a sparse file");
}

#[test]
fn large_checkpoints_are_compared_below_128_mib() {
    let place = tempfile::tempdir().expect("a folder");
    for (name, text) in [("a", b"one"), ("b", b"two")] {
        fs::create_dir(place.path().join(name)).expect("a folder");
        large_checkpoint(&place.path().join(name), text);
    }
    let output = limited(128, "diff a b", place.path());
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let output =
        Command::new(env!("CARGO_BIN_EXE_ckx")).args(["diff", "a", "b"]).current_dir(place.path()).output();
    let text = String::from_utf8_lossy(&output.expect("ckx runs").stdout).into_owned();
    assert!(text.contains("rw-p anonymous: 1 page changed (3 bytes)"), "{text}");
}

/// A pipe comes once: of few pages the bytes are kept, of many their hashes.
#[test]
fn pipes_are_compared_page_by_page() {
    let place = tempfile::tempdir().expect("a folder");
    for (size, expected) in
        [(1 << 20, "1 page changed (3 bytes)"), (80 << 20, "1 page changed (bytes not counted)")]
    {
        for (name, text) in [("a.tar", b"one"), ("b.tar", b"two")] {
            const START: u64 = 0x10_0000_0000;
            let mut memory = vec![7; size];
            memory[size / 2..][..3].copy_from_slice(text);
            let made = SynthCheckpoint::new().process(1, 0, |process| {
                process.vma(START, START + size as u64, 3, 0x22, 0x201).pages(START, &memory)
            });
            let made = made.build();
            let members: Vec<_> =
                made.files.iter().map(|(name, bytes)| (&name[..], Member::File(bytes))).collect();
            fs::write(place.path().join(name), tar(&members)).expect("room");
        }
        let output = limited(128, "diff - b.tar < a.tar", place.path());
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        let script = "cat a.tar | \"$CKX\" diff --only memory - b.tar";
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(place.path()).env("CKX", env!("CARGO_BIN_EXE_ckx"));
        let text = String::from_utf8_lossy(&command.output().expect("sh runs").stdout).into_owned();
        assert!(text.contains(&format!("rw-p anonymous: {expected}\n")), "{text}");
        assert!(!text.contains("warnings"), "{text}");
    }
}
