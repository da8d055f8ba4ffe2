//! Open files by id, from `files.img` and from the images per type that CRIU up to 3.3 wrote.

use std::collections::{BTreeSet, HashMap};

use ckx_criu::ByteOrder;
use ckx_criu::json::quoted;
use ckx_criu::typed::Record;
use ckx_criu::typed::messages::{
    FdTypes, FileEntry, InetSkEntry, MemfdInodeEntry, NetlinkSkEntry, PacketSockEntry, PipeEntry,
    RegFileEntry, UnixSkEntry,
};

use crate::load::{Gap, Loader};
use crate::{Issue, Name};

const FILES: &str = "files.img";
const MEMFD: &str = "memfd.img";
const UNKNOWN_PATH: &str = "unknown path";

/// The files of a set of images.
pub(super) struct Files {
    by_id: HashMap<u32, FileEntry>,
    /// From the images per type. Kept apart, because an id counts there with its type only.
    old: HashMap<(FdTypes, u32), FileEntry>,
    memfds: HashMap<u64, Vec<u8>>,
    order: ByteOrder,
    any: bool,
    names: HashMap<(Use, u32), Name>,
    unknown: BTreeSet<u32>,
    unknown_memfds: BTreeSet<u32>,
}

/// How something refers to a file: what names are looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Use {
    /// A descriptor of this type.
    Descriptor(i32),
    /// A mapping.
    Mapping,
}

impl Files {
    /// Reads all images about files that are there.
    pub fn read(loader: &mut Loader<'_>) -> Self {
        let files = loader.records_if_any::<FileEntry>(FILES);
        let mut all = Self {
            by_id: HashMap::new(),
            old: HashMap::new(),
            memfds: HashMap::new(),
            order: ByteOrder::Little,
            any: files.is_ok(),
            names: HashMap::new(),
            unknown: BTreeSet::new(),
            unknown_memfds: BTreeSet::new(),
        };
        all.read_old(loader);
        if !all.any && matches!(files, Err(Gap::Missing)) {
            loader.tell(Issue::missing(FILES));
        }
        if let Ok(files) = files {
            all.order = files.order;
            for file in files.entries {
                // The first of several with one id counts, as in crit.
                all.by_id.entry(file.id).or_insert(file);
            }
        }
        if let Ok(inodes) = loader.records_if_any::<MemfdInodeEntry>(MEMFD) {
            all.memfds = inodes.entries.into_iter().map(|inode| (inode.inode_id, inode.name)).collect();
        }
        all
    }

