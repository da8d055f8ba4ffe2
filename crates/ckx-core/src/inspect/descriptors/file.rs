//! An open file: what a descriptor refers to.

use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::sockets::Socket;
use crate::{Address, Name};

/// An open file. Descriptors with the same file id share it: its position, its flags.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OpenFile {
    /// File id; counts in this dump only.
    pub file_id: u32,
    /// Type, in CRIU's words (`REG`, `PIPE`, …); a number if CRIU has none for it.
    #[serde(rename = "type")]
    pub kind: String,
    /// What `/proc/PID/fd` shows: a path, `pipe:[123]`, `anon_inode:[eventfd]`. `None` when its record is
    /// not there.
    pub name: Option<Name>,
    /// Flags of `open(2)`, the access mode first. Empty where they are not stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Place in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_bytes: Option<u64>,
    /// Who is told of its events by a signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_owner: Option<SignalOwner>,
    /// What is particular to its type, under the name it has in `files.img`.
    #[serde(flatten)]
    pub details: Option<Details>,
}

/// Who is told of events of a file by a signal: `F_SETOWN`, `F_SETSIG`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SignalOwner {
    /// Process, process group or thread.
    pub pid: u32,
    /// What `pid` means: `thread`, `process`, `group`, or a number.
    pub pid_type: String,
    /// The signal; `None` for the usual one, which is `SIGIO`.
    pub signal: Option<String>,
    /// User whose right to send it is checked.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
}

/// What is particular to a type of files.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Details {
    /// A regular file, a directory, a device: anything with a path.
    Reg(Regular),
    /// An end of a pipe.
    Pipe(Pipe),
    /// A named pipe.
    Fifo(Pipe),
    /// A socket of any family.
    Socket(Box<Socket>),
    /// An eventfd.
    #[serde(rename = "efd")]
    Eventfd(Eventfd),
    /// An epoll set.
    #[serde(rename = "epfd")]
    Epoll(Epoll),
    /// An inotify instance.
    #[serde(rename = "ify")]
    Inotify(Inotify),
    /// A fanotify group.
    #[serde(rename = "ffy")]
    Fanotify(Fanotify),
    /// A signalfd.
    #[serde(rename = "sgfd")]
    Signalfd(Signalfd),
    /// A timerfd.
    #[serde(rename = "tfd")]
    Timerfd(Timerfd),
    /// A terminal.
    Tty(Terminal),
    /// A tun or tap device.
    #[serde(rename = "tunf")]
    Tun(Tun),
    /// A namespace that is held open.
    #[serde(rename = "nsf")]
    Namespace(Namespace),
    /// A memory file.
    Memfd(Memfd),
    /// A BPF map.
    Bpf(BpfMap),
    /// A process that is held open.
    Pidfd(Pidfd),
    /// A file that a plugin of CRIU takes care of.
    Ext(External),
}

/// A file with a path.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Regular {
    /// Its path in the mount namespace; of a deleted file the path it had, of an external one its key.
    pub path: Name,
    /// Its mount, as in the `mounts` section.
    pub mount_id: Option<i32>,
    /// Size at the dump.
    pub size_bytes: Option<u64>,
    /// Type and permissions, as of `stat(2)`.
    pub mode: Option<u32>,
    /// Whether whoever restores provides it.
    pub is_external: bool,
    /// Build id of an ELF file, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// How it is kept, if it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<RemovedFile>,
}

/// How a deleted file is kept.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RemovedFile {
    /// `linked`, `ghost`, `procfs`, or a number.
    pub remap_type: String,
    /// What it refers to: a file id, a ghost's number, a process.
    pub remap_id: u32,
    /// Path of the hard link that was made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Name>,
    /// The ghost file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ghost: Option<Ghost>,
}

/// A deleted file whose content is in the checkpoint.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Ghost {
    /// Name of its image.
    pub image: String,
    /// Size of its content, holes included.
    pub size_bytes: Option<u64>,
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Target, of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symlink_target: Option<Name>,
}

/// A pipe, with a name or without.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Pipe {
    /// Its number; both ends have the same.
    pub pipe_id: u32,
    /// Its path, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Name>,
    /// `read`, `write` or `both`; `None` when that is not stored.
    pub end: Option<&'static str>,
    /// Bytes written and not read. `None` when its content is not in the checkpoint.
    pub pending_bytes: Option<u64>,
    /// How many bytes it can hold.
    pub capacity_bytes: Option<u64>,
    /// Whether each write is read as a packet (`O_DIRECT`).
    pub is_packet_mode: bool,
}

/// An eventfd. Whether it is a semaphore is not stored.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Eventfd {
    /// Its counter.
    pub counter: u64,
}

/// An epoll set.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Epoll {
    /// What it watches.
    pub targets: Vec<EpollTarget>,
}

/// A file that an epoll set watches.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EpollTarget {
    /// Descriptor number when it was added. It may mean another file by now.
    pub fd: u32,
    /// Events, such as `EPOLLIN`.
    pub events: Vec<String>,
    /// What the program is given back with an event.
    pub data: Address,
    /// Inode number of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
}

/// An inotify instance.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Inotify {
    /// What it watches.
    pub watches: Vec<Watch>,
}

/// A file that an inotify instance watches.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Watch {
    /// Number of the watch.
    pub wd: u32,
    /// Events, such as `IN_MODIFY`.
    pub events: Vec<String>,
    /// The file.
    #[serde(flatten)]
    pub file: Handle,
}

