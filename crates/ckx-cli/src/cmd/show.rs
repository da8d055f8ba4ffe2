//! `ckx show`: images in readable form on standard output.

use std::io::Write;
use std::path::PathBuf;

use ckx_criu::Image;
use ckx_criu::json::{JsonOptions, Payload};
use ckx_criu::kind::spec_by_file_name;
use ckx_criu::raw::RawFormat;

use crate::cmd::decode::{document, keep_going};
use crate::cmd::info::describe;
use crate::error::{CliError, Outcome};
use crate::inputs::{Input, resolve};
use crate::ui::Ui;

/// Show a CRIU image for people: JSON with flags, addresses and names
///
/// The same as `ckx decode --pretty`. Firewall rules are shown as the text they are; other raw
/// images are described.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx show files.img | less
  ckx show --nopl pipes-data.img sk-queues.img")]
pub struct Args {
    /// Images or directories of images; - or nothing is standard input
    #[arg(value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Show the size of payloads, not the payloads
    #[arg(long)]
    nopl: bool,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let inputs = resolve(&args.images, |name| spec_by_file_name(name).is_some())?;
    let payload = if args.nopl { Payload::Size } else { Payload::Full };
    let options = JsonOptions { pretty: true, payload };
    let mut outcome = Outcome::Done;
    for input in &inputs.list {
        if !inputs.single {
            let name = ckx_criu::text::escaped(input.name());
            writeln!(ui.out, "==> {name} <==").map_err(writing)?;
        }
        let result = one(input, options, ui);
        outcome = outcome.max(keep_going(result, &inputs, ui)?);
    }
    Ok(outcome)
}

fn one(input: &Input, options: JsonOptions, ui: &mut Ui) -> Result<Outcome, CliError> {
    let data = input.open()?;
    let image = Image::parse(input.name(), &data)?;
    let mut out = std::mem::replace(&mut ui.out, Box::new(std::io::sink()));
    let result = match image.raw_format() {
        Some(RawFormat::Text) => text(&data, &mut out).map(|()| Outcome::Done),
        Some(_) => describe(&image, &mut out).map(|()| Outcome::Done),
        None => document(image, options, &mut out, "\n", ui),
    };
    ui.out = out;
    result
}

fn text(data: &[u8], out: &mut dyn Write) -> Result<(), CliError> {
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        writeln!(out, "{}", ckx_criu::text::escaped(line)).map_err(writing)?;
    }
    Ok(())
}

fn writing(error: std::io::Error) -> CliError {
    CliError::writing("standard output", &error)
}
