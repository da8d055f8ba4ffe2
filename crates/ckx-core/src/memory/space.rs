//! The memory of a process as the process saw it.

use std::collections::HashMap;
use std::sync::Arc;

use super::chain::Chain;
use super::files::PageFiles;
use super::run::{Content, Run, Why};
use crate::model::Process;
use crate::model::mappings::{self, Backing, Mapping};
use crate::{Checkpoint, Issue};

/// The memory of a process: its mappings with what is known of their pages, wherever those are: in its own
/// page map, in that of a shared object, in the dump before.
#[derive(Debug)]
pub struct AddressSpace {
    pid: u32,
    page_size: u64,
    mappings: Vec<Mapping>,
    private: Arc<Chain>,
    objects: HashMap<u64, Arc<Chain>>,
}

/// A part of a mapping whose bytes come from one place.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Index of the mapping in [`AddressSpace::mappings`].
    pub mapping: usize,
    /// Shared object that it is in, if not in the pages of the process.
    pub object: Option<u64>,
    /// Addresses and content.
    pub run: Run,
}

/// Page maps that were read, so that processes that share an object share its map.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    objects: HashMap<u64, Arc<Chain>>,
}

impl Chains {
    /// The page map of a shared object. One of which no page was touched has none, and is no fault.
    pub fn object(&mut self, files: &PageFiles<'_>, id: u64) -> Arc<Chain> {
        let read = || Arc::new(Chain::read(files, &format!("pagemap-shmem-{id}.img")));
        Arc::clone(self.objects.entry(id).or_insert_with(read))
    }
}

impl AddressSpace {
    /// The memory of a process, out of what is held of the pages.
    pub(crate) fn read(files: &PageFiles<'_>, chains: &mut Chains, process: &Process) -> Self {
        let checkpoint = files.checkpoint();
        let mappings = mappings::of(checkpoint, process);
        let private = Arc::new(Chain::read(files, &format!("pagemap-{}.img", process.pid)));
        let ids = mappings.iter().filter_map(|mapping| match mapping.content {
            Backing::Object(id) => Some(id),
            _ => None,
        });
        let objects = ids.map(|id| (id, chains.object(files, id))).collect();
        Self { pid: process.pid, page_size: files.page_size(), mappings, private, objects }
    }

    /// Memory of a process of a checkpoint, as far as its pages are at hand: all that a mapped source has,
    /// and what was kept of others.
    pub fn at_hand(checkpoint: &Checkpoint, process: &Process) -> Self {
        Self::read(&PageFiles::at_hand(checkpoint), &mut Chains::default(), process)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Size of a page in bytes.
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// The mappings, by address.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The mapping that holds an address.
    pub fn mapping_at(&self, address: u64) -> Option<&Mapping> {
        let at = self.mappings.partition_point(|mapping| mapping.end <= address);
        self.mappings.get(at).filter(|mapping| mapping.start <= address)
    }

    /// What is missing or broken of the page maps.
    pub fn issues(&self) -> impl Iterator<Item = &Issue> {
        let objects = self.objects.values().flat_map(|chain| chain.issues());
        // Of an object that nothing was written to there is no map.
        let objects = objects.filter(|issue| issue.code != "missing");
        self.private.issues().iter().chain(objects)
    }

    /// The page maps that it stands on: its own first, then those of the shared objects that it maps.
    pub fn chains(&self) -> impl Iterator<Item = &Arc<Chain>> {
        let mut objects: Vec<_> = self.objects.iter().collect();
        objects.sort_by_key(|(id, _)| **id);
        std::iter::once(&self.private).chain(objects.into_iter().map(|(_, chain)| chain))
    }

    /// The pages of the process itself, without those of shared objects.
    pub fn private(&self) -> &Arc<Chain> {
        &self.private
    }

    /// The pages of a shared object that it maps, by its number.
    pub fn object(&self, id: u64) -> Option<&Arc<Chain>> {
        self.objects.get(&id)
    }

    /// Numbers of the shared objects that it maps.
    pub fn object_ids(&self) -> impl Iterator<Item = u64> {
        self.objects.keys().copied()
    }

    /// All that is mapped between two addresses, in pieces that follow each other inside a mapping. What no
    /// mapping covers is left out.
    pub fn pieces(&self, start: u64, end: u64) -> impl Iterator<Item = Piece> + '_ {
        let first = self.mappings.partition_point(|mapping| mapping.end <= start);
        let mappings = self.mappings.iter().enumerate().skip(first);
        mappings
            .take_while(move |(_, mapping)| mapping.start < end)
            .flat_map(move |(at, mapping)| self.of_mapping(at, mapping, start, end))
    }

