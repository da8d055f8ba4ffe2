//! The general view: any outline, with parts that fold.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use ckx_core::inspect::processes::Processes;
use ckx_core::inspect::{Collect, Report, SECTIONS, Section};
use ckx_core::outline::{Cell, Outline, Table};
use ckx_core::{Checkpoint, Issue};
use ckx_criu::json::{Style, to_writer};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::hex::HexView;
use super::maps::MapsView;
use super::{Cx, Export, Loaded, Message, View, Which};
use crate::export;
use crate::job::Answer;
use crate::keys::{Action, Place};
use crate::rows::{Kind, Rows};
use crate::scroll::Scroll;
use crate::text::over;
use crate::theme::Look;

/// Where an outline comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A section of `inspect`.
    Section(&'static Section),
    /// What is missing or broken, of all sections.
    Warnings,
    /// Processes with the size of their memory.
    Memory,
}

/// A view of an outline.
pub struct OutlineView {
    source: Source,
    content: Option<Result<Content, String>>,
    folded: HashSet<usize>,
    /// Rows that are shown.
    shown: Vec<u32>,
    filter: String,
    is_filtering: bool,
    scroll: Scroll,
}

/// What a job collects.
#[derive(Clone)]
struct Content {
    rows: Arc<Rows>,
    report: Option<Arc<dyn Report>>,
    is_partial: bool,
}

impl OutlineView {
    fn new(source: Source) -> Self {
        Self {
            source,
            content: None,
            folded: HashSet::new(),
            shown: Vec::new(),
            filter: String::new(),
            is_filtering: false,
            scroll: Scroll::default(),
        }
    }

    /// A section of `inspect`.
    pub fn section(section: &'static Section) -> Self {
        Self::new(Source::Section(section))
    }

    /// Everything that is missing or broken.
    pub fn warnings() -> Self {
        Self::new(Source::Warnings)
    }

    /// The processes with their memory.
    pub fn memory() -> Self {
        Self::new(Source::Memory)
    }

    fn rows(&self) -> Option<&Arc<Rows>> {
        self.content.as_ref()?.as_ref().ok().map(|content| &content.rows)
    }

    /// The row that is selected.
    fn selected(&self) -> Option<usize> {
        self.shown.get(self.scroll.at).map(|at| *at as usize)
    }

    fn show(&mut self, shown: Vec<u32>) {
        let before = self.selected();
        self.shown = shown;
        self.scroll.set_len(self.shown.len());
        // The selection stays where it was, or moves to what hides it.
        let at =
            before.map(|before| self.shown.partition_point(|at| *at as usize <= before).saturating_sub(1));
        self.scroll.select(at.unwrap_or(0));
    }

    fn refold(&mut self) {
        let Some(rows) = self.rows().cloned() else { return };
        let shown = rows.unfolded(|at| self.folded.contains(&at));
        self.show(shown);
    }

    fn fold(&mut self, at: usize, is_folded: bool) -> bool {
        let can = self.filter.is_empty() && self.rows().is_some_and(|rows| rows.is_foldable(at));
        let changed = can && if is_folded { self.folded.insert(at) } else { self.folded.remove(&at) };
        if changed {
            self.refold();
        }
        changed
    }

    fn fold_all(&mut self) {
        let Some(rows) = self.rows().cloned() else { return };
        if !self.filter.is_empty() {
            return;
        }
        if self.folded.is_empty() {
            self.folded = (0..rows.len()).filter(|at| rows.is_foldable(*at)).collect();
        } else {
            self.folded.clear();
        }
        self.refold();
    }

    fn left(&mut self, at: usize) -> bool {
        if self.fold(at, true) {
            return true;
        }
        let Some(parent) = self.rows().and_then(|rows| rows.parent(at)) else { return false };
        let place = self.shown.partition_point(|row| (*row as usize) < parent);
        self.scroll.select(place);
        true
    }

