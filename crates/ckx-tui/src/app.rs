//! The application: state, what happens, what follows. Drawing is in [`crate::frame`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use ckx_archive::Progress;
use ckx_core::Options;
use crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};

use crate::export;
use crate::frame::Layout;
use crate::help::Help;
use crate::job::{Job, Notice, Topic};
use crate::keys::{self, Action, Place};
use crate::nav::{Entry, Nav};
use crate::open;
use crate::prompt::{Prompt, Purpose};
use crate::scroll::Move;
use crate::theme::Look;
use crate::view::{Cx, Loaded, Question, Request, View};

/// Names a view as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ViewId(pub u64);

/// The application itself, as one that asks for jobs.
pub const APP: ViewId = ViewId(0);

/// What the application wants of the world.
pub enum Effect {
    /// Work to do.
    Job(Topic, Job),
    /// Work that nobody waits for any more: one question of a view, or all.
    Stop(ViewId, Option<&'static str>),
    /// Text for the clipboard.
    Copy(String),
    /// Leave the screen until the shell goes on.
    Suspend,
    /// End.
    Quit,
}

/// Something that happened.
#[derive(Debug)]
pub enum Msg {
    /// A key.
    Key(KeyEvent),
    /// The mouse.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The screen has this many columns and lines.
    Resize(u16, u16),
    /// Some time went by.
    Tick,
}

/// What is browsed, and how.
#[derive(Debug, Clone)]
pub struct Sources {
    /// One checkpoint, or two to compare, each with how it is opened.
    pub list: Vec<(PathBuf, Options)>,
}

/// Which part of the screen gets the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The tree on the left.
    Nav,
    /// The view.
    View,
}

/// How far the opening has come.
pub enum State {
    /// The sources are being read.
    Opening(open::Seen),
    /// They cannot be.
    Failed(String),
    /// They are open.
    Open(Arc<Loaded>),
}

/// A view on the stack.
pub struct Slot {
    /// Its name for jobs.
    pub id: ViewId,
    /// The view.
    pub view: Box<dyn View>,
}

/// Everything that is on the screen.
pub struct App {
    /// The sources.
    pub sources: Sources,
    /// How things are drawn.
    pub look: Look,
    /// How far the opening has come.
    pub state: State,
    /// How far the reading of the sources has come.
    pub progress: Vec<Arc<Progress>>,
    /// The tree.
    pub nav: Nav,
    /// Views by line of the tree, each on top of what it was opened from.
    pub stacks: HashMap<Entry, Vec<Slot>>,
    /// What gets the keys.
    pub focus: Focus,
    /// A line that is being typed.
    pub prompt: Option<Prompt>,
    /// The help, if it is shown.
    pub help: Option<Help>,
    /// What was said last.
    pub message: Option<String>,
    /// Whether the view has the whole screen.
    pub is_zoomed: bool,
    /// The view that asked for that, which takes it back when it is left.
    zoomed_by: Option<ViewId>,
    /// Columns and lines.
    pub size: (u16, u16),
    /// Ticks so far: for what moves.
    pub ticks: usize,
    last_id: u64,
    effects: Vec<Effect>,
}

impl App {
    /// The application before anything is open, on a screen of this size.
    pub fn new(sources: Sources, look: Look, size: (u16, u16)) -> Self {
        let progress: Vec<_> = sources.list.iter().map(|_| Arc::new(Progress::default())).collect();
        let mut app = Self {
            look,
            state: State::Opening(open::Seen::default()),
            progress: progress.clone(),
            nav: Nav::new(sources.list.len() > 1),
            stacks: HashMap::new(),
            focus: Focus::Nav,
            prompt: None,
            help: None,
            message: None,
            is_zoomed: false,
            zoomed_by: None,
            size,
            ticks: 0,
            last_id: 0,
            effects: Vec::new(),
            sources,
        };
        let job = open::job(app.sources.clone(), progress);
        app.effects.push(Effect::Job(Topic { view: APP, word: "open" }, job));
        app.resize(size.0, size.1);
        app
    }

    /// What is to be done now.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What is browsed, once it is open.
    pub fn loaded(&self) -> Option<&Arc<Loaded>> {
        match &self.state {
            State::Open(loaded) => Some(loaded),
            _ => None,
        }
    }

    /// Takes what happened.
    pub fn update(&mut self, msg: Msg) {
        match msg {
            Msg::Key(key) if key.kind != KeyEventKind::Release => self.key(key),
            Msg::Key(_) => {}
            Msg::Mouse(mouse) => self.mouse(mouse),
            Msg::Paste(text) => {
                if let Some(prompt) = &mut self.prompt {
                    prompt.paste(&text);
                    self.prompt_changed();
                }
            }
            Msg::Resize(width, height) => self.resize(width, height),
            Msg::Tick => self.ticks = self.ticks.wrapping_add(1),
        }
    }

