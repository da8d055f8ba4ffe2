//! `ckx diff`: what changed between two checkpoints.
//!
//! The situation: somebody has a checkpoint from before an incident and one from after it, or of two
//! replicas, and wants to know what differs, down to the page.

use std::path::{Path, PathBuf};

use ckx_core::diff::{self, Change, DIFFS, Diff, Pattern, ProcessPair, SideIssue};
use ckx_core::{Checkpoint, Options};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{CliError, Outcome};
use crate::registry::RegistryArgs;
use crate::render::diff::Subject;
use crate::render::{Format, FormatArgs, diff as text, write_value};
use crate::ui::Ui;

/// Name and version of the document's schema.
pub const SCHEMA: &str = "ckx.diff/1";

/// Bytes of a range that `--bytes` shows.
const SHOWN_BYTES: usize = 256;

/// Tell what changed between two checkpoints
///
/// Both may be of any kind: archives in any compression, directories, OCI images, also in a registry. Processes are paired
/// by id and program, else by their place in the tree. What belongs to the dump and not to the
/// container (times, statistics, log) is counted apart.
#[derive(Debug, clap::Args)]
#[command(after_help = "Marks: + only in B, - only in A, ~ in both and different, = the same.
Exit codes: 0 no difference; 1 they differ; 2 wrong usage or unreadable input; 3 not all could be compared.

Examples:
  ckx diff before.tar.zst after.tar.zst
  ckx diff --stat before.tar after.tar
  ckx diff docker://registry.example/team/web:checkpoint after.tar
  ckx diff --only memory --bytes before.tar after.tar
  ckx diff --ignore timers --ignore 'proc[*].env' a.tar b.tar
  ckx diff --format jsonl a.tar b.tar | jq -r 'select(.mark == \"+\").path'")]
pub struct Args {
    /// The first checkpoint
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The second checkpoint
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Only the summary
    #[arg(long)]
    stat: bool,
    /// Compare only this; what belongs to the dump counts then
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind_parser())]
    only: Vec<String>,
    /// Leave out a kind, or paths: `proc[7].env`, `*.position_bytes`, `mtime_s`
    #[arg(long, value_name = "KIND|PATH", value_delimiter = ',')]
    ignore: Vec<String>,
    /// List what is the same too
    #[arg(long)]
    show_unchanged: bool,
    /// Tell and count what belongs to the dump too
    #[arg(long)]
    with_dump: bool,
    /// Take process A of the first checkpoint for process B of the second
    #[arg(long = "pair", value_name = "A:B", value_parser = pair)]
    pairs: Vec<(u32, u32)>,
    /// The dump before A, if A is incremental and does not hold it; more of them, the nearest first
    #[arg(long, value_name = "SOURCE")]
    parent_a: Vec<PathBuf>,
    /// The dump before B
    #[arg(long, value_name = "SOURCE")]
    parent_b: Vec<PathBuf>,
    /// Pair mappings by name and order, and compare them at equal offsets
    #[arg(long)]
    relocated: bool,
    /// Show the bytes of memory that differ
    #[arg(long)]
    bytes: bool,
    /// Show values that are likely to be secret
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    format: FormatArgs,
    /// Do not cut lines to the width of the terminal
    #[arg(short, long)]
    wide: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

fn kind_parser() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(DIFFS.iter().map(|kind| PossibleValue::new(kind.name).help(kind.about)))
}

fn pair(text: &str) -> Result<(u32, u32), String> {
    let (before, after) = text.split_once(':').ok_or("two process ids with a colon between them")?;
    let id = |text: &str| text.parse().map_err(|_| format!("`{text}` is no process id"));
    Ok((id(before)?, id(after)?))
}

