//! Presses keys and waits for jobs, as the loop does.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ckx_core::Options;
use ckx_tui::{App, Effect, Event, Jobs, Look, Msg, Sources, draw, theme};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// Longer than any job takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The application with its surroundings.
pub struct Driver {
    app: App,
    terminal: Terminal<TestBackend>,
    events: Receiver<Event>,
    jobs: Jobs,
    /// What was copied last.
    pub copied: Option<String>,
    /// Whether it wants to end.
    pub has_quit: bool,
}

/// A checkpoint that was shipped.
pub fn fixture(name: &str) -> PathBuf {
    Path::new("../../fixtures/checkpoints").join(name)
}

impl Driver {
    /// Opens sources on a screen, and waits until they are open.
    pub fn open(paths: &[PathBuf], size: (u16, u16)) -> Self {
        let mut driver = Self::begin(paths, size, "dark", false);
        driver.settle();
        driver
    }

    /// The application at its first picture.
    pub fn begin(paths: &[PathBuf], size: (u16, u16), name: &str, ascii: bool) -> Self {
        let list = paths.iter().map(|path| (path.clone(), Options::default())).collect();
        let look = Look { theme: theme(name).expect("a theme"), ascii };
        let (send, events) = channel();
        let terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("it is memory");
        let app = App::new(Sources { list }, look, size);
        Self { app, terminal, events, jobs: Jobs::new(send), copied: None, has_quit: false }
    }

    fn effects(&mut self) {
        for effect in self.app.effects() {
            match effect {
                Effect::Job(topic, job) => self.jobs.start(topic, job),
                Effect::Stop(view, word) => self.jobs.stop(view, word),
                Effect::Copy(text) => self.copied = Some(text),
                Effect::Quit => self.has_quit = true,
                Effect::Suspend => {}
            }
        }
    }

    /// Waits until nothing runs any more.
    pub fn settle(&mut self) {
        self.effects();
        while !self.jobs.is_idle() {
            let event = self.events.recv_timeout(PATIENCE).expect("jobs end");
            self.take(event);
        }
    }

    /// Waits until the screen has this text, whatever else is still to come.
    pub fn wait_for(&mut self, text: &str) {
        self.effects();
        while !self.screen().contains(text) {
            let Ok(event) = self.events.recv_timeout(PATIENCE) else {
                panic!("{text} does not come:\n{}", self.screen())
            };
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Job(notice) => {
                let ended = notice.is_end.then_some(notice.topic);
                self.app.notice(notice);
                if let Some(topic) = ended {
                    self.jobs.ended(topic);
                }
            }
            other => panic!("{other:?}"),
        }
        self.effects();
    }

    /// Presses keys: characters, and names in angle brackets (`<Enter>`, `<C-d>`), and waits after each for
    /// what follows.
    pub fn press(&mut self, keys: &str) -> &mut Self {
        self.keys(keys, true)
    }

    /// The same without waiting for what follows.
    pub fn type_only(&mut self, keys: &str) -> &mut Self {
        self.keys(keys, false)
    }

    fn keys(&mut self, keys: &str, wait: bool) -> &mut Self {
        let mut rest = keys;
        while let Some(char) = rest.chars().next() {
            let (key, after) = match rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
                Some((name, after)) => (named(name), after),
                None => (KeyEvent::new(KeyCode::Char(char), KeyModifiers::NONE), &rest[char.len_utf8()..]),
            };
            rest = after;
            self.app.update(Msg::Key(key));
            self.effects();
            if wait {
                self.settle();
            }
        }
        self
    }

    /// Another size of the screen.
    pub fn resize(&mut self, width: u16, height: u16) -> &mut Self {
        self.terminal.backend_mut().resize(width, height);
        self.app.update(Msg::Resize(width, height));
        self.settle();
        self
    }

    /// What is on the screen, as text.
    pub fn screen(&mut self) -> String {
        self.terminal.draw(|frame| draw(&self.app, frame)).expect("it is memory");
        let buffer = self.terminal.backend().buffer();
        let mut text = String::new();
        for y in 0..buffer.area.height {
            let line: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Whether any cell of the screen has a colour.
    pub fn has_colour(&mut self) -> bool {
        use ratatui::style::Color;
        self.screen();
        let buffer = self.terminal.backend().buffer();
        buffer.content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    }
}

fn named(name: &str) -> KeyEvent {
    let code = |code| KeyEvent::new(code, KeyModifiers::NONE);
    match name {
        "Enter" => code(KeyCode::Enter),
        "Esc" => code(KeyCode::Esc),
        "Tab" => code(KeyCode::Tab),
        "Space" => code(KeyCode::Char(' ')),
        "Up" => code(KeyCode::Up),
        "Down" => code(KeyCode::Down),
        "Left" => code(KeyCode::Left),
        "Right" => code(KeyCode::Right),
        "PgDn" => code(KeyCode::PageDown),
        "Backspace" => code(KeyCode::Backspace),
        name => match name.strip_prefix("C-").and_then(|rest| rest.chars().next()) {
            Some(char) => KeyEvent::new(KeyCode::Char(char), KeyModifiers::CONTROL),
            None => panic!("no key `{name}`"),
        },
    }
}

/// Compares a screen with the picture that was accepted: `INSTA_UPDATE=always` accepts.
macro_rules! assert_screen {
    ($name:expr, $driver:expr) => {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $driver.screen())
        })
    };
}
pub(crate) use assert_screen;

/// The sizes at which every view is looked at.
pub const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

/// Takes a picture of a walk at each size.
pub fn pictures(name: &str, sources: &[&str], keys: &str) {
    let paths: Vec<PathBuf> = sources.iter().map(|name| fixture(name)).collect();
    for size in SIZES {
        let mut driver = Driver::open(&paths, size);
        driver.press(keys);
        assert_screen!(format!("{name}-{}x{}", size.0, size.1), driver);
    }
}
