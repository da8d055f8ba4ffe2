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

#[cfg(test)]
mod tests {
    use ckx_testkit::{ImageBuilder, Msg, SynthCheckpoint};

    use super::*;
    use crate::MemoryImages;
    use crate::explore::testing::{images, issues, json, text};

    /// A tree of zombies, which need no images but their cores.
    fn tree(processes: &[(u64, u64)]) -> PsReport {
        let add = |set: SynthCheckpoint, (pid, ppid): &(u64, u64)| {
            set.process(*pid, *ppid, |process| process.comm(format!("c{pid}")).zombie(0))
        };
        collect(&images(processes.iter().fold(SynthCheckpoint::new(), add)))
    }

    fn places(report: &PsReport) -> Vec<(u32, usize)> {
        report.processes.iter().map(|process| (process.task.pid, process.depth)).collect()
    }

    #[test]
    fn depth_first_in_the_order_of_the_image() {
        let report = tree(&[(1, 0), (7, 1), (9, 1), (8, 7), (12, 9), (10, 7)]);
        assert_eq!(places(&report), [(1, 0), (7, 1), (8, 2), (10, 2), (9, 1), (12, 2)]);
        let expected =
            "    PID   PGID    SID   COMM\n      1      1      1   c1\n      7      7      7       c7\n";
        assert!(text(&report).starts_with(expected), "{}", text(&report));
        assert!(report.issues.is_empty());
        let process = "{\"pid\": 7, \"ppid\": 1, \"pgid\": 7, \"sid\": 7, \"comm\": \"c7\", \"state\": \"zombie\", \"depth\": 1}";
        assert!(json(&report).contains(process), "{}", json(&report));
    }

    #[test]
    fn several_roots_and_orphans_are_shown() {
        let report = tree(&[(1, 0), (5, 77), (2, 0), (6, 5)]);
        assert_eq!(places(&report), [(1, 0), (5, 0), (6, 1), (2, 0)]);
        assert_eq!(issues(&report), ["pstree.img: processes whose parent is not in the tree: 5"]);
    }

    #[test]
    fn cycles_end() {
        let report = tree(&[(1, 0), (3, 4), (4, 3), (5, 4), (6, 6)]);
        assert_eq!(places(&report), [(1, 0), (3, 0), (4, 1), (5, 2), (6, 0)]);
        let reason = "processes that are their own ancestors, or below such: 3, 6";
        assert_eq!(issues(&report), [format!("pstree.img: {reason}")]);
    }

    #[test]
    fn a_pid_that_occurs_twice() {
        let report = tree(&[(1, 0), (2, 1), (2, 1), (3, 2)]);
        assert_eq!(places(&report), [(1, 0), (2, 1), (3, 2), (2, 1)]);
        assert_eq!(issues(&report), ["pstree.img: processes that occur more than once: 2"]);
    }

    #[test]
    fn a_chain_of_many_processes() {
        const COUNT: u64 = 100_000;
        let entry = |pid: u64| Msg::new().seq(1, [pid, pid - 1, 1, 1]).uint(5, pid);
        let mut set = MemoryImages::default();
        set.insert("pstree.img", ImageBuilder::of("PSTREE").records((1..=COUNT).map(entry)).build());
        let report = collect(&set);
        assert_eq!(report.processes.last().map(|last| last.depth), Some(COUNT as usize - 1));
        assert_eq!(report.issues.len(), COUNT as usize);
        assert_eq!(issues(&report).first().map(String::as_str), Some("core-1.img: the image is missing"));
        let mut size = Counter(0);
        report.write_text(&mut size).expect("counting");
        assert!(size.0 < COUNT * (4 * 1000 + 30), "{}", size.0);
    }

    struct Counter(u64);

    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn names_are_escaped_and_missing_ones_are_told() {
        let set = SynthCheckpoint::new()
            .process(1, 0, |process| process.comm(b"a\x1b[2J\n\xff").zombie(0))
            .process(2, 1, |process| process.zombie(0))
            .without("core-2.img");
        let report = collect(&images(set));
        let lines = "      1      1      1   a\\x1b[2J\\x0a\\xff\n      2      2      2       ?\n";
        assert!(text(&report).ends_with(lines), "{}", text(&report));
        assert_eq!(issues(&report), ["core-2.img: the image is missing"]);
        assert!(json(&report).contains("\"comm\": null, \"state\": null"), "{}", json(&report));
    }

    #[test]
    fn a_tree_that_is_cut_short_is_shown_as_far_as_it_goes() {
        let records = [Msg::new().seq(1, [1, 0, 1, 1]), Msg::new().seq(1, [2, 1, 2, 2])];
        let set = SynthCheckpoint::new()
            .process(1, 0, |process| process.zombie(0))
            .file("pstree.img", ImageBuilder::of("PSTREE").records(records).cut(3).build());
        let report = collect(&images(set));
        assert_eq!(places(&report), [(1, 0)]);
        let said =
            "pstree.img: entry 1 at offset 0x14: the file ends inside the record: needs 8 bytes, has 5";
        assert_eq!(issues(&report), [said]);
    }
}
