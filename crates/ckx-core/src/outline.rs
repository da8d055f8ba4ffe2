//! A report as a neutral tree: what people see, before anything is known of their screen.

use std::fmt;

use crate::Name;

/// A tree of lines and tables. Text output and the browser draw the same one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Its nodes, top down.
    pub nodes: Vec<Node>,
}

/// A part of an outline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A name with a value.
    Field(String, Cell),
    /// A line with more below it: a process with its children, a heading.
    Group(Vec<Cell>, Vec<Node>),
    /// Rows with common columns.
    Table(Table),
    /// Lines of text, such as a log.
    Lines(Vec<Cell>),
}

/// Rows with common columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Headings. Columns of numbers are aligned to the right.
    pub columns: Vec<&'static str>,
    /// Rows, each with a cell per column.
    pub rows: Vec<Vec<Cell>>,
}

/// A value as people read it. Text is shown with control characters escaped, whatever is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Words of ours, or text of the checkpoint.
    Text(String),
    /// Bytes of the checkpoint: a path, a command.
    Name(Name),
    /// A number.
    Count(u64),
    /// A size in bytes, shown with a unit.
    Bytes(u64),
    /// An address in memory.
    Address(u64),
    /// A time span in microseconds.
    Micros(u64),
    /// What should be looked at: a warning, a deleted file.
    Marked(String),
    /// Of lesser weight: a unit, a remark, a value that is hidden.
    Faint(String),
    /// There is no value, and why.
    Absent(String),
    /// Several, with spaces between them.
    Line(Vec<Cell>),
}

impl Outline {
    /// An outline without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a field.
    pub fn field(&mut self, name: impl Into<String>, value: impl Into<Cell>) {
        self.nodes.push(Node::Field(name.into(), value.into()));
    }

    /// Appends a field if there is a value.
    pub fn field_if(&mut self, name: impl Into<String>, value: Option<impl Into<Cell>>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// Appends a group.
    pub fn group(&mut self, line: Vec<Cell>, children: Outline) {
        self.nodes.push(Node::Group(line, children.nodes));
    }

    /// Appends a table, unless it has no rows.
    pub fn table(&mut self, table: Table) {
        if !table.rows.is_empty() {
            self.nodes.push(Node::Table(table));
        }
    }

    /// Appends a line of text.
    pub fn line(&mut self, cell: impl Into<Cell>) {
        match self.nodes.last_mut() {
            Some(Node::Lines(lines)) => lines.push(cell.into()),
            _ => self.nodes.push(Node::Lines(vec![cell.into()])),
        }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Appends a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell per column");
        self.rows.push(cells);
    }
}

impl Cell {
    /// Whether it is a number, which stands on the right of its column.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Count(_) | Self::Bytes(_) | Self::Micros(_))
    }

    /// A value, or a faint dash where there is none.
    pub fn or_dash(value: Option<impl Into<Cell>>) -> Self {
        value.map_or_else(|| Self::Faint("-".to_owned()), Into::into)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<Name> for Cell {
    fn from(name: Name) -> Self {
        Self::Name(name)
    }
}

impl From<&Name> for Cell {
    fn from(name: &Name) -> Self {
        Self::Name(name.clone())
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Count(number.into())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Count(number)
    }
}

/// A size with the unit that suits it: `1.5 KiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut name = UNITS[0];
    for unit in &UNITS[1..] {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        name = unit;
    }
    format!("{value:.1} {name}")
}

/// A time span with the unit that suits it: `1.5 ms`.
pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.2} s", micros as f64 / 1e6),
        _ => {
            let seconds = micros / 1_000_000;
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            if hours > 0 {
                format!("{hours}h {minutes:02}m {seconds:02}s")
            } else {
                format!("{minutes}m {seconds:02}s")
            }
        }
    }
}

/// The plain text, sizes as numbers of bytes: for tests and for searching.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |f: &mut fmt::Formatter<'_>, text: &str| {
            fmt::Display::fmt(&ckx_criu::text::escaped(text.as_bytes()), f)
        };
        match self {
            Self::Text(text) | Self::Marked(text) | Self::Faint(text) | Self::Absent(text) => {
                escaped(f, text)
            }
            Self::Name(name) => name.fmt(f),
            Self::Count(number) | Self::Bytes(number) => number.fmt(f),
            Self::Micros(number) => write!(f, "{number} us"),
            Self::Address(address) => write!(f, "{address:#x}"),
            Self::Line(cells) => {
                for (index, cell) in cells.iter().enumerate() {
                    let space = if index > 0 { " " } else { "" };
                    write!(f, "{space}{cell}")?;
                }
                Ok(())
            }
        }
    }
}
