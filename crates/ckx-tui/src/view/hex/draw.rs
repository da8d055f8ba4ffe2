//! Rows of bytes as lines.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::rows::Row;
use crate::text::fit;
use crate::theme::Look;

/// Digits of an address.
const ADDRESS: usize = 12;

/// Columns of a row of so many bytes.
const fn columns(bytes: usize) -> usize {
    ADDRESS + 1 + bytes * 3 + bytes
}

/// Bytes of a row on a screen.
pub fn bytes_of_one(width: u16) -> u64 {
    let fits = |bytes: &&usize| columns(**bytes) <= usize::from(width);
    [32, 16, 8].iter().find(fits).map_or(4, |bytes| *bytes as u64)
}

/// Bytes of a row that shows two sides.
pub fn bytes_of_both(width: u16) -> u64 {
    let fits = |bytes: &&usize| ADDRESS + 1 + **bytes * 8 <= usize::from(width);
    [16, 8].iter().find(fits).map_or(4, |bytes| *bytes as u64)
}

/// The byte of a row that a column shows.
pub fn byte_at(column: usize) -> usize {
    column.saturating_sub(ADDRESS + 1) / 3
}

/// The border of a mapping.
pub fn border(text: &str, width: u16, look: Look) -> Line<'static> {
    let width = usize::from(width);
    let rule = look.pick("─", "-");
    let mut spans = vec![Span::styled(format!("{rule}{rule} "), look.theme.faint)];
    spans.extend(fit(vec![Span::styled(text.to_owned(), look.theme.name)], width.saturating_sub(6), look));
    let rest = width.saturating_sub(crate::text::columns(&spans) + 1);
    spans.push(Span::styled(format!(" {}", rule.repeat(rest)), look.theme.faint));
    Line::from(spans)
}

fn hex(byte: Option<u8>) -> String {
    byte.map_or("--".to_owned(), |byte| format!("{byte:02x}"))
}

fn character(byte: Option<u8>) -> char {
    match byte {
        Some(byte) if (0x20..0x7f).contains(&byte) => char::from(byte),
        Some(0) => '.',
        Some(_) => ':',
        None => ' ',
    }
}

fn style(byte: Option<u8>, look: Look) -> Style {
    match byte {
        Some(byte) if (0x20..0x7f).contains(&byte) => look.theme.printable,
        None | Some(0) => look.theme.faint,
        Some(_) => Style::new(),
    }
}

fn address(row: &Row, look: Look) -> [Span<'static>; 2] {
    [
        Span::styled(format!("{:0ADDRESS$x}", row.address), look.theme.name),
        Span::styled(row.origin.letter().to_string(), look.theme.marked),
    ]
}

/// A row of one side.
pub fn one(row: &Row, cursor: u64, per_row: usize, width: u16, has_focus: bool, look: Look) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = address(row, look).into();
    let under = cursor.checked_sub(row.address).and_then(|at| usize::try_from(at).ok());
    let has_gap = per_row > 8 && usize::from(width) > columns(per_row);
    let mark = |at: usize, plain: Style| match under == Some(at) {
        true if has_focus => look.theme.selected,
        true => look.theme.selected_idle,
        false => plain,
    };
    for at in 0..per_row {
        let gap = if has_gap && at == per_row / 2 { " " } else { "" };
        spans.push(Span::raw(gap));
        match row.bytes.get(at) {
            Some(byte) => {
                spans.push(Span::styled(hex(*byte), mark(at, style(*byte, look))));
                spans.push(Span::raw(" "));
            }
            None => spans.push(Span::raw("   ")),
        }
    }
    for (at, byte) in row.bytes.iter().enumerate() {
        spans.push(Span::styled(character(*byte).to_string(), mark(at, style(*byte, look))));
    }
    Line::from(spans)
}

/// A row of both sides: their bytes, then their text; what differs is marked, without colours by `~` too.
pub fn both(row: &Row, cursor: u64, per_row: usize, has_focus: bool, look: Look) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = address(row, look).into();
    let under = cursor.checked_sub(row.address).and_then(|at| usize::try_from(at).ok());
    let differs = |at: usize| row.bytes.get(at).copied().flatten() != row.other.get(at).copied().flatten();
    if (0..row.bytes.len()).any(differs)
        && let Some(letter) = spans.get_mut(1)
    {
        *letter = Span::styled("~", look.theme.changed);
    }
    let mark = |at: usize, side: Style, plain: Style| match (under == Some(at), differs(at)) {
        (true, _) if has_focus => look.theme.selected,
        (_, true) => side.patch(look.theme.heading),
        _ => plain,
    };
    let sides = [(&row.bytes, look.theme.removed), (&row.other, look.theme.added)];
    for (bytes, side) in sides {
        for at in 0..per_row {
            let byte = bytes.get(at).copied().flatten();
            let text = if at < row.bytes.len() { hex(byte) } else { "  ".to_owned() };
            spans.push(Span::styled(text, mark(at, side, style(byte, look))));
            spans.push(Span::raw(if at + 1 == per_row { look.pick("│", "|") } else { " " }));
        }
    }
    for (bytes, side) in sides {
        for at in 0..per_row {
            let byte = bytes.get(at).copied().flatten();
            spans.push(Span::styled(character(byte).to_string(), mark(at, side, style(byte, look))));
        }
        spans.push(Span::raw(look.pick("│", "|")));
    }
    spans.pop();
    Line::from(spans)
}
