//! Comparing sections of `inspect` by structure, with what is particular of each.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::diff::rules::{Key, ListRule, Rules, Treatment};
use crate::diff::structure::Walk;
use crate::diff::{Comparison, Pair, Side};
use crate::inspect::Collect;
use crate::{Checkpoint, Issue};

/// Compares a section of both checkpoints.
pub(super) fn compare<T: Collect>(pair: &Pair<'_>, rules: Rules) -> Comparison {
    prepared::<T>(pair, rules, |_, _, _| {})
}

/// Puts a report into the form in which it is compared.
pub(super) type Prepare = fn(&mut Value, Side, &Pair<'_>);

/// The same, of reports that are put into another form first.
pub(super) fn prepared<T: Collect>(pair: &Pair<'_>, rules: Rules, prepare: Prepare) -> Comparison {
    let (before, after) = (T::collect(pair.before), T::collect(pair.after));
    let mut found = Comparison::default();
    for (side, report) in [(Side::Before, &before), (Side::After, &after)] {
        found.issues.extend(report.issues().iter().map(|issue| (side, issue.clone())));
    }
    let json = |report: &T| serde_json::to_value(report);
    // Reports are plain data with text keys, which JSON can hold.
    let (Ok(mut a), Ok(mut b)) = (json(&before), json(&after)) else { return found };
    prepare(&mut a, Side::Before, pair);
    prepare(&mut b, Side::After, pair);
    let lost = [Lost::of(pair.before, before.issues()), Lost::of(pair.after, after.issues())];
    let walk = Walk::new(rules, pair).lost(lost);
    let compared = walk.compare("", &a, &b);
    found.changes = compared.changes;
    found.same = compared.same;
    found
}

/// What a side lacks because it could not be read: that only the other has it is then no difference.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// Something that concerns all processes.
    all: bool,
    pids: HashSet<u32>,
}

impl Lost {
    /// Takes from the names of the images what is lacking.
    pub fn of(checkpoint: &Checkpoint, issues: &[Issue]) -> Self {
        let mut lost = Self::default();
        if issues.is_empty() {
            return lost;
        }
        let threads = checkpoint
            .processes()
            .list
            .iter()
            .flat_map(|process| process.threads.iter().map(|thread| (thread.tid, process.pid)));
        let owners: HashMap<u32, u32> = threads.collect();
        for issue in issues {
            match pid_of(&issue.image) {
                Some(id) => {
                    lost.pids.insert(id);
                    // The image of a thread has the number of the thread.
                    lost.pids.extend(owners.get(&id));
                }
                None => lost.all = true,
            }
        }
        lost
    }

    /// Whether something that concerns all processes may be lacking, or of any process what belongs to
    /// none.
    pub fn may_lack(&self, pid: Option<u32>) -> bool {
        self.all || pid.is_none() && !self.pids.is_empty()
    }

    /// Whether something of this process is lacking.
    pub fn lacks(&self, pid: u32) -> bool {
        self.pids.contains(&pid)
    }
}

/// The process that an image is of. Other images have numbers too; those count for all.
fn pid_of(image: &str) -> Option<u32> {
    let kinds = ["core-", "mm-", "ids-", "fs-", "pagemap-", "rlimit-", "sigacts-", "vmas-"];
    let number = kinds.iter().find_map(|kind| image.strip_prefix(kind))?;
    number.strip_suffix(".img")?.parse().ok()
}

pub(super) const PROCESSES: ListRule = ListRule { at: "processes", key: Key::Process("pid"), shown: "" };

/// Names that all parts of sections begin with; the section of processes compares them.
pub(super) const COMM: (&str, Treatment) = ("processes.comm", Treatment::Skip);

/// What was wrong is told beside, by side.
pub(super) const ISSUES: (&str, Treatment) = ("issues", Treatment::Skip);

pub(super) const PROCESS_TREE: Rules = Rules {
    lists: &[ListRule { key: Key::AnyProcess("pid"), ..PROCESSES }],
    fields: &[
        ISSUES,
        // Compared as they are in memory, with secrets hidden only where they are shown.
        ("processes.cmdline", Treatment::Skip),
        ("processes.redacted", Treatment::Skip),
        ("processes.cmdline_absent", Treatment::Skip),
        // Threads, mappings, pages and namespaces have comparisons of their own.
        ("processes.threads", Treatment::Skip),
        ("processes.memory", Treatment::Skip),
        ("processes.pid_ns_id", Treatment::Skip),
    ],
};

pub(super) const CREDENTIALS: Rules = Rules {
    lists: &[PROCESSES, ListRule { at: "threads", key: Key::Thread("tid"), shown: "thread" }],
    fields: &[ISSUES, COMM],
};

pub(super) const LIMITS: Rules = Rules { lists: &[PROCESSES], fields: &[ISSUES, COMM] };

pub(super) const SIGNALS: Rules = Rules {
    lists: &[PROCESSES, ListRule { at: "sigactions", key: Key::Fields(&["signal"]), shown: "sigaction" }],
    // What the leading thread blocks is told with the threads.
    fields: &[ISSUES, COMM, ("processes.blocked", Treatment::Skip)],
};

pub(super) const TIMERS: Rules = Rules {
    lists: &[
        PROCESSES,
        ListRule { at: "interval", key: Key::Fields(&["timer"]), shown: "itimer" },
        ListRule { at: "posix", key: Key::Fields(&["it_id"]), shown: "timer" },
    ],
    fields: &[
        ISSUES,
        COMM,
        // Time that is left runs, whatever the container does.
        ("interval.value_us", Treatment::OfDump),
        ("posix.value_ns", Treatment::OfDump),
    ],
};

pub(super) const AUXV: Rules = Rules {
    lists: &[PROCESSES, ListRule { at: "auxv", key: Key::First(&["name", "type"]), shown: "" }],
    // Texts are in memory, which is compared by itself, and of compressed sources not at hand.
    fields: &[ISSUES, COMM, ("auxv.text", Treatment::Skip)],
};
