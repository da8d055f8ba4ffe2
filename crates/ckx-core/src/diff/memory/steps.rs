//! Two lists of runs of memory, lined up.

use crate::memory::{Content, Run};

/// A stretch that is of one kind on each side; `None` where a side has no page.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// In the first checkpoint.
    pub start: u64,
    pub len: u64,
    pub before: Option<Content>,
    pub after: Option<Content>,
}

/// Lines up two lists of runs in the addresses of the first checkpoint, each sorted.
pub(super) struct Steps<A: Iterator, B: Iterator> {
    before: std::iter::Peekable<A>,
    after: std::iter::Peekable<B>,
    at: u64,
}

impl<A: Iterator<Item = Run>, B: Iterator<Item = Run>> Steps<A, B> {
    /// Lines up runs of the first with runs of the second.
    pub fn new(before: A, after: B) -> Self {
        Self { before: before.peekable(), after: after.peekable(), at: 0 }
    }
}

impl<A: Iterator<Item = Run>, B: Iterator<Item = Run>> Iterator for Steps<A, B> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        while self.before.next_if(|run| run.end <= self.at).is_some() {}
        while self.after.next_if(|run| run.end <= self.at).is_some() {}
        let (a, b) = (self.before.peek(), self.after.peek());
        let starts = |run: Option<&Run>| run.map(|run| run.start.max(self.at));
        let start = [starts(a), starts(b)].into_iter().flatten().min()?;
        // Up to where either side changes.
        let edge = |run: Option<&Run>| run.map(|run| if run.start <= start { run.end } else { run.start });
        let end = [edge(a), edge(b)].into_iter().flatten().min()?.min(start.saturating_add(MAX_STEP));
        let part = |run: Option<&Run>| run.filter(|run| run.start <= start).map(|run| run.part(start, end));
        let step = Step { start, len: end - start, before: part(a), after: part(b) };
        self.at = end;
        Some(step)
    }
}

/// Bytes of a step: a share of work of a thread.
const MAX_STEP: u64 = 1 << 20;
