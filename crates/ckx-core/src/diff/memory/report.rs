//! What differs in a mapping, for people and for programs.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::compare::{self, Tally};
use crate::diff::change::Mark;
use crate::diff::mappings::{Mapping, Unit};
use crate::outline::Cell;
use crate::{Address, Name};

/// What differs in the pages of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemoryChange {
    /// Path of its file, or what the kernel calls it; none for anonymous memory.
    pub name: Option<Name>,
    /// `r-xp`, in the first checkpoint if that has the mapping.
    pub permissions: String,
    /// Where it begins in the first checkpoint.
    pub before_start: Option<Address>,
    /// Where it begins in the second.
    pub after_start: Option<Address>,
    /// Pages of both whose bytes differ.
    pub changed_pages: u64,
    /// Pages that only the second checkpoint has.
    pub added_pages: u64,
    /// Pages that only the first has.
    pub removed_pages: u64,
    /// Pages that are the same.
    pub same_pages: u64,
    /// Pages that could not be compared.
    pub unknown_pages: u64,
    /// Bytes that differ in the pages of both; none where a source is compressed and too large for its
    /// pages to be held, so that hashes are compared.
    pub changed_bytes: Option<u64>,
    /// Neighbouring pages that differ in one way, by address in the first checkpoint: the first thousand.
    pub ranges: Vec<Range>,
    /// Ranges that are not listed.
    pub more_ranges: u64,
}

/// Neighbouring pages that differ in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Range {
    /// How they differ.
    pub mark: Mark,
    /// First address.
    pub start: Address,
    /// Address behind the last.
    pub end: Address,
    /// Bytes that differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_bytes: Option<u64>,
    /// Bytes that differ, in rows of 16, if they were asked for: the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
}

/// Sixteen bytes of which some differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Row {
    /// Address of the first, in the first checkpoint.
    pub address: Address,
    /// Bytes of the first checkpoint, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Bytes of the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl MemoryChange {
    pub(super) fn new(mapping: &Mapping, unit: &Unit<'_>, tally: Tally) -> Self {
        let start = |mapping: Option<&Mapping>| mapping.map(|mapping| Address(mapping.start));
        Self {
            name: mapping.name.clone(),
            permissions: mapping.permissions.clone(),
            before_start: start(unit.before),
            after_start: start(unit.after),
            changed_pages: tally.changed,
            added_pages: tally.added,
            removed_pages: tally.removed,
            same_pages: tally.same,
            unknown_pages: tally.unknown.iter().flatten().sum(),
            changed_bytes: tally.changed_bytes,
            ranges: tally.stretches.into_iter().map(Range::from).collect(),
            more_ranges: tally.more,
        }
    }
}

impl From<compare::Stretch> for Range {
    fn from(stretch: compare::Stretch) -> Self {
        Self {
            mark: stretch.mark,
            start: Address(stretch.start),
            end: Address(stretch.end),
            changed_bytes: stretch.changed_bytes.filter(|_| stretch.mark == Mark::Changed),
            rows: stretch.rows.into_iter().map(Row::from).collect(),
        }
    }
}

impl From<compare::Row> for Row {
    fn from(row: compare::Row) -> Self {
        let hex = |bytes: [u8; compare::ROW]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { address: Address(row.address), before: row.before.map(hex), after: row.after.map(hex) }
    }
}

fn pages(count: u64) -> String {
    if count == 1 { "1 page".to_owned() } else { format!("{count} pages") }
}

/// What differs, without the name of the mapping.
impl MemoryChange {
    /// The mapping, and what of it differs.
    pub fn cells(&self) -> Vec<Cell> {
        let name = self.name.as_ref().map_or_else(|| "anonymous".to_owned(), Name::to_string);
        let mut parts = Vec::new();
        if self.changed_pages > 0 {
            let bytes = match self.changed_bytes {
                Some(1) => " (1 byte)".to_owned(),
                Some(bytes) => format!(" ({bytes} bytes)"),
                None => " (bytes not counted)".to_owned(),
            };
            parts.push(format!("{} changed{bytes}", pages(self.changed_pages)));
        }
        if self.added_pages > 0 {
            parts.push(format!("{} added", pages(self.added_pages)));
        }
        if self.removed_pages > 0 {
            parts.push(format!("{} gone", pages(self.removed_pages)));
        }
        vec![Cell::Text(format!("{} {name}:", self.permissions)), Cell::Text(parts.join(", "))]
    }
}

impl fmt::Display for MemoryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Cell::Line(self.cells()).fmt(f)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#x}-{:#x}", self.mark.sign(), self.start, self.end)?;
        match self.changed_bytes {
            Some(1) => f.write_str(" 1 byte"),
            Some(bytes) => write!(f, " {bytes} bytes"),
            None => Ok(()),
        }
    }
}
