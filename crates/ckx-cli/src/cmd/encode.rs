//! `ckx encode`: JSON back to images.

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};

use ckx_criu::ByteOrder;
use ckx_criu::json::encode_as;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cmd::decode::keep_going;
use crate::error::{CliError, Outcome};
use crate::inputs::{Input, Inputs, resolve};
use crate::output::{create, finish};
use crate::ui::Ui;

/// Convert JSON back to CRIU images
///
/// Reads what `ckx decode` and CRIU's crit write, plain and pretty, and go-criu's spelling of it.
/// What was not edited comes out byte for byte as it was.
///
/// A document with the key "image" (from `ckx decode` of several images) is written under that name
/// into the directory given with -o; so is each FILE.json given with others or in a directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx encode -i core-1.json -o core-1.img
  ckx decode files.img | sed s/old/new/ | ckx encode > files.new
  ckx encode json/ -o checkpoint/
  ckx decode checkpoint/ | jq -c . | ckx encode -o copy/")]
pub struct Args {
    /// JSON files or directories of them; - or nothing is standard input
    #[arg(value_name = "JSON")]
    files: Vec<PathBuf>,
    /// JSON to encode (as for crit)
    #[arg(short = 'i', long = "in", value_name = "JSON")]
    input: Option<PathBuf>,
    /// Where to write: a file, or for several images a directory
    #[arg(short = 'o', long = "out", value_name = "PATH")]
    out: Option<PathBuf>,
    /// Byte order of the image, for JSON that does not say it (crit's does not)
    #[arg(long, value_name = "ORDER", value_parser = parse_order)]
    byte_order: Option<ByteOrder>,
}

fn parse_order(text: &str) -> Result<ByteOrder, String> {
    match text {
        "little" => Ok(ByteOrder::Little),
        "big" => Ok(ByteOrder::Big),
        _ => Err("it is `little` or `big`".into()),
    }
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let paths: Vec<PathBuf> = args.input.iter().chain(&args.files).cloned().collect();
    let inputs = resolve(&paths, |name| name.ends_with(b".json"))?;
    let mut outcome = Outcome::Done;
    for input in &inputs.list {
        let result = one(input, &inputs, args, ui);
        outcome = outcome.max(keep_going(result, &inputs, ui)?);
    }
    Ok(outcome)
}

#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow)]
    image: Option<Cow<'a, str>>,
    raw: Option<serde::de::IgnoredAny>,
}

fn one(input: &Input, inputs: &Inputs, args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let text = input.open()?;
    let shown = ckx_criu::text::escaped(input.name()).to_string();
    let documents: Vec<&RawValue> = serde_json::Deserializer::from_slice(&text)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| CliError::new(format!("{} is no JSON", name_or_stdin(&shown))).because(error))?;
    let [document] = documents.as_slice() else {
        if documents.is_empty() {
            return Err(CliError::new(format!("{} holds no JSON document", name_or_stdin(&shown))));
        }
        return several(&documents, args, inputs, ui);
    };
    let directory = args.out.as_deref().filter(|path| path.is_dir() || !inputs.single);
    let Some(directory) = directory else {
        let image = encode(document, args).map_err(|error| error.of(&shown))?;
        return match &args.out {
            Some(path) => write_file(path, &image, inputs),
            None => to_stdout(&image, inputs, ui),
        };
    };
    let image = encode(document, args).map_err(|error| error.of(&shown))?;
    let named = serde_json::from_str::<Name<'_>>(document.get()).ok().and_then(|name| name.image);
    let name = match &named {
        Some(name) => safe_name(name)?,
        None => shown.strip_suffix(".json").filter(|name| !name.is_empty()).ok_or_else(|| {
            CliError::new(format!("what image is {}?", name_or_stdin(&shown)))
                .hinted("files in a directory are named IMAGE.json; a document may say \"image\"")
        })?,
    };
    write_file(&made(directory)?.join(name), &image, inputs)
}

fn several(
    documents: &[&RawValue],
    args: &Args,
    inputs: &Inputs,
    ui: &mut Ui,
) -> Result<Outcome, CliError> {
    let Some(directory) = &args.out else {
        return Err(CliError::new("several documents were given, and no directory for them")
            .hinted("name a directory with -o"));
    };
    let mut outcome = Outcome::Done;
    let mut raw = 0;
    for document in documents {
        let name: Name<'_> = serde_json::from_str(document.get())
            .map_err(|error| CliError::new("a document is no image").because(error))?;
        let Some(image_name) = name.image else {
            return Err(CliError::new("a document among several does not say its \"image\""));
        };
        if name.raw.is_some() {
            raw += 1;
            continue;
        }
        let image = encode(document, args).map_err(|error| error.of(&image_name))?;
        let path = made(directory)?.join(safe_name(&image_name)?);
        outcome = outcome.max(write_file(&path, &image, inputs)?);
    }
    if raw > 0 {
        let hint = "pages, firewall rules and the like have no JSON: copy the files";
        ui.warn(&format!("{raw} raw images are described in the JSON, not contained"), Some(hint));
    }
    Ok(outcome)
}

fn encode(document: &RawValue, args: &Args) -> Result<Vec<u8>, CliError> {
    Ok(encode_as(document.get().as_bytes(), args.byte_order)?)
}

fn made(directory: &Path) -> Result<&Path, CliError> {
    std::fs::create_dir_all(directory)
        .map_err(|error| CliError::new(format!("cannot create `{}`", directory.display())).because(error))?;
    Ok(directory)
}

/// A name from a document must stay in its directory.
fn safe_name(name: &str) -> Result<&str, CliError> {
    let plain = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
    plain.then_some(name).ok_or_else(|| {
        CliError::new(format!("\"{}\" is no file name", ckx_criu::text::escaped(name.as_bytes())))
    })
}

fn write_file(path: &Path, image: &[u8], inputs: &Inputs) -> Result<Outcome, CliError> {
    let mut file = create(path, &inputs.list)?;
    file.write_all(image).map_err(|error| CliError::writing(&format!("`{}`", path.display()), &error))?;
    finish(file, path)?;
    Ok(Outcome::Done)
}

fn to_stdout(image: &[u8], inputs: &Inputs, ui: &mut Ui) -> Result<Outcome, CliError> {
    if !inputs.single {
        return Err(CliError::new("several images were given, and no directory for them")
            .hinted("name a directory with -o"));
    }
    if ui.out_is_terminal {
        return Err(CliError::new("an image is binary and would garble the terminal")
            .hinted("name a file with -o, or send standard output to a file or a pipe"));
    }
    ui.out.write_all(image).map_err(|error| CliError::writing("standard output", &error))?;
    Ok(Outcome::Done)
}

fn name_or_stdin(name: &str) -> &str {
    if name.is_empty() { "standard input" } else { name }
}
