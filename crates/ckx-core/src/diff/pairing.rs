//! Which process of one checkpoint is which of the other.

use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::diff::structure::Side;
use crate::model::{Process, Processes, arguments};
use crate::{Checkpoint, Name};

/// A process in both checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProcessPair {
    /// Its id in the first.
    pub before: u32,
    /// Its id in the second.
    pub after: u32,
    /// Why they are taken for one.
    pub by: PairedBy,
}

/// Why two processes are taken for one. Images hold no start times, so a process that got the id of
/// another and runs the same program counts as that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PairedBy {
    /// The reader said so.
    Request,
    /// The same id and the same program.
    Id,
    /// The same place in the tree, with the same program and arguments.
    Place,
    /// The same place in the tree and the same program, with other arguments.
    Program,
    /// The same id, with another program: it has called `execve`.
    Exec,
}

/// The processes of two checkpoints, in pairs as far as they have one.
#[derive(Debug, Default)]
pub struct Pairing {
    pairs: Vec<ProcessPair>,
    after: HashMap<u32, u32>,
    before: HashMap<u32, u32>,
    /// Threads of pairs, told by the ids of the process.
    threads: HashMap<(u32, u32), ThreadPairs>,
}

#[derive(Debug, Default)]
struct ThreadPairs {
    after: HashMap<u32, u32>,
    before: HashMap<u32, u32>,
}

/// What tells one process from another.
struct Mark {
    pid: u32,
    ppid: u32,
    /// Path of the program; of a zombie its name.
    program: Option<Name>,
    /// Hash of its arguments.
    arguments: u128,
}

impl PairedBy {
    /// The reason in a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Id => "id and program",
            Self::Place => "place, program and arguments",
            Self::Program => "place and program",
            Self::Exec => "id",
        }
    }
}

impl Pairing {
    /// Pairs the processes of two checkpoints. `forced` come first, as ids in both.
    pub fn new(before: &Checkpoint, after: &Checkpoint, forced: &[(u32, u32)]) -> Self {
        let a: Vec<Mark> = before.processes().list.iter().map(|process| Mark::of(before, process)).collect();
        let b: Vec<Mark> = after.processes().list.iter().map(|process| Mark::of(after, process)).collect();
        let mut pairing = Self::default();
        for (first, second) in forced {
            let is_there = |list: &[Mark], pid: u32| list.iter().any(|mark| mark.pid == pid);
            if is_there(&a, *first) && is_there(&b, *second) {
                pairing.add(*first, *second, PairedBy::Request);
            }
        }
        pairing.by_id(&a, &b, PairedBy::Id, |a, b| a.program == b.program);
        pairing.by_place(&a, &b);
        pairing.by_id(&a, &b, PairedBy::Exec, |_, _| true);
        pairing.pairs.sort_by_key(|pair| (pair.before, pair.after));
        pairing.pair_threads(before.processes(), after.processes());
        pairing
    }

    /// All pairs, by id in the first checkpoint.
    pub fn pairs(&self) -> &[ProcessPair] {
        &self.pairs
    }

    /// Id in the second checkpoint of a process of the first.
    pub fn after(&self, before: u32) -> Option<u32> {
        self.after.get(&before).copied()
    }

    /// Id in the first checkpoint of a process of the second.
    pub fn before(&self, after: u32) -> Option<u32> {
        self.before.get(&after).copied()
    }

    /// Whether these are one process. Ids that are no process of the checkpoints are the same if they
    /// are equal: sessions from outside, 0.
    pub fn are_same(&self, before: u32, after: u32) -> bool {
        match self.after(before) {
            Some(other) => other == after,
            None => before == after && self.before(after).is_none(),
        }
    }

    /// What a process is called in paths.
    pub(crate) fn name_of(&self, pid: u32, side: Side) -> String {
        let (before, after) = match side {
            Side::Before => (Some(pid), self.after(pid)),
            Side::After => (self.before(pid), Some(pid)),
        };
        name_of_pair(before, after)
    }

    /// What a thread of a pair is called in paths.
    pub(crate) fn thread_name(&self, process: (u32, u32), tid: u32, side: Side) -> String {
        let Some(threads) = self.threads.get(&process) else { return tid.to_string() };
        match side {
            Side::Before => name_of_pair(Some(tid), threads.after.get(&tid).copied()),
            Side::After => name_of_pair(threads.before.get(&tid).copied(), Some(tid)),
        }
    }

    fn add(&mut self, before: u32, after: u32, by: PairedBy) {
        if !self.after.contains_key(&before) && !self.before.contains_key(&after) {
            self.after.insert(before, after);
            self.before.insert(after, before);
            self.pairs.push(ProcessPair { before, after, by });
        }
    }

    fn by_id(&mut self, a: &[Mark], b: &[Mark], by: PairedBy, is_same: impl Fn(&Mark, &Mark) -> bool) {
        let b: HashMap<u32, &Mark> = b.iter().rev().map(|mark| (mark.pid, mark)).collect();
        for mark in a {
            if b.get(&mark.pid).is_some_and(|other| is_same(mark, other)) {
                self.add(mark.pid, mark.pid, by);
            }
        }
    }

