//! Cells as styled text. All text of a checkpoint goes to the screen through here.

use ckx_core::outline::{Cell, duration, size};
use ckx_criu::text::escaped;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::theme::Look;

/// Text without anything that moves a cursor, turns the direction of writing or is no text.
pub fn safe(bytes: impl AsRef<[u8]>) -> String {
    escaped(bytes.as_ref()).to_string()
}

/// The spans of a cell.
pub fn spans(cell: &Cell, look: Look, out: &mut Vec<Span<'static>>) {
    let theme = look.theme;
    let span = match cell {
        Cell::Text(text) => Span::raw(safe(text)),
        Cell::Name(name) => Span::raw(name.to_string()),
        Cell::Count(number) => Span::raw(number.to_string()),
        Cell::Bytes(bytes) => Span::raw(size(*bytes)),
        Cell::Address(address) => Span::raw(format!("{address:#x}")),
        Cell::Micros(micros) => Span::raw(duration(*micros)),
        Cell::Marked(text) => Span::styled(safe(text), theme.marked),
        Cell::Faint(text) => Span::styled(safe(text), theme.faint),
        Cell::Absent(reason) => Span::styled(format!("({})", safe(reason)), theme.faint),
        Cell::Line(cells) => return line(cells, look, out),
    };
    out.push(span);
}

/// Cells with spaces between them.
pub fn line(cells: &[Cell], look: Look, out: &mut Vec<Span<'static>>) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push(Span::raw(" "));
        }
        spans(cell, look, out);
    }
}

/// The text of a cell as it is shown, without styles.
pub fn shown(cell: &Cell) -> String {
    let look = Look { theme: crate::theme::THEMES[0].1, ascii: false };
    let mut all = Vec::new();
    spans(cell, look, &mut all);
    all.iter().map(|span| span.content.as_ref()).collect()
}

/// Columns that spans take.
pub fn columns(spans: &[Span<'_>]) -> usize {
    spans.iter().map(|span| span.content.width()).sum()
}

/// Makes text fit: what is too long is cut in its middle, so that the end of a path stays visible.
pub fn fit(all: Vec<Span<'static>>, width: usize, look: Look) -> Vec<Span<'static>> {
    let total = columns(&all);
    if total <= width {
        return all;
    }
    let mark = look.pick("…", "~");
    let keep_end = width.saturating_sub(1) / 3;
    let keep_start = width.saturating_sub(1 + keep_end);
    let mut out = Vec::with_capacity(all.len() + 1);
    let (mut at, mut is_cut) = (0, false);
    for span in all {
        let mut text = String::new();
        for char in span.content.chars() {
            let wide = char.width().unwrap_or(0);
            if at + wide <= keep_start || at >= total - keep_end {
                text.push(char);
            } else if !is_cut && width > 0 {
                is_cut = true;
                text.push_str(mark);
            }
            at += wide;
        }
        out.push(Span::styled(text, span.style));
    }
    out
}

/// Makes text exactly this wide.
pub fn padded(all: Vec<Span<'static>>, width: usize, right: bool, look: Look) -> Vec<Span<'static>> {
    let mut all = fit(all, width, look);
    let padding = width.saturating_sub(columns(&all));
    if padding > 0 {
        let at = if right { 0 } else { all.len() };
        all.insert(at, Span::raw(" ".repeat(padding)));
    }
    all
}

/// A line of one style over everything that has none of its own.
pub fn over(mut line: Line<'static>, style: Style) -> Line<'static> {
    for span in &mut line.spans {
        span.style = span.style.patch(style);
    }
    line.style = line.style.patch(style);
    line
}

/// Text broken into lines of a width, at spaces where there are any near.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut out = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let wide = word.trim_end().width();
        if used > 0 && used + wide > width {
            out.push(String::new());
            used = 0;
        }
        for char in word.chars() {
            let wide = char.width().unwrap_or(0);
            if used + wide > width {
                if char == ' ' {
                    continue;
                }
                out.push(String::new());
                used = 0;
            }
            if let Some(line) = out.last_mut() {
                line.push(char);
            }
            used += wide;
        }
    }
    out
}

/// Replaces what is not ASCII, for terminals that have nothing else.
pub fn ascii(line: Line<'static>) -> Line<'static> {
    let style = line.style;
    let plain = |text: &str| -> String {
        text.chars()
            .map(|char| if char.is_ascii() { char.to_string() } else { char.escape_unicode().to_string() })
            .collect()
    };
    let spans: Vec<_> =
        line.spans.into_iter().map(|span| Span::styled(plain(&span.content), span.style)).collect();
    Line::from(spans).style(style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::THEMES;

    const LOOK: Look = Look { theme: THEMES[0].1, ascii: false };

    fn text(spans: &[Span<'_>]) -> String {
        spans.iter().map(|span| span.content.as_ref()).collect()
    }

    #[test]
    fn what_is_too_long_is_cut_in_its_middle() {
        let all = || vec![Span::raw("/usr/lib/x86_64"), Span::raw("-linux-gnu/libc.so.6")];
        assert_eq!(text(&fit(all(), 16, LOOK)), "/usr/lib/x….so.6");
        assert_eq!(text(&fit(all(), 100, LOOK)), "/usr/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(text(&fit(all(), 0, LOOK)), "");
        for width in 0..40 {
            let wide = fit(vec![Span::raw("日本語の名前 with 広い characters")], width, LOOK);
            assert!(columns(&wide) <= width, "{width}: {:?}", text(&wide));
        }
    }

    #[test]
    fn no_text_of_a_checkpoint_can_move_the_cursor_or_turn_the_line() {
        for bad in ["a\x1b[2Jb", "a\rb", "\u{202e}txt.exe", "\u{9b}31m", "a\nb", "\u{2066}x"] {
            for cell in
                [Cell::from(bad), Cell::Name(bad.into()), Cell::Marked(bad.into()), Cell::Absent(bad.into())]
            {
                let shown = shown(&cell);
                let harmless = |char: char| !char.is_control() && !('\u{2000}'..='\u{206f}').contains(&char);
                assert!(shown.chars().all(harmless), "{shown:?}");
            }
        }
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrapped("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrapped("abcdefghijkl", 8), ["abcdefgh", "ijkl"]);
    }
}
