//! Rows of bytes: which address is in which row, and what is there.

use bytes::Bytes;
use ckx_core::memory::{AddressSpace, Content};
use ckx_core::memory::{Backing, Mapping};

use crate::space::Origin;

/// A row on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Where a mapping begins.
    Border(String),
    /// Bytes.
    Bytes(Row),
}

/// Bytes that stand in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Address of the first.
    pub address: u64,
    /// The bytes; `None` where there are none.
    pub bytes: Vec<Option<u8>>,
    /// Where the first comes from.
    pub origin: Origin,
    /// Those of the second checkpoint.
    pub other: Vec<Option<u8>>,
}

impl Line {
    /// Whether an address is in it.
    pub fn has(&self, address: u64) -> bool {
        match self {
            Self::Border(_) => false,
            Self::Bytes(row) => row.address <= address && address - row.address < row.bytes.len() as u64,
        }
    }
}

/// Ranges of addresses in the order of their rows.
#[derive(Debug, Default)]
pub struct Segments {
    ranges: Vec<(u64, u64)>,
    /// First row of each range, and the number of rows behind the last.
    rows: Vec<u64>,
    per_row: u64,
    /// Rows above the bytes of a range: its border.
    border: u64,
}

impl Segments {
    /// The bytes of a file.
    pub fn of_file(len: u64, per_row: u64) -> Self {
        let ranges = if len > 0 { vec![(0, len)] } else { Vec::new() };
        Self::new(ranges, per_row, 0)
    }

    /// What is mapped in any of some spaces.
    pub fn of_memory(spaces: &[&std::sync::Arc<AddressSpace>], per_row: u64) -> Self {
        let mappings = spaces.iter().flat_map(|space| space.mappings());
        let mut ranges: Vec<(u64, u64)> = mappings.map(|mapping| (mapping.start, mapping.end)).collect();
        if spaces.len() > 1 {
            ranges = united(ranges);
        }
        Self::new(ranges, per_row, 1)
    }

    fn new(ranges: Vec<(u64, u64)>, per_row: u64, border: u64) -> Self {
        let per_row = per_row.max(1);
        let mut rows = Vec::with_capacity(ranges.len() + 1);
        let mut row = 0u64;
        for (start, end) in &ranges {
            rows.push(row);
            row = row.saturating_add(border).saturating_add((end - start).div_ceil(per_row));
        }
        rows.push(row);
        Self { ranges, rows, per_row, border }
    }

    /// Bytes of a row.
    pub fn per_row(&self) -> usize {
        usize::try_from(self.per_row).unwrap_or(16)
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows.last().copied().unwrap_or(0)
    }

    fn range_of(&self, address: u64) -> Option<usize> {
        let at = self.ranges.partition_point(|(_, end)| *end <= address);
        (at < self.ranges.len()).then_some(at).or(self.ranges.len().checked_sub(1))
    }

    /// Whether something is at an address.
    pub fn contains(&self, address: u64) -> bool {
        let range = self.range_of(address).and_then(|at| self.ranges.get(at));
        range.is_some_and(|(start, end)| (*start..*end).contains(&address))
    }

    /// The row of an address or of the nearest one above it, with that address.
    pub fn nearest(&self, address: u64) -> Option<(u64, u64)> {
        let at = self.range_of(address)?;
        let (start, end) = *self.ranges.get(at)?;
        let address = address.clamp(start, end.saturating_sub(1).max(start));
        let row =
            self.rows.get(at)?.saturating_add(self.border).saturating_add((address - start) / self.per_row);
        Some((row, address))
    }

    /// Place of an address in its row.
    pub fn column(&self, address: u64) -> u64 {
        let start = self.range_of(address).and_then(|at| self.ranges.get(at)).map_or(0, |(start, _)| *start);
        address.saturating_sub(start) % self.per_row.max(1)
    }

    fn range_at(&self, row: u64) -> Option<(usize, u64)> {
        let at = self.rows.partition_point(|first| *first <= row).checked_sub(1)?;
        (at < self.ranges.len()).then(|| (at, row - self.rows.get(at).copied().unwrap_or(0)))
    }

    /// Whether a row is the border of a range.
    pub fn is_border(&self, row: u64) -> bool {
        self.range_at(row).is_some_and(|(_, inside)| inside < self.border)
    }

    /// The address in a column of a row, or the last one there.
    pub fn address(&self, row: u64, column: u64) -> Option<u64> {
        let (at, inside) = self.range_at(row)?;
        let (start, end) = *self.ranges.get(at)?;
        let first = start.saturating_add(inside.checked_sub(self.border)?.saturating_mul(self.per_row));
        Some(first.saturating_add(column).min(end.saturating_sub(1)))
    }

    /// First address of the next range, or of this one or the one before.
    pub fn border(&self, address: u64, forward: bool) -> Option<u64> {
        let at = self.range_of(address)?;
        let next = match forward {
            true => at + 1,
            false if self.ranges.get(at)?.0 < address => at,
            false => at.checked_sub(1)?,
        };
        self.ranges.get(next).map(|(start, _)| *start)
    }

