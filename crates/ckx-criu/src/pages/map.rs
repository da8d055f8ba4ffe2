//! A page map that answers where the page of an address is.

use std::sync::Arc;

use crate::bytes::round_up;
use crate::error::{Error, ErrorKind};
use crate::frame::Image;
use crate::limits::PAGEMAP_STRIDE;
use crate::pages::{
    Block, Blocks, PE_LAZY, PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT, PageEntries, PageEntry,
};

/// Where the pages of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residency<'a> {
    /// In the pages file, one after the other from this offset on.
    Present {
        /// Offset in the pages file, in bytes.
        file_offset: u64,
    },
    /// In the pages file, in blocks that may be compressed.
    Blocks {
        /// Offset in the pages file of the first block, in bytes.
        file_offset: u64,
        /// The blocks.
        blocks: Blocks<'a>,
    },
    /// In the same-named page map of the previous dump (`parent/`).
    Parent,
    /// On the dumping host, when the dump was made: not in the image.
    Lazy,
    /// Nowhere: the entry has none of the flags.
    Nowhere,
}

/// A run of pages that one entry describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRun<'a> {
    /// The entry.
    pub entry: PageEntry<'a>,
    /// Where its pages are.
    pub residency: Residency<'a>,
}

/// Where one page is: the answer to [`PageMap::find`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PagePlace {
    /// In the pages file as it is.
    Present {
        /// Offset of the page in the pages file, in bytes.
        file_offset: u64,
    },
    /// In a block of the pages file.
    Block {
        /// The block; its `offset` counts from the entry's first byte.
        block: Block,
        /// Offset of the stored block in the pages file, in bytes.
        file_offset: u64,
        /// Pages before this one in the block.
        page_in_block: u64,
    },
    /// In a block of zeros that takes no room.
    Zero,
    /// In the previous dump.
    Parent,
    /// Left on the dumping host.
    Lazy,
    /// Not in this map: never touched, or a page of a file that was not written.
    Absent,
}

/// Counts over a whole map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageTotals {
    /// Entries.
    pub entries: u64,
    /// Pages in the pages file.
    pub present_pages: u64,
    /// Pages in the previous dump.
    pub parent_pages: u64,
    /// Pages left on the dumping host.
    pub lazy_pages: u64,
    /// Bytes that the pages file should have.
    pub file_bytes: u64,
}

impl PageTotals {
    #[inline]
    fn count(&mut self, entry: &PageEntry<'_>) {
        self.entries += 1;
        let counter = if entry.flags & PE_PRESENT != 0 {
            &mut self.present_pages
        } else if entry.flags & PE_PARENT != 0 {
            &mut self.parent_pages
        } else if entry.flags & PE_LAZY != 0 {
            &mut self.lazy_pages
        } else {
            return;
        };
        *counter = counter.saturating_add(entry.pages);
    }
}

/// A page map with a sparse index: a mark each [`PAGEMAP_STRIDE`] entries.
///
/// Making one walks the map once and allocates a mark per stride, never per entry.
#[derive(Debug, Clone)]
pub struct PageMap<'a> {
    first: PageEntries<'a>,
    index: Arc<PageIndex>,
}

/// What reading a page map found, without the map: kept beside the bytes, it spares reading them again
/// ([`PageMap::with_index`]).
#[derive(Debug)]
pub struct PageIndex {
    page_size: u64,
    marks: Vec<Mark>,
    totals: PageTotals,
    sorted: bool,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    vaddr: u64,
    offset: u64,
    index: u64,
    file_offset: u64,
}

