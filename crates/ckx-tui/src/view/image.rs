//! An image of CRIU as a tree that folds. Entries are found once; what is in them is decoded when it is
//! unfolded, or on the screen.

mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ckx_core::Name;
use ckx_criu::Image;
use ckx_criu::json::{EntryJson, ImageJson, JsonOptions, Payload, Style, to_writer};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::hex::HexView;
use super::outline::{note, place, select};
use super::{Cx, Export, Loaded, Message, View};
use crate::job::{Answer, Work};
use crate::keys::{Action, Place};
use crate::scroll::Scroll;
use crate::text::{fit, padded, safe};
use crate::theme::Look;
use tree::{Found, Node, summary};

/// An image.
pub struct ImageView {
    name: Name,
    bytes: Bytes,
    entries: Option<Arc<Entries>>,
    /// Entries that are shown.
    shown: Vec<u32>,
    /// What is below entries that are unfolded, by entry.
    open: BTreeMap<u32, Vec<Node>>,
    filter: String,
    is_filtering: bool,
    scroll: Scroll,
}

/// The entries of an image.
struct Entries {
    list: Vec<Found>,
    fault: Option<String>,
}

/// A row: an entry, something below one, or what is wrong.
enum Row<'v> {
    Entry(u32),
    Node(u32, usize, &'v Node),
    Fault(&'v str),
}

impl ImageView {
    /// An image, as it lies in its file.
    pub fn new(name: Name, bytes: Bytes) -> Self {
        Self {
            name,
            bytes,
            entries: None,
            shown: Vec::new(),
            open: BTreeMap::new(),
            filter: String::new(),
            is_filtering: false,
            scroll: Scroll::default(),
        }
    }

    /// Whether it is an image that consists of records.
    pub fn can_show(name: &[u8], bytes: &[u8]) -> bool {
        Image::parse(name, bytes)
            .is_ok_and(|image| image.raw_format().is_none() && image.entries().next().is_some())
    }

    fn count(&mut self) {
        let below: usize = self
            .open
            .iter()
            .filter(|(entry, _)| self.shown.binary_search(entry).is_ok())
            .map(|(_, nodes)| nodes.len())
            .sum();
        let fault = self.entries.as_ref().is_some_and(|entries| entries.fault.is_some());
        self.scroll.set_len(self.shown.len() + below + usize::from(fault));
    }

    fn row(&self, at: usize) -> Option<Row<'_>> {
        let entries = self.entries.as_ref()?;
        let mut left = at;
        let mut from = 0;
        for (entry, nodes) in &self.open {
            let Ok(place) = self.shown.binary_search(entry) else { continue };
            let before = place + 1 - from;
            if left < before {
                break;
            }
            left -= before;
            from = place + 1;
            if let Some(node) = nodes.get(left) {
                return Some(Row::Node(*entry, left, node));
            }
            left -= nodes.len();
        }
        match self.shown.get(from + left) {
            Some(entry) => Some(Row::Entry(*entry)),
            None => entries.fault.as_deref().map(Row::Fault),
        }
    }

    fn entry_of(&self, at: usize) -> Option<u32> {
        match self.row(at)? {
            Row::Entry(entry) | Row::Node(entry, ..) => Some(entry),
            Row::Fault(_) => None,
        }
    }

    /// Unfolds or folds what is selected; whether that did anything.
    fn fold(&mut self, want: Option<bool>) -> bool {
        let Some(entries) = self.entries.clone() else { return false };
        match self.row(self.scroll.at) {
            Some(Row::Entry(entry)) => {
                let is_open = self.open.contains_key(&entry);
                if want == Some(is_open) {
                    return false;
                }
                if is_open {
                    self.open.remove(&entry);
                } else if let Some(found) = entries.list.get(entry as usize) {
                    self.open.insert(entry, found.nodes());
                }
            }
            Some(Row::Node(entry, index, node)) => {
                if !node.is_foldable() || want == Some(node.is_open) {
                    return false;
                }
                let Some(nodes) = self.open.get_mut(&entry) else { return false };
                tree::toggle(nodes, index);
            }
            _ => return false,
        }
        let before = self.scroll.len;
        self.count();
        self.scroll.reveal(self.scroll.len.saturating_sub(before));
        true
    }

    /// Goes to what the selected row is below.
    fn up(&mut self) -> bool {
        let Some(Row::Node(_, index, node)) = self.row(self.scroll.at) else { return false };
        let depth = node.depth;
        let mut steps = 0;
        while steps <= index {
            steps += 1;
            match self.row(self.scroll.at - steps) {
                Some(Row::Node(_, _, above)) if above.depth >= depth => {}
                _ => break,
            }
        }
        self.scroll.select(self.scroll.at - steps);
        true
    }

    fn open_row(&mut self, cx: &mut Cx<'_>) {
        if self.fold(None) {
            return;
        }
        match self.row(self.scroll.at) {
            Some(Row::Node(_, _, node)) => match &node.bytes {
                Some(bytes) => cx.open(HexView::file(node.label.clone(), bytes.clone())),
                None => cx.open(Message::new("field", vec![(node.label.clone(), node.value.clone())])),
            },
            Some(Row::Fault(fault)) => {
                cx.open(Message::new("fault", vec![(String::new(), fault.to_owned())]))
            }
            _ => {}
        }
    }

    fn entry_json(&self, entry: u32, style: Style) -> Option<String> {
        let image = Image::parse(self.file_name(), &self.bytes).ok()?;
        let entry = image.entries().nth(entry as usize)?.ok()?;
        let json = EntryJson::new(&entry, JsonOptions { pretty: true, payload: Payload::Full });
        let mut out = Vec::new();
        to_writer(&mut out, &json, style).ok()?;
        Some(String::from_utf8_lossy(&out).into_owned())
    }

    fn file_name(&self) -> &[u8] {
        self.name.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }
}