    /// Leaves the screen, as a signal asks for.
    pub fn suspend(&mut self) {
        self.effects.push(Effect::Suspend);
    }

    /// Takes what a job says.
    pub fn notice(&mut self, notice: Notice) {
        let Notice { topic, answer, is_end } = notice;
        if topic.view == APP {
            return self.app_answer(topic.word, answer);
        }
        let stack = self.stacks.iter().find(|(_, stack)| stack.iter().any(|slot| slot.id == topic.view));
        let Some(entry) = stack.map(|(entry, _)| *entry) else { return };
        self.with_view(entry, topic.view, |view, cx| {
            if is_end {
                view.ended(topic.word);
            }
            if let Some(answer) = answer {
                view.answer(topic.word, answer, cx);
            }
        });
    }

    fn app_answer(&mut self, word: &str, answer: Option<Result<crate::job::Answer, String>>) {
        match (word, answer) {
            ("open", Some(Ok(answer))) => self.opened(answer),
            ("open", Some(Err(reason))) => self.state = State::Failed(reason),
            ("export", Some(Ok(answer))) => {
                if let Ok(text) = answer.downcast::<String>() {
                    self.message = Some(*text);
                }
            }
            (_, Some(Err(reason))) => self.message = Some(reason),
            _ => {}
        }
    }

    /// Takes what there is of the sources: their members, what came so far, or everything.
    fn opened(&mut self, answer: crate::job::Answer) {
        match answer.downcast::<Loaded>() {
            Ok(loaded) => self.browse(*loaded),
            Err(answer) => {
                if let (Ok(seen), State::Opening(now)) = (answer.downcast::<open::Seen>(), &mut self.state) {
                    *now = *seen;
                }
            }
        }
    }

    /// Shows what was loaded. Views of an earlier sight stay where they are and load again.
    fn browse(&mut self, loaded: Loaded) {
        self.state = State::Open(loaded.into());
        let slots = self.stacks.iter().flat_map(|(entry, stack)| stack.iter().map(|slot| (*entry, slot.id)));
        for (entry, id) in slots.collect::<Vec<_>>() {
            self.with_view(entry, id, |view, cx| view.restart(cx));
        }
        self.show_entry();
    }

