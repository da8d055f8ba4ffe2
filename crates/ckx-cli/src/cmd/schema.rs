//! `ckx schema`: the JSON schemas of what other commands write.

use crate::error::{CliError, Outcome};
use crate::render::{Format, document, write_value};
use crate::ui::Ui;

/// Print the JSON schema of a command's output
///
/// Fields may be added to a document; none is renamed or removed while the version in its name
/// (`ckx.inspect/1`) stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx schema inspect > ckx.inspect.schema.json")]
pub struct Args {
    /// The command
    #[arg(value_name = "COMMAND", value_enum)]
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// `ckx inspect --format json`
    Inspect,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let schema = match args.what {
        What::Inspect => document::schema(),
    };
    write_value(Format::Json, &schema, &mut ui.out)
        .map_err(|error| CliError::writing("standard output", &error))?;
    Ok(Outcome::Done)
}
