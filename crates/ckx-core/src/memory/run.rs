//! Memory as runs of pages that lie together.

use std::fmt;

use bytes::Bytes;
use twox_hash::XxHash3_128;

/// What is known of a run of pages.
#[derive(Debug, Clone)]
pub enum Content {
    /// The bytes, as many as the run is long.
    Bytes(Bytes),
    /// A hash of each page: the source went by.
    Hashes(HashRun),
    /// Zeros, stored as such.
    Zero,
    /// Zeros: the process never touched it.
    Untouched,
    /// A block of LZ4, unpacked when it is needed: [`Run::unpacked`].
    Packed(Packed),
    /// It cannot be read.
    Absent(Why),
}

/// Why memory cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is in a previous dump that the source does not hold.
    Parent,
    /// It was left on the dumping host.
    Lazy,
    /// It is compressed, and does not unpack, or only its hash is known.
    Packed,
    /// The pages file ends before it, or is not there.
    Lost,
    /// The source is read once, and this was not asked for, or there was no room.
    NotKept,
    /// The map of a previous dump that should have it does not.
    Gap,
    /// The page map is missing or broken.
    Map,
    /// The previous dumps form a circle.
    Circle,
    /// It was not written to, so it is in the file.
    File,
    /// The kernel makes it, or a device does.
    Kernel,
    /// Nothing is mapped there.
    Unmapped,
}

impl Why {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// All of them, in order.
    pub(crate) const ALL: [Self; 11] = [
        Self::Parent,
        Self::Lazy,
        Self::Packed,
        Self::Lost,
        Self::NotKept,
        Self::Gap,
        Self::Map,
        Self::Circle,
        Self::File,
        Self::Kernel,
        Self::Unmapped,
    ];

    /// The reason in words that go behind "the page is".
    pub fn reason(self) -> &'static str {
        match self {
            Self::Parent => "in a previous dump that is not in the source",
            Self::Lazy => "left on the dumping host",
            Self::Packed => "compressed and cannot be unpacked",
            Self::Lost => "not in the pages file",
            Self::NotKept => "in a source that is read once, which was not asked for it or has too much",
            Self::Gap => "said to be in the previous dump, whose page map does not have it",
            Self::Map => "unknown, as its page map is missing or broken",
            Self::Circle => "in previous dumps that form a circle",
            Self::File => "as it is in the mapped file, which is not in the dump",
            Self::Kernel => "made by the kernel or a device, and not in the dump",
            Self::Unmapped => "not mapped",
        }
    }

    /// A stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Parent => "parent-missing",
            Self::Lazy => "lazy",
            Self::Packed => "undecodable",
            Self::Lost => "lost",
            Self::NotKept => "not-kept",
            Self::Gap => "parent-lacks",
            Self::Map => "no-pagemap",
            Self::Circle => "parent-circle",
            Self::File => "file",
            Self::Kernel => "kernel",
            Self::Unmapped => "unmapped",
        }
    }

    /// Whether the dump should have it and does not: not so of what no dump has.
    pub fn is_loss(self) -> bool {
        !matches!(self, Self::File | Self::Kernel | Self::Unmapped | Self::Lazy)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the page is {}", self.reason())
    }
}

/// Pages that are stored as one block of LZ4.
#[derive(Debug, Clone)]
pub struct Packed {
    pub(crate) block: Bytes,
    /// Length of all of it unpacked. The reader of page maps bounds it.
    pub(crate) len: usize,
    /// The part that is meant.
    pub(crate) from: usize,
}

impl Packed {
    /// The part that is meant, cut to `len` bytes.
    pub(crate) fn unpack(&self, len: u64) -> Content {
        let mut plain = vec![0; self.len];
        let end = self.from.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)).min(self.len);
        match lz4_flex::block::decompress_into(&self.block, &mut plain) {
            Ok(size) if size == self.len && self.from <= end => {
                Content::Bytes(Bytes::from(plain).slice(self.from..end))
            }
            _ => Content::Absent(Why::Packed),
        }
    }
}

/// Hashes of neighbouring pages.
#[derive(Debug, Clone)]
pub struct HashRun {
    pub(crate) all: std::sync::Arc<[u128]>,
    /// The first of them.
    pub(crate) from: usize,
    /// Bytes that are hashed together.
    pub(crate) page_size: u64,
}

/// Neighbouring pages of one kind.
#[derive(Debug, Clone)]
pub struct Run {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// The dump that it is in: 0 is the newest.
    pub level: usize,
    /// What is known of it.
    pub content: Content,
}

/// The hash of a page.
pub(crate) fn hash(page: &[u8]) -> u128 {
    XxHash3_128::oneshot(page)
}

impl Run {
    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The same with its bytes at hand, if they are compressed.
    #[must_use]
    pub fn unpacked(self) -> Self {
        match &self.content {
            Content::Packed(packed) => Self { content: packed.unpack(self.size()), ..self },
            _ => self,
        }
    }

    /// A part of it, cut to what the run covers.
    #[must_use]
    pub fn cut(&self, start: u64, end: u64) -> Self {
        let (start, end) = (start.max(self.start), end.min(self.end));
        Self { start, end, level: self.level, content: self.part(start, end) }
    }

    /// The content of a part of it.
    pub(crate) fn part(&self, start: u64, end: u64) -> Content {
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
