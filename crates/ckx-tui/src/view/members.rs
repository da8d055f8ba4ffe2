//! The members of the archive, or of a tar in it; the images; the logs.

use std::sync::Arc;

use bytes::Bytes;
use ckx_archive::archive::Backing;
use ckx_archive::tarball::EntryKind;
use ckx_archive::{Archive, Member};
use ckx_core::Name;
use ckx_core::model::Purpose;
use ckx_core::outline::size;
use ckx_criu::kind::spec_by_file_name;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::hex::HexView;
use super::image::ImageView;
use super::log::LogView;
use super::outline::{note, place, select};
use super::{Cx, Export, Loaded, View};
use crate::job::Answer;
use crate::keys::{Action, Place};
use crate::list::List;
use crate::text::{columns, padded};
use crate::theme::Look;

/// Which members are listed.
#[derive(Clone)]
enum Of {
    /// All of the source.
    All,
    /// Images of CRIU.
    Images,
    /// Logs.
    Logs,
    /// Those of a tar in the source.
    Inner(Name),
}

/// A line of the list.
#[derive(Debug, Clone)]
struct Item {
    name: Name,
    link: Option<Name>,
    kind: EntryKind,
    size: u64,
    mode: u32,
    mtime: u64,
    /// Kind of the image, in CRIU's words.
    image: Option<&'static str>,
}

/// A list of members.
pub struct MembersView {
    of: Of,
    list: List<Item>,
    error: Option<String>,
    /// Members of an inner tar that are at hand.
    inner: Option<Arc<Archive>>,
    is_loading: bool,
    is_opening: bool,
}

/// What a member turned out to be.
enum Opened {
    Bytes(Name, Bytes, Option<String>),
    Tar(Name),
}

impl MembersView {
    fn of(of: Of) -> Self {
        let list = List::new(|item: &Item| item.name.to_string());
        Self { of, list, error: None, inner: None, is_loading: true, is_opening: false }
    }

    /// All members of the source.
    pub fn all() -> Self {
        Self::of(Of::All)
    }

    /// Images of CRIU.
    pub fn images() -> Self {
        Self::of(Of::Images)
    }

    /// Logs of the container and of the dump.
    pub fn logs() -> Self {
        Self::of(Of::Logs)
    }

    /// Opens what is selected: a tar as a list, an image as a tree, text as lines, all else as bytes.
    fn open(&mut self, as_bytes: bool, cx: &mut Cx<'_>) {
        let Some(item) = self.list.selected().cloned() else { return };
        if item.kind == EntryKind::Directory {
            return cx.say("a directory: its members are in the list");
        }
        let (loaded, inner, is_inner) =
            (cx.loaded.clone(), self.inner.clone(), matches!(self.of, Of::Inner(_)));
        let of = self.of.clone();
        self.is_opening = true;
        let word = if as_bytes { "bytes" } else { "open" };
        cx.job(word, move |_| {
            let opened = match (is_inner, inner) {
                (true, Some(inner)) => from_inner(&loaded, &inner, &of, &item),
                _ => from_source(&loaded, &item),
            };
            opened.map(|opened| Box::new(opened) as Answer)
        });
    }

    fn opened(&mut self, opened: Opened, as_bytes: bool, cx: &mut Cx<'_>) {
        match opened {
            Opened::Tar(name) => cx.open(Self::of(Of::Inner(name))),
            Opened::Bytes(name, bytes, cut) => {
                if let Some(reason) = cut {
                    cx.say(reason);
                }
                let is_image = spec_by_file_name(file_name(&name)).is_some();
                match () {
                    () if as_bytes => cx.open(HexView::file(name.to_string(), bytes)),
                    () if is_image && ImageView::can_show(file_name(&name), &bytes) => {
                        cx.open(ImageView::new(name, bytes))
                    }
                    () if is_text(&bytes) => cx.open(LogView::new(name, bytes)),
                    () => cx.open(HexView::file(name.to_string(), bytes)),
                }
            }
        }
    }
}

