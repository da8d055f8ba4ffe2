//! Bytes: of the memory of a process, or of a member. Any place is reached at once: rows are counted per
//! mapping, and only those on the screen are read.

mod draw;
mod rows;

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use ckx_core::memory::{AddressSpace, Content};
use ckx_criu::ByteOrder;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::outline::note;
use super::{Cx, Export, Loaded, Question, Request, View, Which};
use crate::export;
use crate::job::Answer;
use crate::keys::{Action, Place};
use crate::scroll::Move;
use crate::space::{Origin, load};
use crate::theme::Look;
use rows::{Line, Segments};

/// What the bytes are of.
enum Subject {
    /// Memory of a process.
    Memory { which: Which, pid: u32, order: ByteOrder },
    /// Bytes with a name.
    File { name: String, bytes: Bytes },
    /// Memory of a process in both checkpoints.
    Both { before: u32, after: u32 },
}

/// Bytes in rows.
pub struct HexView {
    subject: Subject,
    space: Option<Result<Arc<AddressSpace>, String>>,
    other: Option<Result<Arc<AddressSpace>, String>>,
    segments: Segments,
    /// Rows on the screen.
    lines: Vec<Line>,
    /// First row on the screen.
    top: u64,
    height: u64,
    width: u16,
    /// The address under the cursor.
    cursor: u64,
    /// Where the view is to begin, until there is something.
    target: Option<u64>,
    history: Vec<u64>,
    /// Place in the history behind the newest place before this one.
    at: usize,
    is_loading: bool,
    /// Places where the sides differ.
    stops: Vec<u64>,
}

impl HexView {
    fn new(subject: Subject, target: Option<u64>) -> Self {
        Self {
            subject,
            space: None,
            other: None,
            segments: Segments::default(),
            lines: Vec::new(),
            top: 0,
            height: 0,
            width: 0,
            cursor: 0,
            target,
            history: Vec::new(),
            at: 0,
            is_loading: true,
            stops: Vec::new(),
        }
    }

    /// The memory of a process, at an address.
    pub fn memory(which: Which, pid: u32, target: Option<u64>) -> Self {
        Self::new(Subject::Memory { which, pid, order: ByteOrder::Little }, target)
    }

    /// Bytes with a name.
    pub fn file(name: String, bytes: Bytes) -> Self {
        let mut view = Self::new(Subject::File { name, bytes }, None);
        view.is_loading = false;
        view
    }

    /// The same, at an offset.
    pub fn file_at(name: String, bytes: Bytes, offset: u64) -> Self {
        Self { target: Some(offset), ..Self::file(name, bytes) }
    }

    /// The memory of a process in both checkpoints, side by side.
    /// `stops` are places where they differ.
    pub fn both(before: u32, after: u32, target: u64, stops: Vec<u64>) -> Self {
        Self { stops, ..Self::new(Subject::Both { before, after }, Some(target)) }
    }

    fn space(&self) -> Option<&Arc<AddressSpace>> {
        self.space.as_ref()?.as_ref().ok()
    }

    fn other(&self) -> Option<&Arc<AddressSpace>> {
        self.other.as_ref()?.as_ref().ok()
    }

    /// Lays out the rows again: something came, or the screen is another one.
    fn lay_out(&mut self) {
        let per_row = match self.subject {
            Subject::Both { .. } => draw::bytes_of_both(self.width),
            _ => draw::bytes_of_one(self.width),
        };
        self.segments = match (&self.subject, self.space(), self.other()) {
            (Subject::File { bytes, .. }, ..) => Segments::of_file(bytes.len() as u64, per_row),
            (_, Some(space), None) => Segments::of_memory(&[space], per_row),
            (_, Some(space), Some(other)) => Segments::of_memory(&[space, other], per_row),
            (_, None, _) => return,
        };
        let target = self.target.unwrap_or(self.cursor);
        if self.space().is_some() && !self.is_loading {
            self.target = None;
        }
        self.go_to(target);
    }

