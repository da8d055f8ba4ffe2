//! Tables: columns as wide as what is in them, the last one cut to the screen.

use ckx_core::outline::{Cell, Table};

use crate::render::value::{HEADING, Look, Span, columns, cut};

/// Spaces between columns.
const GAP: usize = 2;

/// Narrower than this no column is cut to.
const MIN_LAST: usize = 16;

/// The lines of a table, the heading first, made one by one. `indent` is what will stand before each line.
pub fn lines(table: &Table, look: Look, indent: usize) -> impl Iterator<Item = Vec<Span>> {
    let layout = Layout::of(&table.columns, table.rows.iter().map(Vec::as_slice), look, indent);
    let heading = table.columns.iter().map(|name| vec![Span::styled(*name, HEADING)]).collect();
    let heading = line(heading, &layout.widths, &layout.numeric);
    std::iter::once(heading).chain(table.rows.iter().map(move |row| layout.row(row, look)))
}

/// Leaves out columns, in this order, until those that stay are not cut and the last one has `least`
/// columns of the screen. A cut time or size is of no use to anybody.
pub fn without(mut table: Table, names: &[&str], least: usize, look: Look) -> Table {
    let Some(screen) = look.width else { return table };
    for name in names {
        let widths =
            Layout::of(&table.columns, table.rows.iter().map(Vec::as_slice), Look { width: None, ..look }, 0)
                .widths;
        let last = widths.last().copied().unwrap_or_default();
        let others = widths.iter().sum::<usize>() - last + GAP * widths.len().saturating_sub(1);
        if others + last.min(least) <= screen {
            break;
        }
        if let Some(at) = table.columns.iter().position(|column| column == name) {
            table.columns.remove(at);
            for row in table.rows.iter_mut().filter(|row| at < row.len()) {
                row.remove(at);
            }
        }
    }
    table
}

/// Where the columns of a table are: for tables whose rows are not held, but made twice.
pub struct Layout {
    widths: Vec<usize>,
    numeric: Vec<bool>,
}

impl Layout {
    /// Lays out columns for these rows.
    pub fn of<R: AsRef<[Cell]>>(
        names: &[&str],
        rows: impl Iterator<Item = R>,
        look: Look,
        indent: usize,
    ) -> Self {
        let mut widths: Vec<usize> = names.iter().map(|name| name.chars().count()).collect();
        // Columns of numbers only, apart from cells without a value, if there is any number.
        let mut kinds = vec![(false, true); names.len()];
        for row in rows {
            for ((width, (any, all)), cell) in widths.iter_mut().zip(&mut kinds).zip(row.as_ref()) {
                *width = (*width).max(look.columns(cell));
                if !matches!(cell, Cell::Faint(_)) {
                    *any = true;
                    *all &= cell.is_number();
                }
            }
        }
        fit(&mut widths, look, indent);
        Self { widths, numeric: kinds.into_iter().map(|(any, all)| any && all).collect() }
    }

    /// The line of a row.
    pub fn row(&self, row: &[Cell], look: Look) -> Vec<Span> {
        line(row.iter().map(|cell| look.spans(cell)).collect(), &self.widths, &self.numeric)
    }
}

/// Makes the last column as narrow as the screen asks, and what is then still too wide narrower too.
fn fit(widths: &mut [usize], look: Look, indent: usize) {
    let Some(screen) = look.width else { return };
    let room = screen.saturating_sub(indent);
    let total = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let mut excess = total.saturating_sub(room);
    for width in widths.iter_mut().rev() {
        let can_give = width.saturating_sub(MIN_LAST).min(excess);
        *width -= can_give;
        excess -= can_give;
    }
}

fn line(row: Vec<Vec<Span>>, widths: &[usize], numeric: &[bool]) -> Vec<Span> {
    let mut out = Vec::new();
    let last = row.len().saturating_sub(1);
    for (at, cell) in row.into_iter().enumerate() {
        let width = widths.get(at).copied().unwrap_or_default();
        let cell = cut(cell, width);
        let padding = " ".repeat(width.saturating_sub(columns(&cell)));
        let is_number = numeric.get(at) == Some(&true);
        if is_number {
            out.push(Span::plain(padding.clone()));
        }
        out.extend(cell);
        if at < last {
            if !is_number {
                out.push(Span::plain(padding));
            }
            out.push(Span::plain(" ".repeat(GAP)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use ckx_core::outline::{Cell, Table};

    use super::{lines, without};
    use crate::render::value::Look;

    #[test]
    fn columns_that_matter_less_go_before_others_are_cut() {
        let time = "2026-11-23T17:01:04Z";
        let mut table = Table::new(&["NAME", "IMAGE", "TIME", "PATH"]);
        let cells = ["nginx", "localhost/corpus-nginx:1", time, "/var/lib/kubelet/checkpoints/web.tar"];
        table.row(cells.iter().map(|text| Cell::Text((*text).to_owned())).collect());
        let at = |width| {
            let look = Look { width: Some(width), ..Look::default() };
            let fitting = without(table.clone(), &["IMAGE"], 20, look);
            let rows: Vec<_> = lines(&fitting, look, 0).collect();
            rows.iter().map(|row| row.iter().map(|span| &*span.text).collect::<String>()).collect::<Vec<_>>()
        };
        assert!(at(100)[1].contains("corpus-nginx"), "{:?}", at(100));
        let narrow = at(60);
        assert!(!narrow[0].contains("IMAGE") && narrow[1].contains(time), "{narrow:?}");
        assert!(narrow.iter().all(|line| line.chars().count() <= 60), "{narrow:?}");
    }
}
