//! The page map of one thing that has pages, in its dump and in those before it.

use std::sync::Arc;

use bytes::Bytes;
use ckx_criu::Image;
use ckx_criu::pages::{Block, BlockEncoding, PageIndex, PageMap, PageRun, Residency};

use super::files::{PageFiles, Store};
use super::previous::previous;
use super::run::{Content, Packed, Run, Why};
use crate::Issue;
use crate::checkpoint::joined;
use crate::issue::MISSING;

/// Previous dumps that are followed; chains of engines have one, of live migration a handful.
const MAX_DUMPS: usize = 64;

/// Bytes of a run of the dump before that are followed at once.
const FOLLOWED: u64 = 16 << 20;

/// Where the pages of a process or of a shared object are: by its page map and, for pages that did not
/// change since the dump before, by the map there. It holds windows of the images and can be kept.
#[derive(Debug, Default)]
pub struct Chain {
    name: String,
    dumps: Vec<Dump>,
    page_size: u64,
    /// What is hashed at once where the pages went by.
    unit: u64,
    /// Why the chain ends where a page is said to be in the dump before.
    end: Option<Why>,
    /// What is missing or broken.
    issues: Vec<Issue>,
}

/// A place in a pages file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub address: u64,
    pub offset: u64,
    /// Bytes in the file.
    pub stored: u64,
    /// Bytes of memory.
    pub len: u64,
    /// Whether it is a block of LZ4.
    pub packed: bool,
}

impl Stored {
    /// Leaves out the first bytes.
    pub fn advance(&mut self, bytes: u64) {
        self.offset = self.offset.saturating_add(bytes);
        self.stored = self.stored.saturating_sub(bytes);
        if !self.packed {
            self.address = self.address.saturating_add(bytes);
            self.len = self.len.saturating_sub(bytes);
        }
    }
}

/// One dump's page map, and its pages file.
#[derive(Debug)]
struct Dump {
    name: String,
    /// The pages file, as a member.
    pages: Vec<u8>,
    map: Bytes,
    index: Arc<PageIndex>,
    store: Store,
}

impl Dump {
    fn read(files: &PageFiles<'_>, directory: &[u8], name: &str) -> Result<Self, Issue> {
        let archive = files.checkpoint().archive();
        let member = archive.get(&joined(directory, name.as_bytes())).ok_or_else(|| Issue::missing(name))?;
        let (map, _) = archive.read_partial(member).map_err(|error| Issue::unreadable(name, &error))?;
        let parsed = Image::parse(name.as_bytes(), &map)
            .and_then(|image| PageMap::parse(image, files.page_size()))
            .map_err(|error| Issue::from(&error))?;
        if !parsed.is_sorted() {
            let reason = "the entries overlap or are not in order, so no page can be looked up";
            return Err(Issue::new(name, "unsorted-pagemap", reason));
        }
        let pages = pages_name(name, parsed.pages_id());
        let pages = joined(directory, pages.as_bytes());
        let store = files.store(&pages);
        let index = Arc::clone(parsed.index());
        Ok(Self { name: name.to_owned(), pages, map, index, store })
    }

    fn map(&self) -> Option<PageMap<'_>> {
        // It was parsed when it was read.
        let image = Image::parse(self.name.as_bytes(), &self.map).ok()?;
        PageMap::with_index(image, &self.index).ok()
    }

    fn missing_pages(&self) -> Option<Issue> {
        let map = self.map()?;
        match &self.store {
            Store::Missing(reason) if map.totals().present_pages > 0 => {
                let pages = pages_name(&self.name, map.pages_id());
                Some(Issue::new(&pages, "unreadable", reason.as_str()))
            }
            _ => None,
        }
    }
}

/// Where the pages of a run are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFile<'a> {
    /// The pages file, as a member of its source.
    pub member: &'a [u8],
    /// Offset of the first of them there; `None` when they are in compressed blocks.
    pub offset: Option<u64>,
    /// Flags of the entry, `PE_*`.
    pub flags: u32,
}

