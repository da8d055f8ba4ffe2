//! The keys: one table, from which the key line and the help are made too.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::scroll::Move;

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Moves in the list that has the focus.
    Go(Move),
    /// Left: folds, or goes up.
    Left,
    /// Right: unfolds, or goes in.
    Right,
    /// Opens what is selected.
    Open,
    /// Goes back.
    Back,
    /// Folds or unfolds.
    Fold,
    /// Folds or unfolds all.
    FoldAll,
    /// The other part of the screen.
    Focus,
    /// A part of the tree, by number.
    Jump(u8),
    /// Shows the view on the whole screen.
    Zoom,
    /// Asks for a filter.
    Filter,
    /// Asks for a command.
    Command,
    /// Shows all keys.
    Help,
    /// Copies what is selected.
    Copy,
    /// Copies it as JSON.
    CopyJson,
    /// Writes what is selected to a file.
    Export,
    /// Memory of the process that is selected.
    Memory,
    /// Bytes at the address that is selected.
    Hex,
    /// Asks for an address.
    Goto,
    /// Asks what to search for.
    Search,
    /// The next one of what is looked for.
    Next,
    /// The one before.
    Previous,
    /// The next border.
    NextBorder,
    /// The border before.
    PreviousBorder,
    /// The place before, in the history.
    HistoryBack,
    /// The place after.
    HistoryForward,
    /// Shows and hides what is only in the second.
    Added,
    /// Only in the first.
    Removed,
    /// Different.
    Changed,
    /// Of the dump.
    OfDump,
    /// Suspends.
    Suspend,
    /// Ends.
    Quit,
}

/// Where a key is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Everywhere.
    All,
    /// In lists.
    List,
    /// Where something can be folded.
    Tree,
    /// Where rows are about processes.
    Process,
    /// Where rows have bytes.
    Bytes,
    /// In the hex view.
    Hex,
    /// In the results of a search.
    Search,
    /// In the comparison.
    Diff,
}

impl Place {
    /// Its heading in the help.
    pub fn title(self) -> &'static str {
        match self {
            Self::All => "everywhere",
            Self::List => "lists",
            Self::Tree => "what folds",
            Self::Process => "rows about a process",
            Self::Bytes => "members and images",
            Self::Hex => "bytes",
            Self::Search => "search",
            Self::Diff => "comparison",
        }
    }
}

/// A row of [`KEYS`].
#[derive(Debug)]
pub struct Binding {
    /// Keys, the one to show first.
    pub keys: &'static [Key],
    /// What it does.
    pub action: Action,
    /// Where.
    pub place: Place,
    /// A word for the key line; empty to leave it out there.
    pub short: &'static str,
    /// For the help.
    pub about: &'static str,
}

/// A key as it is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// A character with Ctrl.
    Ctrl(char),
    /// A key without a character, and its name.
    Code(KeyCode, &'static str),
}

use Key::{Char, Code, Ctrl};

const fn row(
    keys: &'static [Key],
    action: Action,
    place: Place,
    short: &'static str,
    about: &'static str,
) -> Binding {
    Binding { keys, action, place, short, about }
}

