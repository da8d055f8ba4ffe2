//! `seccomp`: how system calls are restricted.

use ckx_criu::ByteOrder;
use ckx_criu::typed::messages::{SeccompEntry, SeccompFilter};
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::bpf;
use crate::inspect::subject::{Subject, living};
use crate::inspect::threads::seccomp_mode;
use crate::kernel::{Flag, flags};
use crate::load::{Gap, Loader};
use crate::model::Process;
use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue};

const SECCOMP: &str = "seccomp.img";

/// Seccomp modes and filters.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Seccomp {
    /// Processes that have a thread whose system calls are restricted.
    pub processes: Vec<ProcessSeccomp>,
    /// All filters of the dump, by index.
    pub filters: Vec<Filter>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Restrictions of a process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessSeccomp {
    /// The process.
    #[serde(flatten)]
    pub process: Subject,
    /// Its threads.
    pub threads: Vec<ThreadSeccomp>,
}

/// Restrictions of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ThreadSeccomp {
    /// Thread id.
    pub tid: u32,
    /// `disabled`, `strict`, `filter`; `None` where the image does not say. CRIU notes only that system
    /// calls are restricted, and old ones not even that.
    pub mode: Option<String>,
    /// Indices of its filters, the one installed first in front.
    pub filters: Vec<u32>,
}

impl ThreadSeccomp {
    fn is_restricted(&self) -> bool {
        self.mode.as_ref().is_some_and(|mode| mode != "disabled")
    }
}

/// A filter.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Filter {
    /// Its index.
    pub index: u32,
    /// Filter of the same thread that was installed next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev: Option<u32>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: Vec<String>,
    /// Its length.
    pub instructions: u64,
    /// The program, an instruction per line; its first lines if it is very long.
    pub program: Vec<String>,
}

const FILTER_FLAGS: &[Flag] = &[
    (1, "TSYNC"),
    (2, "LOG"),
    (4, "SPEC_ALLOW"),
    (8, "NEW_LISTENER"),
    (16, "TSYNC_ESRCH"),
    (32, "WAIT_KILLABLE_RECV"),
];

/// Instructions of a filter: the kernel takes no more.
const MAX_INSTRUCTIONS: usize = 4096;

/// Instructions of a filter that text shows.
const MAX_SHOWN: usize = 64;

impl Collect for Seccomp {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let (entry, order) = read(&mut loader);
        let mut issues = checkpoint.processes().issues_of(&[]);
        let mut unknown = Vec::new();
        let processes: Vec<ProcessSeccomp> = living(checkpoint)
            .map(|process| ProcessSeccomp {
                process: process.into(),
                threads: threads(process, entry.as_ref().ok(), &mut unknown),
            })
            .filter(|process| process.threads.iter().any(ThreadSeccomp::is_restricted))
            .collect();
        if entry.as_ref().is_err_and(|gap| *gap == Gap::Missing) && !unknown.is_empty() {
            loader.tell(Issue::missing(SECCOMP));
        } else if !unknown.is_empty() {
            let reason = "threads whose filter is not in the image";
            loader.tell(Issue::listing(SECCOMP, "missing-filter", reason, unknown.into_iter()));
        }
        issues.extend(loader.into_issues());
        let filters = entry.iter().flat_map(|entry| &entry.seccomp_filters);
        let filters = (0..).zip(filters).map(|(index, filter)| Filter::of(index, filter, order)).collect();
        Self { processes, filters, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for process in &self.processes {
            let mut table = Table::new(&["TID", "MODE", "FILTERS"]);
            for thread in &process.threads {
                let filters: Vec<String> = thread.filters.iter().map(u32::to_string).collect();
                table.row(vec![
                    Cell::from(thread.tid),
                    match &thread.mode {
                        Some(mode) => Cell::from(mode),
                        None => Cell::Absent("not recorded".to_owned()),
                    },
                    Cell::from(filters.join(" ")),
                ]);
            }
            let mut inner = Outline::new();
            inner.table(table);
            outline.group(process.process.line(), inner);
        }
        for filter in &self.filters {
            let mut inner = Outline::new();
            for line in filter.program.iter().take(MAX_SHOWN) {
                inner.line(line);
            }
            if filter.program.len() > MAX_SHOWN {
                inner.line(Cell::Faint(format!("and {} more", filter.program.len() - MAX_SHOWN)));
            }
            let mut line = vec![Cell::from(format!("filter {}:", filter.index))];
            line.push(Cell::from(format!("{} instructions", filter.instructions)));
            line.extend(filter.flags.iter().map(Cell::from));
            outline.group(line, inner);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// The image, which is missing where no thread has a filter, and its byte order.
fn read(loader: &mut Loader<'_>) -> (Result<SeccompEntry, Gap>, ByteOrder) {
    match loader.records_if_any::<SeccompEntry>(SECCOMP) {
        Ok(records) => {
            let order = records.order;
            (records.entries.into_iter().next().ok_or(Gap::Unreadable), order)
        }
        Err(gap) => (Err(gap), ByteOrder::Little),
    }
}

fn threads(process: &Process, entry: Option<&SeccompEntry>, unknown: &mut Vec<u32>) -> Vec<ThreadSeccomp> {
    let filters = entry.map(|entry| entry.seccomp_filters.as_slice()).unwrap_or_default();
    let read = |thread: &crate::model::Thread| {
        let core = process.core_of(thread)?;
        let mode = seccomp_mode(core, process);
        let own = core.thread_core.as_ref().and_then(|own| own.seccomp_filter);
        let first = own.or_else(|| process.task().and_then(|task| task.old_seccomp_filter));
        let mut chain = Vec::new();
        if mode.as_deref() == Some("filter")
            && let Some(first) = first
        {
            let found = follow(filters, first, &mut chain);
            if !found {
                unknown.push(thread.tid);
            }
        }
        Some(ThreadSeccomp { tid: thread.tid, mode, filters: chain })
    };
    process.threads.iter().filter_map(read).collect()
}

/// Filters in one chain; more than any program installs.
const MAX_CHAIN: usize = 256;

/// Follows a chain, whose indices go down. Whether all of it is there.
fn follow(filters: &[SeccompFilter], first: u32, chain: &mut Vec<u32>) -> bool {
    let mut next = Some(first);
    while let Some(index) = next {
        let Some(filter) = filters.get(index as usize) else { return false };
        chain.push(index);
        next = filter.prev.filter(|prev| *prev < index);
        if filter.prev != next || chain.len() >= MAX_CHAIN {
            return filter.prev.is_none();
        }
    }
    true
}

impl Filter {
    fn of(index: u32, filter: &SeccompFilter, order: ByteOrder) -> Self {
        Self {
            index,
            prev: filter.prev,
            flags: flags(filter.flags.unwrap_or_default().into(), FILTER_FLAGS),
            instructions: filter.filter.len() as u64 / 8,
            program: bpf::disassemble(&filter.filter, order, MAX_INSTRUCTIONS),
        }
    }
}
