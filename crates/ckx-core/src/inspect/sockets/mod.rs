//! `sockets`: all sockets, as `ss` would have listed them.

mod convert;
mod dangling;
mod socket;
mod text;
mod words;

pub(crate) use convert::socket;
pub use socket::*;

use std::collections::{BTreeMap, HashMap, HashSet};

use ckx_criu::typed::messages::{FdTypes, FileEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::outline::Outline;
use crate::{Checkpoint, Issue};

/// All sockets.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sockets {
    /// Sockets: those that listen first, then by family, state and address.
    pub sockets: Vec<HeldSocket>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A socket with the descriptors that refer to it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HeldSocket {
    /// The socket.
    #[serde(flatten)]
    pub socket: Socket,
    /// Who has it open. A descriptor table that processes share counts for the first of them.
    pub held_by: Vec<Holder>,
    /// File id of the unix socket that it waits in, when it was sent and not received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight_to: Option<u32>,
}

/// A descriptor of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its descriptor.
    pub fd: u32,
}

impl Collect for Sockets {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let holders = Holders::of(checkpoint);
        let mut in_flight: HashMap<u32, u32> = HashMap::new();
        for (socket, queue) in checkpoint.contents().queues() {
            in_flight.extend(queue.files.iter().map(|file| (*file, socket)));
        }
        let waiting = waiting(checkpoint);
        let mut sockets: Vec<HeldSocket> = all(checkpoint)
            .filter_map(|(kind, file)| {
                let mut socket = socket(checkpoint, kind, file)?;
                if let (Some(unix), Some(inode)) = (&socket.unix, socket.inode) {
                    socket.peer_address = waiting.name_of(unix.peer_inode);
                    if socket.state.as_deref() == Some("LISTEN") {
                        socket.pending_connections = Some(waiting.connections_to(inode));
                    }
                }
                let held_by = holders.of_file(kind, file.id);
                let in_flight_to = in_flight.get(&file.id).copied();
                Some(HeldSocket { socket, held_by, in_flight_to })
            })
            .filter(|socket| checkpoint.options().pids.is_none() || !socket.held_by.is_empty())
            .collect();
        sockets.sort_by_cached_key(order);
        let mut issues = checkpoint.processes().issues.clone();
        issues.extend(checkpoint.descriptors().issues.iter().cloned());
        issues.extend(checkpoint.files().issues().iter().cloned());
        issues.extend(checkpoint.contents().issues.iter().cloned());
        issues.extend(dangling::issues(checkpoint, &holders));
        Self { sockets, issues }
    }

    fn outline(&self) -> Outline {
        text::outline(self)
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// Types of files that are sockets.
const TYPES: [FdTypes; 4] = [FdTypes::Inetsk, FdTypes::Unixsk, FdTypes::Packetsk, FdTypes::Netlinksk];

/// Entries of sockets with their types.
fn all(checkpoint: &Checkpoint) -> impl Iterator<Item = (FdTypes, &FileEntry)> {
    checkpoint.files().all().filter_map(|file| {
        let kind = FdTypes::try_from(file.r#type).ok().filter(|kind| TYPES.contains(kind))?;
        Some((kind, file))
    })
}

/// What is shown first: IP, then unix sockets with a name, then the others.
fn order(held: &HeldSocket) -> impl Ord + use<> {
    let socket = &held.socket;
    let family = match socket.family.as_str() {
        "inet" | "inet6" => 0,
        "unix" => 1,
        "netlink" => 2,
        _ => 3,
    };
    let state = match socket.state.as_deref() {
        Some("LISTEN") => 0,
        Some("UNCONN") => 2,
        _ => 1,
    };
    let is_nameless = socket.local_address.is_none();
    let protocol = socket.protocol.clone();
    (family, state, is_nameless, protocol, socket.local_port, socket.local_address.clone(), socket.file_id)
}

/// Which descriptors refer to which files.
pub(crate) struct Holders(HashMap<(i32, u32), Vec<Holder>>);

impl Holders {
    /// Those of the processes that are asked for.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let mut holders: HashMap<(i32, u32), Vec<Holder>> = HashMap::new();
        let mut seen = HashSet::new();
        for process in checkpoint.processes().list.iter().filter(|each| checkpoint.wants(each.pid)) {
            let Some(table) = checkpoint.descriptors().of(process) else { continue };
            if seen.insert(table.files_id) {
                for entry in table.entries.iter() {
                    let holder = Holder { pid: process.pid, fd: entry.fd };
                    holders.entry((entry.r#type, entry.id)).or_default().push(holder);
                }
            }
        }
        Self(holders)
    }

    /// All files that descriptors refer to, by type and id; those of unknown types are left out.
    fn files(&self) -> impl Iterator<Item = (FdTypes, u32)> {
        self.0.keys().filter_map(|(kind, id)| Some((FdTypes::try_from(*kind).ok()?, *id)))
    }

    /// The descriptors that refer to a file.
    pub fn of_file(&self, kind: FdTypes, id: u32) -> Vec<Holder> {
        self.0.get(&(kind.into(), id)).cloned().unwrap_or_default()
    }
}

/// Unix sockets by inode number.
struct Waiting {
    names: BTreeMap<u32, Option<crate::Name>>,
    connections: HashMap<u32, u64>,
}

fn waiting(checkpoint: &Checkpoint) -> Waiting {
    let mut waiting = Waiting { names: BTreeMap::new(), connections: HashMap::new() };
    for socket in checkpoint.files().all().filter_map(|file| file.usk.as_ref()) {
        waiting.names.insert(socket.ino, convert::unix_name(&socket.name));
        if socket.peer != 0 && socket.state == words::ESTABLISHED {
            *waiting.connections.entry(socket.peer).or_default() += 1;
        }
    }
    waiting
}

impl Waiting {
    fn name_of(&self, inode: u32) -> Option<crate::Name> {
        self.names.get(&inode).cloned().flatten()
    }

    /// A connection not yet accepted has the listener as its other end.
    fn connections_to(&self, inode: u32) -> u64 {
        self.connections.get(&inode).copied().unwrap_or_default()
    }
}
