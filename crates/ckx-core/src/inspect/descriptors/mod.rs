//! `descriptors`: what each process has open.
//!
//! [`OpenFiles`] is how other sections ask what a descriptor, a working directory or a mapped file is.

mod convert;
mod events;
mod file;
mod terminal;
mod text;

pub use convert::OpenFiles;
pub use file::*;

use std::collections::{BTreeSet, HashMap};

use ckx_criu::typed::messages::{FdTypes, FdinfoEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::model::files::FILES;
use crate::model::{Process, descriptors::Table};
use crate::outline::Outline;
use crate::{Checkpoint, Issue, Name};

/// Everything that processes have open.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Descriptors {
    /// Processes, in the order of the tree's image.
    pub processes: Vec<ProcessDescriptors>,
    /// The open files that their descriptors refer to, each once, by id.
    pub files: Vec<OpenFile>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// What one process has open.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessDescriptors {
    /// Process id.
    pub pid: u32,
    /// Name of its leading thread.
    pub comm: Option<Name>,
    /// Number of its descriptor table. `None` for a zombie, or when it cannot be told.
    pub files_id: Option<u32>,
    /// A process listed before with the same table: the descriptors are listed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares_table_of: Option<u32>,
    /// Its descriptors, in the order of the table's image.
    pub descriptors: Vec<Descriptor>,
    /// Working directory.
    pub cwd: Option<Place>,
    /// Root directory.
    pub root: Option<Place>,
    /// Why there are no descriptors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<&'static str>,
}

/// One descriptor.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Descriptor {
    /// Its number.
    pub fd: u32,
    /// Type of the file, in CRIU's words (`REG`, `PIPE`, …).
    #[serde(rename = "type")]
    pub kind: String,
    /// The open file, in `files`.
    pub file_id: u32,
    /// What `/proc/PID/fd` shows; `None` when the file's record is not there.
    pub name: Option<Name>,
    /// Whether it is closed when another program is run.
    pub close_on_exec: bool,
    /// SELinux label of a socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<Name>,
}

/// A directory of a process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Place {
    /// Its path; `None` when its record is not there.
    pub path: Option<Name>,
    /// File id.
    pub file_id: u32,
    /// Whether it was deleted.
    pub is_deleted: bool,
}

const FD_CLOEXEC: u32 = 1;

impl Collect for Descriptors {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let processes = checkpoint.processes();
        let mut collector = Collector {
            checkpoint,
            files: OpenFiles::new(checkpoint),
            known: HashMap::new(),
            unknown: BTreeSet::new(),
            tables: HashMap::new(),
        };
        let wanted = processes.list.iter().filter(|process| checkpoint.wants(process.pid));
        let list = wanted.map(|process| collector.process(process)).collect();
        let mut issues = processes.issues.clone();
        issues.extend(checkpoint.descriptors().issues.iter().cloned());
        issues.extend(checkpoint.files().issues().iter().cloned());
        issues.extend(checkpoint.contents().issues.iter().cloned());
        if checkpoint.files().is_there() && !collector.unknown.is_empty() {
            let reason = "files that are referred to and not there, by id";
            issues.push(Issue::listing(FILES, "unknown-file", reason, collector.unknown.iter().copied()));
        }
        let mut files: Vec<OpenFile> = collector.known.into_values().collect();
        files.sort_by(|a, b| (a.file_id, &a.kind).cmp(&(b.file_id, &b.kind)));
        Self { processes: list, files, issues }
    }

    fn outline(&self) -> Outline {
        text::outline(self)
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

struct Collector<'c> {
    checkpoint: &'c Checkpoint,
    files: OpenFiles<'c>,
    /// Each file that was met, by type and id.
    known: HashMap<(i32, u32), OpenFile>,
    unknown: BTreeSet<u32>,
    /// The first process of each table.
    tables: HashMap<u32, u32>,
}

impl Collector<'_> {
    fn process(&mut self, process: &Process) -> ProcessDescriptors {
        let mut found = ProcessDescriptors {
            pid: process.pid,
            comm: process.comm(),
            files_id: None,
            shares_table_of: None,
            descriptors: Vec::new(),
            cwd: None,
            root: None,
            absent: None,
        };
        if process.is_zombie() {
            found.absent = Some("zombie");
            return found;
        }
        match self.checkpoint.descriptors().of(process) {
            Some(table) => self.table(table, &mut found),
            None => found.absent = Some("its table cannot be read"),
        }
        if let Some(fs) = &process.fs {
            found.cwd = Some(self.place(fs.cwd_id));
            found.root = Some(self.place(fs.root_id));
        }
        found
    }

    fn table(&mut self, table: &Table, found: &mut ProcessDescriptors) {
        found.files_id = Some(table.files_id);
        let first = *self.tables.entry(table.files_id).or_insert(found.pid);
        if first != found.pid {
            found.shares_table_of = Some(first);
            return;
        }
        found.descriptors = table.entries.iter().map(|entry| self.descriptor(entry)).collect();
        if !table.has_image {
            found.absent = Some("there is no image of its table");
        }
    }

    fn descriptor(&mut self, entry: &FdinfoEntry) -> Descriptor {
        let key = (entry.r#type, entry.id);
        let file = self.known.entry(key).or_insert_with(|| self.files.describe(entry.r#type, entry.id));
        if file.name.is_none() {
            self.unknown.insert(entry.id);
        }
        Descriptor {
            fd: entry.fd,
            kind: file.kind.clone(),
            file_id: entry.id,
            name: file.name.clone(),
            close_on_exec: entry.flags & FD_CLOEXEC != 0,
            selinux: entry.xattr_security_selinux.as_ref().map(Name::from),
        }
    }

    fn place(&mut self, file_id: u32) -> Place {
        let path = self.checkpoint.files().regular(file_id).map(|reg| Name::from(&reg.name));
        if path.is_none() {
            self.unknown.insert(file_id);
        }
        let is_deleted = self.checkpoint.contents().removed(file_id).is_some();
        Place { path, file_id, is_deleted }
    }
}

/// Name of a type of descriptors; numbers without a name stay numbers.
pub(crate) fn type_name(kind: i32) -> String {
    FdTypes::try_from(kind).map_or_else(|_| kind.to_string(), |kind| kind.as_str_name().to_owned())
}