impl<'a> PageMap<'a> {
    /// Reads a page map. `page_size` is that of the dumping host in bytes, a power of two; it is
    /// stored in no page map: see [`crate::pages::page_size_of`].
    ///
    /// # Errors
    /// Framing errors, [`ErrorKind::BadPageMap`] for entries that contradict themselves (both in
    /// the image and in the parent, addresses beyond 64 bits, blocks that do not add up),
    /// [`ErrorKind::UnsupportedPageMap`] for drafts of the compressed form.
    pub fn parse(image: Image<'a>, page_size: u64) -> Result<Self, Error> {
        let first = PageEntries::new(image)?;
        if !page_size.is_power_of_two() {
            return Err(image.error(
                ErrorKind::BadPageMap { reason: "the page size is no power of two" },
                None,
                0,
            ));
        }
        let mut map = PageIndex { page_size, marks: Vec::new(), totals: PageTotals::default(), sorted: true };
        let mut end = 0;
        let mut file_offset = 0;
        let mut entries = first.clone();
        let mut position = entries.offset();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let index = map.totals.entries;
            if index.is_multiple_of(PAGEMAP_STRIDE as u64) {
                map.marks.push(Mark { vaddr: entry.vaddr, offset: position, index, file_offset });
            }
            let bad = |reason| entries.bad(ErrorKind::BadPageMap { reason }, entry.offset, index + 1);
            let next =
                entry_end(&entry, page_size).ok_or_else(|| bad("the run ends beyond the last address"))?;
            map.sorted &= entry.vaddr >= end;
            end = next;
            if entry.draft {
                let form = "a draft of the compressed form (sizes per page or region)";
                return Err(entries.bad(ErrorKind::UnsupportedPageMap { form }, entry.offset, index + 1));
            }
            if entry.flags & PE_PRESENT != 0 {
                file_offset = payload_end(&entry, page_size, file_offset).map_err(bad)?;
            }
            map.totals.count(&entry);
            position = entries.offset();
        }
        map.totals.file_bytes = file_offset;
        Ok(Self { first, index: Arc::new(map) })
    }

    /// The map again, with what reading it found before. With the index of another image the answers mean
    /// nothing, but are answers.
    ///
    /// # Errors
    /// Framing errors of the head.
    pub fn with_index(image: Image<'a>, index: &Arc<PageIndex>) -> Result<Self, Error> {
        Ok(Self { first: PageEntries::new(image)?, index: Arc::clone(index) })
    }

    /// What reading it found.
    pub fn index(&self) -> &Arc<PageIndex> {
        &self.index
    }

    /// Number of the pages file.
    pub fn pages_id(&self) -> Option<u64> {
        self.first.pages_id()
    }

    /// Page size in bytes.
    pub fn page_size(&self) -> u64 {
        self.index.page_size
    }

    /// Counts over the whole map.
    pub fn totals(&self) -> PageTotals {
        self.index.totals
    }

    /// Whether the entries are in address order and do not overlap, as CRIU writes them.
    pub fn is_sorted(&self) -> bool {
        self.index.sorted
    }

    /// The runs in file order.
    pub fn runs(&self) -> impl Iterator<Item = PageRun<'a>> {
        self.runs_from(None)
    }

    /// The runs that end behind an address, in file order. In a map that is not sorted some may be
    /// left out.
    pub fn runs_since(&self, vaddr: u64) -> impl Iterator<Item = PageRun<'a>> + use<'a> {
        let page_size = self.index.page_size;
        let after = self.index.marks.partition_point(|mark| mark.vaddr <= vaddr);
        let mark = after.checked_sub(1).and_then(|at| self.index.marks.get(at)).copied();
        self.runs_from(mark)
            .skip_while(move |run| entry_end(&run.entry, page_size).is_none_or(|end| end <= vaddr))
    }

    fn runs_from(&self, mark: Option<Mark>) -> impl Iterator<Item = PageRun<'a>> + use<'a> {
        let (entries, mut file_offset) = match mark {
            Some(mark) => (self.first.clone().at(mark.offset, mark.index), mark.file_offset),
            None => (self.first.clone(), 0),
        };
        let page_size = self.index.page_size;
        // Everything was checked when the map was read.
        entries.map_while(Result::ok).map_while(move |entry| {
            let (residency, after) = place(&entry, page_size, file_offset).ok()?;
            file_offset = after;
            Some(PageRun { entry, residency })
        })
    }

    /// The run that holds an address; `None` when no entry does.
    ///
    /// # Errors
    /// [`ErrorKind::BadPageMap`] when the entries overlap or are out of order.
    pub fn run_at(&self, vaddr: u64) -> Result<Option<PageRun<'a>>, Error> {
        if !self.index.sorted {
            let reason = "the entries overlap or are not in address order, so no page can be looked up";
            return Err(self.first.bad(ErrorKind::BadPageMap { reason }, self.first.offset(), 1));
        }
        let after = self.index.marks.partition_point(|mark| mark.vaddr <= vaddr);
        let Some(mark) = after.checked_sub(1).and_then(|at| self.index.marks.get(at)) else {
            return Ok(None);
        };
        // One more than a stride: runs of no pages may share an address with the next mark.
        Ok(self
            .runs_from(Some(*mark))
            .take_while(|run| run.entry.vaddr <= vaddr)
            .take(PAGEMAP_STRIDE)
            .find(|run| entry_end(&run.entry, self.index.page_size).is_some_and(|end| vaddr < end)))
    }

    /// Where the page of an address is.
    ///
    /// # Errors
    /// As [`PageMap::run_at`].
    pub fn find(&self, vaddr: u64) -> Result<PagePlace, Error> {
        let Some(run) = self.run_at(vaddr)? else { return Ok(PagePlace::Absent) };
        let page = (vaddr - run.entry.vaddr) / self.index.page_size;
        Ok(match run.residency {
            Residency::Present { file_offset } => {
                PagePlace::Present { file_offset: file_offset + page * self.index.page_size }
            }
            Residency::Blocks { file_offset, blocks } => blocks
                .iter(run.entry.pages, self.index.page_size)
                .find(|block| page < block.first_page + block.pages)
                .map_or(PagePlace::Absent, |block| match block.encoding {
                    super::BlockEncoding::Zero => PagePlace::Zero,
                    _ => PagePlace::Block {
                        block,
                        file_offset: file_offset + block.offset,
                        page_in_block: page - block.first_page,
                    },
                }),
            Residency::Parent => PagePlace::Parent,
            Residency::Lazy => PagePlace::Lazy,
            Residency::Nowhere => PagePlace::Absent,
        })
    }
}