    /// A row of a file.
    pub fn file_line(&self, row: u64, bytes: &Bytes) -> Option<Line> {
        let start = row.checked_mul(self.per_row)?;
        let from = usize::try_from(start).ok()?;
        let part = bytes.get(from..)?;
        let part = part.get(..self.per_row().min(part.len()))?;
        let bytes = part.iter().copied().map(Some).collect();
        Some(Line::Bytes(Row { address: start, bytes, origin: Origin::Dump, other: Vec::new() }))
    }

    /// A row of memory.
    pub fn line(
        &self,
        row: u64,
        space: &AddressSpace,
        other: Option<&std::sync::Arc<AddressSpace>>,
    ) -> Option<Line> {
        let (at, inside) = self.range_at(row)?;
        let (first, last) = *self.ranges.get(at)?;
        if inside < self.border {
            let mapping = space.mapping_at(first).or_else(|| other.and_then(|other| other.mapping_at(first)));
            return Some(Line::Border(mapping.map_or_else(|| format!("{first:x}-{last:x}"), border)));
        }
        let start = self.address(row, 0)?;
        let end = start.saturating_add(self.per_row).min(last);
        let (bytes, origin) = bytes(space, start, end);
        let other = other.map(|other| self::bytes(other, start, end).0).unwrap_or_default();
        Some(Line::Bytes(Row { address: start, bytes, origin, other }))
    }
}

/// Ranges that overlap become one, or are cut where one ends.
fn united(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::new();
    for (start, end) in ranges {
        let start = start.max(out.last().map_or(0, |(_, end)| *end));
        if start < end {
            out.push((start, end));
        }
    }
    out
}

/// What a mapping is, in a line.
fn border(mapping: &Mapping) -> String {
    let name = mapping.name.as_ref().map_or_else(|| "anonymous".to_owned(), ToString::to_string);
    let object = match mapping.content {
        Backing::Object(id) => format!(" shared object {id}"),
        _ => String::new(),
    };
    format!("{:x}-{:x} {} {name}{object}", mapping.start, mapping.end, mapping.permissions)
}

/// Bytes of memory, and where the first comes from.
fn bytes(space: &AddressSpace, start: u64, end: u64) -> (Vec<Option<u8>>, Origin) {
    let len = usize::try_from(end - start).unwrap_or(0);
    let mut out = vec![None; len];
    let mut origin = Origin::Absent(ckx_core::memory::Why::Unmapped);
    for piece in space.pieces(start, end) {
        if piece.run.start == start {
            origin = Origin::of(&piece);
        }
        let run = piece.run.unpacked();
        let from = usize::try_from(run.start.saturating_sub(start)).unwrap_or(usize::MAX);
        let room = out.get_mut(from..).unwrap_or_default();
        let len = usize::try_from(run.size()).unwrap_or(usize::MAX);
        match &run.content {
            Content::Bytes(bytes) => {
                room.iter_mut().zip(bytes.iter()).take(len).for_each(|(to, byte)| *to = Some(*byte));
            }
            Content::Zero | Content::Untouched => room.iter_mut().take(len).for_each(|to| *to = Some(0)),
            _ => {}
        }
    }
    (out, origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_its_row() {
        let segments =
            Segments::new(vec![(0x1000, 0x1015), (0x2000, 0x2010), (u64::MAX - 8, u64::MAX)], 16, 1);
        assert_eq!(segments.rows(), 3 + 2 + 2);
        for address in [0x1000, 0x100f, 0x1010, 0x1014, 0x2000, 0x200f, u64::MAX - 8, u64::MAX - 1] {
            let (row, same) = segments.nearest(address).expect("it is there");
            assert_eq!(same, address);
            assert!(!segments.is_border(row));
            assert_eq!(segments.address(row, segments.column(address)), Some(address));
        }
        assert_eq!(segments.nearest(0x1500), Some((4, 0x2000)), "the next that is there");
        assert_eq!(segments.nearest(u64::MAX), Some((6, u64::MAX - 1)));
        assert_eq!(segments.border(0x1005, true), Some(0x2000));
        assert_eq!(segments.border(0x1005, false), Some(0x1000));
        assert_eq!(segments.border(0x1000, false), None);
        assert!(segments.contains(0x1014) && !segments.contains(0x1015));
    }

    #[test]
    fn the_largest_ranges_are_counted() {
        let segments = Segments::new(vec![(0, u64::MAX / 2), (u64::MAX / 2, u64::MAX)], 16, 1);
        let (row, _) = segments.nearest(u64::MAX - 1).expect("it is there");
        assert_eq!(segments.address(row, 15).map(|address| address >> 4), Some((u64::MAX - 1) >> 4));
    }

    #[test]
    fn ranges_of_both_sides_become_one_list() {
        assert_eq!(united(vec![(0, 10), (20, 30), (5, 25)]), [(0, 10), (10, 25), (25, 30)]);
    }
}
