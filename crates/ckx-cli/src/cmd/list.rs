//! `ckx list`: the checkpoints that there are.
//!
//! The situation: a node has a directory full of archives, and one of them is wanted.

use std::path::{Path, PathBuf};

use ckx_archive::Error;
use ckx_core::outline::{Cell, Table};
use ckx_core::{Checkpoint, Name, Options, Summary, Time};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{CliError, Outcome};
use crate::render::document::path_name;
use crate::render::{Format, FormatArgs, table, write_value};
use crate::ui::Ui;

/// Where the kubelet puts the checkpoints that it is asked for.
const KUBELET: &str = "/var/lib/kubelet/checkpoints";

/// List the checkpoints in directories
///
/// Tells of each checkpoint whose it is, when it was made and how large it is. In a directory everything
/// is looked at that may be a checkpoint: archives, directories of images, OCI image layouts; other files
/// are passed over, and what is broken is listed with the reason. Without PATH: the directory of the
/// kubelet if there is one, else this one. Where there is none, that is said, and is no error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx list
  ckx list /var/lib/kubelet/checkpoints /backup
  ckx list --json *.tar | jq -r '.checkpoints[] | select(.pod == \"web\") | .path'")]
pub struct Args {
    /// Directories, or checkpoints
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
    /// Sizes as numbers of bytes
    #[arg(long)]
    bytes: bool,
    /// Do not cut lines to the width of the terminal
    #[arg(short, long)]
    wide: bool,
}

/// Name and version of the document's schema.
pub const SCHEMA: &str = "ckx.list/1";

/// The list as a document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing<'a> {
    /// `ckx.list/1`.
    schema: &'static str,
    /// Checkpoints, by path.
    checkpoints: &'a [Entry],
}

/// A checkpoint, or what should be one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Entry {
    /// Its path.
    path: Name,
    /// Size as it lies there.
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    /// What is told of it; absent when it cannot be read.
    #[serde(flatten)]
    summary: Option<Summary>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let paths = if args.paths.is_empty() { vec![default_place()] } else { args.paths.clone() };
    let mut candidates = Vec::new();
    for path in &paths {
        candidates.extend(candidates_at(path)?);
    }
    // In the order of the paths, whichever is read first.
    let entries: Vec<Entry> = candidates.par_iter().filter_map(Candidate::read).collect();
    write(args, &entries, ui)?;
    if entries.is_empty() && args.format.get() == Format::Text {
        let places: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        ui.note(&format!("no checkpoints in {}", places.join(", ")));
    }
    let is_whole = |entry: &Entry| entry.summary.as_ref().is_some_and(|summary| summary.faults.is_empty());
    Ok(if entries.iter().all(is_whole) { Outcome::Done } else { Outcome::Partial })
}

fn default_place() -> PathBuf {
    let kubelet = Path::new(KUBELET);
    if kubelet.is_dir() { kubelet.into() } else { ".".into() }
}

/// Something that may be a checkpoint.
struct Candidate {
    path: PathBuf,
    /// Whether it was named, and has to be one.
    is_named: bool,
}

