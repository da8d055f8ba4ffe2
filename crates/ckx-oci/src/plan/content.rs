//! What a file of the output holds, and where it comes from. Nothing is copied before it is written.

use bytes::Bytes;

use crate::Error;
use crate::plan::parts::Parts;
use crate::plan::streamed::{Sources, StreamedMember};
use crate::plan::without::Without;

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
    Streamed(StreamedMember),
    /// A tar, uncompressed, without some of its members.
    Without(Without),
}

/// Bytes that are put over others of the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where, in the content.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
}

impl Content {
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Parts(parts) => parts.size(),
            Self::Streamed(member) => member.size,
            Self::Without(without) => without.size(),
        }
    }

    /// Hands out the bytes, in order, with patches put over them.
    ///
    /// # Errors
    /// Those of `out`; [`Error::Source`] when a source cannot be read again.
    pub fn emit(
        &self,
        sources: Sources<'_>,
        patches: &[Patch],
        out: &mut dyn FnMut(Bytes) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut patched = Patched { patches, position: 0, out };
        match self {
            Self::None => Ok(()),
            Self::Bytes(bytes) => patched.push(bytes.clone()),
            Self::Parts(parts) => parts.emit(sources, &mut |bytes| patched.push(bytes)),
            Self::Streamed(member) => member.stream(sources, &mut |bytes| patched.push(bytes)),
            Self::Without(without) => without.emit(&mut |bytes| patched.push(bytes)),
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
}
