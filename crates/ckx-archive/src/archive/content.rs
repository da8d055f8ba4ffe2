//! Content of members: windows, parts that were kept, or the reason why there is none.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::archive::blob::Layer;
use crate::archive::{Archive, Data, Member};
use crate::tarball::{EntryKind, Segment, TarFault};
use crate::{Error, open_file};

/// Where the content of a member is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// It has none: a directory, a link, a device.
    None,
    /// All of it.
    Whole(Data),
    /// The stored bytes of a sparse file.
    Sparse(Data, Box<[Segment]>),
    /// A file, opened when it is asked for.
    File(PathBuf),
    /// The parts of a streamed member that were asked for, by offset.
    Windows(Parts),
    /// A blob of an OCI image that was read as a layer.
    Layer(Box<Layer>),
    /// A streamed member that was listed as a tar.
    Listed(Box<Listing>),
    /// What was there before the source broke off, and why it did.
    Cut(Data, Box<str>),
    /// Nothing, and why.
    Absent(Absent),
}

/// Parts of a content by offset.
pub(super) type Parts = Vec<(u64, Data)>;

/// The members of a tar inside a source.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub members: Vec<Member>,
    pub fault: Option<TarFault>,
}

/// Why the content of a member is not there although the member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Nobody asked for it while the source went by.
    NotKept,
    /// It did not fit into the memory that was allowed for a streamed source.
    OverBudget,
}

impl Absent {
    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotKept => "the source is read once, and this was not asked for when it went by",
            Self::OverBudget => {
                "the source is compressed or a pipe, and this does not fit the memory allowed for it"
            }
        }
    }
}

/// Part of a member's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The bytes.
    Bytes(Bytes),
    /// Not there, and why.
    Absent(Absent),
}

/// A range of a member's content, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Offset of the first byte.
    pub offset: u64,
    /// Length.
    pub len: u64,
}

/// The largest sparse file that is unpacked in memory.
const MAX_SPARSE: u64 = 256 << 20;

impl Archive {
    /// Content of a member, whole. Links and devices have none.
    ///
    /// # Errors
    /// [`Error::Member`] when it is not there: cut off, not kept, not a file. [`Error::Io`] for
    /// members of directories.
    pub fn read(&self, member: &Member) -> Result<Bytes, Error> {
        match &member.content {
            Content::Whole(data) => Ok(data.clone()),
            Content::File(path) => open_file(path),
            Content::Sparse(data, segments) => unpack(member, data, segments),
            Content::None if member.kind == EntryKind::Hardlink => self.linked(member),
            Content::None => Err(self.lacks(member, "it is no file")),
            Content::Cut(data, reason) => {
                let have = data.len();
                Err(self.lacks(member, &format!("{have} of {} bytes are there: {reason}", member.size_bytes)))
            }
            Content::Windows(_) | Content::Listed(_) | Content::Layer(_) => {
                Err(self.lacks(member, Absent::NotKept.reason()))
            }
            Content::Absent(absent) => Err(self.lacks(member, absent.reason())),
        }
    }

    /// The bytes of a member that are there: all of them, or those before the place where the source
    /// breaks off, with the reason.
    ///
    /// # Errors
    /// As [`Archive::read`], when there is nothing.
    pub fn read_partial(&self, member: &Member) -> Result<(Bytes, Option<String>), Error> {
        match &member.content {
            Content::Cut(data, reason) => Ok((data.clone(), Some(reason.to_string()))),
            _ => self.read(member).map(|data| (data, None)),
        }
    }

    /// Part of a member, without reading the rest. The piece may be shorter than asked for at the end
    /// of the member.
    ///
    /// # Errors
    /// As [`Archive::read`].
    pub fn read_at(&self, member: &Member, window: Window) -> Result<Piece, Error> {
        match &member.content {
            Content::Windows(parts) => Ok(part(parts, window)),
            Content::Absent(absent) => Ok(Piece::Absent(*absent)),
            Content::Listed(_) | Content::Layer(_) => Ok(Piece::Absent(Absent::NotKept)),
            Content::Cut(data, _) => Ok(Piece::Bytes(slice(data, window))),
            _ => Ok(Piece::Bytes(slice(&self.read(member)?, window))),
        }
    }

    /// The parts of a streamed member that were asked for, by offset; `None` when it was not kept in
    /// parts.
    pub fn windows<'m>(&self, member: &'m Member) -> Option<&'m [(u64, Bytes)]> {
        match &member.content {
            Content::Windows(parts) => Some(parts),
            _ => None,
        }
    }

    /// The first member of the name that a hard link has.
    fn linked(&self, member: &Member) -> Result<Bytes, Error> {
        let target = member.link.as_deref().map(crate::tarball::normal_name).unwrap_or_default();
        match self.get(&target).filter(|target| target.kind == EntryKind::File) {
            Some(target) => self.read(target),
            None => Err(self.lacks(member, "the member that it links to is not in the archive")),
        }
    }

    pub(crate) fn lacks(&self, member: &Member, reason: &str) -> Error {
        Error::Member {
            source_path: self.source.path.clone(),
            member: member.name.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// A slice, cut to what is there.
fn slice(data: &Bytes, window: Window) -> Bytes {
    let start = usize::try_from(window.offset).unwrap_or(usize::MAX).min(data.len());
    let len = usize::try_from(window.len).unwrap_or(usize::MAX).min(data.len() - start);
    data.slice(start..start + len)
}

/// The window out of parts that were kept.
fn part(parts: &[(u64, Data)], window: Window) -> Piece {
    let at = parts.partition_point(|(offset, _)| *offset <= window.offset);
    let found = at.checked_sub(1).and_then(|at| parts.get(at)).and_then(|(offset, data)| {
        let inside = Window { offset: window.offset - offset, len: window.len };
        let bytes = slice(data, inside);
        (bytes.len() as u64 == window.len).then_some(bytes)
    });
    found.map_or(Piece::Absent(Absent::NotKept), Piece::Bytes)
}

fn unpack(member: &Member, data: &Bytes, segments: &[Segment]) -> Result<Bytes, Error> {
    let fail =
        |reason: String| Error::Member { source_path: PathBuf::new(), member: member.name.clone(), reason };
    if member.size_bytes > MAX_SPARSE {
        return Err(fail(format!(
            "a sparse file of {} bytes is above the limit of {MAX_SPARSE}",
            member.size_bytes
        )));
    }
    let mut out = vec![0; member.size_bytes as usize];
    let mut stored = 0u64;
    for segment in segments {
        let bytes = slice(data, Window { offset: stored, len: segment.bytes });
        let start = usize::try_from(segment.offset).unwrap_or(usize::MAX);
        let target = start.checked_add(bytes.len()).and_then(|end| out.get_mut(start..end));
        let target = target.ok_or_else(|| fail("a segment lies behind the end of the file".to_owned()))?;
        target.copy_from_slice(&bytes);
        stored = stored.saturating_add(segment.bytes);
    }
    Ok(out.into())
}

/// An error of a path, for readers that only know `io`.
pub(super) fn io_error(step: &'static str, path: &Path, source: io::Error) -> Error {
    Error::io(step, path, source)
}