    /// The process that a row is about: of a table its column, else the group that begins with its id.
    fn process(&self, at: usize, checkpoint: &Checkpoint) -> Option<u32> {
        let rows = self.rows()?;
        let known = |cell: Option<&Cell>| match cell {
            Some(Cell::Count(pid)) => {
                u32::try_from(*pid).ok().filter(|pid| checkpoint.processes().get(*pid).is_some())
            }
            _ => None,
        };
        if let Kind::Cells(table, cells) = &rows.get(at)?.kind
            && let Some(column) = rows.names(*table).iter().position(|name| *name == "PID")
            && let Some(pid) = known(cells.get(column))
        {
            return Some(pid);
        }
        let mut above = Some(at);
        while let Some(at) = above {
            if let Some(Kind::Group(cells)) = rows.get(at).map(|row| &row.kind)
                && let Some(pid) = known(cells.first())
            {
                return Some(pid);
            }
            above = rows.parent(at);
        }
        None
    }
}

impl View for OutlineView {
    fn title(&self) -> String {
        match self.source {
            Source::Section(section) => section.name.to_owned(),
            Source::Warnings => "warnings".to_owned(),
            Source::Memory => "memory".to_owned(),
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let (source, loaded) = (self.source, cx.loaded.clone());
        cx.job("load", move |_| Ok(Box::new(source.collect(&loaded))));
    }

    fn restart(&mut self, cx: &mut Cx<'_>) {
        // Rows are folded by their number, which may be another's now.
        self.folded.clear();
        self.start(cx);
    }

    fn act(&mut self, action: Action, cx: &mut Cx<'_>) -> bool {
        let Some(at) = self.selected() else {
            return false;
        };
        match action {
            Action::Go(how) => self.scroll.go(how),
            Action::Fold => {
                let is_folded = self.folded.contains(&at);
                return self.fold(at, !is_folded);
            }
            Action::FoldAll => self.fold_all(),
            Action::Left => return self.left(at),
            Action::Right => return self.fold(at, false),
            Action::Open => self.open(at, cx),
            Action::Memory | Action::Hex => return self.memory_of(at, action, cx),
            _ => return false,
        }
        true
    }

    fn answer(&mut self, word: &'static str, answer: Result<Answer, String>, cx: &mut Cx<'_>) {
        match (word, answer) {
            ("load", Ok(answer)) => {
                if let Ok(content) = answer.downcast::<Content>() {
                    self.content = Some(Ok(*content));
                    self.refold();
                    // Headings are nothing to open.
                    let has_heading = self
                        .rows()
                        .and_then(|rows| rows.get(0))
                        .is_some_and(|row| matches!(row.kind, Kind::Headings(_)));
                    if has_heading && self.scroll.at == 0 {
                        self.scroll.select(1);
                    }
                    if !self.filter.is_empty() {
                        let filter = std::mem::take(&mut self.filter);
                        self.filter(&filter, cx);
                    }
                }
            }
            ("filter", Ok(answer)) => {
                if let Ok(shown) = answer.downcast::<Vec<u32>>() {
                    self.is_filtering = false;
                    self.show(*shown);
                }
            }
            (_, Ok(_)) => {}
            ("load", Err(reason)) => self.content = Some(Err(reason)),
            (_, Err(reason)) => cx.say(reason),
        }
    }

    fn resize(&mut self, _: u16, height: u16, _: &mut Cx<'_>) {
        self.scroll.set_height(height.into());
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, has_focus: bool) {
        let (rows, is_partial) = match &self.content {
            None => return note("collecting", area, buffer, look),
            Some(Err(reason)) => return note(reason, area, buffer, look),
            Some(Ok(content)) => (&content.rows, content.is_partial),
        };
        if self.shown.is_empty() {
            let nothing = match (&self.source, self.filter.is_empty()) {
                (_, false) => "nothing matches the filter",
                _ if is_partial => "nothing of this so far: the source is still being decoded",
                (Source::Warnings, true) => "nothing is missing or broken",
                (_, true) => "nothing of this in the checkpoint",
            };
            return note(nothing, area, buffer, look);
        }
        for (row, at) in self.scroll.visible().enumerate() {
            let Some(index) = self.shown.get(at).map(|index| *index as usize) else { continue };
            let is_folded = self.filter.is_empty() && self.folded.contains(&index);
            let line = rows.line(index, area.width.into(), is_folded, look);
            place(select(line, at == self.scroll.at, has_focus, look), area, row, buffer, look);
        }
    }

    fn places(&self) -> Vec<Place> {
        match self.source {
            Source::Warnings => vec![Place::List],
            _ => vec![Place::List, Place::Tree, Place::Process],
        }
    }

    fn status(&self) -> String {
        self.scroll.place()
    }

    fn filter(&mut self, text: &str, cx: &mut Cx<'_>) {
        if self.filter == text {
            return;
        }
        self.filter = text.to_owned();
        let Some(rows) = self.rows().cloned() else { return };
        if text.is_empty() {
            self.is_filtering = false;
            cx.stop("filter");
            return self.refold();
        }
        self.is_filtering = true;
        let text = text.to_owned();
        cx.job("filter", move |work| Ok(Box::new(rows.filtered(&text, &|| work.is_stopped()))));
    }

    fn filter_text(&self) -> &str {
        &self.filter
    }

    fn copied(&self, as_json: bool) -> Option<String> {
        let (rows, at) = (self.rows()?, self.selected()?);
        if !as_json {
            return Some(rows.text(at));
        }
        let fields = rows.spelled(at).into_iter().map(|(name, text)| {
            let name = if name.is_empty() { "line".to_owned() } else { name.to_lowercase() };
            (name, serde_json::Value::String(text))
        });
        Some(serde_json::Value::Object(fields.collect()).to_string())
    }

    fn exports(&self, loaded: &Arc<Loaded>) -> Vec<Export> {
        let Some(Ok(content)) = &self.content else { return Vec::new() };
        let rows = content.rows.clone();
        let text = Export {
            label: "text",
            name: format!("{}.txt", self.title()),
            write: Arc::new(move |work, out| write_rows(&rows, &|| work.is_stopped(), out)),
        };
        let json = content.report.clone().map(|report| Export {
            label: "JSON",
            name: format!("{}.json", self.title()),
            write: Arc::new(move |_, out| {
                to_writer(out, &&*report, Style::Indented).map_err(|error| error.to_string())?;
                writeln!(out).map_err(|error| error.to_string())
            }),
        });
        let pid = self.selected().and_then(|at| self.process(at, &loaded.checkpoint));
        let core = pid.map(|pid| export::core(loaded, Which::First, pid));
        json.into_iter().chain([text]).chain(core).collect()
    }

    fn click(&mut self, row: usize, _: usize, _: &mut Cx<'_>) {
        if let Some(at) = self.scroll.at_row(row) {
            self.scroll.select(at);
        }
    }

    fn is_busy(&self) -> bool {
        self.content.is_none() || self.is_filtering
    }
}

impl OutlineView {
    fn open(&mut self, at: usize, cx: &mut Cx<'_>) {
        let pid = self.process(at, &cx.loaded.checkpoint);
        let is_tree = matches!(self.source, Source::Section(section) if section.name == "processes");
        if let Some(pid) = pid.filter(|_| is_tree || matches!(self.source, Source::Memory)) {
            return cx.open(MapsView::new(pid));
        }
        let Some(rows) = self.rows() else { return };
        let parts = rows.spelled(at);
        if !parts.is_empty() {
            cx.open(Message::new("row", parts));
        }
    }

