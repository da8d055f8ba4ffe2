//! An outline as a flat list of rows that can be folded. Rows become text when they are on the screen.

use ckx_core::outline::{Cell, Node, Outline};
use ratatui::text::{Line, Span};

use crate::text::{columns, fit, line, padded, shown, spans};
use crate::theme::Look;

/// Levels that are indented; deeper ones stand below each other.
const MAX_DEPTH: usize = 40;

/// Spaces between columns.
const GAP: usize = 2;

/// Narrower than this no column is cut to.
const MIN_COLUMN: usize = 8;

/// All rows of an outline, top down.
#[derive(Debug, Default)]
pub struct Rows {
    rows: Vec<Row>,
    tables: Vec<Columns>,
}

/// A row.
#[derive(Debug)]
pub struct Row {
    depth: u8,
    /// Bit `n` tells that level `n` goes on below this row.
    guides: u64,
    /// Whether branches are drawn.
    in_tree: bool,
    /// Index behind the rows below it.
    end: u32,
    /// The group that it is in.
    parent: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a row is.
#[derive(Debug)]
pub enum Kind {
    /// A name with a value, and columns that the name takes.
    Field(String, Cell, u16),
    /// A line with more below it.
    Group(Vec<Cell>),
    /// Headings of a table.
    Headings(u32),
    /// A row of a table.
    Cells(u32, Vec<Cell>),
    /// A line of text.
    Line(Cell),
}

/// Columns of a table.
#[derive(Debug)]
struct Columns {
    names: Vec<&'static str>,
    widths: Vec<usize>,
    numeric: Vec<bool>,
    /// Columns without any value, which make room where there is too little.
    empty: Vec<bool>,
}

/// No row.
const NONE: u32 = u32::MAX;

impl From<Outline> for Rows {
    fn from(outline: Outline) -> Self {
        let mut rows = Self::default();
        // A stack of our own: the tree is as deep as the checkpoint says.
        let mut open = vec![Level {
            nodes: outline.nodes.into_iter(),
            parent: NONE,
            in_tree: false,
            guides: 0,
            name: 0,
        }];
        while let Some(mut level) = open.pop() {
            let Some(node) = level.nodes.next() else {
                rows.close(level.parent);
                continue;
            };
            let depth = open.len().min(MAX_DEPTH);
            let more = level.nodes.as_slice().iter().any(|node| matches!(node, Node::Group(..)));
            let guides = level.guides | u64::from(more) << depth;
            let head = Head { depth, guides, in_tree: level.in_tree, parent: level.parent };
            if !matches!(node, Node::Field(..)) {
                level.name = 0;
            }
            match node {
                Node::Field(name, value) => {
                    if level.name == 0 {
                        level.name = name_width(&name, level.nodes.as_slice());
                    }
                    rows.push(&head, Kind::Field(name, value, level.name));
                    open.push(level);
                }
                Node::Group(cells, children) => {
                    let at = rows.push(&head, Kind::Group(cells));
                    let in_tree = children.iter().any(|child| matches!(child, Node::Group(..)));
                    let in_tree = in_tree || level.in_tree;
                    open.push(level);
                    open.push(Level { nodes: children.into_iter(), parent: at, in_tree, guides, name: 0 });
                }
                Node::Table(table) => {
                    rows.table(&head, table);
                    open.push(level);
                }
                Node::Lines(lines) => {
                    for cell in lines {
                        rows.push(&head, Kind::Line(cell));
                    }
                    open.push(level);
                }
            }
        }
        rows
    }
}

struct Level {
    nodes: std::vec::IntoIter<Node>,
    parent: u32,
    in_tree: bool,
    guides: u64,
    name: u16,
}

struct Head {
    depth: usize,
    guides: u64,
    in_tree: bool,
    parent: u32,
}

/// Columns of the names of fields that follow each other.
fn name_width(first: &str, rest: &[Node]) -> u16 {
    let names = rest.iter().map_while(|node| match node {
        Node::Field(name, _) => Some(name.chars().count()),
        _ => None,
    });
    let widest = names.chain([first.chars().count()]).filter(|width| *width <= 40).max().unwrap_or(0);
    u16::try_from(widest).unwrap_or(40).max(1)
}

impl Rows {
    fn push(&mut self, head: &Head, kind: Kind) -> u32 {
        let at = u32::try_from(self.rows.len()).unwrap_or(NONE - 1);
        let depth = u8::try_from(head.depth).unwrap_or(u8::MAX);
        let Head { guides, in_tree, parent, .. } = *head;
        self.rows.push(Row { depth, guides, in_tree, end: at + 1, parent, kind });
        at
    }

