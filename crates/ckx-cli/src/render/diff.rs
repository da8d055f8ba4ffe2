//! Differences as text: a summary, then a line each with its mark.

use anstyle::{AnsiColor, Style};
use ckx_core::diff::{Change, Diff, KindSummary, Mark, MemoryChange, Row, Side};
use ckx_core::model::container::Engine;
use ckx_core::outline::{Cell, Outline, Table};
use ckx_core::{Checkpoint, Time};
use schemars::JsonSchema;
use serde::Serialize;

use crate::render::document::SourceLine;
use crate::render::value::{HEADING, Look, Span, columns, cut};
use crate::render::{flow, text};

/// One of the two checkpoints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Subject {
    /// Where it lies.
    #[serde(flatten)]
    pub source: SourceLine,
    /// What made it.
    pub engine: Engine,
    /// Name of the container.
    pub name: Option<String>,
    /// Id of the container.
    pub id: Option<String>,
    /// When the dump was made, RFC 3339.
    pub checkpointed: Option<Time>,
}

impl From<&Checkpoint> for Subject {
    fn from(checkpoint: &Checkpoint) -> Self {
        let container = checkpoint.container();
        Self {
            source: checkpoint.archive().source().into(),
            engine: container.engine,
            name: container.name.clone(),
            id: container.id.clone(),
            checkpointed: container.checkpointed,
        }
    }
}

/// Draws a comparison; with `stat` only its summary.
pub fn draw(sources: [&Subject; 2], diff: &Diff, stat: bool, look: Look) -> String {
    let mut page = Page { look, out: String::new() };
    for (mark, subject) in [("---", sources[0]), ("+++", sources[1])] {
        page.line(vec![Span::styled(mark, HEADING), Span::plain(format!(" {}", subject.source.path))]);
        let name = subject.name.as_ref().or(subject.id.as_ref());
        let time = subject.checkpointed.map(|time| format!("checkpointed {}", time.to_seconds()));
        let words = [Some(subject.engine.name().to_owned()), name.cloned(), time];
        let words: Vec<String> = words.into_iter().flatten().collect();
        page.line(look.spans(&Cell::Faint(format!("    {}", words.join(" ")))));
    }
    page.pairs(diff);
    page.out.push('\n');
    text::section("summary", &summary(diff), look, &mut page.out);
    if !stat {
        for kind in &diff.kinds {
            page.kind(kind, diff);
        }
    }
    page.issues(diff);
    page.out
}

/// Counts per kind; kinds without a difference are left out.
fn summary(diff: &Diff) -> Outline {
    let mut outline = Outline::new();
    let mut table = Table::new(&["KIND", "ADDED", "GONE", "CHANGED"]);
    for kind in diff.kinds.iter().filter(|kind| kind.total() > 0) {
        let count = |count: u64| Cell::or_dash((count > 0).then_some(count));
        table.row(vec![Cell::from(kind.kind), count(kind.added), count(kind.removed), count(kind.changed)]);
    }
    if table.rows.is_empty() {
        outline.line(if diff.issues.is_empty() {
            "no difference"
        } else {
            "no difference in what could be read"
        });
    }
    outline.table(table);
    let is_hashed = |memory: &MemoryChange| memory.changed_pages > 0 && memory.changed_bytes.is_none();
    if diff.changes.iter().filter_map(|change| change.memory.as_deref()).any(is_hashed) {
        outline.line(Cell::Faint(
            "pages of a large compressed source are compared by hash: unpack it to see bytes".to_owned(),
        ));
    }
    let apart: Vec<&KindSummary> = diff.kinds.iter().filter(|kind| kind.of_dump > 0).collect();
    if !apart.is_empty() {
        let names: Vec<&str> = apart.iter().map(|kind| kind.kind).collect();
        let count: u64 = apart.iter().map(|kind| kind.of_dump).sum();
        let plural = if count == 1 { "difference belongs" } else { "differences belong" };
        outline.line(Cell::Faint(format!(
            "{count} {plural} to the dump, not to the container: see --with-dump"
        )));
        outline.line(Cell::Faint(format!("  ({})", names.join(", "))));
    }
    outline
}

struct Page {
    look: Look,
    out: String,
}

impl Page {
    fn line(&mut self, spans: Vec<Span>) {
        let spans = match self.look.width {
            Some(width) => cut(spans, width.max(20)),
            None => spans,
        };
        self.look.paint(&spans, &mut self.out);
        self.out.push('\n');
    }

    /// Pairs that a reader would not expect.
    fn pairs(&mut self, diff: &Diff) {
        for pair in diff.pairs.iter().filter(|pair| pair.before != pair.after) {
            let text =
                format!("    process {} is {} in the second, by {}", pair.before, pair.after, pair.by.word());
            self.line(self.look.spans(&Cell::Faint(text)));
        }
    }

    fn kind(&mut self, kind: &KindSummary, diff: &Diff) {
        let changes = diff.changes.iter().filter(|change| change.kind == kind.kind && !change.of_dump);
        let mut changes = changes.peekable();
        if changes.peek().is_none() {
            return;
        }
        self.out.push('\n');
        self.line(vec![Span::styled(kind.kind, HEADING)]);
        for change in changes {
            self.change(change);
        }
    }

    fn change(&mut self, change: &Change) {
        let name = self.look.spans(&Cell::Text(change.path.clone()));
        let pieces = change.values().iter().flat_map(|cell| self.pieces(cell)).collect();
        let lines = flow::under(name, pieces, [MARGIN, MARGIN + 2], self.look.width);
        for (at, line) in lines.into_iter().enumerate() {
            let mut spans = match at {
                0 => vec![
                    Span::plain("  "),
                    Span::styled(change.mark.sign(), style(change.mark)),
                    Span::plain(" "),
                ],
                _ => vec![Span::plain(" ".repeat(MARGIN + 2))],
            };
            spans.extend(line);
            self.line(spans);
        }
        if let Some(memory) = &change.memory {
            self.memory(memory);
        }
    }

