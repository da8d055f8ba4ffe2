//! Where the pages of a process are, and what is known of them without reading each.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ckx_archive::archive::Backing;
use ckx_archive::{Archive, Member};
use ckx_criu::Image;
use ckx_criu::pages::{Block, BlockEncoding, PageEntries, PageMap, PageRun, Residency};

use super::passing::{HELD, Pages, is_pages};
use super::runs::{Content, HashRun, Packed, Run, Why};
use crate::checkpoint::joined;
use crate::memory::previous;
use crate::{Checkpoint, Issue};

/// Previous dumps that are followed.
const MAX_PARENTS: usize = 64;

/// The pages files of a checkpoint.
pub(super) struct PageFiles<'a> {
    checkpoint: &'a Checkpoint,
    page_size: u64,
    /// Bytes that are compared at once, and so are hashed at once.
    unit: u64,
    /// The source once more, with the pages in memory.
    held: Option<Archive>,
    /// Hashes of the pages of a source that is too large for that, by member.
    hashes: HashMap<Vec<u8>, Arc<[u128]>>,
    /// Those of the dump before it, if that was given.
    previous: Option<Box<Self>>,
    /// Why there are neither.
    pub issue: Option<Issue>,
}

impl<'a> PageFiles<'a> {
    /// Gets hold of the pages: nothing is done for sources that are mapped, others are decoded once.
    pub fn new(checkpoint: &'a Checkpoint, page_size: u64, unit: u64) -> Self {
        let archive = checkpoint.archive();
        let previous = checkpoint.previous().map(|previous| Box::new(Self::new(previous, page_size, unit)));
        let mut files =
            Self { checkpoint, page_size, unit, held: None, hashes: HashMap::new(), previous, issue: None };
        let is_here = |member: &Member| {
            checkpoint.page_hashes().contains_key(&*member.name) || archive.read_partial(member).is_ok()
        };
        let mut pages = archive.current().filter(|member| is_pages(&member.name));
        if archive.source().backing == Backing::Mapped || pages.all(is_here) {
            return files;
        }
        let sizes = archive.current().filter(|member| is_pages(&member.name)).map(|member| member.size_bytes);
        let is_large = sizes.fold(0, u64::saturating_add) > HELD;
        let mut pages = Pages::new(is_large, unit);
        match archive.again(&mut pages, ckx_archive::Options { budget_bytes: HELD, ..Default::default() }) {
            Ok(_) if is_large => files.hashes = pages.finish(),
            Ok(again) => files.held = Some(again),
            Err(error) => files.issue = Some(Issue::unreadable("pages", &error)),
        }
        files
    }

    /// The content of a pages file, as far as it is there.
    fn read(&self, name: &[u8]) -> Store {
        let known = self.hashes.get(name).or_else(|| self.checkpoint.page_hashes().get(name));
        if let Some(hashes) = known {
            return Store::Hashes(hashes.clone());
        }
        let archive = self.held.as_ref().unwrap_or_else(|| self.checkpoint.archive());
        match archive.get(name).map(|member| archive.read_partial(member)) {
            Some(Ok((bytes, _))) => Store::Bytes(bytes),
            Some(Err(error)) => Store::Missing(error.to_string()),
            None => Store::Missing("the image is missing".to_owned()),
        }
    }
}

/// A pages file.
enum Store {
    Bytes(Bytes),
    Hashes(Arc<[u128]>),
    Missing(String),
}

/// The page map of a process in one dump of a chain, and its pages file.
struct Level {
    name: String,
    map: Bytes,
    store: Store,
}

/// The page maps of a process, in its dump and those before it.
pub(super) struct Levels {
    list: Vec<Level>,
    page_size: u64,
    unit: u64,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

impl Level {
    fn read(files: &PageFiles<'_>, directory: &[u8], name: &str) -> Result<Self, Issue> {
        let archive = files.checkpoint.archive();
        let member = archive.get(&joined(directory, name.as_bytes())).ok_or_else(|| Issue::missing(name))?;
        let (map, _) = archive.read_partial(member).map_err(|error| Issue::unreadable(name, &error))?;
        let id = Image::parse(name.as_bytes(), &map).and_then(PageEntries::new);
        let id = id.ok().and_then(|entries| entries.pages_id());
        let pages = id.map_or_else(|| name.replace("pagemap", "pages"), |id| format!("pages-{id}.img"));
        let store = files.read(&joined(directory, pages.as_bytes()));
        Ok(Self { name: name.to_owned(), map, store })
    }
}

impl Levels {
    /// Reads the maps of the file name `name`: `pagemap-7.img`, `pagemap-shmem-9.img`.
    pub fn read(files: &PageFiles<'_>, name: &str) -> Self {
        let mut levels =
            Self { list: Vec::new(), page_size: files.page_size, unit: files.unit, issues: Vec::new() };
        let mut files = files;
        let mut place = Some((files.checkpoint, files.checkpoint.images_directory().to_vec()));
        while let Some((checkpoint, directory)) = place.filter(|_| levels.list.len() < MAX_PARENTS) {
            if !std::ptr::eq(checkpoint, files.checkpoint)
                && let Some(given) = &files.previous
            {
                files = given;
            }
            match Level::read(files, &directory, name) {
                Ok(level) => levels.list.push(level),
                // A dump before this one need not have had the process.
                Err(issue) => {
                    if levels.list.is_empty() || issue.code != "missing" {
                        levels.issues.push(issue);
                    }
                    break;
                }
            }
            place = previous(checkpoint, &directory);
        }
        levels
    }