/// Name of the pages file that a page map says, or that goes with its name in old dumps.
pub(super) fn pages_name(map: &str, id: Option<u64>) -> String {
    id.map_or_else(|| map.replace("pagemap", "pages"), |id| format!("pages-{id}.img"))
}

impl Chain {
    /// Reads the maps of the file name `name`: `pagemap-7.img`, `pagemap-shmem-9.img`.
    pub(crate) fn read(files: &PageFiles<'_>, name: &str) -> Self {
        let mut chain = Self {
            name: name.to_owned(),
            page_size: files.page_size(),
            unit: files.unit(),
            end: Some(Why::Parent),
            ..Self::default()
        };
        let mut files = files;
        let mut place = Some((files.checkpoint(), files.checkpoint().images_directory().to_vec()));
        while let Some((checkpoint, directory)) = place {
            if chain.dumps.len() >= MAX_DUMPS {
                chain.end = Some(Why::Circle);
                break;
            }
            if !std::ptr::eq(checkpoint, files.checkpoint())
                && let Some(given) = files.previous()
            {
                files = given;
            }
            match Dump::read(files, &directory, name) {
                Ok(dump) => {
                    chain.issues.extend(dump.missing_pages());
                    let has_parent = dump.map().is_some_and(|map| map.totals().parent_pages > 0);
                    chain.dumps.push(dump);
                    if !has_parent {
                        break;
                    }
                }
                // A dump before this one need not have had the process.
                Err(issue) => {
                    chain.end = Some(if issue.code == "missing" { Why::Parent } else { Why::Map });
                    if chain.dumps.is_empty() || issue.code != "missing" {
                        chain.issues.push(issue);
                    }
                    break;
                }
            }
            place = previous(checkpoint, &directory);
        }
        chain
    }

    /// Name of the page map.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether some of its pages are in an earlier dump.
    pub fn has_parent(&self) -> bool {
        self.dumps.first().and_then(Dump::map).is_some_and(|map| map.totals().parent_pages > 0)
    }

    /// Where the pages of the newest dump are stored, in the order of addresses and of the file.
    pub(super) fn stored_runs(&self) -> Vec<Stored> {
        let mut stored = Vec::new();
        let Some(map) = self.dumps.first().and_then(Dump::map) else { return stored };
        for run in map.runs() {
            let (address, pages) = (run.entry.vaddr, run.entry.pages);
            match run.residency {
                Residency::Present { file_offset } => {
                    let len = pages.saturating_mul(self.page_size);
                    stored.push(Stored { address, offset: file_offset, stored: len, len, packed: false });
                }
                Residency::Blocks { file_offset, blocks } => {
                    for block in blocks.iter(pages, self.page_size) {
                        let packed = match block.encoding {
                            BlockEncoding::Zero => continue,
                            BlockEncoding::Raw => false,
                            BlockEncoding::Lz4 => true,
                        };
                        let len = block.pages.saturating_mul(self.page_size);
                        stored.push(Stored {
                            address: address.saturating_add(block.first_page.saturating_mul(self.page_size)),
                            offset: file_offset.saturating_add(block.offset),
                            stored: if packed { block.stored_bytes } else { len },
                            len,
                            packed,
                        });
                    }
                }
                _ => {}
            }
        }
        stored
    }

    /// Whether there is no map at all, and so nothing is known.
    pub fn is_lost(&self) -> bool {
        self.dumps.is_empty()
    }

    /// The pages files of the dumps, the newest first, as members of their sources.
    pub fn members(&self) -> impl Iterator<Item = &[u8]> {
        self.dumps.iter().map(|dump| &*dump.pages)
    }

    /// What is missing or broken.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// Why a page cannot be read, with the image that is missing or broken where that is the reason.
    pub fn reason(&self, why: Why) -> String {
        let is_image = matches!(why, Why::Lost | Why::Map);
        match self.issues.first().filter(|_| is_image) {
            Some(issue) if issue.reason == MISSING => format!("{} is missing", issue.image),
            Some(issue) => format!("{}: {}", issue.image, issue.reason),
            None => why.to_string(),
        }
    }

