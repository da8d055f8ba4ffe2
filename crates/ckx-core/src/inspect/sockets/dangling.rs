//! What sockets refer to and is not in the dump.

use std::collections::BTreeSet;

use ckx_criu::typed::messages::{FdTypes, InetSkEntry, InventoryEntry};

use super::convert::TCP;
use super::words::CONNECTED;
use super::{Holders, TYPES};
use crate::load::Loader;
use crate::model::contents::QUEUES;
use crate::model::files::FILES;
use crate::{Checkpoint, ImageSet, Issue};

/// Descriptors, queues and ends without their sockets, and connections without their state.
pub(super) fn issues(checkpoint: &Checkpoint, holders: &Holders) -> Vec<Issue> {
    let files = checkpoint.files();
    if !files.is_there() {
        return Vec::new();
    }
    let mut issues = connections(checkpoint);
    let mut tell = |image: &str, code: &'static str, reason: &str, ids: BTreeSet<u32>| {
        if !ids.is_empty() {
            issues.push(Issue::listing(image, code, reason, ids.into_iter()));
        }
    };
    let is_unknown = |(kind, id): &(FdTypes, u32)| files.get(*kind, *id).is_none();
    let unknown = holders.files().filter(|file| TYPES.contains(&file.0) && is_unknown(file));
    let reason = "files that are referred to and not there, by id";
    tell(FILES, "unknown-file", reason, unknown.map(|(_, id)| id).collect());
    let queues = || checkpoint.contents().queues();
    let nowhere = queues().filter(|(socket, _)| is_unknown(&(FdTypes::Unixsk, *socket)));
    let reason = "packets of sockets that are not there, by file id";
    tell(QUEUES, "unknown-socket", reason, nowhere.map(|(socket, _)| socket).collect());
    let known: BTreeSet<u32> = files.all().map(|file| file.id).collect();
    let sent = queues().flat_map(|(_, queue)| queue.files.iter().copied());
    let reason = "files that were sent over a socket and are not there, by id";
    tell(QUEUES, "unknown-file", reason, sent.filter(|id| !known.contains(id)).collect());
    let unix = || files.all().filter_map(|file| file.usk.as_ref());
    let inodes: BTreeSet<u32> = unix().map(|socket| socket.ino).collect();
    let peers = unix().map(|socket| socket.peer).filter(|peer| *peer != 0 && !inodes.contains(peer));
    let reason = "other ends of unix sockets that are not there, by inode number";
    tell(FILES, "unknown-peer", reason, peers.collect());
    issues
}

/// Connections whose state was not dumped. With `--tcp-close` that is so by intent.
fn connections(checkpoint: &Checkpoint) -> Vec<Issue> {
    let mut loader = Loader::new(checkpoint);
    let inventory = loader.records_if_any::<InventoryEntry>("inventory.img");
    let inventory = inventory.ok().and_then(|records| records.entries.into_iter().next());
    if inventory.is_some_and(|inventory| inventory.tcp_close == Some(true)) {
        return Vec::new();
    }
    let is_connected = |socket: &&InetSkEntry| socket.proto == TCP && CONNECTED.contains(&socket.state);
    let sockets = checkpoint.files().all().filter_map(|file| file.isk.as_deref()).filter(is_connected);
    let without = sockets.map(|socket| socket.ino).filter(|ino| checkpoint.contents().stream(*ino).is_none());
    let mut without: Vec<u32> = without.collect();
    without.sort_unstable();
    without.dedup();
    let names = without.iter().map(|ino| format!("tcp-stream-{ino:x}.img"));
    // What is there and broken is told where it is read.
    let missing: Vec<String> = names.filter(|name| matches!(checkpoint.get(name), Ok(None))).collect();
    let listed = missing.iter().take(MAX_TOLD).map(|name| Issue::missing(name));
    let mut issues: Vec<Issue> = listed.collect();
    if missing.len() > MAX_TOLD {
        let reason = format!("the state of {} more connections is missing", missing.len() - MAX_TOLD);
        issues.push(Issue::new("tcp-stream", "missing", reason));
    }
    issues
}

/// Connections without state that are told one by one.
const MAX_TOLD: usize = 16;
