//! What a search of memory finds, while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ckx_archive::archive::Backing;
use ckx_archive::tarball::Step;
use ckx_core::memory::search::{Around, Hit, Pattern, Query, Searcher, Syntax};
use ckx_core::memory::{Area, HELD_BYTES, Memory, Owner, Sink, areas, open_and_sweep, sweep};
use ckx_core::outline::size;
use ckx_core::{Checkpoint, Options};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::hex::HexView;
use super::outline::{note, place, select};
use super::{Cx, Export, Loaded, View, Which};
use crate::job::{Answer, Work};
use crate::keys::{Action, Place};
use crate::list::List;
use crate::text::{columns, fit, padded, safe};
use crate::theme::Look;

/// A search and what it found so far.
pub struct SearchView {
    text: String,
    pattern: Pattern,
    list: List<Match>,
    found: u64,
    seen: Arc<AtomicU64>,
    is_running: bool,
    is_stopped: bool,
    issues: Vec<String>,
}

/// A place where something was found.
#[derive(Debug, Clone)]
struct Match {
    pid: Option<u32>,
    /// What stands for a process where there is none.
    owner: String,
    address: u64,
    mapping: String,
    before: String,
    bytes: String,
    after: String,
}

/// What comes of a search now and then.
struct Batch {
    matches: Vec<Match>,
    found: u64,
}

/// Matches that are listed; the rest is counted.
const MAX_LISTED: usize = 100_000;

/// Time between two batches.
const INTERVAL: Duration = Duration::from_millis(50);

/// Bytes that are searched between two questions whether it is to stop.
const PIECE: usize = 1 << 20;

/// Bytes around a match that are shown.
const CONTEXT: usize = 32;

impl SearchView {
    /// A search for what was typed: text, `/expression/`, or bytes as `x:7f454c46`.
    ///
    /// # Errors
    /// When it cannot be searched for.
    pub fn new(text: &str) -> Result<Self, String> {
        let (syntax, words) =
            match (text.strip_prefix("x:"), text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'))) {
                (Some(hex), _) => (Syntax::Hex, hex),
                (None, Some(expression)) => (Syntax::Regex, expression),
                (None, None) => (Syntax::Fixed, text),
            };
        if words.is_empty() {
            return Err("what to search for is needed".to_owned());
        }
        let query = Query { patterns: vec![words.to_owned()], syntax, ..Query::default() };
        let pattern = query.compile().map_err(|error| error.to_string())?;
        Ok(Self {
            text: text.to_owned(),
            pattern,
            list: List::new(|found| {
                format!("{}{}{} {}", found.before, found.bytes, found.after, found.mapping)
            }),
            found: 0,
            seen: Arc::default(),
            is_running: true,
            is_stopped: false,
            issues: Vec::new(),
        })
    }
}

/// Shows memory to a searcher in pieces, so that it can be stopped, and counts it.
struct Paced<'w, S> {
    sink: S,
    work: &'w Work,
    seen: Arc<AtomicU64>,
}

impl<S: Sink> Sink for Paced<'_, S> {
    fn area(&mut self, area: &Arc<Area>) {
        self.sink.area(area);
    }

    fn bytes(&mut self, address: u64, bytes: &[u8]) -> Step {
        let mut at = address;
        for piece in bytes.chunks(PIECE) {
            if self.work.is_stopped() || self.sink.bytes(at, piece) == Step::Stop {
                return Step::Stop;
            }
            at = at.saturating_add(piece.len() as u64);
            self.seen.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Step::Next
    }

    fn end(&mut self) -> Step {
        self.sink.end()
    }
}

fn run(loaded: &Loaded, pattern: &Pattern, seen: &Arc<AtomicU64>, work: &Work) -> Vec<String> {
    let (mut batch, mut found, mut listed, mut told) = (Vec::new(), 0u64, 0, Instant::now());
    let around = Around { bytes: true, before: CONTEXT, after: CONTEXT };
    let searcher = Searcher::new(pattern, around, |area: &Arc<Area>, hit: Hit| {
        found += 1;
        if listed < MAX_LISTED {
            let more = matches(area, &hit);
            listed += more.len();
            batch.extend(more);
        }
        if told.elapsed() >= INTERVAL {
            told = Instant::now();
            work.send(Box::new(Batch { matches: std::mem::take(&mut batch), found }));
        }
        Step::Next
    });
    let mut paced = Paced { sink: searcher, work, seen: seen.clone() };
    let issues = show(&loaded.checkpoint, &mut paced);
    drop(paced);
    work.send(Box::new(Batch { matches: batch, found }));
    issues
}