    /// Size of a page in bytes.
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// The runs of pages between two addresses, sorted; each where it really is. Addresses that no run
    /// covers were never touched, or are as in the file.
    pub fn runs(&self, start: u64, end: u64) -> impl Iterator<Item = Run> + '_ {
        let maps: Arc<[PageMap<'_>]> = self.dumps.iter().map_while(Dump::map).collect();
        let runs = maps.first().map(|map| map.runs_since(start)).into_iter().flatten();
        let runs = runs.take_while(move |run| run.entry.vaddr < end);
        let mut runs = Whole { runs: runs.peekable(), page_size: self.page_size };
        let mut waiting = Vec::new().into_iter();
        // A run that the dump before has in many pieces is followed a part at a time.
        let mut current: Option<(PageRun<'_>, u64)> = None;
        std::iter::from_fn(move || {
            loop {
                if let Some(run) = waiting.next() {
                    return Some(run);
                }
                let (run, from) = match current.take() {
                    Some(rest) => rest,
                    None => {
                        let run = runs.next()?;
                        (run, run.entry.vaddr.max(start))
                    }
                };
                let last = self.end_of(&run).min(end);
                let step = if run.residency == Residency::Parent { FOLLOWED } else { u64::MAX };
                let to = from.saturating_add(step).min(last);
                let mut out = Vec::new();
                Resolve { chain: self, maps: &maps, out: &mut out }.run(0, &run, from, to);
                waiting = out.into_iter();
                current = (to < last).then_some((run, to));
            }
        })
    }

    /// Where a run of [`Chain::runs`] is stored; `None` when it is in no pages file.
    pub fn stored_at(&self, run: &Run) -> Option<InFile<'_>> {
        let dump = self.dumps.get(run.level)?;
        let found = dump.map()?.run_at(run.start).ok()??;
        let inside = run.start.checked_sub(found.entry.vaddr)?;
        let offset = match found.residency {
            Residency::Present { file_offset } => Some(file_offset.checked_add(inside)?),
            Residency::Blocks { .. } => None,
            _ => return None,
        };
        Some(InFile { member: &dump.pages, offset, flags: found.entry.flags })
    }

    fn end_of(&self, run: &PageRun<'_>) -> u64 {
        run.entry.vaddr.saturating_add(run.entry.pages.saturating_mul(self.page_size))
    }

    fn stored(&self, level: usize, offset: u64, len: u64) -> Content {
        match self.dumps.get(level).map(|dump| &dump.store) {
            Some(store) => store.window(offset, len, self.unit),
            None => Content::Absent(Why::Lost),
        }
    }
}

/// Runs that CRIU wrote in parts, as whole ones: those that follow each other in memory and in the pages file.
struct Whole<I: Iterator> {
    runs: std::iter::Peekable<I>,
    page_size: u64,
}

impl<'m, I: Iterator<Item = PageRun<'m>>> Iterator for Whole<I> {
    type Item = PageRun<'m>;

    fn next(&mut self) -> Option<PageRun<'m>> {
        let mut run = self.runs.next()?;
        let Residency::Present { file_offset } = run.residency else { return Some(run) };
        let follows = |run: &PageRun<'m>, next: &PageRun<'m>| {
            let len = run.entry.pages.saturating_mul(self.page_size);
            let offset = file_offset.saturating_add(len);
            let is_next =
                matches!(next.residency, Residency::Present { file_offset } if file_offset == offset);
            is_next && run.entry.vaddr.checked_add(len) == Some(next.entry.vaddr)
        };
        while let Some(next) = self.runs.next_if(|next| follows(&run, next)) {
            run.entry.pages = run.entry.pages.saturating_add(next.entry.pages);
        }
        Some(run)
    }
}

/// Follows a run through the dumps.
struct Resolve<'r, 'm> {
    chain: &'r Chain,
    maps: &'r [PageMap<'m>],
    out: &'r mut Vec<Run>,
}

