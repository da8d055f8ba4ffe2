//! Tables: columns as wide as what is in them, the last one cut to the screen.

use ckx_core::outline::{Cell, Table};

use crate::render::value::{HEADING, Look, Span, columns, cut};

/// Spaces between columns.
const GAP: usize = 2;

/// Narrower than this no column is cut to.
const MIN_LAST: usize = 16;

/// The lines of a table, the heading first. `indent` is what will stand before each line.
pub fn lines(table: &Table, look: Look, indent: usize) -> Vec<Vec<Span>> {
    let numeric: Vec<bool> = (0..table.columns.len()).map(|at| is_numeric(table, at)).collect();
    let cells: Vec<Vec<Vec<Span>>> =
        table.rows.iter().map(|row| row.iter().map(|cell| look.spans(cell)).collect()).collect();
    let mut widths: Vec<usize> = table.columns.iter().map(|name| name.chars().count()).collect();
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(columns(cell));
        }
    }
    fit(&mut widths, look, indent);
    let heading = table.columns.iter().map(|name| vec![Span::styled(*name, HEADING)]).collect();
    std::iter::once(heading).chain(cells).map(|row: Vec<Vec<Span>>| line(row, &widths, &numeric)).collect()
}

/// Whether a column holds numbers only, apart from cells without a value.
fn is_numeric(table: &Table, at: usize) -> bool {
    let mut cells =
        table.rows.iter().filter_map(|row| row.get(at)).filter(|cell| !matches!(cell, Cell::Faint(_)));
    let mut any = false;
    cells.all(|cell| {
        any = true;
        cell.is_number()
    }) && any
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
