//! `ckx memory`: how much memory there is.
//!
//! The situation: a checkpoint is larger than somebody thought, or its processes are; they want to know
//! what the memory is made of, what is shared, and what would be gained by leaving zeros out.

use ckx_core::memory::usage::{Contents, Usage};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{CliError, Outcome};
use crate::render::document::SourceLine;
use crate::render::{Format, FormatArgs, text, write_value};
use crate::source::{SourceArgs, tell};
use crate::ui::Ui;

/// Name and version of the document's schema.
pub const SCHEMA: &str = "ckx.memory/1";

/// Tell how much memory there is, of what kind, and how much of it is the same
///
/// Counts pages that are in the dump (PRESENT), of them those full of zeros (ZEROS) and the different
/// contents (UNIQUE), those of earlier dumps (PARENT), those left on the dumping host (LAZY) and those
/// that should be there and are not (LOST). Pages never touched are in none of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx memory checkpoint.tar.zst
  ckx memory --pid 7 --json checkpoint.tar | jq '.processes[0].kinds'
  ckx memory --parent first.tar second.tar")]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Only these processes
    #[arg(short, long, value_name = "PID", value_delimiter = ',', add = crate::complete::pids())]
    pid: Vec<u32>,
    #[command(flatten)]
    format: FormatArgs,
    /// Sizes as numbers of bytes
    #[arg(long)]
    bytes: bool,
}

/// The answer as a document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `ckx.memory/1`.
    schema: &'static str,
    /// What was opened.
    source: SourceLine,
    /// The numbers.
    #[serde(flatten)]
    usage: Usage,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let mut contents = Contents::default();
    let swept = args.source.sweep(&args.pid, &mut contents)?;
    let usage = Usage::new(&swept.checkpoint, &contents, swept.issues);
    let outcome = match usage.issues.is_empty() {
        true => Outcome::Done,
        false => Outcome::Partial,
    };
    if args.format.get() == Format::Text {
        let look = crate::render::value::Look { bytes: args.bytes, ..ui.look() };
        let mut out = String::new();
        text::section("memory", &usage.outline(), look, &mut out);
        ui.write(&out)?;
        tell(&usage.issues, ui);
    } else {
        let source = SourceLine::from(swept.checkpoint.archive().source());
        write_value(args.format.get(), &Document { schema: SCHEMA, source, usage }, &mut ui.out)
            .map_err(|error| CliError::writing("standard output", &error))?;
    }
    Ok(outcome)
}
