//! The terminal: taking it, giving it back whatever happens, signals.

use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::ThreadId;

use base64::Engine;
use crossterm::cursor::{Hide, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use crate::event::Event;

/// Whether the terminal is ours at the moment.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal in our hands. Dropping it gives it back.
#[derive(Debug)]
pub struct Taken {
    mouse: bool,
}

impl Taken {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn new(mouse: bool) -> io::Result<Self> {
        restore_on_panic(std::thread::current().id());
        let taken = Self { mouse };
        taken.enter()?;
        Ok(taken)
    }

    /// Takes it, or takes it once more.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn enter(&self) -> io::Result<()> {
        IS_TAKEN.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        if self.mouse {
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        Ok(())
    }

    /// Gives it back, stops until the shell goes on, and takes it again.
    ///
    /// # Errors
    /// When it cannot be set up again.
    pub fn suspend(&self) -> io::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(SIGTSTP)?;
        self.enter()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Makes the terminal what it was. Nothing happens if it is not ours.
fn give_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // A terminal that is gone cannot be told anything.
    let _ = execute!(io::stdout(), DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// Of a panic one sees nothing on a screen that is ours. Those of jobs are caught and told by the
/// application, so their words are dropped.
fn restore_on_panic(screen: ThreadId) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == screen {
                give_back();
            }
            if !IS_TAKEN.load(Ordering::SeqCst) {
                before(info);
            }
        }));
    });
}

/// Puts text into the clipboard of the terminal (OSC 52).
///
/// # Errors
/// When the terminal cannot be written to.
pub fn copy(text: &str) -> io::Result<()> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    let mut out = io::stdout();
    write!(out, "\x1b]52;c;{encoded}\x07")?;
    out.flush()
}

/// Hands on keys and signals.
///
/// # Errors
/// When signals cannot be handled.
pub fn listen(events: &Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT])?;
    let to = events.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if to.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    let to = events.clone();
    std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
        loop {
            let event = match crossterm::event::read() {
                Ok(event) => Event::Terminal(event),
                Err(error) => Event::Gone(error.to_string()),
            };
            let is_end = matches!(event, Event::Gone(_));
            if to.send(event).is_err() || is_end {
                return;
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    use super::Taken;

    /// What the other test starts on a terminal of its own.
    #[test]
    #[ignore = "the other test starts it"]
    fn a_screen_that_panics() {
        let _taken = Taken::new(true).expect("a terminal");
        panic!("on purpose, while drawing");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_and_is_read() {
        let pair = native_pty_system().openpty(PtySize::default()).expect("a terminal");
        let mut command = CommandBuilder::new(std::env::current_exe().expect("a path"));
        command.args(["terminal::tests::a_screen_that_panics", "--exact", "--nocapture", "--ignored"]);
        command.env("RUST_BACKTRACE", "0");
        let mut child = pair.slave.spawn_command(command).expect("it starts");
        drop(pair.slave);
        let mut written = Vec::new();
        let mut reader = pair.master.try_clone_reader().expect("it can be read");
        // The end of a terminal is an error.
        let _ = reader.read_to_end(&mut written);
        assert!(!child.wait().expect("it ends").success());
        let size = |size: u16| size.try_into().expect("not zero");
        let mut screen = vt100::Parser::new(size(24), size(80), 0);
        screen.process(&written);
        let screen = screen.screen();
        assert!(written.windows(8).any(|bytes| bytes == b"\x1b[?1049h"), "the other screen was taken");
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert!(screen.contents().contains("on purpose, while drawing"), "{}", screen.contents());
        let modes = pair.master.get_termios().expect("a terminal has modes").local_flags.bits();
        // What is typed is seen, and is handed on by lines.
        assert_eq!(modes & 0o12, 0o12);
    }
}
