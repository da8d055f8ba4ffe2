//! `ckx extract`: memory of a process as a file.
//!
//! The situation: a tool that reads plain bytes (a disassembler, a key finder, a parser of heaps) is to
//! work on a part of the memory.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::PathBuf;

use ckx_core::memory::{AddressSpace, Content, Why};

use crate::error::{CliError, Outcome};
use crate::range::RangeArgs;
use crate::source::{SourceArgs, held, process, tell};
use crate::ui::Ui;

/// Write memory of a process to a file
///
/// The bytes from the first address to the last, each at its place. What is not in the dump is written as
/// zeros and told of; with `--sparse` it becomes a hole, as do pages that were never touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx extract checkpoint.tar --pid 1 --vma '[heap]' -o heap.bin
  ckx extract checkpoint.tar.zst --pid 1 --range 0x7f2a00000000+4096 | xxd
  ckx extract checkpoint.tar --pid 1 --vma 0x7f2a00000000 --sparse -o arena.bin")]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The process; needed if there are several
    #[arg(short, long, value_name = "PID", add = crate::complete::pids())]
    pid: Option<u32>,
    #[command(flatten)]
    range: RangeArgs,
    /// File to write; standard output if there is none
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Leave holes where nothing is
    #[arg(long, requires = "output")]
    sparse: bool,
}

/// Bytes of holes that are written as zeros at most. A mapping may claim any size.
const MAX_ZEROS: u64 = 64 << 30;

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    if !args.range.is_some() {
        let error = CliError::new("say which memory is to be written");
        return Err(error.hinted("--range A..B, or --vma NAME|ADDR; `ckx maps` lists the mappings"));
    }
    let checkpoint = args.source.open()?;
    let process = process(&checkpoint, args.source.path(), args.pid)?;
    let memory = held(&checkpoint, process);
    let space = memory.space(process);
    let (start, end) = match args.range.of(&space, args.source.path())?.as_slice() {
        [one] => *one,
        several => {
            let listed: Vec<String> =
                several.iter().map(|(start, end)| format!("{start:#x}..{end:#x}")).collect();
            let error = CliError::new(format!("there are {} mappings of this name", several.len()));
            return Err(error.hinted(format!("choose one with --range: {}", listed.join(", "))));
        }
    };
    let mut missing = Missing::default();
    match &args.output {
        Some(path) if path.as_os_str() != "-" => {
            let file = crate::output::create_beside(path, &[args.source.path()])?;
            let mut out = Sparse { file: BufWriter::with_capacity(1 << 20, file), holes: args.sparse, at: 0 };
            let written = copy(&space, start, end, &mut out, &mut missing).and_then(|()| out.end());
            let file = written.map_err(|error| CliError::writing(&format!("`{}`", path.display()), &error))?;
            file.keep(path)?;
        }
        _ => {
            let mut out = Plain(&mut ui.out);
            copy(&space, start, end, &mut out, &mut missing)
                .map_err(|error| CliError::writing("standard output", &error))?;
        }
    }
    let issues: Vec<_> = memory.issue().into_iter().chain(space.issues()).cloned().collect();
    Ok(tell(&issues, ui).max(missing.tell(ui)))
}

/// Bytes that are not there, by reason.
#[derive(Default)]
struct Missing(Vec<(Why, u64)>);

impl Missing {
    fn add(&mut self, why: Why, bytes: u64) {
        match self.0.iter_mut().find(|(other, _)| *other == why) {
            Some((_, all)) => *all = all.saturating_add(bytes),
            None => self.0.push((why, bytes)),
        }
    }

    fn tell(mut self, ui: &mut Ui) -> Outcome {
        self.0.sort_unstable();
        let mut outcome = Outcome::Done;
        for (why, bytes) in self.0 {
            let text = format!("{bytes} bytes are written as zeros: {}", why.reason());
            if why.is_loss() {
                ui.warn(&text, None);
                outcome = Outcome::Partial;
            } else {
                ui.note(&text);
            }
        }
        outcome
    }
}

trait Target {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn hole(&mut self, len: u64) -> io::Result<()>;
}

fn copy(
    space: &AddressSpace,
    start: u64,
    end: u64,
    out: &mut dyn Target,
    missing: &mut Missing,
) -> io::Result<()> {
    let mut at = start;
    for piece in space.pieces(start, end) {
        let run = piece.run.unpacked();
        if run.start > at {
            missing.add(Why::Unmapped, run.start - at);
            out.hole(run.start - at)?;
        }
        match &run.content {
            Content::Bytes(bytes) => out.bytes(bytes)?,
            Content::Zero | Content::Untouched => out.hole(run.size())?,
            absent => {
                let why = if let Content::Absent(why) = absent { *why } else { Why::Packed };
                missing.add(why, run.size());
                out.hole(run.size())?;
            }
        }
        at = run.end;
    }
    if at < end {
        missing.add(Why::Unmapped, end - at);
        out.hole(end - at)?;
    }
    Ok(())
}

/// Zeros that are written at once.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

fn zeros(out: &mut dyn Write, mut len: u64) -> io::Result<()> {
    if len > MAX_ZEROS {
        let reason = format!("{len} bytes of zeros are too many; --sparse leaves holes, --range takes less");
        return Err(io::Error::other(reason));
    }
    while len > 0 {
        let part = ZEROS.get(..len.min(ZEROS.len() as u64) as usize).unwrap_or_default();
        out.write_all(part)?;
        len -= part.len() as u64;
    }
    Ok(())
}

struct Plain<'o>(&'o mut dyn Write);

impl Target for Plain<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn hole(&mut self, len: u64) -> io::Result<()> {
        zeros(self.0, len)
    }
}

struct Sparse {
    file: BufWriter<crate::output::Beside>,
    holes: bool,
    at: u64,
}

impl Sparse {
    fn end(mut self) -> io::Result<crate::output::Beside> {
        self.file.flush()?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let plain: &File = file.file();
        plain.set_len(self.at)?;
        Ok(file)
    }
}

impl Target for Sparse {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at = self.at.saturating_add(bytes.len() as u64);
        self.file.write_all(bytes)
    }

    fn hole(&mut self, len: u64) -> io::Result<()> {
        self.at = self.at.saturating_add(len);
        if self.holes {
            self.file.seek(SeekFrom::Start(self.at)).map(drop)
        } else {
            zeros(&mut self.file, len)
        }
    }
}