/// All keys. Of two rows with one key the first counts whose place is valid, so that views come before
/// lists. Their order is the order on the screen.
pub const KEYS: &[Binding] = &[
    row(&[Char('g')], Action::Goto, Place::Hex, "go to", "Go to an address; also with `:goto`"),
    row(
        &[Code(KeyCode::Enter, "Enter")],
        Action::Open,
        Place::Hex,
        "follow",
        "Follow the pointer under the cursor",
    ),
    row(
        &[Ctrl('o'), Char('<')],
        Action::HistoryBack,
        Place::Hex,
        "place before",
        "The place before in the history",
    ),
    row(&[Char('>')], Action::HistoryForward, Place::Hex, "", "The place after in the history"),
    row(
        &[Char(']')],
        Action::NextBorder,
        Place::Hex,
        "mapping",
        "The next mapping; in a comparison the next change",
    ),
    row(&[Char('[')], Action::PreviousBorder, Place::Hex, "", "The mapping before"),
    row(
        &[Char('n')],
        Action::Next,
        Place::Hex,
        "",
        "The next pages that the dump has; in a search the next match",
    ),
    row(&[Char('N')], Action::Previous, Place::Hex, "", "The pages or the match before"),
    row(&[Char('n'), Char(']')], Action::Next, Place::Diff, "next", "The next change"),
    row(&[Char('N'), Char('[')], Action::Previous, Place::Diff, "", "The change before"),
    row(&[Char('a')], Action::Added, Place::Diff, "added", "Show and hide what only the second has"),
    row(&[Char('r')], Action::Removed, Place::Diff, "removed", "Show and hide what only the first has"),
    row(&[Char('c')], Action::Changed, Place::Diff, "changed", "Show and hide what differs"),
    row(&[Char('d')], Action::OfDump, Place::Diff, "", "Show and hide what belongs to the dump"),
    row(&[Code(KeyCode::Enter, "Enter")], Action::Open, Place::List, "open", "Open what is selected"),
    row(
        &[Code(KeyCode::Esc, "Esc"), Code(KeyCode::Backspace, "Backspace")],
        Action::Back,
        Place::All,
        "back",
        "Back: out of a view, a filter, a search",
    ),
    row(&[Char('m')], Action::Memory, Place::Process, "memory", "Mappings of the process"),
    row(
        &[Char('x')],
        Action::Hex,
        Place::Process,
        "hex",
        "Bytes at the address in the row, or of the process",
    ),
    row(&[Char('x')], Action::Hex, Place::Bytes, "hex", "Bytes of what is selected"),
    row(&[Char(' ')], Action::Fold, Place::Tree, "fold", "Fold and unfold"),
    row(&[Char('Z')], Action::FoldAll, Place::Tree, "", "Fold and unfold all"),
    row(&[Char('/')], Action::Filter, Place::List, "filter", "Filter as you type"),
    row(&[Char('s')], Action::Search, Place::All, "search", "Search memory"),
    row(&[Char('y')], Action::Copy, Place::All, "copy", "Copy what is selected to the clipboard (OSC 52)"),
    row(&[Char('Y')], Action::CopyJson, Place::All, "", "The same as JSON"),
    row(&[Char('e')], Action::Export, Place::All, "export", "Write what is selected to a file"),
    row(&[Char('k'), Code(KeyCode::Up, "Up")], Action::Go(Move::Up), Place::All, "", "Up"),
    row(&[Char('j'), Code(KeyCode::Down, "Down")], Action::Go(Move::Down), Place::All, "", "Down"),
    row(
        &[Char('h'), Code(KeyCode::Left, "Left")],
        Action::Left,
        Place::All,
        "",
        "Left: fold, or go up; out of the view at its edge",
    ),
    row(
        &[Char('l'), Code(KeyCode::Right, "Right")],
        Action::Right,
        Place::All,
        "",
        "Right: unfold, or go in",
    ),
    row(&[Ctrl('u')], Action::Go(Move::HalfUp), Place::All, "", "Half a screen up"),
    row(&[Ctrl('d')], Action::Go(Move::HalfDown), Place::All, "", "Half a screen down"),
    row(&[Code(KeyCode::PageUp, "PgUp"), Ctrl('b')], Action::Go(Move::PageUp), Place::All, "", "A screen up"),
    row(
        &[Code(KeyCode::PageDown, "PgDn"), Ctrl('f')],
        Action::Go(Move::PageDown),
        Place::All,
        "",
        "A screen down",
    ),
    row(
        &[Char('g'), Code(KeyCode::Home, "Home")],
        Action::Go(Move::First),
        Place::All,
        "",
        "To the first line",
    ),
    row(&[Char('G'), Code(KeyCode::End, "End")], Action::Go(Move::Last), Place::All, "", "To the last line"),
    row(
        &[Code(KeyCode::Tab, "Tab"), Code(KeyCode::BackTab, "Shift-Tab")],
        Action::Focus,
        Place::All,
        "panel",
        "Between the tree and the view",
    ),
    row(&[Char('1')], Action::Jump(1), Place::All, "", "1 to 9: a part of the tree"),
    row(&[Char('2')], Action::Jump(2), Place::All, "", ""),
    row(&[Char('3')], Action::Jump(3), Place::All, "", ""),
    row(&[Char('4')], Action::Jump(4), Place::All, "", ""),
    row(&[Char('5')], Action::Jump(5), Place::All, "", ""),
    row(&[Char('6')], Action::Jump(6), Place::All, "", ""),
    row(&[Char('7')], Action::Jump(7), Place::All, "", ""),
    row(&[Char('8')], Action::Jump(8), Place::All, "", ""),
    row(&[Char('9')], Action::Jump(9), Place::All, "", ""),
    row(&[Char('z')], Action::Zoom, Place::All, "", "The view on the whole screen, and back"),
    row(&[Char(':')], Action::Command, Place::All, "command", "A command: `:help` lists them"),
    row(&[Char('?')], Action::Help, Place::All, "help", "This help"),
    row(&[Ctrl('z')], Action::Suspend, Place::All, "", "Suspend; `fg` goes on"),
    row(&[Char('q'), Ctrl('c')], Action::Quit, Place::All, "quit", "Quit"),
];