/// Finds the entries.
fn find(name: &Name, bytes: &Bytes, work: &Work) -> Result<Entries, String> {
    let image = Image::parse(name.as_bytes(), bytes).map_err(|error| error.to_string())?;
    let mut all = Entries { list: Vec::new(), fault: None };
    for entry in image.entries() {
        if all.list.len().is_multiple_of(4096) && work.is_stopped() {
            break;
        }
        match entry {
            Ok(entry) => all.list.push(Found::new(&entry, bytes)),
            Err(error) => all.fault = Some(safe(error.to_string())),
        }
    }
    Ok(all)
}

/// Entries that have a word in them.
fn filtered(name: &Name, bytes: &Bytes, word: &str, work: &Work) -> Vec<u32> {
    let mut kept = Vec::new();
    let Ok(image) = Image::parse(name.as_bytes(), bytes) else { return kept };
    let word = word.to_lowercase();
    let mut text = Vec::new();
    for (at, entry) in (0u32..).zip(image.entries()) {
        if at % 256 == 0 && work.is_stopped() {
            break;
        }
        let Ok(entry) = entry else { break };
        text.clear();
        let json = EntryJson::new(&entry, JsonOptions { pretty: true, payload: Payload::Size });
        if to_writer(&mut text, &json, Style::Line).is_err() {
            continue;
        }
        let text = String::from_utf8_lossy(&text).to_lowercase();
        // As JSON has it, and as the screen shows it.
        if text.contains(&word) || text.replace('"', "").replace(": ", " ").contains(&word) {
            kept.push(at);
        }
    }
    kept
}

impl View for ImageView {
    fn title(&self) -> String {
        safe(self.file_name())
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let (name, bytes) = (self.name.clone(), self.bytes.clone());
        cx.job("load", move |work| find(&name, &bytes, work).map(|all| Box::new(all) as Answer));
    }

    fn act(&mut self, action: Action, cx: &mut Cx<'_>) -> bool {
        match action {
            Action::Go(how) => self.scroll.go(how),
            Action::Fold => drop(self.fold(None)),
            Action::Right => drop(self.fold(Some(true))),
            Action::Left => return self.fold(Some(false)) || self.up(),
            Action::FoldAll => {
                self.open.clear();
                self.count();
            }
            Action::Open => self.open_row(cx),
            Action::Hex => {
                let entry = self.entry_of(self.scroll.at).map_or(0, |entry| entry as usize);
                let offset = self
                    .entries
                    .as_ref()
                    .and_then(|entries| entries.list.get(entry))
                    .map_or(0, Found::offset);
                cx.open(HexView::file_at(self.name.to_string(), self.bytes.clone(), offset));
            }
            _ => return false,
        }
        true
    }

    fn answer(&mut self, word: &'static str, answer: Result<Answer, String>, cx: &mut Cx<'_>) {
        match (word, answer) {
            ("load", Ok(answer)) => {
                if let Ok(entries) = answer.downcast::<Entries>() {
                    self.shown = (0..u32::try_from(entries.list.len()).unwrap_or(u32::MAX)).collect();
                    self.entries = Some(Arc::new(*entries));
                    // A single entry is what one came for.
                    if self.shown.len() == 1 {
                        self.fold(Some(true));
                    }
                }
            }
            (_, Ok(answer)) => {
                if let Ok(shown) = answer.downcast::<Vec<u32>>() {
                    self.is_filtering = false;
                    self.shown = *shown;
                }
            }
            ("load", Err(reason)) => {
                self.entries = Some(Arc::new(Entries { list: Vec::new(), fault: Some(reason) }));
            }
            (_, Err(reason)) => cx.say(reason),
        }
        self.count();
    }

