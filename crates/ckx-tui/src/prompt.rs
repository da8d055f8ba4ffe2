//! The line at the bottom in which one types.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::text::{Line, Span};
use tui_input::backend::crossterm::EventHandler;
use tui_input::{Input, InputRequest};

use crate::text::safe;
use crate::theme::Look;
use crate::view::{Export, Question};

/// What the line is for.
pub enum Purpose {
    /// A filter, followed while it is typed.
    Filter,
    /// A command.
    Command,
    /// A question of a view.
    Ask(Question),
    /// A file to write to, and which of the exports.
    Export(Vec<Export>, usize),
}

/// A line that is being typed.
pub struct Prompt {
    /// What it is for.
    pub purpose: Purpose,
    /// Why it was not taken.
    pub error: Option<String>,
    input: Input,
}

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Nothing,
    /// The text is another one.
    Changed,
    /// It was given up.
    Cancelled,
    /// It is complete.
    Done,
}

impl Prompt {
    /// A line with some text.
    pub fn new(purpose: Purpose, text: &str) -> Self {
        Self { purpose, error: None, input: Input::new(text.to_owned()) }
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// Takes pasted text.
    pub fn paste(&mut self, text: &str) {
        for char in text.chars().filter(|char| !char.is_control()) {
            self.input.handle(InputRequest::InsertChar(char));
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent) -> Outcome {
        self.error = None;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc => Outcome::Cancelled,
            KeyCode::Char('c') if control => Outcome::Cancelled,
            KeyCode::Enter => Outcome::Done,
            KeyCode::Backspace if self.text().is_empty() => Outcome::Cancelled,
            KeyCode::Tab => {
                self.next_export();
                Outcome::Nothing
            }
            _ => match self.input.handle_event(&Event::Key(key)) {
                Some(change) if change.value => Outcome::Changed,
                _ => Outcome::Nothing,
            },
        }
    }

    /// The next form to write; the name follows if it is still the one that was proposed.
    fn next_export(&mut self) {
        let Purpose::Export(exports, at) = &mut self.purpose else { return };
        let is_proposed = exports.get(*at).is_some_and(|export| export.name == self.input.value());
        *at = (*at + 1) % exports.len().max(1);
        if let Some(export) = exports.get(*at).filter(|_| is_proposed) {
            self.input = Input::new(export.name.clone());
        }
    }

    fn label(&self) -> String {
        match &self.purpose {
            Purpose::Filter => "/".to_owned(),
            Purpose::Command => ":".to_owned(),
            Purpose::Ask(Question::Goto) => "address: ".to_owned(),
            Purpose::Ask(Question::Search) => "search: ".to_owned(),
            Purpose::Export(exports, at) => {
                let label = exports.get(*at).map_or("", |export| export.label);
                let more = if exports.len() > 1 { " (Tab: other form)" } else { "" };
                format!("write {label}{more} to: ")
            }
        }
    }

    /// The line, and the column of the cursor.
    pub fn line(&self, width: usize, look: Look) -> (Line<'static>, usize) {
        let label = self.label();
        let room = width.saturating_sub(label.chars().count() + 1).max(1);
        let skipped = self.input.visual_scroll(room);
        let text: String = self.text().chars().skip(skipped).take(room).collect();
        let column = label.chars().count() + self.input.visual_cursor().saturating_sub(skipped);
        let mut spans = vec![Span::styled(label, look.theme.key), Span::raw(safe(&text))];
        if let Some(error) = &self.error {
            spans.push(Span::styled(format!("  {}", safe(error)), look.theme.marked));
        }
        (Line::from(spans), column)
    }

    /// What the keys do here.
    pub fn hint(&self) -> &'static str {
        match self.purpose {
            Purpose::Filter => "Enter keep  Esc clear",
            Purpose::Command => {
                "Enter run  Esc leave   goto ADDRESS, search TEXT, theme NAME, export, quit, a word of the tree"
            }
            Purpose::Ask(Question::Goto) => "Enter go  Esc leave   0x7f..., +0x100, -16, a name of a mapping",
            Purpose::Ask(Question::Search) => "Enter search  Esc leave",
            Purpose::Export(..) => "Enter write  Tab other form  Esc leave",
        }
    }
}