impl Key {
    /// Its name.
    pub fn name(self) -> String {
        match self {
            Char(' ') => "Space".to_owned(),
            Char(char) => char.to_string(),
            Ctrl(char) => format!("Ctrl-{char}"),
            Code(_, name) => name.to_owned(),
        }
    }

    fn is(self, event: KeyEvent) -> bool {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        match self {
            Char(char) => {
                event.code == KeyCode::Char(char) && !control && !event.modifiers.contains(KeyModifiers::ALT)
            }
            Ctrl(char) => event.code == KeyCode::Char(char) && control,
            Code(code, _) => event.code == code,
        }
    }
}

/// What a key does where these places are valid.
pub fn action(event: KeyEvent, places: &[Place]) -> Option<Action> {
    let is_valid = |row: &&Binding| row.place == Place::All || places.contains(&row.place);
    KEYS.iter().filter(is_valid).find(|row| row.keys.iter().any(|key| key.is(event))).map(|row| row.action)
}

/// The rows for the key line.
pub fn hints(places: &[Place]) -> impl Iterator<Item = (String, &'static str)> {
    let is_valid = move |row: &&Binding| row.place == Place::All || places.contains(&row.place);
    let mut seen: Vec<Key> = Vec::new();
    KEYS.iter().filter(is_valid).filter_map(move |row| {
        let key = *row.keys.first()?;
        if seen.contains(&key) {
            return None;
        }
        seen.push(key);
        (!row.short.is_empty()).then(|| (key.name(), row.short))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_in_one_place() {
        for (at, row) in KEYS.iter().enumerate() {
            let others = KEYS.iter().skip(at + 1).filter(|other| other.place == row.place);
            for other in others {
                assert!(
                    row.keys.iter().all(|key| !other.keys.contains(key)),
                    "{:?} and {:?}",
                    row.action,
                    other.action
                );
            }
        }
    }

    #[test]
    fn what_is_valid_comes_before_what_is_general() {
        let key = |char| KeyEvent::new(KeyCode::Char(char), KeyModifiers::NONE);
        assert_eq!(action(key('g'), &[Place::List]), Some(Action::Go(Move::First)));
        assert_eq!(action(key('g'), &[Place::Hex]), Some(Action::Goto));
        assert_eq!(action(key('d'), &[]), None);
        let ctrl = KeyEvent::new(KeyCode::Char('d'), KeyModifiers::CONTROL);
        assert_eq!(action(ctrl, &[Place::Diff]), Some(Action::Go(Move::HalfDown)));
    }
}
