//! Network namespaces, IPC objects and locks of real dumps, beside what crit decoded of them.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use ckx_core::inspect::Collect;
use ckx_core::inspect::ipc::Ipc;
use ckx_core::inspect::locks::Locks;
use ckx_core::inspect::network::NetworkReport;
use ckx_core::inspect::shared_memory::SharedMemory;
use ckx_core::{Checkpoint, Options};
use serde_json::Value;

use crate::bundle::{checkpoint, directories};
use crate::corpus::corpus;

#[test]
fn a_shipped_network_namespace() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images/ns-link-ghost");
    let report = NetworkReport::collect(&Checkpoint::open(&path, Options::default()).expect("a directory"));
    let [namespace] = report.namespaces.as_slice() else { panic!("{report:?}") };
    assert_eq!(namespace.id, 10);
    let addresses: Vec<_> =
        namespace.addresses.iter().map(|each| (each.address.as_str(), each.scope.as_str())).collect();
    assert_eq!(addresses, [("127.0.0.1/8", "host"), ("::1/128", "host")]);
}

/// Decoded entries of an image, as crit recorded them.
fn crit(files: &BTreeMap<String, Bytes>, image: &str) -> Vec<Value> {
    let Some(text) = files.get(&format!("{image}.crit.json")) else { return Vec::new() };
    let value: Value = serde_json::from_slice(text).expect("recorded JSON");
    value["entries"].as_array().expect("a list").clone()
}

#[test]
fn links_semaphores_queues_and_locks_of_the_corpus() {
    let Some(place) = corpus() else { return };
    let choose = |name: &str| name.ends_with(".img") || name.ends_with(".img.crit.json");
    let (mut links, mut sets, mut queues, mut locks, mut routes) = (0, 0, 0, 0, 0);
    for (name, files) in &directories(&place, "images.tar.zst", Some(choose)) {
        if name.contains("synthetic-magic") || !files.contains_key("inventory.img") {
            continue;
        }
        let opened = checkpoint(name, files, Options::default());
        for namespace in NetworkReport::collect(&opened).namespaces {
            let expected = crit(files, &format!("netdev-{}.img", namespace.id));
            for (link, expected) in namespace.links.iter().zip(&expected) {
                assert_eq!(link.name.to_string(), expected["name"], "{name}");
                assert_eq!(link.mtu_bytes, expected["mtu"], "{name}");
                links += 1;
            }
            // Routes lead over links that there are.
            for route in &namespace.routes {
                let link = route.link.as_ref();
                assert!(
                    link.is_none_or(|link| namespace.links.iter().any(|each| each.name == *link)),
                    "{name}: {route:?}"
                );
                routes += 1;
            }
        }
        for namespace in Ipc::collect(&opened).namespaces {
            let expected = crit(files, &format!("ipcns-sem-{}.img", namespace.id));
            for (set, expected) in namespace.semaphores.iter().zip(&expected) {
                assert_eq!(
                    u64::from(set.object.id),
                    expected["desc"]["id"].as_u64().expect("a number"),
                    "{name}"
                );
                assert_eq!(set.values.len() as u64, expected["nsems"].as_u64().expect("a number"), "{name}");
                sets += 1;
            }
            let expected = crit(files, &format!("ipcns-msg-{}.img", namespace.id));
            for (queue, expected) in namespace.message_queues.iter().zip(&expected) {
                assert_eq!(
                    queue.messages.len() as u64,
                    expected["qnum"].as_u64().expect("a number"),
                    "{name}"
                );
                assert!(queue.messages.iter().all(|message| message.kind.is_some()), "{name}");
                queues += 1;
            }
        }
        let expected = crit(files, "filelocks.img");
        let found = Locks::collect(&opened).locks;
        if !expected.is_empty() {
            assert_eq!(found.len(), expected.len(), "{name}");
        }
        for (lock, expected) in found.iter().zip(&expected) {
            assert_eq!(
                (i64::from(lock.pid), i64::from(lock.fd)),
                (expected["pid"].as_i64().expect("a number"), expected["fd"].as_i64().expect("a number"),),
                "{name}"
            );
            assert!(lock.file.is_some(), "{name}: {lock:?}");
            locks += 1;
        }
    }
    assert!(
        links > 100 && sets > 5 && queues > 2 && locks > 10 && routes > 3,
        "{links} {sets} {queues} {locks} {routes}"
    );
}

#[test]
fn shared_memory_of_the_corpus() {
    let Some(place) = corpus() else { return };
    let choose = |name: &str| name.ends_with(".img") || name.ends_with(".img.crit.json");
    let (mut files, mut maps, mut segments) = (0, 0, 0);
    for (name, all) in &directories(&place, "images.tar.zst", Some(choose)) {
        if name.contains("synthetic-magic") || !all.contains_key("inventory.img") {
            continue;
        }
        let found = SharedMemory::collect(&checkpoint(name, all, Options::default())).objects;
        let object = |number: &Value| found.iter().find(|object| Some(object.shmid) == number.as_u64());
        let open = crit(all, "files.img");
        for inode in crit(all, "memfd.img") {
            // One that nothing refers to is the memory of nobody.
            let is_open = open.iter().any(|file| file["memfd"]["inode_id"] == inode["inode_id"]);
            let Some(object) = object(&inode["shmid"]).filter(|_| is_open) else { continue };
            assert_eq!((object.kind, object.size_bytes), ("memfd", inode["size"].as_u64()), "{name}");
            files += 1;
        }
        for image in all.keys().filter(|image| image.starts_with("pagemap-shmem-") && image.ends_with(".img"))
        {
            let entries = crit(all, image);
            let Some((_, runs)) = entries.split_first() else { continue };
            let number = image.trim_start_matches("pagemap-shmem-").trim_end_matches(".img");
            let object = object(&Value::from(number.parse::<u64>().expect("a number")));
            let pages = object.expect("each map is of an object").pages.expect("it is whole");
            let of_run = |run: &Value| run["nr_pages"].as_u64().filter(|pages| *pages > 0);
            let count = |run: &Value| of_run(run).or(run["compat_nr_pages"].as_u64()).unwrap_or_default();
            let expected: u64 = runs.iter().map(count).sum();
            assert_eq!(
                pages.present_pages + pages.parent_pages + pages.lazy_pages,
                expected,
                "{name} {image}"
            );
            maps += 1;
        }
        segments += found.iter().filter(|object| object.kind == "sysv").count();
    }
    assert!(files > 50 && maps > 50 && segments > 3, "{files} {maps} {segments}");
}
