//! `locks`: locks and leases on files.

use ckx_criu::typed::messages::FileLockEntry;
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::descriptors::OpenFiles;
use crate::load::Loader;
use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue, Name};

/// Locks on files.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Locks {
    /// Locks, in the order of the image.
    pub locks: Vec<Lock>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A lock.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Lock {
    /// `posix`, `flock`, `ofd` or `lease`; a number if it is another.
    pub kind: String,
    /// `read`, `write` or `none`; a number if it is another.
    #[serde(rename = "type")]
    pub access: String,
    /// Whether a lease is being taken away, down to `type`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_breaking: bool,
    /// Process that holds it.
    pub pid: i32,
    /// Descriptor of the file in that process.
    pub fd: i32,
    /// What that descriptor refers to; absent when it cannot be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Name>,
    /// First byte that is locked.
    pub start_bytes: i64,
    /// Number of bytes; absent for all to the end of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub len_bytes: Option<i64>,
}

const LEASE: u32 = 8;
/// Of leases: somebody else wants the file.
const BREAKING: u32 = 4;

impl Collect for Locks {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let mut entries = Vec::new();
        if let Ok(records) = loader.records_if_any::<FileLockEntry>("filelocks.img") {
            entries = records.entries;
        }
        // CRIU up to 1.2 had an image for each process.
        for process in &checkpoint.processes().list {
            let name = format!("filelocks-{}.img", process.pid);
            if let Ok(records) = loader.records_if_any::<FileLockEntry>(&name) {
                entries.extend(records.entries);
            }
        }
        let files = OpenFiles::new(checkpoint);
        let wanted = |entry: &&FileLockEntry| u32::try_from(entry.pid).is_ok_and(|pid| checkpoint.wants(pid));
        let locks = entries.iter().filter(wanted).map(|entry| Lock::of(checkpoint, &files, entry)).collect();
        Self { locks, issues: loader.into_issues() }
    }

    fn outline(&self) -> Outline {
        let mut table = Table::new(&["PID", "FD", "KIND", "TYPE", "RANGE", "FILE"]);
        for lock in &self.locks {
            let end = match lock.len_bytes {
                Some(len) => lock.start_bytes.saturating_add(len).to_string(),
                None => "end".to_owned(),
            };
            let breaking = if lock.is_breaking { " (breaking)" } else { "" };
            table.row(vec![
                Cell::from(lock.pid.to_string()),
                Cell::from(lock.fd.to_string()),
                Cell::from(&lock.kind),
                Cell::from(format!("{}{breaking}", lock.access)),
                Cell::from(format!("{}..{end}", lock.start_bytes)),
                Cell::or_dash(lock.file.as_ref()),
            ]);
        }
        let mut outline = Outline::new();
        outline.table(table);
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

impl Lock {
    fn of(checkpoint: &Checkpoint, files: &OpenFiles<'_>, entry: &FileLockEntry) -> Self {
        let kind = match entry.flag {
            1 => "posix".to_owned(),
            2 => "flock".to_owned(),
            4 => "ofd".to_owned(),
            LEASE => "lease".to_owned(),
            other => other.to_string(),
        };
        let is_breaking = entry.flag == LEASE && entry.r#type & BREAKING != 0;
        let access = match if is_breaking { entry.r#type & !BREAKING } else { entry.r#type } {
            0 => "read".to_owned(),
            1 => "write".to_owned(),
            2 => "none".to_owned(),
            other => other.to_string(),
        };
        Self {
            kind,
            access,
            is_breaking,
            pid: entry.pid,
            fd: entry.fd,
            file: file_of(checkpoint, files, entry),
            start_bytes: entry.start,
            len_bytes: (entry.len != 0).then_some(entry.len),
        }
    }
}

/// Name of what the descriptor of a lock refers to.
fn file_of(checkpoint: &Checkpoint, files: &OpenFiles<'_>, entry: &FileLockEntry) -> Option<Name> {
    let process = checkpoint.processes().get(u32::try_from(entry.pid).ok()?)?;
    let table = checkpoint.descriptors().of(process)?;
    let fd = u32::try_from(entry.fd).ok()?;
    let descriptor = table.entries.iter().find(|descriptor| descriptor.fd == fd)?;
    files.describe(descriptor.r#type, descriptor.id).name
}