    /// Everything that follows is not below this row.
    fn close(&mut self, at: u32) {
        let end = u32::try_from(self.rows.len()).unwrap_or(NONE);
        if let Some(row) = self.rows.get_mut(at as usize) {
            row.end = end;
        }
    }

    fn table(&mut self, head: &Head, table: ckx_core::outline::Table) {
        let id = u32::try_from(self.tables.len()).unwrap_or(NONE);
        let mut widths: Vec<usize> = table.columns.iter().map(|name| name.len()).collect();
        // Columns of numbers, apart from cells without a value.
        let mut kinds = vec![(false, true); widths.len()];
        for row in &table.rows {
            for ((width, (any, all)), cell) in widths.iter_mut().zip(&mut kinds).zip(row) {
                *width = (*width).max(unicode_width::UnicodeWidthStr::width(shown(cell).as_str()));
                if !matches!(cell, Cell::Faint(_)) {
                    *any = true;
                    *all &= cell.is_number();
                }
            }
        }
        let empty = kinds.iter().map(|(any, _)| !any && !table.rows.is_empty()).collect();
        let numeric = kinds.into_iter().map(|(any, all)| any && all).collect();
        self.tables.push(Columns { names: table.columns, widths, numeric, empty });
        self.push(head, Kind::Headings(id));
        for cells in table.rows {
            self.push(head, Kind::Cells(id, cells));
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// A row.
    pub fn get(&self, at: usize) -> Option<&Row> {
        self.rows.get(at)
    }

    /// Whether there are rows below it.
    pub fn is_foldable(&self, at: usize) -> bool {
        self.rows.get(at).is_some_and(|row| row.end as usize > at + 1)
    }

    /// The group that a row is in.
    pub fn parent(&self, at: usize) -> Option<usize> {
        self.rows.get(at).map(|row| row.parent).filter(|parent| *parent != NONE).map(|parent| parent as usize)
    }

    /// Rows that are shown while some are folded.
    pub fn unfolded(&self, is_folded: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut shown = Vec::with_capacity(self.rows.len());
        let mut at = 0;
        while let Some(row) = self.rows.get(at) {
            shown.push(u32::try_from(at).unwrap_or(NONE));
            at = if is_folded(at) { (row.end as usize).max(at + 1) } else { at + 1 };
        }
        shown
    }

    /// Rows whose text has a word in it, with what they are below. `stop` is asked now and then.
    pub fn filtered(&self, filter: &str, stop: &dyn Fn() -> bool) -> Vec<u32> {
        let filter = filter.to_lowercase();
        let mut keep = vec![false; self.rows.len()];
        let mut heading = None;
        for (at, row) in self.rows.iter().enumerate() {
            if at % 4096 == 0 && stop() {
                break;
            }
            if let Kind::Headings(_) = row.kind {
                heading = Some(at);
                continue;
            }
            if !self.text(at).to_lowercase().contains(&filter) {
                continue;
            }
            let mut above = Some(at);
            while let Some(one) = above.filter(|one| keep.get(*one) == Some(&false)) {
                keep[one] = true;
                above = self.parent(one);
            }
            if let (Kind::Cells(..), Some(heading)) = (&row.kind, heading) {
                keep[heading] = true;
            }
        }
        let kept = keep.iter().enumerate().filter(|(_, keep)| **keep);
        kept.map(|(at, _)| u32::try_from(at).unwrap_or(NONE)).collect()
    }

    /// The plain text of a row.
    pub fn text(&self, at: usize) -> String {
        let cells = |cells: &[Cell]| cells.iter().map(Cell::to_string).collect::<Vec<_>>().join(" ");
        match self.rows.get(at).map(|row| &row.kind) {
            Some(Kind::Field(name, value, _)) => format!("{} {value}", crate::text::safe(name)),
            Some(Kind::Group(line) | Kind::Cells(_, line)) => cells(line),
            Some(Kind::Line(cell)) => cell.to_string(),
            Some(Kind::Headings(table)) => self.names(*table).join(" "),
            None => String::new(),
        }
    }

    /// Names of the columns of a table.
    pub fn names(&self, table: u32) -> &[&'static str] {
        self.tables.get(table as usize).map(|table| table.names.as_slice()).unwrap_or_default()
    }

    /// What a row says, as names with values: what is too long for its line is read here.
    pub fn spelled(&self, at: usize) -> Vec<(String, String)> {
        match self.rows.get(at).map(|row| &row.kind) {
            Some(Kind::Field(name, value, _)) => vec![(crate::text::safe(name), shown(value))],
            Some(Kind::Cells(table, cells)) => {
                let names = self.names(*table).iter().map(|name| (*name).to_owned());
                names.zip(cells.iter().map(shown)).collect()
            }
            Some(Kind::Group(cells)) => {
                vec![(String::new(), cells.iter().map(shown).collect::<Vec<_>>().join(" "))]
            }
            Some(Kind::Line(cell)) => vec![(String::new(), shown(cell))],
            _ => Vec::new(),
        }
    }

    /// A row as a line of the screen.
    pub fn line(&self, at: usize, width: usize, is_folded: bool, look: Look) -> Line<'static> {
        let Some(row) = self.rows.get(at) else { return Line::default() };
        let mut all = vec![Span::styled(self.prefix(at, row, width, is_folded, look), look.theme.faint)];
        let room = width.saturating_sub(columns(&all));
        let mut rest = Vec::new();
        match &row.kind {
            Kind::Field(name, value, columns) => {
                let most = (room / 2).max(MIN_COLUMN);
                let wide = usize::from(*columns).min(most);
                let name = vec![Span::styled(crate::text::safe(name), look.theme.name)];
                rest.extend(padded(name, wide, false, look));
                rest.push(Span::raw("  "));
                spans(value, look, &mut rest);
            }
            Kind::Group(cells) => line(cells, look, &mut rest),
            Kind::Line(cell) => spans(cell, look, &mut rest),
            Kind::Headings(table) => {
                let Some(table) = self.tables.get(*table as usize) else { return Line::default() };
                let name = |name: &&str| vec![Span::styled((*name).to_owned(), look.theme.heading)];
                rest = table.line(table.names.iter().map(name).collect(), room, look);
            }
            Kind::Cells(table, cells) => {
                let Some(table) = self.tables.get(*table as usize) else { return Line::default() };
                let cell = |cell: &Cell| {
                    let mut all = Vec::new();
                    spans(cell, look, &mut all);
                    all
                };
                rest = table.line(cells.iter().map(cell).collect(), room, look);
            }
        }
        all.extend(fit(rest, room, look));
        Line::from(all)
    }

    /// Branches and what tells folding; half of a narrow screen is left for the text.
    fn prefix(&self, at: usize, row: &Row, width: usize, is_folded: bool, look: Look) -> String {
        let depth = usize::from(row.depth).min(width / 4);
        let goes_on = |level: usize| row.guides >> level & 1 == 1;
        let mut prefix = String::new();
        for level in 1..depth {
            let guide = if row.in_tree && goes_on(level) { look.pick("│ ", "| ") } else { "  " };
            prefix.push_str(guide);
        }
        let is_group = matches!(row.kind, Kind::Group(_));
        if depth > 0 {
            prefix.push_str(match (row.in_tree && is_group, goes_on(depth)) {
                (true, true) => look.pick("├─", "|-"),
                (true, false) => look.pick("└─", "`-"),
                (false, true) if row.in_tree => look.pick("│ ", "| "),
                (false, _) => "  ",
            });
        }
        if is_group {
            prefix.push_str(match (self.is_foldable(at), is_folded) {
                (true, true) => look.pick("▸ ", "+ "),
                (true, false) => look.pick("▾ ", "- "),
                (false, _) => "  ",
            });
        }
        prefix
    }
}

impl Columns {
    /// Widths of the columns on a screen, and the spaces between them. Where there is too little room,
    /// empty columns go, then the widest become narrower, then the spaces.
    fn fitted(&self, room: usize) -> (Vec<usize>, usize) {
        let total = |widths: &[usize], gap: usize| {
            let shown = widths.iter().filter(|width| **width > 0).count();
            widths.iter().sum::<usize>() + gap * shown.saturating_sub(1)
        };
        let mut widths = self.widths.clone();
        if total(&widths, GAP) > room {
            let empty = widths.iter_mut().zip(&self.empty).filter(|(_, empty)| **empty);
            empty.for_each(|(width, _)| *width = 0);
        }
        let mut excess = total(&widths, GAP).saturating_sub(room);
        while excess > 0 {
            let Some(widest) = widths.iter_mut().max().filter(|width| **width > MIN_COLUMN) else { break };
            *widest -= 1;
            excess -= 1;
        }
        let gap = if total(&widths, GAP) > room { 1 } else { GAP };
        (widths, gap)
    }