    fn read_old(&mut self, loader: &mut Loader<'_>) {
        use FdTypes::{Inetsk, Netlinksk, Packetsk, Pipe, Reg, Unixsk};
        type File = FileEntry;
        let each = loader;
        self.add_old(each, "reg-files.img", Reg, |file: &mut File, reg: RegFileEntry| {
            file.id = reg.id;
            file.reg = Some(reg);
        });
        self.add_old(each, "pipes.img", Pipe, |file: &mut File, pipe: PipeEntry| {
            file.id = pipe.id;
            file.pipe = Some(pipe);
        });
        self.add_old(each, "unixsk.img", Unixsk, |file: &mut File, socket: UnixSkEntry| {
            file.id = socket.id;
            file.usk = Some(socket);
        });
        self.add_old(each, "inetsk.img", Inetsk, |file: &mut File, socket: InetSkEntry| {
            file.id = socket.id;
            file.isk = Some(socket);
        });
        self.add_old(each, "packetsk.img", Packetsk, |file: &mut File, socket: PacketSockEntry| {
            file.id = socket.id;
            file.psk = Some(socket);
        });
        self.add_old(each, "netlinksk.img", Netlinksk, |file: &mut File, socket: NetlinkSkEntry| {
            file.id = socket.id;
            file.nlsk = Some(socket);
        });
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
            self.old.entry((kind, file.id)).or_insert(file);
        }
    }

    /// Byte order of the images, which addresses of sockets are stored in.
    pub fn order(&self) -> ByteOrder {
        self.order
    }

    /// The file with this id that a descriptor of the type refers to.
    pub fn get(&mut self, kind: FdTypes, id: u32) -> Option<&FileEntry> {
        let file = self.by_id.get(&id).or_else(|| self.old.get(&(kind, id)));
        if file.is_none() {
            self.unknown.insert(id);
        }
        file
    }

    /// What a descriptor refers to, in crit's words.
    pub fn descriptor(&mut self, kind: i32, id: u32) -> Name {
        self.named(Use::Descriptor(kind), id, |files| match FdTypes::try_from(kind) {
            Ok(FdTypes::Reg) => {
                files.get(FdTypes::Reg, id).and_then(path).unwrap_or_else(|| Name::from(UNKNOWN_PATH))
            }
            Ok(FdTypes::Pipe) => match files.get(FdTypes::Pipe, id).and_then(|file| file.pipe.as_ref()) {
                Some(pipe) => Name::from(format!("pipe[{}]", pipe.pipe_id)),
                None => Name::from("pipe[?]"),
            },
            Ok(FdTypes::Unixsk) => match files.get(FdTypes::Unixsk, id).and_then(|file| file.usk.as_ref()) {
                Some(socket) => Name::from(unix_socket(socket)),
                None => Name::from("unix[?]"),
            },
            _ => Name::from(format!("{}.{id}", type_name(kind))),
        })
    }

    /// The regular file with this id, in crit's words.
    pub fn regular(&mut self, id: u32) -> Name {
        self.descriptor(FdTypes::Reg.into(), id)
    }

    /// The name of a file that is mapped or run: a path, or what the kernel calls a memory file.
    pub fn mapped(&mut self, id: u32) -> Name {
        self.named(Use::Mapping, id, |files| {
            let file = files.by_id.get(&id).or_else(|| files.old.get(&(FdTypes::Reg, id)));
            let memfd = file.and_then(|file| file.memfd.as_ref()).map(|memfd| memfd.inode_id);
            let Some(inode) = memfd else { return files.regular(id) };
            match files.memfds.get(&u64::from(inode)) {
                Some(name) => memfd_name(name),
                None => {
                    files.unknown_memfds.insert(id);
                    Name::from(UNKNOWN_PATH)
                }
            }
        })
    }

    /// Whether the file with this id is a memory file.
    pub fn is_memfd(&self, id: u32) -> bool {
        self.by_id.get(&id).is_some_and(|file| file.memfd.is_some())
    }

    fn named(&mut self, by: Use, id: u32, find: impl FnOnce(&mut Self) -> Name) -> Name {
        if let Some(name) = self.names.get(&(by, id)) {
            return name.clone();
        }
        let name = find(self);
        self.names.insert((by, id), name.clone());
        name
    }

    /// Tells which ids were asked for and are not there.
    pub fn tell_unknown(self, loader: &mut Loader<'_>) {
        if self.any && !self.unknown.is_empty() {
            let reason = "files that are referred to and not there, by id";
            loader.tell(Issue::listing(FILES, "unknown-file", reason, self.unknown.into_iter()));
        }
        if !self.unknown_memfds.is_empty() {
            let reason = "memory files that are not there, by file id";
            loader.tell(Issue::listing(MEMFD, "unknown-memfd", reason, self.unknown_memfds.into_iter()));
        }
    }
}

/// Name of a type of descriptors; numbers without a name stay numbers.
pub(super) fn type_name(kind: i32) -> String {
    FdTypes::try_from(kind).map_or_else(|_| kind.to_string(), |kind| kind.as_str_name().to_owned())
}

fn path(file: &FileEntry) -> Option<Name> {
    file.reg.as_ref().map(|reg| &reg.name).filter(|name| !name.is_empty()).map(Name::from)
}

fn unix_socket(socket: &UnixSkEntry) -> String {
    let blank = if socket.name.is_empty() { "" } else { " " };
    format!("unix[{} ({}){blank}{}]", socket.ino, socket.peer, quoted_line(&socket.name))
}

/// A name in quoted-printable without any line end: crit's form has them in names that are long, or
/// that hold them.
pub(super) fn quoted_line(name: &[u8]) -> String {
    let quoted = quoted::encode(name).replace("=\r\n", "").replace("=\n", "");
    quoted.replace('\r', "=0D").replace('\n', "=0A")
}

/// Names that the kernel gives to shared memory which is no memory file of a program's.
const KERNEL_NAMES: &[&[u8]] = &[b"/dev/zero", b"/anon_hugepage", b"/SYSV", b"/drm mm object", b"/i915"];

/// The name in the kernel's lists. CRIU stores it without the parts that all have.
fn memfd_name(stored: &[u8]) -> Name {
    let prefix: &[u8] =
        if KERNEL_NAMES.iter().any(|name| stored.starts_with(name)) { b"" } else { b"/memfd:" };
    Name::from([prefix, stored, b" (deleted)"].concat())
}
