//! Descriptor tables of processes, each read once however many processes share it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ckx_criu::typed::messages::{FdinfoEntry, TaskKobjIdsEntry};
use serde::{Serialize, Serializer};

use crate::Issue;
use crate::explore::tasks::{Process, Task};
use crate::load::{Gap, Loader};

/// A descriptor table.
#[derive(Clone)]
pub(super) struct Table {
    /// Its number.
    pub files_id: u32,
    /// Its descriptors.
    pub entries: Arc<[FdinfoEntry]>,
    /// Whether its image was there. A table without descriptors has none.
    pub has_image: bool,
    whole: bool,
}

/// The tables read so far, by `files_id`.
#[derive(Default)]
pub(super) struct Tables(HashMap<u32, Option<Table>>);

impl Tables {
    /// The table of a task. `None` when it cannot be had, which `process` then notes.
    pub fn of(&mut self, loader: &mut Loader<'_>, task: &Task, process: &mut Process) -> Option<Table> {
        let files_id = files_id(loader, task, process)?;
        let image = format!("fdinfo-{files_id}.img");
        let table = self.0.entry(files_id).or_insert_with(|| read(loader, files_id, &image)).clone();
        match &table {
            Some(table) => process.has(&image, table.whole),
            None => process.lacks(&image, Gap::Unreadable),
        }
        table
    }
}

fn files_id(loader: &mut Loader<'_>, task: &Task, process: &mut Process) -> Option<u32> {
    let image = format!("ids-{}.img", task.pid);
    let in_core = task.files_id_in_core;
    // Before there were `ids` images, the core had what is in them.
    let ids = match in_core {
        Some(_) => loader
            .records_if_any::<TaskKobjIdsEntry>(&image)
            .and_then(|ids| ids.entries.into_iter().next().ok_or(Gap::Unreadable)),
        None => loader.first(&image),
    };
    let found = ids.as_ref().ok().map(|ids| ids.files_id).or(in_core);
    if let (None, Err(gap)) = (found, ids) {
        process.lacks(&image, gap);
    }
    found
}

fn read(loader: &mut Loader<'_>, files_id: u32, image: &str) -> Option<Table> {
    let records = match loader.records_if_any::<FdinfoEntry>(image) {
        Ok(records) => records,
        Err(Gap::Missing) => {
            return Some(Table { files_id, entries: Arc::default(), has_image: false, whole: true });
        }
        Err(Gap::Unreadable) => return None,
    };
    let mut numbers = HashSet::new();
    let twice: Vec<u32> =
        records.entries.iter().map(|entry| entry.fd).filter(|fd| !numbers.insert(*fd)).collect();
    if !twice.is_empty() {
        let reason = "descriptors that occur more than once";
        loader.tell(Issue::listing(image, "duplicate-descriptor", reason, twice.into_iter()));
    }
    Some(Table { files_id, entries: records.entries.into(), has_image: true, whole: records.whole })
}

/// Serializes a list that several processes share.
pub(super) fn shared<T: Serialize, S: Serializer>(list: &Arc<[T]>, serializer: S) -> Result<S::Ok, S::Error> {
    list.as_ref().serialize(serializer)
}
