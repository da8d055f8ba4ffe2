//! `fds`: open files of each process.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use ckx_criu::typed::messages::{FdinfoEntry, FsEntry};
use serde::Serialize;

use crate::explore::files::{Files, type_name};
use crate::explore::tables::{Tables, shared};
use crate::explore::tasks::{Process, Task};
use crate::load::Loader;
use crate::{ImageSet, Issue, Name};

/// Open files, by process.
#[derive(Debug, Serialize)]
pub struct FdsReport {
    /// Processes, in the order of the tree's image.
    pub processes: Vec<ProcessFds>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Open files of one process.
#[derive(Debug, Serialize)]
pub struct ProcessFds {
    /// The process.
    #[serde(flatten)]
    pub process: Process,
    /// Number of its descriptor table: processes with the same one share it.
    pub files_id: Option<u32>,
    /// Its descriptors, in the order of the table's image. One list for all that share the table.
    #[serde(serialize_with = "shared")]
    pub descriptors: Arc<[Descriptor]>,
    /// Working directory.
    pub cwd: Option<Name>,
    /// Root directory.
    pub root: Option<Name>,
}

/// One descriptor.
#[derive(Debug, Serialize)]
pub struct Descriptor {
    /// Its number.
    pub fd: u32,
    /// Type of the file, in CRIU's words (`REG`, `PIPE`, …).
    #[serde(rename = "type")]
    pub kind: String,
    /// File id: descriptors with the same one share one open file.
    pub file_id: u32,
    /// Path of a regular file; of others what crit calls them.
    pub name: Name,
    /// Whether it is closed when another program is run.
    pub close_on_exec: bool,
}

const FD_CLOEXEC: u32 = 1;

/// Reads the descriptors of all processes.
pub fn collect(images: &dyn ImageSet) -> FdsReport {
    let mut loader = Loader::new(images);
    let tasks = Task::read_all(&mut loader);
    let mut collector =
        Collector { files: Files::read(&mut loader), tables: Tables::default(), lists: HashMap::new() };
    let processes = tasks.iter().map(|task| collector.process(&mut loader, task)).collect();
    collector.files.tell_unknown(&mut loader);
    FdsReport { processes, issues: loader.into_issues() }
}

struct Collector {
    files: Files,
    tables: Tables,
    lists: HashMap<u32, Arc<[Descriptor]>>,
}

impl Collector {
    fn process(&mut self, loader: &mut Loader<'_>, task: &Task) -> ProcessFds {
        let mut found = ProcessFds {
            process: task.into(),
            files_id: None,
            descriptors: Arc::default(),
            cwd: None,
            root: None,
        };
        if task.is_zombie() {
            return found;
        }
        if let Some(table) = self.tables.of(loader, task, &mut found.process) {
            let files = &mut self.files;
            let list = self
                .lists
                .entry(table.files_id)
                .or_insert_with(|| table.entries.iter().map(|entry| descriptor(files, entry)).collect());
            found.descriptors = Arc::clone(list);
            found.files_id = Some(table.files_id);
            if !table.has_image {
                found.process.add_note(format!("no descriptors: fdinfo-{}.img is not there", table.files_id));
            }
        }
        let image = format!("fs-{}.img", task.pid);
        match loader.first::<FsEntry>(&image) {
            Ok(fs) => {
                found.cwd = Some(self.files.regular(fs.cwd_id));
                found.root = Some(self.files.regular(fs.root_id));
            }
            Err(gap) => found.process.lacks(&image, gap),
        }
        found
    }
}

fn descriptor(files: &mut Files, entry: &FdinfoEntry) -> Descriptor {
    Descriptor {
        fd: entry.fd,
        kind: type_name(entry.r#type),
        file_id: entry.id,
        name: files.descriptor(entry.r#type, entry.id),
        close_on_exec: entry.flags & FD_CLOEXEC != 0,
    }
}

impl FdsReport {
    /// Writes crit's `fds`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for each in &self.processes {
            each.process.write_line(out)?;
            for descriptor in each.descriptors.iter() {
                writeln!(out, "\t{:>7}: {}", descriptor.fd, descriptor.name)?;
            }
            for (what, path) in [("cwd", &each.cwd), ("root", &each.root)] {
                if let Some(path) = path {
                    writeln!(out, "\t{what:>7}: {path}")?;
                }
            }
        }
        Ok(())
    }
}
