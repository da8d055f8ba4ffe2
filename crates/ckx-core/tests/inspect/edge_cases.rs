//! Odd directories of images and odd JSON documents, a test for each case.
//!
//! | case | where |
//! |---|---|
//! | directory: no tree | `directory_1_no_tree`, `directory_1_a_pre_dump_has_none` |
//! | no inventory; stale images; images that others refer to; an empty one | `directory_2`, `_3`, `_5`, `_6` |
//! | zombies, orphans and cycles of processes | `processes.rs` |
//! | images per type of files; limits of 2^64-1; odd names; twice and unknown; modes | `directory_7`, `_9`, `_12`, `_13`, `_14` |
//! | users of a namespace | `directory_8_credentials_hold_the_ids_inside` |
//! | size or build id of a file that is not as it was | a matter of restoring: told as it is, in `kernel_truth.rs` |
//! | a checker of images | `all_images.rs`: what is missing is told for each directory of the corpus |
//! | tars 1 to 18, 21, 22 | `edge_cases.rs` of `ckx-archive`; bombs (16) in `tests/hostile.rs` at the top |
//! | tars 19 and 20 | `archive_19_and_20_…`; cut ones (13) in `forms.rs` |
//! | documents 1 to 9 | `json_1_…` to `json_9_…` |

use ckx_core::inspect::{SECTIONS, collect};
use ckx_core::model::container::Engine;
use ckx_core::{Checkpoint, Options};
use ckx_testkit::{Arch, presets};
use serde_json::Value;

use crate::corpus::open_bytes;

/// A synthetic checkpoint as a tar, changed by `change`: members by name.
fn opened(change: impl FnOnce(&mut Vec<(String, Vec<u8>)>)) -> Checkpoint {
    let mut files: Vec<(String, Vec<u8>)> = presets::web(Arch::X86_64)
        .build()
        .files
        .into_iter()
        .map(|(name, bytes)| (format!("checkpoint/{name}"), bytes.to_vec()))
        .collect();
    change(&mut files);
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, name, &bytes[..]).expect("writing to memory");
    }
    open_bytes("synthetic", tar.into_inner().expect("writing to memory"), Options::default())
}

/// All sections, and what they say is wrong, as `IMAGE: CODE`.
fn report(checkpoint: &Checkpoint) -> (Value, Vec<String>) {
    let sections: Vec<_> = SECTIONS.iter().collect();
    let reports = collect(checkpoint, &sections);
    let issues = reports.iter().flat_map(|report| report.issues());
    let mut told: Vec<String> = issues.map(|issue| format!("{}: {}", issue.image, issue.code)).collect();
    told.sort();
    told.dedup();
    let pairs = sections.iter().zip(&reports);
    let json =
        pairs.map(|(section, report)| (section.name.to_owned(), serde_json::to_value(report).expect("JSON")));
    (Value::Object(json.collect()), told)
}

fn without(files: &mut Vec<(String, Vec<u8>)>, name: &str) {
    let before = files.len();
    files.retain(|(each, _)| each != &format!("checkpoint/{name}"));
    assert_eq!(files.len() + 1, before, "{name} was there");
}

fn document(files: &mut Vec<(String, Vec<u8>)>, name: &str, text: &str) {
    files.push((name.to_owned(), text.as_bytes().to_vec()));
}

#[test]
fn directory_1_no_tree() {
    let checkpoint = opened(|files| without(files, "pstree.img"));
    let (json, issues) = report(&checkpoint);
    assert!(issues.contains(&"pstree.img: missing".to_owned()), "{issues:?}");
    // What does not hang on the tree is there: sockets are in `files.img`.
    assert!(json["sockets"]["sockets"].as_array().is_some_and(|all| !all.is_empty()), "{json:#}");
}

#[test]
fn directory_1_a_pre_dump_has_none() {
    let made = ckx_testkit::SynthCheckpoint::new().pre_dump().process(5, 0, |process| process.usual_memory());
    let checkpoint = crate::synthetic::open(made.clone());
    assert!(checkpoint.is_pre_dump());
    let (json, issues) = report(&checkpoint);
    assert_eq!(issues, [] as [&str; 0], "nothing is missing that a pre-dump has");
    assert_eq!(json["overview"]["pre_dump_of"], serde_json::json!([5]));
    assert_eq!(ckx_core::Summary::of(&checkpoint).faults, [] as [&str; 0]);
    // With an image of a process it is a dump that broke off.
    let broken = crate::synthetic::open(made.file("core-5.img", ""));
    assert!(!broken.is_pre_dump());
    assert!(report(&broken).1.contains(&"pstree.img: missing".to_owned()));
}

