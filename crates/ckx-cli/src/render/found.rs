//! What a search found, as lines for people and as events for programs.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use base64::Engine as _;
use ckx_archive::tarball::Step;
use ckx_core::memory::search::{Hit, InMember};
use ckx_core::memory::{Area, Owner, Place};
use ckx_core::{Issue, Name};
use schemars::JsonSchema;
use serde::Serialize;

use crate::render::document::path_name;
use crate::render::value::{Look, NAME};

/// Name and version of the schema of the events.
pub const SCHEMA: &str = "ckx.grep/1";

const MATCH: Style = AnsiColor::Red.on_default().bold();

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// A line for each match.
    Lines,
    /// Who has how many.
    Count,
    /// Who has any.
    Names,
    /// Events in JSON.
    Json,
    /// Nothing.
    Nothing,
}

/// Where something was found.
pub enum Found<'f> {
    /// In memory.
    Memory(&'f Arc<Area>),
    /// In a member.
    Member(&'f InMember),
}

/// A line of the output in JSON.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// The first.
    Begin {
        /// `ckx.grep/1`.
        schema: &'static str,
        /// Path as given.
        source: Name,
    },
    /// A match.
    Match(MatchEvent),
    /// Something that could not be searched.
    Issue(Issue),
    /// The last.
    Summary {
        /// Matches.
        matches: u64,
        /// Whether the search ended before the end, as was asked for.
        is_cut: bool,
    },
}

/// A match in JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MatchEvent {
    /// Number of the shared object, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    shmid: Option<u64>,
    /// Where it is in memory; several places for shared memory that is mapped several times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    places: Vec<Place>,
    /// The member that it is in, if not in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<Name>,
    /// The file in the member, if that is a tar.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Name>,
    /// Offset in the shared object, or in the member or the file in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset_bytes: Option<u64>,
    /// Length of the match.
    len_bytes: u64,
    /// The match, of a long one the beginning.
    matched: Data,
    /// What is before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Data>,
    /// What is behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Data>,
}

/// Bytes: as text if they are UTF-8.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    /// Text.
    Text(String),
    /// In base64.
    Bytes(String),
}

impl From<&[u8]> for Data {
    fn from(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(base64::engine::general_purpose::STANDARD.encode(bytes)),
        }
    }
}

/// Prints what a search finds.
pub struct Printer<'o> {
    show: Show,
    left: u64,
    look: Look,
    out: &'o mut dyn Write,
    matches: u64,
    /// Matches by who has them, in the order of the first.
    counts: Vec<(String, u64)>,
    places: HashMap<String, usize>,
    is_done: bool,
    broken: Option<io::Error>,
}

impl<'o> Printer<'o> {
    /// Prints at most `most` matches.
    pub fn new(show: Show, most: Option<u64>, look: Look, out: &'o mut Box<dyn Write>) -> Self {
        let left = if show == Show::Nothing { 1 } else { most.unwrap_or(u64::MAX) };
        Self {
            show,
            left,
            look,
            out,
            matches: 0,
            counts: Vec::new(),
            places: HashMap::new(),
            is_done: left == 0,
            broken: None,
        }
    }

    /// Begins the output.
    pub fn begin(&mut self, source: &Path) {
        if self.show == Show::Json {
            let written = self.event(&Event::Begin { schema: SCHEMA, source: path_name(source) });
            self.wrote(written);
        }
    }

    /// Whether no more is wanted.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Prints a match.
    pub fn found(&mut self, place: &Found<'_>, hit: &Hit) -> Step {
        if self.is_done {
            return Step::Stop;
        }
        self.matches += 1;
        self.left -= 1;
        self.is_done = self.left == 0;
        let written = match self.show {
            Show::Lines => self.line(place, hit),
            Show::Json => self.event(&Event::Match(MatchEvent::new(place, hit))),
            Show::Count | Show::Names => {
                self.count(who(place));
                Ok(())
            }
            Show::Nothing => Ok(()),
        };
        self.wrote(written)
    }

    fn wrote(&mut self, written: io::Result<()>) -> Step {
        if let Err(error) = written {
            self.broken = Some(error);
            self.is_done = true;
        }
        if self.is_done { Step::Stop } else { Step::Next }
    }

