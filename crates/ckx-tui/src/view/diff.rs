//! What differs between the two checkpoints: kinds that fold, a line for each change, and the bytes of both
//! beside each other where memory differs.

use std::collections::HashSet;
use std::sync::Arc;

use ckx_core::diff::{self, Change, Diff, KindSummary, Mark};
use ckx_criu::json::{Style as Json, to_writer};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::hex::HexView;
use super::outline::{note, place, select};
use super::{Cx, Export, Loaded, Message, View};
use crate::job::Answer;
use crate::keys::{Action, Place};
use crate::scroll::Scroll;
use crate::text::{fit, line, padded, safe};
use crate::theme::Look;

/// The comparison.
pub struct DiffView {
    diff: Option<Result<Arc<Diff>, String>>,
    rows: Vec<Row>,
    folded: HashSet<&'static str>,
    hidden: HashSet<Hidden>,
    filter: String,
    scroll: Scroll,
}

/// A line of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Kind(usize),
    Change(usize),
    Issue(usize),
}

/// What can be hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Hidden {
    Mark(Mark),
    OfDump,
}

/// Bytes that are compared one by one of each range, so that one gets to the first that differs.
const SHOWN_BYTES: usize = 64;

impl DiffView {
    /// Before anything is compared. What belongs to the dump is hidden at first.
    pub fn new() -> Self {
        Self {
            diff: None,
            rows: Vec::new(),
            folded: HashSet::new(),
            hidden: [Hidden::OfDump].into(),
            filter: String::new(),
            scroll: Scroll::default(),
        }
    }

    fn diff(&self) -> Option<&Arc<Diff>> {
        self.diff.as_ref()?.as_ref().ok()
    }

    fn is_shown(&self, change: &Change, word: &str) -> bool {
        let hidden = self.hidden.contains(&Hidden::Mark(change.mark))
            || change.of_dump && self.hidden.contains(&Hidden::OfDump);
        !hidden && (word.is_empty() || text(change).to_lowercase().contains(word))
    }

    /// Lists the rows that are shown, and keeps the selection where it was.
    fn list(&mut self) {
        let Some(diff) = self.diff().cloned() else { return };
        let before = self.rows.get(self.scroll.at).copied();
        let word = self.filter.to_lowercase();
        let mut rows = Vec::new();
        let mut changes = diff.changes.iter().enumerate().peekable();
        for (at, kind) in diff.kinds.iter().enumerate() {
            let mut below = Vec::new();
            while let Some((index, change)) = changes.next_if(|(_, change)| change.kind == kind.kind) {
                if self.is_shown(change, &word) {
                    below.push(Row::Change(index));
                }
            }
            if !below.is_empty() {
                rows.push(Row::Kind(at));
                if !self.folded.contains(kind.kind) {
                    rows.extend(below);
                }
            }
        }
        if word.is_empty() {
            rows.extend((0..diff.issues.len()).map(Row::Issue));
        }
        self.rows = rows;
        self.scroll.set_len(self.rows.len());
        let at = before.and_then(|before| self.rows.iter().position(|row| *row == before));
        self.scroll.select(at.unwrap_or(self.scroll.at));
    }

    /// The next change, or the one before.
    fn next(&mut self, forward: bool) -> bool {
        let is_change = |at: &usize| matches!(self.rows.get(*at), Some(Row::Change(_)));
        let found = match forward {
            true => (self.scroll.at + 1..self.rows.len()).find(is_change),
            false => (0..self.scroll.at).rev().find(is_change),
        };
        found.into_iter().for_each(|at| self.scroll.select(at));
        found.is_some()
    }

    fn toggle(&mut self, what: Hidden) {
        if !self.hidden.remove(&what) {
            self.hidden.insert(what);
        }
        self.list();
    }

    /// Folds or unfolds the kind of the selected row.
    fn fold(&mut self, want: Option<bool>) -> bool {
        let Some(diff) = self.diff().cloned() else { return false };
        let kind = match self.rows.get(self.scroll.at) {
            Some(Row::Kind(at)) => diff.kinds.get(*at).map(|kind| kind.kind),
            Some(Row::Change(at)) if want != Some(true) => diff.changes.get(*at).map(|change| change.kind),
            _ => None,
        };
        let Some(kind) = kind else { return false };
        let is_folded = self.folded.contains(kind);
        if want == Some(!is_folded) {
            return false;
        }
        if is_folded {
            self.folded.remove(kind);
        } else {
            self.folded.insert(kind);
        }
        let of_kind = |row: &Row| matches!(row, Row::Kind(at) if diff.kinds.get(*at).is_some_and(|each| each.kind == kind));
        if let Some(at) = self.rows.iter().position(of_kind) {
            self.scroll.select(at);
        }
        self.list();
        true
    }

