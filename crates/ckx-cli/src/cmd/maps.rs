//! `ckx maps`: the mappings of processes.
//!
//! The situation: somebody wants the list that `/proc/PID/maps` was on the host, for reading or for a
//! script that reads such lists, and what the dump has of each mapping.

use std::io::Write as _;

use ckx_core::inspect::Collect as _;
use ckx_core::inspect::maps::Maps;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{CliError, Outcome};
use crate::render::document::SourceLine;
use crate::render::{Format, FormatArgs, text, write_value};
use crate::source::{SourceArgs, tell};
use crate::ui::Ui;

/// Name and version of the document's schema.
pub const SCHEMA: &str = "ckx.maps/1";

/// List the mappings of processes, as /proc/PID/maps does and with their pages
///
/// PAGES are those in this dump, PARENT those that it leaves to an earlier one, BACKING says where they
/// are: `private`, `file` (what was not written is as in the file), `shared` (in the page map of an object),
/// `none` (not in the dump).
///
/// `--procfs` writes the lines of /proc/PID/maps. A dump has no inode numbers, which are 0 there; devices
/// are those of the mounts, and 00:00 where no mount is known.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx maps checkpoint.tar.zst --pid 1
  ckx maps --procfs --pid 1 checkpoint.tar | grep r-xp")]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Only these processes
    #[arg(short, long, value_name = "PID", value_delimiter = ',', add = crate::complete::pids())]
    pid: Vec<u32>,
    /// The lines of /proc/PID/maps
    #[arg(long, conflicts_with_all = ["format", "json"])]
    procfs: bool,
    #[command(flatten)]
    format: FormatArgs,
    /// Sizes as numbers of bytes
    #[arg(long)]
    bytes: bool,
    /// Do not cut lines to the width of the terminal
    #[arg(short, long)]
    wide: bool,
}

/// The answer as a document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `ckx.maps/1`.
    schema: &'static str,
    /// What was opened.
    source: SourceLine,
    /// The mappings.
    #[serde(flatten)]
    maps: Maps,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let checkpoint = args.source.open_for(&args.pid)?;
    let maps = Maps::collect(&checkpoint);
    let outcome = if maps.issues.is_empty() { Outcome::Done } else { Outcome::Partial };
    let failed = |error: &std::io::Error| CliError::writing("standard output", error);
    if args.procfs {
        for process in &maps.processes {
            for line in process.procfs() {
                match ui.out_is_terminal {
                    true => writeln!(ui.out, "{}", ckx_core::Name::from(&line)),
                    false => ui.out.write_all(&line).and_then(|()| ui.out.write_all(b"\n")),
                }
                .map_err(|error| failed(&error))?;
            }
        }
        tell(&maps.issues, ui);
    } else if args.format.get() == Format::Text {
        ui.page(true);
        let mut look = crate::render::value::Look { bytes: args.bytes, ..ui.look() };
        look.width = look.width.filter(|_| !args.wide);
        let mut out = String::new();
        text::section("maps", &maps.wide(), look, &mut out);
        ui.write(&out)?;
        tell(&maps.issues, ui);
    } else {
        let source = SourceLine::from(checkpoint.archive().source());
        write_value(args.format.get(), &Document { schema: SCHEMA, source, maps }, &mut ui.out)
            .map_err(|error| failed(&error))?;
    }
    Ok(outcome)
}
