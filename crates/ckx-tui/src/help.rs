//! The help: all keys, made from their table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::keys::{KEYS, Place};
use crate::scroll::Scroll;
use crate::theme::Look;
use crate::view::outline::place;

/// The help screen.
pub struct Help {
    lines: Vec<HelpLine>,
    /// Place in it.
    pub scroll: Scroll,
}

enum HelpLine {
    Title(&'static str),
    Key(String, &'static str),
    Text(&'static str),
    Blank,
}

/// What can be typed behind `:`.
const COMMANDS: &[(&str, &str)] = &[
    (":goto ADDRESS", "Bytes at an address (in memory of a process)"),
    (":search TEXT", "Search memory"),
    (":theme NAME", "dark, light, mono"),
    (":export", "Write what is selected to a file"),
    (":NAME", "A line of the tree: processes, sockets, threads, ..."),
    (":quit", "Quit"),
];

impl Help {
    /// The help where these places are valid; their keys stand first.
    pub fn new(valid: Vec<Place>) -> Self {
        let all = [
            Place::Hex,
            Place::Search,
            Place::Diff,
            Place::Process,
            Place::Bytes,
            Place::Tree,
            Place::List,
            Place::All,
        ];
        let (mut now, later): (Vec<Place>, Vec<Place>) =
            all.into_iter().partition(|place| *place == Place::All || valid.contains(place));
        now.extend(later);
        let mut lines = Vec::new();
        for place in now {
            let rows: Vec<_> =
                KEYS.iter().filter(|row| row.place == place && !row.about.is_empty()).collect();
            if rows.is_empty() {
                continue;
            }
            lines.push(HelpLine::Title(place.title()));
            for row in rows {
                let keys: Vec<String> = row.keys.iter().map(|key| key.name()).collect();
                lines.push(HelpLine::Key(keys.join(", "), row.about));
            }
            lines.push(HelpLine::Blank);
        }
        lines.push(HelpLine::Title("commands"));
        lines.extend(COMMANDS.iter().map(|(name, about)| HelpLine::Key((*name).to_owned(), about)));
        lines.push(HelpLine::Blank);
        lines.push(HelpLine::Text(
            "Nothing of a checkpoint is written or run; files are only written with `e`.",
        ));
        let scroll = Scroll { len: lines.len(), ..Scroll::default() };
        Self { lines, scroll }
    }

    /// It has this many columns and lines.
    pub fn resize(&mut self, _: u16, height: u16) {
        self.scroll.set_height(height.into());
    }

    /// Draws it.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look) {
        // The help is read, not walked through: what is selected only decides what is on the screen.
        for (row, at) in self.scroll.visible().enumerate() {
            let line = match self.lines.get(at) {
                Some(HelpLine::Title(title)) => Line::from(Span::styled(*title, look.theme.heading)),
                Some(HelpLine::Key(keys, about)) => Line::from(vec![
                    Span::styled(format!("  {keys:<16} "), look.theme.key),
                    Span::raw(*about),
                ]),
                Some(HelpLine::Text(text)) => Line::from(Span::styled(*text, look.theme.faint)),
                _ => Line::default(),
            };
            place(line, area, row, buffer, look);
        }
    }
}
