//! Files in crit's words, with the ids that were asked for and are not there.

use std::collections::{BTreeSet, HashMap};

use ckx_criu::ByteOrder;
use ckx_criu::json::quoted;
use ckx_criu::typed::messages::{FdTypes, FileEntry, UnixSkEntry};

use crate::load::Loader;
use crate::model::files::{FILES, FileTable, MEMFD, path};
use crate::{Issue, Name};

const UNKNOWN_PATH: &str = "unknown path";

/// The files of a set of images.
pub(super) struct Files {
    table: FileTable,
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
        Self {
            table: FileTable::load(loader),
            names: HashMap::new(),
            unknown: BTreeSet::new(),
            unknown_memfds: BTreeSet::new(),
        }
    }

    /// Byte order of the images, which addresses of sockets are stored in.
    pub fn order(&self) -> ByteOrder {
        self.table.order()
    }

    /// The file with this id that a descriptor of the type refers to.
    pub fn get(&mut self, kind: FdTypes, id: u32) -> Option<&FileEntry> {
        let file = self.table.get(kind, id);
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
            if !files.is_memfd(id) {
                return files.regular(id);
            }
            files.table.mapped_name(id).unwrap_or_else(|| {
                files.unknown_memfds.insert(id);
                Name::from(UNKNOWN_PATH)
            })
        })
    }

    /// Whether the file with this id is a memory file.
    pub fn is_memfd(&self, id: u32) -> bool {
        self.table.is_memfd(id)
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
        if self.table.is_there() && !self.unknown.is_empty() {
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
