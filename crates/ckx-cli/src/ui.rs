//! Where output goes: data to standard output, everything else to standard error.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::{Child, Command, Stdio};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::error::CliError;
use crate::render::value::Look;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// The streams of a run.
pub struct Ui {
    /// Data.
    pub out: Box<dyn Write>,
    /// Messages for people.
    pub err: Box<dyn Write>,
    /// Whether standard output is a terminal.
    pub out_is_terminal: bool,
    color: Color,
    has_pager: bool,
    pager: Option<Child>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Ui {
    /// The streams of this process.
    pub fn from_process() -> Self {
        let stdout = io::stdout();
        let out_is_terminal = stdout.is_terminal();
        Self {
            // The standard output of Rust flushes at each line; whole documents are written here.
            out: Box::new(BufWriter::with_capacity(1 << 16, stdout)),
            err: Box::new(AutoStream::auto(io::stderr())),
            out_is_terminal,
            color: Color::Auto,
            has_pager: true,
            pager: None,
        }
    }

    /// Follows `--color`.
    pub fn set_color(&mut self, color: Color) {
        self.color = color;
        let choice = match color {
            Color::Auto => return,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        self.err = Box::new(AutoStream::new(io::stderr(), choice));
    }

    /// Follows `--no-pager`.
    pub fn without_pager(&mut self) {
        self.has_pager = false;
    }

    /// How text is laid out: to the width of the terminal if there is one.
    pub fn look(&self) -> Look {
        let width = self
            .out_is_terminal
            .then(|| terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into()));
        Look { width, color: self.has_color(), bytes: false }
    }

    /// Whether colours are wanted.
    pub fn has_color(&self) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => anstream::AutoStream::choice(&io::stdout()) != ColorChoice::Never,
        }
    }

    /// Sends what follows through a pager, if it is for a person at a terminal. Pagers that show what
    /// fits the screen and end (`less -F`) are not noticed for short output.
    pub fn page(&mut self, is_text: bool) {
        if !is_text || !self.out_is_terminal || !self.has_pager || self.pager.is_some() {
            return;
        }
        let chosen = ["CKX_PAGER", "PAGER"].iter().find_map(|name| std::env::var(name).ok());
        let chosen = chosen.unwrap_or_else(|| "less -FRX".to_owned());
        let mut words = chosen.split_whitespace();
        let Some(program) = words.next().filter(|program| *program != "cat") else { return };
        let started =
            Command::new(program).args(words).env("LESSCHARSET", "utf-8").stdin(Stdio::piped()).spawn();
        // Without a pager the text goes to the terminal as it is.
        let Ok(mut child) = started else { return };
        if let Some(input) = child.stdin.take() {
            self.out = Box::new(BufWriter::with_capacity(1 << 16, input));
            self.pager = Some(child);
        }
    }

    /// Waits until a pager has been left.
    pub fn end(&mut self) {
        if let Some(mut child) = self.pager.take() {
            let _ = self.out.flush();
            self.out = Box::new(io::sink());
            let _ = child.wait();
        }
    }

    /// Writes text to standard output.
    pub fn write(&mut self, text: &str) -> Result<(), CliError> {
        self.out.write_all(text.as_bytes()).map_err(|error| CliError::writing("standard output", &error))
    }

    /// Tells a person that something is wrong, and goes on.
    pub fn warn(&mut self, message: &str, hint: Option<&str>) {
        // Nothing can be done about a standard error that cannot be written.
        let _ = writeln!(self.err, "{WARNING}warning:{WARNING:#} {message}");
        self.hint(hint);
    }

    /// Tells a person something that is good to know.
    pub fn note(&mut self, message: &str) {
        let _ = writeln!(self.err, "{HINT}note:{HINT:#} {message}");
    }

    /// Tells a person why the run failed.
    pub fn fail(&mut self, error: &CliError) {
        let _ = writeln!(self.err, "{ERROR}error:{ERROR:#} {error}");
        for (index, cause) in error.causes().iter().enumerate() {
            if index == 0 {
                let _ = writeln!(self.err, "caused by:");
            }
            let _ = writeln!(self.err, "  {}: {cause}", index + 1);
        }
        self.hint(error.hint());
    }

    fn hint(&mut self, hint: Option<&str>) {
        if let Some(hint) = hint {
            let _ = writeln!(self.err, "{HINT}hint:{HINT:#} {hint}");
        }
    }
}