    fn open(&mut self, cx: &mut Cx<'_>) {
        let Some(diff) = self.diff().cloned() else { return };
        match self.rows.get(self.scroll.at) {
            Some(Row::Kind(_)) => drop(self.fold(None)),
            Some(Row::Change(at)) => {
                let Some(change) = diff.changes.get(*at) else { return };
                match memory(change) {
                    Some(view) => cx.open(view),
                    None => cx.open(Message::new("change", spelled(change))),
                }
            }
            Some(Row::Issue(at)) => {
                if let Some(issue) = diff.issues.get(*at) {
                    cx.open(Message::new(
                        "not compared",
                        vec![(String::new(), safe(issue.issue.to_string()))],
                    ));
                }
            }
            None => {}
        }
    }
}

/// The bytes of both sides where memory differs.
fn memory(change: &Change) -> Option<HexView> {
    let memory = change.memory.as_ref()?;
    let ids = change.path.strip_prefix("proc[")?.split_once(']')?.0;
    let (before, after) = ids.split_once(':').unwrap_or((ids, ids));
    let (before, after) = (before.parse().ok()?, after.parse().ok()?);
    let mut stops: Vec<u64> = Vec::new();
    for range in &memory.ranges {
        match range.rows.as_slice() {
            [] => stops.push(range.start.0),
            rows => stops.extend(rows.iter().map(|row| row.address.0.saturating_add(first_different(row)))),
        }
    }
    let start = memory.before_start.or(memory.after_start)?.0;
    Some(HexView::both(before, after, stops.first().copied().unwrap_or(start), stops))
}

/// Place in a row of the first byte that differs.
fn first_different(row: &diff::Row) -> u64 {
    let (before, after) =
        (row.before.as_deref().unwrap_or_default(), row.after.as_deref().unwrap_or_default());
    let digits = before.bytes().zip(after.bytes()).position(|(before, after)| before != after);
    digits.map_or(0, |digit| digit as u64 / 2)
}

/// A change in full.
fn spelled(change: &Change) -> Vec<(String, String)> {
    let mut parts =
        vec![("what".to_owned(), safe(&change.path)), ("kind".to_owned(), change.kind.to_owned())];
    let json = |value: &serde_json::Value| {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.lines().map(safe).collect::<Vec<_>>()
    };
    for (name, value) in [("before", &change.before), ("after", &change.after)] {
        for (at, line) in value.iter().flat_map(json).enumerate() {
            parts.push((if at == 0 { name.to_owned() } else { String::new() }, line));
        }
    }
    if change.redacted {
        parts.push(("values".to_owned(), "hidden; --reveal shows them".to_owned()));
    }
    if let Some(memory) = &change.memory {
        parts.push(("memory".to_owned(), safe(memory.to_string())));
    }
    parts.extend(change.remark.iter().map(|remark| ("remark".to_owned(), safe(remark))));
    parts
}

fn text(change: &Change) -> String {
    let cells: Vec<String> = change.cells().iter().map(ToString::to_string).collect();
    format!("{} {}", change.mark.sign(), cells.join(" "))
}

impl View for DiffView {
    fn title(&self) -> String {
        "differences".to_owned()
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let loaded = cx.loaded.clone();
        cx.job("compare", move |_| {
            let other = loaded.other.as_ref().ok_or("there is no second checkpoint")?;
            let reveal = loaded.checkpoint.options().reveal;
            let options = diff::Options { reveal, show_bytes: SHOWN_BYTES, ..diff::Options::default() };
            Ok(Box::new(diff::compare(&loaded.checkpoint, other, &options)))
        });
    }

    fn act(&mut self, action: Action, cx: &mut Cx<'_>) -> bool {
        match action {
            Action::Go(how) => self.scroll.go(how),
            Action::Next | Action::Previous => {
                if !self.next(action == Action::Next) {
                    cx.say("no more changes there");
                }
            }
            Action::Added => self.toggle(Hidden::Mark(Mark::Added)),
            Action::Removed => self.toggle(Hidden::Mark(Mark::Removed)),
            Action::Changed => self.toggle(Hidden::Mark(Mark::Changed)),
            Action::OfDump => self.toggle(Hidden::OfDump),
            Action::Fold => drop(self.fold(None)),
            Action::FoldAll => {
                let kinds: Vec<&'static str> = self
                    .diff()
                    .map(|diff| diff.kinds.iter().map(|kind| kind.kind).collect())
                    .unwrap_or_default();
                self.folded =
                    if self.folded.is_empty() { kinds.into_iter().collect() } else { HashSet::new() };
                self.list();
            }
            Action::Left => return self.fold(Some(true)),
            Action::Right => return self.fold(Some(false)),
            Action::Open => self.open(cx),
            _ => return false,
        }
        true
    }