impl Resolve<'_, '_> {
    fn push(&mut self, level: usize, start: u64, end: u64, content: Content) {
        if start < end {
            self.out.push(Run { start, end, level, content });
        }
    }

    /// The part of a run between two addresses, through the dumps before it.
    fn run(&mut self, level: usize, run: &PageRun<'_>, start: u64, end: u64) {
        let page_size = self.chain.page_size;
        let first = run.entry.vaddr;
        let (start, end) = (start.max(first), end.min(self.chain.end_of(run)));
        if start >= end {
            return;
        }
        match run.residency {
            Residency::Present { file_offset } => {
                let offset = file_offset.saturating_add(start - first);
                // Of a file that is there in parts each is a run of its own.
                let cuts = self.chain.dumps.get(level).map(|dump| dump.store.cuts(offset, end - start));
                let cuts = cuts.into_iter().flatten().map(|cut| start.saturating_add(cut - offset));
                let mut from = start;
                for to in cuts.chain([end]) {
                    self.stored(level, offset.saturating_add(from - start), from, to);
                    from = to;
                }
            }
            Residency::Parent => self.before(level, start, end),
            Residency::Lazy => self.push(level, start, end, Content::Absent(Why::Lazy)),
            Residency::Blocks { file_offset, blocks } => {
                for block in blocks.iter(run.entry.pages, page_size) {
                    let from = first.saturating_add(block.first_page.saturating_mul(page_size));
                    let to = from.saturating_add(block.pages.saturating_mul(page_size));
                    if from < end && start < to {
                        let content = self.block(level, file_offset, &block, to - from);
                        let whole = Run { start: from, end: to, level, content };
                        let (start, end) = (start.max(from), end.min(to));
                        self.push(level, start, end, whole.part(start, end));
                    }
                }
            }
            Residency::Nowhere => {}
        }
    }

    /// Pages of the dump before: its map must have all of them.
    fn before(&mut self, level: usize, start: u64, end: u64) {
        let Some(map) = self.maps.get(level + 1) else {
            self.push(level, start, end, Content::Absent(self.chain.end.unwrap_or(Why::Parent)));
            return;
        };
        let mut at = start;
        for run in map.runs_since(start).take_while(|run| run.entry.vaddr < end) {
            let gap = run.entry.vaddr.min(end);
            self.push(level + 1, at, gap, Content::Absent(Why::Gap));
            self.run(level + 1, &run, start, end);
            at = at.max(self.chain.end_of(&run));
        }
        self.push(level + 1, at, end, Content::Absent(Why::Gap));
    }

    /// Pages that are stored as they are. Those behind the end of the file are lost.
    fn stored(&mut self, level: usize, offset: u64, start: u64, end: u64) {
        let content = self.chain.stored(level, offset, end - start);
        let have = match &content {
            Content::Bytes(bytes) => bytes.len() as u64,
            _ => end - start,
        };
        let page_size = self.chain.page_size.max(1);
        let cut = if have < end - start { start + (have - have % page_size) } else { end };
        let whole = Run { start, end, level, content };
        let content = whole.part(start, cut);
        self.push(level, start, cut, content);
        self.push(level, cut, end, Content::Absent(Why::Lost));
    }

    /// A block of pages that are stored together. `len` is its length unpacked, which its map bounds.
    fn block(&self, level: usize, file_offset: u64, block: &Block, len: u64) -> Content {
        let offset = file_offset.saturating_add(block.offset);
        match block.encoding {
            BlockEncoding::Zero => Content::Zero,
            BlockEncoding::Raw => self.chain.stored(level, offset, len),
            BlockEncoding::Lz4 => match self.chain.stored(level, offset, block.stored_bytes) {
                Content::Bytes(block) => {
                    Content::Packed(Packed { block, len: usize::try_from(len).unwrap_or(0), from: 0 })
                }
                Content::Absent(why) => Content::Absent(why),
                _ => Content::Absent(Why::Packed),
            },
        }
    }
}
