//! The views: one file each. What the tree on the left leads to is in [`VIEWS`].

mod diff;
pub mod hex;
mod image;
mod log;
pub mod maps;
mod members;
mod message;
pub mod outline;
mod search;

use std::any::Any;
use std::io::Write;
use std::sync::Arc;

use ckx_core::Checkpoint;
use ckx_core::inspect::{SECTIONS, Section};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{Effect, ViewId};
use crate::job::{Answer, Job, Topic, Work};
use crate::keys::{Action, Place};
use crate::space::Spaces;
use crate::theme::Look;
use members::MembersView;
pub use message::Message;
use outline::OutlineView;

/// What is browsed.
#[derive(Debug)]
pub struct Loaded {
    /// The checkpoint.
    pub checkpoint: Arc<Checkpoint>,
    /// The one it is compared with.
    pub other: Option<Arc<Checkpoint>>,
    /// Memory that was read.
    pub spaces: Spaces,
    /// Whether it is only what went by of the source so far.
    pub is_partial: bool,
}

/// One of the two checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The first, or the only one.
    First,
    /// The second.
    Second,
}

impl Loaded {
    /// One of the checkpoints.
    pub fn side(&self, which: Which) -> Option<&Arc<Checkpoint>> {
        match which {
            Which::First => Some(&self.checkpoint),
            Which::Second => self.other.as_ref(),
        }
    }
}

/// A part of the screen that shows something and takes keys.
pub trait View: Any {
    /// What it shows, in a few words.
    fn title(&self) -> String;

    /// Starts what has to be done before it can show anything.
    fn start(&mut self, _: &mut Cx<'_>) {}

    /// Does it once more, because more of the source is there.
    fn restart(&mut self, cx: &mut Cx<'_>) {
        self.start(cx);
    }

    /// Takes a key. Whether it had a use for it.
    fn act(&mut self, action: Action, cx: &mut Cx<'_>) -> bool;

    /// Takes an answer of a job.
    fn answer(&mut self, _word: &'static str, _answer: Result<Answer, String>, _cx: &mut Cx<'_>) {}

    /// A job has ended.
    fn ended(&mut self, _word: &'static str) {}

    /// It has this many columns and lines.
    fn resize(&mut self, width: u16, height: u16, cx: &mut Cx<'_>);

    /// Draws what is on the screen. Nothing slow happens here.
    fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look, has_focus: bool);

    /// Which keys are valid.
    fn places(&self) -> Vec<Place>;

    /// What the status line says.
    fn status(&self) -> String {
        String::new()
    }

    /// Shows only what has this word in it; nothing hides nothing.
    fn filter(&mut self, _: &str, _cx: &mut Cx<'_>) {}

    /// The filter.
    fn filter_text(&self) -> &str {
        ""
    }

    /// What is selected, as text or as JSON.
    fn copied(&self, _as_json: bool) -> Option<String> {
        None
    }

    /// What can be written to a file.
    fn exports(&self, _: &Arc<Loaded>) -> Vec<Export> {
        Vec::new()
    }

    /// A line was clicked.
    fn click(&mut self, _row: usize, _column: usize, _cx: &mut Cx<'_>) {}

    /// An answer to a question that the view asked the user.
    ///
    /// # Errors
    /// Why it is of no use.
    fn told(&mut self, question: Question, text: &str, cx: &mut Cx<'_>) -> Result<(), String> {
        match question {
            Question::Search => search(text, cx),
            Question::Goto => Err("there are no addresses here: open the memory of a process".to_owned()),
        }
    }

    /// Whether an answer is still to come.
    fn is_busy(&self) -> bool {
        false
    }
}

/// A question to the user that has one line as answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Where to go.
    Goto,
    /// What to search for.
    Search,
}

/// Something that can be written to a file.
#[derive(Clone)]
pub struct Export {
    /// What it is.
    pub label: &'static str,
    /// File name that is proposed.
    pub name: String,
    /// Writes it.
    pub write: Writer,
}

/// Writes an export.
pub type Writer = Arc<dyn Fn(&Work, &mut dyn Write) -> Result<(), String> + Send + Sync>;

/// What a view can ask the application for.
pub enum Request {
    /// Shows a view on top of this one.
    Open(Box<dyn View>),
    /// Says something in the status line.
    Say(String),
    /// Asks the user.
    Ask(Question),
    /// Shows the view on the whole screen.
    Zoom,
}

/// What surrounds a view.
pub struct Cx<'a> {
    /// The view.
    pub id: ViewId,
    /// What is browsed.
    pub loaded: &'a Arc<Loaded>,
    /// How things are drawn.
    pub look: Look,
    /// Effects so far.
    pub effects: &'a mut Vec<Effect>,
    /// Requests so far.
    pub requests: &'a mut Vec<Request>,
}

impl Cx<'_> {
    /// Starts a job whose answer comes to this view.
    pub fn job(
        &mut self,
        word: &'static str,
        job: impl FnOnce(&Work) -> Result<Answer, String> + Send + 'static,
    ) {
        let job: Job = Box::new(job);
        self.effects.push(Effect::Job(Topic { view: self.id, word }, job));
    }

    /// Stops a job.
    pub fn stop(&mut self, word: &'static str) {
        self.effects.push(Effect::Stop(self.id, Some(word)));
    }

    /// Opens a view on top.
    pub fn open(&mut self, view: impl View) {
        self.requests.push(Request::Open(Box::new(view)));
    }

    /// Says something in the status line.
    pub fn say(&mut self, text: impl Into<String>) {
        self.requests.push(Request::Say(text.into()));
    }
}

/// Searches memory for what was typed, and shows what is found.
///
/// # Errors
/// When it cannot be searched for.
pub fn search(text: &str, cx: &mut Cx<'_>) -> Result<(), String> {
    let view = search::SearchView::new(text)?;
    cx.open(view);
    Ok(())
}

/// A row of [`VIEWS`]: a line of the tree.
pub struct ViewSpec {
    /// Its words.
    pub title: &'static str,
    /// Makes the view; `None` where there is nothing of it.
    pub open: fn(&Loaded) -> Option<Box<dyn View>>,
    /// Sections of `inspect` that belong to it and stand below it.
    pub sections: &'static [&'static str],
    /// Whether it is there only with two sources.
    pub of_two: bool,
}

const fn row(
    title: &'static str,
    open: fn(&Loaded) -> Option<Box<dyn View>>,
    sections: &'static [&'static str],
) -> ViewSpec {
    ViewSpec { title, open, sections, of_two: false }
}

