//! The whole screen: a function of the application's state.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Widget};

use ckx_core::outline::size;

use crate::app::{App, Focus, State};
use crate::keys::hints;
use crate::text::{columns, fit, safe};
use crate::theme::Look;
use crate::view::outline::{note, place};

/// The smallest screen that is drawn on.
pub const SMALLEST: (u16, u16) = (80, 24);

/// Columns of the tree, borders included.
const NAV: u16 = 22;

/// Where the parts are, without their borders.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The tree.
    pub nav: Rect,
    /// The view.
    pub view: Rect,
    /// The help.
    pub help: Rect,
    status: Rect,
    keys: Rect,
}

impl Layout {
    /// The parts on a screen of the application's size.
    pub fn of(app: &App) -> Self {
        let (width, height) = app.size;
        let body = height.saturating_sub(2);
        let nav = if app.is_zoomed { 0 } else { NAV.min(width) };
        let inner = |x: u16, width: u16| Rect {
            x: x + 1,
            y: 1,
            width: width.saturating_sub(2),
            height: body.saturating_sub(2),
        };
        let row = |y: u16| Rect { x: 0, y, width, height: u16::from(y < height) };
        Self {
            nav: inner(0, nav),
            view: inner(nav, width.saturating_sub(nav)),
            help: inner(0, width),
            status: row(body),
            keys: row(body + 1),
        }
    }
}

