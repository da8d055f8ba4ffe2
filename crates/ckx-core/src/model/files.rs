//! Open files by id, from `files.img` and from the images per type that CRIU up to 3.3 wrote.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ckx_criu::ByteOrder;
use ckx_criu::typed::Record;
use ckx_criu::typed::messages::{
    BpfmapFileEntry, EventfdFileEntry, EventpollFileEntry, EventpollTfdEntry, ExtFileEntry,
    FanotifyFileEntry, FanotifyMarkEntry, FdTypes, FifoEntry, FileEntry, InetSkEntry, InotifyFileEntry,
    InotifyWdEntry, MemfdInodeEntry, NetlinkSkEntry, NsFileEntry, PacketSockEntry, PidfdEntry, PipeEntry,
    RegFileEntry, SignalfdEntry, TimerfdEntry, TtyFileEntry, TunfileEntry, UnixSkEntry, VmaEntry,
};

use crate::load::{Gap, Loader};
use crate::{ImageSet, Issue, Name};

pub(crate) const FILES: &str = "files.img";
pub(crate) const MEMFD: &str = "memfd.img";

/// The open files of a dump. Descriptors, mappings, and roots refer to them by id.
#[derive(Debug)]
pub struct FileTable {
    by_id: HashMap<u32, FileEntry>,
    /// Files whose id another file of `files.img` has too, and those from the images per type: there an
    /// id counts with its type only. A tun device comes with the path of `/dev/net/tun` under one id.
    by_type: HashMap<(FdTypes, u32), FileEntry>,
    memfds: HashMap<u64, MemfdInodeEntry>,
    order: ByteOrder,
    any: bool,
    issues: Vec<Issue>,
}

impl FileTable {
    /// Reads all images about files that are there. A pre-dump need not have one.
    pub(crate) fn read(images: &dyn ImageSet, is_pre_dump: bool) -> Self {
        let mut loader = Loader::new(images);
        let mut table = Self::load(&mut loader);
        table.issues = loader.into_issues();
        if is_pre_dump {
            table.issues.retain(|issue| issue.code != "missing");
        }
        table
    }

    /// The same, with what is wrong told to the caller's loader.
    pub(crate) fn load(loader: &mut Loader<'_>) -> Self {
        let files = loader.records_if_any::<FileEntry>(FILES);
        let mut all = Self {
            by_id: HashMap::new(),
            by_type: HashMap::new(),
            memfds: HashMap::new(),
            order: ByteOrder::Little,
            any: files.is_ok(),
            issues: Vec::new(),
        };
        all.read_old(loader);
        if !all.any && matches!(files, Err(Gap::Missing)) {
            loader.tell(Issue::missing(FILES));
        }
        if let Ok(files) = files {
            all.order = files.order;
            for file in files.entries {
                // The first of several with one id and type counts, as in crit.
                match (all.by_id.entry(file.id), FdTypes::try_from(file.r#type)) {
                    (Entry::Vacant(place), _) => _ = place.insert(file),
                    (Entry::Occupied(first), Ok(kind)) if first.get().r#type != file.r#type => {
                        all.by_type.entry((kind, file.id)).or_insert(file);
                    }
                    _ => {}
                }
            }
        }
        if let Ok(inodes) = loader.records_if_any::<MemfdInodeEntry>(MEMFD) {
            all.memfds = inodes.entries.into_iter().map(|inode| (inode.inode_id, inode)).collect();
        }
        all
    }

    fn read_old(&mut self, loader: &mut Loader<'_>) {
        macro_rules! add {
            ($($image:literal $kind:ident $field:ident $message:ident)*) => {$(
                self.add_old(loader, $image, FdTypes::$kind, |file, record: $message| {
                    file.id = record.id;
                    file.$field = Some(record.into());
                });
            )*};
        }
        add! {
            "reg-files.img" Reg reg RegFileEntry
            "pipes.img" Pipe pipe PipeEntry
            "fifo.img" Fifo fifo FifoEntry
            "unixsk.img" Unixsk usk UnixSkEntry
            "inetsk.img" Inetsk isk InetSkEntry
            "packetsk.img" Packetsk psk PacketSockEntry
            "netlinksk.img" Netlinksk nlsk NetlinkSkEntry
            "eventfd.img" Eventfd efd EventfdFileEntry
            "eventpoll.img" Eventpoll epfd EventpollFileEntry
            "signalfd.img" Signalfd sgfd SignalfdEntry
            "timerfd.img" Timerfd tfd TimerfdEntry
            "inotify.img" Inotify ify InotifyFileEntry
            "fanotify.img" Fanotify ffy FanotifyFileEntry
            "tty.img" Tty tty TtyFileEntry
            "tunfile.img" Tunf tunf TunfileEntry
            "ns-files.img" Ns nsf NsFileEntry
            "ext-files.img" Ext ext ExtFileEntry
            "bpfmap-file.img" Bpfmap bpf BpfmapFileEntry
            "pidfd.img" Pidfd pidfd PidfdEntry
        }
        self.read_members(loader);
    }

