//! From records to open files.

use ckx_criu::ByteOrder;
use ckx_criu::typed::messages::{
    BpfmapFileEntry, FdTypes, FileEntry, FownEntry, MemfdFileEntry, PipeDataEntry, PipeEntry, RegFileEntry,
};

use super::file::{
    BpfMap, Details, Eventfd, External, Ghost, Memfd, MemfdInode, Namespace, OpenFile, Pidfd, Pipe, Regular,
    RemovedFile, SignalOwner, Signalfd, Timerfd, Tun,
};
use super::{events, terminal, type_name};
use crate::inspect::flags::{BPF_MAPS, CLOCKS, NAMESPACES, OpenFlags, SEALS, TIMER_SET, name_of, names};
use crate::inspect::sockets::{Socket, socket};
use crate::model::contents::Removed;
use crate::model::files::memfd_name;
use crate::{Checkpoint, Name};

/// Tells what the files of a checkpoint are.
#[derive(Debug, Clone, Copy)]
pub struct OpenFiles<'c> {
    checkpoint: &'c Checkpoint,
    flags: OpenFlags,
}

/// What a record says: name, open flags, position, owner of signals, and the rest.
struct Told<'f> {
    name: Name,
    flags: Option<u32>,
    position: Option<u64>,
    owner: Option<&'f FownEntry>,
    details: Details,
}

impl<'f> Told<'f> {
    fn new(name: impl Into<Name>, flags: u32, owner: &'f FownEntry, details: Details) -> Self {
        Self { name: name.into(), flags: Some(flags), position: None, owner: Some(owner), details }
    }
}

impl<'c> OpenFiles<'c> {
    /// Those of a checkpoint.
    pub fn new(checkpoint: &'c Checkpoint) -> Self {
        Self { checkpoint, flags: OpenFlags::of(checkpoint) }
    }

    /// The file that a descriptor of this type with this id refers to. When its record is not there it
    /// has no name.
    pub fn describe(&self, kind: i32, file_id: u32) -> OpenFile {
        let mut file = OpenFile {
            file_id,
            kind: type_name(kind),
            name: None,
            flags: Vec::new(),
            position_bytes: None,
            signal_owner: None,
            details: None,
        };
        // Of a type that is not known there can be a record all the same, by its id alone.
        let known = FdTypes::try_from(kind).unwrap_or(FdTypes::Und);
        let Some(entry) = self.checkpoint.files().get(known, file_id) else { return file };
        let Some(told) = self.told(entry, known) else { return file };
        file.name = Some(told.name);
        file.flags = told.flags.map(|flags| self.flags.names(flags)).unwrap_or_default();
        file.position_bytes = told.position;
        file.signal_owner = told.owner.and_then(|owner| self.signal_owner(owner));
        file.details = Some(told.details);
        file
    }

