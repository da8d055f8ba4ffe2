//! `ckx decode`: CRIU images to JSON.
//!
//! The situation: somebody works on a runtime and wants to see, compare or edit what an image
//! holds. `crit decode` does it one file at a time, at a tenth of a second each.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ckx_criu::json::{EntryJson, ImageJson, JsonOptions, Style, magic_name, require_records, to_writer};
use ckx_criu::kind::spec_by_file_name;
use ckx_criu::{Entry, Image};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::cmd::info::{RawJson, unreadable};
use crate::error::{CliError, Outcome};
use crate::inputs::{Input, Inputs, resolve};
use crate::output::{create, finish};
use crate::ui::Ui;

/// Convert CRIU images to JSON
///
/// The JSON is that of CRIU's crit. `ckx encode` turns it back into the very same bytes, whatever
/// the image holds: unknown fields, damaged records and trailing bytes are kept under keys that
/// begin with "@".
///
/// One image gives one document. Several images, or a directory, give one document a line on
/// standard output, each with the key "image", or one file each with -o DIR.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx decode core-1.img --pretty | less
  ckx decode -i pstree.img -o pstree.json
  ckx decode checkpoint/ -o json/
  ckx decode --jsonl checkpoint/ | jq 'select(.magic == \"FDINFO\").entry.fd'")]
pub struct Args {
    /// Images or directories of images; - or nothing is standard input
    #[arg(value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Image to decode (as for crit)
    #[arg(short = 'i', long = "in", value_name = "IMAGE")]
    input: Option<PathBuf>,
    /// Where to write: a file, or for several images a directory
    #[arg(short = 'o', long = "out", value_name = "PATH")]
    out: Option<PathBuf>,
    /// Several lines, and flags, addresses and numbers in readable form
    #[arg(long)]
    pretty: bool,
    /// One line per entry, with image, kind, index and offset
    #[arg(long, conflicts_with = "pretty")]
    jsonl: bool,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let paths: Vec<PathBuf> = args.input.iter().chain(&args.images).cloned().collect();
    let inputs = resolve(&paths, |name| spec_by_file_name(name).is_some())?;
    let options = JsonOptions { pretty: args.pretty, ..JsonOptions::default() };
    match &args.out {
        Some(path) if args.jsonl || (inputs.single && !path.is_dir()) => {
            let mut file = create(path, &inputs.list)?;
            let outcome = to_stream(args.jsonl, &inputs, options, &mut file, "", ui)?;
            finish(file, path)?;
            Ok(outcome)
        }
        Some(directory) => to_directory(&inputs, options, directory, ui),
        None => {
            let mut out = std::mem::replace(&mut ui.out, Box::new(io::sink()));
            let outcome = to_stream(args.jsonl, &inputs, options, &mut out, "\n", ui);
            ui.out = out;
            outcome
        }
    }
}

fn to_stream(
    jsonl: bool,
    inputs: &Inputs,
    options: JsonOptions,
    out: &mut dyn Write,
    end: &str,
    ui: &mut Ui,
) -> Result<Outcome, CliError> {
    let mut outcome = Outcome::Done;
    for input in &inputs.list {
        let result = if jsonl {
            lines(input, options, out, ui)
        } else if inputs.single {
            one(input, options, out, end, ui)
        } else {
            named(input, options, out, ui)
        };
        if let Err(error) = &result
            && !inputs.single
            && !error.is_broken_pipe()
        {
            unreadable(input, error, out)?;
        }
        outcome = outcome.max(keep_going(result, inputs, ui)?);
    }
    Ok(outcome)
}

fn to_directory(
    inputs: &Inputs,
    options: JsonOptions,
    directory: &Path,
    ui: &mut Ui,
) -> Result<Outcome, CliError> {
    std::fs::create_dir_all(directory)
        .map_err(|error| CliError::new(format!("cannot create `{}`", directory.display())).because(error))?;
    let mut outcome = Outcome::Done;
    for input in &inputs.list {
        let result = to_file(input, inputs, options, directory, ui);
        outcome = outcome.max(keep_going(result, inputs, ui)?);
    }
    Ok(outcome)
}

fn to_file(
    input: &Input,
    inputs: &Inputs,
    options: JsonOptions,
    directory: &Path,
    ui: &mut Ui,
) -> Result<Outcome, CliError> {
    let data = input.open()?;
    let image = Image::parse(input.name(), &data)?;
    if image.raw_format().is_some() && input.from_directory {
        // Raw images have no JSON; they are in the directory for another purpose.
        return Ok(Outcome::Done);
    }
    require_records(&image)?;
    let name = input.path().and_then(Path::file_name).unwrap_or("stdin".as_ref());
    let mut name = name.to_owned();
    name.push(".json");
    let path = directory.join(name);
    let mut file = create(&path, &inputs.list)?;
    let outcome = document(image, options, &mut file, "", ui)?;
    finish(file, &path)?;
    Ok(outcome)
}

/// Of many images a broken one costs only itself.
pub(super) fn keep_going(
    result: Result<Outcome, CliError>,
    inputs: &Inputs,
    ui: &mut Ui,
) -> Result<Outcome, CliError> {
    match result {
        Err(error) if !inputs.single && !error.is_broken_pipe() => {
            ui.fail(&error);
            Ok(Outcome::Partial)
        }
        other => other,
    }
}

