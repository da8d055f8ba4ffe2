//! What of the memory goes into a core file, and where.

use std::collections::BTreeMap;

use crate::memory::{AddressSpace, Content, Piece, Why};
use crate::model::mappings::{Backing, Mapping};
use crate::{Issue, Name};

/// Zeros between stored pages that become a hole of the file; more of them end a segment, as files cannot
/// be as large as address spaces.
const LARGEST_HOLE: u64 = 1 << 20;

/// A part of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// Bytes that are in the core file. The others are zeros, or not known here.
    pub stored_bytes: u64,
    /// Whether it is known what it holds. Of a part that is in a mapped file, made by the kernel or lost,
    /// a core file has begin and permissions alone: a debugger would take memory without bytes for zeros.
    pub is_known: bool,
    /// Where in the file they begin.
    pub offset_bytes: u64,
    /// Permissions: 1 execute, 2 write, 4 read.
    pub flags: u32,
}

/// A part of a mapped file, as a debugger looks for it where a core file has no bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappedFile {
    pub start: u64,
    pub end: u64,
    /// In the file, in bytes.
    pub offset: u64,
    pub name: Name,
}

/// Memory that should be in the dump and is not.
#[derive(Debug, Clone, Copy, Default)]
struct Loss {
    bytes: u64,
    parts: u64,
    first: u64,
}

/// All segments of a process.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub segments: Vec<Segment>,
    pub files: Vec<MappedFile>,
    losses: BTreeMap<Why, Loss>,
    open: Option<Segment>,
    /// Mapping of the open segment.
    mapping: usize,
}

/// What a piece is to a core file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stored,
    Zeros,
    /// Not in the dump, as in any: in the mapped file.
    InFile,
    /// Made by the kernel or a device.
    Outside,
    Lost(Why),
}

impl Plan {
    pub fn of(space: &AddressSpace) -> Self {
        let mut plan = Self::default();
        for piece in space.pieces(0, u64::MAX) {
            if let Some(mapping) = space.mappings().get(piece.mapping) {
                plan.piece(mapping, &piece);
            }
        }
        plan.close();
        plan
    }

    fn piece(&mut self, mapping: &Mapping, piece: &Piece) {
        if self.mapping != piece.mapping {
            self.close();
            self.mapping = piece.mapping;
        }
        let (start, end) = (piece.run.start, piece.run.end);
        let has_file = is_file(mapping);
        let kind = match kind(piece) {
            // Debuggers take what is not stored from the mapped file, so zeros are stored there.
            Kind::Zeros if has_file => Kind::Stored,
            Kind::InFile if !has_file => Kind::Lost(Why::File),
            Kind::Outside if has_file => Kind::InFile,
            kind => kind,
        };
        match kind {
            Kind::Stored => self.stored(start, end, mapping),
            Kind::Zeros => self.grow(start, end, mapping, true),
            Kind::InFile | Kind::Outside => self.grow(start, end, mapping, false),
            Kind::Lost(why) => {
                self.grow(start, end, mapping, false);
                let loss = self.losses.entry(why).or_default();
                loss.first = if loss.parts == 0 { start } else { loss.first };
                loss.parts += 1;
                loss.bytes = loss.bytes.saturating_add(end - start);
            }
        }
        // A file that is mapped shared goes on changing: what a debugger would show of it is not what the
        // process saw.
        if has_file && mapping.content != Backing::Elsewhere && !matches!(kind, Kind::Lost(_)) {
            self.file(start, end, mapping);
        }
    }

    /// Pages with bytes of their own.
    fn stored(&mut self, start: u64, end: u64, mapping: &Mapping) {
        if self.open.as_ref().is_some_and(|open| open.end - open.start - open.stored_bytes > LARGEST_HOLE) {
            self.close();
        }
        self.grow(start, end, mapping, true);
        if let Some(open) = &mut self.open {
            open.stored_bytes = open.end - open.start;
        }
    }

    fn grow(&mut self, start: u64, end: u64, mapping: &Mapping, is_known: bool) {
        match &mut self.open {
            Some(open) if open.end == start && open.is_known == is_known => open.end = end,
            _ => {
                self.close();
                let flags = flags(mapping);
                self.open = Some(Segment { start, end, stored_bytes: 0, is_known, offset_bytes: 0, flags });
            }
        }
    }

    fn close(&mut self) {
        self.segments.extend(self.open.take());
    }

    fn file(&mut self, start: u64, end: u64, mapping: &Mapping) {
        let (Some(name), Some(offset)) = (&mapping.name, mapping.offset) else { return };
        let offset = offset.saturating_add(start - mapping.start);
        match self.files.last_mut() {
            Some(last) if last.end == start && start > mapping.start => last.end = end,
            _ => self.files.push(MappedFile { start, end, offset, name: name.clone() }),
        }
    }

    /// Puts the bytes into their places behind the headers; returns the end of the file.
    pub fn place(&mut self, headers_end: u64, page_size: u64) -> u64 {
        let page_size = page_size.max(1);
        let mut end = headers_end;
        for segment in &mut self.segments {
            let offset = end.next_multiple_of(page_size);
            segment.offset_bytes = offset;
            if segment.stored_bytes > 0 {
                end = offset.saturating_add(segment.stored_bytes);
            }
        }
        end
    }

    /// Bytes of memory that should be there and are not.
    pub fn lost_bytes(&self) -> u64 {
        self.losses.values().fold(0, |sum, loss| sum.saturating_add(loss.bytes))
    }

    /// An issue for each reason why memory is not there.
    pub fn issues<'s>(&'s self, space: &'s AddressSpace) -> impl Iterator<Item = Issue> + 's {
        self.losses.iter().map(|(why, loss)| {
            let Loss { bytes, parts, first } = loss;
            let reason = match why {
                Why::File => "as it is in the mapped file, whose name is not known".to_owned(),
                why => why.reason().to_owned(),
            };
            let pages = bytes / space.page_size().max(1);
            let text =
                format!("{pages} pages in {parts} parts from {first:#x} on are left out: each is {reason}");
            let mut issue = Issue::new(&format!("pagemap-{}.img", space.pid()), why.word(), text);
            issue.hint = hint(*why);
            issue
        })
    }
}

fn hint(why: Why) -> Option<&'static str> {
    match why {
        Why::Parent => Some("give the dump before it with --parent"),
        Why::NotKept => Some("unpack the source: of one that is compressed or a pipe 1 GiB is held"),
        _ => None,
    }
}

/// Whether a debugger looks into a file where nothing is stored.
fn is_file(mapping: &Mapping) -> bool {
    let is_outside = matches!(mapping.content, Backing::File | Backing::Elsewhere);
    is_outside && mapping.name.is_some() && mapping.offset.is_some()
}

fn kind(piece: &Piece) -> Kind {
    match &piece.run.content {
        Content::Bytes(_) => Kind::Stored,
        Content::Zero | Content::Untouched => Kind::Zeros,
        // A block that does not unpack must not become zeros.
        Content::Packed(_) => match piece.run.clone().unpacked().content {
            Content::Bytes(_) => Kind::Stored,
            _ => Kind::Lost(Why::Packed),
        },
        Content::Hashes(_) => Kind::Lost(Why::NotKept),
        Content::Absent(Why::File) => Kind::InFile,
        Content::Absent(Why::Kernel) => Kind::Outside,
        Content::Absent(why) => Kind::Lost(*why),
    }
}

fn flags(mapping: &Mapping) -> u32 {
    let has = |letter: char, bit: u32| if mapping.permissions.contains(letter) { bit } else { 0 };
    has('r', 4) | has('w', 2) | has('x', 1)
}