    fn told<'f>(&self, entry: &'f FileEntry, kind: FdTypes) -> Option<Told<'f>> {
        match kind {
            FdTypes::Reg => entry.reg.as_ref().map(|reg| self.regular(reg)),
            FdTypes::Pipe => entry.pipe.as_ref().map(|pipe| self.pipe(pipe)),
            FdTypes::Fifo => self.fifo(entry),
            FdTypes::Inetsk | FdTypes::Unixsk | FdTypes::Packetsk | FdTypes::Netlinksk => {
                self.socket(entry, kind)
            }
            FdTypes::Eventpoll => {
                let set = entry.epfd.as_ref()?;
                let details = Details::Epoll(events::epoll(set));
                Some(Told::new("anon_inode:[eventpoll]", set.flags, &set.fown, details))
            }
            FdTypes::Inotify => {
                let instance = entry.ify.as_ref()?;
                let details = Details::Inotify(events::inotify(instance, self.order()));
                Some(Told::new("anon_inode:inotify", instance.flags, &instance.fown, details))
            }
            FdTypes::Fanotify => {
                let group = entry.ffy.as_ref()?;
                let details = Details::Fanotify(events::fanotify(group, self.flags, self.order()));
                Some(Told::new("anon_inode:[fanotify]", group.flags, &group.fown, details))
            }
            FdTypes::Tty => {
                let tty = entry.tty.as_ref()?;
                let details = terminal::terminal(self.checkpoint, tty, self.flags);
                let name = details.path.clone().unwrap_or_else(|| Name::from("tty"));
                Some(Told::new(name, tty.flags, &tty.fown, Details::Tty(details)))
            }
            FdTypes::Memfd => entry.memfd.as_ref().map(|memfd| self.memfd(memfd)),
            FdTypes::Bpfmap => entry.bpf.as_ref().map(|map| self.bpf(map)),
            _ => self.small(entry, kind),
        }
    }

    /// Types with little to tell.
    fn small<'f>(&self, entry: &'f FileEntry, kind: FdTypes) -> Option<Told<'f>> {
        Some(match kind {
            FdTypes::Eventfd => {
                let file = entry.efd.as_ref()?;
                let details = Details::Eventfd(Eventfd { counter: file.counter });
                Told::new("anon_inode:[eventfd]", file.flags, &file.fown, details)
            }
            FdTypes::Signalfd => {
                let file = entry.sgfd.as_ref()?;
                let details = Details::Signalfd(Signalfd { signals: self.flags.signals(file.sigmask) });
                Told::new("anon_inode:[signalfd]", file.flags, &file.fown, details)
            }
            FdTypes::Timerfd => {
                let file = entry.tfd.as_ref()?;
                let details = Details::Timerfd(Timerfd {
                    clock: name_of(CLOCKS, file.clockid),
                    ticks: file.ticks,
                    settime_flags: names(TIMER_SET, file.settime_flags.into()),
                    value_ns: nanoseconds(file.vsec, file.vnsec),
                    interval_ns: nanoseconds(file.isec, file.insec),
                });
                Told::new("anon_inode:[timerfd]", file.flags, &file.fown, details)
            }
            FdTypes::Tunf => {
                let file = entry.tunf.as_ref()?;
                let details = Details::Tun(Tun {
                    device: file.netdev.as_ref().map(Name::from),
                    is_detached: file.detached == Some(true),
                    net_namespace: file.ns_id,
                });
                let name = Name::from("/dev/net/tun");
                Told { name, flags: None, position: None, owner: None, details }
            }
            FdTypes::Ns => {
                let file = entry.nsf.as_ref()?;
                let kind = name_of(NAMESPACES, file.ns_cflag);
                let name = Name::from(format!("{kind} namespace {}", file.ns_id));
                let details = Details::Namespace(Namespace { kind, ns_id: file.ns_id });
                Told { name, flags: Some(file.flags), position: None, owner: None, details }
            }
            FdTypes::Pidfd => {
                let file = entry.pidfd.as_ref()?;
                let pid = (file.nspid >= 0).then_some(file.nspid);
                let details = Details::Pidfd(Pidfd { pid, inode: file.ino });
                Told::new("anon_inode:[pidfd]", file.flags, &file.fown, details)
            }
            FdTypes::Ext => {
                let file = entry.ext.as_ref()?;
                let name = Name::from("external file");
                let details = Details::Ext(External {});
                Told { name, flags: None, position: None, owner: Some(&file.fown), details }
            }
            _ => return None,
        })
    }

    fn regular<'f>(&self, reg: &'f RegFileEntry) -> Told<'f> {
        let details = Details::Reg(Regular {
            path: Name::from(&reg.name),
            mount_id: reg.mnt_id.filter(|id| *id != -1),
            size_bytes: reg.size,
            mode: reg.mode,
            is_external: reg.ext == Some(true),
            build_id: build_id(&reg.build_id, self.order()),
            removed: self.removed(reg.id),
        });
        let position = (reg.pos != u64::MAX).then_some(reg.pos);
        Told { position, ..Told::new(&reg.name, reg.flags, &reg.fown, details) }
    }

    fn removed(&self, file_id: u32) -> Option<RemovedFile> {
        let removed = self.checkpoint.contents().removed(file_id)?;
        let of = |remap_type: String, remap_id| RemovedFile { remap_type, remap_id, link: None, ghost: None };
        Some(match removed {
            Removed::Linked(id) => {
                let link = self.checkpoint.files().regular(*id).map(|reg| Name::from(&reg.name));
                RemovedFile { link, ..of("linked".to_owned(), *id) }
            }
            Removed::Ghost(id, head, size_bytes) => {
                let ghost = head.as_ref().map(|head| Ghost {
                    image: format!("ghost-file-{id:x}.img"),
                    size_bytes: *size_bytes,
                    mode: head.mode,
                    uid: head.uid,
                    gid: head.gid,
                    symlink_target: head.symlnk_target.as_ref().map(Name::from),
                });
                RemovedFile { ghost, ..of("ghost".to_owned(), *id) }
            }
            Removed::Procfs(pid) => of("procfs".to_owned(), *pid),
            Removed::Unknown(number, id) => of(number.to_string(), *id),
        })
    }

    fn pipe<'f>(&self, pipe: &'f PipeEntry) -> Told<'f> {
        let data = self.checkpoint.contents().pipe(pipe.pipe_id);
        let details = Details::Pipe(self.pipe_of(pipe.pipe_id, None, Some(pipe.flags), data));
        Told::new(format!("pipe:[{}]", pipe.pipe_id), pipe.flags, &pipe.fown, details)
    }

    fn fifo<'f>(&self, entry: &'f FileEntry) -> Option<Told<'f>> {
        let fifo = entry.fifo.as_ref()?;
        // Before it named its file, a fifo had the same id as that.
        let path_id = fifo.regf_id.unwrap_or(fifo.id);
        let file = self.checkpoint.files().regular(path_id);
        let path = file.map(|reg| Name::from(&reg.name));
        let data = self.checkpoint.contents().fifo(fifo.pipe_id);
        let details =
            Details::Fifo(self.pipe_of(fifo.pipe_id, path.clone(), file.map(|reg| reg.flags), data));
        Some(Told {
            name: path.unwrap_or_else(|| Name::from(format!("fifo:[{}]", fifo.pipe_id))),
            flags: file.map(|reg| reg.flags),
            position: None,
            owner: None,
            details,
        })
    }

    fn pipe_of(
        &self,
        pipe_id: u32,
        path: Option<Name>,
        flags: Option<u32>,
        data: Option<&PipeDataEntry>,
    ) -> Pipe {
        let end = flags.map(|flags| match flags & 3 {
            0 => "read",
            1 => "write",
            _ => "both",
        });
        Pipe {
            pipe_id,
            path,
            end,
            pending_bytes: data.map(|data| data.bytes.into()),
            capacity_bytes: data.and_then(|data| data.size).map(u64::from),
            is_packet_mode: flags.is_some_and(|flags| self.flags.is_direct(flags)),
        }
    }

    fn socket<'f>(&self, entry: &'f FileEntry, kind: FdTypes) -> Option<Told<'f>> {
        let (flags, owner) = match kind {
            FdTypes::Inetsk => entry.isk.as_ref().map(|socket| (socket.flags, &socket.fown)),
            FdTypes::Unixsk => entry.usk.as_ref().map(|socket| (socket.flags, &socket.fown)),
            FdTypes::Packetsk => entry.psk.as_ref().map(|socket| (socket.flags, &socket.fown)),
            _ => entry.nlsk.as_ref().map(|socket| (socket.flags, &socket.fown)),
        }?;
        let socket: Socket = socket(self.checkpoint, kind, entry)?;
        let name = match socket.inode {
            Some(inode) => format!("socket:[{inode}]"),
            None => "socket".to_owned(),
        };
        Some(Told::new(name, flags, owner, Details::Socket(Box::new(socket))))
    }

    fn memfd<'f>(&self, memfd: &'f MemfdFileEntry) -> Told<'f> {
        let inode = self.checkpoint.files().memfd_inode(memfd.inode_id.into());
        let name = inode.map_or_else(|| Name::from("/memfd:"), |inode| memfd_name(&inode.name));
        let details = Details::Memfd(Memfd {
            inode_id: memfd.inode_id,
            inode: inode.map(|inode| MemfdInode {
                name: Name::from(&inode.name),
                size_bytes: inode.size,
                shmid: inode.shmid,
                seals: names(SEALS, inode.seals.into()),
                uid: inode.uid,
                gid: inode.gid,
                mode: inode.mode,
                hugetlb_flag: inode.hugetlb_flag,
            }),
        });
        Told { position: Some(memfd.pos), ..Told::new(name, memfd.flags, &memfd.fown, details) }
    }

    fn bpf<'f>(&self, map: &'f BpfmapFileEntry) -> Told<'f> {
        let kind = BPF_MAPS.get(map.map_type as usize);
        let details = Details::Bpf(BpfMap {
            kind: kind.map_or_else(|| map.map_type.to_string(), |name| (*name).to_owned()),
            map_id: map.map_id,
            name: Name::from(&map.map_name),
            key_size_bytes: map.key_size,
            value_size_bytes: map.value_size,
            max_entries: map.max_entries,
            entries: self.checkpoint.contents().bpf_map(map.map_id).map(|data| data.count),
            map_flags: map.map_flags,
            is_frozen: map.frozen,
        });
        Told::new("anon_inode:bpf-map", map.flags, &map.fown, details)
    }

    fn signal_owner(&self, owner: &FownEntry) -> Option<SignalOwner> {
        if owner.pid == 0 && owner.signum == 0 {
            return None;
        }
        let kinds = [(0, "thread"), (1, "process"), (2, "group")];
        Some(SignalOwner {
            pid: owner.pid,
            pid_type: name_of(&kinds, owner.pid_type),
            signal: (owner.signum != 0).then(|| self.flags.signal(owner.signum)),
            uid: owner.uid,
            euid: owner.euid,
        })
    }

    fn order(&self) -> ByteOrder {
        self.checkpoint.files().order()
    }
}

fn nanoseconds(seconds: u64, nanoseconds: u64) -> u64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// The words hold the bytes of the id as they lay in memory, with zeros behind them; how many of those
/// belong to it is not stored.
fn build_id(words: &[u32], order: ByteOrder) -> Option<String> {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in words.iter().flat_map(|word| order.word_bytes(*word)) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    (!text.is_empty()).then_some(text)
}
