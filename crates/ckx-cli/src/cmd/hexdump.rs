//! `ckx hexdump`: memory of a process as hexadecimal numbers.
//!
//! The situation: an address is known, from a search, a register, a crash, and somebody wants to see what
//! lies there.

use ckx_core::memory::{AddressSpace, Content};

use crate::error::{CliError, Outcome};
use crate::range::RangeArgs;
use crate::render::hex::Rows;
use crate::source::{SourceArgs, held, process, tell};
use crate::ui::Ui;

/// Show memory of a process as hexadecimal numbers
///
/// Rows as `xxd` has them, with addresses of the process and the mappings that they are in. `*` stands
/// for rows whose bytes are those of the row before. Memory that is not in the dump is told of in a line,
/// and why.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx hexdump checkpoint.tar --pid 1 --vma '[heap]'
  ckx hexdump checkpoint.tar.zst --pid 7 --range 0x7ffc1000..0x7ffc1100
  ckx hexdump checkpoint.tar --pid 7 --vma 0x55d0c0de1234 | less")]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The process; needed if there are several
    #[arg(short, long, value_name = "PID", add = crate::complete::pids())]
    pid: Option<u32>,
    #[command(flatten)]
    range: RangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let checkpoint = args.source.open()?;
    let process = process(&checkpoint, args.source.path(), args.pid)?;
    let memory = held(&checkpoint, process);
    let space = memory.space(process);
    let ranges = args.range.of(&space, args.source.path())?;
    ui.page(true);
    let failed = |error: std::io::Error| CliError::writing("standard output", &error);
    let mut rows = Rows::new(&mut ui.out);
    let mut found = Found::default();
    for (start, end) in ranges {
        dump(&space, start, end, &mut rows, &mut found).map_err(failed)?;
    }
    rows.end().map_err(failed)?;
    if !found.any {
        let error = CliError::new(format!("nothing is mapped there in process {}", process.pid));
        return Err(error.hinted(format!("`ckx maps --pid {}` lists what is", process.pid)));
    }
    let issues: Vec<_> = memory.issue().into_iter().chain(space.issues()).cloned().collect();
    Ok(tell(&issues, ui).max(if found.lost { Outcome::Partial } else { Outcome::Done }))
}

#[derive(Default)]
struct Found {
    /// Whether anything is mapped there.
    any: bool,
    /// Whether some of it should be in the dump and is not.
    lost: bool,
}

fn dump(
    space: &AddressSpace,
    start: u64,
    end: u64,
    rows: &mut Rows<'_>,
    found: &mut Found,
) -> std::io::Result<()> {
    let mut mapping = None;
    for piece in space.pieces(start, end) {
        if mapping != Some(piece.mapping)
            && let Some(entered) = space.mappings().get(piece.mapping)
        {
            mapping = Some(piece.mapping);
            found.any = true;
            let name = entered.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            rows.line(&format!("# {:x}-{:x} {}{name}", entered.start, entered.end, entered.permissions))?;
        }
        let run = piece.run.unpacked();
        match &run.content {
            Content::Bytes(bytes) => rows.bytes(run.start, bytes)?,
            Content::Zero | Content::Untouched => rows.zeros(run.start, run.end)?,
            Content::Absent(why) => {
                found.lost |= why.is_loss();
                rows.line(&format!("{:016x}: ({:#x} bytes: {})", run.start, run.size(), why.reason()))?;
            }
            Content::Packed(_) | Content::Hashes(_) => {
                found.lost = true;
                rows.line(&format!("{:016x}: ({:#x} bytes cannot be unpacked)", run.start, run.size()))?;
            }
        }
    }
    Ok(())
}