/// One document, exactly as crit writes it.
fn one(
    input: &Input,
    options: JsonOptions,
    out: &mut dyn Write,
    end: &str,
    ui: &mut Ui,
) -> Result<Outcome, CliError> {
    let data = input.open()?;
    let image = Image::parse(input.name(), &data)?;
    require_records(&image)?;
    document(image, options, out, end, ui)
}

pub(super) fn document(
    image: Image<'_>,
    options: JsonOptions,
    out: &mut dyn Write,
    end: &str,
    ui: &mut Ui,
) -> Result<Outcome, CliError> {
    mismatch(&image, ui);
    let json = ImageJson::new(image, options);
    let style = if options.pretty { Style::Indented } else { Style::Line };
    to_writer(out, &json, style).and_then(|()| out.write_all(end.as_bytes())).map_err(writing)?;
    Ok(report(&json, ui))
}

/// One document a line, with the name of its image.
fn named(
    input: &Input,
    options: JsonOptions,
    out: &mut dyn Write,
    ui: &mut Ui,
) -> Result<Outcome, CliError> {
    let data = input.open()?;
    let image = Image::parse(input.name(), &data)?;
    mismatch(&image, ui);
    let style = if options.pretty { Style::Indented } else { Style::Line };
    let name = ckx_criu::text::escaped(input.name()).to_string();
    if image.raw_format().is_some() {
        return raw(&name, &image, style, out);
    }
    let json = Named { image: &name, document: ImageJson::new(image, options) };
    to_writer(out, &json, style).and_then(|()| out.write_all(b"\n")).map_err(writing)?;
    Ok(report(&json.document, ui))
}

/// A raw image has no records: its description stands in their place.
fn raw(name: &str, image: &Image<'_>, style: Style, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let Some(summary) = image.raw_summary() else { return Ok(Outcome::Done) };
    let json = Named { image: name, document: RawJson::new(image, &summary) };
    to_writer(out, &json, style).and_then(|()| out.write_all(b"\n")).map_err(writing)?;
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct Named<'a, T> {
    image: &'a str,
    #[serde(flatten)]
    document: T,
}

/// One line per entry.
fn lines(
    input: &Input,
    options: JsonOptions,
    out: &mut dyn Write,
    ui: &mut Ui,
) -> Result<Outcome, CliError> {
    let data = input.open()?;
    let image = Image::parse(input.name(), &data)?;
    mismatch(&image, ui);
    let name = ckx_criu::text::escaped(input.name()).to_string();
    if image.raw_format().is_some() {
        return raw(&name, &image, Style::Line, out);
    }
    let magic = magic_name(&image);
    let mut outcome = Outcome::Done;
    for entry in image.entries() {
        let line = match &entry {
            Ok(entry) => {
                let json = EntryJson::new(entry, options);
                if let Some(error) = json.problem() {
                    ui.warn(&error.to_string(), error.hint());
                    outcome = Outcome::Partial;
                }
                Line { image: &name, magic: &magic, entry: Ok((entry, json)) }
            }
            Err(error) => {
                ui.warn(&error.to_string(), error.hint());
                outcome = Outcome::Partial;
                Line { image: &name, magic: &magic, entry: Err(error) }
            }
        };
        to_writer(out, &line, Style::Line).and_then(|()| out.write_all(b"\n")).map_err(writing)?;
    }
    Ok(outcome)
}

struct Line<'l, 'a> {
    image: &'l str,
    magic: &'l str,
    entry: Result<(&'l Entry<'a>, EntryJson<'a>), &'l ckx_criu::Error>,
}

impl Serialize for Line<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("image", self.image)?;
        map.serialize_entry("magic", self.magic)?;
        match &self.entry {
            Ok((entry, json)) => {
                map.serialize_entry("index", &entry.index())?;
                map.serialize_entry("offset", &entry.offset())?;
                map.serialize_entry("message", entry.message().name)?;
                map.serialize_entry("entry", json)?;
            }
            Err(error) => {
                map.serialize_entry("index", &error.entry())?;
                map.serialize_entry("offset", &error.offset())?;
                map.serialize_entry("@error", &error.message())?;
            }
        }
        map.end()
    }
}

fn report(json: &ImageJson<'_>, ui: &mut Ui) -> Outcome {
    let (problems, count) = json.problems();
    for error in &problems {
        ui.warn(&error.to_string(), error.hint());
    }
    let more = count - problems.len() as u64;
    if more > 0 {
        ui.warn(&format!("{more} more entries cannot be read; each says so in its place"), None);
    }
    if count > 0 { Outcome::Partial } else { Outcome::Done }
}

/// Tells that a file is not what its name says. It is decoded by its magic.
pub(super) fn mismatch(image: &Image<'_>, ui: &mut Ui) {
    if let Some(named) = image.identity().named {
        let magic = magic_name(image);
        ui.warn(
            &format!(
                "{}: the name is that of {} images, the magic that of {magic}: read as {magic}",
                ckx_criu::text::escaped(image.name()),
                named.name,
            ),
            None,
        );
    }
    if let ckx_criu::ImageKind::Unknown(magic) = image.kind() {
        ui.warn(
            &format!(
                "{}: no kind of image with the magic {magic:#010x} is known; its fields are shown by number",
                ckx_criu::text::escaped(image.name()),
            ),
            Some("the image may come from a newer CRIU or from a fork"),
        );
    }
}

fn writing(error: io::Error) -> CliError {
    CliError::writing("the JSON", &error)
}