    fn resize(&mut self, _: u16, height: u16, _: &mut Cx<'_>) {
        self.scroll.set_height(height.into());
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, has_focus: bool) {
        let Some(entries) = &self.entries else { return note("reading", area, buffer, look) };
        if self.scroll.len == 0 {
            let nothing = if self.filter.is_empty() { "no entries" } else { "nothing matches the filter" };
            return note(nothing, area, buffer, look);
        }
        let width = usize::from(area.width);
        for (row, at) in self.scroll.visible().enumerate() {
            let spans = match self.row(at) {
                Some(Row::Entry(entry)) => {
                    let mark = match self.open.contains_key(&entry) {
                        true => look.pick("▾ ", "- "),
                        false => look.pick("▸ ", "+ "),
                    };
                    let mut spans = vec![
                        Span::styled(mark, look.theme.faint),
                        Span::styled(format!("{entry} "), look.theme.heading),
                    ];
                    let room = width.saturating_sub(crate::text::columns(&spans));
                    if let Some(found) = entries.list.get(entry as usize) {
                        // What does not fit the line is not decoded for it.
                        spans.push(Span::raw(summary(found, room)));
                    }
                    spans
                }
                Some(Row::Node(_, _, node)) => node.spans(look),
                Some(Row::Fault(fault)) => vec![Span::styled(format!("! {fault}"), look.theme.marked)],
                None => Vec::new(),
            };
            let line = Line::from(padded(fit(spans, width, look), width, false, look));
            place(select(line, at == self.scroll.at, has_focus, look), area, row, buffer, look);
        }
    }

    fn places(&self) -> Vec<Place> {
        vec![Place::List, Place::Tree, Place::Bytes]
    }

    fn status(&self) -> String {
        let entries = self.entries.as_ref().map_or(0, |entries| entries.list.len());
        let word = if entries == 1 { "entry" } else { "entries" };
        format!("{entries} {word}  {}", self.scroll.place())
    }

    fn filter(&mut self, text: &str, cx: &mut Cx<'_>) {
        if self.filter == text {
            return;
        }
        self.filter = text.to_owned();
        if text.is_empty() {
            let entries = self.entries.as_ref().map_or(0, |entries| entries.list.len());
            self.shown = (0..u32::try_from(entries).unwrap_or(u32::MAX)).collect();
            self.is_filtering = false;
            cx.stop("filter");
            return self.count();
        }
        self.is_filtering = true;
        let (name, bytes, word) = (self.name.clone(), self.bytes.clone(), text.to_owned());
        cx.job("filter", move |work| Ok(Box::new(filtered(&name, &bytes, &word, work))));
    }

    fn filter_text(&self) -> &str {
        &self.filter
    }

    fn copied(&self, as_json: bool) -> Option<String> {
        match self.row(self.scroll.at)? {
            Row::Node(_, _, node) if !as_json => Some(format!("{}: {}", node.label, node.value)),
            Row::Fault(fault) => Some(fault.to_owned()),
            Row::Entry(entry) | Row::Node(entry, ..) => self.entry_json(entry, Style::Line),
        }
    }

    fn exports(&self, _: &Arc<Loaded>) -> Vec<Export> {
        let (name, bytes) = (self.name.clone(), self.bytes.clone());
        let file = safe(self.file_name());
        let json = Export {
            label: "JSON",
            name: format!("{file}.json"),
            write: Arc::new(move |_, out| {
                let image = Image::parse(name.as_bytes(), &bytes).map_err(|error| error.to_string())?;
                let json = ImageJson::new(image, JsonOptions { pretty: true, payload: Payload::Full });
                to_writer(out, &json, Style::Indented).map_err(|error| error.to_string())?;
                writeln!(out).map_err(|error| error.to_string())
            }),
        };
        let bytes = self.bytes.clone();
        let plain = Export {
            label: "bytes",
            name: file,
            write: Arc::new(move |_, out| out.write_all(&bytes).map_err(|error| error.to_string())),
        };
        vec![json, plain]
    }

    fn click(&mut self, row: usize, _: usize, _: &mut Cx<'_>) {
        if let Some(at) = self.scroll.at_row(row) {
            self.scroll.select(at);
        }
    }

    fn is_busy(&self) -> bool {
        self.entries.is_none() || self.is_filtering
    }
}
