//! Structures of the kernel, written in the byte order and word size of a machine.

use ckx_criu::ByteOrder;

/// A structure under construction.
#[derive(Debug)]
pub(super) struct Record {
    bytes: Vec<u8>,
    order: ByteOrder,
    /// Whether a word has eight bytes.
    wide: bool,
}

impl Record {
    pub fn new(order: ByteOrder, wide: bool) -> Self {
        Self { bytes: Vec::new(), order, wide }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn u16(self, value: u32) -> Self {
        let value = u16::try_from(value & 0xffff).unwrap_or_default();
        match self.order {
            ByteOrder::Little => self.raw(&value.to_le_bytes()),
            ByteOrder::Big => self.raw(&value.to_be_bytes()),
        }
    }

    pub fn u32(self, value: u32) -> Self {
        let bytes = self.order.word_bytes(value);
        self.raw(&bytes)
    }

    pub fn u64(self, value: u64) -> Self {
        match self.order {
            ByteOrder::Little => self.raw(&value.to_le_bytes()),
            ByteOrder::Big => self.raw(&value.to_be_bytes()),
        }
    }

    /// A word of the machine; its upper half is cut off where that has no room.
    pub fn word(self, value: u64) -> Self {
        if self.wide { self.u64(value) } else { self.u32((value & u64::from(u32::MAX)) as u32) }
    }

    pub fn words(self, values: &[u64]) -> Self {
        values.iter().fold(self, |record, value| record.word(*value))
    }

    /// Exactly `count` values: images may hold any number.
    pub fn u64s(self, values: &[u64], count: usize) -> Self {
        let end = self.len() + 8 * count;
        values.iter().take(count).fold(self, |record, value| record.u64(*value)).up_to(end)
    }

    /// As [`Record::u64s`].
    pub fn u32s(self, values: &[u32], count: usize) -> Self {
        let end = self.len() + 4 * count;
        values.iter().take(count).fold(self, |record, value| record.u32(*value)).up_to(end)
    }

    /// Zeros up to an offset.
    pub fn up_to(mut self, offset: usize) -> Self {
        if self.bytes.len() < offset {
            self.bytes.resize(offset, 0);
        }
        self
    }

    /// Zeros up to the next word.
    pub fn aligned(self) -> Self {
        let end = self.len().next_multiple_of(if self.wide { 8 } else { 4 });
        self.up_to(end)
    }

    pub fn done(self) -> Vec<u8> {
        self.bytes
    }
}
