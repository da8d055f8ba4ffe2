//! What differs between two checkpoints: comparisons, one file each, in one table.
//!
//! A comparison gets two checkpoints with their processes in pairs, and gives [`Change`]s. Adding one
//! is adding its file and its row in [`DIFFS`]; the command line, JSON and the browser take it from
//! the row. Most compare the reports of [`crate::inspect`] by structure, so that a new field of a
//! report is compared by itself.

mod change;
mod container;
mod decoded;
mod descriptors;
mod groups;
mod kernel;
mod logs;
mod mappings;
mod maps;
mod memory;
mod pairing;
mod pattern;
mod rules;
mod sections;
mod sockets;
mod structure;
mod text;
mod trees;
mod waiting;

use std::collections::HashSet;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

pub use change::{Change, Mark};
pub use memory::{MemoryChange, Range, Row, open};
pub use pairing::{PairedBy, Pairing, ProcessPair};
pub use pattern::Pattern;
pub use structure::Side;

use crate::inspect;
use crate::{Checkpoint, Issue};

/// What a reader wants of a comparison.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Comparisons to make, by name; all of them if empty. What belongs to the dump counts as a
    /// difference only in those that are asked for.
    pub only: Vec<String>,
    /// Names of comparisons that are not made.
    pub without: Vec<String>,
    /// Paths that are not told.
    pub ignore: Vec<Pattern>,
    /// Processes that are taken for one, as ids in both checkpoints.
    pub pairs: Vec<(u32, u32)>,
    /// Whether what is the same is listed.
    pub keep_same: bool,
    /// Whether what belongs to the dump counts as a difference.
    pub with_dump: bool,
    /// Whether values are told that are likely to be secret.
    pub reveal: bool,
    /// Whether mappings are taken for one by name and order although their addresses differ.
    pub relocated: bool,
    /// Bytes of memory that are told of each range that differs.
    pub show_bytes: usize,
}

/// Two checkpoints, ready to be compared.
pub(crate) struct Pair<'a> {
    pub before: &'a Checkpoint,
    pub after: &'a Checkpoint,
    pub pairing: &'a Pairing,
    /// Where mappings went, if their places do not count.
    pub moves: Option<&'a mappings::Moves>,
    pub options: &'a Options,
}

impl<'a> Pair<'a> {
    /// The checkpoint on a side.
    pub fn side(&self, side: Side) -> &'a Checkpoint {
        match side {
            Side::Before => self.before,
            Side::After => self.after,
        }
    }
}

/// A row of [`DIFFS`].
#[derive(Debug)]
pub struct Kind {
    /// Its word on the command line and its heading.
    pub name: &'static str,
    /// What it compares, in a line.
    pub about: &'static str,
    compare: fn(&Pair<'_>) -> Comparison,
}

/// What a comparison found.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub changes: Vec<Change>,
    /// Plain values that are the same.
    pub same: u64,
    pub issues: Vec<(Side, Issue)>,
}