    /// Moves the cursor to an address, or the nearest one that is mapped; brings it onto the screen.
    fn go_to(&mut self, address: u64) {
        let Some((row, address)) = self.segments.nearest(address) else {
            self.lines.clear();
            return;
        };
        self.cursor = address;
        self.keep(row, self.lines.is_empty());
    }

    /// Moves far: the row stands near the top, and the place before is remembered.
    fn jump_to(&mut self, address: u64) {
        if address == self.cursor {
            return;
        }
        self.history.truncate(self.at);
        self.history.push(self.cursor);
        self.at = self.history.len();
        self.show(address);
    }

    fn show(&mut self, address: u64) {
        let Some((row, address)) = self.segments.nearest(address) else { return };
        self.cursor = address;
        self.keep(row, true);
    }

    fn travel(&mut self, forward: bool) -> bool {
        let target = if forward {
            self.history.get(self.at + 1)
        } else {
            self.at.checked_sub(1).and_then(|at| self.history.get(at))
        };
        let Some(target) = target.copied() else { return false };
        if !forward && self.at == self.history.len() {
            self.history.push(self.cursor);
        }
        self.at = if forward { self.at + 1 } else { self.at - 1 };
        self.show(target);
        true
    }

    fn keep(&mut self, row: u64, far: bool) {
        let height = self.height.max(1);
        let is_on_screen = (self.top..self.top.saturating_add(height)).contains(&row);
        if far && !is_on_screen {
            // A mapping begins with its border; elsewhere something above the place is seen too.
            let above = if self.segments.is_border(row.wrapping_sub(1)) { 1 } else { height / 4 };
            self.top = row.saturating_sub(above);
        } else {
            self.top = self.top.min(row).max((row + 1).saturating_sub(height));
        }
        // The border of a mapping is shown with its first row.
        if self.top == row && self.segments.is_border(row.wrapping_sub(1)) {
            self.top = row.saturating_sub(1);
        }
        self.top = self.top.min(self.segments.rows().saturating_sub(height));
        self.read();
    }

    /// Reads the rows on the screen.
    fn read(&mut self) {
        let end = self.top.saturating_add(self.height).min(self.segments.rows());
        self.lines = match (&self.subject, self.space()) {
            (Subject::File { bytes, .. }, _) => {
                (self.top..end).filter_map(|row| self.segments.file_line(row, bytes)).collect()
            }
            (_, Some(space)) => {
                (self.top..end).filter_map(|row| self.segments.line(row, space, self.other())).collect()
            }
            _ => Vec::new(),
        };
    }

    /// Moves by rows, keeping the column.
    fn by_rows(&mut self, rows: i64) {
        let Some((row, _)) = self.segments.nearest(self.cursor) else { return };
        let column = self.segments.column(self.cursor);
        let last = self.segments.rows().saturating_sub(1);
        let mut to = row.saturating_add_signed(rows).min(last);
        if self.segments.is_border(to) {
            to = if rows < 0 && to > 0 { to - 1 } else { (to + 1).min(last) };
        }
        if let Some(address) = self.segments.address(to, column) {
            self.cursor = address;
            self.keep(to, false);
        }
    }

    fn go(&mut self, how: Move) {
        let page = i64::try_from(self.height.saturating_sub(1).max(1)).unwrap_or(1);
        match how {
            Move::Up => self.by_rows(-1),
            Move::Down => self.by_rows(1),
            Move::HalfUp => self.by_rows(-(page / 2 + 1)),
            Move::HalfDown => self.by_rows(page / 2 + 1),
            Move::PageUp => self.by_rows(-page),
            Move::PageDown => self.by_rows(page),
            Move::First => self.jump_to(0),
            Move::Last => self.jump_to(u64::MAX),
        }
    }

