//! `memory`: what differs in the content of memory.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::Address;

/// What differs in a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemoryChange {
    /// Pages whose bytes differ.
    pub changed_pages: u64,
    /// Pages that only the second checkpoint has.
    pub added_pages: u64,
    /// Pages that only the first has.
    pub removed_pages: u64,
    /// Pages that are the same.
    pub same_pages: u64,
    /// Bytes that differ in the pages of both; `None` where the bytes are not at hand.
    pub changed_bytes: Option<u64>,
    /// Ranges of pages that differ, by address; the first of them where there are very many.
    pub ranges: Vec<Range>,
    /// Ranges that are not listed.
    pub more_ranges: u64,
}

/// Neighbouring pages that differ in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Range {
    /// First byte, in the first checkpoint.
    pub start: Address,
    /// First byte behind it.
    pub end: Address,
    /// Bytes that differ.
    pub changed_bytes: Option<u64>,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}-{:#x}", self.start, self.end)
    }
}

impl fmt::Display for MemoryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pages", self.changed_pages)
    }
}