    fn answer(&mut self, _: &'static str, answer: Result<Answer, String>, _: &mut Cx<'_>) {
        let diff = answer.and_then(|answer| answer.downcast::<Diff>().map_err(|_| String::new()));
        self.diff = Some(diff.map(|diff| Arc::new(*diff)));
        self.list();
    }

    fn resize(&mut self, _: u16, height: u16, _: &mut Cx<'_>) {
        self.scroll.set_height(height.into());
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, has_focus: bool) {
        let diff = match &self.diff {
            None => return note("comparing", area, buffer, look),
            Some(Err(reason)) => return note(reason, area, buffer, look),
            Some(Ok(diff)) => diff,
        };
        if self.rows.is_empty() {
            let nothing = if diff.same { "no difference" } else { "all differences are hidden" };
            return note(nothing, area, buffer, look);
        }
        let width = usize::from(area.width);
        for (row, at) in self.scroll.visible().enumerate() {
            let spans = match self.rows.get(at) {
                Some(Row::Kind(kind)) => diff.kinds.get(*kind).map(|kind| self.kind(kind, look)),
                Some(Row::Change(change)) => diff.changes.get(*change).map(|change| of_change(change, look)),
                Some(Row::Issue(issue)) => diff.issues.get(*issue).map(|issue| {
                    let text = format!("! not compared: {}", safe(issue.issue.to_string()));
                    vec![Span::styled(text, look.theme.marked)]
                }),
                None => None,
            };
            let line = Line::from(padded(fit(spans.unwrap_or_default(), width, look), width, false, look));
            place(select(line, at == self.scroll.at, has_focus, look), area, row, buffer, look);
        }
    }

    fn places(&self) -> Vec<Place> {
        vec![Place::Diff, Place::List, Place::Tree]
    }

    fn status(&self) -> String {
        let Some(diff) = self.diff() else { return String::new() };
        let sum = |of: fn(&KindSummary) -> u64| diff.kinds.iter().map(of).sum::<u64>();
        let counts = format!(
            "+{} -{} ~{}",
            sum(|kind| kind.added),
            sum(|kind| kind.removed),
            sum(|kind| kind.changed)
        );
        format!("{counts}  {}", self.scroll.place())
    }

    fn filter(&mut self, text: &str, _: &mut Cx<'_>) {
        self.filter = text.to_owned();
        self.list();
    }

    fn filter_text(&self) -> &str {
        &self.filter
    }

    fn copied(&self, as_json: bool) -> Option<String> {
        let Some(Row::Change(at)) = self.rows.get(self.scroll.at) else { return None };
        let change = self.diff()?.changes.get(*at)?;
        if as_json { serde_json::to_string(change).ok() } else { Some(text(change)) }
    }

    fn exports(&self, _: &Arc<Loaded>) -> Vec<Export> {
        let Some(diff) = self.diff().cloned() else { return Vec::new() };
        let json = Export {
            label: "JSON",
            name: "differences.json".to_owned(),
            write: Arc::new(move |_, out| {
                to_writer(out, &*diff, Json::Indented).map_err(|error| error.to_string())?;
                writeln!(out).map_err(|error| error.to_string())
            }),
        };
        vec![json]
    }

    fn click(&mut self, row: usize, _: usize, _: &mut Cx<'_>) {
        if let Some(at) = self.scroll.at_row(row) {
            self.scroll.select(at);
        }
    }

    fn is_busy(&self) -> bool {
        self.diff.is_none()
    }
}

impl DiffView {
    fn kind(&self, kind: &KindSummary, look: Look) -> Vec<Span<'static>> {
        let theme = look.theme;
        let mark = match self.folded.contains(kind.kind) {
            true => look.pick("▸ ", "+ "),
            false => look.pick("▾ ", "- "),
        };
        let mut spans = vec![Span::styled(mark, theme.faint), Span::styled(kind.kind, theme.heading)];
        let counts = [
            (kind.added, "+", theme.added),
            (kind.removed, "-", theme.removed),
            (kind.changed, "~", theme.changed),
        ];
        for (count, sign, style) in counts.into_iter().filter(|(count, ..)| *count > 0) {
            spans.push(Span::styled(format!("  {sign}{count}"), style));
        }
        if kind.of_dump > 0 {
            spans.push(Span::styled(format!("  {} of the dump", kind.of_dump), theme.faint));
        }
        spans
    }
}

fn of_change(change: &Change, look: Look) -> Vec<Span<'static>> {
    let style = match change.mark {
        Mark::Added => look.theme.added,
        Mark::Removed => look.theme.removed,
        Mark::Changed => look.theme.changed,
        Mark::Same => look.theme.faint,
    };
    let mut spans = vec![Span::styled(format!("  {} ", change.mark.sign()), style)];
    line(&change.cells(), look, &mut spans);
    if change.of_dump {
        spans.push(Span::styled(" (of the dump)", look.theme.faint));
    }
    spans
}