    /// The value that a pointer under the cursor would have, and whether it leads somewhere.
    fn pointer(&self) -> Option<u64> {
        let Subject::Memory { order, .. } = self.subject else { return None };
        let space = self.space()?;
        let mut word = [0; 8];
        let (read, _) = space.copy(self.cursor & !7, &mut word);
        let value = match order {
            _ if read < word.len() => return None,
            ByteOrder::Little => u64::from_le_bytes(word),
            ByteOrder::Big => u64::from_be_bytes(word),
        };
        space.mapping_at(value).map(|_| value)
    }

    /// Where the next pages begin that are stored, behind those that the cursor is in; or the last ones
    /// that begin before the cursor.
    fn stored(&self, forward: bool) -> Option<u64> {
        let space = self.space()?;
        let (start, end) = if forward { (self.cursor, u64::MAX) } else { (0, self.cursor) };
        let mut found = None;
        let mut was_stored = forward;
        for piece in space.pieces(start, end).take(MAX_PIECES) {
            let is_stored = matches!(Origin::of(&piece), Origin::Dump | Origin::Parent(_));
            if is_stored && !was_stored {
                found = Some(piece.run.start);
                if forward {
                    break;
                }
            }
            was_stored = is_stored;
        }
        found
    }

    fn question(&mut self, text: &str) -> Result<(), String> {
        let text = text.trim();
        let number = |text: &str| {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            u64::from_str_radix(digits, 16).ok()
        };
        let by_name = || {
            let space = self.space()?;
            let mut mappings = space.mappings().iter();
            let found = mappings.find(|mapping| {
                let name = mapping.name.as_ref().map(|name| name.as_bytes()).unwrap_or_default();
                String::from_utf8_lossy(name).contains(text)
            });
            found.map(|mapping| mapping.start)
        };
        let target = if let Some(rest) = text.strip_prefix('+') {
            number(rest).map(|by| self.cursor.saturating_add(by))
        } else if let Some(rest) = text.strip_prefix('-') {
            number(rest).map(|by| self.cursor.saturating_sub(by))
        } else {
            number(text).or_else(by_name)
        };
        let target = target.filter(|_| !text.is_empty());
        let target = target.ok_or_else(|| format!("`{text}` is no address and no name of a mapping"))?;
        let is_there = self.segments.contains(target);
        self.jump_to(target);
        if is_there { Ok(()) } else { Err(format!("{target:#x} is not mapped; this is the nearest place")) }
    }
}

/// Pieces that are looked at for the next stored page, so that a key is answered at once.
const MAX_PIECES: usize = 200_000;

