//! `ckx core`: core files of dumped processes.
//!
//! The situation: a container hung or misbehaved, was checkpointed, and somebody wants to look at it with
//! a debugger, on another machine, without restoring it.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ckx_core::core_file::{CoreFile, Refusal, Stream, Summary};
use ckx_core::memory::{HELD_BYTES, Memory};
use ckx_core::model::Process;
use ckx_core::Checkpoint;
use ckx_oci::destination::Partial;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{CliError, Outcome};
use crate::progress::watched;
use crate::render::document::{SourceLine, path_name};
use crate::render::{Format, FormatArgs, write_value};
use crate::source::SourceArgs;
use crate::ui::Ui;

/// Name and version of the document's schema.
pub const SCHEMA: &str = "ckx.core/1";

/// Write core files of processes, for debuggers
///
/// Threads with all their registers, and all memory that the dump has, as an ELF core file. Pages that
/// the process never changed are in the mapped files and not in a dump: point a debugger to them
/// (gdb: `set sysroot DIR`). What is missing from the dump is left out and told, not filled with zeros.
#[derive(Debug, clap::Args)]
#[command(after_help = "Machines: x86_64 and its 32-bit code, aarch64, arm, ppc64, s390x.

Exit codes: 0 done; 2 wrong usage or unreadable input; 3 written as far as the dump has the memory.

Examples:
  ckx core --pid 7 checkpoint.tar.zst -o core.7 && gdb -c core.7
  ckx core --all checkpoint.tar -o cores/
  ckx core --pid 1 --parent pre-dump.tar dump.tar -o core
  gdb -ex 'set sysroot rootfs' -ex 'core-file core.7' -ex 'thread apply all bt'")]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The process; of a checkpoint of one it need not be said
    #[arg(short, long, value_name = "PID", add = crate::complete::pids())]
    pid: Option<u32>,
    /// All processes, each into a file of its own: FILE.PID, or core.PID in a directory
    #[arg(short, long, conflicts_with = "pid")]
    all: bool,
    /// File or directory that it goes to; `-` for standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
}

/// What was written, as a document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `ckx.core/1`.
    schema: &'static str,
    /// What was opened.
    source: SourceLine,
    /// The core files.
    cores: Vec<Written>,
    /// Processes of which there is none.
    refused: Vec<Refused>,
}

/// A core file that was written.
#[derive(Debug, Serialize, JsonSchema)]
struct Written {
    /// Its path; `-` for standard output.
    path: ckx_core::Name,
    #[serde(flatten)]
    summary: Summary,
}

/// A process of which there is no core file.
#[derive(Debug, Serialize, JsonSchema)]
struct Refused {
    /// The process.
    pid: u32,
    /// Why.
    reason: String,
    /// Whether there can be none, and nothing is missing.
    #[serde(skip)]
    is_expected: bool,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let target = Target::of(args)?;
    let checkpoint = args.source.open()?;
    let processes = args.processes(&checkpoint)?;
    let memory = watched("reading", |_| Memory::held(&checkpoint, HELD_BYTES, &processes));
    let (mut cores, mut refused) = (Vec::new(), Vec::new());
    for process in processes {
        match CoreFile::of(&memory, process) {
            Ok(core) => {
                let path = target.path(process.pid);
                args.spare(&path)?;
                target.write(&core, &path, ui)?;
                cores.push(Written { path: path_name(&path), summary: core.summary() });
            }
            Err(refusal) if args.all => refused.push(Refused {
                pid: process.pid,
                reason: refusal.to_string(),
                is_expected: refusal == Refusal::Zombie,
            }),
            Err(refusal) => {
                let error = format!("there can be no core file of process {}", process.pid);
                return Err(CliError::new(error).because(refusal));
            }
        }
    }
    let source = SourceLine::from(checkpoint.archive().source());
    tell(args, &Document { schema: SCHEMA, source, cores, refused }, ui)
}

impl Args {
    fn processes<'c>(&self, checkpoint: &'c Checkpoint) -> Result<Vec<&'c Process>, CliError> {
        let all = &checkpoint.processes().list;
        if let Some(pid) = self.pid {
            super::inspect::check_pids(checkpoint, &[pid], self.source.path())?;
            return Ok(checkpoint.processes().get(pid).into_iter().collect());
        }
        let living = || all.iter().filter(|process| !process.is_zombie());
        match (self.all, living().count()) {
            (_, 0) if all.is_empty() => {
                Err(CliError::new(format!("`{}` has no processes", self.source.path().display())))
            }
            (true, _) => Ok(all.iter().collect()),
            (false, 1) => Ok(living().collect()),
            (false, _) => {
                let listed: Vec<String> = living().take(20).map(|process| process.pid.to_string()).collect();
                let error = CliError::new(format!("`{}` has several processes", self.source.path().display()));
                Err(error.hinted(format!("choose one with --pid ({}), or take --all", listed.join(", "))))
            }
        }
    }
}