    /// Lets something work on a view, then does what it asked for.
    fn with_view<R>(
        &mut self,
        entry: Entry,
        id: ViewId,
        work: impl FnOnce(&mut dyn View, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        let State::Open(loaded) = &self.state else { return None };
        let slot = self.stacks.get_mut(&entry)?.iter_mut().find(|slot| slot.id == id)?;
        let mut requests = Vec::new();
        let mut cx = Cx { id, loaded, look: self.look, effects: &mut self.effects, requests: &mut requests };
        let result = work(&mut *slot.view, &mut cx);
        for request in requests {
            match request {
                Request::Open(view) => self.push(entry, view),
                Request::Say(text) => self.message = Some(text),
                Request::Zoom => {
                    self.zoomed_by = (!self.is_zoomed).then_some(id);
                    self.is_zoomed = true;
                    self.resize(self.size.0, self.size.1);
                }
                Request::Ask(question) => self.prompt = Some(Prompt::new(Purpose::Ask(question), "")),
            }
        }
        Some(result)
    }

    /// The view that is shown.
    pub fn top(&self) -> Option<&Slot> {
        self.stacks.get(&self.nav.entry()?)?.last()
    }

    fn with_top<R>(&mut self, work: impl FnOnce(&mut dyn View, &mut Cx<'_>) -> R) -> Option<R> {
        let id = self.top()?.id;
        self.with_view(self.nav.entry()?, id, work)
    }

    /// Puts a view on top of a line's stack.
    fn push(&mut self, entry: Entry, view: Box<dyn View>) {
        self.last_id += 1;
        let id = ViewId(self.last_id);
        self.stacks.entry(entry).or_default().push(Slot { id, view });
        let layout = Layout::of(self);
        self.with_view(entry, id, |view, cx| {
            view.resize(layout.view.width, layout.view.height, cx);
            view.start(cx);
        });
        if self.stacks.get(&entry).is_some_and(|stack| stack.len() > 1) {
            self.focus = Focus::View;
        }
    }

    /// Makes the view of the selected line, unless it is there.
    fn show_entry(&mut self) {
        let State::Open(loaded) = &self.state else { return };
        let Some(entry) = self.nav.entry() else { return };
        if self.stacks.contains_key(&entry) {
            return self.resize(self.size.0, self.size.1);
        }
        if let Some(view) = Nav::open(entry, loaded) {
            self.push(entry, view);
        }
    }

    fn resize(&mut self, width: u16, height: u16) {
        self.size = (width, height);
        let layout = Layout::of(self);
        self.nav.scroll.set_height(layout.nav.height.into());
        if let Some(help) = &mut self.help {
            help.resize(layout.help.width, layout.help.height);
        }
        self.with_top(|view, cx| view.resize(layout.view.width, layout.view.height, cx));
    }

    /// The places whose keys are valid.
    pub fn places(&self) -> Vec<Place> {
        match (self.focus, self.top()) {
            (Focus::Nav, _) => vec![Place::List, Place::Tree],
            (Focus::View, Some(slot)) => slot.view.places(),
            (Focus::View, None) => Vec::new(),
        }
    }

    /// Whether what is browsed is only what went by of the source so far.
    pub fn is_partial(&self) -> bool {
        self.loaded().is_some_and(|loaded| loaded.is_partial)
    }

    /// Whether something moves although nobody presses a key.
    pub fn is_busy(&self) -> bool {
        self.is_partial()
            || matches!(self.state, State::Opening(_))
            || self.top().is_some_and(|slot| slot.view.is_busy())
    }

    fn key(&mut self, key: KeyEvent) {
        self.message = None;
        if self.prompt.is_some() {
            return self.prompt_key(key);
        }
        let places = if self.help.is_some() { Vec::new() } else { self.places() };
        let Some(action) = keys::action(key, &places) else { return };
        if let Some(help) = &mut self.help {
            match action {
                Action::Go(how) => help.scroll.go(how),
                Action::Quit | Action::Help | Action::Back => self.help = None,
                Action::Suspend => self.effects.push(Effect::Suspend),
                _ => {}
            }
            return;
        }
        self.act(action);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Quit => self.effects.push(Effect::Quit),
            Action::Suspend => self.effects.push(Effect::Suspend),
            Action::Help => {
                self.help = Some(Help::new(self.places()));
                self.resize(self.size.0, self.size.1);
            }
            Action::Command => self.prompt = Some(Prompt::new(Purpose::Command, "")),
            Action::Focus => self.focus = if self.focus == Focus::Nav { Focus::View } else { Focus::Nav },
            Action::Jump(number) => self.jump(number),
            Action::Zoom => self.zoom(),
            _ if self.loaded().is_none() => {}
            Action::Filter => {
                self.focus = Focus::View;
                let text = self.top().map(|slot| slot.view.filter_text().to_owned()).unwrap_or_default();
                self.prompt = Some(Prompt::new(Purpose::Filter, &text));
            }
            Action::Search => self.prompt = Some(Prompt::new(Purpose::Ask(Question::Search), "")),
            Action::Copy => self.copy(false),
            Action::CopyJson => self.copy(true),
            Action::Export => self.export(),
            _ if self.focus == Focus::Nav => self.nav_action(action),
            _ => self.view_action(action),
        }
    }

    fn jump(&mut self, number: u8) {
        self.nav.jump(number.into());
        self.focus = Focus::Nav;
        self.show_entry();
    }

    fn zoom(&mut self) {
        self.is_zoomed = !self.is_zoomed;
        if self.is_zoomed {
            self.focus = Focus::View;
        }
        self.resize(self.size.0, self.size.1);
    }

    fn nav_action(&mut self, action: Action) {
        let consumed = self.nav.act(action);
        match action {
            Action::Open => self.focus = Focus::View,
            Action::Right if !consumed => self.focus = Focus::View,
            _ => {}
        }
        self.show_entry();
    }

    fn view_action(&mut self, action: Action) {
        if self.with_top(|view, cx| view.act(action, cx)) == Some(true) {
            return;
        }
        match action {
            Action::Back => self.back(),
            Action::Left => self.back(),
            _ => {}
        }
    }

    /// Out of a filter, out of a view, out of the right part.
    fn back(&mut self) {
        let has_filter = self.top().is_some_and(|slot| !slot.view.filter_text().is_empty());
        if has_filter {
            self.with_top(|view, cx| view.filter("", cx));
            return;
        }
        let Some(stack) = self.nav.entry().and_then(|entry| self.stacks.get_mut(&entry)) else { return };
        if stack.len() > 1 {
            if let Some(slot) = stack.pop() {
                self.is_zoomed &= self.zoomed_by != Some(slot.id);
                self.effects.push(Effect::Stop(slot.id, None));
            }
        } else {
            self.focus = Focus::Nav;
            self.is_zoomed = false;
        }
        self.resize(self.size.0, self.size.1);
    }

    fn copy(&mut self, as_json: bool) {
        match self.top().and_then(|slot| slot.view.copied(as_json)) {
            Some(text) => {
                self.message = Some(format!("copied {} characters", text.chars().count()));
                self.effects.push(Effect::Copy(text));
            }
            None => self.message = Some("there is nothing to copy here".to_owned()),
        }
    }

    fn export(&mut self) {
        let exports = self.top().zip(self.loaded()).map(|(slot, loaded)| slot.view.exports(loaded));
        let exports = exports.unwrap_or_default();
        match exports.first() {
            Some(first) => {
                let name = first.name.clone();
                self.prompt = Some(Prompt::new(Purpose::Export(exports, 0), &name));
            }
            None => self.message = Some("there is nothing to write here".to_owned()),
        }
    }

    fn prompt_key(&mut self, key: KeyEvent) {
        use crate::prompt::Outcome;
        let Some(prompt) = &mut self.prompt else { return };
        match prompt.key(key) {
            Outcome::Nothing => {}
            Outcome::Changed => self.prompt_changed(),
            Outcome::Cancelled => {
                if let Some(Prompt { purpose: Purpose::Filter, .. }) = self.prompt.take() {
                    self.with_top(|view, cx| view.filter("", cx));
                }
            }
            Outcome::Done => self.prompt_done(),
        }
    }

    fn prompt_changed(&mut self) {
        let Some(prompt) = &self.prompt else { return };
        if let Purpose::Filter = prompt.purpose {
            let text = prompt.text().to_owned();
            self.with_top(|view, cx| view.filter(&text, cx));
        }
    }

    fn prompt_done(&mut self) {
        let Some(mut prompt) = self.prompt.take() else { return };
        let text = prompt.text().to_owned();
        let result = match &prompt.purpose {
            Purpose::Filter => Ok(()),
            Purpose::Command => self.command(&text),
            Purpose::Ask(question) => self.told(*question, &text),
            Purpose::Export(exports, at) => match exports.get(*at) {
                Some(export) => {
                    let job = export::job(export.clone(), &text);
                    job.map(|job| self.effects.push(Effect::Job(Topic { view: APP, word: "export" }, job)))
                }
                None => Ok(()),
            },
        };
        if let Err(reason) = result {
            prompt.error = Some(reason);
            self.prompt = Some(prompt);
        }
    }

    fn told(&mut self, question: Question, text: &str) -> Result<(), String> {
        self.with_top(|view, cx| view.told(question, text, cx))
            .unwrap_or_else(|| Err("nothing is open".to_owned()))
    }

    /// A command that was typed behind `:`.
    fn command(&mut self, text: &str) -> Result<(), String> {
        let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match (word, rest.trim()) {
            ("", _) => {}
            ("q" | "quit", _) => self.effects.push(Effect::Quit),
            ("help", _) => self.act(Action::Help),
            ("export", "") => self.export(),
            ("theme", name) => {
                let names =
                    || crate::theme::THEMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                self.look.theme =
                    crate::theme::theme(name).ok_or_else(|| format!("themes are {}", names()))?;
            }
            ("goto", place) if !place.is_empty() => self.told(Question::Goto, place)?,
            ("search", words) if !words.is_empty() => self.told(Question::Search, words)?,
            (word, "") if self.nav.find(word) => {
                self.focus = Focus::View;
                self.show_entry();
            }
            _ => return Err(format!("no command `{word}`: see ?")),
        }
        Ok(())
    }

    fn mouse(&mut self, mouse: MouseEvent) {
        let how = match mouse.kind {
            MouseEventKind::ScrollUp => Some(Move::Up),
            MouseEventKind::ScrollDown => Some(Move::Down),
            MouseEventKind::Down(MouseButton::Left) => None,
            _ => return,
        };
        if let Some(how) = how {
            for _ in 0..3 {
                self.act_quietly(Action::Go(how));
            }
            return;
        }
        let layout = Layout::of(self);
        let inside = |area: ratatui::layout::Rect| area.contains((mouse.column, mouse.row).into());
        if inside(layout.nav) && !self.is_zoomed {
            self.focus = Focus::Nav;
            if let Some(at) = self.nav.scroll.at_row(usize::from(mouse.row - layout.nav.y)) {
                self.nav.scroll.select(at);
                self.show_entry();
            }
        } else if inside(layout.view) {
            self.focus = Focus::View;
            let (row, column) = (mouse.row - layout.view.y, mouse.column - layout.view.x);
            self.with_top(|view, cx| view.click(row.into(), column.into(), cx));
        }
    }

    fn act_quietly(&mut self, action: Action) {
        if self.prompt.is_some() {
            return;
        }
        match &mut self.help {
            Some(help) => {
                if let Action::Go(how) = action {
                    help.scroll.go(how);
                }
            }
            None => self.act(action),
        }
    }
}