impl View for HexView {
    fn title(&self) -> String {
        match &self.subject {
            Subject::Memory { which: Which::First, pid, .. } => format!("memory of {pid}"),
            Subject::Memory { pid, .. } => format!("memory of {pid} in the second"),
            Subject::File { name, .. } => crate::text::safe(name),
            Subject::Both { before, after } if before == after => format!("memory of {before} in both"),
            Subject::Both { before, after } => format!("memory of {before} and {after}"),
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let loaded = cx.loaded.clone();
        match &mut self.subject {
            Subject::File { .. } => self.lay_out(),
            Subject::Memory { which, pid, order } => {
                let (which, pid) = (*which, *pid);
                if let Some(process) =
                    loaded.side(which).and_then(|checkpoint| checkpoint.processes().get(pid))
                {
                    *order = process.order;
                }
                cx.job("space", move |work| load(&loaded, which, pid, work));
            }
            Subject::Both { before, after } => {
                let (before, after, again) = (*before, *after, loaded.clone());
                cx.job("space", move |work| load(&loaded, Which::First, before, work));
                cx.job("other", move |work| load(&again, Which::Second, after, work));
                cx.requests.push(Request::Zoom);
            }
        }
    }

    fn act(&mut self, action: Action, cx: &mut Cx<'_>) -> bool {
        match action {
            Action::Go(how) => self.go(how),
            Action::Left if self.segments.column(self.cursor) == 0 => return false,
            Action::Left => self.go_to(self.cursor.saturating_sub(1)),
            Action::Right => {
                if self.segments.contains(self.cursor.saturating_add(1)) {
                    self.go_to(self.cursor + 1);
                }
            }
            Action::Goto => cx.requests.push(Request::Ask(Question::Goto)),
            Action::Open => match self.pointer() {
                Some(value) => self.jump_to(value),
                None => cx.say("the 8 bytes under the cursor point to nothing that is mapped"),
            },
            Action::HistoryBack => {
                if !self.travel(false) {
                    cx.say("there is no place before");
                }
            }
            Action::HistoryForward => {
                if !self.travel(true) {
                    cx.say("there is no place after");
                }
            }
            Action::NextBorder | Action::PreviousBorder => {
                let next = self.segments.border(self.cursor, action == Action::NextBorder);
                next.into_iter().for_each(|address| self.jump_to(address));
            }
            Action::Next | Action::Previous => self.next(action == Action::Next, cx),
            _ => return false,
        }
        true
    }

    fn answer(&mut self, word: &'static str, answer: Result<Answer, String>, cx: &mut Cx<'_>) {
        let space = answer.and_then(|answer| {
            answer.downcast::<Arc<AddressSpace>>().map(|space| *space).map_err(|_| String::new())
        });
        let slot = if word == "space" { &mut self.space } else { &mut self.other };
        match space {
            Err(reason) if matches!(slot, Some(Ok(_))) => cx.say(reason),
            space => *slot = Some(space),
        }
        self.lay_out();
    }

    fn ended(&mut self, word: &'static str) {
        if word == "space" {
            self.is_loading = false;
        }
    }

    fn resize(&mut self, width: u16, height: u16, _: &mut Cx<'_>) {
        self.width = width;
        self.height = height.into();
        self.lay_out();
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, has_focus: bool) {
        for space in [&self.space, &self.other] {
            if let Some(Err(reason)) = space {
                return note(reason, area, buffer, look);
            }
        }
        if self.lines.is_empty() {
            let nothing = if self.is_loading { "reading the page map" } else { "no bytes" };
            return note(nothing, area, buffer, look);
        }
        let per_row = self.segments.per_row();
        for (row, line) in self.lines.iter().enumerate() {
            let line = match (line, &self.subject) {
                (Line::Border(text), _) => draw::border(text, area.width, look),
                (Line::Bytes(row), Subject::Both { .. }) => {
                    draw::both(row, self.cursor, per_row, has_focus, look)
                }
                (Line::Bytes(row), _) => draw::one(row, self.cursor, per_row, area.width, has_focus, look),
            };
            super::outline::place(line, area, row, buffer, look);
        }
    }

    fn places(&self) -> Vec<Place> {
        vec![Place::Hex]
    }

    fn status(&self) -> String {
        let wait = if self.is_loading { "decoding pages  " } else { "" };
        let Some(Line::Bytes(row)) = self.lines.iter().find(|line| line.has(self.cursor)) else {
            return wait.to_owned();
        };
        let page = match &self.subject {
            Subject::File { .. } => String::new(),
            _ => format!("  page {}", row.origin.words()),
        };
        let pointer = self.pointer().map(|value| format!("  -> {value:x}")).unwrap_or_default();
        format!("{wait}{:#x}{page}{pointer}", self.cursor)
    }

    fn copied(&self, as_json: bool) -> Option<String> {
        let Line::Bytes(row) = self.lines.iter().find(|line| line.has(self.cursor))? else { return None };
        let hex = |bytes: &[Option<u8>], gap: &str| {
            let byte = |byte: &Option<u8>| byte.map_or("??".to_owned(), |byte| format!("{byte:02x}"));
            bytes.iter().map(byte).collect::<Vec<_>>().join(gap)
        };
        Some(match as_json {
            false => format!("{:#x}: {}", row.address, hex(&row.bytes, " ")),
            true => {
                let address = format!("{:#x}", row.address);
                serde_json::json!({ "address": address, "bytes": hex(&row.bytes, "") }).to_string()
            }
        })
    }

    fn exports(&self, loaded: &Arc<Loaded>) -> Vec<Export> {
        match (&self.subject, self.space()) {
            (Subject::File { name, bytes }, _) => {
                let bytes = bytes.clone();
                let file = name.rsplit('/').next().unwrap_or_default();
                vec![Export {
                    label: "bytes",
                    name: crate::text::safe(file),
                    write: Arc::new(move |_, out| out.write_all(&bytes).map_err(|error| error.to_string())),
                }]
            }
            (Subject::Memory { which, pid, .. }, Some(space)) => {
                exports(space, self.cursor).into_iter().chain([export::core(loaded, *which, *pid)]).collect()
            }
            (_, Some(space)) => exports(space, self.cursor),
            _ => Vec::new(),
        }
    }

    fn click(&mut self, row: usize, column: usize, _: &mut Cx<'_>) {
        if let Some(Line::Bytes(row)) = self.lines.get(row) {
            let byte = draw::byte_at(column).min(row.bytes.len().saturating_sub(1));
            self.go_to(row.address.saturating_add(byte as u64));
        }
    }

    fn told(&mut self, question: Question, text: &str, cx: &mut Cx<'_>) -> Result<(), String> {
        match question {
            Question::Goto => self.question(text),
            Question::Search => super::search(text, cx),
        }
    }

    fn is_busy(&self) -> bool {
        self.is_loading
    }
}

impl HexView {
    fn next(&mut self, forward: bool, cx: &mut Cx<'_>) {
        let (found, what) = match &self.subject {
            Subject::Both { .. } if forward => (
                self.stops.iter().find(|stop| **stop > self.cursor).copied(),
                "no more differences listed there",
            ),
            Subject::Both { .. } => (
                self.stops.iter().rev().find(|stop| **stop < self.cursor).copied(),
                "no more differences listed there",
            ),
            _ => (self.stored(forward), "no other pages of the dump there"),
        };
        match found {
            Some(address) => self.jump_to(address),
            None => cx.say(what),
        }
    }
}

/// The bytes around an address that can be read, as far as they follow each other in its mapping; and its page.
pub fn exports(space: &Arc<AddressSpace>, address: u64) -> Vec<Export> {
    let Some(mapping) = space.mapping_at(address) else { return Vec::new() };
    let page = space.page_size().max(1);
    let first = (address - address % page).max(mapping.start);
    let ranges = [
        ("bytes of the mapping", mapping.start, mapping.end),
        ("bytes of the page", first, first.saturating_add(page).min(mapping.end)),
    ];
    let export = |(label, start, end): (&'static str, u64, u64)| {
        let (space, pid) = (space.clone(), space.pid());
        Export {
            label,
            name: format!("{pid}-{start:x}-{end:x}.bin"),
            write: Arc::new(move |work, out| write(&space, start, end, &|| work.is_stopped(), out)),
        }
    };
    ranges.map(export).into()
}

/// Writes memory from one address to another.
///
/// # Errors
/// When a part of it is not in the dump: what is not known is not made up.
fn write(
    space: &AddressSpace,
    start: u64,
    end: u64,
    stop: &dyn Fn() -> bool,
    out: &mut dyn Write,
) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    for piece in space.pieces(start, end) {
        if stop() {
            return Err("it was stopped".to_owned());
        }
        let run = piece.run.unpacked();
        match &run.content {
            Content::Bytes(bytes) => out.write_all(bytes).map_err(failed)?,
            Content::Zero | Content::Untouched => {
                let mut left = run.size();
                let zeros = [0; 4096];
                while left > 0 {
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
                    out.write_all(zeros.get(..len).unwrap_or_default()).map_err(failed)?;
                    left -= len as u64;
                }
            }
            Content::Absent(why) => return Err(format!("at {:#x} {why}: nothing was written", run.start)),
            _ => return Err(format!("at {:#x} the page cannot be read: nothing was written", run.start)),
        }
    }
    Ok(())
}
