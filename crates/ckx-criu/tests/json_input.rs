//! JSON as people, scripts and other tools write it.

use ckx_criu::json::{ImageJson, JsonOptions, Style, encode, quoted, to_writer};
use ckx_criu::{ByteOrder, ErrorKind, Image};
use ckx_testkit::{ImageBuilder, Msg, Order};

fn fs(order: Order) -> Vec<u8> {
    ImageBuilder::of("FS").order(order).record(Msg::new().uint(1, 8).uint(2, 9).uint(3, 18)).build()
}

/// The fault of a document: what, entry, and the text from its place on.
fn fault(json: &str) -> (String, Option<u64>, String) {
    let error = encode(json.as_bytes()).expect_err("no image");
    let ErrorKind::BadJson { reason } = error.kind() else { return (error.to_string(), None, String::new()) };
    (reason.clone(), error.entry(), json[error.offset() as usize..].to_owned())
}

#[test]
fn keys_may_stand_in_any_order() {
    let sorted = r#"{"entries": [{"root_id": 9, "umask": 18, "cwd_id": 8}], "magic": "FS"}"#;
    assert_eq!(encode(sorted.as_bytes()).unwrap(), fs(Order::Little));
    let payload = r#"{"entries": [{"extra": "YWJj\n", "size": 65536, "bytes": 3, "pipe_id": 5}], "magic": "PIPES_DATA"}"#;
    let expected = ImageBuilder::of("PIPES_DATA")
        .record(Msg::new().uint(1, 5).uint(2, 3).uint(3, 65536))
        .payload(b"abc");
    assert_eq!(encode(payload.as_bytes()).unwrap(), expected.build());
}

#[test]
fn numbers_in_every_spelling() {
    for value in ["18", "\"18\"", "\"0x12\"", "\"0o22\"", "\"0b10010\""] {
        let json =
            format!(r#"{{"magic": "FS", "entries": [{{"cwd_id": "8", "root_id": 9, "umask": {value}}}]}}"#);
        assert_eq!(encode(json.as_bytes()).unwrap(), fs(Order::Little), "{value}");
    }
    let null = r#"{"magic": "FS", "entries": [{"cwd_id": 8, "root_id": 9, "umask": null}]}"#;
    let expected = ImageBuilder::of("FS").record(Msg::new().uint(1, 8).uint(2, 9)).build();
    assert_eq!(encode(null.as_bytes()).unwrap(), expected, "null is a field that is not set");
}

#[test]
fn pretty_values_of_mappings_and_task_states() {
    let vma = r#"{"magic": "VMAS", "entries": [{"start": "0x1000", "end": "0x2000", "pgoff": 0, "shmid": 0,
        "prot": "PROT_READ | PROT_EXEC", "flags": "MAP_PRIVATE | 0x2000", "status": "VMA_AREA_GUARD", "fd": -1}]}"#;
    let record = Msg::new().uint(1, 0x1000).uint(2, 0x2000).uint(3, 0).uint(4, 0).uint(5, 5).uint(6, 0x2002);
    let expected = ImageBuilder::of("VMAS").record(record.uint(7, 0x10000).sint(8, -1)).build();
    assert_eq!(encode(vma.as_bytes()).unwrap(), expected, "names that crit does not know are read");
    for (name, value) in [("Alive", 1), ("Dead", 2), ("Stopped", 3), ("Zombie", 3)] {
        let json = format!(
            r#"{{"magic": "CORE", "entries": [{{"mtype": "X86_64", "tc": {{"task_state": "{name}"}}}}]}}"#
        );
        let record = Msg::new().uint(1, 1).msg(3, Msg::new().uint(1, value));
        assert_eq!(
            encode(json.as_bytes()).unwrap(),
            ImageBuilder::of("CORE").record(record).build(),
            "{name}"
        );
    }
}

