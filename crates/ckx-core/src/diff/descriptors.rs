//! `descriptors`: what each process has open, descriptor by descriptor.

use std::collections::HashMap;

use serde_json::Value;

use crate::diff::rules::{Key, ListRule, Rules, Treatment};
use crate::diff::sections::{self, COMM, ISSUES, PROCESSES};
use crate::diff::waiting::Waiting;
use crate::diff::{Comparison, Pair, Side};
use crate::inspect::descriptors::Descriptors;

const RULES: Rules = Rules {
    lists: &[
        PROCESSES,
        ListRule { at: "descriptors", key: Key::Fields(&["fd"]), shown: "fd" },
        ListRule { at: "targets", key: Key::Fields(&["fd"]), shown: "" },
        ListRule { at: "watches", key: Key::Fields(&["wd"]), shown: "" },
    ],
    fields: &[
        ISSUES,
        COMM,
        // Numbers of the dump or of the host's kernel. What they stand for is compared.
        ("file_id", Treatment::Skip),
        ("files_id", Treatment::Skip),
        ("mount_id", Treatment::Skip),
        ("pipe_id", Treatment::Skip),
        ("inode_id", Treatment::Skip),
        ("inode", Treatment::Number),
        ("device", Treatment::Number),
        ("shmid", Treatment::Skip),
        ("tty_info_id", Treatment::Skip),
        ("image", Treatment::Skip),
        ("remap_id", Treatment::Skip),
        // The section of processes has them.
        ("processes.cwd", Treatment::Skip),
        ("processes.root", Treatment::Skip),
        ("processes.absent", Treatment::Skip),
    ],
};

pub(super) fn compare(pair: &Pair<'_>) -> Comparison {
    sections::prepared::<Descriptors>(pair, RULES, join)
}

/// Puts each open file into the first descriptor that refers to it; others say which that is. Several
/// descriptors of one open file have one position.
fn join(report: &mut Value, side: Side, pair: &Pair<'_>) {
    let waiting = Waiting::of(pair.side(side));
    let id = |value: &Value| Some((value.get("file_id")?.as_u64()?, value.get("type")?.as_str()?.to_owned()));
    let mut files = HashMap::new();
    if let Some(Value::Array(list)) = report.get_mut("files").map(Value::take) {
        for mut file in list {
            let Some(key) = id(&file) else { continue };
            waiting.add_to_file(pair.side(side), &mut file);
            if let Some(fields) = file.as_object_mut() {
                // A comparison of their own.
                fields.remove("socket");
                fields.remove("name");
                fields.remove("type");
            }
            files.insert(key, file);
        }
    }
    let mut holders: HashMap<(u64, String), String> = HashMap::new();
    let processes = report.get_mut("processes").and_then(Value::as_array_mut);
    for process in processes.into_iter().flatten() {
        let pid = process.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok());
        let place = pair.pairing.name_of(pid.unwrap_or_default(), side);
        let descriptors = process.get_mut("descriptors").and_then(Value::as_array_mut);
        for descriptor in descriptors.into_iter().flatten() {
            let key = id(descriptor);
            let number = descriptor.get("fd").and_then(Value::as_u64).unwrap_or_default();
            let Some(fields) = descriptor.as_object_mut() else { continue };
            if fields.get("name").is_some_and(is_number) {
                fields.remove("name");
            }
            let Some(key) = key else { continue };
            if let Some(holder) = holders.get(&key) {
                fields.insert("shares_file_of".to_owned(), holder.clone().into());
                continue;
            }
            for (name, value) in files.get(&key).and_then(Value::as_object).into_iter().flatten() {
                fields.entry(name.clone()).or_insert_with(|| value.clone());
            }
            holders.insert(key, format!("proc[{place}].fd[{number}]"));
        }
    }
}

/// Pipes and sockets are named by numbers of the host's kernel.
fn is_number(name: &Value) -> bool {
    name.as_str().is_some_and(|name| name.ends_with(']') && name.contains(":["))
}
