//! `ipc`, `inventory`, `statistics`, settings of networks: images compared as they decode.
//!
//! Sections of these have less than the images: no bytes of segments and messages, few settings. So their
//! fields are compared as CRIU has them, content included.

use std::collections::BTreeMap;

use ckx_criu::Image;
use ckx_criu::json::{ImageJson, JsonOptions, Payload, Style, to_writer};
use serde_json::{Map, Value};

use crate::diff::rules::{Key, ListRule, Rules, Treatment};
use crate::diff::structure::Walk;
use crate::diff::{Comparison, Pair, Side};
use crate::{Checkpoint, ImageSet, Issue, Name};

/// Images larger than this are not decoded as a whole.
pub(super) const MAX_IMAGE: usize = 16 << 20;

const IPC: Rules = Rules {
    lists: &[
        ListRule { at: "ipcns-shm", key: Key::Fields(&["desc.key", "desc.id"]), shown: "shm" },
        ListRule { at: "ipcns-msg", key: Key::Fields(&["desc.key", "desc.id"]), shown: "msg" },
        ListRule { at: "ipcns-sem", key: Key::Fields(&["desc.key", "desc.id"]), shown: "sem" },
    ],
    fields: &[],
};

/// Compares objects of System V, and limits.
pub(super) fn ipc(pair: &Pair<'_>) -> Comparison {
    compare(pair, IPC, &["ipcns-var", "ipcns-shm", "ipcns-msg", "ipcns-sem"])
}

const NETWORK: Rules = Rules {
    lists: &[ListRule { at: "netdev", key: Key::Fields(&["name"]), shown: "device" }],
    fields: &[("nsid", Treatment::Skip), ("ext_key", Treatment::Skip), ("ns_id", Treatment::Skip)],
};

/// Compares devices of network namespaces, and settings of both.
pub(super) fn network(pair: &Pair<'_>) -> Comparison {
    compare(pair, NETWORK, &["netns", "netdev"])
}

const INVENTORY: Rules = Rules {
    lists: &[],
    fields: &[
        ("root_ids", Treatment::Skip),
        ("root_cg_set", Treatment::Skip),
        // That of the host, which the container sees.
        ("lsmtype", Treatment::Plain),
        ("inventory", Treatment::OfDump),
    ],
};

/// Compares how the dump was made.
pub(super) fn inventory(pair: &Pair<'_>) -> Comparison {
    compare(pair, INVENTORY, &["inventory"])
}

const STATISTICS: Rules =
    Rules { lists: &[], fields: &[("stats-dump", Treatment::OfDump), ("stats-restore", Treatment::OfDump)] };

/// Compares statistics of the dump.
pub(super) fn statistics(pair: &Pair<'_>) -> Comparison {
    compare(pair, STATISTICS, &["stats-dump", "stats-restore"])
}

fn compare(pair: &Pair<'_>, rules: Rules, kinds: &[&str]) -> Comparison {
    let mut found = Comparison::default();
    let (before, after) =
        (read(pair, Side::Before, kinds, &mut found), read(pair, Side::After, kinds, &mut found));
    let mut a = Map::new();
    let mut b = Map::new();
    for (name, first) in before.iter().chain(after.iter().filter(|(name, _)| !before.contains_key(*name))) {
        let second = after.get(name).unwrap_or(&Some(Value::Null));
        let first = if before.contains_key(name) { first } else { &Some(Value::Null) };
        // What cannot be read on one side is told, and not compared.
        if let (Some(first), Some(second)) = (first, second) {
            a.insert(name.clone(), first.clone());
            b.insert(name.clone(), second.clone());
        }
    }
    let walked = Walk::new(rules, pair).compare("", &Value::Object(a), &Value::Object(b));
    found.changes = walked.changes;
    found.same = walked.same;
    found
}

/// Records of the images of these kinds, by kind; `None` where one cannot be read. Of several namespaces
/// the second is `netdev#2`.
fn read(
    pair: &Pair<'_>,
    side: Side,
    kinds: &[&str],
    found: &mut Comparison,
) -> BTreeMap<String, Option<Value>> {
    let checkpoint = pair.side(side);
    let mut all = BTreeMap::new();
    for kind in kinds {
        let mut images: Vec<(u64, Name)> =
            checkpoint.names().iter().filter_map(|name| number(name, kind)).collect();
        images.sort();
        for (at, (_, name)) in images.iter().enumerate() {
            let value =
                decode(checkpoint, &name.to_string()).map_err(|issue| found.issues.push((side, issue)));
            let called = if at == 0 { (*kind).to_owned() } else { format!("{kind}#{}", at + 1) };
            all.insert(called, value.ok());
        }
    }
    // Beside the images, at the top.
    for kind in kinds.iter().filter(|kind| kind.starts_with("stats-")) {
        if let Ok(Some(bytes)) = checkpoint.top(kind) {
            let value = records(kind, &bytes).map_err(|issue| found.issues.push((side, issue)));
            all.insert((*kind).to_owned(), value.ok());
        }
    }
    all
}

/// The number in the name of an image of a kind: `netdev-10.img`, `inventory.img`.
fn number(name: &[u8], kind: &str) -> Option<(u64, Name)> {
    let rest = name.strip_prefix(kind.as_bytes())?;
    let number = match rest {
        b".img" | b"" => 0,
        rest => crate::interest::number_in(rest, b"-", b".img")?,
    };
    Some((number, Name::from(name)))
}

fn decode(checkpoint: &Checkpoint, name: &str) -> Result<Value, Issue> {
    let bytes = ImageSet::get(checkpoint, name).map_err(|error| Issue::unreadable(name, &error))?;
    let bytes = bytes.ok_or_else(|| Issue::missing(name))?;
    records(name, &bytes)
}

/// The records of an image as JSON.
fn records(name: &str, bytes: &[u8]) -> Result<Value, Issue> {
    if bytes.len() > MAX_IMAGE {
        return Err(Issue::new(name, "not-compared", "the image is very large"));
    }
    let mut list = entries(name, bytes)?;
    // Most kinds have one record.
    Ok(match list.len() {
        1 if !is_list(name) => list.swap_remove(0),
        _ => list.into(),
    })
}

/// The records of an image, one by one.
pub(super) fn entries(name: &str, bytes: &[u8]) -> Result<Vec<Value>, Issue> {
    let image = Image::parse(name.as_bytes(), bytes).map_err(|error| Issue::from(&error))?;
    let json = ImageJson::new(image, JsonOptions { pretty: true, payload: Payload::Full });
    let mut text = Vec::new();
    // Writing to memory cannot fail, and what was written is JSON.
    let written = to_writer(&mut text, &json, Style::Line);
    if let Some(error) = json.problems().0.first() {
        return Err(Issue::from(error));
    }
    let parsed = written.ok().and_then(|()| serde_json::from_slice::<Value>(&text).ok());
    match parsed.and_then(|mut value| value.get_mut("entries").map(Value::take)) {
        Some(Value::Array(list)) => Ok(list),
        _ => Ok(Vec::new()),
    }
}

/// Kinds of which an image has a record for each thing.
fn is_list(name: &str) -> bool {
    ["ipcns-shm", "ipcns-msg", "ipcns-sem", "netdev"].iter().any(|kind| name.starts_with(kind))
}
