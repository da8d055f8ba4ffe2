//! Descriptor tables of processes, each read once however many processes share it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ckx_criu::typed::messages::{FdinfoEntry, TaskKobjIdsEntry};

use crate::Issue;
use crate::explore::tasks::{Process, Task};
use crate::load::{Gap, Loader};

/// A table as read.
#[derive(Clone)]
struct Table {
    entries: Arc<[FdinfoEntry]>,
    whole: bool,
}

/// The tables read so far, by `files_id`.
#[derive(Default)]
pub(super) struct Tables(HashMap<u32, Result<Table, Gap>>);

impl Tables {
    /// The table of a task and its number. `None` when there is none, which `process` then notes.
    pub fn of(
        &mut self,
        loader: &mut Loader<'_>,
        task: &Task,
        process: &mut Process,
    ) -> Option<(u32, Arc<[FdinfoEntry]>)> {
        let files_id = files_id(loader, task, process)?;
        let image = format!("fdinfo-{files_id}.img");
        let table = self.0.entry(files_id).or_insert_with(|| read(loader, &image));
        match table {
            Ok(table) => {
                process.has(&image, table.whole);
                Some((files_id, Arc::clone(&table.entries)))
            }
            Err(gap) => {
                process.lacks(&image, *gap);
                None
            }
        }
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

fn read(loader: &mut Loader<'_>, image: &str) -> Result<Table, Gap> {
    let records = loader.records::<FdinfoEntry>(image)?;
    let mut numbers = HashSet::new();
    let twice: Vec<u32> =
        records.entries.iter().map(|entry| entry.fd).filter(|fd| !numbers.insert(*fd)).collect();
    if !twice.is_empty() {
        let reason = "descriptors that occur more than once";
        loader.tell(Issue::listing(image, "duplicate-descriptor", reason, twice.into_iter()));
    }
    Ok(Table { entries: records.entries.into(), whole: records.whole })
}