/// A file or a checkpoint's directory is what was named; of any other directory, what lies in it.
fn candidates_at(path: &Path) -> Result<Vec<Candidate>, CliError> {
    let is_plain_directory = path.is_dir() && !looks_like_a_checkpoint(path);
    if !is_plain_directory {
        return Ok(vec![Candidate { path: path.into(), is_named: true }]);
    }
    let failed = |error: std::io::Error| {
        CliError::new(format!("cannot list `{}`", path.display())).because(error)
    };
    let mut found = Vec::new();
    for entry in path.read_dir().map_err(failed)? {
        let below = entry.map_err(failed)?.path();
        let is_candidate = if below.is_dir() { looks_like_a_checkpoint(&below) } else { below.is_file() };
        if is_candidate {
            // `./` in front of each name says nothing.
            let below = below.strip_prefix(".").map(Path::to_path_buf).unwrap_or(below);
            found.push(Candidate { path: below, is_named: false });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Files that only directories of checkpoints have.
fn looks_like_a_checkpoint(path: &Path) -> bool {
    const MARKS: &[&str] =
        &["inventory.img", "pstree.img", "checkpoint/inventory.img", "checkpoint/pstree.img", "oci-layout"];
    MARKS.iter().any(|mark| path.join(mark).is_file())
}

impl Candidate {
    /// Reads it. `None` if it is no checkpoint and nobody said so.
    fn read(&self) -> Option<Entry> {
        let broken = |error: String| {
            let size_bytes = self.path.metadata().ok().filter(|it| it.is_file()).map(|it| it.len());
            Some(Entry { path: path_name(&self.path), size_bytes, summary: None, error: Some(error) })
        };
        let checkpoint = match Checkpoint::open(&self.path, Options::default()) {
            Ok(checkpoint) => checkpoint,
            Err(Error::NotACheckpoint { .. } | Error::NotAFile { .. }) if !self.is_named => return None,
            Err(error) => return broken(chain(&error)),
        };
        let archive = checkpoint.archive();
        if !checkpoint.is_recognised() {
            return if self.is_named { broken("it holds no images of CRIU".to_owned()) } else { None };
        }
        let size_bytes = Some(archive.source().size_bytes);
        let summary = Some(Summary::of(&checkpoint));
        Some(Entry { path: path_name(&self.path), size_bytes, summary, error: None })
    }
}

/// An error with its causes, in a line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn write(args: &Args, entries: &[Entry], ui: &mut Ui) -> Result<(), CliError> {
    let failed = |error| CliError::writing("standard output", &error);
    match args.format.get() {
        Format::Text => {
            ui.page(true);
            let mut look = ui.look();
            look.bytes = args.bytes;
            if args.wide {
                look.width = None;
            }
            let mut text = String::new();
            let table = table::without(rows(entries), LESS_WANTED, PATH_COLUMNS, look);
            if !table.rows.is_empty() {
                for spans in table::lines(&table, look, 0) {
                    look.paint(&spans, &mut text);
                    text.push('\n');
                }
            }
            ui.write(&text)?;
            faults(entries, ui);
            Ok(())
        }
        Format::Jsonl => {
            entries.iter().try_for_each(|entry| write_value(Format::Jsonl, entry, &mut ui.out)).map_err(failed)
        }
        format => {
            write_value(format, &Listing { schema: SCHEMA, checkpoints: entries }, &mut ui.out).map_err(failed)
        }
    }
}

/// Columns that a narrow screen does without, the first first; `--wide` and the other formats have them.
const LESS_WANTED: &[&str] = &["IMAGE", "MEMORY", "ENGINE", "PROCS"];

/// Columns of the screen that a path should have at least.
const PATH_COLUMNS: usize = 28;

/// The table, without columns that would be empty.
fn rows(entries: &[Entry]) -> Table {
    let has_pods = entries.iter().filter_map(|entry| entry.summary.as_ref()).any(|each| each.pod.is_some());
    let mut columns = vec!["CONTAINER", "ENGINE", "IMAGE", "CHECKPOINTED", "PROCS", "MEMORY", "SIZE", "PATH"];
    if has_pods {
        columns.splice(0..0, ["NAMESPACE", "POD"]);
    }
    let mut table = Table::new(&columns);
    for entry in entries {
        let summary = entry.summary.as_ref();
        let mut row = Vec::new();
        if has_pods {
            row.push(Cell::or_dash(summary.and_then(|each| each.namespace.as_ref())));
            row.push(Cell::or_dash(summary.and_then(|each| each.pod.as_ref())));
        }
        row.push(match summary {
            Some(summary) => Cell::or_dash(summary.name()),
            None => Cell::Marked("unreadable".to_owned()),
        });
        row.extend([
            Cell::or_dash(summary.map(|each| each.engine.name())),
            Cell::or_dash(summary.and_then(|each| each.image.as_ref())),
            Cell::or_dash(summary.and_then(|each| each.checkpointed).map(Time::to_seconds)),
            match summary {
                Some(summary) if summary.is_pre_dump => Cell::Faint("pre-dump".to_owned()),
                _ => Cell::or_dash(summary.and_then(|each| each.processes)),
            },
            summary.map_or_else(|| Cell::Faint("-".to_owned()), |each| Cell::Bytes(each.memory_bytes)),
            entry.size_bytes.map_or_else(|| Cell::Faint("-".to_owned()), Cell::Bytes),
            Cell::from(&entry.path),
        ]);
        table.row(row);
    }
    table
}

/// Reasons go to standard error: they have no column.
fn faults(entries: &[Entry], ui: &mut Ui) {
    for entry in entries {
        if let Some(error) = &entry.error {
            // It names the path.
            ui.warn(error, None);
        }
        let faults = entry.summary.iter().flat_map(|summary| &summary.faults);
        for (index, fault) in faults.enumerate() {
            if index == MAX_FAULTS {
                ui.warn(&format!("{}: and more; `ckx inspect` tells all", entry.path), None);
                break;
            }
            ui.warn(&format!("{}: {fault}", entry.path), None);
        }
    }
}

/// Faults of one checkpoint that are told.
const MAX_FAULTS: usize = 3;
