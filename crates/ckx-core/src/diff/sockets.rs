//! `sockets`: by their addresses where they are connected or bound, else by who holds them.

use serde_json::Value;

use crate::diff::change::Mark;
use crate::diff::rules::{Key, ListRule, Rules, Treatment};
use crate::diff::sections::{self, ISSUES};
use crate::diff::waiting::Waiting;
use crate::diff::{Comparison, Pair, Pairing, Side};
use crate::inspect::sockets::Sockets;

const RULES: Rules = Rules {
    lists: &[
        ListRule { at: "sockets", key: Key::Fields(&["called"]), shown: "socket" },
        ListRule { at: "held_by", key: Key::Position, shown: "" },
    ],
    fields: &[
        ISSUES,
        ("called", Treatment::Skip),
        // Numbers of the dump or of the host's kernel.
        ("file_id", Treatment::Skip),
        ("inode", Treatment::Skip),
        ("peer_inode", Treatment::Skip),
        ("net_namespace", Treatment::Skip),
        // The clock of the connection.
        ("connection.timestamp", Treatment::OfDump),
    ],
};

pub(super) fn compare(pair: &Pair<'_>) -> Comparison {
    let mut found = sections::prepared::<Sockets>(pair, RULES, call);
    // Who holds a socket is part of its name, and may not be known.
    if !found.issues.is_empty() {
        found
            .changes
            .retain(|change| matches!(change.mark, Mark::Changed | Mark::Same) || !is_whole(&change.path));
    }
    found
}

/// Whether a path is that of a socket, not of something in it.
fn is_whole(path: &str) -> bool {
    path.starts_with("socket[") && path.ends_with(']')
}

/// Gives each socket the name by which it is found on the other side.
fn call(report: &mut Value, side: Side, pair: &Pair<'_>) {
    let waiting = Waiting::of(pair.side(side));
    let sockets = report.get_mut("sockets").and_then(Value::as_array_mut);
    for socket in sockets.into_iter().flatten() {
        let called = name(socket, side, pair.pairing);
        waiting.add_to_socket(pair.side(side), socket);
        if let Some(fields) = socket.as_object_mut() {
            fields.insert("called".to_owned(), called.into());
        }
    }
}

fn name(socket: &Value, side: Side, pairing: &Pairing) -> String {
    let text = |name: &str| socket.get(name).and_then(Value::as_str);
    let port = |name: &str| socket.get(name).and_then(Value::as_u64);
    let kind = text("protocol").or(text("family")).unwrap_or("?");
    if let (Some(address), Some(local)) = (text("local_address"), port("local_port")) {
        return match (text("peer_address"), port("peer_port")) {
            (Some(peer), Some(port)) => format!("{kind} {address}:{local} {peer}:{port}"),
            _ => format!("{kind} {address}:{local}"),
        };
    }
    let holder = socket.get("held_by").and_then(|list| list.get(0));
    let number = |name: &str| holder.and_then(|holder| holder.get(name)?.as_u64());
    match (number("pid").and_then(|pid| u32::try_from(pid).ok()), number("fd")) {
        (Some(pid), Some(fd)) => format!("{kind} {}/{fd}", pairing.name_of(pid, side)),
        _ => format!("{kind} {}", text("local_address").unwrap_or("nobody's")),
    }
}
