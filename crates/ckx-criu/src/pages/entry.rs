//! Entries of a page map, read by a hand-written walk: there can be millions.

use crate::bytes::{ByteOrder, word_at};
use crate::error::{Error, ErrorKind, WireError, WireReason};
use crate::frame::Image;
use crate::kind::Framing;
use crate::pages::Blocks;
use crate::schema::messages;
use crate::wire::{Fields, WireValue, read_varint};

/// The page is in the image of the previous dump.
pub const PE_PARENT: u32 = 1;
/// The page may be, or was left to be, fetched from the dumping host on demand.
pub const PE_LAZY: u32 = 2;
/// The page is in the pages file.
pub const PE_PRESENT: u32 = 4;
/// The payload in the pages file begins at the next page boundary (after v4.2).
pub const PE_PAYLOAD_ALIGNED: u32 = 8;

/// One entry of a page map: a run of pages, with the differences of the generations removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageEntry<'a> {
    /// Absolute offset of the record in the image.
    pub offset: u64,
    /// Address of the first page; in maps of shared memory, offset in the object. In bytes.
    pub vaddr: u64,
    /// Number of pages.
    pub pages: u64,
    /// `PE_*` bits. Images without them (before CRIU 3.x) get those that their other fields mean.
    pub flags: u32,
    /// Whether the entry uses a draft of the compressed form that no release has.
    pub draft: bool,
    /// The message `pagemap_blocks`. Kept undecoded: entries are copied by the million.
    blocks: Option<&'a [u8]>,
}

impl<'a> PageEntry<'a> {
    /// How the pages are stored, where they are compressed.
    pub fn blocks(&self) -> Option<Blocks<'a>> {
        self.blocks.and_then(Blocks::new)
    }

    /// Whether the entry has blocks.
    pub(super) fn has_blocks(&self) -> bool {
        self.blocks.is_some()
    }
}

/// Walks the entries of a page map, at memory speed and without allocation.
#[derive(Debug, Clone)]
pub struct PageEntries<'a> {
    image: Image<'a>,
    data: &'a [u8],
    order: ByteOrder,
    position: usize,
    index: u64,
    pages_id: Option<u64>,
}

impl<'a> PageEntries<'a> {
    /// The entries of a page map image.
    ///
    /// # Errors
    /// [`ErrorKind::WrongMessage`] for an image of another kind, framing errors of the head.
    pub fn new(image: Image<'a>) -> Result<Self, Error> {
        let desc = &messages::PAGEMAP_ENTRY;
        match image.spec().map(|spec| spec.framing) {
            Some(Framing::HeadThenStream(_, entry)) if std::ptr::eq(entry, desc) => {}
            _ => {
                let actual = image.spec().map_or("unknown image", |spec| spec.name);
                return Err(image.error(ErrorKind::WrongMessage { asked: desc.name, actual }, None, 0));
            }
        }
        let mut entries = image.entries();
        let head = entries.next().transpose()?;
        let pages_id = match head {
            Some(head) => {
                head.check()?;
                head.fields().flatten().find_map(|field| match field.value {
                    WireValue::Varint(value) if field.number == 1 => Some(value),
                    _ => None,
                })
            }
            None => None,
        };
        Ok(Self {
            image,
            data: image.data(),
            order: image.identity().order,
            position: entries.offset() as usize,
            index: u64::from(head.is_some()),
            pages_id,
        })
    }

    /// Number of the pages file, from the head; `None` when the image ends before it.
    pub fn pages_id(&self) -> Option<u64> {
        self.pages_id
    }

    /// Absolute offset of the next entry.
    pub fn offset(&self) -> u64 {
        self.position as u64
    }

    pub(crate) fn at(mut self, position: u64, index: u64) -> Self {
        self.position = position as usize;
        self.index = index;
        self
    }

    #[cold]
    fn fail(&mut self, kind: ErrorKind) -> Error {
        let position = std::mem::replace(&mut self.position, self.data.len());
        self.image.error(kind, Some(self.index), position)
    }

    pub(crate) fn bad(&self, kind: ErrorKind, offset: u64, index: u64) -> Error {
        self.image.error(kind, Some(index), offset as usize)
    }
}

impl<'a> Iterator for PageEntries<'a> {
    type Item = Result<PageEntry<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let left = self.data.len() - self.position.min(self.data.len());
        if left == 0 {
            return None;
        }
        let Some(size) = word_at(self.data, self.position) else {
            return Some(Err(self.fail(ErrorKind::SizeTruncated { got: left as u64 })));
        };
        let size = self.order.word(size) as usize;
        let start = self.position + 4;
        let end = start.saturating_add(size);
        if end > self.data.len() {
            let kind = ErrorKind::BodyTruncated { expected: size as u64, got: (left - 4) as u64 };
            return Some(Err(self.fail(kind)));
        }
        match decode(self.data, start, end) {
            Ok(mut entry) => {
                entry.offset = self.position as u64;
                self.position = end;
                self.index += 1;
                Some(Ok(entry))
            }
            Err(reason) => {
                let message = messages::PAGEMAP_ENTRY.name;
                Some(Err(self.fail(ErrorKind::BadMessage { message, reason })))
            }
        }
    }
}

const VADDR: u8 = 1 << 3;
const COMPAT_NR_PAGES: u8 = 2 << 3;
const IN_PARENT: u8 = 3 << 3;
const FLAGS: u8 = 4 << 3;
const NR_PAGES: u8 = 5 << 3;

