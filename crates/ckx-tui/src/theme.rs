//! Colours. Only the 16 of the terminal, so that they follow its own scheme; never alone for a meaning.

use ratatui::style::{Color, Modifier, Style};

/// Styles by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Headings, columns of tables.
    pub heading: Style,
    /// Names of fields.
    pub name: Style,
    /// What should be looked at.
    pub marked: Style,
    /// Of lesser weight.
    pub faint: Style,
    /// The line that is selected, in the part that gets the keys.
    pub selected: Style,
    /// The same, in the other part.
    pub selected_idle: Style,
    /// Borders of the part that gets the keys.
    pub focus: Style,
    /// Other borders.
    pub border: Style,
    /// Keys in the key line.
    pub key: Style,
    /// Only in the second checkpoint.
    pub added: Style,
    /// Only in the first.
    pub removed: Style,
    /// Different in both.
    pub changed: Style,
    /// Bytes that are text.
    pub printable: Style,
    /// What a search or a filter found.
    pub found: Style,
}

const fn fg(color: Color) -> Style {
    Style::new().fg(color)
}

const PLAIN: Style = Style::new();
const BOLD: Style = PLAIN.add_modifier(Modifier::BOLD);
const DIM: Style = PLAIN.add_modifier(Modifier::DIM);
const REVERSED: Style = PLAIN.add_modifier(Modifier::REVERSED);
const UNDERLINED: Style = PLAIN.add_modifier(Modifier::UNDERLINED);

const DARK: Theme = Theme {
    heading: BOLD,
    name: fg(Color::Cyan),
    marked: fg(Color::Yellow).add_modifier(Modifier::BOLD),
    faint: fg(Color::DarkGray),
    selected: Style::new().bg(Color::Blue).fg(Color::White),
    selected_idle: Style::new().bg(Color::DarkGray).fg(Color::White),
    focus: fg(Color::Cyan),
    border: fg(Color::DarkGray),
    key: fg(Color::Cyan).add_modifier(Modifier::BOLD),
    added: fg(Color::Green),
    removed: fg(Color::Red),
    changed: fg(Color::Yellow),
    printable: fg(Color::Green),
    found: Style::new().bg(Color::Yellow).fg(Color::Black),
};

const LIGHT: Theme = Theme {
    name: fg(Color::Blue),
    marked: fg(Color::Red).add_modifier(Modifier::BOLD),
    selected: Style::new().bg(Color::Cyan).fg(Color::Black),
    selected_idle: Style::new().bg(Color::Gray).fg(Color::Black),
    focus: fg(Color::Blue),
    key: fg(Color::Blue).add_modifier(Modifier::BOLD),
    changed: fg(Color::Magenta),
    ..DARK
};

/// Without colours, as `NO_COLOR` asks for.
const MONO: Theme = Theme {
    heading: BOLD,
    name: PLAIN,
    marked: BOLD,
    faint: DIM,
    selected: REVERSED,
    selected_idle: UNDERLINED,
    focus: BOLD,
    border: DIM,
    key: BOLD,
    added: PLAIN,
    removed: PLAIN,
    changed: PLAIN,
    printable: PLAIN,
    found: REVERSED,
};

/// All themes, by name. The first is the usual one.
pub const THEMES: &[(&str, Theme)] = &[("dark", DARK), ("light", LIGHT), ("mono", MONO)];

/// The theme with this name.
pub fn theme(name: &str) -> Option<Theme> {
    THEMES.iter().find(|(each, _)| *each == name).map(|(_, theme)| *theme)
}

/// How things are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Styles.
    pub theme: Theme,
    /// Whether only ASCII is drawn.
    pub ascii: bool,
}

impl Look {
    /// One of two texts: for terminals with all characters, and for those with ASCII.
    pub fn pick<T>(self, full: T, ascii: T) -> T {
        if self.ascii { ascii } else { full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mono_has_no_colour() {
        let theme = theme("mono").expect("it is in the table");
        let all = [
            theme.heading,
            theme.name,
            theme.marked,
            theme.faint,
            theme.selected,
            theme.selected_idle,
            theme.focus,
            theme.border,
            theme.key,
            theme.added,
            theme.removed,
            theme.changed,
            theme.printable,
            theme.found,
        ];
        assert!(all.iter().all(|style| style.fg.is_none() && style.bg.is_none()));
    }
}