    /// Adds what CRIU up to 1.3 kept apart from its file: members of epoll sets, watches and marks.
    fn read_members(&mut self, loader: &mut Loader<'_>) {
        if let Ok(records) = loader.records_if_any::<EventpollTfdEntry>("eventpoll-tfd.img") {
            for record in records.entries {
                let file = self.by_type.get_mut(&(FdTypes::Eventpoll, record.id));
                if let Some(file) = file.and_then(|file| file.epfd.as_mut()) {
                    file.tfd.push(record);
                }
            }
        }
        if let Ok(records) = loader.records_if_any::<InotifyWdEntry>("inotify-wd.img") {
            for record in records.entries {
                let file = self.by_type.get_mut(&(FdTypes::Inotify, record.id));
                if let Some(file) = file.and_then(|file| file.ify.as_mut()) {
                    file.wd.push(record);
                }
            }
        }
        if let Ok(records) = loader.records_if_any::<FanotifyMarkEntry>("fanotify-mark.img") {
            for record in records.entries {
                let file = self.by_type.get_mut(&(FdTypes::Fanotify, record.id));
                if let Some(file) = file.and_then(|file| file.ffy.as_mut()) {
                    file.mark.push(record);
                }
            }
        }
    }

    /// Adds the records of an image per type, each put into a file entry by `put`.
    fn add_old<M: Record>(
        &mut self,
        loader: &mut Loader<'_>,
        image: &str,
        kind: FdTypes,
        put: impl Fn(&mut FileEntry, M),
    ) {
        let Ok(records) = loader.records_if_any::<M>(image) else { return };
        self.any = true;
        self.order = records.order;
        for record in records.entries {
            let mut file = FileEntry { r#type: kind.into(), ..FileEntry::default() };
            put(&mut file, record);
            self.by_type.entry((kind, file.id)).or_insert(file);
        }
    }

    /// Byte order of the images, which addresses of sockets are stored in.
    pub fn order(&self) -> ByteOrder {
        self.order
    }

    /// Whether there is any image about files.
    pub fn is_there(&self) -> bool {
        self.any
    }

    /// What is missing or broken in the images.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// The file with this id that a descriptor of the type refers to.
    pub fn get(&self, kind: FdTypes, id: u32) -> Option<&FileEntry> {
        let first = self.by_id.get(&id);
        match first {
            Some(file) if file.r#type == i32::from(kind) => first,
            _ => self.by_type.get(&(kind, id)).or(first),
        }
    }

    /// All files, in no order.
    pub fn all(&self) -> impl Iterator<Item = &FileEntry> {
        self.by_id.values().chain(self.by_type.values())
    }

    /// The regular file with this id.
    pub fn regular(&self, id: u32) -> Option<&RegFileEntry> {
        self.get(FdTypes::Reg, id)?.reg.as_deref()
    }

    /// The memory file behind a file entry.
    pub fn memfd_inode(&self, inode_id: u64) -> Option<&MemfdInodeEntry> {
        self.memfds.get(&inode_id)
    }

    /// Whether the file with this id is a memory file.
    pub fn is_memfd(&self, id: u32) -> bool {
        self.by_id.get(&id).is_some_and(|file| file.memfd.is_some())
    }

    /// The name of a file that is mapped or run: a path, or what the kernel calls a memory file.
    pub fn mapped_name(&self, id: u32) -> Option<Name> {
        let file = self.get(FdTypes::Reg, id)?;
        match &file.memfd {
            Some(memfd) => self.memfd_inode(memfd.inode_id.into()).map(|inode| memfd_name(&inode.name)),
            None => path(file),
        }
    }

    /// The name of the file that an area maps.
    pub fn name_of_mapping(&self, vma: &VmaEntry) -> Option<Name> {
        // File ids have 32 bits; the field has more for the other kinds of areas.
        self.mapped_name(u32::try_from(vma.shmid).ok()?)
    }
}

/// Path of a regular file.
pub(crate) fn path(file: &FileEntry) -> Option<Name> {
    file.reg.as_ref().map(|reg| &reg.name).filter(|name| !name.is_empty()).map(Name::from)
}

/// Names that the kernel gives to shared memory which is no memory file of a program's.
const KERNEL_NAMES: &[&[u8]] = &[b"/dev/zero", b"/anon_hugepage", b"/SYSV", b"/drm mm object", b"/i915"];

/// The name in the kernel's lists. CRIU stores it without the parts that all have.
pub(crate) fn memfd_name(stored: &[u8]) -> Name {
    let prefix: &[u8] =
        if KERNEL_NAMES.iter().any(|name| stored.starts_with(name)) { b"" } else { b"/memfd:" };
    Name::from([prefix, stored, b" (deleted)"].concat())
}