fn file_name(name: &Name) -> &[u8] {
    name.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Whether the beginning is text, as far as one can tell.
fn is_text(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    !head.is_empty() && head.iter().all(|byte| *byte >= 0x20 || matches!(byte, b'\n' | b'\r' | b'\t' | 0x1b))
}

/// Reads a member of the source. What went by is read once more.
fn from_source(loaded: &Loaded, item: &Item) -> Result<Opened, String> {
    let archive = loaded.checkpoint.archive();
    let member = archive.get(item.name.as_bytes()).ok_or("it is not there any more")?;
    if member.kind == EntryKind::File
        && (member.listed().is_some() || is_tar_name(&member.name))
        && archive.inner(member, None).is_ok()
    {
        return Ok(Opened::Tar(item.name.clone()));
    }
    let read = archive.read_partial(member);
    let (bytes, cut) = match read {
        Ok(read) => read,
        Err(error) if archive.source().backing == Backing::Streamed && member.kind == EntryKind::File => {
            let window = ckx_archive::archive::Window { offset: 0, len: member.size_bytes };
            let loaded = archive.load(member, window, MAX_LOADED);
            (loaded.map_err(|again| format!("{error}; {again}"))?, None)
        }
        Err(error) => return Err(error.to_string()),
    };
    Ok(Opened::Bytes(item.name.clone(), bytes, cut))
}

/// Bytes of a member that are read once more of a source that is decoded.
const MAX_LOADED: u64 = 256 << 20;

fn is_tar_name(name: &[u8]) -> bool {
    name.ends_with(b".tar") || name.ends_with(b".tar.gz.img")
}

/// Reads a file of a tar in the source.
fn from_inner(loaded: &Loaded, inner: &Archive, of: &Of, item: &Item) -> Result<Opened, String> {
    let member = inner.get(item.name.as_bytes()).ok_or("it is not there any more")?;
    if let Ok((bytes, cut)) = inner.read_partial(member) {
        return Ok(Opened::Bytes(item.name.clone(), bytes, cut));
    }
    let Of::Inner(tar) = of else { return Err("it is not there any more".to_owned()) };
    let archive = loaded.checkpoint.archive();
    let outer = archive.get(tar.as_bytes()).ok_or("it is not there any more")?;
    let again = archive.inner(outer, Some(item.name.as_bytes())).map_err(|error| error.to_string())?;
    let member = again.get(item.name.as_bytes()).ok_or("it is not there any more")?;
    match again.read_partial(member) {
        Ok((bytes, cut)) => Ok(Opened::Bytes(item.name.clone(), bytes, cut)),
        Err(_) => copied(archive, &[tar.as_bytes(), b"/", item.name.as_bytes()].concat(), item),
    }
}

/// The file as it goes by in a source that is decoded once more.
fn copied(archive: &Archive, path: &[u8], item: &Item) -> Result<Opened, String> {
    if item.size > MAX_LOADED {
        return Err(format!("{} is more than is held of a source that is decoded", size(item.size)));
    }
    let mut bytes = Vec::new();
    let options = ckx_archive::Options::default();
    let copied = ckx_archive::archive::copy(&archive.source().path, path, &mut bytes, &options);
    match copied.map_err(|error| error.to_string())? {
        ckx_archive::archive::Copied::Bytes(_) => Ok(Opened::Bytes(item.name.clone(), bytes.into(), None)),
        _ => Err("the source is read once, and this went by".to_owned()),
    }
}

fn item(member: &Member) -> Item {
    Item {
        name: Name::from(&member.name),
        link: member.link.as_ref().map(Name::from),
        kind: member.kind,
        size: member.size_bytes,
        mode: member.mode,
        mtime: member.mtime_s,
        image: spec_by_file_name(member.file_name()).map(|(spec, _)| spec.name),
    }
}

impl Of {
    fn collect(&self, loaded: &Loaded) -> Result<(Vec<Item>, Option<Arc<Archive>>), String> {
        let checkpoint = &loaded.checkpoint;
        let archive = checkpoint.archive();
        Ok(match self {
            Self::All => (archive.members().iter().map(item).collect(), None),
            Self::Images => {
                let mut items: Vec<Item> =
                    checkpoint.image_members().map(|(_, member)| item(member)).collect();
                items.sort_by(|a, b| a.name.cmp(&b.name));
                (items, None)
            }
            Self::Logs => {
                let is_log = |member: &&Member| Purpose::of(checkpoint, member) == Purpose::Logs;
                (archive.current().filter(is_log).map(item).collect(), None)
            }
            Self::Inner(name) => {
                let member = archive.get(name.as_bytes()).ok_or("it is not there any more")?;
                let inner = archive.inner(member, None).map_err(|error| error.to_string())?;
                (inner.members().iter().map(item).collect(), Some(Arc::new(inner)))
            }
        })
    }
}

impl View for MembersView {
    fn title(&self) -> String {
        match &self.of {
            Of::All => "members".to_owned(),
            Of::Images => "raw images".to_owned(),
            Of::Logs => "logs".to_owned(),
            Of::Inner(name) => name.to_string(),
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let (of, loaded) = (self.of.clone(), cx.loaded.clone());
        cx.job("load", move |_| of.collect(&loaded).map(|collected| Box::new(collected) as Answer));
    }

    fn act(&mut self, action: Action, cx: &mut Cx<'_>) -> bool {
        match action {
            Action::Open | Action::Right => self.open(false, cx),
            Action::Hex => self.open(true, cx),
            action => return self.list.act(action),
        }
        true
    }

    fn answer(&mut self, word: &'static str, answer: Result<Answer, String>, cx: &mut Cx<'_>) {
        match (word, answer) {
            ("load", Ok(answer)) => {
                if let Ok(collected) = answer.downcast::<(Vec<Item>, Option<Arc<Archive>>)>() {
                    let (items, inner) = *collected;
                    self.inner = inner;
                    self.list.set(items, cx);
                }
            }
            ("filter", Ok(answer)) => self.list.filtered(answer),
            (word, Ok(answer)) => {
                if let Ok(opened) = answer.downcast::<Opened>() {
                    self.opened(*opened, word == "bytes", cx);
                }
            }
            ("load", Err(reason)) => self.error = Some(reason),
            (_, Err(reason)) => cx.say(reason),
        }
    }

    fn ended(&mut self, word: &'static str) {
        match word {
            "load" => self.is_loading = false,
            "open" | "bytes" => self.is_opening = false,
            _ => {}
        }
    }

    fn resize(&mut self, _: u16, height: u16, _: &mut Cx<'_>) {
        self.list.scroll.set_height(usize::from(height.saturating_sub(1)));
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, has_focus: bool) {
        if let Some(error) = &self.error {
            return note(error, area, buffer, look);
        }
        if let Some(nothing) = self.list.nothing(if self.is_loading { "reading" } else { "nothing of this" })
        {
            return note(nothing, area, buffer, look);
        }
        let width = usize::from(area.width);
        place(heading(&self.of, width, look), area, 0, buffer, look);
        for (row, at) in self.list.scroll.visible().enumerate() {
            let Some(item) = self.list.at(at) else { continue };
            let line = select(line(&self.of, item, width, look), at == self.list.scroll.at, has_focus, look);
            place(line, area, row + 1, buffer, look);
        }
    }

    fn places(&self) -> Vec<Place> {
        vec![Place::List, Place::Bytes]
    }

    fn status(&self) -> String {
        self.list.scroll.place()
    }

    fn filter(&mut self, text: &str, cx: &mut Cx<'_>) {
        self.list.filter(text, cx);
    }

    fn filter_text(&self) -> &str {
        self.list.filter_text()
    }

    fn copied(&self, as_json: bool) -> Option<String> {
        let item = self.list.selected()?;
        Some(match as_json {
            false => item.name.to_string(),
            true => serde_json::json!({
                "name": item.name, "type": item.kind.name(), "size_bytes": item.size, "mtime_s": item.mtime,
            })
            .to_string(),
        })
    }

    fn exports(&self, _: &Arc<Loaded>) -> Vec<Export> {
        let list = self.list.items().clone();
        vec![Export {
            label: "list",
            name: "members.txt".to_owned(),
            write: Arc::new(move |_, out| {
                let mut lines = list.iter();
                lines
                    .try_for_each(|item| writeln!(out, "{}\t{}", item.size, item.name))
                    .map_err(|error| error.to_string())
            }),
        }]
    }

    fn click(&mut self, row: usize, _: usize, _: &mut Cx<'_>) {
        if let Some(at) = row.checked_sub(1).and_then(|row| self.list.scroll.at_row(row)) {
            self.list.scroll.select(at);
        }
    }

    fn is_busy(&self) -> bool {
        self.is_loading || self.is_opening || self.list.is_filtering
    }
}

fn heading(of: &Of, width: usize, look: Look) -> Line<'static> {
    let text = match of {
        Of::Images => format!("{:>10}  {:<16} NAME", "SIZE", "KIND"),
        _ if width >= 70 => format!("{:<5} {:>10}  {:<20} NAME", "MODE", "SIZE", "MODIFIED"),
        _ => format!("{:<5} {:>10}  NAME", "MODE", "SIZE"),
    };
    Line::from(Span::styled(text, look.theme.heading))
}

fn line(of: &Of, item: &Item, width: usize, look: Look) -> Line<'static> {
    let bytes = format!("{:>10}", size(item.size));
    let mut all = match of {
        Of::Images => {
            let kind =
                item.image.map_or(("other", look.theme.faint), |kind| (kind, ratatui::style::Style::new()));
            vec![Span::raw(format!("{bytes}  ")), Span::styled(format!("{:<16} ", kind.0), kind.1)]
        }
        _ => {
            let letter = match item.kind {
                EntryKind::File => '-',
                EntryKind::Directory => 'd',
                EntryKind::Symlink => 'l',
                EntryKind::Hardlink => 'h',
                _ => '?',
            };
            let mut all = vec![Span::raw(format!("{letter}{:04o} {bytes}  ", item.mode & 0o7777))];
            if width >= 70 {
                all.push(Span::styled(format!("{:<20} ", time(item.mtime)), look.theme.faint));
            }
            all
        }
    };
    let mut name = item.name.to_string();
    if let Some(link) = &item.link {
        name = format!("{name} -> {link}");
    }
    let room = width.saturating_sub(columns(&all));
    all.extend(padded(vec![Span::raw(name)], room, false, look));
    Line::from(all)
}

/// Seconds since 1970 as RFC 3339 text.
fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("@{seconds}"), |time| time.to_string())
}
