//! The views: one file each. What the tree on the left leads to is in [`VIEWS`].

mod message;
pub mod outline;

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
use crate::theme::Look;
pub use message::Message;
use outline::OutlineView;

/// What is browsed.
#[derive(Debug)]
pub struct Loaded {
    /// The checkpoint.
    pub checkpoint: Arc<Checkpoint>,
    /// The one it is compared with.
    pub other: Option<Arc<Checkpoint>>,
}

/// A part of the screen that shows something and takes keys.
pub trait View: Any {
    /// What it shows, in a few words.
    fn title(&self) -> String;

    /// Starts what has to be done before it can show anything.
    fn start(&mut self, _: &mut Cx<'_>) {}

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
    fn exports(&self) -> Vec<Export> {
        Vec::new()
    }

    /// A line was clicked.
    fn click(&mut self, _row: usize, _column: usize, _cx: &mut Cx<'_>) {}

    /// An answer to a question that the view asked the user.
    fn told(&mut self, _question: Question, _text: &str, _cx: &mut Cx<'_>) -> Result<(), String> {
        Err("there is nothing to do here".to_owned())
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

/// A row of [`VIEWS`]: a line of the tree.
pub struct ViewSpec {
    /// Its words.
    pub title: &'static str,
    /// Makes the view; `None` where there is nothing of it.
    pub open: fn(&Loaded) -> Option<Box<dyn View>>,
    /// Sections of `inspect` that belong to it and stand below it.
    pub sections: &'static [&'static str],
}

/// The view of a section.
fn section(name: &str) -> Option<Box<dyn View>> {
    let section = ckx_core::inspect::section(name)?;
    Some(Box::new(OutlineView::section(section)))
}

/// The tree on the left. A section that no row names stands at the end, so that new ones are there.
pub const VIEWS: &[ViewSpec] = &[
    ViewSpec { title: "overview", open: |_| section("overview"), sections: &["container", "stats"] },
    ViewSpec {
        title: "processes",
        open: |_| section("processes"),
        sections: &[
            "threads",
            "credentials",
            "environment",
            "auxv",
            "signals",
            "timers",
            "limits",
            "seccomp",
        ],
    },
    ViewSpec {
        title: "memory",
        open: |_| Some(Box::new(OutlineView::memory())),
        sections: &["maps", "shared-memory"],
    },
    ViewSpec { title: "files", open: |_| section("descriptors"), sections: &["locks"] },
    ViewSpec { title: "sockets", open: |_| section("sockets"), sections: &["network"] },
    ViewSpec { title: "mounts", open: |_| section("mounts"), sections: &[] },
    ViewSpec { title: "namespaces", open: |_| section("namespaces"), sections: &["ipc"] },
    ViewSpec { title: "cgroups", open: |_| section("cgroups"), sections: &[] },
    ViewSpec { title: "rootfs changes", open: |_| section("rootfs-diff"), sections: &["tmpfs", "volumes"] },
    ViewSpec { title: "logs", open: |_| section("logs"), sections: &["dump-log"] },
    ViewSpec { title: "raw images", open: |_| section("images"), sections: &[] },
    ViewSpec { title: "warnings", open: |_| Some(Box::new(OutlineView::warnings())), sections: &[] },
];

/// Sections that are the view of a row of [`VIEWS`] themselves.
pub const MAIN_SECTIONS: &[&str] = &[
    "overview",
    "processes",
    "descriptors",
    "sockets",
    "mounts",
    "namespaces",
    "cgroups",
    "rootfs-diff",
    "logs",
    "images",
];

/// Sections that no row names.
pub fn other_sections() -> impl Iterator<Item = &'static Section> {
    let is_named =
        |name: &str| MAIN_SECTIONS.contains(&name) || VIEWS.iter().any(|view| view.sections.contains(&name));
    SECTIONS.iter().filter(move |section| !is_named(section.name))
}
