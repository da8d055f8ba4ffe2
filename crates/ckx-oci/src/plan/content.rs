//! What a file of the output holds, and where it comes from. Nothing is copied before it is written.

use std::io::{self, Write};

use bytes::Bytes;
use ckx_archive::Archive;

use crate::Error;

/// Content of a file.
#[derive(Debug, Clone)]
pub enum Content {
    /// None: a directory, a link.
    None,
    /// These bytes: a window of the source, or something new.
    Bytes(Bytes),
    /// Parts of other contents, one after the other.
    Parts(Parts),
    /// A member of a source that is compressed, too large to be kept: it is decoded again.
    Streamed {
        /// Its name in the source.
        name: Box<[u8]>,
        /// Its size in bytes.
        size: u64,
    },
}

/// Bytes that are put over others of the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where, in the content.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
}

/// Ranges of other contents: the changed pages of a memory image, say.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    sources: Vec<Bytes>,
    /// Source, offset and length. Ranges that touch are one.
    ranges: Vec<(u32, u64, u64)>,
    size: u64,
}

impl Parts {
    /// Makes bytes known as a source of ranges; gives the number for [`Parts::push`].
    pub fn source(&mut self, bytes: Bytes) -> u32 {
        self.sources.push(bytes);
        (self.sources.len() - 1) as u32
    }

    /// Appends a range.
    pub fn push(&mut self, source: u32, offset: u64, len: u64) {
        self.size += len;
        match self.ranges.last_mut() {
            Some((last, start, have)) if *last == source && *start + *have == offset => *have += len,
            _ => self.ranges.push((source, offset, len)),
        }
    }

    /// Bytes of all ranges.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn iter(&self) -> impl Iterator<Item = Option<Bytes>> {
        self.ranges.iter().map(|(source, offset, len)| {
            let bytes = self.sources.get(*source as usize)?;
            let start = usize::try_from(*offset).ok()?;
            let end = usize::try_from(offset.checked_add(*len)?).ok()?;
            (end <= bytes.len()).then(|| bytes.slice(start..end))
        })
    }
}

impl Content {
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Parts(parts) => parts.size,
            Self::Streamed { size, .. } => *size,
        }
    }

    /// Hands out the bytes, in order, with patches put over them.
    ///
    /// # Errors
    /// Those of `out`; [`Error::Source`] when a source cannot be read again.
    pub fn emit(
        &self,
        archive: &Archive,
        patches: &[Patch],
        out: &mut dyn FnMut(Bytes) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut patched = Patched { patches, position: 0, out };
        match self {
            Self::None => Ok(()),
            Self::Bytes(bytes) => patched.push(bytes.clone()),
            Self::Parts(parts) => parts.iter().try_for_each(|part| {
                patched.push(part.ok_or_else(|| Error::refused("a part lies behind the end of its source"))?)
            }),
            Self::Streamed { name, size } => stream(archive, name, *size, &mut |bytes| patched.push(bytes)),
        }
    }
}

/// Puts patches over bytes that go by.
struct Patched<'a> {
    patches: &'a [Patch],
    position: u64,
    out: &'a mut dyn FnMut(Bytes) -> Result<(), Error>,
}

impl Patched<'_> {
    fn push(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        while let Some(patch) = self.patches.first() {
            let end = self.position + bytes.len() as u64;
            if patch.offset >= end {
                break;
            }
            let before = bytes.split_to(patch.offset.saturating_sub(self.position) as usize);
            self.give(before)?;
            // A patch may begin in one piece and end in the next.
            let done = self.position - patch.offset.min(self.position);
            let len = (patch.bytes.len() as u64 - done).min(bytes.len() as u64) as usize;
            let _ = bytes.split_to(len);
            self.give(patch.bytes.slice(done as usize..done as usize + len))?;
            if done as usize + len < patch.bytes.len() {
                break;
            }
            self.patches = &self.patches[1..];
        }
        self.give(bytes)
    }

    fn give(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.position += bytes.len() as u64;
        if bytes.is_empty() { Ok(()) } else { (self.out)(bytes) }
    }
}

/// Decodes a member of a compressed source once more.
fn stream(
    archive: &Archive,
    name: &[u8],
    size: u64,
    out: &mut dyn FnMut(Bytes) -> Result<(), Error>,
) -> Result<(), Error> {
    let changed = || {
        Error::refused(format!(
            "`{}` changed while it was read: `{}` is not what it was",
            archive.source().path.display(),
            ckx_core::Name::from(name)
        ))
    };
    let member = archive.get(name).ok_or_else(changed)?;
    let mut writer = Pieces { out, failed: None };
    let copied = archive.write_to(member, &mut writer);
    match (writer.failed, copied) {
        (Some(error), _) => Err(error),
        (None, Ok(bytes)) if bytes == size => Ok(()),
        (None, Ok(_)) => Err(changed()),
        (None, Err(error)) => Err(error.into()),
    }
}

/// Gives written bytes on, and keeps the error of the receiver.
struct Pieces<'a> {
    out: &'a mut dyn FnMut(Bytes) -> Result<(), Error>,
    failed: Option<Error>,
}

impl Write for Pieces<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match (self.out)(Bytes::copy_from_slice(buffer)) {
            Ok(()) => Ok(buffer.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::other("the receiver failed"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(pieces: &[&str], patches: &[(u64, &str)]) -> String {
        let patches: Vec<Patch> = patches
            .iter()
            .map(|(offset, text)| Patch { offset: *offset, bytes: Bytes::copy_from_slice(text.as_bytes()) })
            .collect();
        let mut text = Vec::new();
        let mut out = |bytes: Bytes| {
            text.extend_from_slice(&bytes);
            Ok(())
        };
        let mut patched = Patched { patches: &patches, position: 0, out: &mut out };
        for piece in pieces {
            patched.push(Bytes::copy_from_slice(piece.as_bytes())).unwrap();
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn patches_lie_over_pieces_wherever_those_end() {
        assert_eq!(patched(&["abcdefgh"], &[(0, "X"), (7, "Y")]), "XbcdefgY");
        assert_eq!(patched(&["abcd", "efgh"], &[(2, "WXYZ")]), "abWXYZgh");
        assert_eq!(patched(&["ab", "cd", "ef"], &[(1, "1234"), (5, "5")]), "a12345");
        assert_eq!(patched(&["abc"], &[]), "abc");
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let mut parts = Parts::default();
        let source = parts.source(Bytes::from_static(b"0123456789"));
        for (offset, len) in [(0, 2), (2, 2), (8, 2)] {
            parts.push(source, offset, len);
        }
        assert_eq!((parts.ranges.len(), parts.size()), (2, 6));
        let all: Vec<u8> = parts.iter().flat_map(|part| part.unwrap().to_vec()).collect();
        assert_eq!(all, b"012389");
    }
}