    fn line(&self, cells: Vec<Vec<Span<'static>>>, room: usize, look: Look) -> Vec<Span<'static>> {
        let (widths, gap) = self.fitted(room);
        let mut out = Vec::new();
        for (at, cell) in cells.into_iter().enumerate() {
            let Some(width) = widths.get(at).copied().filter(|width| *width > 0) else { continue };
            if !out.is_empty() {
                out.push(Span::raw(" ".repeat(gap)));
            }
            out.extend(padded(cell, width, self.numeric.get(at) == Some(&true), look));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use ckx_core::outline::Table;

    use super::*;

    const LOOK: Look = Look { theme: crate::theme::THEMES[0].1, ascii: true };

    fn group(line: &str, children: Vec<Node>) -> Node {
        Node::Group(vec![Cell::from(line)], children)
    }

    fn example() -> Rows {
        let mut outline = Outline::new();
        outline.field("a", "1");
        outline.field("long name", Cell::Bytes(2048));
        outline
            .nodes
            .push(group("root", vec![group("child", vec![group("deep", vec![])]), group("last", vec![])]));
        let mut table = Table::new(&["FD", "PATH"]);
        table.row(vec![Cell::Count(3), Cell::from("/usr/lib/libc.so.6")]);
        table.row(vec![Cell::Count(12), Cell::from("pipe")]);
        outline.table(table);
        outline.into()
    }

    fn drawn(rows: &Rows, shown: &[u32], folded: &[usize]) -> Vec<String> {
        let line = |at: &u32| rows.line(*at as usize, 30, folded.contains(&(*at as usize)), LOOK).to_string();
        shown.iter().map(line).map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn rows_fold_and_have_branches() {
        let rows = example();
        let all = drawn(&rows, &rows.unfolded(|_| false), &[]);
        let expected = [
            "a          1",
            "long name  2.0 KiB",
            "- root",
            "|-- child",
            "| `-  deep",
            "`-  last",
            "FD  PATH",
            " 3  /usr/lib/libc.so.6",
            "12  pipe",
        ];
        assert_eq!(all, expected);
        let folded = drawn(&rows, &rows.unfolded(|at| at == 2), &[2]);
        assert_eq!(folded[2..4], ["+ root", "FD  PATH"]);
    }

    #[test]
    fn a_filter_keeps_what_the_rows_are_below() {
        let rows = example();
        let shown = |filter| drawn(&rows, &rows.filtered(filter, &|| false), &[]);
        assert_eq!(shown("DEEP"), ["- root", "|-- child", "| `-  deep"]);
        assert_eq!(shown("libc"), ["FD  PATH", " 3  /usr/lib/libc.so.6"]);
        assert!(shown("nothing").is_empty());
    }

    #[test]
    fn chains_of_any_length_are_rows() {
        let mut node = group("0", vec![]);
        for depth in 1..20_000 {
            node = Node::Group(vec![Cell::Count(depth)], vec![node]);
        }
        let rows = Rows::from(Outline { nodes: vec![node] });
        assert_eq!(rows.unfolded(|_| false).len(), 20_000);
        assert_eq!(rows.unfolded(|at| at == 0).len(), 1);
        assert!(rows.line(19_999, 30, false, LOOK).to_string().chars().count() <= 30);
        assert_eq!(rows.filtered("19999", &|| false), [0]);
    }
}
