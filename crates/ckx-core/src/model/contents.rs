//! What other images tell of open files: data that waits in them, terminals, deleted files.

use std::collections::HashMap;

use ckx_criu::typed::Record;
use ckx_criu::typed::messages::{
    BpfmapDataEntry, GhostFileEntry, PipeDataEntry, RemapFilePathEntry, RemapType, SkPacketEntry,
    TcpStreamEntry, TtyDataEntry, TtyInfoEntry,
};

use crate::load::Loader;
use crate::{ImageSet, Issue};

/// Everything that is told of open files outside of their own records.
#[derive(Debug)]
pub struct Contents {
    pipes: HashMap<u32, PipeDataEntry>,
    fifos: HashMap<u32, PipeDataEntry>,
    queues: HashMap<u32, Queue>,
    streams: HashMap<u32, TcpStreamEntry>,
    terminals: HashMap<u32, TtyInfoEntry>,
    terminal_bytes: HashMap<u32, u64>,
    removed: HashMap<u32, Removed>,
    maps: HashMap<u32, BpfmapDataEntry>,
    /// What is missing or broken in these images.
    pub issues: Vec<Issue>,
}

/// What waits to be received from a unix socket.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    /// Packets; of stream sockets the pieces they were stored in.
    pub packets: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// File ids of descriptors that were sent along and not received.
    pub files: Vec<u32>,
}

/// How a file that has no name any more is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Removed {
    /// A hard link beside it, by its file id.
    Linked(u32),
    /// In a ghost file with this number.
    Ghost(u32, Option<Box<GhostFileEntry>>, Option<u64>),
    /// It belongs to `/proc` of this process, which is dead.
    Procfs(u32),
    /// In a way that is not known: its number and the id.
    Unknown(i32, u32),
}

/// Of images without a type of removal: marks a ghost.
const OLD_GHOST: u32 = 0x8000_0000;

/// What waits in unix sockets.
pub(crate) const QUEUES: &str = "sk-queues.img";

const REMAP: &str = "remap-fpath.img";

impl Contents {
    /// Reads all of it.
    pub(crate) fn read(images: &dyn ImageSet) -> Self {
        let mut loader = Loader::new(images);
        let by_pipe = |data: &PipeDataEntry| data.pipe_id;
        let mut contents = Self {
            pipes: map(&mut loader, "pipes-data.img", by_pipe),
            fifos: map(&mut loader, "fifo-data.img", by_pipe),
            queues: queues(&mut loader),
            streams: streams(images, &mut loader),
            terminals: map(&mut loader, "tty-info.img", |info: &TtyInfoEntry| info.id),
            terminal_bytes: HashMap::new(),
            removed: removed(&mut loader),
            maps: map(&mut loader, "bpfmap-data.img", |data: &BpfmapDataEntry| data.map_id),
            issues: Vec::new(),
        };
        if let Ok(data) = loader.records_if_any::<TtyDataEntry>("tty-data.img") {
            for data in data.entries {
                let bytes = contents.terminal_bytes.entry(data.tty_id).or_default();
                *bytes = bytes.saturating_add(data.data.len() as u64);
            }
        }
        contents.issues = loader.into_issues();
        contents
    }

    /// What waits in the pipe with this number.
    pub fn pipe(&self, pipe_id: u32) -> Option<&PipeDataEntry> {
        self.pipes.get(&pipe_id)
    }

    /// What waits in the named pipe with this number.
    pub fn fifo(&self, pipe_id: u32) -> Option<&PipeDataEntry> {
        self.fifos.get(&pipe_id)
    }

    /// What waits to be received from the unix socket with this file id.
    pub fn queue(&self, file_id: u32) -> Option<&Queue> {
        self.queues.get(&file_id)
    }

    /// All receive queues, by the file id of their socket.
    pub fn queues(&self) -> impl Iterator<Item = (u32, &Queue)> {
        self.queues.iter().map(|(id, queue)| (*id, queue))
    }

    /// State and queues of the TCP connection with this inode number.
    pub fn stream(&self, ino: u32) -> Option<&TcpStreamEntry> {
        self.streams.get(&ino)
    }

    /// The terminal with this number.
    pub fn terminal(&self, id: u32) -> Option<&TtyInfoEntry> {
        self.terminals.get(&id)
    }

    /// All terminals, in no order.
    pub fn terminals(&self) -> impl Iterator<Item = &TtyInfoEntry> {
        self.terminals.values()
    }

