//! The loop: something happens, the state changes, the screen is drawn.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crossterm::event::Event as Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::Rect;
use signal_hook::consts::{SIGCONT, SIGTSTP};

use crate::app::{App, Effect, Msg, Sources};
use crate::event::Event;
use crate::frame;
use crate::job::Jobs;
use crate::terminal::{Taken, copy, listen};
use crate::theme::Look;

/// How the browser is shown.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How things are drawn.
    pub look: Look,
    /// Whether the mouse is used.
    pub mouse: bool,
}

/// Time between two pictures of what moves by itself.
const TICK: Duration = Duration::from_millis(100);

/// Browses the sources on the terminal of this process until the user leaves.
///
/// # Errors
/// When the terminal cannot be used, and why the sources could not be opened.
pub fn run(sources: Sources, settings: Settings) -> io::Result<End> {
    let (send, events) = channel();
    let taken = Taken::new(settings.mouse)?;
    listen(&send)?;
    let mut terminal = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))?;
    let size = terminal.size()?;
    let mut app = App::new(sources, settings.look, (size.width, size.height));
    let mut jobs = Jobs::new(send);
    let mut world = World { taken: &taken };
    let end = turn(&mut terminal, &mut app, &events, &mut jobs, &mut world);
    drop(taken);
    end
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The user left.
    Left,
    /// A signal came, or the terminal went away.
    Signal(i32),
}

/// What is around the loop.
struct World<'t> {
    taken: &'t Taken,
}

/// Why the loop ends, if it does.
enum Flow {
    Go,
    Redraw,
    End(End),
}

fn turn<B: Backend<Error = io::Error>>(
    terminal: &mut ratatui::Terminal<B>,
    app: &mut App,
    events: &Receiver<Event>,
    jobs: &mut Jobs,
    world: &mut World<'_>,
) -> io::Result<End> {
    terminal.draw(|screen| frame::draw(app, screen))?;
    loop {
        let mut flow = effects(app, jobs, world)?;
        if let Flow::End(end) = flow {
            return Ok(end);
        }
        let first = if app.is_busy() {
            match events.recv_timeout(TICK) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => {
                    app.update(Msg::Tick);
                    None
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Left),
            }
        } else if let Flow::Go = flow {
            events.recv().ok()
        } else {
            None
        };
        // Everything that has come is taken before the next picture: keys never queue up behind drawing.
        let mut next = first;
        while let Some(event) = next {
            flow = flow.and(take(app, jobs, event));
            if let Flow::Go = flow {
                flow = effects(app, jobs, world)?;
            }
            if let Flow::End(_) = flow {
                break;
            }
            next = events.try_recv().ok();
        }
        match flow {
            Flow::End(end) => return Ok(end),
            Flow::Redraw => {
                // `clear` would ask the terminal where the cursor is, and the answer would go to whoever
                // waits for keys. The size may be another one by now.
                let size = terminal.size()?;
                app.update(Msg::Resize(size.width, size.height));
                terminal.resize(Rect::new(0, 0, size.width, size.height))?;
            }
            Flow::Go => {}
        }
        terminal.draw(|screen| frame::draw(app, screen))?;
    }
}

impl Flow {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::End(end), _) | (_, Self::End(end)) => Self::End(end),
            (Self::Redraw, _) | (_, Self::Redraw) => Self::Redraw,
            _ => Self::Go,
        }
    }
}

/// Hands an event to the application.
fn take(app: &mut App, jobs: &mut Jobs, event: Event) -> Flow {
    match event {
        Event::Terminal(Terminal::Key(key)) => app.update(Msg::Key(key)),
        Event::Terminal(Terminal::Mouse(mouse)) => app.update(Msg::Mouse(mouse)),
        Event::Terminal(Terminal::Paste(text)) => app.update(Msg::Paste(text)),
        Event::Terminal(Terminal::Resize(width, height)) => app.update(Msg::Resize(width, height)),
        Event::Terminal(_) => {}
        Event::Gone(_) => return Flow::End(End::Signal(signal_hook::consts::SIGHUP)),
        Event::Job(notice) => {
            let ended = notice.is_end.then_some(notice.topic);
            app.notice(notice);
            if let Some(topic) = ended {
                jobs.ended(topic);
            }
        }
        Event::Signal(SIGTSTP) => app.suspend(),
        Event::Signal(SIGCONT) => return Flow::Redraw,
        Event::Signal(signal) => return Flow::End(End::Signal(signal)),
    }
    Flow::Go
}

/// Does what the application wants.
fn effects(app: &mut App, jobs: &mut Jobs, world: &mut World<'_>) -> io::Result<Flow> {
    let mut flow = Flow::Go;
    for effect in app.effects() {
        match effect {
            Effect::Job(topic, job) => jobs.start(topic, job),
            Effect::Stop(view, word) => jobs.stop(view, word),
            Effect::Copy(text) => copy(&text)?,
            Effect::Suspend => {
                world.taken.suspend()?;
                flow = flow.and(Flow::Redraw);
            }
            Effect::Quit => flow = flow.and(Flow::End(End::Left)),
        }
    }
    Ok(flow)
}
