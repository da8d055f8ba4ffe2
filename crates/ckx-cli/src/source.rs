//! The checkpoint that a command about memory reads.

use std::path::{Path, PathBuf};

use ckx_core::memory::{self, HELD_BYTES, Memory, Sink, Swept};
use ckx_core::model::Process;
use ckx_core::{Checkpoint, Issue, Options};

use crate::error::{CliError, Outcome};
use crate::progress::watched;
use crate::registry::RegistryArgs;
use crate::ui::Ui;

/// A checkpoint, and the dumps before it.
#[derive(Debug, clap::Args)]
pub struct SourceArgs {
    /// Checkpoint: an archive, a directory, an OCI image, docker://HOST/NAME:TAG, `-` for standard input
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    #[command(flatten)]
    before: BeforeArgs,
}

/// The dumps before a checkpoint, and how sources are reached.
#[derive(Debug, clap::Args)]
pub struct BeforeArgs {
    /// The dump before it, if it is incremental and does not hold it; more of them, the nearest first
    #[arg(long, value_name = "SOURCE")]
    parent: Vec<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl SourceArgs {
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.source
    }

    /// All that is read, and so must not be written to.
    pub fn inputs(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&*self.source).chain(self.before.parent.iter().map(|path| &**path))
    }

    /// Opens it, and shows its memory to a sink: of a source that is decoded while it goes by.
    pub fn sweep(&self, pids: &[u32], sink: &mut dyn Sink) -> Result<Swept, CliError> {
        self.before.sweep(&self.source, pids, sink)
    }

    /// Opens it without its memory, for these processes; none for all.
    pub fn open_for(&self, pids: &[u32]) -> Result<Checkpoint, CliError> {
        let options = self.before.options(&self.source, pids)?;
        let checkpoint = watched("reading", |progress| {
            let archive = ckx_archive::Options { progress, ..options.archive };
            Checkpoint::open(&self.source, Options { archive, ..options })
        })?;
        check(&checkpoint, &self.source, pids)?;
        Ok(checkpoint.with_previous(self.before.previous()?))
    }

    /// Opens it for looking at certain addresses.
    pub fn open(&self) -> Result<Checkpoint, CliError> {
        self.before.open(&self.source)
    }
}

impl BeforeArgs {
    fn options(&self, path: &Path, pids: &[u32]) -> Result<Options, CliError> {
        let archive = self.registry.reach(path, ckx_archive::Options::default())?;
        let pids = (!pids.is_empty()).then(|| pids.to_vec());
        Ok(Options { archive, pids, ..Options::default() })
    }

    fn previous(&self) -> Result<Option<Checkpoint>, CliError> {
        let dumps = self.parent.iter().map(|path| {
            let opened = Checkpoint::open(path, self.options(path, &[])?)?;
            check(&opened, path, &[]).map(|()| opened)
        });
        Ok(Checkpoint::chained(dumps.collect::<Result<Vec<_>, CliError>>()?))
    }

    /// Opens a source, and shows its memory to a sink.
    pub fn sweep(&self, path: &Path, pids: &[u32], sink: &mut dyn Sink) -> Result<Swept, CliError> {
        let previous = self.previous()?;
        let options = self.options(path, pids)?;
        let swept = watched("reading", |progress| {
            let archive = ckx_archive::Options { progress, ..options.archive };
            memory::open_and_sweep(path, Options { archive, ..options }, previous, sink)
        })?;
        check(&swept.checkpoint, path, pids)?;
        Ok(swept)
    }

    fn open(&self, path: &Path) -> Result<Checkpoint, CliError> {
        let previous = self.previous()?;
        let options = self.options(path, &[])?;
        let checkpoint = watched("reading", |progress| {
            let archive = ckx_archive::Options { progress, ..options.archive };
            memory::open_holding(path, Options { archive, ..options }, HELD_BYTES)
        })?;
        check(&checkpoint, path, &[])?;
        Ok(checkpoint.with_previous(previous))
    }
}

/// A source that is something else, or has not the processes that are asked for.
fn check(checkpoint: &Checkpoint, path: &Path, pids: &[u32]) -> Result<(), CliError> {
    if !checkpoint.has_images() {
        return Err(crate::cmd::no_images(checkpoint, path));
    }
    crate::cmd::check_pids(checkpoint, pids, path)
}

/// The process that is asked for; the only one there is needs no number.
pub fn process<'c>(
    checkpoint: &'c Checkpoint,
    path: &Path,
    pid: Option<u32>,
) -> Result<&'c Process, CliError> {
    let all = &checkpoint.processes().list;
    if let Some(pid) = pid {
        crate::cmd::check_pids(checkpoint, &[pid], path)?;
    }
    let with_memory: Vec<&Process> = all.iter().filter(|process| process.mm.is_some()).collect();
    match (pid, with_memory.as_slice()) {
        (None, [one]) => Ok(one),
        (None, []) => Err(CliError::new(format!("`{}` has no process with memory", path.display()))),
        (None, several) => {
            let listed: Vec<String> =
                several.iter().take(20).map(|process| process.pid.to_string()).collect();
            let more = if several.len() > 20 { ", …" } else { "" };
            let error = CliError::new(format!("`{}` has {} processes", path.display(), several.len()));
            Err(error.hinted(format!("choose one with --pid: {}{more}", listed.join(", "))))
        }
        (Some(pid), _) => match checkpoint.processes().get(pid) {
            Some(process) if process.mm.is_some() => Ok(process),
            _ => {
                let error = CliError::new(format!("process {pid} has no memory in the checkpoint"));
                Err(error.hinted("it is a zombie, or its mm image is missing; `ckx inspect` tells which"))
            }
        },
    }
}

/// The memory of one process, with the pages at hand.
pub fn held<'c>(checkpoint: &'c Checkpoint, process: &Process) -> Memory<'c> {
    watched("reading", |_| Memory::held(checkpoint, HELD_BYTES, &[process]))
}

/// Tells what was missing or broken.
pub fn tell(issues: &[Issue], ui: &mut Ui) -> Outcome {
    for issue in issues {
        ui.warn(&issue.to_string(), issue.hint);
    }
    if issues.is_empty() { Outcome::Done } else { Outcome::Partial }
}
