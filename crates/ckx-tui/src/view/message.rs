//! A view that only says something: what a row says in full, a fault.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use unicode_width::UnicodeWidthStr;

use super::{Cx, View};
use crate::keys::{Action, Place};
use crate::scroll::Scroll;
use crate::text::wrapped;
use crate::theme::Look;

/// Names with texts, broken into lines.
#[derive(Debug)]
pub struct Message {
    title: String,
    parts: Vec<(String, String)>,
    lines: Vec<(String, String)>,
    scroll: Scroll,
}

impl Message {
    /// A view of names with texts.
    pub fn new(title: impl Into<String>, parts: Vec<(String, String)>) -> Self {
        Self { title: title.into(), parts, lines: Vec::new(), scroll: Scroll::default() }
    }
}

impl View for Message {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn act(&mut self, action: Action, _: &mut Cx<'_>) -> bool {
        match action {
            Action::Go(how) => self.scroll.go(how),
            _ => return false,
        }
        true
    }

    fn resize(&mut self, width: u16, height: u16, _: &mut Cx<'_>) {
        let names = self.parts.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        let indent = if names == 0 { 0 } else { names + 2 };
        let room = usize::from(width).saturating_sub(indent);
        self.lines = Vec::new();
        for (name, text) in &self.parts {
            for (at, line) in wrapped(text, room).into_iter().enumerate() {
                let name = if at == 0 { name.as_str() } else { "" };
                let padding = " ".repeat(indent.saturating_sub(name.width()));
                self.lines.push((format!("{name}{padding}"), line));
            }
        }
        self.scroll.set_len(self.lines.len());
        self.scroll.set_height(height.into());
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, _: bool) {
        for (row, at) in self.scroll.visible().enumerate() {
            let Some((name, text)) = self.lines.get(at) else { continue };
            let line = Line::from(vec![Span::styled(name.clone(), look.theme.name), Span::raw(text.clone())]);
            super::outline::place(line, area, row, buffer, look);
        }
    }

    fn places(&self) -> Vec<Place> {
        Vec::new()
    }

    fn copied(&self, _: bool) -> Option<String> {
        let text = |(name, text): &(String, String)| match name.is_empty() {
            true => text.clone(),
            false => format!("{name}: {text}"),
        };
        Some(self.parts.iter().map(text).collect::<Vec<_>>().join("\n"))
    }
}

/// Draws a line of a view.
pub(super) fn put(line: Line<'static>, area: Rect, row: usize, buffer: &mut Buffer) {
    let y = area.y.saturating_add(u16::try_from(row).unwrap_or(u16::MAX));
    if y < area.bottom() {
        line.render(Rect { y, height: 1, ..area }, buffer);
    }
}