/// Shows all memory to a sink, however large it is: of a mapped source where it lies, of one that can be
/// decoded once more while it goes by, of a pipe as much as can be held. What could not be seen.
fn show(checkpoint: &Checkpoint, sink: &mut dyn Sink) -> Vec<String> {
    let source = checkpoint.archive().source();
    if source.backing == Backing::Streamed && is_file(checkpoint) {
        let options = Options {
            archive: ckx_archive::Options { progress: None, ..checkpoint.options().archive.clone() },
            ..checkpoint.options().clone()
        };
        return match open_and_sweep(&source.path, options, None, sink) {
            Ok(swept) => swept.issues.iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        };
    }
    let processes: Vec<_> = checkpoint.processes().list.iter().collect();
    let memory = match source.backing {
        Backing::Mapped => Memory::at_hand(checkpoint),
        Backing::Streamed => Memory::held(checkpoint, HELD_BYTES, &processes),
    };
    let issues = sweep(&areas(&memory), sink);
    memory.issue().into_iter().chain(&issues).map(ToString::to_string).collect()
}

/// Whether the source can be read once more.
fn is_file(checkpoint: &Checkpoint) -> bool {
    let is_remote = checkpoint.options().archive.remote.is_some();
    is_remote || checkpoint.archive().source().path.metadata().is_ok_and(|file| file.is_file())
}

/// The places where processes see what was found.
fn matches(area: &Area, hit: &Hit) -> Vec<Match> {
    let new = |pid: Option<u32>, address: u64, mapping: String| {
        let owner = match &area.owner {
            Owner::Process { .. } => String::new(),
            Owner::Object { shmid } => format!("object {shmid}"),
        };
        let (before, bytes, after) = (printable(&hit.before), printable(&hit.bytes), printable(&hit.after));
        Match { pid, owner, address, mapping, before, bytes, after }
    };
    let places = area.places(hit.address).into_iter().map(|place| {
        let mapping = place.mapping.map(|name| name.to_string()).unwrap_or_default();
        new(Some(place.pid), place.address.0, mapping)
    });
    let places: Vec<Match> = places.collect();
    if places.is_empty() { vec![new(None, hit.address, String::new())] } else { places }
}

/// Bytes as text of one column each.
fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }).collect()
}

impl View for SearchView {
    fn title(&self) -> String {
        format!("search {}", safe(&self.text))
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let (loaded, pattern, seen) = (cx.loaded.clone(), self.pattern.clone(), self.seen.clone());
        cx.job("search", move |work| Ok(Box::new(run(&loaded, &pattern, &seen, work))));
    }

    fn restart(&mut self, cx: &mut Cx<'_>) {
        // A file is searched whole from the start.
        if !is_file(&cx.loaded.checkpoint) {
            self.list.set(Vec::new(), cx);
            (self.found, self.seen, self.is_running) = (0, Arc::default(), true);
            self.start(cx);
        }
    }

    fn act(&mut self, action: Action, cx: &mut Cx<'_>) -> bool {
        match action {
            Action::Open | Action::Hex | Action::Right => {
                let Some(found) = self.list.selected() else { return false };
                match found.pid {
                    Some(pid) => cx.open(HexView::memory(Which::First, pid, Some(found.address))),
                    None => cx.say("no process maps this"),
                }
            }
            Action::Next => return self.list.act(Action::Go(crate::scroll::Move::Down)),
            Action::Previous => return self.list.act(Action::Go(crate::scroll::Move::Up)),
            Action::Back if self.is_running => {
                cx.stop("search");
                self.is_running = false;
                self.is_stopped = true;
            }
            action => return self.list.act(action),
        }
        true
    }

    fn answer(&mut self, word: &'static str, answer: Result<Answer, String>, cx: &mut Cx<'_>) {
        match (word, answer) {
            ("search", Ok(answer)) => match answer.downcast::<Batch>() {
                Ok(batch) => {
                    self.found = batch.found;
                    self.list.extend(batch.matches);
                }
                Err(answer) => {
                    if let Ok(issues) = answer.downcast::<Vec<String>>() {
                        self.issues = *issues;
                    }
                }
            },
            (_, Ok(answer)) => self.list.filtered(answer),
            (_, Err(reason)) => cx.say(reason),
        }
    }

    fn ended(&mut self, word: &'static str) {
        if word == "search" {
            self.is_running = false;
        }
    }

