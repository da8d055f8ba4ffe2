//! Where output goes: data to standard output, everything else to standard error.

use std::io::{self, BufWriter, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::error::CliError;

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
        }
    }

    /// Follows `--color`.
    pub fn set_color(&mut self, color: Color) {
        let choice = match color {
            Color::Auto => return,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        self.err = Box::new(AutoStream::new(io::stderr(), choice));
    }

    /// Tells a person that something is wrong, and goes on.
    pub fn warn(&mut self, message: &str, hint: Option<&str>) {
        // Nothing can be done about a standard error that cannot be written.
        let _ = writeln!(self.err, "{WARNING}warning:{WARNING:#} {message}");
        self.hint(hint);
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
