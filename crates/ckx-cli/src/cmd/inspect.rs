//! `ckx inspect`: what is in a checkpoint.
//!
//! The situation: somebody has a checkpoint and wants to know what ran in it, with what open and
//! whom it talked to, without unpacking it and without being lied to.

use std::path::{Path, PathBuf};

use ckx_core::inspect::{self, Report, SECTIONS, Section};
use ckx_core::outline::{Cell, Node, Outline};
use ckx_core::{Checkpoint, Issue, Options};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::error::{CliError, Outcome};
use crate::progress::watched;
use crate::registry::RegistryArgs;
use crate::render::document::{Document, SourceLine, issues};
use crate::render::{Format, FormatArgs, text, write_value};
use crate::ui::Ui;

/// Tell what is in a checkpoint
///
/// Reads a checkpoint in place: a tar in any compression, a directory of images, an OCI image layout or
/// archive, an image in a registry, or standard input. Without options: the overview, the processes, the sockets and what is
/// wrong. Values that are likely to be secret are hidden.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx inspect checkpoint.tar.zst
  ckx inspect --section environment --pid 7 --reveal checkpoint.tar
  ckx inspect --all --format json checkpoint/ | jq '.sections.processes'
  ckx inspect docker://registry.example/team/web:checkpoint
  ssh node cat /var/lib/kubelet/checkpoints/checkpoint-web.tar | ckx inspect -")]
pub struct Args {
    /// Checkpoints: archives, directories, OCI images, docker://HOST/NAME:TAG, `-` for standard input
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<PathBuf>,
    /// Sections to tell, instead of the usual ones
    #[arg(short, long, value_name = "NAME", value_delimiter = ',', value_parser = section_parser())]
    section: Vec<String>,
    /// Tell all sections
    #[arg(short, long, conflicts_with = "section")]
    all: bool,
    /// Only these processes
    #[arg(short, long, value_name = "PID", value_delimiter = ',', add = crate::complete::pids())]
    pid: Vec<u32>,
    /// Show values that are likely to be secret
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    format: FormatArgs,
    /// Sizes as numbers of bytes
    #[arg(long)]
    bytes: bool,
    /// Do not cut lines to the width of the terminal
    #[arg(short, long)]
    wide: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

fn section_parser() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(
        SECTIONS.iter().map(|section| PossibleValue::new(section.name).help(section.about)),
    )
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let sections = args.sections();
    let mut outcome = Outcome::Done;
    let is_list = args.format.get() == Format::Json && args.sources.len() > 1;
    if is_list {
        ui.write("[\n")?;
    }
    for (index, path) in args.sources.iter().enumerate() {
        if index > 0 {
            let between = match args.format.get() {
                Format::Json => ",\n",
                Format::Yaml => "---\n",
                Format::Text => "\n",
                Format::Jsonl => "",
            };
            ui.write(between)?;
        }
        let result = one(args, path, &sections, ui);
        outcome = outcome.max(match result {
            Err(error) if args.sources.len() > 1 && !error.is_broken_pipe() => {
                // One broken file does not hide the others.
                ui.fail(&error);
                if is_list {
                    ui.write("null\n")?;
                }
                Outcome::Partial
            }
            other => other?,
        });
    }
    if is_list {
        ui.write("]\n")?;
    }
    Ok(outcome)
}