    fn of_mapping<'s>(
        &'s self,
        at: usize,
        mapping: &'s Mapping,
        start: u64,
        end: u64,
    ) -> impl Iterator<Item = Piece> + 's {
        let (start, end) = (start.max(mapping.start), end.min(mapping.end));
        let (chain, shift, object) = match mapping.content {
            Backing::Anonymous | Backing::File => (Some(&self.private), 0, None),
            Backing::Object(id) => {
                (self.objects.get(&id), mapping.object_offset.wrapping_sub(mapping.start), Some(id))
            }
            Backing::Elsewhere => (None, 0, None),
        };
        let gap = match (mapping.content, chain) {
            (Backing::Elsewhere, _) => Content::Absent(Why::Kernel),
            (Backing::File, Some(chain)) if !chain.is_lost() => Content::Absent(Why::File),
            (Backing::Anonymous, Some(chain)) if !chain.is_lost() => Content::Untouched,
            // A shared object has no map when nothing was written to it, and also when that is missing.
            (Backing::Object(_), Some(chain))
                if chain.issues().iter().all(|issue| issue.code == "missing") =>
            {
                Content::Untouched
            }
            _ => Content::Absent(Why::Map),
        };
        let runs = chain
            .into_iter()
            .flat_map(move |chain| chain.runs(start.wrapping_add(shift), end.wrapping_add(shift)))
            .map(move |run| Run {
                start: run.start.wrapping_sub(shift),
                end: run.end.wrapping_sub(shift),
                ..run
            });
        Filled { runs: runs.peekable(), at: start, end, gap }.map(move |run| Piece {
            mapping: at,
            object,
            run,
        })
    }

    /// Bytes from an address on, as many as `out` has room for; how many came, and why not more.
    pub fn copy(&self, address: u64, out: &mut [u8]) -> (usize, Option<Why>) {
        let mut done = 0;
        let end = address.saturating_add(out.len() as u64);
        for piece in self.pieces(address, end) {
            let run = piece.run.unpacked();
            let room = out.get_mut(done..).unwrap_or_default();
            if run.start != address.saturating_add(done as u64) {
                break;
            }
            let len = usize::try_from(run.size()).unwrap_or(usize::MAX).min(room.len());
            let room = room.get_mut(..len).unwrap_or_default();
            match &run.content {
                Content::Bytes(bytes) => room.copy_from_slice(bytes.get(..len).unwrap_or_default()),
                Content::Zero | Content::Untouched => room.fill(0),
                Content::Absent(why) => return (done, Some(*why)),
                Content::Packed(_) => return (done, Some(Why::Packed)),
                Content::Hashes(_) => return (done, Some(Why::NotKept)),
            }
            done += len;
        }
        (done, (done < out.len()).then_some(Why::Unmapped))
    }
}

/// Runs with the gaps between them.
struct Filled<I: Iterator<Item = Run>> {
    runs: std::iter::Peekable<I>,
    at: u64,
    end: u64,
    gap: Content,
}

impl<I: Iterator<Item = Run>> Iterator for Filled<I> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        if self.at >= self.end {
            return None;
        }
        let next = self.runs.peek().map_or(self.end, |run| run.start);
        let run = if next > self.at {
            Run { start: self.at, end: next.min(self.end), level: 0, content: self.gap.clone() }
        } else {
            self.runs.next()?
        };
        self.at = run.end.max(self.at);
        Some(run)
    }
}
