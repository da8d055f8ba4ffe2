//! Descriptor tables of processes, each read once however many processes share it.

use std::collections::HashMap;
use std::sync::Arc;

use ckx_criu::typed::messages::TaskKobjIdsEntry;
use serde::{Serialize, Serializer};

use crate::explore::tasks::{Process, Task};
use crate::load::{Gap, Loader};
use crate::model::descriptors::Table;

/// The tables read so far, by `files_id`.
#[derive(Default)]
pub(super) struct Tables(HashMap<u32, Option<Table>>);

impl Tables {
    /// The table of a task. `None` when it cannot be had, which `process` then notes.
    pub fn of(&mut self, loader: &mut Loader<'_>, task: &Task, process: &mut Process) -> Option<Table> {
        let files_id = files_id(loader, task, process)?;
        let image = format!("fdinfo-{files_id}.img");
        let table = self.0.entry(files_id).or_insert_with(|| Table::read(loader, files_id)).clone();
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

/// Serializes a list that several processes share.
pub(super) fn shared<T: Serialize, S: Serializer>(list: &Arc<[T]>, serializer: S) -> Result<S::Ok, S::Error> {
    list.as_ref().serialize(serializer)
}
