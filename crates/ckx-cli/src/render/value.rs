//! Single values as people read them.

use anstyle::{AnsiColor, Style};
use ckx_core::outline::{self, Cell, duration};
use ckx_criu::text::escaped;

/// How values are shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Columns of the terminal; `None` to cut nothing.
    pub width: Option<usize>,
    /// Colours.
    pub color: bool,
    /// Sizes as numbers of bytes.
    pub bytes: bool,
}

pub const HEADING: Style = Style::new().bold();
pub const NAME: Style = AnsiColor::Cyan.on_default();
const MARKED: Style = AnsiColor::Yellow.on_default().bold();
const FAINT: Style = Style::new().dimmed();

/// A run of text in one style.
#[derive(Debug, Clone)]
pub struct Span {
    pub text: String,
    pub style: Style,
}

impl Span {
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new() }
    }

    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl Look {
    /// A cell as styled text. Nothing in it can move a cursor.
    pub fn spans(self, cell: &Cell) -> Vec<Span> {
        let safe = |text: &str| escaped(text.as_bytes()).to_string();
        let span = match cell {
            Cell::Text(text) => Span::plain(safe(text)),
            Cell::Name(name) => Span::plain(name.to_string()),
            Cell::Count(number) => Span::plain(number.to_string()),
            Cell::Bytes(bytes) => Span::plain(self.size(*bytes)),
            Cell::Address(address) => Span::plain(format!("{address:#x}")),
            Cell::Micros(micros) => Span::plain(duration(*micros)),
            Cell::Marked(text) => Span::styled(safe(text), MARKED),
            Cell::Faint(text) => Span::styled(safe(text), FAINT),
            Cell::Absent(reason) => Span::styled(format!("({})", safe(reason)), FAINT),
            Cell::Line(cells) => return self.line(cells),
        };
        vec![span]
    }

    /// Columns that a cell takes, without drawing it where that is easily told.
    pub fn columns(self, cell: &Cell) -> usize {
        let plain = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, 0x20..0x7f)).then_some(bytes.len());
        let told = match cell {
            Cell::Text(text) | Cell::Marked(text) | Cell::Faint(text) => plain(text.as_bytes()),
            Cell::Name(name) => plain(name.as_bytes()),
            Cell::Count(number) => Some(number.checked_ilog10().unwrap_or(0) as usize + 1),
            _ => None,
        };
        told.unwrap_or_else(|| columns(&self.spans(cell)))
    }

    /// Cells with spaces between them.
    pub fn line(self, cells: &[Cell]) -> Vec<Span> {
        let mut spans = Vec::new();
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                spans.push(Span::plain(" "));
            }
            spans.extend(self.spans(cell));
        }
        spans
    }

    /// A size, with a unit unless numbers were asked for.
    pub fn size(self, bytes: u64) -> String {
        if self.bytes {
            return bytes.to_string();
        }
        outline::size(bytes)
    }

    /// Writes spans, with their styles if colours are on.
    pub fn paint(self, spans: &[Span], out: &mut String) {
        for span in spans {
            if self.color && span.style != Style::new() {
                out.push_str(&format!("{}{}{:#}", span.style, span.text, span.style));
            } else {
                out.push_str(&span.text);
            }
        }
    }
}

/// Columns that text takes. Wide characters count as one: close enough for aligning, and names in
/// checkpoints hardly have them.
pub fn columns(spans: &[Span]) -> usize {
    spans.iter().map(|span| span.text.chars().count()).sum()
}

/// Cuts text in its middle, so that the end of a path stays visible.
pub fn cut(spans: Vec<Span>, width: usize) -> Vec<Span> {
    cut_before(spans, width, 0)
}

/// The same, with at least `end` columns of the end, as far as some of the beginning stays too.
pub fn cut_before(spans: Vec<Span>, width: usize, end: usize) -> Vec<Span> {
    let total = columns(&spans);
    if total <= width || width == 0 {
        return spans;
    }
    let keep_end = end.min(width * 4 / 5).max((width - 1) / 3);
    let keep_start = width - 1 - keep_end;
    let mut out: Vec<Span> = Vec::new();
    let mut position = 0;
    for span in spans {
        let mut text = String::new();
        for char in span.text.chars() {
            if position < keep_start || position >= total - keep_end {
                text.push(char);
            } else if position == keep_start {
                text.push('…');
            }
            position += 1;
        }
        out.push(Span { text, style: span.style });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        let look = Look::default();
        let sizes = [0, 1023, 1024, 1536, 1_048_575, 1 << 20, u64::MAX].map(|bytes| look.size(bytes));
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "16.0 EiB"]);
        assert_eq!(Look { bytes: true, ..look }.size(1536), "1536");
    }

    #[test]
    fn spans_of_time_have_the_unit_that_suits_them() {
        let texts = [7, 1_500, 2_500_000, 61_000_000, 3_661_000_000].map(duration);
        assert_eq!(texts, ["7 us", "1.5 ms", "2.50 s", "1m 01s", "1h 01m 01s"]);
    }

    #[test]
    fn long_text_is_cut_in_its_middle() {
        let text = |width| {
            let spans = vec![Span::plain("/usr/lib/x86_64"), Span::plain("-linux-gnu/libc.so.6")];
            cut(spans, width).into_iter().map(|span| span.text).collect::<String>()
        };
        assert_eq!(text(100), "/usr/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(text(16), "/usr/lib/x….so.6");
        assert_eq!(text(16).chars().count(), 16);
    }

    #[test]
    fn control_characters_are_escaped() {
        let look = Look { color: true, ..Look::default() };
        let mut out = String::new();
        look.paint(&look.spans(&Cell::Text("a\x1b]0;owned\x07".to_owned())), &mut out);
        look.paint(&look.spans(&Cell::Marked("b\x1b[2J".to_owned())), &mut out);
        assert!(out.contains("\x1b[33m"), "our own styles are there: {out:?}");
        assert!(!out.contains("\x1b]") && !out.contains("\x1b[2J") && !out.contains('\x07'), "{out:?}");
    }
}