    /// A cell as a piece of a line; a field with both its values as two if one line cannot have them.
    fn pieces(&self, cell: &Cell) -> Vec<Vec<Span>> {
        let spans = self.look.spans(cell);
        let is_wide = self.look.width.is_some_and(|width| columns(&spans) + MARGIN + 2 > width);
        match cell {
            Cell::Line(cells) if is_wide && matches!(cells.last(), Some(Cell::Line(_))) => {
                cells.iter().map(|cell| self.look.spans(cell)).collect()
            }
            _ => vec![spans],
        }
    }

    fn memory(&mut self, memory: &MemoryChange) {
        let has_rows = memory.ranges.iter().any(|range| !range.rows.is_empty());
        let shown = if has_rows { memory.ranges.len() } else { MAX_RANGES };
        for range in memory.ranges.iter().take(shown) {
            self.line(vec![Span::plain(format!("      {range}"))]);
            range.rows.iter().for_each(|row| self.row(row));
        }
        let more = memory.more_ranges + memory.ranges.len().saturating_sub(shown) as u64;
        if more > 0 {
            let text = format!("      and {more} more ranges: see --bytes or --format json");
            self.line(self.look.spans(&Cell::Faint(text)));
        }
    }

    /// Sixteen bytes before and after, as a hexdump.
    fn row(&mut self, row: &Row) {
        for (mark, bytes) in [(Mark::Removed, &row.before), (Mark::Added, &row.after)] {
            let Some(bytes) = bytes else { continue };
            let text = format!(" {:012x}  {}", row.address, dump(bytes));
            self.line(vec![
                Span::plain("        "),
                Span::styled(mark.sign(), style(mark)),
                Span::styled(text, style(mark)),
            ]);
        }
    }

    /// What could not be compared. Reasons are not cut.
    fn issues(&mut self, diff: &Diff) {
        if diff.issues.is_empty() {
            return;
        }
        let mut outline = Outline::new();
        for issue in diff.issues.iter().take(MAX_ISSUES) {
            let side = match issue.side {
                Side::Before => "A:",
                Side::After => "B:",
            };
            let cells =
                vec![Cell::Marked("!".to_owned()), Cell::from(side), Cell::Text(issue.issue.to_string())];
            outline.line(Cell::Line(cells));
        }
        if diff.issues.len() > MAX_ISSUES {
            outline.line(Cell::Faint(format!(
                "and {} more; --format json lists all",
                diff.issues.len() - MAX_ISSUES
            )));
        }
        self.out.push('\n');
        text::section("warnings", &outline, Look { width: None, ..self.look }, &mut self.out);
    }
}

/// Hexadecimal digits as a hexdump has them, with the characters beside.
fn dump(digits: &str) -> String {
    let bytes: Vec<u8> = digits
        .as_bytes()
        .chunks(2)
        .filter_map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok())
        .collect();
    let mut out = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        let gap = if at == 8 { "  " } else { " " };
        out.push_str(if at == 0 { "" } else { gap });
        out.push_str(&format!("{byte:02x}"));
    }
    let chars = bytes.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' });
    format!("{out}  |{}|", chars.collect::<String>())
}

/// Columns before a change: those of its mark.
const MARGIN: usize = 4;

/// Ranges of a mapping that text shows.
const MAX_RANGES: usize = 4;

/// Warnings that text shows.
const MAX_ISSUES: usize = 20;

fn style(mark: Mark) -> Style {
    match mark {
        Mark::Added => AnsiColor::Green.on_default(),
        Mark::Removed => AnsiColor::Red.on_default(),
        Mark::Changed => AnsiColor::Yellow.on_default(),
        Mark::Same => Style::new().dimmed(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn drawn(path: &str, before: Value, after: Value, width: usize) -> String {
        let change = Change {
            kind: "rootfs",
            mark: Mark::Changed,
            path: path.to_owned(),
            before: Some(before),
            after: Some(after),
            redacted: false,
            of_dump: false,
            remark: None,
            memory: None,
        };
        let look = Look { width: Some(width), ..Look::default() };
        let mut page = Page { look, out: String::new() };
        page.change(&change);
        page.out
    }

    #[test]
    fn long_changes_have_both_sides_on_a_narrow_screen() {
        let file = |mtime: u64, content: &str| json!({ "mtime_s": mtime, "content_xxh3": content });
        let text = drawn(
            "rootfs[/usr/share/nginx/html/assets/images/products/2026/index.html]",
            file(1_795_452_801, "00112233445566778899aabbccddeeff"),
            file(1_795_452_940, "ffeeddccbbaa99887766554433221100"),
            80,
        );
        let expected = [
            "  ~ rootfs[/usr/share/nginx/html/assets/images/products/2026/index.html]",
            "      content 00112233 -> ffeeddcc,",
            "      mtime 2026-11-23T16:53:21Z -> 2026-11-23T16:55:40Z",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        let long = |word: &str| json!(format!("/opt/{}/{word}", "x/".repeat(60)));
        let text = drawn("proc[7].cwd", long("before"), long("after"), 80);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  ~ proc[7].cwd");
        assert!(lines[1].starts_with("      /opt/x/") && lines[1].ends_with("/before"), "{text}");
        assert!(lines[2].starts_with("      -> /opt/x/") && lines[2].ends_with("/after"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(drawn("a.b", json!(1), json!(2), 80), "  ~ a.b 1 -> 2\n");
    }
}
