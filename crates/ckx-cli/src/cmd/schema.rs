//! `ckx schema`: the JSON schemas of what other commands write.

use clap::builder::PossibleValuesParser;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::cmd::{core, diff, list, ls, maps, memory};
use crate::error::{CliError, Outcome};
use crate::render::{Format, document, found, write_value};
use crate::ui::Ui;

/// A document with a schema.
struct Document {
    /// The command that writes it.
    command: &'static str,
    schema: fn() -> Value,
}

/// All documents with a schema.
const DOCUMENTS: &[Document] = &[
    Document { command: "inspect", schema: document::schema },
    Document { command: "core", schema: || of::<core::Document>(core::SCHEMA) },
    Document { command: "diff", schema: || of::<diff::Document>(diff::SCHEMA) },
    Document { command: "memory", schema: || of::<memory::Document>(memory::SCHEMA) },
    Document { command: "maps", schema: || of::<maps::Document>(maps::SCHEMA) },
    Document { command: "grep", schema: events },
    Document { command: "list", schema: || of::<list::Listing<'_>>(list::SCHEMA) },
    Document { command: "ls", schema: || of::<ls::Listing<'_>>(ls::SCHEMA) },
];

/// Print the JSON schema of a command's output
///
/// Fields may be added to a document; none is renamed or removed while the version in its name
/// (`ckx.inspect/1`) stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx schema inspect > ckx.inspect.schema.json")]
pub struct Args {
    /// The command
    #[arg(value_name = "COMMAND", value_parser = commands())]
    command: String,
}

fn commands() -> PossibleValuesParser {
    PossibleValuesParser::new(DOCUMENTS.iter().map(|document| document.command))
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    // clap takes nothing else.
    let found = DOCUMENTS.iter().find(|document| document.command == args.command);
    let Some(document) = found else { return Err(CliError::new("no such document")) };
    write_value(Format::Json, &(document.schema)(), &mut ui.out)
        .map_err(|error| CliError::writing("standard output", &error))?;
    Ok(Outcome::Done)
}

/// The schema of a type whose field `schema` has this one value.
fn of<T: JsonSchema>(name: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value();
    schema["title"] = name.into();
    schema["properties"]["schema"] = serde_json::json!({ "const": name });
    schema
}

/// The schema of the lines of `grep --json`.
fn events() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<found::Event>().to_value();
    schema["title"] = found::SCHEMA.into();
    schema
}
