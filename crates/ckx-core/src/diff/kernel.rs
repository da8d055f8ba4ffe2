//! `locks`, `mounts`, `network`: what the kernel held for the container.

use serde_json::Value;

use crate::diff::rules::{Key, ListRule, Rules, Treatment};
use crate::diff::sections::{self, ISSUES};
use crate::diff::{Comparison, Pair, decoded};
use crate::inspect;

const LOCKS: Rules = Rules {
    lists: &[ListRule { at: "locks", key: Key::Fields(&["called"]), shown: "lock" }],
    // A number of the descriptor is told with the descriptors.
    fields: &[ISSUES, ("called", Treatment::Skip), ("fd", Treatment::Skip)],
};

/// Compares locks, by their process, their file and their first byte.
pub(super) fn locks(pair: &Pair<'_>) -> Comparison {
    sections::prepared::<inspect::locks::Locks>(pair, LOCKS, |report, side, pair| {
        for lock in list(report, "locks") {
            let pid = lock.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok());
            let holder = pid.map_or_else(|| "?".to_owned(), |pid| pair.pairing.name_of(pid, side));
            let file = lock.get("file").or(lock.get("fd")).map_or_else(String::new, plain);
            let start = lock.get("start_bytes").map_or_else(String::new, plain);
            if let Some(fields) = lock.as_object_mut() {
                fields.insert("called".to_owned(), format!("{holder} {file} {start}").into());
            }
        }
    })
}

const MOUNTS: Rules = Rules {
    lists: &[ListRule { at: "mounts", key: Key::Fields(&["mountpoint"]), shown: "mount" }],
    fields: &[
        ISSUES,
        ("id", Treatment::Skip),
        // Numbers of the host's kernel.
        ("mnt_id", Treatment::Skip),
        ("parent_mnt_id", Treatment::Skip),
        ("root_dev", Treatment::Skip),
        ("shared_id", Treatment::Skip),
        ("master_id", Treatment::Skip),
        // What follows from other mounts, and from the specification, which is compared by itself.
        ("depth", Treatment::Skip),
        ("declared", Treatment::Skip),
        ("missing", Treatment::Skip),
    ],
};

/// Compares mounts by their place.
pub(super) fn mounts(pair: &Pair<'_>) -> Comparison {
    sections::prepared::<inspect::mounts::Mounts>(pair, MOUNTS, |report, _, _| first_at_top(report))
}

const NETWORK: Rules = Rules {
    lists: &[
        ListRule { at: "addresses", key: Key::Fields(&["link", "address"]), shown: "address" },
        ListRule { at: "routes", key: Key::Fields(&["table", "destination", "link"]), shown: "route" },
        ListRule { at: "rules", key: Key::Fields(&["priority", "family", "from", "to"]), shown: "rule" },
        ListRule { at: "conntrack", key: Key::Fields(CONNECTION), shown: "" },
    ],
    fields: &[
        ISSUES,
        ("id", Treatment::Skip),
        // Compared as they decode, with all their settings.
        ("links", Treatment::Skip),
        ("ext_key", Treatment::Skip),
        // The link is told by its name.
        ("addresses.ifindex", Treatment::Skip),
    ],
};

const CONNECTION: &[&str] = &["protocol", "source", "source_port", "destination", "destination_port"];

/// Compares network namespaces. Devices and settings as they decode: the section tells few of them.
pub(super) fn network(pair: &Pair<'_>) -> Comparison {
    let mut found = decoded::network(pair);
    let told = sections::prepared::<inspect::network::NetworkReport>(pair, NETWORK, |report, _, _| {
        for namespace in list(report, "namespaces") {
            for name in ["iptables", "ip6tables", "nftables"] {
                firewall(namespace.get_mut(name));
            }
        }
        first_at_top(report);
    });
    found.changes.extend(told.changes);
    found.same += told.same;
    for issue in told.issues {
        if !found.issues.contains(&issue) {
            found.issues.push(issue);
        }
    }
    found
}

/// The text of a firewall without its comments: they have the time of the dump.
fn firewall(value: Option<&mut Value>) {
    let Some(value) = value else { return };
    let Some(Value::Array(mut lines)) = value.get_mut("lines").map(Value::take) else { return };
    lines.retain(|line| !line.as_str().is_some_and(|line| line.starts_with('#')));
    *value = lines.into();
}

/// Puts what is in the first namespace to the top, and the others beside it by their place: their numbers
/// are those of the dump.
fn first_at_top(report: &mut Value) {
    let Some(fields) = report.as_object_mut() else { return };
    let Some(Value::Array(namespaces)) = fields.remove("namespaces") else { return };
    for (at, namespace) in namespaces.into_iter().enumerate() {
        match namespace {
            Value::Object(inside) if at == 0 => fields.extend(inside),
            other => _ = fields.insert(format!("namespace#{}", at + 1), other),
        }
    }
}

fn list<'v>(value: &'v mut Value, name: &str) -> impl Iterator<Item = &'v mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
