//! Descriptor tables: `fdinfo-N.img`, each read once however many processes share it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ckx_criu::typed::messages::FdinfoEntry;

use crate::load::{Gap, Loader};
use crate::model::Process;
use crate::{Checkpoint, Issue};

/// A descriptor table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its number.
    pub files_id: u32,
    /// Its descriptors, in the order of the image.
    pub entries: Arc<[FdinfoEntry]>,
    /// Whether its image was there. A table without descriptors has none.
    pub has_image: bool,
    /// Whether all of its image could be read.
    pub whole: bool,
}

impl Table {
    /// Reads the table with this number; `None` when its image is of no use.
    pub(crate) fn read(loader: &mut Loader<'_>, files_id: u32) -> Option<Self> {
        let image = &format!("fdinfo-{files_id}.img");
        let records = match loader.records_if_any::<FdinfoEntry>(image) {
            Ok(records) => records,
            Err(Gap::Missing) => {
                return Some(Self { files_id, entries: Arc::default(), has_image: false, whole: true });
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
        Some(Self { files_id, entries: records.entries.into(), has_image: true, whole: records.whole })
    }
}

/// The descriptor tables of all processes.
#[derive(Debug)]
pub struct DescriptorTables {
    by_id: HashMap<u32, Option<Table>>,
    /// What is missing or broken in their images.
    pub issues: Vec<Issue>,
}

impl DescriptorTables {
    /// Reads all tables.
    pub(crate) fn read(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let mut by_id = HashMap::new();
        for files_id in checkpoint.processes().list.iter().filter_map(files_id) {
            by_id.entry(files_id).or_insert_with(|| Table::read(&mut loader, files_id));
        }
        Self { by_id, issues: loader.into_issues() }
    }

    /// The table of a process; `None` when there is no way to it.
    pub fn of(&self, process: &Process) -> Option<&Table> {
        self.by_id.get(&files_id(process)?)?.as_ref()
    }
}

/// Number of a process's table; a zombie has none.
fn files_id(process: &Process) -> Option<u32> {
    process.ids.as_ref().filter(|_| !process.is_zombie()).map(|ids| ids.files_id)
}
