//! `stats`: what CRIU measured.

use ckx_criu::Image;
use ckx_criu::typed::messages::StatsEntry;
use schemars::JsonSchema;
use serde::Serialize;

use crate::checkpoint::joined;
use crate::inspect::Collect;
use crate::outline::{Cell, Outline};
use crate::{Checkpoint, Issue, Name};

/// What CRIU measured.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Stats {
    /// Of the dump, from `stats-dump`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dump: Option<DumpStats>,
    /// Of a restore, from `stats-restore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreStats>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Times and pages of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DumpStats {
    /// Time until all processes stood still, in microseconds.
    pub freezing_time_us: u64,
    /// Time during which they stood still, in microseconds.
    pub frozen_time_us: u64,
    /// Time of getting at their memory, in microseconds.
    pub memdump_time_us: u64,
    /// Time of writing it, in microseconds.
    pub memwrite_time_us: u64,
    /// Time of looking for names of watched files, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub irmap_resolve_us: Option<u64>,
    /// Pages that were looked at.
    pub pages_scanned: u64,
    /// Pages that were left to the parent's images.
    pub pages_skipped_parent: u64,
    /// Pages that were written.
    pub pages_written: u64,
    /// Pages that were left to be fetched later.
    pub pages_lazy: u64,
    /// Pipes that pages went through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_pipes: Option<u64>,
    /// Buffers of these pipes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_pipe_bufs: Option<u64>,
    /// Pages of shared memory that were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shpages_scanned: Option<u64>,
    /// Pages of shared memory that were left to the parent's images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shpages_skipped_parent: Option<u64>,
    /// Pages of shared memory that were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shpages_written: Option<u64>,
}

/// Times and pages of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RestoreStats {
    /// Pages that were compared with those of the parent process.
    pub pages_compared: u64,
    /// Pages that could be shared with it.
    pub pages_skipped_cow: u64,
    /// Pages that were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages_restored: Option<u64>,
    /// Time of making the processes, in microseconds.
    pub forking_time_us: u64,
    /// Time of the restore, in microseconds.
    pub restore_time_us: u64,
}

impl Collect for Stats {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut stats = Self::default();
        stats.dump =
            stats.read(checkpoint, "stats-dump").and_then(|entry| entry.dump).map(|dump| DumpStats {
                freezing_time_us: dump.freezing_time.into(),
                frozen_time_us: dump.frozen_time.into(),
                memdump_time_us: dump.memdump_time.into(),
                memwrite_time_us: dump.memwrite_time.into(),
                irmap_resolve_us: dump.irmap_resolve.map(u64::from),
                pages_scanned: dump.pages_scanned,
                pages_skipped_parent: dump.pages_skipped_parent,
                pages_written: dump.pages_written,
                pages_lazy: dump.pages_lazy,
                page_pipes: dump.page_pipes,
                page_pipe_bufs: dump.page_pipe_bufs,
                shpages_scanned: dump.shpages_scanned,
                shpages_skipped_parent: dump.shpages_skipped_parent,
                shpages_written: dump.shpages_written,
            });
        stats.restore =
            stats.read(checkpoint, "stats-restore").and_then(|entry| entry.restore).map(|restore| {
                RestoreStats {
                    pages_compared: restore.pages_compared,
                    pages_skipped_cow: restore.pages_skipped_cow,
                    pages_restored: restore.pages_restored,
                    forking_time_us: restore.forking_time.into(),
                    restore_time_us: restore.restore_time.into(),
                }
            });
        stats
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        if let Some(dump) = &self.dump {
            outline.field("freezing", Cell::Micros(dump.freezing_time_us));
            outline.field("frozen", Cell::Micros(dump.frozen_time_us));
            outline.field("memory dump", Cell::Micros(dump.memdump_time_us));
            outline.field("memory write", Cell::Micros(dump.memwrite_time_us));
            outline.field_if("irmap resolve", dump.irmap_resolve_us.filter(|us| *us > 0).map(Cell::Micros));
            let pages = [
                ("written", Some(dump.pages_written)),
                ("in parent", Some(dump.pages_skipped_parent)),
                ("lazy", Some(dump.pages_lazy)),
            ];
            outline.field("pages", counted(dump.pages_scanned, &pages));
            if let Some(scanned) = dump.shpages_scanned.filter(|scanned| *scanned > 0) {
                let pages = [("written", dump.shpages_written), ("in parent", dump.shpages_skipped_parent)];
                outline.field("shared pages", counted(scanned, &pages));
            }
            if let (Some(pipes), Some(buffers)) = (dump.page_pipes, dump.page_pipe_bufs) {
                outline.field("page pipes", format!("{pipes} with {buffers} buffers"));
            }
        }
        if let Some(restore) = &self.restore {
            outline.field("forking", Cell::Micros(restore.forking_time_us));
            outline.field("restore", Cell::Micros(restore.restore_time_us));
            let pages = [
                ("shared with the parent process", Some(restore.pages_skipped_cow)),
                ("written", restore.pages_restored),
            ];
            outline.field("pages compared", counted(restore.pages_compared, &pages));
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// `1582 scanned, 1407 written`.
fn counted(all: u64, parts: &[(&str, Option<u64>)]) -> String {
    let parts = parts.iter().filter_map(|(name, count)| Some((name, count.filter(|count| *count > 0)?)));
    let parts: Vec<String> = parts.map(|(name, count)| format!(", {count} {name}")).collect();
    format!("{all} scanned{}", parts.concat())
}

impl Stats {
    /// The record of a statistics file, at the top of the archive, among the images, or in CRIU's
    /// directory of work.
    fn read(&mut self, checkpoint: &Checkpoint, name: &str) -> Option<StatsEntry> {
        let archive = checkpoint.archive();
        let beside = joined(checkpoint.images_directory(), name.as_bytes());
        let elsewhere = format!("/{name}");
        let member = archive.get(name.as_bytes()).or_else(|| archive.get(&beside)).or_else(|| {
            // Those of an earlier dump are not of this one.
            let mut below = archive.current().filter(|member| member.name.ends_with(elsewhere.as_bytes()));
            below.find(|member| !member.name.starts_with(b"pre-checkpoint/"))
        })?;
        let told = Name::from(&member.name).to_string();
        let data = match archive.read(member) {
            Ok(data) => data,
            Err(error) => {
                self.issues.push(Issue::unreadable(&told, &error));
                return None;
            }
        };
        let decoded = Image::parse(name.as_bytes(), &data).and_then(|image| {
            image.entries().next().transpose()?.map(|entry| entry.decode::<StatsEntry>()).transpose()
        });
        match decoded {
            Ok(Some(entry)) => Some(entry),
            Ok(None) => {
                self.issues.push(Issue::new(&told, "no-record", "the file has no record"));
                None
            }
            Err(error) => {
                self.issues.push(Issue::from(&error));
                None
            }
        }
    }
}