    fn memory_of(&mut self, at: usize, action: Action, cx: &mut Cx<'_>) -> bool {
        let Some(pid) = self.process(at, &cx.loaded.checkpoint) else { return false };
        match action {
            Action::Memory => cx.open(MapsView::new(pid)),
            _ => cx.open(HexView::memory(Which::First, pid, self.address(at))),
        }
        true
    }

    /// The address in a row: one that is told as such, or the beginning of a range.
    fn address(&self, at: usize) -> Option<u64> {
        let (Kind::Cells(_, cells) | Kind::Group(cells)) = &self.rows()?.get(at)?.kind else { return None };
        cells.iter().find_map(|cell| match cell {
            Cell::Address(address) => Some(*address),
            Cell::Text(text) => {
                let (start, end) = text.split_once('-')?;
                u64::from_str_radix(end, 16).ok()?;
                u64::from_str_radix(start, 16).ok()
            }
            _ => None,
        })
    }
}

fn write_rows(rows: &Rows, stop: &dyn Fn() -> bool, out: &mut dyn Write) -> Result<(), String> {
    for at in 0..rows.len() {
        if at % 4096 == 0 && stop() {
            return Err("it was stopped".to_owned());
        }
        writeln!(out, "{}", rows.text(at)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

impl Source {
    fn collect(self, loaded: &Loaded) -> Content {
        let checkpoint = &*loaded.checkpoint;
        let is_partial = loaded.is_partial;
        let plain = |outline: Outline| Content { rows: Arc::new(outline.into()), report: None, is_partial };
        match self {
            Self::Section(section) => {
                let report: Arc<dyn Report> = (section.collect)(checkpoint).into();
                Content { rows: Arc::new(report.outline().into()), report: Some(report), is_partial }
            }
            Self::Warnings if is_partial => plain(Outline::new()),
            Self::Warnings => plain(warnings(checkpoint)),
            Self::Memory => plain(memory(checkpoint)),
        }
    }
}

/// Everything that is missing or broken, each thing once.
fn warnings(checkpoint: &Checkpoint) -> Outline {
    let all: Vec<&'static Section> = SECTIONS.iter().collect();
    let reports = ckx_core::inspect::collect(checkpoint, &all);
    let faults = checkpoint.archive().faults().iter().map(Issue::from);
    let told = reports.iter().flat_map(|report| report.issues().iter().cloned());
    let mut seen = HashSet::new();
    let mut outline = Outline::new();
    for issue in faults.chain(told) {
        let text = issue.to_string();
        if seen.insert(text.clone()) {
            outline.line(Cell::Line(vec![Cell::Marked("!".to_owned()), Cell::Text(text)]));
        }
    }
    outline
}

/// Processes with the size of their memory.
fn memory(checkpoint: &Checkpoint) -> Outline {
    let mut table = Table::new(&["PID", "MAPPED", "IN DUMP", "PARENT", "LAZY", "COMMAND"]);
    for process in Processes::collect(checkpoint).processes {
        let Some(memory) = &process.memory else { continue };
        let page = memory.page_size_bytes.unwrap_or(4096);
        let bytes = |pages: u64| match pages {
            0 => Cell::Faint("-".to_owned()),
            pages => Cell::Bytes(pages.saturating_mul(page)),
        };
        let pages = memory.pages.as_ref();
        table.row(vec![
            Cell::from(process.pid),
            Cell::Bytes(memory.mapped_bytes),
            pages.map_or_else(
                || Cell::Absent("unreadable".to_owned()),
                |pages| Cell::Bytes(pages.present_bytes),
            ),
            pages.map_or_else(|| Cell::Faint("-".to_owned()), |pages| bytes(pages.parent_pages)),
            pages.map_or_else(|| Cell::Faint("-".to_owned()), |pages| bytes(pages.lazy_pages)),
            Cell::or_dash(process.comm.as_ref()),
        ]);
    }
    let mut outline = Outline::new();
    outline.table(table);
    outline
}

/// A line that says why there is nothing else.
pub fn note(text: &str, area: Rect, buffer: &mut Buffer, look: Look) {
    for (row, line) in crate::text::wrapped(text, area.width.into()).into_iter().enumerate() {
        place(Line::from(Span::styled(line, look.theme.faint)), area, row, buffer, look);
    }
}

/// The line that is selected looks so over its whole width.
pub fn select(line: Line<'static>, is_selected: bool, has_focus: bool, look: Look) -> Line<'static> {
    match (is_selected, has_focus) {
        (false, _) => line,
        (true, true) => over(line, look.theme.selected),
        (true, false) => over(line, look.theme.selected_idle),
    }
}

/// Draws a line of a view.
pub fn place(line: Line<'static>, area: Rect, row: usize, buffer: &mut Buffer, look: Look) {
    let line = if look.ascii { crate::text::ascii(line) } else { line };
    super::message::put(line, area, row, buffer);
}