fn entry_end(entry: &PageEntry<'_>, page_size: u64) -> Option<u64> {
    // The last byte must have an address; the end itself may be 2^64, which does not occur.
    entry.vaddr.checked_add(entry.pages.checked_mul(page_size)?)
}

const TOO_LARGE: &str = "the pages file would be larger than 2^64 bytes";

/// Where an entry's pages are, and the offset in the pages file behind them.
fn place<'a>(
    entry: &PageEntry<'a>,
    page_size: u64,
    file_offset: u64,
) -> Result<(Residency<'a>, u64), &'static str> {
    if entry.flags & PE_PRESENT == 0 {
        let residency = if entry.flags & PE_PARENT != 0 {
            Residency::Parent
        } else if entry.flags & PE_LAZY != 0 {
            Residency::Lazy
        } else {
            Residency::Nowhere
        };
        return Ok((residency, file_offset));
    }
    let end = payload_end(entry, page_size, file_offset)?;
    let file_offset = payload_start(entry, page_size, file_offset)?;
    Ok(match entry.blocks() {
        Some(blocks) => (Residency::Blocks { file_offset, blocks }, end),
        None => (Residency::Present { file_offset }, end),
    })
}

/// Where the pages of a present entry begin in the pages file.
#[inline]
fn payload_start(entry: &PageEntry<'_>, page_size: u64, file_offset: u64) -> Result<u64, &'static str> {
    if entry.flags & PE_PAYLOAD_ALIGNED == 0 {
        return Ok(file_offset);
    }
    round_up(file_offset, page_size).ok_or(TOO_LARGE)
}

/// Where they end. Checks the entry on the way.
#[inline]
fn payload_end(entry: &PageEntry<'_>, page_size: u64, file_offset: u64) -> Result<u64, &'static str> {
    if entry.flags & PE_PARENT != 0 {
        return Err("an entry says that its pages are both in this image and in the parent");
    }
    let start = payload_start(entry, page_size, file_offset)?;
    let bytes = if entry.has_blocks() {
        block_bytes(entry, page_size)?
    } else {
        entry.pages.checked_mul(page_size).ok_or(TOO_LARGE)?
    };
    start.checked_add(bytes).ok_or(TOO_LARGE)
}

#[cold]
fn block_bytes(entry: &PageEntry<'_>, page_size: u64) -> Result<u64, &'static str> {
    let blocks = entry.blocks().ok_or("the blocks of a compressed entry cannot be read")?;
    blocks.check(entry.pages, page_size)?;
    Ok(blocks.total_payload_bytes)
}
