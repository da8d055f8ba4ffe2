//! Malformed, rare and surprising tars, one test or more for each case, both mapped and streamed.
//!
//! What GNU tar itself writes (long names, sparse files in all forms, duplicates) is in `tarball.rs`, parts
//! of streams in `visit.rs`, images in `oci.rs`; that nothing is followed, made or waited for is tested on
//! the whole command, in `tests/hostile.rs` at the top.

use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use ckx_archive::archive::{Backing, KeepAll};
use ckx_archive::tarball::EntryKind;
use ckx_archive::{Archive, Compression, Options};

/// A member with free choice of every field that readers stumble over.
struct Raw {
    name: Vec<u8>,
    mode: &'static [u8],
    size: [u8; 12],
    kind: u8,
    data: Vec<u8>,
}

fn octal(number: usize) -> [u8; 12] {
    format!("{number:011o}\0").as_bytes().try_into().expect("12 bytes")
}

impl Raw {
    fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref().to_vec();
        Self { name: name.as_ref().to_vec(), mode: b"0000644\0", size: octal(data.len()), kind: b'0', data }
    }

    fn of_kind(mut self, kind: u8) -> Self {
        self.kind = kind;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut header = [0u8; 512];
        header[..self.name.len()].copy_from_slice(&self.name);
        header[100..108].copy_from_slice(self.mode);
        header[108..124].copy_from_slice(b"0000000\x000000000\0");
        header[124..136].copy_from_slice(&self.size);
        header[136..148].copy_from_slice(b"00000000000\0");
        header[148..156].copy_from_slice(b"        ");
        header[156] = self.kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut out = header.to_vec();
        out.extend(&self.data);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }
}

fn tar(members: &[Raw]) -> Vec<u8> {
    let mut out: Vec<u8> = members.iter().flat_map(Raw::bytes).collect();
    out.extend([0; 1024]);
    out
}

/// A PAX header with these records.
fn pax(kind: u8, records: &[(&str, &str)]) -> Raw {
    let mut data = String::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        // The length counts itself.
        let len =
            (1..10).map(|digits| rest.len() + digits).find(|len| len.to_string().len() + rest.len() == *len);
        data.push_str(&format!("{}{rest}", len.expect("a length")));
    }
    Raw::file("pax", data).of_kind(kind)
}

/// The same bytes as a mapped and as a streamed source.
fn both(data: &[u8]) -> [Archive; 2] {
    let path = Path::new("test");
    let mapped = Archive::from_bytes(path, Bytes::from(data.to_vec()), &mut KeepAll, Options::default());
    let streamed = Archive::from_stream(path, data, &mut KeepAll, Options::default());
    let both = [mapped.expect("a tar"), streamed.expect("a tar")];
    assert_eq!(both.each_ref().map(|archive| archive.source().backing), [Backing::Mapped, Backing::Streamed]);
    both
}

fn content(archive: &Archive, name: &[u8]) -> Option<Vec<u8>> {
    archive.read(archive.get(name)?).ok().map(|bytes| bytes.to_vec())
}

#[test]
fn case_1_names_are_compared_in_one_form() {
    let data = tar(&[Raw::file("./checkpoint//pstree.img", "a"), Raw::file("checkpoint/", "").of_kind(b'5')]);
    for archive in both(&data) {
        assert_eq!(content(&archive, b"checkpoint/pstree.img").as_deref(), Some(&b"a"[..]));
        assert_eq!(archive.get(b"checkpoint").map(|member| member.kind), Some(EntryKind::Directory));
    }
}

#[test]
fn case_2_absolute_names_and_dots_are_names() {
    let data = tar(&[Raw::file("../../etc/passwd", "a"), Raw::file("/etc/shadow", "b")]);
    for archive in both(&data) {
        assert_eq!(content(&archive, b"../../etc/passwd").as_deref(), Some(&b"a"[..]));
        assert_eq!(content(&archive, b"/etc/shadow").as_deref(), Some(&b"b"[..]));
        assert_eq!(archive.get(b"etc/passwd").map(|member| member.kind), None);
    }
}