fn one(args: &Args, path: &Path, sections: &[&'static Section], ui: &mut Ui) -> Result<Outcome, CliError> {
    let reached = args.registry.reach(path, ckx_archive::Options::default())?;
    let checkpoint = watched("reading", |progress| {
        let archive = ckx_archive::Options { progress, ..reached };
        let pids = (!args.pid.is_empty()).then(|| args.pid.clone());
        Checkpoint::open(path, Options { pids, reveal: args.reveal, archive })
    })?;
    if !checkpoint.is_recognised() {
        return Err(no_images(&checkpoint, path));
    }
    check_pids(&checkpoint, &args.pid, path)?;
    let reports = inspect::collect(&checkpoint, sections);
    let issues = issues(&checkpoint, &reports);
    let outcome = if issues.is_empty() { Outcome::Done } else { Outcome::Partial };
    ui.page(args.format.get() == Format::Text);
    if args.format.get() == Format::Text {
        let text = args.text(&checkpoint, sections, &reports, &issues, ui);
        ui.write(&text)?;
    } else {
        let pairs = sections.iter().copied().zip(reports.iter().map(AsRef::as_ref)).collect();
        let source = SourceLine::from(checkpoint.archive().source());
        let document = Document { source, sections: pairs, issues: &issues };
        write_value(args.format.get(), &document, &mut ui.out)
            .map_err(|error| CliError::writing("standard output", &error))?;
    }
    Ok(outcome)
}

impl Args {
    fn sections(&self) -> Vec<&'static Section> {
        SECTIONS
            .iter()
            .filter(|section| match (self.all, self.section.as_slice()) {
                (true, _) => true,
                (false, []) => section.is_default,
                (false, names) => names.iter().any(|name| name == section.name),
            })
            .collect()
    }

    fn text(
        &self,
        checkpoint: &Checkpoint,
        sections: &[&'static Section],
        reports: &[Box<dyn Report>],
        issues: &[Issue],
        ui: &Ui,
    ) -> String {
        let mut look = ui.look();
        look.bytes = self.bytes;
        if self.wide {
            look.width = None;
        }
        let mut out = String::new();
        if self.sources.len() > 1 {
            let path = crate::render::document::path_name(&checkpoint.archive().source().path);
            out.push_str(&format!("==> {path} <==\n"));
        }
        for (section, report) in sections.iter().zip(reports) {
            let mut outline = report.outline();
            if outline.is_empty() && !self.section.is_empty() {
                outline.line(Cell::Faint("nothing of this in the checkpoint".to_owned()));
            }
            if !outline.is_empty() {
                if !out.is_empty() {
                    out.push('\n');
                }
                text::section(section.name, &outline, look, &mut out);
            }
        }
        if !issues.is_empty() {
            out.push('\n');
            // Reasons are what this section is for: they are not cut.
            look.width = None;
            text::section("warnings", &warnings(issues), look, &mut out);
        }
        out
    }
}

/// Warnings of one kind that text shows one by one.
const MAX_ALIKE: usize = 8;

fn warnings(issues: &[Issue]) -> Outline {
    let mut outline = Outline::new();
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for issue in issues {
        let at = counts.iter().position(|(code, _)| *code == issue.code).unwrap_or_else(|| {
            counts.push((issue.code, 0));
            counts.len() - 1
        });
        counts[at].1 += 1;
        if counts[at].1 <= MAX_ALIKE {
            outline.nodes.push(Node::Lines(vec![Cell::Line(vec![
                Cell::Marked("!".to_owned()),
                Cell::Text(issue.to_string()),
            ])]));
        }
    }
    for (code, count) in counts.iter().filter(|(_, count)| *count > MAX_ALIKE) {
        let more = count - MAX_ALIKE;
        outline.line(Cell::Faint(format!("and {more} more of the kind `{code}`; --format json lists all")));
    }
    outline
}

/// Asks for processes that are not there are mistakes, and the nearest one may be meant.
pub fn check_pids(checkpoint: &Checkpoint, pids: &[u32], path: &Path) -> Result<(), CliError> {
    let there: Vec<u32> = checkpoint.processes().list.iter().map(|process| process.pid).collect();
    let Some(missing) = pids.iter().find(|pid| !there.contains(pid)) else { return Ok(()) };
    let error = CliError::new(format!("`{}` has no process {missing}", path.display()));
    let listed: Vec<String> = there.iter().take(20).map(u32::to_string).collect();
    // One digit away; a pid of one digit is one digit away from every other, which says nothing.
    let away = |pid: &&u32| strsim::levenshtein(&pid.to_string(), &missing.to_string());
    let near = there.iter().filter(|pid| *missing > 9 && away(pid) == 1).min_by_key(|pid| pid.abs_diff(*missing));
    let more = if there.len() > 20 { ", …" } else { "" };
    let all = format!("it has {}{more}", listed.join(", "));
    Err(error.hinted(match near {
        Some(near) => format!("did you mean {near}? {all}"),
        None => all,
    }))
}

/// The source was opened, and is something else.
pub fn no_images(checkpoint: &Checkpoint, path: &Path) -> CliError {
    let error = CliError::new(format!("`{}` holds no checkpoint: no inventory.img, no pstree.img", path.display()));
    let names: Vec<String> = checkpoint
        .archive()
        .members()
        .iter()
        .take(5)
        .map(|member| ckx_core::Name::from(&member.name).to_string())
        .collect();
    error.hinted(match names.as_slice() {
        [] => "it has no members at all".to_owned(),
        names => format!("it holds {}{}", names.join(", "), if checkpoint.archive().members().len() > 5 { ", …" } else { "" }),
    })
}