#[derive(Default)]
struct Values<'a> {
    vaddr: u64,
    compat_nr_pages: u64,
    nr_pages: u64,
    in_parent: bool,
    flags: Option<u32>,
    blocks: Option<&'a [u8]>,
    draft: bool,
}

/// Reads the message between `start` and `end` of `data`.
#[inline]
fn decode(data: &[u8], start: usize, end: usize) -> Result<PageEntry<'_>, WireError> {
    let mut values = Values::default();
    let mut position = start;
    if data.get(start) == Some(&VADDR) {
        (values.vaddr, position) = varint(data, start + 1, end, start)?;
        if let Some((flags, nr_pages)) = usual_tail(data, position, end) {
            (values.flags, values.nr_pages) = (Some(flags), nr_pages);
            return Ok(values.entry());
        }
    }
    while position < end {
        let Some(&key) = data.get(position) else { break };
        let slot = match key {
            VADDR => &mut values.vaddr,
            COMPAT_NR_PAGES => &mut values.compat_nr_pages,
            NR_PAGES => &mut values.nr_pages,
            IN_PARENT | FLAGS => {
                let (value, next) = varint(data, position + 1, end, start)?;
                if key == FLAGS {
                    values.flags = Some(value as u32);
                } else {
                    values.in_parent = value != 0;
                }
                position = next;
                continue;
            }
            _ => {
                // Anything else is rare: the general reader takes it from here.
                rare(data, start, position, end, &mut values)?;
                break;
            }
        };
        (*slot, position) = varint(data, position + 1, end, start)?;
    }
    Ok(values.entry())
}

/// What CRIU 4.2 and newer write behind the address, taken in one piece: a zero in the old count,
/// one byte of flags, one or two of count. Each field on its own would wait for the one before.
#[inline]
fn usual_tail(data: &[u8], position: usize, end: usize) -> Option<(u32, u64)> {
    const KEYS: u64 = u64::from_le_bytes([COMPAT_NR_PAGES, 0, FLAGS, 0, NR_PAGES, 0, 0, 0]);
    const MASK: u64 = u64::from_le_bytes([0xff, 0xff, 0xff, 0x80, 0xff, 0, 0, 0]);
    let word = u64::from_le_bytes(*data.get(position..)?.first_chunk::<8>()?);
    let (low, high) = (word >> 40 & 0xff, word >> 48 & 0xff);
    let pages = match end - position {
        6 if low < 0x80 => low,
        7 if low >= 0x80 && high < 0x80 => low & 0x7f | high << 7,
        _ => return None,
    };
    (word & MASK == KEYS).then_some(((word >> 24) as u32 & 0x7f, pages))
}

/// A number of variable width at `position`, and where it ends.
///
/// Eight bytes are read at once where the file has them: an address takes seven.
#[inline]
fn varint(data: &[u8], position: usize, end: usize, start: usize) -> Result<(u64, usize), WireError> {
    if let Some(bytes) = data.get(position..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*bytes);
        let stop = !word & 0x8080_8080_8080_8080;
        let len = (stop.trailing_zeros() as usize + 1) / 8;
        if stop != 0 && position + len <= end {
            let word = word & (stop ^ (stop - 1)) & 0x7f7f_7f7f_7f7f_7f7f;
            let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
            let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
            let word = word & 0x0000_0000_0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4;
            return Ok((word, position + len));
        }
    }
    let rest = data.get(position..end).unwrap_or_default();
    let (value, len) =
        read_varint(rest).map_err(|reason| WireError { reason, position: position - start })?;
    Ok((value, position + len))
}

#[cold]
fn rare<'a>(
    data: &'a [u8],
    start: usize,
    position: usize,
    end: usize,
    values: &mut Values<'a>,
) -> Result<(), WireError> {
    for field in Fields::new(data.get(position..end).unwrap_or_default()) {
        let field = field.map_err(|error| WireError {
            reason: error.reason,
            position: error.position + position - start,
        })?;
        match (field.number, field.value) {
            (1, WireValue::Varint(value)) => values.vaddr = value,
            (2, WireValue::Varint(value)) => values.compat_nr_pages = value,
            (3, WireValue::Varint(value)) => values.in_parent = value != 0,
            (4, WireValue::Varint(value)) => values.flags = Some(value as u32),
            (5, WireValue::Varint(value)) => values.nr_pages = value,
            (6, WireValue::Bytes(bytes)) if Blocks::new(bytes).is_some() => values.blocks = Some(bytes),
            // Drafts of the compressed form: sizes per page (also packed), their sum, pages per region.
            (6..=8, WireValue::Varint(_) | WireValue::Bytes(_)) => values.draft = true,
            _ => {}
        }
    }
    Ok(())
}

impl<'a> Values<'a> {
    #[inline]
    fn entry(self) -> PageEntry<'a> {
        let mut flags = self.flags.unwrap_or(if self.in_parent { 0 } else { PE_PRESENT });
        if self.in_parent {
            flags = flags & !PE_PRESENT | PE_PARENT;
        }
        PageEntry {
            offset: 0,
            vaddr: self.vaddr,
            // CRIU 4.2 writes a zero into the old 32-bit field; older ones have only that.
            pages: if self.nr_pages != 0 { self.nr_pages } else { u64::from(self.compat_nr_pages as u32) },
            flags,
            blocks: self.blocks,
            draft: self.draft,
        }
    }
}

impl From<WireReason> for WireError {
    fn from(reason: WireReason) -> Self {
        Self { reason, position: 0 }
    }
}