    /// Down the tree: children of a pair that have no pair yet, first by arguments, then by program,
    /// in order. Roots are the children of what is outside.
    fn by_place(&mut self, a: &[Mark], b: &[Mark]) {
        let (tree_a, tree_b) = (Tree::of(a), Tree::of(b));
        let mut open = vec![(None, None)];
        open.extend(self.pairs.iter().map(|pair| (Some(pair.before), Some(pair.after))));
        let mut seen = HashSet::new();
        while let Some(place) = open.pop() {
            if !seen.insert(place) {
                continue;
            }
            let (below_a, below_b) = (tree_a.below(place.0), tree_b.below(place.1));
            for (by, with_arguments) in [(PairedBy::Place, true), (PairedBy::Program, false)] {
                let key = |mark: &'_ Mark| if with_arguments { mark.arguments } else { 0 };
                let mut waiting: HashMap<(&Option<Name>, u128), Vec<u32>> = HashMap::new();
                for mark in below_b.iter().rev().filter(|mark| self.before(mark.pid).is_none()) {
                    waiting.entry((&mark.program, key(mark))).or_default().push(mark.pid);
                }
                for mark in below_a {
                    if self.after(mark.pid).is_some() {
                        continue;
                    }
                    let found = waiting.get_mut(&(&mark.program, key(mark))).and_then(Vec::pop);
                    if let Some(other) = found {
                        self.add(mark.pid, other, by);
                    }
                }
            }
            for mark in below_a {
                if let Some(other) = self.after(mark.pid) {
                    open.push((Some(mark.pid), Some(other)));
                }
            }
        }
    }

    fn pair_threads(&mut self, before: &Processes, after: &Processes) {
        let (before, after) = (by_pid(before), by_pid(after));
        for pair in &self.pairs {
            if let (Some(a), Some(b)) = (before.get(&pair.before), after.get(&pair.after)) {
                self.threads.insert((pair.before, pair.after), ThreadPairs::of(a, b));
            }
        }
    }
}

fn by_pid(processes: &Processes) -> HashMap<u32, &Process> {
    processes.list.iter().rev().map(|process| (process.pid, process)).collect()
}

fn name_of_pair(before: Option<u32>, after: Option<u32>) -> String {
    match (before, after) {
        (Some(before), Some(after)) if before != after => format!("{before}:{after}"),
        (before, after) => before.or(after).unwrap_or_default().to_string(),
    }
}

impl Mark {
    fn of(checkpoint: &Checkpoint, process: &Process) -> Self {
        let exe = process.mm.as_ref().and_then(|mm| checkpoint.files().mapped_name(mm.exe_file_id));
        Self {
            pid: process.pid,
            ppid: process.ppid,
            program: exe.or_else(|| process.comm()),
            arguments: hash(&arguments::command_line(checkpoint, process).unwrap_or_default()),
        }
    }
}

fn hash(words: &[Vec<u8>]) -> u128 {
    twox_hash::XxHash3_128::oneshot(&words.join(&0))
}

/// Processes by their parents.
struct Tree<'m> {
    children: HashMap<Option<u32>, Vec<&'m Mark>>,
}

impl<'m> Tree<'m> {
    fn of(marks: &'m [Mark]) -> Self {
        let pids: HashSet<u32> = marks.iter().map(|mark| mark.pid).collect();
        let mut children: HashMap<Option<u32>, Vec<&Mark>> = HashMap::new();
        for mark in marks {
            let parent = Some(mark.ppid).filter(|ppid| pids.contains(ppid) && *ppid != mark.pid);
            children.entry(parent).or_default().push(mark);
        }
        Self { children }
    }

    fn below(&self, pid: Option<u32>) -> &[&'m Mark] {
        self.children.get(&pid).map_or(&[], Vec::as_slice)
    }
}

impl ThreadPairs {
    /// Leading threads are a pair, then equal ids, then the rest in order.
    fn of(a: &Process, b: &Process) -> Self {
        let mut pairs = Self::default();
        let (list_a, list_b) = (tids(a), tids(b));
        pairs.add(a.pid, b.pid);
        let there: HashSet<u32> = list_b.iter().copied().collect();
        for tid in list_a.iter().filter(|tid| there.contains(tid)) {
            pairs.add(*tid, *tid);
        }
        // Ids of a restored process are those of the dump. Where they are not, it is another process
        // that runs the same program, and its threads were started in the same order.
        if a.pid != b.pid {
            let mut rest =
                list_b.iter().filter(|tid| !pairs.before.contains_key(tid)).copied().collect::<Vec<_>>();
            rest.reverse();
            for tid in list_a {
                if !pairs.after.contains_key(&tid)
                    && let Some(other) = rest.pop()
                {
                    pairs.add(tid, other);
                }
            }
        }
        pairs
    }

    fn add(&mut self, before: u32, after: u32) {
        if !self.after.contains_key(&before) && !self.before.contains_key(&after) {
            self.after.insert(before, after);
            self.before.insert(after, before);
        }
    }
}

fn tids(process: &Process) -> Vec<u32> {
    process.threads.iter().map(|thread| thread.tid).collect()
}
