//! The mappings of a process, each with a strip that shows where its pages are.

use std::collections::HashMap;
use std::sync::Arc;

use ckx_core::memory::AddressSpace;
use ckx_core::memory::Mapping;
use ckx_core::outline::size;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::hex::HexView;
use super::outline::{note, place, select};
use super::{Cx, Export, Loaded, View, Which};
use crate::export;
use crate::job::{Answer, Work};
use crate::keys::{Action, Place};
use crate::scroll::Scroll;
use crate::space::{Origin, legend, load};
use crate::text::{fit, padded};
use crate::theme::Look;

/// Marks of a strip.
const SLOTS: usize = 20;

/// The mappings of a process.
pub struct MapsView {
    pid: u32,
    space: Option<Result<Arc<AddressSpace>, String>>,
    /// Indices of the mappings that are shown.
    shown: Vec<u32>,
    strips: HashMap<u32, Strip>,
    filter: String,
    is_loading: bool,
    is_counting: bool,
    scroll: Scroll,
    width: usize,
    ascii: bool,
}

/// Where the pages of a mapping are.
#[derive(Debug, Clone)]
struct Strip {
    slots: [Option<Origin>; SLOTS],
    /// Bytes that the dump, or one before, has.
    stored: u64,
}

impl MapsView {
    /// The mappings of this process.
    pub fn new(pid: u32) -> Self {
        Self {
            pid,
            space: None,
            shown: Vec::new(),
            strips: HashMap::new(),
            filter: String::new(),
            is_loading: true,
            is_counting: false,
            scroll: Scroll::default(),
            width: 0,
            ascii: false,
        }
    }

    fn space(&self) -> Option<&Arc<AddressSpace>> {
        self.space.as_ref()?.as_ref().ok()
    }

    fn selected(&self) -> Option<&Mapping> {
        self.space()?.mappings().get(*self.shown.get(self.scroll.at)? as usize)
    }

    /// Shows all mappings, or starts to look for those that the filter wants.
    fn list(&mut self, cx: &mut Cx<'_>) {
        let Some(space) = self.space().cloned() else { return };
        if self.filter.is_empty() {
            cx.stop("filter");
            let all = 0..u32::try_from(space.mappings().len()).unwrap_or(u32::MAX);
            return self.show(all.collect(), cx);
        }
        let word = self.filter.to_lowercase();
        cx.job("filter", move |work| {
            let all = space.mappings().iter().zip(0u32..);
            let all = all.take_while(|(_, at)| !at.is_multiple_of(4096) || !work.is_stopped());
            let kept = all.filter(|(mapping, _)| text(mapping).to_lowercase().contains(&word));
            Ok(Box::new(kept.map(|(_, at)| at).collect::<Vec<u32>>()))
        });
    }

    fn show(&mut self, shown: Vec<u32>, cx: &mut Cx<'_>) {
        self.shown = shown;
        self.scroll.set_len(self.shown.len());
        self.count(cx);
    }

    /// Counts the pages of the mappings on the screen, unless that was done.
    fn count(&mut self, cx: &mut Cx<'_>) {
        let Some(space) = self.space().cloned() else { return };
        let visible = self.shown.get(self.scroll.visible()).unwrap_or_default();
        let missing: Vec<u32> = visible.iter().filter(|at| !self.strips.contains_key(at)).copied().collect();
        if missing.is_empty() {
            return;
        }
        self.is_counting = true;
        cx.job("strips", move |work| {
            let strips = missing.into_iter().filter_map(|at| Some((at, Strip::of(&space, at, work)?)));
            Ok(Box::new(strips.collect::<Vec<_>>()))
        });
    }
}

impl Strip {
    /// Walks the pages of a mapping; a strip of a place shows what it has most of, what is stored before
    /// what is not.
    fn of(space: &AddressSpace, at: u32, work: &Work) -> Option<Self> {
        let mapping = space.mappings().get(at as usize)?;
        let total = (mapping.end - mapping.start).max(1);
        let slot_of = |address: u64| {
            let slot = u128::from(address - mapping.start) * SLOTS as u128 / u128::from(total);
            usize::try_from(slot).unwrap_or(0).min(SLOTS - 1)
        };
        let mut strip = Self { slots: [None; SLOTS], stored: 0 };
        for (count, piece) in space.pieces(mapping.start, mapping.end).enumerate() {
            if count % 1024 == 0 && work.is_stopped() {
                return None;
            }
            let origin = Origin::of(&piece);
            let is_stored = matches!(origin, Origin::Dump | Origin::Parent(_));
            if is_stored {
                strip.stored = strip.stored.saturating_add(piece.run.size());
            }
            let last = slot_of(piece.run.end.saturating_sub(1).max(piece.run.start));
            for slot in strip.slots.iter_mut().take(last + 1).skip(slot_of(piece.run.start)) {
                let is_better = match slot {
                    None => true,
                    Some(Origin::Dump) => false,
                    Some(Origin::Parent(_)) => origin == Origin::Dump,
                    Some(_) => is_stored,
                };
                if is_better {
                    *slot = Some(origin);
                }
            }
        }
        Some(strip)
    }
}

