//! The pages files of a checkpoint, held in the way that a question needs.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ckx_archive::archive::{Backing, Kept};
use ckx_archive::tarball::TarMember;
use ckx_archive::{Archive, Interest, Interests, Member};

use super::passing::{HELD, Pages, is_pages};
use super::run::{Content, HashRun, Why};
use crate::issue::MISSING;
use crate::{Checkpoint, Issue};

/// The pages files of a checkpoint, and of the dump before it if that was given.
pub(crate) struct PageFiles<'a> {
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

/// Page size of the machine; processes of one dump have one.
pub(crate) fn page_size(checkpoint: &Checkpoint) -> u64 {
    let mms = checkpoint.processes().list.iter().filter_map(|process| process.mm.as_ref());
    let mut sizes = mms.filter_map(|mm| ckx_criu::pages::page_size_of(&mm.mm_saved_auxv));
    sizes.next().unwrap_or(4096)
}

impl<'a> PageFiles<'a> {
    /// What is at hand, without reading a source once more.
    pub fn at_hand(checkpoint: &'a Checkpoint) -> Self {
        let previous = checkpoint.previous().map(|previous| Box::new(Self::at_hand(previous)));
        let page_size = page_size(checkpoint);
        let (held, hashes) = (None, HashMap::new());
        let mut files = Self { checkpoint, page_size, unit: page_size, held, hashes, previous, issue: None };
        files.set_page_size(page_size);
        files
    }

    /// Gets hold of the bytes: nothing is done for sources that are mapped, others are decoded once more,
    /// and of their pages files those that `wanted` says are held, up to `budget` bytes.
    pub fn bytes(checkpoint: &'a Checkpoint, budget: u64, wanted: &dyn Fn(&[u8]) -> bool) -> Self {
        let mut files = Self::at_hand(checkpoint);
        files.previous =
            checkpoint.previous().map(|previous| Box::new(Self::bytes(previous, budget, wanted)));
        files.set_page_size(files.page_size);
        let archive = checkpoint.archive();
        let is_here = |member: &Member| archive.read_partial(member).is_ok();
        let mut pages = archive.current().filter(|member| is_pages(&member.name) && wanted(&member.name));
        if archive.source().backing == Backing::Mapped || pages.all(is_here) {
            return files;
        }
        let mut interests = Selected { wanted };
        let options = ckx_archive::Options { budget_bytes: budget, ..checkpoint.options().archive.clone() };
        match archive.again(&mut interests, options) {
            Ok(again) => files.held = Some(again),
            Err(error) => files.issue = Some(Issue::unreadable("pages", &error)),
        }
        files
    }

    /// Gets hold of the pages for comparing `unit` bytes at once: of sources that are not mapped and too
    /// large only hashes.
    pub fn hashed(checkpoint: &'a Checkpoint, page_size: u64, unit: u64) -> Self {
        let archive = checkpoint.archive();
        let previous =
            checkpoint.previous().map(|previous| Box::new(Self::hashed(previous, page_size, unit)));
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

    pub fn checkpoint(&self) -> &'a Checkpoint {
        self.checkpoint
    }

    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// A pre-dump has no process to tell its page size: it is that of the dump behind it.
    pub fn set_page_size(&mut self, page_size: u64) {
        self.page_size = page_size;
        self.unit = page_size;
        if let Some(previous) = &mut self.previous {
            previous.set_page_size(page_size);
        }
    }

    pub fn unit(&self) -> u64 {
        self.unit
    }

    pub fn previous(&self) -> Option<&Self> {
        self.previous.as_deref()
    }

    /// The content of a pages file, as far as it is there.
    pub(super) fn store(&self, name: &[u8]) -> Store {
        let known = self.hashes.get(name).or_else(|| self.checkpoint.page_hashes().get(name));
        if let Some(hashes) = known {
            return Store::Hashes(hashes.clone());
        }
        let archive = self.held.as_ref().unwrap_or_else(|| self.checkpoint.archive());
        let Some(member) = archive.get(name) else {
            return Store::Missing(MISSING.to_owned());
        };
        if let Some(parts) = archive.windows(member) {
            return Store::Parts(parts.to_vec(), member.size_bytes);
        }
        match archive.read_partial(member) {
            Ok((bytes, _)) => Store::Bytes(bytes),
            Err(error) if archive.source().backing == Backing::Mapped => Store::Missing(error.to_string()),
            Err(_) => Store::Parts(Vec::new(), member.size_bytes),
        }
    }
}

/// Keeps pages files that someone wants.
struct Selected<'w> {
    wanted: &'w dyn Fn(&[u8]) -> bool,
}

impl Interests for Selected<'_> {
    fn of(&mut self, member: &TarMember, _: &Kept<'_>) -> Interest {
        let is_wanted = is_pages(&member.name) && (self.wanted)(&member.name);
        if is_wanted { Interest::Keep } else { Interest::Skip }
    }
}

/// A pages file.
#[derive(Debug)]
pub(super) enum Store {
    Bytes(Bytes),
    /// The parts of it that were kept, by offset, and how long it is.
    Parts(Vec<(u64, Bytes)>, u64),
    Hashes(Arc<[u128]>),
    Missing(String),
}

impl Store {
    /// What is there of a range; fewer bytes where the file ends.
    pub fn window(&self, offset: u64, len: u64, unit: u64) -> Content {
        let slice = |data: &Bytes, offset: u64| {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
            data.slice(at(offset)..at(offset.saturating_add(len)))
        };
        match self {
            Self::Bytes(data) => Content::Bytes(slice(data, offset)),
            Self::Parts(parts, size) => {
                let after = parts.partition_point(|(start, _)| *start <= offset);
                let part = after.checked_sub(1).and_then(|at| parts.get(at));
                let whole = part.map(|(start, data)| slice(data, offset - start));
                match whole.filter(|bytes| bytes.len() as u64 == len) {
                    Some(bytes) => Content::Bytes(bytes),
                    None if offset >= *size => Content::Absent(Why::Lost),
                    None => Content::Absent(Why::NotKept),
                }
            }
            Self::Hashes(all) => {
                let from = usize::try_from(offset / unit.max(1)).unwrap_or(usize::MAX);
                Content::Hashes(HashRun { all: all.clone(), from, page_size: unit })
            }
            Self::Missing(_) => Content::Absent(Why::Lost),
        }
    }

    /// Lengths of what is there and is not of a range, one after the other; nothing for one that is of one
    /// kind.
    pub fn cuts(&self, offset: u64, len: u64) -> Vec<u64> {
        let end = offset.saturating_add(len);
        let Self::Parts(parts, size) = self else { return Vec::new() };
        let first = parts.partition_point(|(start, data)| start.saturating_add(data.len() as u64) <= offset);
        let inside = parts.get(first..).unwrap_or_default().iter().take_while(|(start, _)| *start < end);
        let borders = inside.flat_map(|(start, data)| [*start, start.saturating_add(data.len() as u64)]);
        borders.chain([*size]).filter(|border| offset < *border && *border < end).collect()
    }
}