#[test]
fn case_3_members_below_a_link_do_not_go_through_it() {
    let mut link = Raw::file("checkpoint/parent", "").of_kind(b'2').bytes();
    link[157..174].copy_from_slice(b"../pre-checkpoint");
    let sum: u32 = link
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    link[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    link.extend(tar(&[Raw::file("checkpoint/parent/x", "a")]));
    for archive in both(&link) {
        let parent = archive.get(b"checkpoint/parent").expect("it is there");
        assert_eq!(
            (parent.kind, parent.link.as_deref()),
            (EntryKind::Symlink, Some(&b"../pre-checkpoint"[..]))
        );
        assert_eq!(content(&archive, b"checkpoint/parent/x").as_deref(), Some(&b"a"[..]));
        assert!(archive.get(b"pre-checkpoint/x").is_none());
    }
}

#[test]
fn case_4_links_devices_and_pipes_are_told_and_have_no_content() {
    let kinds = [
        (b'1', EntryKind::Hardlink),
        (b'2', EntryKind::Symlink),
        (b'3', EntryKind::CharDevice),
        (b'4', EntryKind::BlockDevice),
        (b'6', EntryKind::Fifo),
    ];
    for (flag, kind) in kinds {
        for archive in both(&tar(&[Raw::file("x", "").of_kind(flag)])) {
            let member = archive.get(b"x").expect("it is there");
            assert_eq!(member.kind, kind);
            assert!(archive.read(member).is_err(), "{kind:?}");
        }
    }
}

#[test]
fn cases_5_and_6_sparse_maps_and_long_names_of_pax() {
    let long = "d/".repeat(120) + "file";
    let mut sparse =
        Raw::file("GNUSparseFile.0/x", [b"2\n0\n1\n4\n1\n".to_vec(), vec![0; 502], b"ab".to_vec()].concat());
    sparse.size = octal(514);
    let data = tar(&[
        pax(b'x', &[("path", &long)]),
        Raw::file("short", "a"),
        pax(
            b'x',
            &[
                ("GNU.sparse.major", "1"),
                ("GNU.sparse.minor", "0"),
                ("GNU.sparse.name", "real"),
                ("GNU.sparse.realsize", "6"),
            ],
        ),
        sparse,
    ]);
    for archive in both(&data) {
        assert_eq!(content(&archive, long.as_bytes()).as_deref(), Some(&b"a"[..]));
        assert_eq!(content(&archive, b"real").as_deref(), Some(&b"a\0\0\0b\0"[..]));
        assert_eq!(archive.members().len(), 2);
    }
}

#[test]
fn cases_7_and_8_sizes_in_base_256_and_in_pax() {
    // Nine gibibytes that are not there, as a number and as text.
    const SIZE: u64 = 9 << 30;
    let mut number = Raw::file("checkpoint/pages-1.img", "");
    number.size = [0x80; 12];
    number.size[1..4].fill(0);
    number.size[4..].copy_from_slice(&SIZE.to_be_bytes());
    let mut first = Raw::file("a", "1").bytes();
    let second =
        [pax(b'x', &[("size", &SIZE.to_string())]).bytes(), Raw::file("checkpoint/pages-1.img", "").bytes()];
    for large in [number.bytes(), second.concat()] {
        let data = [first.clone(), large].concat();
        for archive in both(&data) {
            assert_eq!(archive.get(b"checkpoint/pages-1.img").map(|member| member.size_bytes), Some(SIZE));
            assert_eq!(content(&archive, b"a").as_deref(), Some(&b"1"[..]));
            assert!(!archive.faults().is_empty());
        }
    }
    // A negative size ends the reading and hides nothing that came before.
    let mut negative = Raw::file("b", "");
    negative.size = [0xff; 12];
    first.extend(negative.bytes());
    for archive in both(&first) {
        assert_eq!(content(&archive, b"a").as_deref(), Some(&b"1"[..]));
        assert!(!archive.faults().is_empty());
    }
}

#[test]
fn case_9_global_headers_are_passed_over() {
    let data = tar(&[pax(b'g', &[("comment", "x"), ("unheard.of", "y")]), Raw::file("a", "1")]);
    for archive in both(&data) {
        assert_eq!(archive.members().len(), 1);
        assert_eq!(content(&archive, b"a").as_deref(), Some(&b"1"[..]));
        assert_eq!(archive.faults(), []);
    }
}

#[test]
fn case_10_unknown_types_are_files() {
    for archive in both(&tar(&[Raw::file("a", "1").of_kind(b'Q'), Raw::file("b", "2")])) {
        assert_eq!(content(&archive, b"a").as_deref(), Some(&b"1"[..]));
        assert_eq!(content(&archive, b"b").as_deref(), Some(&b"2"[..]));
    }
}

#[test]
fn case_11_modes_with_the_type_of_the_file() {
    let mut member = Raw::file("a", "1");
    member.mode = b"0100644\0";
    for archive in both(&tar(&[member])) {
        assert_eq!(archive.get(b"a").map(|member| member.mode), Some(0o644));
    }
}

#[test]
fn case_12_missing_end_blocks() {
    for archive in both(&Raw::file("a", "1").bytes()) {
        assert_eq!(content(&archive, b"a").as_deref(), Some(&b"1"[..]));
        assert_eq!(archive.faults(), []);
    }
}

fn compressed(data: &[u8]) -> Vec<(Compression, Vec<u8>)> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(data).expect("memory has room");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    xz.write_all(data).expect("memory has room");
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(data).expect("memory has room");
    let small = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut lz4 = lz4_flex::frame::FrameEncoder::with_frame_info(small, Vec::new());
    lz4.write_all(data).expect("memory has room");
    vec![
        (Compression::Gzip, gzip.finish().expect("gzip")),
        (Compression::Zstd, zstd::encode_all(data, 1).expect("zstd")),
        (Compression::Xz, xz.finish().expect("xz")),
        (Compression::Bzip2, bzip2.finish().expect("bzip2")),
        (Compression::Lz4, lz4.finish().expect("lz4")),
    ]
}

