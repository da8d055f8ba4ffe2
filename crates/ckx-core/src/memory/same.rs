//! Whether pages of two runs are the same.

use super::run::{Content, Run, hash};

/// What is known of one page.
enum Page<'a> {
    Bytes(&'a [u8]),
    Hash(u128),
    Zero,
}

/// Zeros, as many as a page of any machine has.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

fn zeros(page_size: u64) -> &'static [u8] {
    ZEROS.get(..usize::try_from(page_size).unwrap_or(usize::MAX)).unwrap_or(&ZEROS)
}

impl Page<'_> {
    fn hash(&self, page_size: u64) -> u128 {
        match self {
            Self::Bytes(bytes) => hash(bytes),
            Self::Hash(known) => *known,
            Self::Zero => hash(zeros(page_size)),
        }
    }
}

impl Run {
    /// Whether the page at an address is the same in both. Pages that cannot be read are the same as none;
    /// those of a source that went by are compared by their hashes of 128 bits.
    pub fn has_same_page(&self, other: &Self, address: u64, page_size: u64) -> bool {
        let (Some(a), Some(b)) = (self.page(address, page_size), other.page(address, page_size)) else {
            return false;
        };
        match (&a, &b) {
            (Page::Bytes(a), Page::Bytes(b)) => a == b,
            _ => a.hash(page_size) == b.hash(page_size),
        }
    }

    /// Whether the page at an address is known to be zeros.
    pub fn has_zero_page(&self, address: u64, page_size: u64) -> bool {
        match self.page(address, page_size) {
            Some(Page::Bytes(bytes)) => bytes == zeros(page_size),
            Some(Page::Hash(known)) => known == hash(zeros(page_size)),
            Some(Page::Zero) => true,
            None => false,
        }
    }

    fn page(&self, address: u64, page_size: u64) -> Option<Page<'_>> {
        let offset = address.checked_sub(self.start).filter(|_| address < self.end)?;
        match &self.content {
            Content::Bytes(bytes) => {
                let start = usize::try_from(offset).ok()?;
                let end = start.checked_add(usize::try_from(page_size).ok()?)?;
                bytes.get(start..end).map(Page::Bytes)
            }
            Content::Hashes(run) if run.page_size == page_size => {
                let at = usize::try_from(offset / page_size.max(1)).ok()?;
                run.all.get(run.from.checked_add(at)?).map(|hash| Page::Hash(*hash))
            }
            Content::Zero => Some(Page::Zero),
            Content::Hashes(_) | Content::Untouched | Content::Packed(_) | Content::Absent(_) => None,
        }
    }
}
