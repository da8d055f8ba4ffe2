//! The flat list of processes as a tree on the screen.

use std::collections::HashMap;

use super::ProcessReport;
use crate::Issue;
use crate::explore::TaskState;
use crate::model::process::{PSTREE, Process};
use crate::outline::{Cell, Node, Outline};

/// Levels of the tree. What is deeper stands at the last level, with its parent beside it: a dump may
/// hold a chain of any length.
const MAX_DEPTH: usize = 48;

/// A place in a forest.
struct Place {
    at: usize,
    depth: usize,
}

/// A forest over a list of (pid, ppid), by indices.
struct Forest {
    order: Vec<Place>,
    orphans: Vec<u32>,
    cycles: Vec<u32>,
}

impl Forest {
    fn new(ids: &[(u32, u32)]) -> Self {
        let mut by_pid = HashMap::with_capacity(ids.len());
        for (at, (pid, _)) in ids.iter().enumerate() {
            by_pid.entry(*pid).or_insert(at);
        }
        let mut forest = Self { order: Vec::with_capacity(ids.len()), orphans: vec![], cycles: vec![] };
        let mut children = vec![Vec::new(); ids.len()];
        let mut roots = Vec::new();
        for (at, (pid, ppid)) in ids.iter().enumerate() {
            match by_pid.get(ppid).filter(|_| *ppid != 0).and_then(|parent| children.get_mut(*parent)) {
                Some(siblings) => siblings.push(at),
                None => {
                    if *ppid != 0 {
                        forest.orphans.push(*pid);
                    }
                    roots.push(at);
                }
            }
        }
        let mut seen = vec![false; ids.len()];
        for root in roots {
            forest.visit(root, &children, &mut seen);
        }
        // What no root leads to is its own ancestor, or has one that is.
        for (at, (pid, _)) in ids.iter().enumerate() {
            if seen.get(at) == Some(&false) {
                forest.cycles.push(*pid);
                forest.visit(at, &children, &mut seen);
            }
        }
        forest
    }

    fn visit(&mut self, root: usize, children: &[Vec<usize>], seen: &mut [bool]) {
        let mut stack = vec![Place { at: root, depth: 0 }];
        while let Some(Place { at, depth }) = stack.pop() {
            match seen.get_mut(at) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            self.order.push(Place { at, depth });
            let below = children.get(at).map(Vec::as_slice).unwrap_or_default();
            stack.extend(below.iter().rev().map(|child| Place { at: *child, depth: depth + 1 }));
        }
    }
}

/// What is wrong with the tree as such.
pub(super) fn faults(list: &[Process]) -> Vec<Issue> {
    let ids: Vec<_> = list.iter().map(|process| (process.pid, process.ppid)).collect();
    let Forest { orphans, cycles, .. } = Forest::new(&ids);
    let mut issues = Vec::new();
    if !orphans.is_empty() {
        let reason = "processes whose parent is not in the tree";
        issues.push(Issue::listing(PSTREE, "missing-parent", reason, orphans.into_iter()));
    }
    if !cycles.is_empty() {
        let reason = "processes that are their own ancestors, or below such";
        issues.push(Issue::listing(PSTREE, "parent-cycle", reason, cycles.into_iter()));
    }
    issues
}

/// The tree.
pub(super) fn outline(processes: &[ProcessReport]) -> Outline {
    let ids: Vec<_> = processes.iter().map(|process| (process.pid, process.ppid)).collect();
    let users: HashMap<u32, u32> =
        processes.iter().filter_map(|process| Some((process.pid, process.uid?))).collect();
    let mut outline = Outline::new();
    // The groups that are open, from a root down.
    let mut open: Vec<(Vec<Cell>, Vec<Node>)> = Vec::new();
    for Place { at, depth } in Forest::new(&ids).order {
        let Some(process) = processes.get(at) else { continue };
        close(&mut open, depth.min(MAX_DEPTH), &mut outline);
        let parent_uid = users.get(&process.ppid).copied().unwrap_or(0);
        let mut cells = line(process, parent_uid);
        if depth > MAX_DEPTH {
            cells.push(Cell::Faint(format!("(child of {})", process.ppid)));
        }
        open.push((cells, Vec::new()));
    }
    close(&mut open, 0, &mut outline);
    outline
}

/// Closes groups until only `depth` are open.
fn close(open: &mut Vec<(Vec<Cell>, Vec<Node>)>, depth: usize, outline: &mut Outline) {
    while open.len() > depth {
        let Some((line, children)) = open.pop() else { return };
        let siblings = open.last_mut().map_or(&mut outline.nodes, |(_, children)| children);
        siblings.push(Node::Group(line, children));
    }
}

/// A process in a line: who, what is unusual about it, how large, with which arguments.
fn line(process: &ProcessReport, parent_uid: u32) -> Vec<Cell> {
    let mut cells = vec![Cell::from(process.pid), Cell::or_dash(process.comm.as_ref())];
    cells.extend(state(process));
    if let Some(uid) = process.uid.filter(|uid| *uid != parent_uid) {
        cells.push(Cell::Faint(format!("uid {uid}")));
    }
    if process.threads.len() > 1 {
        cells.push(Cell::Faint(format!("{} threads", process.threads.len())));
    }
    if let Some(pages) = process.memory.as_ref().and_then(|memory| memory.pages.as_ref()) {
        cells.push(Cell::Bytes(pages.present_bytes));
        if pages.parent_pages > 0 {
            cells.push(Cell::Faint(format!("+{} pages in parent", pages.parent_pages)));
        }
        if pages.lazy_pages > 0 {
            cells.push(Cell::Faint(format!("+{} pages not dumped", pages.lazy_pages)));
        }
    }
    match (&process.cmdline, &process.cmdline_absent) {
        (Some(words), _) => cells.extend(words.iter().map(Cell::from)),
        (None, _) if process.exit.is_some() => {}
        (None, Some(reason)) => cells.push(Cell::Absent(format!("arguments: {reason}"))),
        (None, None) => {}
    }
    cells
}

fn state(process: &ProcessReport) -> Option<Cell> {
    Some(match (process.state, &process.stop_signal, &process.exit) {
        (Some(TaskState::Alive), ..) => return None,
        (Some(TaskState::Zombie), _, Some(exit)) => Cell::Marked(match (exit.code, &exit.signal) {
            (Some(code), _) => format!("zombie, exit code {code}"),
            (None, Some(signal)) => format!("zombie, ended by {signal}"),
            (None, None) => "zombie".to_owned(),
        }),
        (Some(TaskState::Zombie), ..) => Cell::Marked("zombie".to_owned()),
        (Some(TaskState::Stopped), Some(signal), _) => Cell::Marked(format!("stopped by {signal}")),
        (Some(TaskState::Stopped), None, _) => Cell::Marked("stopped".to_owned()),
        (Some(TaskState::Other(number)), ..) => Cell::Marked(format!("state {number}")),
        (None, ..) => Cell::Absent(format!("core-{}.img cannot be read", process.pid)),
    })
}
