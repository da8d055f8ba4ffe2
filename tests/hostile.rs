//! Hostile archives: the command ends soon, in bounded memory, and writes nothing that a terminal would
//! take for a command, nor anything elsewhere.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use ckx_testkit::{Arch, Fd, presets};

/// More than any of these runs needs, even on a busy machine; without bounds they would not end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `ckx` with at most 128 MiB of anonymous memory.
fn ckx(directory: &Path, arguments: &str) -> Output {
    let script = format!("ulimit -d {} && exec \"$CKX\" {arguments}", 128 << 10);
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(directory).env("CKX", env!("CARGO_BIN_EXE_ckx"));
    let start = Instant::now();
    let output = command.output().expect("sh runs");
    assert!(start.elapsed() < PATIENCE, "{arguments}: {:?}", start.elapsed());
    let code = output.status.code();
    assert!(
        matches!(code, Some(0 | 2 | 3)),
        "{arguments}: {code:?} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Whether a text is safe for a terminal.
fn assert_clean(text: &[u8], what: &str) {
    let text = std::str::from_utf8(text).unwrap_or_else(|error| panic!("{what}: {error}"));
    let bad = text.chars().find(|char| char.is_control() && *char != '\n');
    assert!(bad.is_none(), "{what}: {bad:?}");
}

/// A member of a tar with any name, kind and size field.
fn member(name: &[u8], kind: u8, link: &[u8], size: &[u8; 12], data: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(size);
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut out = header.to_vec();
    out.extend(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn file(name: &[u8], data: &[u8]) -> Vec<u8> {
    let size = format!("{:011o}\0", data.len());
    member(name, b'0', b"", size.as_bytes().try_into().expect("12 bytes"), data)
}

/// A good checkpoint in front, so that there is something to tell.
fn good() -> Vec<u8> {
    let files = presets::web(Arch::X86_64).build().files;
    files.iter().flat_map(|(name, bytes)| file(format!("checkpoint/{name}").as_bytes(), bytes)).collect()
}

fn commands(directory: &Path, archive: &str) {
    for arguments in
        ["inspect --all --no-pager", "inspect --all --json", "ls", "ls --json", "list", "list --json"]
    {
        let output = ckx(directory, &format!("{arguments} {archive}"));
        assert_clean(&output.stderr, arguments);
        assert_clean(&output.stdout, arguments);
    }
}

#[test]
fn escape_codes_in_names_and_documents() {
    let place = tempfile::tempdir().expect("a directory");
    let mut tar = good();
    let evil = b"\x1b]0;owned\x07\x1b[2J\r\xc2\x9b31m\xff\n";
    tar.extend(file(&[b"checkpoint/", &evil[..], b".img"].concat(), b"x"));
    tar.extend(file(&[b"volumes/", &evil[..], b".tar"].concat(), &file(evil, b"x")));
    tar.extend(member(evil, b'2', evil, b"00000000000\0", b""));
    tar.extend(file(b"ctr.log", &[b"2026-01-01T00:00:00Z stderr F ", &evil[..]].concat()));
    let json = r#"{"id":"\u001b[31m","name":"\u0007\u009b","rootfsImageName":"\u001b]0;x\u0007","createdTime":"\u001b"}"#;
    tar.extend(file(b"config.dump", json.as_bytes()));
    let json = r#"{"hostname":"\u001b[2J","process":{"args":["\u001b[31m"],"env":["\u001b=\u001b"]},"annotations":{"io.container.manager":"libpod\u001b"},"mounts":[{"destination":"/\u001b"}]}"#;
    tar.extend(file(b"spec.dump", json.as_bytes()));
    tar.extend(file(b"deleted.files", b"[\"/\\u001b[31m\"]"));
    tar.extend(file(b"dump.log", &[b"(00.000001) Error (x.c:1): ", &evil[..]].concat()));
    fs::write(place.path().join("a.tar"), tar).expect("room");
    commands(place.path(), "a.tar");
    let text = ckx(place.path(), "inspect --all --no-pager a.tar").stdout;
    assert!(String::from_utf8_lossy(&text).contains(r"\x1b"), "nothing was escaped");
}

/// What processes call their files, sockets, devices and themselves.
#[test]
fn escape_codes_in_images() {
    use ckx_testkit::{FdType, Msg, SynthCheckpoint, files, parts};
    let evil = b"/\x1b]0;owned\x07\x1b[2J\r\xc2\x9b31m\xff\n";
    let text = "\u{1b}[31m\u{9b}0m\u{7}";
    let process = |process: ckx_testkit::Process| {
        process
            .usual_memory()
            .comm(&evil[..15])
            .exe(evil)
            .cwd(evil)
            .args(&[evil])
            .env(&[&[&evil[..], b"=", evil].concat()])
            .file_vma(0x10_0000_0000, 0x10_0000_1000, 5, evil, 0)
            .fd(0, Fd::reg(evil, 2))
            .fd(1, Fd::fifo(7, evil))
            .fd(2, Fd::unix(8, 0, [evil, &b"\0"[..]].concat()))
            .fd(3, Fd::unix(9, 8, [b"\0", &evil[..]].concat()))
            .fd(4, Fd::tty(99, evil))
            .fd(5, Fd::new(FdType::Tunf, files::tun(0, text)))
            .fd(6, Fd::new(FdType::Bpfmap, files::bpfmap(0, 5, text)))
            .fd(7, Fd::new(FdType::Memfd, files::memfd(0, 2, 55)))
            .fd(8, {
                let watch = files::inotify_wd(0, 1, 77).msg(7, parts::fh(Some(evil)));
                Fd::new(FdType::Inotify, files::inotify(0, [watch]))
            })
    };
    let memfd = ckx_testkit::ImageBuilder::of("MEMFD_INODE").record(files::memfd_inode(evil, 4096, 3, 55));
    let names = Msg::new().text(1, text).text(2, text);
    let uts = ckx_testkit::ImageBuilder::of("UTSNS").record(names).build();
    let made = SynthCheckpoint::new()
        .process(1, 0, process)
        .file("memfd.img", memfd.build())
        .file("utsns-4.img", uts)
        .file("iptables-10.img", [b"-A INPUT ", &evil[..]].concat());
    let place = tempfile::tempdir().expect("a directory");
    made.build().write_to(&place.path().join("dump")).expect("room");
    commands(place.path(), "dump");
    let output = ckx(place.path(), "inspect --all --no-pager dump").stdout;
    let shown = String::from_utf8_lossy(&output);
    assert!(shown.matches(r"\x1b").count() > 30, "{shown}");
    for explorer in ["ps", "fds", "mems", "rss", "sk"] {
        let output = ckx(place.path(), &format!("x dump {explorer}"));
        // Tabs are crit's, and ours: none is in what is hostile here.
        let shown: Vec<u8> =
            output.stdout.iter().map(|byte| if *byte == b'\t' { b' ' } else { *byte }).collect();
        assert_clean(&shown, explorer);
        assert_clean(&output.stderr, explorer);
    }
    let harmless = SynthCheckpoint::new().process(1, 0, |process| process.usual_memory());
    harmless.build().write_to(&place.path().join("other")).expect("room");
    for form in ["text", "json", "jsonl"] {
        let script = format!("\"$CKX\" diff --format {form} dump other");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(place.path()).env("CKX", env!("CARGO_BIN_EXE_ckx"));
        let output = command.output().expect("sh runs");
        assert_eq!(output.status.code(), Some(1), "{form}");
        assert_clean(&output.stdout, form);
    }
}

#[test]
fn names_that_lead_elsewhere_are_data() {
    let place = tempfile::tempdir().expect("a directory");
    let inside = place.path().join("inside");
    fs::create_dir(&inside).expect("a directory");
    let none = b"00000000000\0";
    let mut tar = good();
    tar.extend(file(b"../escaped", b"x"));
    tar.extend(file(b"checkpoint/../../escaped", b"x"));
    tar.extend(file(&[place.path().as_os_str().as_encoded_bytes(), b"/escaped"].concat(), b"x"));
    tar.extend(member(b"checkpoint/parent", b'2', b"../../../../../../etc", none, b""));
    tar.extend(member(b"checkpoint/mm-1.img", b'2', b"/etc/passwd", none, b""));
    tar.extend(member(b"hard", b'1', b"/etc/passwd", none, b""));
    tar.extend(member(b"dev", b'3', b"", none, b""));
    tar.extend(member(b"fifo", b'6', b"", none, b""));
    fs::write(inside.join("a.tar"), tar).expect("room");
    commands(&inside, "a.tar");
    let left: Vec<_> = [place.path(), &inside]
        .iter()
        .flat_map(|path| path.read_dir().expect("readable"))
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
    let output = ckx(&inside, "cat a.tar hard");
    assert!(output.stdout.is_empty() && output.status.code() != Some(0), "{output:?}");
    // A link of a directory is not followed either.
    let directory = inside.join("dump");
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join("pstree.img"), b"").expect("room");
    std::os::unix::fs::symlink("/etc/passwd", directory.join("config.dump")).expect("a link");
    let output = ckx(&inside, "cat dump config.dump");
    assert!(output.stdout.is_empty() && output.status.code() != Some(0), "{output:?}");
}

#[test]
fn sizes_that_nothing_backs() {
    let place = tempfile::tempdir().expect("a directory");
    let huge = [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let negative = [0xff; 12];
    for (index, size) in [huge, negative].iter().enumerate() {
        let mut tar = good();
        tar.extend(member(b"checkpoint/pages-9.img", b'0', b"", size, b"x"));
        let name = format!("{index}.tar");
        fs::write(place.path().join(&name), tar).expect("room");
        commands(place.path(), &name);
        assert_eq!(ckx(place.path(), &format!("inspect {name}")).status.code(), Some(3));
    }
}

#[test]
fn many_members() {
    const MEMBERS: usize = 100_000;
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.tar");
    let mut out = std::io::BufWriter::new(fs::File::create(&path).expect("a file"));
    out.write_all(&good()).expect("room");
    for index in 0..MEMBERS {
        out.write_all(&file(format!("checkpoint/core-{}.img", index + 1000).as_bytes(), b"")).expect("room");
    }
    out.into_inner().expect("room");
    for arguments in ["inspect --no-pager", "inspect -s images --json", "list", "ls", "ls --json"] {
        let output = ckx(place.path(), &format!("{arguments} a.tar"));
        assert!(!output.stdout.is_empty(), "{arguments}");
    }
}

/// Pages that compress a thousand to one are normal, and pass by; descriptions that do are not kept.
#[test]
fn bombs() {
    const SIZE: u64 = 1 << 30;
    let place = tempfile::tempdir().expect("a directory");
    for name in ["checkpoint/pages-9.img", "config.dump", "checkpoint/files.img"] {
        let path = place.path().join("a.tar.zst");
        let mut out = zstd::Encoder::new(fs::File::create(&path).expect("a file"), 1).expect("zstd");
        out.write_all(&good()).expect("room");
        let size = format!("{SIZE:011o}\0");
        let head = member(name.as_bytes(), b'0', b"", size.as_bytes().try_into().expect("12 bytes"), b"");
        out.write_all(&head).expect("room");
        let zeros = vec![0u8; 1 << 20];
        for _ in 0..SIZE >> 20 {
            out.write_all(&zeros).expect("room");
        }
        out.finish().expect("zstd");
        let output = ckx(place.path(), "inspect --all --no-pager a.tar.zst");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("processes"), "{name}: {text}");
    }
}

/// An engine's document comes before the images: an archive that is cut behind it, or in it, still tells
/// what it was, and is not "no checkpoint".
#[test]
fn archives_cut_before_the_first_image() {
    let place = tempfile::tempdir().expect("a directory");
    let json = format!(r#"{{"id":"cut","name":"counter","x":"{}"}}"#, "x".repeat(1000));
    let tar = file(b"config.dump", json.as_bytes());
    for length in [tar.len(), 900] {
        fs::write(place.path().join("a.tar"), &tar[..length]).expect("room");
        let output = ckx(place.path(), "inspect --no-pager a.tar");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{length}: {text}");
        assert!(text.contains("pstree.img: the image is missing"), "{length}: {text}");
        assert_eq!(text.contains("counter"), length == tar.len(), "{length}: {text}");
    }
}

/// Paths in inner tars are told as they were asked for, and directories as directories.
#[test]
fn paths_that_name_no_file() {
    let place = tempfile::tempdir().expect("a directory");
    let mut tar = good();
    tar.extend(member(b"checkpoint", b'5', b"", b"00000000000\0", b""));
    tar.extend(file(b"rootfs-diff.tar", &file(b"srv/www/added.txt", b"x")));
    fs::write(place.path().join("a.tar"), tar).expect("room");
    for (path, hint) in [
        ("rootfs-diff.tar/srv/www/aded.txt", "did you mean `rootfs-diff.tar/srv/www/added.txt`?"),
        ("rootfs-diff.tar/srv", "is a directory"),
        ("checkpoint", "is a directory"),
    ] {
        let output = ckx(place.path(), &format!("cat a.tar {path}"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&format!("`{path}`")) && text.contains(hint), "{path}: {text}");
    }
}