    fn count(&mut self, who: String) {
        let at = *self.places.entry(who).or_insert_with_key(|who| {
            self.counts.push((who.clone(), 0));
            self.counts.len() - 1
        });
        if let Some((_, count)) = self.counts.get_mut(at) {
            *count += 1;
        }
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, event)?;
        self.out.write_all(b"\n")
    }

    /// `7 0x55d0c0de1234 [heap]+0x234  ...before MATCH after...`
    fn line(&mut self, place: &Found<'_>, hit: &Hit) -> io::Result<()> {
        let at = location(place, hit.address);
        let (name, matched) = match self.look.color {
            true => (NAME, MATCH),
            false => (Style::new(), Style::new()),
        };
        let more = if hit.len > hit.bytes.len() { "…" } else { "" };
        writeln!(
            self.out,
            "{name}{at}{name:#}  {}{matched}{}{more}{matched:#}{}",
            shown(&hit.before),
            shown(&hit.bytes),
            shown(&hit.after)
        )
    }

    /// Ends the output; returns the number of matches.
    pub fn end(mut self, issues: &[Issue]) -> io::Result<u64> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        match self.show {
            Show::Json => {
                for issue in issues {
                    self.event(&Event::Issue(issue.clone()))?;
                }
                self.event(&Event::Summary { matches: self.matches, is_cut: self.is_done })?;
            }
            Show::Count | Show::Names => {
                for (who, count) in &self.counts {
                    match self.show {
                        Show::Count => writeln!(self.out, "{who}: {count}")?,
                        _ => writeln!(self.out, "{who}")?,
                    }
                }
            }
            Show::Lines | Show::Nothing => {}
        }
        Ok(self.matches)
    }
}

/// Who has a match.
fn who(place: &Found<'_>) -> String {
    match place {
        Found::Memory(area) => match &area.owner {
            Owner::Process { pid, comm } => match comm {
                Some(comm) => format!("{pid} {comm}"),
                None => pid.to_string(),
            },
            Owner::Object { shmid } => {
                let mut pids: Vec<u32> = area.owners();
                pids.dedup();
                let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
                format!("{} shared object {shmid}", pids.join(",")).trim_start().to_owned()
            }
        },
        Found::Member(place) => member(place),
    }
}

fn member(place: &InMember) -> String {
    match &place.inner {
        Some(inner) => format!("{}/{inner}", place.member),
        None => place.member.to_string(),
    }
}

fn location(place: &Found<'_>, address: u64) -> String {
    let area = match place {
        Found::Member(place) => return format!("{} {address:#x}", member(place)),
        Found::Memory(area) => area,
    };
    let places = area.places(address);
    let Some(first) = places.first() else {
        return format!("{} {address:#x}", who(place));
    };
    let mut pids: Vec<String> = places.iter().map(|place| place.pid.to_string()).collect();
    pids.dedup();
    let name = match (&first.mapping, first.mapping_start) {
        (Some(name), Some(start)) => format!(" {name}+{:#x}", first.address.0 - start.0),
        (None, Some(start)) => format!(" {:#x}+{:#x}", start.0, first.address.0 - start.0),
        _ => String::new(),
    };
    format!("{} {:#x}{name}", pids.join(","), first.address.0)
}

/// Bytes with a dot for each that is not printable.
fn shown(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }).collect()
}

impl MatchEvent {
    fn new(place: &Found<'_>, hit: &Hit) -> Self {
        let some = |bytes: &[u8]| (!bytes.is_empty()).then(|| Data::from(bytes));
        let mut event = Self {
            shmid: None,
            places: Vec::new(),
            member: None,
            file: None,
            offset_bytes: None,
            len_bytes: hit.len as u64,
            matched: Data::from(hit.bytes.as_slice()),
            before: some(&hit.before),
            after: some(&hit.after),
        };
        match place {
            Found::Memory(area) => {
                event.places = area.places(hit.address);
                if let Owner::Object { shmid } = area.owner {
                    event.shmid = Some(shmid);
                    event.offset_bytes = Some(hit.address);
                }
            }
            Found::Member(place) => {
                event.member = Some(place.member.clone());
                event.file = place.inner.clone();
                event.offset_bytes = Some(hit.address);
            }
        }
        event
    }
}