/// All comparisons. Their order is the order on the screen.
pub const DIFFS: &[Kind] = &[
    Kind::new("container", "Engine's metadata: config.dump, spec.dump, status", container::compare),
    Kind::new("processes", "Processes: added, gone, moved, state, program", |pair| {
        sections::compare::<inspect::processes::Processes>(pair, sections::PROCESS_TREE)
    }),
    Kind::new("threads", "Threads: registers, scheduling, signals", groups::threads),
    Kind::new("arguments", "Command lines, as they are in memory", text::arguments),
    Kind::new("environment", "Environment variables, as they are in memory", text::environment),
    Kind::new("credentials", "Users, groups, capabilities, security labels", |pair| {
        sections::compare::<inspect::credentials::Credentials>(pair, sections::CREDENTIALS)
    }),
    Kind::new("limits", "Resource limits", |pair| {
        sections::compare::<inspect::limits::Limits>(pair, sections::LIMITS)
    }),
    Kind::new("signals", "Signal handlers, blocked and pending signals", |pair| {
        sections::compare::<inspect::signals::SignalsReport>(pair, sections::SIGNALS)
    }),
    Kind::new("timers", "Timers of processes", |pair| {
        sections::compare::<inspect::timers::Timers>(pair, sections::TIMERS)
    }),
    Kind::new("auxv", "Auxiliary vectors", |pair| {
        sections::compare::<inspect::auxv::Auxv>(pair, sections::AUXV)
    }),
    Kind::new("seccomp", "How system calls are restricted", groups::seccomp),
    Kind::new("namespaces", "Namespaces and who is in them", groups::namespaces),
    Kind::new("cgroups", "Cgroups: who is where, limits", groups::cgroups),
    Kind::new("descriptors", "Open files: position, flags, state", descriptors::compare),
    Kind::new("sockets", "Sockets: state, queues, counters", sockets::compare),
    Kind::new("locks", "Locks of files", kernel::locks),
    Kind::new("mounts", "Mounts, by their place", kernel::mounts),
    Kind::new("ipc", "System V shared memory, messages, semaphores", decoded::ipc),
    Kind::new("network", "Network namespaces: devices, addresses, routes, firewall", kernel::network),
    Kind::new("mappings", "Mappings: added, gone, grown, rights, files", maps::compare),
    Kind::new("memory", "Content of memory, page by page", memory::compare),
    Kind::new("rootfs", "Changes of the root file system, by file", trees::rootfs),
    Kind::new("tmpfs", "File systems in memory, by file", trees::tmpfs),
    Kind::new("volumes", "Volumes, by file", trees::volumes),
    Kind::new("logs", "Logs of the container; that of the dump belongs to the dump", logs::compare),
    Kind::new("inventory", "How the dump was made; belongs to the dump", decoded::inventory),
    Kind::new("statistics", "Statistics of the dump; belongs to the dump", decoded::statistics),
];

impl Kind {
    const fn new(name: &'static str, about: &'static str, compare: fn(&Pair<'_>) -> Comparison) -> Self {
        Self { name, about, compare }
    }
}

/// The comparison with this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    DIFFS.iter().find(|kind| kind.name == name)
}

/// What differs between two checkpoints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Diff {
    /// Whether nothing differs that belongs to the container.
    pub same: bool,
    /// Processes of both, in pairs.
    pub pairs: Vec<ProcessPair>,
    /// What was compared, in the order of the table.
    pub kinds: Vec<KindSummary>,
    /// What differs, in the order of the table.
    pub changes: Vec<Change>,
    /// What could not be read, and so was not compared.
    pub issues: Vec<SideIssue>,
}

/// Counts of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KindSummary {
    /// The comparison.
    pub kind: &'static str,
    /// Things that only the second checkpoint has.
    pub added: u64,
    /// Things that only the first has.
    pub removed: u64,
    /// Things with other values.
    pub changed: u64,
    /// Differences that belong to the dump; they are not in the counts before.
    pub of_dump: u64,
    /// Values that are the same.
    pub same: u64,
}

