//! A tar without some of its members.

use std::io::{self, Read};
use std::ops::Range;

use bytes::Bytes;
use ckx_archive::Compression;

use crate::Error;

/// What is decoded at once.
const PIECE: usize = 1 << 16;

/// Bytes, uncompressed, without some ranges.
#[derive(Debug, Clone)]
pub struct Without {
    bytes: Bytes,
    /// In order, of the uncompressed bytes.
    cut: Vec<Range<u64>>,
    size: u64,
}

impl Without {
    /// Leaves ranges out of bytes, compressed or not. They lie in order and do not overlap.
    ///
    /// # Errors
    /// When the bytes cannot be decoded.
    pub fn new(bytes: Bytes, cut: Vec<Range<u64>>) -> io::Result<Self> {
        let mut without = Self { bytes, cut, size: 0 };
        let mut size = 0;
        without.walk(|piece| size += piece.len() as u64)?;
        without.size = size;
        Ok(without)
    }

    /// Bytes that are left.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Hands out the bytes that are left.
    pub(super) fn emit(&self, out: &mut dyn FnMut(Bytes) -> Result<(), Error>) -> Result<(), Error> {
        let mut result = Ok(());
        self.walk(|piece| {
            if result.is_ok() {
                result = out(Bytes::copy_from_slice(piece));
            }
        })
        .map_err(|error| Error::refused(format!("the source cannot be decoded once more: {error}")))?;
        result
    }

    fn walk(&self, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
        let mut reader = Compression::of(&self.bytes).decode(&self.bytes[..])?;
        let mut buffer = vec![0; PIECE];
        let mut start = 0;
        let mut cut = self.cut.as_slice();
        loop {
            let count = match reader.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count?,
            };
            let end = start + count as u64;
            if count == 0 {
                return Ok(());
            }
            let mut at = start;
            while let Some((range, rest)) = cut.split_first().filter(|(range, _)| range.start < end) {
                visit(within(&buffer, start, at..range.start));
                at = range.end.clamp(at, end);
                if range.end > end {
                    break;
                }
                cut = rest;
            }
            visit(within(&buffer, start, at..end));
            start = end;
        }
    }
}

/// The part of a buffer that begins at `start` of a stream.
fn within(buffer: &[u8], start: u64, range: Range<u64>) -> &[u8] {
    let (from, to) = (range.start.saturating_sub(start) as usize, range.end.saturating_sub(start) as usize);
    buffer.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_left_out_wherever_pieces_end() {
        let plain: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        let cut = [0..10, 65_530..65_540, 65_540..131_100, 199_999..200_000];
        let expected: Vec<u8> = (0..200_000_u64)
            .filter(|at| !cut.iter().any(|range| range.contains(at)))
            .map(|at| plain[at as usize])
            .collect();
        for bytes in [plain.clone(), zstd::bulk::compress(&plain, 1).unwrap()] {
            let without = Without::new(bytes.into(), cut.to_vec()).unwrap();
            let mut found = Vec::new();
            without
                .emit(&mut |bytes| {
                    found.extend_from_slice(&bytes);
                    Ok(())
                })
                .unwrap();
            assert_eq!(without.size(), expected.len() as u64);
            assert!(found == expected);
        }
    }
}
