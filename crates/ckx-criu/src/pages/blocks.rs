//! Compressed pages (after v4.2): a run of pages is cut into blocks, each stored on its own.

use crate::bytes::round_up;
use crate::limits::MAX_BLOCK_BYTES;
use crate::schema::Type;
use crate::wire::{Fields, Packed, Scalar, WireValue};

/// How the pages of one page map entry are stored in blocks: the message `pagemap_blocks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks<'a> {
    body: &'a [u8],
    /// Bytes that the entry takes in the pages file.
    pub total_payload_bytes: u64,
    /// Pages of a full block; the last one may have fewer.
    pub pages_per_block: u64,
    /// Whether each stored block is padded to a whole page.
    pub padded: bool,
}

/// How one block is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockEncoding {
    /// All bytes are zero; nothing is stored.
    Zero,
    /// As it is.
    Raw,
    /// One LZ4 block, without frame, that decompresses to exactly the length of the block.
    Lz4,
}

/// One block of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Index of the block in its entry.
    pub index: u64,
    /// Pages before it in its entry.
    pub first_page: u64,
    /// Its pages.
    pub pages: u64,
    /// Offset in bytes of what is stored, from the entry's first byte in the pages file.
    pub offset: u64,
    /// Bytes stored, padding left out.
    pub stored_bytes: u64,
    /// How.
    pub encoding: BlockEncoding,
}

impl<'a> Blocks<'a> {
    /// Reads the message; `None` when it is none.
    pub(super) fn new(body: &'a [u8]) -> Option<Self> {
        let (mut total, mut per_block, mut padded) = (None, None, false);
        for field in Fields::new(body) {
            match field.ok().map(|field| (field.number, field.value))? {
                (1, WireValue::Bytes(_) | WireValue::Varint(_)) => {}
                (2, WireValue::Varint(value)) => total = Some(value),
                (3, WireValue::Varint(value)) => per_block = Some(value),
                (4, WireValue::Varint(value)) => padded = value != 0,
                _ => return None,
            }
        }
        Some(Self { body, total_payload_bytes: total?, pages_per_block: per_block?, padded })
    }

    /// Stored sizes of the blocks, in bytes.
    pub fn sizes(&self) -> impl Iterator<Item = u64> + use<'a> {
        let one = |value| match value {
            WireValue::Varint(value) => Some(u64::from(value as u32)),
            _ => None,
        };
        Fields::new(self.body).flatten().filter(|field| field.number == 1).flat_map(move |field| {
            let packed = match field.value {
                WireValue::Bytes(bytes) => bytes,
                _ => &[],
            };
            one(field.value).into_iter().chain(Packed::new(Type::Uint32, packed).flatten().filter_map(
                |size| match size {
                    Scalar::Unsigned(size) => Some(size),
                    _ => None,
                },
            ))
        })
    }

    /// The blocks of an entry of `pages` pages. Ends at the first one that contradicts itself.
    pub fn iter(&self, pages: u64, page_size: u64) -> impl Iterator<Item = Block> + use<'a> {
        let Self { pages_per_block, padded, .. } = *self;
        let mut offset = 0u64;
        let mut first_page = 0u64;
        self.sizes().enumerate().map_while(move |(index, stored)| {
            let count = pages_per_block.min(pages.checked_sub(first_page)?);
            let bytes = count.checked_mul(page_size).filter(|bytes| (1..=MAX_BLOCK_BYTES).contains(bytes))?;
            let encoding = match stored {
                0 => BlockEncoding::Zero,
                _ if stored == bytes => BlockEncoding::Raw,
                _ if stored < bytes => BlockEncoding::Lz4,
                _ => return None,
            };
            let block = Block {
                index: index as u64,
                first_page,
                pages: count,
                offset,
                stored_bytes: stored,
                encoding,
            };
            first_page += count;
            offset = offset.checked_add(if padded { round_up(stored, page_size)? } else { stored })?;
            Some(block)
        })
    }

    /// Checks that the blocks cover `pages` pages and take the bytes that are announced.
    pub(super) fn check(&self, pages: u64, page_size: u64) -> Result<(), &'static str> {
        let (mut covered, mut end, mut count) = (0, 0, 0u64);
        for block in self.iter(pages, page_size) {
            covered += block.pages;
            count += 1;
            let stored = if self.padded {
                round_up(block.stored_bytes, page_size).unwrap_or(u64::MAX)
            } else {
                block.stored_bytes
            };
            end = block.offset.saturating_add(stored);
        }
        if covered != pages || self.sizes().count() as u64 != count {
            return Err("the blocks of a compressed entry do not cover its pages");
        }
        if end != self.total_payload_bytes {
            return Err("the blocks of a compressed entry do not add up to its total_payload_size");
        }
        Ok(())
    }
}

/// Keeps the names of the schema and the numbers read above together.
#[cfg(test)]
mod tests {
    use crate::schema::messages::PAGEMAP_BLOCKS;

    #[test]
    fn numbers_are_those_of_the_schema() {
        let names: Vec<_> = PAGEMAP_BLOCKS.fields.iter().map(|field| (field.number, field.name)).collect();
        let expected =
            [(1, "block_sizes"), (2, "total_payload_size"), (3, "pages_per_block"), (4, "payload_padded")];
        assert_eq!(names, expected);
    }
}