    /// Bytes that wait at this side of a terminal.
    pub fn terminal_bytes(&self, id: u32) -> u64 {
        self.terminal_bytes.get(&id).copied().unwrap_or_default()
    }

    /// How the regular file with this id is kept, if it has no name any more.
    pub fn removed(&self, file_id: u32) -> Option<&Removed> {
        self.removed.get(&file_id)
    }

    /// The stored content of a BPF map.
    pub fn bpf_map(&self, map_id: u32) -> Option<&BpfmapDataEntry> {
        self.maps.get(&map_id)
    }
}

/// The records of an image that need not be there, by a number of theirs. The first with it counts.
fn map<M: Record>(loader: &mut Loader<'_>, image: &str, key: impl Fn(&M) -> u32) -> HashMap<u32, M> {
    let mut found = HashMap::new();
    if let Ok(records) = loader.records_if_any::<M>(image) {
        for record in records.entries {
            found.entry(key(&record)).or_insert(record);
        }
    }
    found
}

fn queues(loader: &mut Loader<'_>) -> HashMap<u32, Queue> {
    let mut queues: HashMap<u32, Queue> = HashMap::new();
    if let Ok(records) = loader.records_if_any::<SkPacketEntry>(QUEUES) {
        for packet in records.entries {
            let queue = queues.entry(packet.id_for).or_default();
            queue.packets += 1;
            queue.bytes = queue.bytes.saturating_add(packet.length.into());
            queue.files.extend(packet.scm.iter().flat_map(|scm| scm.rights.iter().copied()));
        }
    }
    queues
}

/// All streams: their images have the inode number in their names.
fn streams(images: &dyn ImageSet, loader: &mut Loader<'_>) -> HashMap<u32, TcpStreamEntry> {
    let mut streams = HashMap::new();
    for name in images.names() {
        let Some(ino) = hexadecimal(&name, b"tcp-stream-") else { continue };
        let Ok(name) = std::str::from_utf8(&name) else { continue };
        if let Ok(stream) = loader.first(name) {
            streams.insert(ino, stream);
        }
    }
    streams
}

/// The number in `PREFIX` number `.img`.
fn hexadecimal(name: &[u8], prefix: &[u8]) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(b".img")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn removed(loader: &mut Loader<'_>) -> HashMap<u32, Removed> {
    let mut found = HashMap::new();
    let Ok(records) = loader.records_if_any::<RemapFilePathEntry>(REMAP) else { return found };
    let mut ghosts: HashMap<u32, Removed> = HashMap::new();
    for remap in records.entries {
        let id = remap.remap_id;
        let mut ghost = |id| ghosts.entry(id).or_insert_with(|| ghost(loader, id)).clone();
        let kept = match remap.remap_type.map(RemapType::try_from) {
            Some(Ok(RemapType::Linked)) => Removed::Linked(id),
            Some(Ok(RemapType::Ghost)) => ghost(id),
            Some(Ok(RemapType::Procfs)) => Removed::Procfs(id),
            Some(Err(_)) => Removed::Unknown(remap.remap_type.unwrap_or_default(), id),
            None if id & OLD_GHOST != 0 => ghost(id & !OLD_GHOST),
            None => Removed::Linked(id),
        };
        found.entry(remap.orig_id).or_insert(kept);
    }
    found
}

/// A ghost file with its head, and the size of its content as far as that is known.
fn ghost(loader: &mut Loader<'_>, id: u32) -> Removed {
    match ghost_head(loader, &format!("ghost-file-{id:x}.img")) {
        Some((head, size)) => Removed::Ghost(id, Some(Box::new(head)), size),
        None => Removed::Ghost(id, None, None),
    }
}

fn ghost_head(loader: &mut Loader<'_>, name: &str) -> Option<(GhostFileEntry, Option<u64>)> {
    let bytes = loader.bytes(name).ok()?;
    let image = loader.image(name, &bytes).ok()?;
    let Some(first) = image.entries().next() else {
        loader.tell(Issue::new(name, "no-record", "the image has no record"));
        return None;
    };
    let decoded =
        first.and_then(|entry| Ok((entry.decode::<GhostFileEntry>()?, entry.extra().content_len())));
    match decoded {
        Ok((head, behind)) => {
            // Content that is not in chunks lies behind the head, to the end of the file.
            let in_chunks = head.chunks == Some(true);
            let size = head.size.or((!in_chunks).then_some(behind as u64));
            Some((head, size))
        }
        Err(error) => {
            loader.tell(Issue::from(&error));
            None
        }
    }
}
