//! One source, whatever form it has: its members by name, with their content.

mod blob;
mod content;
mod copy;
mod interest;
mod load;
mod oci;
mod open;
mod pass;
mod reading;
mod remote;
mod spelling;
mod stream;
mod walk;

use std::collections::HashMap;
use std::path::PathBuf;

use bytes::Bytes;

pub use content::{Absent, Piece, Window};
pub use copy::{Copied, copy};
pub use interest::{Interest, Interests, KeepAll, Kept};
pub use oci::{Annotations, LAYER_KIND, OciImage, OciLayer, RemoteRoot};
pub use open::{Options, STDIN};
pub use remote::Remote;

use crate::Compression;
use crate::tarball::{EntryKind, TarMember};
use content::Content;
use load::Origin;

/// A checkpoint's members, wherever they lie: a tar in any compression, a directory, an OCI image, a
/// stream.
///
/// Opened once and never changed. Members of an uncompressed source are windows into a mapping; of a
/// compressed one or a pipe, those are kept that [`Interests`] asked for when it was opened.
#[derive(Debug)]
pub struct Archive {
    source: Source,
    members: Vec<Member>,
    by_name: HashMap<Box<[u8]>, usize>,
    faults: Vec<Fault>,
    origin: Origin,
    image: Option<Box<OciImage>>,
}

/// What was opened, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path; `-` for standard input.
    pub path: PathBuf,
    /// Form of the outermost container.
    pub form: Form,
    /// How that is compressed.
    pub compression: Compression,
    /// How members are read.
    pub backing: Backing,
    /// Bytes of the source as it lies there; of directories the sum of their files, of standard
    /// input what came.
    pub size_bytes: u64,
}

/// Forms of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A tar.
    Tar,
    /// A directory of files.
    Directory,
    /// A directory in the OCI image layout.
    OciLayout,
    /// A tar of an OCI image layout.
    OciArchive,
    /// An image in a registry.
    Registry,
}

impl Form {
    /// Name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Directory => "directory",
            Self::OciLayout => "OCI layout",
            Self::OciArchive => "OCI archive",
            Self::Registry => "registry",
        }
    }
}

/// How members are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// As windows into mappings: random access to everything, at no cost in memory.
    Mapped,
    /// By decoding once: what was asked for is in memory, the rest went by.
    Streamed,
}

/// A member of a source. Names, links and devices are data: nothing is followed or made.
#[derive(Debug, Clone)]
pub struct Member {
    /// Name without leading `./`, doubled and trailing slashes. Any bytes.
    pub name: Box<[u8]>,
    /// What it is.
    pub kind: EntryKind,
    /// Target of a link, as written.
    pub link: Option<Box<[u8]>>,
    /// Size of the content in bytes; of sparse files with their holes.
    pub size_bytes: u64,
    /// Bytes that are stored.
    pub stored_bytes: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Modification time in seconds since 1970.
    pub mtime_s: u64,
    /// Number of the question to [`Interests`] that it was; 0 for what is mapped.
    order: u64,
    content: Content,
}

impl Member {
    fn new(head: &TarMember, content: Content) -> Self {
        Self {
            name: head.name.clone(),
            kind: head.kind,
            link: head.link.clone(),
            size_bytes: head.size_bytes,
            stored_bytes: head.stored_bytes,
            mode: head.mode,
            uid: head.uid,
            gid: head.gid,
            mtime_s: head.mtime_s,
            order: 0,
            content,
        }
    }

    /// Last part of the name.
    pub fn file_name(&self) -> &[u8] {
        self.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// The members of this member, if it was read as a tar while it went by. See
    /// [`Interest::List`].
    pub fn listed(&self) -> Option<&[Member]> {
        match &self.content {
            Content::Listed(list) => Some(&list.members),
            _ => None,
        }
    }
}

/// What is wrong with a source; the rest of it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: the member, or empty for the source itself.
    pub member: Box<[u8]>,
    /// A stable word for the kind of fault.
    pub code: &'static str,
    /// What is wrong.
    pub reason: String,
    /// Offset in the uncompressed tar, in bytes.
    pub offset_bytes: Option<u64>,
}

impl Archive {
    fn new(source: Source, members: Vec<Member>, mut faults: Vec<Fault>) -> Self {
        let mut by_name: HashMap<Box<[u8]>, usize> = HashMap::with_capacity(members.len());
        let mut twice = 0u64;
        for (at, member) in members.iter().enumerate() {
            let Some(before) = by_name.insert(member.name.clone(), at) else { continue };
            // A directory may be named again for its permissions.
            let is_plain = member.kind == EntryKind::Directory
                && members.get(before).is_some_and(|before| before.kind == EntryKind::Directory);
            if is_plain {
                continue;
            }
            twice += 1;
            if twice <= MAX_DUPLICATES_TOLD {
                faults.push(Fault {
                    member: member.name.clone(),
                    code: "duplicate-member",
                    reason: "the archive has several members of this name: the last one counts".to_owned(),
                    offset_bytes: None,
                });
            }
        }
        Self { source, members, by_name, faults, origin: Origin::Gone, image: None }
    }

    /// Turns what was taken for layers back into members: the tar is no OCI layout after all.
    fn without_layers(mut self) -> Self {
        for member in &mut self.members {
            if matches!(member.content, Content::Layer(_))
                && let Content::Layer(layer) = std::mem::replace(&mut member.content, Content::None)
            {
                member.content = layer.into_listing();
            }
        }
        self
    }

    fn with_image(mut self, image: OciImage) -> Self {
        self.image = Some(Box::new(image));
        self
    }

    fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// What was opened.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The OCI image that the source is, if it is one.
    pub fn oci(&self) -> Option<&OciImage> {
        self.image.as_deref()
    }

    /// All members, in the order of the source.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Members that count: all, but of several with one name only the last.
    pub fn current(&self) -> impl Iterator<Item = &Member> {
        let counts = |(at, member): &(usize, &Member)| self.by_name.get(&member.name) == Some(at);
        self.members.iter().enumerate().filter(counts).map(|(_, member)| member)
    }

    /// The member with this name; of several the last.
    pub fn get(&self, name: &[u8]) -> Option<&Member> {
        self.by_name.get(name).and_then(|at| self.members.get(*at))
    }

    /// What is wrong with the source.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

/// Members of one name that are told one by one. A hostile archive has any number of them.
const MAX_DUPLICATES_TOLD: u64 = 20;

/// Bytes with the promise that they are one contiguous window.
pub(crate) type Data = Bytes;

/// A name in a directory; empty for the top.
fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
