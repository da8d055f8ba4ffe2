//! Single image files.

use ckx_criu::json::require_records;
use ckx_criu::kind::Header;
use ckx_criu::typed::messages::{FsEntry, RegFileEntry};
use ckx_criu::{ErrorKind, Extra, ImageKind};
use ckx_testkit::{Header as Form, ImageBuilder, Msg};
use serde_json::json;

use crate::{json, parse, place, refused, walk};

fn fs() -> Msg {
    Msg::new().uint(1, 8).uint(2, 9).uint(3, 18)
}

fn reg(name: &[u8]) -> Msg {
    Msg::new().uint(1, 1).uint(2, 0).uint(3, 0).msg(5, fown()).bytes(6, name)
}

fn fown() -> Msg {
    Msg::new().uint(1, 0).uint(2, 0).uint(3, 0).uint(4, 0).uint(5, 0)
}

#[test]
fn empty_raw_files_are_normal_and_other_empty_files_are_not() {
    for name in ["iptables-1.img", "nftables-7.img", "pages-1.img"] {
        let image = parse(name, b"");
        assert!(image.raw_format().is_some());
        assert_eq!(walk(image), (0, None));
    }
    let error = refused("core-1.img", b"");
    assert_eq!(place(Some(error)), Some((ErrorKind::Empty, None, 0)));
}

#[test]
fn files_of_a_few_bytes_are_decided_by_their_names() {
    let route = parse("route-3.img", b"\x24\x12\x31\x45");
    assert_eq!(route.raw_summary().unwrap().problem, None);
    let error = refused("core-1.img", b"\x19\x43\x56");
    assert_eq!(error.kind(), &ErrorKind::HeaderTruncated { expected: 4, got: 3 });
    let error = refused("core-1.img", b"\x19\x43\x56\x54\x47\x38\x05");
    assert_eq!(error.kind(), &ErrorKind::HeaderTruncated { expected: 8, got: 7 });
}

#[test]
fn a_header_alone_is_an_image_without_entries() {
    let data = ImageBuilder::of("IRMAP_CACHE").build();
    assert_eq!(data.len(), 8);
    let image = parse("irmap-cache", &data);
    assert_eq!(walk(image), (0, None));
    assert_eq!(json(image), json!({"magic": "IRMAP_CACHE", "entries": []}));
}

#[test]
fn a_file_that_ends_inside_a_size_word() {
    let data = ImageBuilder::of("FDINFO").record(fdinfo(3)).payload(b"\x05\0\0").build();
    let image = parse("fdinfo-2.img", &data);
    let (good, error) = walk(image);
    assert_eq!(good, 1, "the record before is kept");
    let at = data.len() as u64 - 3;
    assert_eq!(place(error), Some((ErrorKind::SizeTruncated { got: 3 }, Some(1), at)));
    assert_eq!(json(image)["@trailing"], "BQAA");
}

fn fdinfo(fd: u64) -> Msg {
    Msg::new().uint(1, 4).uint(2, 0).uint(3, 1).uint(4, fd)
}