impl Args {
    /// Inputs are mapped, and evidence: they are not written over.
    fn spare(&self, path: &Path) -> Result<(), CliError> {
        let Ok(there) = path.metadata() else { return Ok(()) };
        let is_it = |other: &Path| {
            other.metadata().is_ok_and(|other| (other.dev(), other.ino()) == (there.dev(), there.ino()))
        };
        if !there.is_file() || !self.source.inputs().any(is_it) {
            return Ok(());
        }
        let text = format!("`{}` is an input and will not be overwritten", path.display());
        Err(CliError::new(text).hinted("write to another file"))
    }
}

/// Where core files go.
enum Target {
    /// Standard output, or something else that is no file.
    Stream(PathBuf),
    File(PathBuf),
    /// The path before the dot and the process id.
    Numbered(PathBuf),
}

impl Target {
    fn of(args: &Args) -> Result<Self, CliError> {
        let path = &args.output;
        if path.as_os_str() == "-" {
            if args.all {
                let error = CliError::new("several core files cannot go to standard output");
                return Err(error.hinted("name a directory, or one process with --pid"));
            }
            if io::stdout().is_terminal() {
                let error = CliError::new("a core file is not for a terminal");
                return Err(error.hinted("name a file, or send it through a pipe"));
            }
            return Ok(Self::Stream(path.clone()));
        }
        let there = path.metadata().ok();
        Ok(match there {
            Some(there) if there.is_dir() => Self::Numbered(path.join("core")),
            _ if args.all => Self::Numbered(path.clone()),
            Some(there) if !there.is_file() => Self::Stream(path.clone()),
            _ => Self::File(path.clone()),
        })
    }

    /// Where the core file of a process goes.
    fn path(&self, pid: u32) -> PathBuf {
        match self {
            Self::File(path) | Self::Stream(path) => path.clone(),
            Self::Numbered(path) => {
                let mut name = path.clone().into_os_string();
                name.push(format!(".{pid}"));
                PathBuf::from(name)
            }
        }
    }

    /// Writes a core file.
    fn write(&self, core: &CoreFile, path: &Path, ui: &mut Ui) -> Result<(), CliError> {
        let failed = |error: &io::Error| CliError::writing(&format!("`{}`", path.display()), error);
        if !matches!(self, Self::Stream(_)) {
            let part = Partial::beside(path)?;
            let mut file = part.create()?;
            core.write_to(&mut file).map_err(|error| failed(&error))?;
            part.place(path)?;
        } else if path.as_os_str() == "-" {
            core.write_to(&mut Stream::new(&mut ui.out))
                .map_err(|error| CliError::writing("standard output", &error))?;
        } else {
            let file = fs::OpenOptions::new().write(true).open(path).map_err(|error| failed(&error))?;
            core.write_to(&mut Stream::new(file)).map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

/// Tells what was written, and what is wrong with it.
fn tell(args: &Args, document: &Document, ui: &mut Ui) -> Result<Outcome, CliError> {
    let is_stream = args.output.as_os_str() == "-";
    let mut outcome = Outcome::Done;
    for core in &document.cores {
        if args.format.get() == Format::Text && !is_stream {
            ui.write(&line(core, ui))?;
        }
        for issue in &core.summary.issues {
            ui.warn(&issue.to_string(), issue.hint);
            outcome = Outcome::Partial;
        }
    }
    for refused in &document.refused {
        let text = format!("there is no core file of process {}: {}", refused.pid, refused.reason);
        if refused.is_expected {
            ui.note(&text);
        } else {
            ui.warn(&text, None);
            outcome = Outcome::Partial;
        }
    }
    if args.format.get() != Format::Text && !is_stream {
        write_value(args.format.get(), document, &mut ui.out)
            .map_err(|error| CliError::writing("standard output", &error))?;
    }
    if document.cores.is_empty() {
        return Err(CliError::new(format!("no core file was written of `{}`", args.source.path().display())));
    }
    Ok(outcome)
}

fn line(core: &Written, ui: &Ui) -> String {
    let Summary { pid, threads, stored_bytes, size_bytes, .. } = core.summary;
    let look = ui.look();
    let plural = if threads == 1 { "" } else { "s" };
    format!(
        "wrote {}: process {pid}, {threads} thread{plural}, {} of memory, file of {}\n",
        core.path,
        look.size(stored_bytes),
        look.size(size_bytes),
    )
}
