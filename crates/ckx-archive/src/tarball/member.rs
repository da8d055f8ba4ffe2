//! What a tar says of one of its members.

use std::io::{self, Read};

use crate::tarball::sparse::{self, Segment};

/// A member: its header, with the extensions of GNU and PAX applied. Names are data: `..`, absolute
/// names, links and devices are told and never followed or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarMember {
    /// Name as written, with leading `./`, doubled and trailing slashes removed. Any bytes.
    pub name: Box<[u8]>,
    /// What it is.
    pub kind: EntryKind,
    /// Target of a link, as written.
    pub link: Option<Box<[u8]>>,
    /// Size of the content in bytes; of sparse files with their holes.
    pub size_bytes: u64,
    /// Permission bits. Podman writes the file type beside them; it is left out here.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Modification time in seconds since 1970.
    pub mtime_s: u64,
    /// Offset in the tar of the header, with its extensions.
    pub header_offset: u64,
    /// Offset in the tar of the stored content.
    pub data_offset: u64,
    /// Bytes of content that are stored: the size, or less for sparse files.
    pub stored_bytes: u64,
    /// Where the stored bytes of a sparse file belong; `None` for other files.
    pub segments: Option<Box<[Segment]>>,
}

/// Types of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A file. Types that nobody knows count as files, as POSIX asks.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of an earlier member.
    Hardlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

impl EntryKind {
    /// Its name, in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Hardlink => "hardlink",
            Self::CharDevice => "char",
            Self::BlockDevice => "block",
            Self::Fifo => "fifo",
        }
    }

    /// The letter that `ls` and `tar` show.
    pub fn letter(self) -> char {
        match self {
            Self::File => '-',
            Self::Directory => 'd',
            Self::Symlink => 'l',
            Self::Hardlink => 'h',
            Self::CharDevice => 'c',
            Self::BlockDevice => 'b',
            Self::Fifo => 'p',
        }
    }

    fn of(kind: tar::EntryType) -> Option<Self> {
        use tar::EntryType as T;
        Some(match kind {
            T::Directory => Self::Directory,
            T::Symlink => Self::Symlink,
            T::Link => Self::Hardlink,
            T::Char => Self::CharDevice,
            T::Block => Self::BlockDevice,
            T::Fifo => Self::Fifo,
            // Defaults for members to come; nothing in a checkpoint depends on them.
            T::XGlobalHeader => return None,
            _ => Self::File,
        })
    }
}

/// Name as it is compared: without leading `./`, doubled slashes and trailing ones.
pub fn normal_name(name: &[u8]) -> Vec<u8> {
    let absolute = name.starts_with(b"/");
    let mut parts = name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let mut out = Vec::with_capacity(name.len());
    if absolute {
        out.push(b'/');
    }
    if let Some(first) = parts.next() {
        out.extend_from_slice(first);
    }
    for part in parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    out
}

/// Reads the header of an entry. `None` for entries that are no members. What the map of a sparse
/// file takes of the content is read.
pub(super) fn read<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Option<TarMember>> {
    let Some(kind) = EntryKind::of(entry.header().entry_type()) else { return Ok(None) };
    let pax = sparse::PaxKeys::of(entry)?;
    let name = pax.name.as_deref().map_or_else(|| normal_name(&entry.path_bytes()), normal_name);
    let link = matches!(kind, EntryKind::Symlink | EntryKind::Hardlink)
        .then(|| entry.link_name_bytes().map(|link| link.into_owned().into_boxed_slice()))
        .flatten();
    let header = entry.header();
    let mut member = TarMember {
        name: name.into_boxed_slice(),
        kind,
        link,
        size_bytes: if kind == EntryKind::File { entry.size() } else { 0 },
        mode: header.mode().unwrap_or(0) & 0o7777,
        uid: header.uid().unwrap_or(0),
        gid: header.gid().unwrap_or(0),
        mtime_s: header.mtime().unwrap_or(0),
        header_offset: entry.raw_header_position(),
        data_offset: entry.raw_file_position(),
        stored_bytes: if kind == EntryKind::File { entry.size() } else { 0 },
        segments: None,
    };
    pax.apply(entry, &mut member)?;
    Ok(Some(member))
}

#[cfg(test)]
mod tests {
    use super::normal_name;

    #[test]
    fn names_are_compared_in_one_form() {
        let normal = |name: &str| String::from_utf8(normal_name(name.as_bytes())).unwrap();
        assert_eq!(normal("./checkpoint//core-1.img"), "checkpoint/core-1.img");
        assert_eq!(normal("checkpoint/"), "checkpoint");
        assert_eq!(normal("./"), "");
        assert_eq!(normal("/etc/passwd"), "/etc/passwd");
        // Not resolved: where it leads is nobody's business here.
        assert_eq!(normal("../../etc/./passwd"), "../../etc/passwd");
    }
}