#[test]
fn a_file_that_ends_inside_a_record() {
    let data = ImageBuilder::of("FDINFO").records([fdinfo(0), fdinfo(1)]).cut(1).build();
    let image = parse("fdinfo-2.img", &data);
    let (good, error) = walk(image);
    assert_eq!(good, 1);
    assert_eq!(place(error), Some((ErrorKind::BodyTruncated { expected: 8, got: 7 }, Some(1), 20)));
    assert_eq!(json(image)["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn a_size_word_larger_than_the_rest_is_only_compared() {
    for size in [100, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let data = ImageBuilder::of("FS").sized(size, fs()).build();
        let (good, error) = walk(parse("fs-1.img", &data));
        assert_eq!(good, 0);
        let expected = ErrorKind::BodyTruncated { expected: size.into(), got: 6 };
        assert_eq!(place(error), Some((expected, Some(0), 8)));
    }
}

#[test]
fn a_record_of_no_bytes_is_good_and_its_missing_fields_are_told() {
    let data = ImageBuilder::of("FS").record(Msg::new()).build();
    let image = parse("fs-1.img", &data);
    let entry = image.entries().next().unwrap().unwrap();
    assert_eq!(entry.check().unwrap().missing, Some(("fs_entry", "cwd_id")));
    assert_eq!(entry.decode::<FsEntry>().unwrap(), FsEntry::default());
    assert_eq!(json(image)["entries"], json!([{}]));
    let seccomp = ImageBuilder::of("SECCOMP").record(Msg::new()).build();
    let entry = parse("seccomp.img", &seccomp).entries().next().unwrap().unwrap();
    assert_eq!(entry.check().unwrap().missing, None, "nothing in it is required");
}

#[test]
fn a_payload_shorter_than_its_length_names_both_numbers() {
    let short = |what, expected, got| ErrorKind::PayloadTruncated { what, expected, got };
    let pipe = Msg::new().uint(1, 5).uint(2, 10).uint(3, 65536);
    let queue = Msg::new().uint(1, 5).uint(2, 10);
    let tcp = Msg::new().uint(1, 4).uint(2, 0).uint(3, 6).uint(4, 0);
    let sem = Msg::new().msg(1, Msg::new()).uint(2, 10);
    let queued = Msg::new().msg(1, Msg::new()).uint(2, 1).uint(3, 1);
    let cases = [
        (
            "pipes-data.img",
            ImageBuilder::of("PIPES_DATA").record(pipe).payload(b"abc"),
            short("bytes", 10, 3),
        ),
        (
            "sk-queues.img",
            ImageBuilder::of("SK_QUEUES").record(queue).payload(b"abc"),
            short("length", 10, 3),
        ),
        (
            "tcp-stream-a.img",
            ImageBuilder::of("TCP_STREAM").record(tcp).payload(b"abcdef"),
            short("outq_len", 6, 2),
        ),
        (
            "ipcns-sem-1.img",
            ImageBuilder::of("IPCNS_SEM").record(sem).payload(&[0; 20]),
            short("padding", 4, 0),
        ),
        (
            "ipcns-msg-1.img",
            ImageBuilder::of("IPCNS_MSG")
                .record(queued)
                .record(Msg::new().uint(1, 1).uint(2, 15))
                .payload(b"text"),
            short("msize", 15, 4),
        ),
    ];
    for (name, image, expected) in cases {
        let data = image.build();
        let (good, error) = walk(parse(name, &data));
        assert_eq!((good, place(error)), (0, Some((expected, Some(0), 8))), "{name}");
        json(parse(name, &data));
    }
}

#[test]
fn a_chunk_of_a_ghost_file_shorter_than_its_length() {
    let head = Msg::new().uint(1, 0).uint(2, 0).uint(3, 0o100_644).bool(9, true).uint(10, 65536);
    let image =
        ImageBuilder::of("GHOST_FILE").record(head).record(Msg::new().uint(1, 3).uint(2, 0)).payload(b"abc");
    let data = image.record(Msg::new().uint(1, 9).uint(2, 4096)).payload(b"x").build();
    let (good, error) = walk(parse("ghost-file-1.img", &data));
    assert_eq!(good, 2, "head and first chunk");
    let expected = ErrorKind::PayloadTruncated { what: "len", expected: 9, got: 1 };
    assert_eq!(error.unwrap().kind(), &expected);
    json(parse("ghost-file-1.img", &data));
}

#[test]
fn bytes_behind_the_only_record_are_told_and_kept() {
    let data = ImageBuilder::of("FS").record(fs()).payload(b"tail").build();
    let image = parse("fs-1.img", &data);
    let (good, error) = walk(image);
    assert_eq!((good, place(error)), (1, Some((ErrorKind::Trailing { bytes: 4 }, None, 18))));
    assert_eq!(json(image)["@trailing"], "dGFpbA==");
}

#[test]
fn an_unknown_magic_is_shown_field_by_field() {
    let record = Msg::new().uint(1, 5).bytes(2, b"ab").fixed64(3, 7);
    let data = ImageBuilder::new(0xdead_beef).record(record).build();
    let image = parse("vz-thing.img", &data);
    assert_eq!(image.kind(), ImageKind::Unknown(0xdead_beef));
    let expected = json!([{"@unknown": [
        {"field": 1, "varint": 5}, {"field": 2, "bytes": "YWI="}, {"field": 3, "fixed64": 7}
    ]}]);
    let shown = json(image);
    assert_eq!((&shown["magic"], &shown["entries"]), (&json!("0xdeadbeef"), &expected));
    // Bytes that are no records are kept whole.
    let data = ImageBuilder::new(0xdead_beef).payload(b"not records").build();
    let (good, error) = walk(parse("vz-thing.img", &data));
    assert_eq!((good, place(error)), (0, Some((ErrorKind::Unframed { bytes: 11 }, None, 8))));
    json(parse("vz-thing.img", &data));
}

#[test]
fn the_magic_decides_where_the_name_says_otherwise() {
    let data = ImageBuilder::of("FS").record(fs()).build();
    let image = parse("mm-7.img", &data);
    assert_eq!(image.kind(), ImageKind::Fs);
    assert_eq!(image.identity().named.map(|spec| spec.kind), Some(ImageKind::Mm));
    assert_eq!(parse("fs-7.img", &data).identity().named.map(|spec| spec.kind), None);
}

#[test]
fn pages_that_begin_like_an_image_are_pages() {
    for start in [&b"\x19\x43\x56\x54\x47\x38\x05\x55"[..], b"\x02\0\0\0", b"\x16\x31\x31\x58"] {
        let mut page = vec![0; 4096];
        page[..start.len()].copy_from_slice(start);
        assert_eq!(parse("pages-3.img", &page).kind(), ImageKind::Pages);
    }
    // The extinct form has another size.
    let mut old = b"\x25\x40\x08\x56".to_vec();
    old.resize(4 + 2 * (8 + 4096), 1);
    assert_eq!(parse("pages-3.img", &old).kind(), ImageKind::PagesOld);
}

#[test]
fn raw_images_have_no_records_and_say_so() {
    for name in
        ["pages-1.img", "nftables-2.img", "tmpfs-dev-40.tar.gz.img", "netns-ct-9.img", "descriptors.json"]
    {
        let error = require_records(&parse(name, b"anything at all")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Raw { .. }), "{name}: {error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn images_with_their_own_magic_only_are_read() {
    let data = ImageBuilder::of("FS").header(Form::Own).record(fs()).build();
    let image = parse("fs-1.img", &data);
    assert_eq!(image.identity().header, Header::Own);
    let shown = json(image);
    assert_eq!(shown["@layout"], "own");
    assert_eq!(shown["entries"], json!([{"cwd_id": 8, "root_id": 9, "umask": 18}]));
}

#[test]
fn unknown_fields_are_shown_and_kept_at_every_level() {
    let owner = fown().uint(77, 1);
    let record = Msg::new().uint(1, 1).uint(2, 0).uint(3, 0).msg(5, owner).text(6, "/x").uint(200, u64::MAX);
    let data = ImageBuilder::of("REG_FILES").record(record).build();
    let shown = json(parse("reg-files.img", &data));
    let entry = &shown["entries"][0];
    assert_eq!(entry["@unknown"], json!([{"field": 200, "varint": u64::MAX}]));
    assert_eq!(entry["fown"]["@unknown"], json!([{"field": 77, "varint": 1}]));
    assert_eq!(entry.get("@wire"), None, "unknown fields alone need no copy of the record");
}

#[test]
fn enum_values_without_a_name_are_numbers() {
    let data =
        ImageBuilder::of("FDINFO").record(Msg::new().uint(1, 1).uint(2, 0).uint(3, 4711).uint(4, 0)).build();
    assert_eq!(json(parse("fdinfo-2.img", &data))["entries"][0]["type"], 4711);
}

#[test]
fn a_missing_required_field_is_no_fault_of_the_record() {
    let data = ImageBuilder::of("FS").record(Msg::new().uint(2, 9)).build();
    let entry = parse("fs-1.img", &data).entries().next().unwrap().unwrap();
    assert_eq!(entry.check().unwrap().missing, Some(("fs_entry", "cwd_id")));
    assert_eq!(entry.decode::<FsEntry>().unwrap().root_id, 9);
}

#[test]
fn text_is_any_bytes() {
    let data = ImageBuilder::of("REG_FILES").record(reg(b"/tmp/\xff\xfe")).build();
    let image = parse("reg-files.img", &data);
    let entry: RegFileEntry = image.entries().next().unwrap().unwrap().decode().unwrap();
    assert_eq!(entry.name, b"/tmp/\xff\xfe");
    assert_eq!(json(image)["entries"][0]["name"], json!({"@bytes": "L3RtcC///g=="}));
    let data = ImageBuilder::of("REG_FILES").record(reg(b"/tmp/\x1b[2J\x7f")).build();
    assert_eq!(json(parse("reg-files.img", &data))["entries"][0]["name"], "/tmp/\u{1b}[2J\u{7f}");
}

#[test]
fn packed_and_plain_integers_mean_the_same() {
    let plain = Msg::new().uint(1, 1).uint(2, 0).uint(3, 1).uint(4, 1).uints(5, [1, 300]);
    let packed = Msg::new().uint(1, 1).uint(2, 0).uint(3, 1).uint(4, 1).packed(5, [1, 300]);
    let shown = |record: Msg| {
        let data = ImageBuilder::of("PSTREE").record(record).build();
        json(parse("pstree.img", &data))["entries"][0].clone()
    };
    let (plain, packed) = (shown(plain), shown(packed));
    assert_eq!(plain["threads"], json!([1, 300]));
    assert_eq!(packed["threads"], plain["threads"]);
    assert!(plain.get("@wire").is_none() && packed.get("@wire").is_some(), "the form is kept");
}

#[test]
fn of_two_values_the_last_counts_and_messages_are_merged() {
    let twice = fs().uint(1, 5);
    let data = ImageBuilder::of("FS").record(twice).build();
    let image = parse("fs-1.img", &data);
    let shown = json(image);
    assert_eq!(shown["entries"][0]["cwd_id"], 5);
    assert!(shown["entries"][0].get("@wire").is_some());
    let typed: FsEntry = image.entries().next().unwrap().unwrap().decode().unwrap();
    assert_eq!(typed.cwd_id, 5);
    let merged = Msg::new().uint(1, 1).uint(2, 0).uint(3, 0).msg(5, Msg::new().uint(1, 7)).text(6, "x");
    let merged = merged.msg(5, fown().uint(2, 3));
    let data = ImageBuilder::of("REG_FILES").record(merged).build();
    let shown = json(parse("reg-files.img", &data));
    assert_eq!(shown["entries"][0]["fown"]["euid"], 3);
    assert_eq!(shown["entries"][0]["fown"]["uid"], 0, "the second message has the field as well");
}

/// A cgroup directory in a directory in a directory, `depth` of them.
fn directories(depth: usize) -> Vec<u8> {
    let mut inner = Msg::new().text(1, "leaf");
    for _ in 1..depth {
        inner = Msg::new().text(1, "d").msg(2, inner);
    }
    let controller = Msg::new().text(1, "cpu").msg(2, inner);
    ImageBuilder::of("CGROUP").record(Msg::new().msg(2, controller)).build()
}

#[test]
fn deep_nesting_is_read_to_a_limit_and_kept_beyond() {
    let data = directories(90);
    assert!(json(parse("cgroup.img", &data))["entries"][0].get("@error").is_none());
    let data = directories(5000);
    let shown = json(parse("cgroup.img", &data));
    assert!(shown["entries"][0]["@error"].as_str().unwrap().contains("nest too deep"));
}

#[test]
fn very_large_records_are_read() {
    let vma =
        Msg::new().uint(1, 4096).uint(2, 8192).uint(3, 0).uint(4, 0).uint(5, 3).uint(6, 0x22).uint(7, 0x201);
    let vmas = (0..100_000).map(|_| vma.clone().int(8, -1));
    let data = ImageBuilder::of("MM").record(Msg::new().msgs(14, vmas)).build();
    assert!(data.len() > 2 << 20);
    let image = parse("mm-1.img", &data);
    let entry = image.entries().next().unwrap().unwrap();
    assert!(matches!(entry.extra(), Extra::None));
    let mm: ckx_criu::typed::messages::MmEntry = entry.decode().unwrap();
    assert_eq!(mm.vmas.len(), 100_000);
}
