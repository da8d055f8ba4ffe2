//! `ckx info`: what a file is, at a glance.

use std::io::Write;
use std::path::PathBuf;

use ckx_criu::json::{EntryJson, JsonOptions, Style, magic_name, to_writer};
use ckx_criu::kind::Framing;
use ckx_criu::raw::{RawContent, RawSummary, netlink_type_name};
use ckx_criu::{Image, ImageKind};
use serde::Serialize;

use crate::cmd::decode::keep_going;
use crate::error::{CliError, Outcome};
use crate::inputs::{Input, resolve};
use crate::ui::Ui;

/// Tell what an image is and how many entries it has
///
/// One image gives crit's object of "magic" and "count". Several images, a directory, or --long give
/// one line of JSON each with everything that can be told at a glance. Raw images (pages, firewall
/// rules, netlink dumps, tarballs) are recognised by their names and described.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx info files.img
  ckx info --long checkpoint/ | jq -r '[.image, .magic, .count] | @tsv'")]
pub struct Args {
    /// Images or directories of images; - or nothing is standard input
    #[arg(value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Everything, one line of JSON per image
    #[arg(short, long)]
    long: bool,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let inputs = resolve(&args.images, |_| true)?;
    let mut outcome = Outcome::Done;
    for input in &inputs.list {
        let result = one(input, args.long || !inputs.single, ui);
        if let Err(error) = &result
            && !inputs.single
            && !error.is_broken_pipe()
        {
            unreadable(input, error, &mut ui.out)?;
        }
        outcome = outcome.max(keep_going(result, &inputs, ui)?);
    }
    Ok(outcome)
}

/// Writes a line in the place of an image that cannot be read.
pub(super) fn unreadable(input: &Input, error: &CliError, out: &mut dyn Write) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Unreadable {
        image: String,
        #[serde(rename = "@error")]
        error: String,
    }
    let image = ckx_criu::text::escaped(input.name()).to_string();
    let line = Unreadable { image, error: error.to_string() };
    to_writer(out, &line, Style::Line).and_then(|()| out.write_all(b"\n")).map_err(writing)
}

fn one(input: &Input, long: bool, ui: &mut Ui) -> Result<Outcome, CliError> {
    let data = input.open()?;
    let image = Image::parse(input.name(), &data)?;
    if let (false, Some(_)) = (long, image.raw_format()) {
        describe(&image, &mut ui.out)?;
        return Ok(Outcome::Done);
    }
    let (count, problem) = count(&image);
    let outcome = if problem.is_some() { Outcome::Partial } else { Outcome::Done };
    let name = ckx_criu::text::escaped(input.name()).to_string();
    let result = if long {
        to_writer(&mut ui.out, &LongInfo::new(&name, &image, count, problem.as_ref()), Style::Line)
    } else {
        if let Some(error) = &problem {
            ui.warn(&error.to_string(), error.hint());
        }
        to_writer(&mut ui.out, &ShortInfo { magic: magic_name(&image), count }, Style::Indented)
    };
    result.and_then(|()| writeln!(ui.out)).map_err(writing)?;
    Ok(outcome)
}

/// Entries of an image, the head of a page map left out as crit does, and its first fault.
fn count(image: &Image<'_>) -> (u64, Option<ckx_criu::Error>) {
    let (mut count, mut problem) = (0u64, None);
    for entry in image.entries() {
        match entry {
            Ok(entry) => {
                count += 1;
                let json = EntryJson::new(&entry, JsonOptions::default());
                problem = problem.or_else(|| json.problem().cloned());
            }
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    let head = matches!(image.spec().map(|spec| spec.framing), Some(Framing::HeadThenStream(..)));
    (count.saturating_sub(u64::from(head)), problem)
}

/// Describes a raw image in JSON of several lines.
pub(super) fn describe(image: &Image<'_>, out: &mut dyn Write) -> Result<(), CliError> {
    let Some(summary) = image.raw_summary() else { return Ok(()) };
    to_writer(out, &RawJson::new(image, &summary), Style::Indented)
        .and_then(|()| writeln!(out))
        .map_err(writing)
}

#[derive(Serialize)]
struct ShortInfo {
    magic: String,
    count: u64,
}

#[derive(Serialize)]
struct LongInfo<'a> {
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    magic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    byte_order: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<RawDetails>,
    #[serde(rename = "@error", skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> LongInfo<'a> {
    fn new(name: &'a str, image: &Image<'_>, count: u64, problem: Option<&ckx_criu::Error>) -> Self {
        let raw = image.raw_summary();
        let identity = image.identity();
        Self {
            image: name,
            magic: (image.kind() != ImageKind::Foreign).then(|| magic_name(image)),
            count: raw.is_none().then_some(count),
            about: image.spec().map(|spec| spec.about),
            layout: raw.is_none().then(|| identity.header.name()),
            byte_order: raw.is_none().then(|| identity.order.name()),
            number: identity.number,
            size_bytes: image.data().len() as u64,
            raw: raw.as_ref().map(RawDetails::new),
            error: problem.map(ToString::to_string),
        }
    }
}

/// A raw image as JSON.
#[derive(Serialize)]
pub(super) struct RawJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    magic: Option<String>,
    raw: RawDetails,
    size_bytes: u64,
}

impl RawJson {
    pub(super) fn new(image: &Image<'_>, summary: &RawSummary) -> Self {
        Self {
            magic: image.spec().map(|spec| spec.name.to_owned()),
            raw: RawDetails::new(summary),
            size_bytes: summary.size_bytes,
        }
    }
}

#[derive(Serialize)]
struct RawDetails {
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<Vec<NetlinkType>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct NetlinkType {
    #[serde(rename = "type")]
    kind: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    count: u64,
}

impl RawDetails {
    fn new(summary: &RawSummary) -> Self {
        let mut details = Self {
            format: summary.format.name(),
            messages: None,
            types: None,
            lines: None,
            tables: None,
            problem: summary.problem.clone(),
        };
        match &summary.content {
            RawContent::Netlink { messages, types } => {
                details.messages = Some(*messages);
                let each = |(kind, count): &(u16, u64)| NetlinkType {
                    kind: *kind,
                    name: netlink_type_name(*kind),
                    count: *count,
                };
                details.types = Some(types.iter().map(each).collect());
            }
            RawContent::Text { lines, tables } => {
                details.lines = Some(*lines);
                details.tables = Some(tables.clone());
            }
            _ => {}
        }
        details
    }
}

fn writing(error: std::io::Error) -> CliError {
    CliError::writing("standard output", &error)
}
