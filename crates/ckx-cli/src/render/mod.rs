//! Drawing of reports: text for people, JSON and YAML for programs.

pub mod diff;
pub mod document;
pub mod flow;
pub mod found;
pub mod hex;
pub mod table;
pub mod text;
pub mod value;

use std::io::{self, Write};

use ckx_criu::json::{Style, to_writer};
use serde::Serialize;

/// Formats of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// One line of JSON for each source
    Jsonl,
    /// YAML
    Yaml,
}

/// The options that choose a format, the same for all commands that write reports.
#[derive(Debug, clap::Args)]
pub struct FormatArgs {
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_enum)]
    format: Format,
    /// The same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl FormatArgs {
    /// The format that was chosen.
    pub fn get(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// Writes one value as a document of its own.
pub fn write_value(format: Format, value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Yaml => {
            // All texts in quotes: readers of YAML 1.1 take a bare 2026-11-23 for a time and 8:01 for 481.
            let options = serde_saphyr::ser_options! { quote_all: true };
            let text = serde_saphyr::to_string_with_options(value, options).map_err(io::Error::other)?;
            out.write_all(text.as_bytes())
        }
        Format::Jsonl => {
            to_writer(out, value, Style::Line)?;
            writeln!(out)
        }
        Format::Json | Format::Text => {
            to_writer(out, value, Style::Indented)?;
            writeln!(out)
        }
    }
}