/// Bytes that do not compress, so that a cut falls into the content.
fn noise() -> Vec<u8> {
    let mut rng = ckx_testkit::Rng::new(1);
    (0..131_072).flat_map(|_| rng.next_u64().to_le_bytes()).collect()
}

#[test]
fn case_13_a_compressed_archive_that_is_cut() {
    let data = tar(&[Raw::file("a", "1"), Raw::file("pages", noise())]);
    for (compression, bytes) in compressed(&data) {
        let cut = Bytes::from(bytes[..bytes.len() * 9 / 10].to_vec());
        let archive = Archive::from_bytes(Path::new("test"), cut, &mut KeepAll, Options::default());
        let archive = archive.expect("its beginning");
        assert_eq!(archive.source().compression, compression);
        assert_eq!(content(&archive, b"a").as_deref(), Some(&b"1"[..]), "{compression:?}");
        assert!(!archive.faults().is_empty(), "{compression:?}");
    }
}

#[test]
fn cases_14_and_15_frames_in_a_row_and_names_that_lie() {
    let data = tar(&[Raw::file("a", "1"), Raw::file("b", noise())]);
    let (first, second) = data.split_at(700);
    for ((compression, mut bytes), (_, rest)) in compressed(first).into_iter().zip(compressed(second)) {
        bytes.extend(rest);
        let archive =
            Archive::from_bytes(Path::new("x.tar.gz"), bytes.into(), &mut KeepAll, Options::default());
        let archive = archive.expect("a tar");
        assert_eq!(archive.source().compression, compression);
        assert_eq!(content(&archive, b"b").map(|bytes| bytes.len()), Some(1 << 20), "{compression:?}");
        assert_eq!(archive.faults(), [], "{compression:?}");
    }
}

#[test]
fn case_17_a_member_that_is_a_compressed_tar() {
    let inner = tar(&[Raw::file(".wh.gone", ""), Raw::file("etc/x", "1")]);
    for (compression, bytes) in compressed(&inner) {
        for archive in both(&tar(&[Raw::file("rootfs-diff.tar", bytes.clone())])) {
            let member = archive.get(b"rootfs-diff.tar").expect("it is there");
            let inside = archive.inner(member, Some(b"etc/x")).expect("a tar");
            assert_eq!(content(&inside, b"etc/x").as_deref(), Some(&b"1"[..]), "{compression:?}");
            assert!(inside.get(b".wh.gone").is_some());
        }
    }
}

#[test]
fn case_18_of_two_members_with_one_name_the_last_counts() {
    for archive in both(&tar(&[Raw::file("a", "1"), Raw::file("./a", "2")])) {
        assert_eq!(content(&archive, b"a").as_deref(), Some(&b"2"[..]));
        assert_eq!(archive.members().len(), 2);
        assert_eq!(archive.current().count(), 1);
        assert!(archive.faults().iter().any(|fault| fault.code == "duplicate-member"));
    }
}

#[test]
fn case_21_names_are_compared_whole() {
    let data = tar(&[Raw::file("artifacts/config.dump", "1"), Raw::file("my-config.dump", "2")]);
    for archive in both(&data) {
        assert!(archive.get(b"config.dump").is_none());
    }
}

#[test]
fn case_22_names_are_bytes() {
    for archive in both(&tar(&[Raw::file(b"\xff\xfe/\x1b", "1")])) {
        assert_eq!(content(&archive, b"\xff\xfe/\x1b").as_deref(), Some(&b"1"[..]));
    }
}