/// The view of a section.
fn section(name: &str) -> Option<Box<dyn View>> {
    let section = ckx_core::inspect::section(name)?;
    Some(Box::new(OutlineView::section(section)))
}

/// The tree on the left. A section that no row names stands at the end, so that new ones are there.
pub const VIEWS: &[ViewSpec] = &[
    ViewSpec { of_two: true, ..row("differences", |_| boxed(diff::DiffView::new()), &[]) },
    row("overview", |_| section("overview"), &["container", "stats"]),
    row(
        "processes",
        |_| section("processes"),
        &["threads", "credentials", "environment", "auxv", "signals", "timers", "limits", "seccomp"],
    ),
    row("memory", |_| boxed(OutlineView::memory()), &["maps", "shared-memory"]),
    row("files", |_| section("descriptors"), &["locks"]),
    row("sockets", |_| section("sockets"), &["network"]),
    row("mounts", |_| section("mounts"), &[]),
    row("namespaces", |_| section("namespaces"), &["ipc"]),
    row("cgroups", |_| section("cgroups"), &[]),
    row("rootfs changes", |_| section("rootfs-diff"), &["tmpfs", "volumes"]),
    row("logs", |_| boxed(MembersView::logs()), &["logs", "dump-log"]),
    row("raw images", |_| boxed(MembersView::images()), &["images"]),
    row("members", |_| boxed(MembersView::all()), &[]),
    row("warnings", |_| boxed(OutlineView::warnings()), &[]),
];

#[allow(clippy::unnecessary_wraps)]
fn boxed(view: impl View) -> Option<Box<dyn View>> {
    Some(Box::new(view))
}

/// Sections that are the view of a row of [`VIEWS`] themselves.
pub const MAIN_SECTIONS: &[&str] =
    &["overview", "processes", "descriptors", "sockets", "mounts", "namespaces", "cgroups", "rootfs-diff"];

/// Sections that no row names.
pub fn other_sections() -> impl Iterator<Item = &'static Section> {
    let is_named =
        |name: &str| MAIN_SECTIONS.contains(&name) || VIEWS.iter().any(|view| view.sections.contains(&name));
    SECTIONS.iter().filter(move |section| !is_named(section.name))
}
