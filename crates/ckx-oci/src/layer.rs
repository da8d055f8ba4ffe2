//! Layers: which member goes into which, and their way from a plan to a blob.

use std::collections::BTreeMap;
use std::io::Write;

use bytes::Bytes;
use ckx_archive::tarball::EntryKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::compress::{Finished, Method, Pipeline};
use crate::plan::{Entry, Plan, Sources};
use crate::tarball::{Head, header, padding};
use crate::{Digest, Error};

/// What a layer holds. The order is that of the layers in an image: what stays the same between two
/// checkpoints comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Memory of an earlier checkpoint, that many steps back; the oldest comes first.
    Parent(std::cmp::Reverse<u8>),
    /// Changes of the root file system.
    RootFs,
    /// Volumes and shared memory.
    Volumes,
    /// Memory pages.
    Memory,
    /// Images of CRIU but the pages.
    Images,
    /// What the engine says of the container.
    Metadata,
    /// Everything.
    All,
}

impl Kind {
    /// Its word in annotations and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parent(_) => "parent",
            Self::RootFs => "rootfs",
            Self::Volumes => "volumes",
            Self::Memory => "memory",
            Self::Images => "images",
            Self::Metadata => "metadata",
            Self::All => "checkpoint",
        }
    }
}

/// How members are spread over layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Split {
    /// One layer. Memory of earlier checkpoints still has its own: it is shared.
    Single,
    /// A layer for each kind.
    #[default]
    Kind,
}

/// Deepest chain of earlier checkpoints that is told apart.
pub(crate) const MAX_PARENTS: usize = 64;

impl Split {
    /// The layer of a member.
    pub fn kind_of(self, name: &[u8], entry: &Entry) -> Kind {
        let mut parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
        let file = parts.pop().unwrap_or_default();
        let depth = parts.iter().filter(|part| **part == b"parent").count();
        let is_image_place =
            parts.first() == Some(&&b"checkpoint"[..]) || parts.first() == Some(&&b"parent"[..]);
        if depth > 0 && is_image_place {
            return Kind::Parent(std::cmp::Reverse(depth.min(MAX_PARENTS) as u8));
        }
        if self == Self::Single {
            return Kind::All;
        }
        let top = parts.first().copied().unwrap_or(file);
        match top {
            b"rootfs-diff.tar" | b"deleted.files" => Kind::RootFs,
            b"volumes" | b"devshm-checkpoint.tar" | b"artifacts" => Kind::Volumes,
            _ if is_pages(file) => Kind::Memory,
            _ if file.ends_with(b".img") => Kind::Images,
            b"checkpoint" if entry.kind == EntryKind::Directory => Kind::Images,
            b"checkpoint" => Kind::Images,
            _ => Kind::Metadata,
        }
    }

    /// The layers of a plan, in their order.
    pub fn layers(self, plan: &Plan) -> Vec<Kind> {
        let mut bytes: BTreeMap<Kind, bool> = BTreeMap::new();
        for (name, entry) in plan.entries() {
            *bytes.entry(self.kind_of(name, entry)).or_default() |= entry.kind != EntryKind::Directory;
        }
        // A layer of nothing but a directory that others have too says nothing.
        let all: Vec<Kind> = bytes.keys().copied().collect();
        let useful = |kind: &Kind| bytes.get(kind).copied().unwrap_or_default() || *kind != Kind::Images;
        if all.len() > 1 { all.into_iter().filter(useful).collect() } else { all }
    }
}

/// A layer that was written.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Layer {
    /// What it holds.
    pub kind: &'static str,
    /// Media type.
    pub media_type: &'static str,
    /// Digest of the blob.
    pub digest: Digest,
    /// Digest of the tar in it.
    pub diff_id: Digest,
    /// Size of the blob.
    pub size_bytes: u64,
    /// Size of the tar in it.
    pub tar_bytes: u64,
    /// Members, directories among them.
    pub members: u64,
    /// Whether the destination had the blob already.
    pub reused: bool,
    /// What the descriptor says of it.
    pub annotations: BTreeMap<String, String>,
}

/// How tars are written.
#[derive(Debug, Clone, Copy)]
pub struct Writing {
    /// How they are compressed.
    pub method: Method,
    /// How many threads compress.
    pub threads: usize,
    /// Whether compressed pieces of Zstandard tell a hash of their content. Blobs of images need none: their
    /// names are better ones.
    pub has_checksums: bool,
    /// Whether most of it is pages of memory; [`write()`] finds that out by itself.
    pub is_memory: bool,
}

impl Default for Writing {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { method: Method::default(), threads, has_checksums: false, is_memory: false }
    }
}

/// Writes members as a tar, through hash and compression, to a sink that is given back.
///
/// # Errors
/// Those of the sources; those of the sink as the inner result.
pub fn write<W: Write + Send + 'static>(
    sources: Sources<'_>,
    members: &[(&[u8], &Entry)],
    writing: Writing,
    sink: W,
) -> Result<(Option<W>, std::io::Result<Finished>), Error> {
    let mut pipeline = Pipeline::new(Writing { is_memory: are_memory(members), ..writing }, sink);
    let mut stopped = false;
    for (name, entry) in members {
        let mut push = |bytes: Bytes| {
            // What went wrong at the other end is told when the pipeline is finished.
            pipeline.push(bytes).map_err(|_| {
                stopped = true;
                Error::refused("the destination cannot be written")
            })
        };
        let result = member(sources, name, entry, &mut push);
        match result {
            Err(_) if stopped => break,
            other => other?,
        }
    }
    if !stopped {
        // Two blocks of zeros end a tar.
        let _ = pipeline.push(Bytes::from_static(&[0; 1024]));
    }
    Ok(pipeline.finish())
}

/// Whether most bytes of members are pages of memory. By nothing but the members: the same ones give the same
/// bytes in every layer.
fn are_memory(members: &[(&[u8], &Entry)]) -> bool {
    let bytes = |are_pages: bool| -> u64 {
        let chosen = members.iter().filter(|(name, _)| is_pages(name) == are_pages);
        chosen.map(|(_, entry)| entry.size()).fold(0, u64::saturating_add)
    };
    bytes(true) > bytes(false)
}

/// Whether a member holds pages.
pub(crate) fn is_pages(name: &[u8]) -> bool {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    file.starts_with(b"pages-") && file.ends_with(b".img")
}

fn member(
    sources: Sources<'_>,
    name: &[u8],
    entry: &Entry,
    push: &mut dyn FnMut(Bytes) -> Result<(), Error>,
) -> Result<(), Error> {
    let size = entry.size();
    let head = Head { name, kind: entry.kind, link: &entry.link, mode: entry.mode, size };
    push(header(&head).into())?;
    entry.content.emit(sources, &entry.patches, push)?;
    push(Bytes::from_static(padding(size)))
}