/// Draws everything.
pub fn draw(app: &App, frame: &mut Frame<'_>) {
    let (width, height) = app.size;
    let area = Rect { x: 0, y: 0, width, height }.intersection(frame.area());
    if width < SMALLEST.0 || height < SMALLEST.1 {
        let text = format!("ckx needs {}x{}; this is {width}x{height}", SMALLEST.0, SMALLEST.1);
        return note(&text, area, frame.buffer_mut(), app.look);
    }
    let layout = Layout::of(app);
    let look = app.look;
    if let Some(help) = &app.help {
        bordered("help", layout.help, true, frame.buffer_mut(), look);
        help.draw(layout.help, frame.buffer_mut(), look);
    } else {
        if !app.is_zoomed {
            bordered("ckx", layout.nav, app.focus == Focus::Nav, frame.buffer_mut(), look);
            app.nav.draw(
                layout.nav,
                frame.buffer_mut(),
                look,
                app.focus == Focus::Nav && app.prompt.is_none(),
            );
        }
        view(app, layout.view, frame.buffer_mut());
    }
    let cursor = bottom(app, &layout, frame.buffer_mut());
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

const ASCII: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Draws a border around an area.
fn bordered(title: &str, inner: Rect, has_focus: bool, buffer: &mut Buffer, look: Look) {
    let outer = Rect { x: inner.x - 1, y: inner.y - 1, width: inner.width + 2, height: inner.height + 2 };
    let style = if has_focus { look.theme.focus } else { look.theme.border };
    let title = fit(vec![Span::raw(format!(" {title} "))], usize::from(inner.width), look);
    let title =
        title.into_iter().map(|span| span.style(if has_focus { look.theme.heading } else { Style::new() }));
    let title = Line::from(title.collect::<Vec<_>>());
    let title = if look.ascii { crate::text::ascii(title) } else { title };
    Block::new()
        .borders(Borders::ALL)
        .border_set(look.pick(border::PLAIN, ASCII))
        .border_style(style)
        .title(title)
        .render(outer, buffer);
}

fn view(app: &App, area: Rect, buffer: &mut Buffer) {
    let look = app.look;
    let has_focus = app.focus == Focus::View && app.prompt.is_none();
    let title = match &app.state {
        State::Open(_) => title(app),
        State::Opening(_) => "opening".to_owned(),
        State::Failed(_) => "cannot be opened".to_owned(),
    };
    bordered(&title, area, has_focus, buffer, look);
    match &app.state {
        State::Opening(seen) => {
            let mut lines = vec![reading(app)];
            if seen.members > 0 {
                lines.push(format!("{} members so far", seen.members));
                lines.extend(seen.last.iter().map(|name| format!("  {name}")));
            }
            for (row, line) in lines.into_iter().enumerate() {
                let spans = fit(vec![Span::styled(line, look.theme.faint)], area.width.into(), look);
                place(Line::from(spans), area, row, buffer, look);
            }
        }
        State::Failed(reason) => note(reason, area, buffer, look),
        State::Open(_) => {
            if let Some(slot) = app.top() {
                slot.view.draw(area, buffer, look, has_focus);
            }
        }
    }
}

/// How far the sources are read.
fn reading(app: &App) -> String {
    let done = app.progress.iter().map(|progress| progress.done()).sum::<u64>();
    let total: Option<u64> = app.progress.iter().map(|progress| progress.total()).sum();
    let turning = ['|', '/', '-', '\\'];
    let turn = turning.get(app.ticks % turning.len()).unwrap_or(&' ');
    match total {
        // What is mapped is not read.
        _ if done == 0 => format!("{turn} reading"),
        Some(total) if total >= done => {
            format!(
                "{turn} reading {} of {}  {} %",
                size(done),
                size(total),
                done.saturating_mul(100) / total.max(1)
            )
        }
        _ => format!("{turn} reading {}", size(done)),
    }
}

/// The views on top of each other, by name.
fn title(app: &App) -> String {
    let Some(stack) = app.nav.entry().and_then(|entry| app.stacks.get(&entry)) else { return String::new() };
    let between = app.look.pick(" › ", " > ");
    let mut title = stack.iter().map(|slot| slot.view.title()).collect::<Vec<_>>().join(between);
    if let Some(slot) = stack.last().filter(|slot| !slot.view.filter_text().is_empty()) {
        title = format!("{title}  /{}", safe(slot.view.filter_text()));
    }
    title
}

/// The status line and the keys; where the cursor is, if one types.
fn bottom(app: &App, layout: &Layout, buffer: &mut Buffer) -> Option<Position> {
    let look = app.look;
    let width = usize::from(layout.status.width);
    if let Some(prompt) = &app.prompt {
        let (line, column) = prompt.line(width, look);
        place(line, layout.status, 0, buffer, look);
        place(Line::from(Span::styled(prompt.hint(), look.theme.faint)), layout.keys, 0, buffer, look);
        let x = u16::try_from(column).unwrap_or(u16::MAX).min(layout.status.width.saturating_sub(1));
        return Some(Position { x, y: layout.status.y });
    }
    let mut right = app.top().map(|slot| slot.view.status()).unwrap_or_default();
    if app.top().is_some_and(|slot| slot.view.is_busy()) {
        right = format!("{} {right}", ["|", "/", "-", "\\"].get(app.ticks % 4).unwrap_or(&""));
    }
    let right = vec![Span::styled(safe(&right), look.theme.faint)];
    let right_wide = columns(&right);
    let left = match &app.message {
        Some(message) => Span::styled(safe(message), look.theme.marked),
        // What is missing may still come.
        None if app.is_partial() => {
            Span::styled(format!("{}: this is what came so far", reading(app)), look.theme.marked)
        }
        None => Span::raw(source_line(app)),
    };
    let mut spans = fit(vec![left], width.saturating_sub(right_wide + 2), look);
    let padding = width.saturating_sub(columns(&spans) + right_wide);
    spans.push(Span::raw(" ".repeat(padding)));
    spans.extend(right);
    place(Line::from(spans), layout.status, 0, buffer, look);
    place(key_line(app, width), layout.keys, 0, buffer, look);
    None
}

/// What is open.
fn source_line(app: &App) -> String {
    use std::os::unix::ffi::OsStrExt;
    let name = |path: &std::path::Path| match path.file_name() {
        Some(name) => safe(name.as_bytes()),
        None => safe(path.as_os_str().as_bytes()),
    };
    let names: Vec<String> = app.sources.list.iter().map(|(path, _)| name(path)).collect();
    let mut text = names.join(app.look.pick(" ↔ ", " - "));
    if let Some(loaded) = app.loaded().filter(|loaded| loaded.other.is_none()) {
        let source = loaded.checkpoint.archive().source();
        let compression = match source.compression.name() {
            "none" => String::new(),
            name => format!(", {name}"),
        };
        text = format!("{text}  {}{compression}, {}", source.form.name(), size(source.size_bytes));
        let faults = loaded.checkpoint.archive().faults().len();
        if faults > 0 {
            text = format!("{text}, {faults} faults");
        }
    }
    text
}

fn key_line(app: &App, width: usize) -> Line<'static> {
    let look = app.look;
    let places = if app.help.is_some() { Vec::new() } else { app.places() };
    let all: Vec<(String, &str)> = hints(&places).collect();
    // The way out and the help are always told.
    let is_last = |short: &str| matches!(short, "help" | "quit");
    let (last, first): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, short)| is_last(short));
    let span = |(key, short): &(String, &str)| {
        vec![Span::styled(key.clone(), look.theme.key), Span::raw(format!(" {short}  "))]
    };
    let last: Vec<Span<'static>> = last.iter().flat_map(span).collect();
    let room = width.saturating_sub(columns(&last));
    let mut line = Vec::new();
    for hint in &first {
        let spans = span(hint);
        if columns(&line) + columns(&spans) > room {
            break;
        }
        line.extend(spans);
    }
    line.extend(last);
    Line::from(line)
}