impl View for MapsView {
    fn title(&self) -> String {
        format!("mappings of {}", self.pid)
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let (loaded, pid) = (cx.loaded.clone(), self.pid);
        cx.job("space", move |work| load(&loaded, Which::First, pid, work));
    }

    fn act(&mut self, action: Action, cx: &mut Cx<'_>) -> bool {
        match action {
            Action::Go(how) => {
                self.scroll.go(how);
                self.count(cx);
            }
            Action::Open | Action::Hex | Action::Right => {
                let Some(start) = self.selected().map(|mapping| mapping.start) else { return false };
                cx.open(HexView::memory(Which::First, self.pid, Some(start)));
            }
            _ => return false,
        }
        true
    }

    fn answer(&mut self, word: &'static str, answer: Result<Answer, String>, cx: &mut Cx<'_>) {
        match (word, answer) {
            ("space", Ok(answer)) => {
                if let Ok(space) = answer.downcast::<Arc<AddressSpace>>() {
                    self.space = Some(Ok(*space));
                    self.strips.clear();
                    self.list(cx);
                }
            }
            ("filter", Ok(answer)) => {
                if let Ok(shown) = answer.downcast::<Vec<u32>>() {
                    self.show(*shown, cx);
                }
            }
            ("strips", Ok(answer)) => {
                if let Ok(strips) = answer.downcast::<Vec<(u32, Strip)>>() {
                    self.strips.extend(*strips);
                }
            }
            ("space", Err(reason)) if self.space().is_none() => self.space = Some(Err(reason)),
            (_, Err(reason)) => cx.say(reason),
            _ => {}
        }
    }

    fn ended(&mut self, word: &'static str) {
        match word {
            "space" => self.is_loading = false,
            "strips" => self.is_counting = false,
            _ => {}
        }
    }

    fn resize(&mut self, width: u16, height: u16, cx: &mut Cx<'_>) {
        self.width = width.into();
        self.ascii = cx.look.ascii;
        self.scroll.set_height(usize::from(height.saturating_sub(1)));
        self.count(cx);
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, has_focus: bool) {
        let space = match &self.space {
            None => return note("reading the page map", area, buffer, look),
            Some(Err(reason)) => return note(reason, area, buffer, look),
            Some(Ok(space)) => space,
        };
        if self.shown.is_empty() {
            let nothing = if self.filter.is_empty() { "no mappings" } else { "nothing matches the filter" };
            return note(nothing, area, buffer, look);
        }
        let width = usize::from(area.width);
        place(heading(width, look), area, 0, buffer, look);
        for (row, at) in self.scroll.visible().enumerate() {
            let Some(index) = self.shown.get(at) else { continue };
            let Some(mapping) = space.mappings().get(*index as usize) else { continue };
            let line = line(mapping, self.strips.get(index), width, look);
            place(select(line, at == self.scroll.at, has_focus, look), area, row + 1, buffer, look);
        }
    }

    fn places(&self) -> Vec<Place> {
        vec![Place::List, Place::Process]
    }

    fn status(&self) -> String {
        let wait = if self.is_loading { "decoding pages  " } else { "" };
        let at = self.shown.get(self.scroll.at);
        let about = match at.and_then(|at| self.strips.get(at)) {
            _ if is_wide(self.width) => legend(self.ascii),
            Some(strip) => format!("{} in the dump", size(strip.stored)),
            None => String::new(),
        };
        format!("{wait}{about}  {}", self.scroll.place())
    }

    fn filter(&mut self, text: &str, cx: &mut Cx<'_>) {
        if self.filter != text {
            self.filter = text.to_owned();
            self.list(cx);
        }
    }

    fn filter_text(&self) -> &str {
        &self.filter
    }

