//! `ckx x`: crit's explorers over a directory of images.
//!
//! The situation: a dump lies there and somebody wants the process tree or the open files, not the
//! messages of the images.

use std::path::PathBuf;

use ckx_archive::Directory;
use ckx_core::explore::{EXPLORERS, Explorer, explorer};
use ckx_criu::json::Style;
use clap::builder::PossibleValuesParser;
use clap::builder::{PossibleValue, TypedValueParser};

use crate::error::{CliError, Outcome};
use crate::ui::Ui;

/// Explore a directory of images: processes, descriptors, sockets, memory
///
/// The text is that of CRIU's crit, and right where crit is wrong: zombies, memory files, page sizes,
/// older images. `sk` is go-criu's question.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx x checkpoint/ ps
  ckx x checkpoint/ fds | grep deleted
  ckx x checkpoint/ sk --format json | jq '.processes[].sockets[].state'")]
pub struct Args {
    /// Directory of images
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// What to tell
    #[arg(value_name = "WHAT", value_parser = what_parser())]
    what: String,
    /// Text as crit writes it, or JSON
    #[arg(long, value_name = "FORMAT", default_value = "text", value_enum)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

fn what_parser() -> impl TypedValueParser<Value = String> {
    let value = |explorer: &'static Explorer| {
        PossibleValue::new(explorer.name).aliases(explorer.aliases).help(explorer.about)
    };
    PossibleValuesParser::new(EXPLORERS.iter().map(value))
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let directory = Directory::open(&args.directory)?;
    let explorer = explorer(&args.what).ok_or_else(|| CliError::new("no such explorer"))?;
    if directory.members().binary_search_by(|member| member.name().cmp(b"pstree.img")).is_err() {
        let hint = directory.members().iter().any(|member| member.name() == b"checkpoint").then_some(
            "the images are in its subdirectory `checkpoint`",
        );
        return Err(CliError::new(format!("`{}` has no pstree.img", args.directory.display()))
            .hinted(hint.unwrap_or("a directory without it is no complete dump: a pre-dump or an interrupted one")));
    }
    let report = (explorer.run)(&directory);
    let written = match args.format {
        Format::Text => report.write_text(&mut ui.out),
        Format::Json => {
            report.write_json(&mut ui.out, Style::Indented).and_then(|()| writeln!(ui.out))
        }
    };
    written.map_err(|error| CliError::writing("standard output", &error))?;
    for issue in report.issues() {
        ui.warn(&issue.to_string(), issue.hint);
    }
    Ok(if report.issues().is_empty() { Outcome::Done } else { Outcome::Partial })
}
