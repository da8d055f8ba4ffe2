//! `auxv`: the auxiliary vector, what the kernel told a program when it started.

use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::subject::{Subject, Told, living};
use crate::kernel::{AuxKind, aux_entry};
use crate::memory;
use crate::model::Process;
use crate::outline::{Cell, Outline, Table};
use crate::{Address, Checkpoint, Issue, Name};

/// Auxiliary vectors, by process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Auxv {
    /// Processes that have one.
    pub processes: Vec<ProcessAuxv>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Auxiliary vector of a process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessAuxv {
    /// The process.
    #[serde(flatten)]
    pub process: Subject,
    /// Entries in their order, without the one that closes the vector.
    pub auxv: Vec<AuxEntry>,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuxEntry {
    /// Its number.
    pub r#type: u64,
    /// Its name (`AT_PAGESZ`); `None` for a number that is not known.
    pub name: Option<&'static str>,
    /// Its value.
    pub value: Address,
    /// The text that the value points to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Name>,
}

impl Collect for Auxv {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let processes = living(checkpoint)
            .map(|process| ProcessAuxv { process: process.into(), auxv: read(checkpoint, process) })
            .filter(|process| !process.auxv.is_empty())
            .collect();
        Self { processes, issues: checkpoint.processes().issues_of(&["mm-"]) }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let mut told = Told::default();
        for process in &self.processes {
            let mut table = Table::new(&["TYPE", "VALUE", "TEXT"]);
            for entry in &process.auxv {
                let name = entry.name.map_or_else(|| Cell::from(entry.r#type.to_string()), Cell::from);
                let value = match entry.name.and(aux_entry(entry.r#type)) {
                    Some((_, AuxKind::Number)) => Cell::Text(entry.value.0.to_string()),
                    _ => Cell::Address(entry.value.0),
                };
                let text = entry.text.as_ref().map_or_else(|| Cell::from(""), Cell::from);
                table.row(vec![name, value, text]);
            }
            let mut inner = Outline::new();
            inner.table(table);
            told.add(&process.process, inner, &mut outline);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// Entries that are read; kernels have about 30.
const MAX_ENTRIES: usize = 1024;

fn read(checkpoint: &Checkpoint, process: &Process) -> Vec<AuxEntry> {
    let words = process.mm.as_ref().map(|mm| mm.mm_saved_auxv.as_slice()).unwrap_or_default();
    let mut texts = 0;
    pairs(words)
        .into_iter()
        .take(MAX_ENTRIES)
        .map(|(number, value)| {
            let known = aux_entry(number);
            let is_text = matches!(known, Some((_, AuxKind::Text)));
            texts += usize::from(is_text);
            let text = (is_text && texts <= MAX_TEXTS).then(|| text_at(checkpoint, process, value)).flatten();
            AuxEntry { r#type: number, name: known.map(|(name, _)| name), value: Address(value), text }
        })
        .collect()
}

/// Types and values in turn. The vector of a 32-bit process of a 64-bit host has both in one word.
pub(crate) fn pairs(words: &[u64]) -> Vec<(u64, u64)> {
    let whole = words.as_chunks::<2>().0.iter().map(|[number, value]| (*number, *value));
    let halves = words.iter().map(|word| (word & u64::from(u32::MAX), word >> 32));
    let ended = |pair: &(u64, u64)| pair.0 != 0;
    let whole: Vec<_> = whole.take_while(ended).collect();
    if whole.iter().any(|(number, _)| *number > u64::from(u32::MAX)) {
        return halves.take_while(ended).collect();
    }
    whole
}

/// Length up to which texts are read.
const MAX_TEXT: u64 = 4096;

/// A vector has three texts at most; each costs a look into memory.
const MAX_TEXTS: usize = 4;

/// Where the texts of a vector may be, each as start and end.
pub(crate) fn text_areas(words: &[u64]) -> Vec<(u64, u64)> {
    let is_text = |number: u64| matches!(aux_entry(number), Some((_, AuxKind::Text)));
    let texts = pairs(words).into_iter().take(MAX_ENTRIES).filter(|(number, _)| is_text(*number));
    texts.take(MAX_TEXTS).map(|(_, address)| (address, address.saturating_add(MAX_TEXT))).collect()
}

fn text_at(checkpoint: &Checkpoint, process: &Process, address: u64) -> Option<Name> {
    let (bytes, absence) = memory::read(checkpoint, process, address, address.checked_add(MAX_TEXT)?);
    let end = bytes.iter().position(|byte| *byte == 0);
    if end.is_none() && absence.is_some() {
        return None;
    }
    bytes.get(..end.unwrap_or(bytes.len())).map(Name::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_both_widths() {
        assert_eq!(pairs(&[6, 4096, 17, 100]), [(6, 4096), (17, 100)]);
        assert_eq!(pairs(&[6, 4096, 0, 0, 17, 100]), [(6, 4096)]);
        assert_eq!(pairs(&[4096 << 32 | 6, 100 << 32 | 17]), [(6, 4096), (17, 100)]);
        assert_eq!(pairs(&[6]), []);
    }
}