    /// The maps, read.
    pub fn maps(&self) -> Space<'_> {
        let mut space = Space { levels: self, maps: Vec::new(), issues: Vec::new() };
        for level in &self.list {
            let image = Image::parse(level.name.as_bytes(), &level.map);
            match image.and_then(|image| PageMap::parse(image, self.page_size)) {
                Ok(map) if map.is_sorted() => {
                    if let (Store::Missing(reason), true) = (&level.store, map.totals().present_pages > 0) {
                        let pages =
                            map.pages_id().map_or_else(|| "pages".to_owned(), |id| format!("pages-{id}.img"));
                        space.issues.push(Issue::new(&pages, "unreadable", reason.as_str()));
                    }
                    space.maps.push(map);
                }
                Ok(_) => {
                    let reason = "the entries overlap or are not in order, so the pages are not compared";
                    space.issues.push(Issue::new(&level.name, "unsorted-pagemap", reason));
                    break;
                }
                Err(error) => {
                    space.issues.push(Issue::from(&error));
                    break;
                }
            }
        }
        space
    }
}

/// The memory of a process, as runs.
pub(super) struct Space<'l> {
    levels: &'l Levels,
    maps: Vec<PageMap<'l>>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

impl<'l> Space<'l> {
    /// Whether there is no map at all, and so nothing to compare.
    pub fn is_lost(&self) -> bool {
        self.maps.is_empty()
    }

    /// The runs of pages between two addresses, sorted.
    pub fn runs(&self, start: u64, end: u64) -> impl Iterator<Item = Run> + '_ {
        let runs = self.maps.first().map(|map| map.runs_since(start)).into_iter().flatten();
        runs.take_while(move |run| run.entry.vaddr < end).flat_map(move |run| {
            let mut out = Vec::new();
            self.resolve(0, &run, start, end, &mut out);
            out
        })
    }

    /// The part of a run between two addresses, through the dumps before it.
    fn resolve(&self, level: usize, run: &PageRun<'_>, start: u64, end: u64, out: &mut Vec<Run>) {
        let page_size = self.levels.page_size;
        let first = run.entry.vaddr;
        let last = first.saturating_add(run.entry.pages.saturating_mul(page_size));
        let (start, end) = (start.max(first), end.min(last));
        if start >= end {
            return;
        }
        match run.residency {
            Residency::Present { file_offset } => {
                let offset = file_offset.saturating_add(start - first);
                out.push(Run { start, end, content: self.stored(level, offset, end - start) });
            }
            Residency::Parent => match self.maps.get(level + 1) {
                Some(map) => {
                    for run in map.runs_since(start).take_while(|run| run.entry.vaddr < end) {
                        self.resolve(level + 1, &run, start, end, out);
                    }
                }
                None => out.push(Run { start, end, content: Content::Unknown(Why::Parent) }),
            },
            Residency::Lazy => out.push(Run { start, end, content: Content::Unknown(Why::Lazy) }),
            Residency::Blocks { file_offset, blocks } => {
                for block in blocks.iter(run.entry.pages, page_size) {
                    let from = first.saturating_add(block.first_page.saturating_mul(page_size));
                    let to = from.saturating_add(block.pages.saturating_mul(page_size));
                    if from < end && start < to {
                        let content = self.block(level, file_offset, &block, to - from);
                        let whole = Run { start: from, end: to, content };
                        let (start, end) = (start.max(from), end.min(to));
                        out.push(Run { start, end, content: whole.part(start, end) });
                    }
                }
            }
            Residency::Nowhere => {}
        }
    }

    /// A block of pages that are stored together. `len` is its length unpacked, which its map bounds.
    fn block(&self, level: usize, file_offset: u64, block: &Block, len: u64) -> Content {
        let offset = file_offset.saturating_add(block.offset);
        match block.encoding {
            BlockEncoding::Zero => Content::Zero,
            BlockEncoding::Raw => self.stored(level, offset, len),
            BlockEncoding::Lz4 => match self.stored(level, offset, block.stored_bytes) {
                Content::Bytes(block) => {
                    Content::Packed(Packed { block, len: usize::try_from(len).unwrap_or(0), from: 0 })
                }
                _ => Content::Unknown(Why::Packed),
            },
        }
    }

    fn stored(&self, level: usize, offset: u64, len: u64) -> Content {
        let unit = self.levels.unit.max(1);
        match self.levels.list.get(level).map(|level| &level.store) {
            Some(Store::Bytes(data)) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
                Content::Bytes(data.slice(at(offset)..at(offset.saturating_add(len))))
            }
            Some(Store::Hashes(all)) => {
                let from = usize::try_from(offset / unit).unwrap_or(usize::MAX);
                Content::Hashes(HashRun { all: all.clone(), from, page_size: unit })
            }
            _ => Content::Unknown(Why::Lost),
        }
    }
}
