//! Contents that are put together from parts of others: the changed pages of a memory, say.

use bytes::Bytes;
use ckx_core::memory::{Content, Run};

use crate::Error;
use crate::plan::streamed::{Sources, StreamedMember};

/// Parts of other contents, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    pieces: Vec<Piece>,
    /// The member that streamed pieces are of. There is one: two cannot be read side by side.
    streamed: Option<StreamedMember>,
    /// Where the last streamed piece ends.
    streamed_end: u64,
    size: u64,
}

#[derive(Debug, Clone)]
enum Piece {
    Bytes(Bytes),
    Zeros(u64),
    /// Pages of a compressed block, unpacked when they are written.
    Packed(Box<Run>),
    /// Offset and length in the streamed member.
    Streamed(u64, u64),
}

/// Zeros are handed out in pieces of this.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

impl Parts {
    /// Bytes of all parts.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends bytes.
    pub fn push_bytes(&mut self, bytes: Bytes) {
        self.size += bytes.len() as u64;
        self.pieces.push(Piece::Bytes(bytes));
    }

    /// Appends zeros.
    pub fn push_zeros(&mut self, len: u64) {
        self.size += len;
        match self.pieces.last_mut() {
            Some(Piece::Zeros(have)) => *have += len,
            _ => self.pieces.push(Piece::Zeros(len)),
        }
    }

    /// Appends pages of a compressed block.
    pub fn push_packed(&mut self, run: Run) {
        self.size += run.size();
        self.pieces.push(Piece::Packed(Box::new(run)));
    }

    /// Appends a range of a member that is decoded again. `false` when it cannot be: it is another member
    /// than before, or the range lies before the last one.
    #[must_use]
    pub fn push_streamed(&mut self, member: &StreamedMember, offset: u64, len: u64) -> bool {
        let is_other = self.streamed.as_ref().is_some_and(|known| known != member);
        let Some(end) = offset.checked_add(len).filter(|end| *end <= member.size) else { return false };
        if is_other || offset < self.streamed_end {
            return false;
        }
        self.streamed.get_or_insert_with(|| member.clone());
        self.size += len;
        match self.pieces.last_mut() {
            Some(Piece::Streamed(start, have)) if *start + *have == offset => *have += len,
            _ => self.pieces.push(Piece::Streamed(offset, len)),
        }
        self.streamed_end = end;
        true
    }

    /// Hands out the bytes, in order.
    pub(super) fn emit(
        &self,
        sources: Sources<'_>,
        out: &mut dyn FnMut(Bytes) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut left = self.pieces.as_slice();
        if let Some(member) = &self.streamed {
            let mut position = 0;
            member.stream(sources, &mut |bytes| {
                let start = position;
                position += bytes.len() as u64;
                pass(&mut left, start, &bytes, out)
            })?;
        }
        left.iter().try_for_each(|piece| at_hand(piece, out))
    }
}

/// Takes what is wanted of streamed bytes, and what is at hand before and behind that.
fn pass(
    left: &mut &[Piece],
    start: u64,
    bytes: &Bytes,
    out: &mut dyn FnMut(Bytes) -> Result<(), Error>,
) -> Result<(), Error> {
    let end = start + bytes.len() as u64;
    while let Some((piece, rest)) = left.split_first() {
        let Piece::Streamed(offset, len) = piece else {
            at_hand(piece, out)?;
            *left = rest;
            continue;
        };
        let (from, to) = ((*offset).max(start), (offset + len).min(end));
        if from < to {
            out(bytes.slice((from - start) as usize..(to - start) as usize))?;
        }
        if offset + len > end {
            break;
        }
        *left = rest;
    }
    Ok(())
}

fn at_hand(piece: &Piece, out: &mut dyn FnMut(Bytes) -> Result<(), Error>) -> Result<(), Error> {
    match piece {
        Piece::Bytes(bytes) => out(bytes.clone()),
        Piece::Zeros(len) => {
            let mut left = *len;
            while left > 0 {
                let some = left.min(ZEROS.len() as u64);
                out(Bytes::from_static(&ZEROS).slice(..some as usize))?;
                left -= some;
            }
            Ok(())
        }
        Piece::Packed(run) => match run.as_ref().clone().unpacked().content {
            Content::Bytes(bytes) if bytes.len() as u64 == run.size() => out(bytes),
            _ => Err(Error::refused(format!("the compressed pages at {:#x} do not unpack", run.start))),
        },
        // The stream has ended before it; its length was checked against the range.
        Piece::Streamed(..) => Err(Error::refused("a part lies behind the end of its source")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::streamed::Origin;

    #[test]
    fn streamed_parts_are_taken_as_they_come() {
        let member = StreamedMember { origin: Origin::Own, name: b"pages-1.img"[..].into(), size: 10 };
        let mut parts = Parts::default();
        parts.push_bytes(Bytes::from_static(b"<"));
        for (offset, len) in [(1, 2), (3, 1), (7, 2)] {
            assert!(parts.push_streamed(&member, offset, len));
        }
        assert!(!parts.push_streamed(&member, 5, 1), "it would have to be read twice");
        assert!(!parts.push_streamed(&member, 9, 2), "it ends before");
        parts.push_bytes(Bytes::from_static(b">"));
        assert_eq!((parts.pieces.len(), parts.size()), (4, 7));
        for size in 1..10 {
            let mut text = Vec::new();
            let mut left = parts.pieces.as_slice();
            let mut out = |bytes: Bytes| {
                text.extend_from_slice(&bytes);
                Ok(())
            };
            for (at, chunk) in b"0123456789".chunks(size).enumerate() {
                pass(&mut left, (at * size) as u64, &Bytes::from_static(chunk), &mut out).unwrap();
            }
            left.iter().for_each(|piece| at_hand(piece, &mut out).unwrap());
            assert_eq!(text, b"<12378>", "{size}");
        }
    }
}