impl KindSummary {
    /// All differences that belong to the container.
    pub fn total(&self) -> u64 {
        self.added + self.removed + self.changed
    }
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SideIssue {
    /// Which checkpoint.
    pub side: Side,
    /// What is missing or broken.
    #[serde(flatten)]
    pub issue: Issue,
}

/// Compares two checkpoints. The answer does not depend on the number of threads.
pub fn compare(before: &Checkpoint, after: &Checkpoint, options: &Options) -> Diff {
    let pairing = Pairing::new(before, after, &options.pairs);
    let moves = options.relocated.then(|| mappings::Moves::new(before, after, &pairing));
    let pair = Pair { before, after, pairing: &pairing, moves: moves.as_ref(), options };
    let rows: Vec<&Kind> = DIFFS.iter().filter(|kind| options.wants(kind)).collect();
    let found: Vec<Comparison> = rows.par_iter().map(|kind| (kind.compare)(&pair)).collect();
    let mut diff = Diff {
        same: true,
        pairs: pairing.pairs().to_vec(),
        kinds: Vec::with_capacity(rows.len()),
        changes: Vec::new(),
        issues: issues(before, after),
    };
    let sides = [(Side::Before, before), (Side::After, after)];
    let cut: Vec<Side> = sides.iter().filter(|(_, it)| is_cut(it)).map(|(side, _)| *side).collect();
    let without_processes = sides.iter().any(|(_, checkpoint)| checkpoint.is_pre_dump());
    let mut untold = 0;
    for (kind, mut comparison) in rows.into_iter().zip(found) {
        if !cut.is_empty() || without_processes {
            let len = comparison.changes.len();
            comparison.changes.retain(|change| matches!(change.mark, Mark::Changed | Mark::Same));
            untold += len - comparison.changes.len();
        }
        diff.add(kind, comparison, options);
    }
    for side in cut.into_iter().filter(|_| untold > 0) {
        let reason = format!("it is cut off, so {untold} things that only one side has are not told");
        diff.issues.push(SideIssue { side, issue: Issue::new("archive", "cut-off", reason) });
    }
    for (side, _) in sides.iter().filter(|(_, checkpoint)| checkpoint.is_pre_dump()) {
        let reason =
            "it is a pre-dump, which has pages of memory and no processes: their memory is not compared";
        diff.issues.push(SideIssue { side: *side, issue: Issue::new("pstree.img", "pre-dump", reason) });
    }
    let mut told = HashSet::new();
    diff.issues.retain(|issue| told.insert((issue.side, issue.issue.to_string())));
    diff.same = diff.kinds.iter().all(|kind| kind.total() == 0);
    diff
}

impl Options {
    fn wants(&self, kind: &Kind) -> bool {
        let is_in = |names: &[String]| names.iter().any(|name| name == kind.name);
        (self.only.is_empty() || is_in(&self.only)) && !is_in(&self.without)
    }
}

impl Diff {
    fn add(&mut self, kind: &'static Kind, comparison: Comparison, options: &Options) {
        let mut summary = KindSummary {
            kind: kind.name,
            added: 0,
            removed: 0,
            changed: 0,
            of_dump: 0,
            same: comparison.same,
        };
        let is_asked = options.with_dump || options.only.iter().any(|name| name == kind.name);
        for mut change in comparison.changes {
            if options.ignore.iter().any(|pattern| pattern.matches(&change.path)) {
                continue;
            }
            change.kind = kind.name;
            change.of_dump &= !is_asked;
            let counter = match change.mark {
                Mark::Same => None,
                _ if change.of_dump => Some(&mut summary.of_dump),
                Mark::Added => Some(&mut summary.added),
                Mark::Removed => Some(&mut summary.removed),
                Mark::Changed => Some(&mut summary.changed),
            };
            if let Some(counter) = counter {
                *counter += 1;
            }
            self.changes.push(change);
        }
        self.kinds.push(summary);
        for (side, issue) in comparison.issues {
            self.issues.push(SideIssue { side, issue });
        }
    }
}

/// Whether a source breaks off: what it has not may be behind the break, and what refers to that goes by
/// other names.
fn is_cut(checkpoint: &Checkpoint) -> bool {
    checkpoint.archive().faults().iter().any(|fault| matches!(fault.code, "broken-archive" | "cut-off"))
}

/// What is wrong with the sources themselves.
fn issues(before: &Checkpoint, after: &Checkpoint) -> Vec<SideIssue> {
    let of = |side, checkpoint: &Checkpoint| {
        let faults = checkpoint.archive().faults().iter().map(Issue::from);
        faults.map(move |issue| SideIssue { side, issue }).collect::<Vec<_>>()
    };
    [of(Side::Before, before), of(Side::After, after)].concat()
}
