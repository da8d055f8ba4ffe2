//! Memory as runs of pages, and two of those lined up.

use bytes::Bytes;
use twox_hash::XxHash3_128;

/// What is known of a run of pages.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// The bytes, as many as the run is long.
    Bytes(Bytes),
    /// A hash of each page: the source went by.
    Hashes(HashRun),
    /// Zeros.
    Zero,
    /// A block of LZ4, unpacked when it is compared.
    Packed(Packed),
    /// It is there, and cannot be read.
    Unknown(Why),
}

/// Why a page cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is in a previous dump that the source does not hold.
    Parent,
    /// It was left on the dumping host.
    Lazy,
    /// It is compressed, and does not unpack, or only its hash is known.
    Packed,
    /// The pages file ends before it, or is not there.
    Lost,
}

impl Why {
    pub const ALL: [Self; 4] = [Self::Parent, Self::Lazy, Self::Packed, Self::Lost];

    pub fn reason(self) -> &'static str {
        match self {
            Self::Parent => "in a previous dump that is not in the source",
            Self::Lazy => "left on the dumping host",
            Self::Packed => "compressed and cannot be unpacked",
            Self::Lost => "not in the pages file",
        }
    }
}

/// Pages that are stored as one block of LZ4.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub block: Bytes,
    /// Length of all of it unpacked. The reader of page maps bounds it.
    pub len: usize,
    /// The part that is meant.
    pub from: usize,
}

impl Packed {
    /// The part that is meant, cut to `len` bytes.
    pub fn unpack(&self, len: u64) -> Content {
        let mut plain = vec![0; self.len];
        let end = self.from.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)).min(self.len);
        match lz4_flex::block::decompress_into(&self.block, &mut plain) {
            Ok(size) if size == self.len && self.from <= end => {
                Content::Bytes(Bytes::from(plain).slice(self.from..end))
            }
            _ => Content::Unknown(Why::Packed),
        }
    }
}

/// Hashes of neighbouring pages.
#[derive(Debug, Clone)]
pub(super) struct HashRun {
    pub all: std::sync::Arc<[u128]>,
    /// The first of them.
    pub from: usize,
    /// Page size in bytes.
    pub page_size: u64,
}

/// Neighbouring pages of one kind.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub start: u64,
    pub end: u64,
    pub content: Content,
}

/// The hash of a page.
pub(super) fn hash(page: &[u8]) -> u128 {
    XxHash3_128::oneshot(page)
}

/// A stretch that is of one kind on each side; `None` where a side has no page.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// In the first checkpoint.
    pub start: u64,
    pub len: u64,
    pub before: Option<Content>,
    pub after: Option<Content>,
}

/// Lines up two lists of runs in the addresses of the first checkpoint, each sorted.
pub(super) struct Steps<A: Iterator, B: Iterator> {
    before: std::iter::Peekable<A>,
    after: std::iter::Peekable<B>,
    at: u64,
}

impl<A: Iterator<Item = Run>, B: Iterator<Item = Run>> Steps<A, B> {
    /// Lines up runs of the first with runs of the second.
    pub fn new(before: A, after: B) -> Self {
        Self { before: before.peekable(), after: after.peekable(), at: 0 }
    }
}

impl<A: Iterator<Item = Run>, B: Iterator<Item = Run>> Iterator for Steps<A, B> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        while self.before.next_if(|run| run.end <= self.at).is_some() {}
        while self.after.next_if(|run| run.end <= self.at).is_some() {}
        let (a, b) = (self.before.peek(), self.after.peek());
        let starts = |run: Option<&Run>| run.map(|run| run.start.max(self.at));
        let start = [starts(a), starts(b)].into_iter().flatten().min()?;
        // Up to where either side changes.
        let edge = |run: Option<&Run>| run.map(|run| if run.start <= start { run.end } else { run.start });
        let end = [edge(a), edge(b)].into_iter().flatten().min()?.min(start.saturating_add(MAX_STEP));
        let part = |run: Option<&Run>| run.filter(|run| run.start <= start).map(|run| run.part(start, end));
        let step = Step { start, len: end - start, before: part(a), after: part(b) };
        self.at = end;
        Some(step)
    }
}

/// Bytes of a step: a share of work of a thread.
const MAX_STEP: u64 = 1 << 20;

impl Run {
    /// The content of a part of it.
    pub fn part(&self, start: u64, end: u64) -> Content {
        match &self.content {
            Content::Bytes(data) => {
                let at = |address: u64| {
                    usize::try_from(address - self.start).unwrap_or(usize::MAX).min(data.len())
                };
                Content::Bytes(data.slice(at(start)..at(end)))
            }
            Content::Hashes(hashes) => {
                let pages = (start - self.start) / hashes.page_size.max(1);
                let from = hashes.from.saturating_add(usize::try_from(pages).unwrap_or(usize::MAX));
                Content::Hashes(HashRun { from, ..hashes.clone() })
            }
            Content::Packed(packed) => {
                let skipped = usize::try_from(start - self.start).unwrap_or(usize::MAX);
                Content::Packed(Packed { from: packed.from.saturating_add(skipped), ..packed.clone() })
            }
            other => other.clone(),
        }
    }
}
