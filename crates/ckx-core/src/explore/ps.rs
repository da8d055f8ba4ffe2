//! `ps`: the process tree.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::explore::tasks::{PSTREE, Task};
use crate::load::Loader;
use crate::{ImageSet, Issue};

/// The processes, depth first.
#[derive(Debug, Serialize)]
pub struct PsReport {
    /// Processes: each stands before its children, which follow in the order of the image.
    pub processes: Vec<PsProcess>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A process and its place in the tree.
#[derive(Debug, Serialize)]
pub struct PsProcess {
    /// The process.
    #[serde(flatten)]
    pub task: Task,
    /// How many ancestors it has in the tree.
    pub depth: usize,
}

/// Levels behind which the text form indents no further: about where crit fails, and enough to keep
/// the size of the text in proportion to the number of processes.
const INDENTED_LEVELS: usize = 1000;
const BLANKS: [u8; 4 * INDENTED_LEVELS] = [b' '; 4 * INDENTED_LEVELS];

/// Reads the tree.
pub fn collect(images: &dyn ImageSet) -> PsReport {
    let mut loader = Loader::new(images);
    let tasks = Task::read_all(&mut loader);
    let order = Tree::new(&tasks, &mut loader).depth_first(&mut loader);
    let mut tasks: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
    let take = |(at, depth): (usize, usize)| {
        let task = tasks.get_mut(at)?.take()?;
        Some(PsProcess { task, depth })
    };
    PsReport { processes: order.into_iter().filter_map(take).collect(), issues: loader.into_issues() }
}

impl PsReport {
    /// Writes crit's `ps`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{:>7}{:>7}{:>7}   COMM", "PID", "PGID", "SID")?;
        for PsProcess { task, depth } in &self.processes {
            write!(out, "{:>7}{:>7}{:>7}   ", task.pid, task.pgid, task.sid)?;
            out.write_all(BLANKS.get(..4 * depth).unwrap_or(&BLANKS))?;
            match &task.comm {
                Some(comm) => writeln!(out, "{comm}")?,
                None => writeln!(out, "?")?,
            }
        }
        Ok(())
    }
}

/// The tree by indices of tasks.
struct Tree<'t> {
    tasks: &'t [Task],
    roots: Vec<usize>,
    children: Vec<Vec<usize>>,
}

impl<'t> Tree<'t> {
    fn new(tasks: &'t [Task], loader: &mut Loader<'_>) -> Self {
        let mut by_pid = HashMap::with_capacity(tasks.len());
        for (at, task) in tasks.iter().enumerate() {
            by_pid.entry(task.pid).or_insert(at);
        }
        let mut tree = Self { tasks, roots: Vec::new(), children: vec![Vec::new(); tasks.len()] };
        let mut orphans = Vec::new();
        for (at, task) in tasks.iter().enumerate() {
            let parent = by_pid.get(&task.ppid).and_then(|parent| tree.children.get_mut(*parent));
            match parent {
                _ if task.ppid == 0 => tree.roots.push(at),
                Some(children) => children.push(at),
                None => {
                    orphans.push(task.pid);
                    tree.roots.push(at);
                }
            }
        }
        if !orphans.is_empty() {
            let reason = "processes whose parent is not in the tree";
            loader.tell(Issue::listing(PSTREE, "missing-parent", reason, orphans.into_iter()));
        }
        tree
    }

    /// All tasks with their depth, each once.
    fn depth_first(&self, loader: &mut Loader<'_>) -> Vec<(usize, usize)> {
        let mut order = Vec::with_capacity(self.tasks.len());
        let mut seen = vec![false; self.tasks.len()];
        for root in &self.roots {
            self.visit(*root, &mut seen, &mut order);
        }
        // What no root leads to is its own ancestor, or has one that is.
        let mut cycles = Vec::new();
        for (at, task) in self.tasks.iter().enumerate() {
            if !seen.get(at).is_some_and(|seen| *seen) {
                cycles.push(task.pid);
                self.visit(at, &mut seen, &mut order);
            }
        }
        if !cycles.is_empty() {
            let reason = "processes that are their own ancestors, or below such";
            loader.tell(Issue::listing(PSTREE, "parent-cycle", reason, cycles.into_iter()));
        }
        order
    }

    fn visit(&self, root: usize, seen: &mut [bool], order: &mut Vec<(usize, usize)>) {
        let mut stack = vec![(root, 0)];
        while let Some((at, depth)) = stack.pop() {
            match seen.get_mut(at) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            order.push((at, depth));
            let children = self.children.get(at).map(Vec::as_slice).unwrap_or_default();
            stack.extend(children.iter().rev().map(|child| (*child, depth + 1)));
        }
    }
}
