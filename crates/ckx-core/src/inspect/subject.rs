//! The process that a part of a section is about.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use schemars::JsonSchema;
use serde::Serialize;
use twox_hash::XxHash3_128;

use crate::model::Process;
use crate::outline::{Cell, Outline};
use crate::{Checkpoint, Name};

/// A process, as far as a heading needs it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Subject {
    /// Process id inside the dumped pid namespace.
    pub pid: u32,
    /// Name of its leading thread; `None` when its core cannot be read.
    pub comm: Option<Name>,
}

impl From<&Process> for Subject {
    fn from(process: &Process) -> Self {
        Self { pid: process.pid, comm: process.comm() }
    }
}

impl Subject {
    /// The line that its part begins with.
    pub(crate) fn line(&self) -> Vec<Cell> {
        vec![Cell::from(self.pid), Cell::or_dash(self.comm.as_ref())]
    }
}

/// Parts of processes that were told. What is the same as that of a process before is not told again.
#[derive(Default)]
pub(crate) struct Told(HashMap<u128, u32>);

impl Told {
    /// Appends the part of a process below its heading.
    pub fn add(&mut self, process: &Subject, part: Outline, outline: &mut Outline) {
        let mut line = process.line();
        let hash = XxHash3_128::oneshot(format!("{part:?}").as_bytes());
        match self.0.entry(hash) {
            Entry::Occupied(before) => {
                line.push(Cell::Faint(format!("the same as {}", before.get())));
                outline.group(line, Outline::new());
            }
            Entry::Vacant(entry) => {
                entry.insert(process.pid);
                outline.group(line, part);
            }
        }
    }
}

/// The processes that the reader wants to know of.
pub(crate) fn wanted(checkpoint: &Checkpoint) -> impl Iterator<Item = &Process> {
    checkpoint.processes().list.iter().filter(|process| checkpoint.wants(process.pid))
}

/// Those of them that live: a zombie has no memory, no handlers, no timers.
pub(crate) fn living(checkpoint: &Checkpoint) -> impl Iterator<Item = &Process> {
    wanted(checkpoint).filter(|process| !process.is_zombie())
}