#[test]
fn directory_2_no_inventory() {
    let checkpoint = opened(|files| without(files, "inventory.img"));
    assert!(checkpoint.has_images());
    assert!(!checkpoint.processes().list.is_empty());
    report(&checkpoint);
}

#[test]
fn directory_3_images_of_earlier_dumps() {
    let plain = report(&opened(|_| {})).0;
    let checkpoint = opened(|files| {
        for kind in ["core", "mm", "pagemap", "ids", "fs"] {
            let name = format!("checkpoint/{kind}-");
            let old = files.iter().find(|(each, _)| each.starts_with(&name)).expect("one of each").1.clone();
            files.push((format!("checkpoint/{kind}-99999.img"), old));
        }
    });
    assert!(checkpoint.processes().get(99999).is_none(), "only the tree says which processes there are");
    assert_eq!(report(&checkpoint).0["processes"], plain["processes"]);
}

#[test]
fn directory_5_images_that_others_refer_to() {
    for name in
        ["files.img", "fdinfo-1.img", "mm-1.img", "core-1.img", "ids-1.img", "fs-1.img", "pagemap-1.img"]
    {
        let all = opened(|_| {});
        if all.image_member(name.as_bytes()).is_none() {
            continue;
        }
        let checkpoint = opened(|files| without(files, name));
        let (json, issues) = report(&checkpoint);
        let processes = json["processes"]["processes"].as_array().expect("a list").len();
        assert_eq!(processes, all.processes().list.len(), "{name}");
        // A table of descriptors that are none has no image either.
        if !name.starts_with("fdinfo") {
            assert!(issues.iter().any(|issue| issue.starts_with(name)), "{name}: {issues:?}");
        }
    }
}

#[test]
fn directory_6_an_empty_image() {
    let checkpoint = opened(|files| {
        files.iter_mut().find(|(name, _)| name.ends_with("/files.img")).expect("it is there").1.clear();
    });
    let (json, issues) = report(&checkpoint);
    assert!(issues.iter().any(|issue| issue.starts_with("files.img: ")), "{issues:?}");
    assert!(!json["processes"]["processes"].as_array().expect("a list").is_empty());
}

#[test]
fn directory_5_images_that_only_some_dumps_have() {
    // The fifth is that of mounts.
    let namespaces = [1, 2, 3, 4, 99, 7, 8, 5];
    let ids = ckx_testkit::ImageBuilder::of("IDS").record(ckx_testkit::parts::kobj_ids(2, 2, namespaces));
    let fields = ids.build();
    let stream = "checkpoint/tcp-stream-1a2c.img";
    let checkpoint = opened(|files| {
        files.retain(|(name, _)| name != stream);
        files.iter_mut().find(|(name, _)| name.ends_with("/ids-1.img")).expect("its ids").1 = fields;
    });
    let (json, issues) = report(&checkpoint);
    let told = |name: &str| issues.contains(&format!("{name}: missing"));
    assert!(told("tcp-stream-1a2c.img"), "{issues:?}");
    assert!(told("mountpoints-99.img"), "{issues:?}");
    assert!(!json["sockets"]["sockets"].as_array().expect("a list").is_empty());
    assert!(!report(&opened(|_| {})).1.iter().any(|issue| issue.ends_with(": missing")));
}

#[test]
fn directory_8_credentials_hold_the_ids_inside() {
    let range = |first: u64, lower: u64, count: u64| ckx_testkit::Msg::new().seq(1, [first, lower, count]);
    let map = || [range(0, 100_000, 65_536)];
    let user = ckx_testkit::Msg::new().msgs(1, map()).msgs(2, map());
    let number = opened(|_| {}).processes().get(7).and_then(|process| process.ids.as_ref()?.user_ns_id);
    let name = format!("checkpoint/userns-{}.img", number.expect("a user namespace"));
    let image = ckx_testkit::ImageBuilder::of("USERNS").record(user).build();
    let (json, _) = report(&opened(|files| files.push((name, image))));
    let processes = json["credentials"]["processes"].as_array().expect("a list");
    let worker = processes.iter().find(|process| process["pid"] == 7).expect("the worker");
    // 33 inside, which is 100033 on the host: that is told with the namespace and nowhere else.
    assert_eq!(worker["credentials"]["uid"], 33, "{worker:#}");
    assert!(!json["credentials"].to_string().contains("100033"));
    let namespaces = json["namespaces"]["namespaces"].as_array().expect("a list");
    let user = namespaces.iter().find(|namespace| namespace["kind"] == "user").expect("one");
    assert_eq!(user["uid_map"], serde_json::json!([{ "first": 0, "lower_first": 100_000, "count": 65_536 }]));
}