/// The comparison as a document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `ckx.diff/1`.
    schema: &'static str,
    /// The first checkpoint.
    before: Subject,
    /// The second checkpoint.
    after: Subject,
    /// What differs.
    #[serde(flatten)]
    diff: Diff,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let before = args.open(&args.before, &args.parent_a)?;
    let after = args.open(&args.after, &args.parent_b)?;
    args.check_pairs(&before, &after)?;
    let diff = diff::compare(&before, &after, &args.options());
    let outcome = match (&diff.issues[..], diff.same) {
        ([_, ..], _) => Outcome::Partial,
        ([], true) => Outcome::Done,
        ([], false) => Outcome::Different,
    };
    let document = Document {
        schema: SCHEMA,
        before: (&before).into(),
        after: (&after).into(),
        diff,
    };
    match args.format.get() {
        Format::Text => {
            ui.page(true);
            let mut look = ui.look();
            look.width = look.width.filter(|_| !args.wide);
            let sources = [&document.before, &document.after];
            ui.write(&text::draw(sources, &document.diff, args.stat, look))?;
        }
        Format::Jsonl => lines(&document, ui)?,
        format => write(format, &document, ui)?,
    }
    Ok(outcome)
}

impl Args {
    fn open(&self, path: &Path, parents: &[PathBuf]) -> Result<Checkpoint, CliError> {
        let options = |path: &Path| -> Result<Options, CliError> {
            let archive = self.registry.reach(path, ckx_archive::Options::default())?;
            Ok(Options { reveal: self.reveal, archive, ..Options::default() })
        };
        let checkpoint = diff::open(path, options(path)?)?;
        if !checkpoint.is_recognised() {
            return Err(super::inspect::no_images(&checkpoint, path));
        }
        let dumps = parents.iter().map(|parent| Ok(diff::open(parent, options(parent)?)?));
        let previous = Checkpoint::chained(dumps.collect::<Result<Vec<_>, CliError>>()?);
        Ok(checkpoint.with_previous(previous))
    }

    fn options(&self) -> diff::Options {
        let is_kind = |name: &&String| diff::kind(name).is_some();
        diff::Options {
            only: self.only.clone(),
            without: self.ignore.iter().filter(is_kind).cloned().collect(),
            ignore: self.ignore.iter().filter(|name| !is_kind(name)).map(|text| Pattern::new(text)).collect(),
            pairs: self.pairs.clone(),
            keep_same: self.show_unchanged,
            with_dump: self.with_dump,
            reveal: self.reveal,
            relocated: self.relocated,
            show_bytes: if self.bytes { SHOWN_BYTES } else { 0 },
        }
    }

    fn check_pairs(&self, before: &Checkpoint, after: &Checkpoint) -> Result<(), CliError> {
        for (first, second) in &self.pairs {
            for (checkpoint, path, pid) in [(before, &self.before, first), (after, &self.after, second)] {
                if checkpoint.processes().get(*pid).is_none() {
                    return Err(CliError::new(format!("`{}` has no process {pid}", path.display()))
                        .hinted("`ckx inspect --section processes` lists them"));
                }
            }
        }
        Ok(())
    }
}

fn write(format: Format, value: &impl Serialize, ui: &mut Ui) -> Result<(), CliError> {
    write_value(format, value, &mut ui.out).map_err(|error| CliError::writing("standard output", &error))
}

/// A line of the output in lines.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    /// The first.
    Begin { schema: &'static str, before: &'a Subject, after: &'a Subject, pairs: &'a [ProcessPair] },
    /// Something that differs.
    Change(&'a Change),
    /// Something that could not be read.
    Issue(&'a SideIssue),
    /// The last.
    End { same: bool, kinds: &'a [diff::KindSummary] },
}

fn lines(document: &Document, ui: &mut Ui) -> Result<(), CliError> {
    let Document { schema, before, after, diff } = document;
    let begin = Line::Begin { schema, before, after, pairs: &diff.pairs };
    let changes = diff.changes.iter().map(Line::Change);
    let issues = diff.issues.iter().map(Line::Issue);
    let end = Line::End { same: diff.same, kinds: &diff.kinds };
    for line in std::iter::once(begin).chain(changes).chain(issues).chain([end]) {
        write(Format::Jsonl, &line, ui)?;
    }
    Ok(())
}