/// A file by number, as notification files know it.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Handle {
    /// A path that leads to it, if one was found.
    pub path: Option<Name>,
    /// Inode number.
    pub inode: Option<u64>,
    /// Device of its file system, as `MAJOR:MINOR`.
    pub device: String,
    /// The mount, if marked as a whole or known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_id: Option<u32>,
    /// Bytes of its handle, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
}

/// A fanotify group.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Fanotify {
    /// Flags of `fanotify_init(2)`.
    pub flags: Vec<String>,
    /// Open flags of the descriptors in its events.
    pub event_flags: Vec<String>,
    /// What it watches.
    pub marks: Vec<Mark>,
}

/// A file or a mount that a fanotify group watches.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Mark {
    /// `inode`, `mount`, or a number.
    #[serde(rename = "type")]
    pub kind: String,
    /// Events, such as `FAN_OPEN`.
    pub events: Vec<String>,
    /// Events that are passed over.
    pub ignored: Vec<String>,
    /// Flags of the mark.
    pub flags: Vec<String>,
    /// The file or mount.
    #[serde(flatten)]
    pub file: Handle,
}

/// A signalfd.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Signalfd {
    /// Signals that are read from it.
    pub signals: Vec<String>,
}

/// A timerfd.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Timerfd {
    /// Its clock, such as `CLOCK_MONOTONIC`.
    pub clock: String,
    /// Expirations not read yet.
    pub ticks: u64,
    /// How it was set.
    pub settime_flags: Vec<String>,
    /// Time left in nanoseconds; 0 when it is not set.
    pub value_ns: u64,
    /// Time between expirations in nanoseconds; 0 for one only.
    pub interval_ns: u64,
}

/// A terminal.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Terminal {
    /// Number of its record in `tty-info.img`.
    pub tty_info_id: u32,
    /// Path it was opened by.
    pub path: Option<Name>,
    /// Its state; `None` when its record is not there.
    pub info: Option<TerminalInfo>,
}

/// State of a terminal.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TerminalInfo {
    /// `pty`, `console`, `vt`, `ctty`, `external`, `serial`, `unknown`, or a number.
    #[serde(rename = "type")]
    pub kind: String,
    /// Number in `/dev/pts`.
    pub pty_index: Option<u32>,
    /// Whether it is the master of a pty.
    pub is_master: bool,
    /// Device, as `MAJOR:MINOR`.
    pub device: String,
    /// Session that it controls; 0 for none.
    pub sid: u32,
    /// Process group in the foreground; 0 for none.
    pub pgrp: u32,
    /// Size in characters.
    pub rows: Option<u32>,
    /// Size in characters.
    pub columns: Option<u32>,
    /// Bytes that wait at this side.
    pub pending_bytes: u64,
    /// Whether the pty is locked.
    pub is_locked: bool,
    /// Whether nobody else may open it.
    pub is_exclusive: bool,
    /// Whether its master reads packets.
    pub is_packet_mode: bool,
    /// Its settings.
    pub termios: Option<Termios>,
}

/// Settings of a terminal.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Termios {
    /// Input modes.
    pub c_iflag: u32,
    /// Output modes.
    pub c_oflag: u32,
    /// Control modes.
    pub c_cflag: u32,
    /// Local modes.
    pub c_lflag: u32,
    /// Input speed in baud.
    pub c_ispeed: u32,
    /// Output speed in baud.
    pub c_ospeed: u32,
    /// The usual settings by the words of `stty`: a `-` before those that are off.
    pub settings: Vec<String>,
}

/// A tun or tap device.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Tun {
    /// Name of the device; `None` while it is none yet.
    pub device: Option<Name>,
    /// Whether this queue is detached from it.
    pub is_detached: bool,
    /// Network namespace.
    pub net_namespace: Option<u32>,
}

/// A namespace that is held open.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Namespace {
    /// Kind, in the words of `/proc/PID/ns`; or its `CLONE_NEW*` number.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its number in this dump.
    pub ns_id: u32,
}

/// A memory file.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Memfd {
    /// Number of its record in `memfd.img`.
    pub inode_id: u32,
    /// What it holds; `None` when its record is not there.
    pub inode: Option<MemfdInode>,
}

/// Content of a memory file.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MemfdInode {
    /// The name it was made with.
    pub name: Name,
    /// Size.
    pub size_bytes: u64,
    /// Number in the name of its page map, `pagemap-shmem-N.img`.
    pub shmid: u32,
    /// Seals, such as `F_SEAL_WRITE`.
    pub seals: Vec<String>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Type and permissions.
    pub mode: Option<u32>,
    /// Page size of huge pages, as flag of `memfd_create(2)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugetlb_flag: Option<u32>,
}

/// A BPF map.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BpfMap {
    /// Kind, such as `hash`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its number in this dump.
    pub map_id: u32,
    /// Its name; empty for none.
    pub name: Name,
    /// Size of a key.
    pub key_size_bytes: u32,
    /// Size of a value.
    pub value_size_bytes: u32,
    /// How many entries it can hold.
    pub max_entries: u32,
    /// Entries that are stored; `None` when its content is not in the checkpoint.
    pub entries: Option<u32>,
    /// Flags it was made with.
    pub map_flags: u32,
    /// Whether programs can no longer write to it.
    pub is_frozen: bool,
}

/// A process that is held open.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Pidfd {
    /// The process; `None` when it was dead.
    pub pid: Option<i32>,
    /// Inode number; of dead processes equal ones mean the same.
    pub inode: u32,
}

/// A file that a plugin of CRIU takes care of.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct External {}
