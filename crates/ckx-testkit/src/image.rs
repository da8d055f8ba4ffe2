//! Builds image files: header, records, and the bytes behind records.

use crate::rows::{COMMON_MAGIC, SERVICE_MAGIC, row};
use crate::wire::Msg;

/// How a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The common word, then the own magic: since CRIU 1.6.
    Common,
    /// The service word, then the own magic.
    Service,
    /// The own magic: the inventory, and all images up to CRIU 1.5.
    Own,
    /// Nothing.
    None,
}

/// Byte order of the host that the image pretends to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// All hosts but the following.
    #[default]
    Little,
    /// s390x.
    Big,
}

impl Order {
    /// Bytes of a half word.
    pub fn half(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// Bytes of a word.
    pub fn word(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// Bytes of a double word.
    pub fn long(self, value: u64) -> [u8; 8] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

#[derive(Debug, Clone)]
enum Part {
    Bytes(Vec<u8>),
    Half(u16),
    Word(u32),
    Long(u64),
}

/// An image under construction.
///
/// ```
/// use ckx_testkit::{ImageBuilder, Msg};
///
/// let image = ImageBuilder::of("FS").record(Msg::new().uint(1, 8).uint(2, 9).uint(3, 18)).build();
/// assert_eq!(image, b"\x19\x43\x56\x54\x12\x39\x40\x51\x06\0\0\0\x08\x08\x10\x09\x18\x12");
/// ```
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    magic: u32,
    header: Header,
    order: Order,
    parts: Vec<Part>,
    keep: usize,
    drop: usize,
}

impl ImageBuilder {
    /// An ordinary image with this magic: common word and own magic.
    pub fn new(magic: u32) -> Self {
        Self {
            magic,
            header: Header::Common,
            order: Order::Little,
            parts: Vec::new(),
            keep: usize::MAX,
            drop: 0,
        }
    }

    /// An image of a kind of [`crate::ROWS`], which begins as current CRIU writes it.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn of(key: &str) -> Self {
        let (magic, header) = row(key);
        Self { header, ..Self::new(magic) }
    }

    /// A file without header.
    pub fn raw() -> Self {
        Self { header: Header::None, ..Self::new(0) }
    }

    /// Another beginning.
    pub fn header(self, header: Header) -> Self {
        Self { header, ..self }
    }

    /// Another byte order: of header, size words and numbers behind records, wherever they were
    /// added.
    pub fn order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// A record: size word and message.
    pub fn record(self, message: Msg) -> Self {
        let size = message.len() as u32;
        self.sized(size, message)
    }

    /// Several records.
    pub fn records(self, messages: impl IntoIterator<Item = Msg>) -> Self {
        messages.into_iter().fold(self, Self::record)
    }

    /// A record with another size word than the message has.
    pub fn sized(self, size: u32, message: Msg) -> Self {
        self.word(size).payload(message.as_bytes())
    }

    /// A message without size word, as plugins write them.
    pub fn bare(self, message: Msg) -> Self {
        self.payload(message.as_bytes())
    }

    /// Bytes behind a record, or of a raw file.
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        self.parts.push(Part::Bytes(bytes.to_vec()));
        self
    }

    /// Bytes behind a record, and zeros up to a multiple of `unit` bytes.
    pub fn padded(self, bytes: &[u8], unit: usize) -> Self {
        self.padded_with(bytes, unit, 0)
    }

    /// Bytes behind a record, and others up to a multiple of `unit` bytes.
    pub fn padded_with(self, bytes: &[u8], unit: usize, pad: u8) -> Self {
        let len = bytes.len().next_multiple_of(unit);
        let mut bytes = bytes.to_vec();
        bytes.resize(len, pad);
        self.payload(&bytes)
    }

    /// Half words in the byte order of the image, and zeros up to a multiple of eight bytes: the
    /// values of a semaphore set.
    pub fn halves(mut self, values: &[u16]) -> Self {
        self.parts.extend(values.iter().map(|value| Part::Half(*value)));
        let pad = (values.len() * 2).next_multiple_of(8) - values.len() * 2;
        self.payload(&vec![0; pad])
    }

    /// A half word in the byte order of the image.
    pub fn half(mut self, value: u16) -> Self {
        self.parts.push(Part::Half(value));
        self
    }

    /// A word in the byte order of the image.
    pub fn word(mut self, value: u32) -> Self {
        self.parts.push(Part::Word(value));
        self
    }

    /// A double word in the byte order of the image.
    pub fn long(mut self, value: u64) -> Self {
        self.parts.push(Part::Long(value));
        self
    }

    /// Keeps only the first `len` bytes of the file.
    pub fn truncate(self, len: usize) -> Self {
        Self { keep: self.keep.min(len), ..self }
    }

    /// Leaves out the last `len` bytes of the file.
    pub fn cut(self, len: usize) -> Self {
        Self { drop: self.drop + len, ..self }
    }

    /// The file.
    pub fn build(self) -> Vec<u8> {
        let Self { magic, header, order, parts, keep, drop } = self;
        let words: &[u32] = match header {
            Header::Common => &[COMMON_MAGIC, magic],
            Header::Service => &[SERVICE_MAGIC, magic],
            Header::Own => &[magic],
            Header::None => &[],
        };
        let mut file: Vec<u8> = words.iter().flat_map(|word| order.word(*word)).collect();
        for part in parts {
            match part {
                Part::Bytes(bytes) => file.extend(bytes),
                Part::Half(value) => file.extend(order.half(value)),
                Part::Word(value) => file.extend(order.word(value)),
                Part::Long(value) => file.extend(order.long(value)),
            }
        }
        file.truncate(keep.min(file.len().saturating_sub(drop)));
        file
    }
}

