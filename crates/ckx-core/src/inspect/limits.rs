//! `limits`: resource limits.

use ckx_criu::typed::messages::RlimitEntry;
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::subject::{Subject, living};
use crate::kernel::limit;
use crate::load::Loader;
use crate::model::Process;
use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue};

/// Resource limits, by process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Limits {
    /// Processes that have limits.
    pub processes: Vec<ProcessLimits>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Limits of a process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessLimits {
    /// The process.
    #[serde(flatten)]
    pub process: Subject,
    /// Limits in the order of their numbers.
    pub limits: Vec<Limit>,
}

/// A limit, named as in `/proc/PID/limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Limit {
    /// Its name, or `RLIMIT` and its number.
    pub name: String,
    /// Limit in force; `None` for unlimited.
    pub soft: Option<u64>,
    /// What it may be raised to; `None` for unlimited.
    pub hard: Option<u64>,
    /// Unit of both; empty for plain numbers.
    pub unit: &'static str,
}

impl Collect for Limits {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let processes = living(checkpoint)
            .map(|process| ProcessLimits { process: process.into(), limits: read(&mut loader, process) })
            .filter(|process| !process.limits.is_empty())
            .collect();
        let mut issues = checkpoint.processes().issues_of(&[]);
        issues.extend(loader.into_issues());
        Self { processes, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let mut last: Option<&ProcessLimits> = None;
        for process in &self.processes {
            let mut inner = Outline::new();
            match last {
                // Most processes have what their parent has.
                Some(other) if other.limits == process.limits => {
                    inner.line(Cell::Faint(format!("as process {}", other.process.pid)));
                }
                _ => {
                    inner.table(table(&process.limits));
                    last = Some(process);
                }
            }
            outline.group(process.process.line(), inner);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

fn read(loader: &mut Loader<'_>, process: &Process) -> Vec<Limit> {
    let in_core = process.task().and_then(|task| task.rlimits.as_ref()).map(|all| all.rlimits.clone());
    // CRIU up to 1.2 had them in an image of their own.
    let all: Vec<RlimitEntry> = in_core.unwrap_or_else(|| {
        let old = loader.records_if_any::<RlimitEntry>(&format!("rlimit-{}.img", process.pid));
        old.map(|records| records.entries).unwrap_or_default()
    });
    let value = |value: u64| (value != u64::MAX).then_some(value);
    let limits = all.iter().enumerate().map(|(number, entry)| {
        let (name, unit) = limit(number, process.machine)
            .map_or_else(|| (format!("RLIMIT {number}"), ""), |(name, unit)| (name.to_owned(), unit));
        Limit { name, soft: value(entry.cur), hard: value(entry.max), unit }
    });
    limits.collect()
}

fn table(limits: &[Limit]) -> Table {
    let mut table = Table::new(&["LIMIT", "SOFT", "HARD", "UNIT"]);
    for limit in limits {
        let value = |value: Option<u64>| match value {
            None => Cell::Faint("unlimited".to_owned()),
            Some(number) => Cell::Count(number),
        };
        table.row(vec![
            Cell::from(&limit.name),
            value(limit.soft),
            value(limit.hard),
            Cell::from(limit.unit),
        ]);
    }
    table
}