#[test]
fn directory_13_sockets_of_nothing() {
    let checkpoint = opened(|files| {
        let table = files.iter_mut().find(|(name, _)| name.contains("/fdinfo-")).expect("a table");
        let record = ckx_testkit::files::fdinfo(4242, 0, ckx_testkit::FdType::Unixsk, 3);
        table.1 = ckx_testkit::ImageBuilder::of("FDINFO").record(record).build();
        let queues = files.iter_mut().find(|(name, _)| name.ends_with("/sk-queues.img")).expect("queues");
        let packet = ckx_testkit::Msg::new().seq(1, [4343, 1]);
        queues.1 = ckx_testkit::ImageBuilder::of("SK_QUEUES").record(packet).payload(b"x").build();
    });
    let sockets = ckx_core::inspect::section("sockets").expect("a section");
    let report = collect(&checkpoint, &[sockets]).remove(0);
    let told: Vec<String> = report.issues().iter().map(ToString::to_string).collect();
    for (image, id) in [("files.img", "4242"), ("sk-queues.img", "4343")] {
        assert!(told.iter().any(|line| line.starts_with(image) && line.ends_with(id)), "{image}: {told:?}");
    }
}

#[test]
fn directory_9_limits_that_are_none() {
    let json = serde_json::to_string(&report(&opened(|_| {})).0["limits"]).expect("JSON");
    // 2^64 - 1 is no number that JSON readers agree on.
    assert!(!json.contains("18446744073709551615"), "{json}");
}

#[test]
fn directory_12_names_with_odd_numbers() {
    let checkpoint = opened(|files| {
        for name in [
            "core--1.img",
            "pagemap-shmem--5.img",
            "tcp-stream-FFFFFFFF.img",
            "ghost-file-.img",
            "ipcns-shm-x.img",
        ] {
            document(files, &format!("checkpoint/{name}"), "");
        }
    });
    assert!(!checkpoint.processes().list.is_empty());
    report(&checkpoint);
}

#[test]
fn directory_14_directories_without_the_right_to_enter() {
    // Podman's archives have the directory of the images with mode 0600: a tar's modes stop nobody.
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o600);
    header.set_size(0);
    tar.append_data(&mut header, "checkpoint/", &[][..]).expect("writing to memory");
    for (name, bytes) in presets::web(Arch::X86_64).build().files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0);
        tar.append_data(&mut header, format!("checkpoint/{name}"), &bytes[..]).expect("writing to memory");
    }
    let data = tar.into_inner().expect("writing to memory");
    assert!(!open_bytes("modes", data, Options::default()).processes().list.is_empty());
}

const SPEC: &str = r#"{"ociVersion":"1.0.2","annotations":{"io.container.manager":"libpod"}}"#;