    fn copied(&self, as_json: bool) -> Option<String> {
        let mapping = self.selected()?;
        if !as_json {
            return Some(text(mapping));
        }
        let value = serde_json::json!({
            "pid": self.pid,
            "start": format!("{:#x}", mapping.start),
            "end": format!("{:#x}", mapping.end),
            "permissions": mapping.permissions,
            "name": mapping.name,
        });
        Some(value.to_string())
    }

    fn exports(&self, loaded: &Arc<Loaded>) -> Vec<Export> {
        let (Some(space), Some(mapping)) = (self.space().cloned(), self.selected()) else {
            return Vec::new();
        };
        let mut all = super::hex::exports(&space, mapping.start);
        let pid = self.pid;
        all.push(Export {
            label: "list",
            name: format!("maps-{pid}.txt"),
            write: Arc::new(move |_, out| {
                space
                    .mappings()
                    .iter()
                    .try_for_each(|mapping| writeln!(out, "{}", text(mapping)))
                    .map_err(|error| error.to_string())
            }),
        });
        all.push(export::core(loaded, Which::First, pid));
        all
    }

    fn click(&mut self, row: usize, _: usize, _: &mut Cx<'_>) {
        if let Some(at) = row.checked_sub(1).and_then(|row| self.scroll.at_row(row)) {
            self.scroll.select(at);
        }
    }

    fn is_busy(&self) -> bool {
        self.is_loading || self.is_counting
    }
}

/// A line of `/proc/PID/maps`.
fn text(mapping: &Mapping) -> String {
    let name = mapping.name.as_ref().map(ToString::to_string).unwrap_or_default();
    let text = format!("{:x}-{:x} {} {name}", mapping.start, mapping.end, mapping.permissions);
    text.trim_end().to_owned()
}

/// Columns of the range: on narrow screens only its beginning.
fn is_wide(width: usize) -> bool {
    width >= 100
}

/// Marks of a strip that are drawn.
fn strip_width(width: usize) -> usize {
    if is_wide(width) { SLOTS } else { SLOTS / 2 }
}

fn columns(width: usize) -> [usize; 3] {
    [if is_wide(width) { 25 } else { 12 }, 4, 9]
}

fn heading(width: usize, look: Look) -> Line<'static> {
    let [range, ..] = columns(width);
    let pages = strip_width(width);
    let stored = if is_wide(width) { format!("{:>9} ", "IN DUMP") } else { String::new() };
    let names = format!("{:range$} PERM {:>9} {stored}{:pages$} NAME", "ADDRESS", "SIZE", "PAGES");
    Line::from(fit(vec![Span::styled(names, look.theme.heading)], width, look))
}

fn line(mapping: &Mapping, strip: Option<&Strip>, width: usize, look: Look) -> Line<'static> {
    let [range, perm, bytes] = columns(width);
    let place = match is_wide(width) {
        true => format!("{:x}-{:x}", mapping.start, mapping.end),
        false => format!("{:x}", mapping.start),
    };
    let stored = match strip {
        None => "...".to_owned(),
        Some(strip) if strip.stored == 0 => "-".to_owned(),
        Some(strip) => size(strip.stored),
    };
    let raw = |text: String| vec![Span::raw(text)];
    let mut all = padded(raw(place), range, false, look);
    all.extend(raw(" ".to_owned()));
    all.extend(padded(raw(mapping.permissions.clone()), perm, false, look));
    all.extend(raw(" ".to_owned()));
    all.extend(padded(raw(size(mapping.end - mapping.start)), bytes, true, look));
    if is_wide(width) {
        all.extend(raw(" ".to_owned()));
        all.extend(padded(raw(stored), bytes, true, look));
    }
    all.extend(raw(format!(" {} ", marks(strip, strip_width(width), look))));
    let room = width.saturating_sub(crate::text::columns(&all));
    let name = mapping.name.as_ref().map(ToString::to_string).unwrap_or_default();
    all.extend(padded(raw(name), room, false, look));
    Line::from(all)
}

fn marks(strip: Option<&Strip>, width: usize, look: Look) -> String {
    let Some(strip) = strip else { return " ".repeat(width) };
    let each = SLOTS / width.max(1);
    let slots = strip.slots.chunks(each.max(1)).map(|slots| {
        let first = slots.iter().flatten().find(|origin| matches!(origin, Origin::Dump | Origin::Parent(_)));
        first.or_else(|| slots.iter().flatten().next()).map_or(' ', |origin| origin.mark(look.ascii))
    });
    slots.collect()
}