/// Images that real hosts wrote, byte for byte.
#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let value = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
        digits.as_chunks::<2>().0.iter().map(|[high, low]| value(*high) << 4 | value(*low)).collect()
    }

    #[test]
    fn fs() {
        let image = ImageBuilder::of("FS").record(Msg::new().seq(1, [8, 9, 18])).build();
        assert_eq!(image, bytes("19435654 12394051 06000000 0808 1009 1812"));
    }

    #[test]
    fn pstree() {
        let image = ImageBuilder::of("PSTREE").record(Msg::new().seq(1, [66, 0, 66, 66]).uint(5, 66));
        assert_eq!(image.build(), bytes("19435654 30302750 0a000000 0842 1000 1842 2042 2842"));
    }

    #[test]
    fn seccomp_without_filters() {
        assert_eq!(
            ImageBuilder::of("SECCOMP").record(Msg::new()).build(),
            bytes("19435654 49304164 00000000")
        );
    }

    #[test]
    fn pagemaps_of_two_generations() {
        let entry = Msg::new().seq(1, [0, 0]).uint(4, 4).uint(5, 1);
        let new = ImageBuilder::of("SHMEM_PAGEMAP").record(Msg::new().uint(1, 1)).record(entry);
        let expected = "19435654 25400856 02000000 0801 08000000 0800 1000 2004 2801";
        assert_eq!(new.build(), bytes(expected));
        let entry = Msg::new().seq(1, [0, 1]).uint(4, 4);
        let old = ImageBuilder::of("SHMEM_PAGEMAP").record(Msg::new().uint(1, 4)).record(entry);
        assert_eq!(old.build(), bytes("19435654 25400856 02000000 0804 06000000 0800 1001 2004"));
    }

    #[test]
    fn inventory_begins_with_its_own_magic() {
        let ids = Msg::new().seq(1, [1, 1, 1, 1, 1, 2, 3, 4, 6, 7, 8, 5]);
        assert_eq!(ids.len(), 24);
        let record = Msg::new().uint(1, 2).bool(2, true).msg(3, ids).bool(4, true).uint(5, 1).uint(6, 0);
        let id = "bfaed9e5-cb21-4ea0-95ad-2b3f2e5c53f0";
        let record = record.uint(11, 0).msg(12, Msg::new()).text(13, id);
        let image = ImageBuilder::of("INVENTORY").record(record).build();
        assert!(image.starts_with(&bytes("16313158 4e000000 0802 1001 1a18")));
        assert_eq!(image.len(), 4 + 4 + 78);
    }

    #[test]
    fn stats_dump_begins_with_the_service_word() {
        let numbers = [5276, 16035, 7672, 223, 88, 0, 60, 0, 0, 13, 13, 1, 0, 1];
        let image = ImageBuilder::of("STATS").record(Msg::new().msg(1, Msg::new().seq(1, numbers))).build();
        assert!(image.starts_with(&bytes("40591055 06330957 22000000 0a20")));
    }

    #[test]
    fn queue_with_descriptors() {
        let scm = Msg::new().uint(1, 1).uint(2, 14);
        let record = Msg::new().uint(1, 13).uint(2, 1).msg(4, scm);
        let image = ImageBuilder::of("SK_QUEUES").record(record).payload(&[0]).build();
        assert_eq!(image, bytes("19435654 26402656 0a000000 080d 1001 2204 0801100e 00"));
    }

    #[test]
    fn message_queue() {
        let desc = Msg::new().seq(1, [0x4b0b_5a51, 0, 0, 0, 0, 0o666, 0]);
        let queue = Msg::new().msg(1, desc).uint(2, 16384).uint(3, 2);
        assert_eq!(queue.len(), 27);
        let image = ImageBuilder::of("IPCNS_MSG")
            .record(queue)
            .record(Msg::new().uint(1, 1).uint(2, 15))
            .padded(b"Test sysv msg_A", 8)
            .record(Msg::new().uint(1, 26538).uint(2, 27))
            .padded(&[b'x'; 27], 8)
            .build();
        assert!(image.starts_with(&bytes("19435654 37374555 1b000000")));
        let behind = &image[12 + 27..];
        assert!(behind.starts_with(&bytes("04000000 0801 100f 54657374")));
        assert_eq!(behind[8 + 15..][..12], bytes("00 06000000 08aacf01 101b 78")[..]);
        assert!(behind.ends_with(&bytes("78 0000000000")));
        assert_eq!(behind.len(), 4 + 4 + 16 + 4 + 6 + 32);
    }

    #[test]
    fn big_endian_is_decided_at_the_end() {
        let image = ImageBuilder::of("IPCNS_SEM").record(Msg::new().uint(2, 2)).halves(&[1, 0x0203]);
        let expected = "54564319 59573019 00000002 1002 0001 0203 00000000";
        assert_eq!(image.order(Order::Big).build(), bytes(expected));
    }

    #[test]
    fn cuts() {
        let image = ImageBuilder::of("FS").header(Header::Own).record(Msg::new().uint(1, 1));
        assert_eq!(image.clone().build(), bytes("12394051 02000000 0801"));
        assert_eq!(image.clone().cut(1).build(), bytes("12394051 02000000 08"));
        assert_eq!(image.clone().truncate(5).build(), bytes("12394051 02"));
        assert_eq!(image.sized(9, Msg::new()).build(), bytes("12394051 02000000 0801 09000000"));
        assert_eq!(
            ImageBuilder::raw().padded_with(b"abc", 4, 0xff).long(1).half(2).build(),
            bytes("616263ff 0100000000000000 0200")
        );
    }
}