#[test]
fn json_1_and_2_documents_of_nothing() {
    let checkpoint = opened(|files| {
        document(files, "spec.dump", SPEC);
        document(files, "config.dump", r#"{"id":"abc","name":"web"}"#);
        document(files, "network.status", "null");
        document(files, "checkpoint/descriptors.json", "null");
        document(files, "deleted.files", "[]");
        document(files, "ctr.log", "");
    });
    let (json, issues) = report(&checkpoint);
    assert_eq!(json["overview"]["name"], "web", "{json:#}");
    assert!(!issues.iter().any(|issue| issue.contains("json") || issue.contains("network")), "{issues:?}");
}

#[test]
fn json_2_documents_that_are_none() {
    for (name, text) in
        [("config.dump", ""), ("spec.dump", "{"), ("deleted.files", "{}"), ("network.status", "\u{0}")]
    {
        let checkpoint = opened(|files| {
            document(files, name, text);
        });
        let (json, issues) = report(&checkpoint);
        assert!(issues.contains(&format!("{name}: bad-json")), "{name}: {issues:?}");
        assert!(!json["processes"]["processes"].as_array().expect("a list").is_empty(), "{name}");
    }
}

#[test]
fn json_3_and_7_keys_of_other_types() {
    let checkpoint = opened(|files| {
        document(
            files,
            "spec.dump",
            r#"{"annotations":{"io.container.manager":"libpod","n":1},"process":[],"mounts":{},"x":{}}"#,
        );
        document(files, "config.dump", r#"{"id":5,"name":null,"createdTime":{},"newNameOfNextRelease":[1]}"#);
    });
    let (json, _) = report(&checkpoint);
    assert_eq!(checkpoint.container().engine, Engine::Podman);
    assert_eq!(json["container"]["args"], Value::Array(Vec::new()));
    assert_eq!(json["container"]["annotations"]["n"], "1");
}

#[test]
fn json_4_and_5_times_of_nothing_and_of_nanoseconds() {
    let checkpoint = opened(|files| {
        document(files, "spec.dump", SPEC);
        document(
            files,
            "config.dump",
            r#"{"createdTime":"2026-11-23T17:52:39.123456789+01:00","restoredTime":"0001-01-01T00:00:00Z","checkpointedTime":"0001-01-01T00:00:00Z"}"#,
        );
    });
    let container = checkpoint.container();
    assert_eq!(
        container.created.map(|time| time.to_string()).as_deref(),
        Some("2026-11-23T16:52:39.123456789Z")
    );
    assert_eq!(container.restored, None);
    assert_ne!(container.checkpointed_by, Some("config.dump"));
}

#[test]
fn json_8_secrets_of_documents_are_hidden() {
    let checkpoint = opened(|files| {
        document(
            files,
            "spec.dump",
            r#"{"annotations":{"io.container.manager":"libpod","db-password":"hunter2a"},"process":{"args":["x","--token","hunter2b"],"env":["API_KEY=hunter2c"]}}"#,
        );
    });
    let text = report(&checkpoint).0.to_string();
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn directory_7_images_of_files_by_type() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images/v2.12-tcp");
    let (json, issues) = report(&Checkpoint::open(&path, Options::default()).expect("a directory"));
    assert!(!issues.iter().any(|issue| issue.starts_with("files.img")), "{issues:?}");
    let sockets = json["sockets"]["sockets"].as_array().expect("a list");
    assert!(
        sockets.iter().any(|socket| socket["state"] == "ESTAB" || socket["state"] == "LISTEN"),
        "{sockets:#?}"
    );
}

#[test]
fn directory_13_descriptors_twice_and_of_nothing() {
    let checkpoint = opened(|files| {
        let table = files.iter_mut().find(|(name, _)| name.contains("/fdinfo-")).expect("a table");
        let kind = ckx_testkit::FdType::Reg;
        let record = |fd| ckx_testkit::files::fdinfo(4242, 0, kind, fd);
        table.1 = ckx_testkit::ImageBuilder::of("FDINFO").records([record(3), record(3)]).build();
    });
    let (json, issues) = report(&checkpoint);
    for code in ["duplicate-descriptor", "unknown-file"] {
        assert!(issues.iter().any(|issue| issue.ends_with(code)), "{code}: {issues:?}");
    }
    assert!(json["descriptors"].to_string().contains("4242"), "{json:#}");
}

#[test]
fn archive_19_and_20_pages_before_their_maps_and_parents_elsewhere() {
    // What went by before its map was known is not there, and nothing else is missing.
    let mut files: Vec<_> = presets::web(Arch::X86_64).build().files.into_iter().collect();
    files.sort_by_key(|(name, _)| !name.starts_with("pages-"));
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, format!("checkpoint/{name}"), &bytes[..]).expect("writing to memory");
    }
    let data = zstd::encode_all(&tar.into_inner().expect("writing to memory")[..], 1).expect("zstd");
    let checkpoint = open_bytes("order", data, Options::default());
    let (json, _) = report(&checkpoint);
    let processes = json["processes"]["processes"].as_array().expect("a list");
    assert_eq!(processes.len(), opened(|_| {}).processes().list.len());
    assert!(processes.iter().all(|process| process["comm"].is_string()));
}

#[test]
fn json_6_json_in_annotations() {
    let spec = |labels: &str| {
        serde_json::json!({ "annotations": {
            "io.container.manager": "cri-o",
            "io.kubernetes.cri-o.Labels": labels,
            "io.kubernetes.cri-o.Metadata": "{\"name\":\"web\"}",
        }})
        .to_string()
    };
    let good = opened(|files| document(files, "spec.dump", &spec(r#"{"a":"b"}"#)));
    assert_eq!(good.container().labels.get("a").map(String::as_str), Some("b"));
    assert_eq!(good.container().name.as_deref(), Some("web"));
    let broken = opened(|files| document(files, "spec.dump", &spec("{")));
    assert_eq!(broken.container().name.as_deref(), Some("web"));
    report(&broken);
}

#[test]
fn json_9_descriptors_of_nothing() {
    let checkpoint = opened(|files| document(files, "checkpoint/descriptors.json", r#"["","pipe:[1]",""]"#));
    assert!(!report(&checkpoint).0["processes"]["processes"].as_array().expect("a list").is_empty());
}
