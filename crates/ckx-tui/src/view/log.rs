//! Lines of text with a filter: a log.

use std::sync::Arc;

use bytes::Bytes;
use ckx_core::Name;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::hex::HexView;
use super::outline::{note, place, select};
use super::{Cx, Export, Loaded, Message, View};
use crate::job::Answer;
use crate::keys::{Action, Place};
use crate::list::List;
use crate::text::{padded, safe};
use crate::theme::Look;

/// Text, line by line.
pub struct LogView {
    name: Name,
    bytes: Bytes,
    list: List<Bytes>,
    /// Columns that are scrolled off on the left.
    left: usize,
    is_loading: bool,
}

/// Columns of one step to the side.
const STEP: usize = 16;

impl LogView {
    /// The lines of some text.
    pub fn new(name: Name, bytes: Bytes) -> Self {
        Self { name, bytes, list: List::new(|line| plain(line)), left: 0, is_loading: true }
    }
}

impl View for LogView {
    fn title(&self) -> String {
        self.name.to_string()
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let bytes = self.bytes.clone();
        cx.job("load", move |work| {
            let mut lines = Vec::new();
            let mut start = 0;
            let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
            for end in ends.chain([bytes.len()]) {
                if lines.len() % 4096 == 0 && work.is_stopped() {
                    break;
                }
                if end > start || end < bytes.len() {
                    lines.push(bytes.slice(start..end));
                }
                start = end + 1;
            }
            Ok(Box::new(lines))
        });
    }

    fn act(&mut self, action: Action, cx: &mut Cx<'_>) -> bool {
        match action {
            Action::Left if self.left == 0 => return false,
            Action::Left => self.left = self.left.saturating_sub(STEP),
            Action::Right => self.left = self.left.saturating_add(STEP).min(1 << 16),
            Action::Open => {
                if let Some(line) = self.list.selected() {
                    let head = line.slice(..line.len().min(MAX_SHOWN));
                    cx.open(Message::new("line", vec![(String::new(), safe(head))]));
                }
            }
            Action::Hex => cx.open(HexView::file(self.name.to_string(), self.bytes.clone())),
            action => return self.list.act(action),
        }
        true
    }

    fn answer(&mut self, word: &'static str, answer: Result<Answer, String>, cx: &mut Cx<'_>) {
        match (word, answer) {
            ("load", Ok(answer)) => {
                if let Ok(lines) = answer.downcast::<Vec<Bytes>>() {
                    self.list.set(*lines, cx);
                }
            }
            (_, Ok(answer)) => self.list.filtered(answer),
            (_, Err(reason)) => cx.say(reason),
        }
    }

    fn ended(&mut self, word: &'static str) {
        if word == "load" {
            self.is_loading = false;
        }
    }

    fn resize(&mut self, _: u16, height: u16, _: &mut Cx<'_>) {
        self.list.scroll.set_height(height.into());
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, has_focus: bool) {
        if let Some(nothing) = self.list.nothing(if self.is_loading { "reading" } else { "no lines" }) {
            return note(nothing, area, buffer, look);
        }
        let width = usize::from(area.width);
        for (row, at) in self.list.scroll.visible().enumerate() {
            let Some(line) = self.list.at(at) else { continue };
            // A line may be as long as the log.
            let head = line.slice(..line.len().min((self.left + width) * 4));
            let text: String = plain(&head).chars().skip(self.left).take(width).collect();
            let spans = padded(marked(text, self.list.filter_text(), look), width, false, look);
            place(
                select(Line::from(spans), at == self.list.scroll.at, has_focus, look),
                area,
                row,
                buffer,
                look,
            );
        }
    }

    fn places(&self) -> Vec<Place> {
        vec![Place::List, Place::Bytes]
    }

    fn status(&self) -> String {
        self.list.scroll.place()
    }

    fn filter(&mut self, text: &str, cx: &mut Cx<'_>) {
        self.list.filter(text, cx);
    }

    fn filter_text(&self) -> &str {
        self.list.filter_text()
    }

    fn copied(&self, as_json: bool) -> Option<String> {
        let line = safe(self.list.selected()?);
        Some(if as_json { serde_json::json!({ "line": line }).to_string() } else { line })
    }

    fn exports(&self, _: &Arc<Loaded>) -> Vec<Export> {
        let bytes = self.bytes.clone();
        let name = self.name.to_string();
        vec![Export {
            label: "bytes",
            name: name.rsplit('/').next().unwrap_or_default().to_owned(),
            write: Arc::new(move |_, out| out.write_all(&bytes).map_err(|error| error.to_string())),
        }]
    }

    fn click(&mut self, row: usize, _: usize, _: &mut Cx<'_>) {
        if let Some(at) = self.list.scroll.at_row(row) {
            self.list.scroll.select(at);
        }
    }

    fn is_busy(&self) -> bool {
        self.is_loading || self.list.is_filtering
    }
}

/// A line with spaces for its tabs.
fn plain(line: &[u8]) -> String {
    let parts: Vec<String> = line.split(|byte| *byte == b'\t').map(safe).collect();
    parts.join("    ")
}

/// Bytes of a line that are shown in full.
const MAX_SHOWN: usize = 1 << 16;

/// Text in which a word is marked.
fn marked(text: String, word: &str, look: Look) -> Vec<Span<'static>> {
    let (low, word) = (text.to_lowercase(), word.to_lowercase());
    // Where lower case has another length, places in it are none in the text.
    if word.is_empty() || low.len() != text.len() {
        return vec![Span::raw(text)];
    }
    let mut spans = Vec::new();
    let mut at = 0;
    for (start, found) in low.match_indices(&word) {
        let end = start + found.len();
        spans.push(Span::raw(text.get(at..start).unwrap_or_default().to_owned()));
        spans.push(Span::styled(text.get(start..end).unwrap_or_default().to_owned(), look.theme.found));
        at = end;
    }
    spans.push(Span::styled(text.get(at..).unwrap_or_default().to_owned(), Style::new()));
    spans
}