#[test]
fn go_criu_writes_payloads_as_one_string() {
    let tcp = r#"{"magic":"TCP_STREAM","entries":[{"inq_len":3,"inq_seq":0,"outq_len":1,"outq_seq":0,
        "extra":"{\"in_q\":\"YWJj\",\"out_q\":\"eA==\"}"}]}"#;
    let record = Msg::new().uint(1, 3).uint(2, 0).uint(3, 1).uint(4, 0);
    let expected = ImageBuilder::of("TCP_STREAM").record(record).payload(b"abcx").build();
    assert_eq!(encode(tcp.as_bytes()).unwrap(), expected);
    let sem = r#"{"magic":"IPCNS_SEM","entries":[{"nsems":2,"extra":"[7,4]"}]}"#;
    let expected = ImageBuilder::of("IPCNS_SEM").record(Msg::new().uint(2, 2)).halves(&[7, 4]).build();
    assert_eq!(encode(sem.as_bytes()).unwrap(), expected);
    let msg = r#"{"magic":"IPCNS_MSG","entries":[{"qnum":1,"extra":"[\"{\\\"mtype\\\":\\\"1\\\",\\\"msize\\\":3}\",\"YWJj\"]"}]}"#;
    let queue = ImageBuilder::of("IPCNS_MSG").record(Msg::new().uint(3, 1));
    let expected = queue.record(Msg::new().uint(1, 1).uint(2, 3)).padded(b"abc", 8).build();
    assert_eq!(encode(msg.as_bytes()).unwrap(), expected);
}

#[test]
fn socket_names_follow_the_spelling_of_their_object() {
    let image = |name: &str, seconds: &str| {
        format!(
            r#"{{"magic":"UNIXSK","entries":[{{"id":1,"name":"{name}","opts":{{"so_snd_tmo_sec":{seconds}}}}}]}}"#
        )
    };
    let expected = |name: &[u8]| {
        ImageBuilder::of("UNIXSK")
            .record(Msg::new().uint(1, 1).msg(10, Msg::new().uint(3, 0)).bytes(11, name))
            .build()
    };
    assert_eq!(encode(image("/x=00", "0").as_bytes()).unwrap(), expected(b"/x\0"), "crit");
    assert_eq!(encode(image("L3gA", "\"0\"").as_bytes()).unwrap(), expected(b"/x\0"), "go-criu");
    assert_eq!(encode(image("L3gA", "0").as_bytes()).unwrap(), expected(b"L3gA"), "crit, a name like base64");
}