    fn resize(&mut self, _: u16, height: u16, _: &mut Cx<'_>) {
        self.list.scroll.set_height(usize::from(height.saturating_sub(1)));
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, has_focus: bool) {
        let nothing = if self.is_running { "searching" } else { "nothing found" };
        place(self.heading(usize::from(area.width), look), area, 0, buffer, look);
        let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        if let Some(nothing) = self.list.nothing(nothing) {
            return note(nothing, below, buffer, look);
        }
        for (row, at) in self.list.scroll.visible().enumerate() {
            let Some(found) = self.list.at(at) else { continue };
            let line = found.line(usize::from(area.width), look);
            place(select(line, at == self.list.scroll.at, has_focus, look), below, row, buffer, look);
        }
    }

    fn places(&self) -> Vec<Place> {
        vec![Place::List, Place::Search]
    }

    fn status(&self) -> String {
        let running = if self.is_running { "searching, Esc stops  " } else { "" };
        format!("{running}{}", self.list.scroll.place())
    }

    fn filter(&mut self, text: &str, cx: &mut Cx<'_>) {
        self.list.filter(text, cx);
    }

    fn filter_text(&self) -> &str {
        self.list.filter_text()
    }

    fn copied(&self, as_json: bool) -> Option<String> {
        let found = self.list.selected()?;
        let text = format!("{}{}{}", found.before, found.bytes, found.after);
        Some(match as_json {
            false => format!("{:#x} {text}", found.address),
            true => {
                let address = format!("{:#x}", found.address);
                serde_json::json!({ "pid": found.pid, "address": address, "mapping": found.mapping, "text": text }).to_string()
            }
        })
    }

    fn exports(&self, _: &Arc<Loaded>) -> Vec<Export> {
        let list = self.list.items().clone();
        vec![Export {
            label: "list",
            name: "matches.txt".to_owned(),
            write: Arc::new(move |_, out| {
                let mut lines = list.iter();
                let line = |found: &Match| {
                    let pid = found.pid.map_or_else(|| found.owner.clone(), |pid| pid.to_string());
                    format!(
                        "{pid}\t{:#x}\t{}\t{}{}{}",
                        found.address, found.mapping, found.before, found.bytes, found.after
                    )
                };
                lines
                    .try_for_each(|found| writeln!(out, "{}", line(found)))
                    .map_err(|error| error.to_string())
            }),
        }]
    }

    fn click(&mut self, row: usize, _: usize, _: &mut Cx<'_>) {
        if let Some(at) = row.checked_sub(1).and_then(|row| self.list.scroll.at_row(row)) {
            self.list.scroll.select(at);
        }
    }

    fn is_busy(&self) -> bool {
        self.is_running || self.list.is_filtering
    }
}

impl SearchView {
    fn heading(&self, width: usize, look: Look) -> Line<'static> {
        let state = match (self.is_running, self.is_stopped) {
            (true, _) => ", searching",
            (false, true) => ", stopped",
            (false, false) => "",
        };
        let seen = size(self.seen.load(Ordering::Relaxed));
        let mut spans =
            vec![Span::styled(format!("{} found in {seen}{state}", self.found), look.theme.heading)];
        if self.found > self.list.items().len() as u64 && !self.is_running {
            spans.push(Span::styled(
                format!(", the first {} listed", self.list.items().len()),
                look.theme.marked,
            ));
        }
        if let Some(issue) = self.issues.first() {
            let more = match self.issues.len() {
                1 => String::new(),
                all => format!(" (and {} more)", all - 1),
            };
            spans.push(Span::styled(format!("  ! {issue}{more}"), look.theme.marked));
        }
        Line::from(fit(spans, width, look))
    }
}

impl Match {
    fn line(&self, width: usize, look: Look) -> Line<'static> {
        let theme = look.theme;
        let pid = self.pid.map_or_else(|| self.owner.clone(), |pid| pid.to_string());
        let mut all = vec![Span::styled(format!("{pid:>6} {:012x} ", self.address), theme.name)];
        if width >= 100 {
            all.extend(padded(vec![Span::styled(self.mapping.clone(), theme.faint)], 24, false, look));
            all.push(Span::raw(" "));
        }
        let room = width.saturating_sub(columns(&all));
        // What was found is always seen, with as much around it as fits.
        let around = room.saturating_sub(self.bytes.len().min(room)) / 2;
        let from = self.before.len().saturating_sub(around);
        all.push(Span::raw(self.before.get(from..).unwrap_or_default().to_owned()));
        all.push(Span::styled(self.bytes.clone(), theme.found));
        all.push(Span::raw(self.after.clone()));
        let mut cut: Vec<Span<'static>> = Vec::new();
        let mut left = width;
        for span in all {
            let text: String = span.content.chars().take(left).collect();
            left -= text.chars().count().min(left);
            cut.push(Span::styled(text, span.style));
        }
        cut.push(Span::raw(" ".repeat(left)));
        Line::from(cut)
    }
}