#[test]
fn faults_say_where() {
    let json = r#"{"magic": "FDINFO", "entries": [{"id": 1}, {"ids": 2}]}"#;
    let (reason, entry, rest) = fault(json);
    assert_eq!(reason, "entries.1.ids: fdinfo_entry has no field \"ids\"; did you mean \"id\"?");
    assert_eq!(entry, Some(1));
    assert!(
        json.ends_with(&rest) && rest.len() < " {\"ids\": 2}]}".len(),
        "the place is in the object: {rest}"
    );
    let cases = [
        (r#"{"magic": "FS", "entries": [{"cwd_id": 4294967296}]}"#, "is not between 0 and 4294967295"),
        (r#"{"magic": "FS", "entries": [{"cwd_id": -1}]}"#, "is not between 0"),
        (r#"{"magic": "FS", "entries": [{"cwd_id": 1.5}]}"#, "no whole number"),
        (r#"{"magic": "FS", "entries": [{"cwd_id": 1e3}]}"#, "no whole number"),
        (r#"{"magic": "FS", "entries": [{"cwd_id": true}]}"#, "invalid type: boolean"),
        (r#"{"magic": "FS", "entries": [{"cwd_id": {"a": 1}}]}"#, "invalid type: map"),
        (r#"{"magic": "FS", "entries": [{"cwd_id": "eight"}]}"#, "\"eight\" is no value of cwd_id"),
        (r#"{"magic": "FS", "entries": [{"cwd_id": 1, "cwd_id": 2}]}"#, "the key stands twice"),
        (r#"{"magic": "FS", "entries": [{"cwd_id": 1}, {"cwd_id": 2}]}"#, "no further entry"),
        (r#"{"magic": "FS", "entries": [{"extra": "YQ=="}]}"#, "\"extra\" holds 1 bytes"),
        (r#"{"magic": "PIPES_DATA", "entries": [{"bytes": 4, "extra": "YWJj"}]}"#, "announce 4 (`bytes`)"),
        (r#"{"magic": "PIPES_DATA", "entries": [{"bytes": 4096, "extra": "... <4KB>"}]}"#, "only the size"),
        (r#"{"magic": "PIPES_DATA", "entries": [{"bytes": 3, "extra": "a?b"}]}"#, "no base64"),
        (r#"{"magic": "IPCNS_SEM", "entries": [{"nsems": 1, "extra": [70000]}]}"#, "invalid value"),
        (r#"{"magic": "IPCNS_MSG", "entries": [{"qnum": 1, "extra": [{"msize": 1}]}]}"#, "without its text"),
        (r#"{"magic": "NOPE", "entries": []}"#, "no kind of image has the magic \"NOPE\""),
        (r#"{"magic": "FS"}"#, "missing field `entries`"),
        (r#"{"magic": "FS", "entries": 5}"#, "a list of entries"),
        (r#"{"magic": "FS", "entries": [], "@layout": "odd"}"#, "names no form of header"),
        (r#"{"magic": "FS", "entries": [{"@wire": "?"}]}"#, "no base64"),
        (r#"{"magic": "FS", "entries": [{"@unknown": [{"field": 0, "varint": 1}]}]}"#, "field number"),
        (r#"{"magic": "FS", "entries": [{"@unknown": [{"field": 9}]}]}"#, "exactly one value"),
        ("[]", "an object with \"magic\" and \"entries\""),
        ("", "EOF"),
        (r#"{"magic": "FS", "entries": [{"cwd_id": "#, "EOF"),
    ];
    for (json, expected) in cases {
        let (reason, ..) = fault(json);
        assert!(reason.contains(expected), "{json}\n  {reason}\n  {expected}");
    }
    let error = encode(br#"{"magic": "PAGES", "entries": []}"#).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Raw { .. }));
}

#[test]
fn the_record_as_it_was_is_kept_until_its_fields_are_edited() {
    // The count of threads is packed: no ordinary writer does that.
    let record = Msg::new().uint(1, 5).uint(2, 0).uint(3, 5).uint(4, 5).packed(5, [5, 6]);
    let data = ImageBuilder::of("PSTREE").record(record).build();
    let mut text = Vec::new();
    let image = Image::parse(b"pstree.img", &data).unwrap();
    to_writer(&mut text, &ImageJson::new(image, JsonOptions::default()), Style::Line).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("@wire"));
    assert_eq!(encode(text.as_bytes()).unwrap(), data);
    let edited = text.replace("\"pid\": 5", "\"pid\": 7");
    let plain = Msg::new().uint(1, 7).uint(2, 0).uint(3, 5).uint(4, 5).uints(5, [5, 6]);
    assert_eq!(encode(edited.as_bytes()).unwrap(), ImageBuilder::of("PSTREE").record(plain).build());
}

#[test]
fn byte_order_and_layout_are_read() {
    let big =
        r#"{"magic": "FS", "entries": [{"cwd_id": 8, "root_id": 9, "umask": 18}], "@byte_order": "big"}"#;
    assert_eq!(encode(big.as_bytes()).unwrap(), fs(Order::Big));
    let again = ckx_criu::json::encode_as(big.as_bytes(), Some(ByteOrder::Little)).unwrap();
    assert_eq!(again, fs(Order::Little), "what the caller says counts");
    let own = r#"{"magic": "FS", "entries": [], "@layout": "own"}"#;
    assert_eq!(encode(own.as_bytes()).unwrap(), b"\x12\x39\x40\x51");
    let unknown = r#"{"magic": "0xdeadbeef", "entries": [{"@unknown": [{"field": 1, "varint": 5}]}]}"#;
    let expected = ImageBuilder::new(0xdead_beef).record(Msg::new().uint(1, 5)).build();
    assert_eq!(encode(unknown.as_bytes()).unwrap(), expected);
}

#[test]
fn socket_names_are_quoted_as_python_does() {
    let table = include_str!("tables/quoted.tsv");
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let mut same = 0;
    for line in table.lines().skip(1) {
        let (name, recorded) = line.split_once('\t').unwrap();
        let (name, recorded) = (bytes(name), String::from_utf8(bytes(recorded)).unwrap());
        let ours = quoted::encode(&name);
        assert_eq!(quoted::decode(&ours).as_deref(), Some(&name[..]), "{ours:?}");
        // Where Python's text does not give the name back, ours differs and does.
        let lossless = quoted::decode(&recorded).as_deref() == Some(&name[..]);
        assert_eq!(ours == recorded, lossless, "{name:02x?}: {ours:?} and {recorded:?}");
        same += usize::from(lossless);
    }
    assert!(same > 40, "only {same} names were compared");
}
