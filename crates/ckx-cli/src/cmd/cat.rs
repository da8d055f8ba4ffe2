//! `ckx cat`: the content of a member.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ckx_archive::archive::{Copied, KeepAll, copy};
use ckx_archive::tarball::normal_name;
use ckx_archive::{Archive, Options};
use ckx_core::Name;

use crate::error::{CliError, Outcome};
use crate::members::{Place, missing, place};
use crate::ui::Ui;

/// Write the content of a member to standard output
///
/// The member may be of any size, and may lie in a member that is itself a tar. A terminal gets text
/// only; with anything else behind standard output the bytes are written as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx cat checkpoint.tar.zst spec.dump | jq .process.args
  ckx cat checkpoint.tar rootfs-diff.tar/etc/passwd
  ckx cat checkpoint.tar checkpoint/core-1.img | ckx decode --pretty")]
pub struct Args {
    /// Checkpoint: an archive, a directory, an OCI image, `-` for standard input
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Member, or path inside a member that is a tar
    #[arg(value_name = "MEMBER", add = crate::complete::members())]
    member: OsString,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let name = normal_name(args.member.as_bytes());
    if std::io::stdout().is_terminal() {
        let mut guarded = Escaping { out: &mut ui.out };
        return content(args, &name, &mut guarded);
    }
    content(args, &name, &mut ui.out)
}

fn content(args: &Args, name: &[u8], out: &mut dyn std::io::Write) -> Result<Outcome, CliError> {
    match copy(&args.source, name, out)? {
        Copied::Bytes(_) => return Ok(Outcome::Done),
        Copied::Missing => {
            return Err(CliError::new(format!(
                "`{}` has no member `{}`",
                args.source.display(),
                Name::from(name)
            ))
            .hinted("`ckx ls` lists the members"));
        }
        Copied::Mapped => {}
    }
    let archive = Archive::open(&args.source, &mut KeepAll, Options::default())?;
    // The member of this very name comes before what it may hold.
    let (bytes, cut) = match archive.get(name) {
        Some(member) => archive.read_partial(member)?,
        None => match place(&archive, name) {
            Place::Inner(member, rest) => {
                let inner = archive.inner(member, Some(rest))?;
                let file = inner.get(rest).ok_or_else(|| missing(&inner, rest))?;
                inner.read_partial(file)?
            }
            _ => return Err(missing(&archive, name)),
        },
    };
    out.write_all(&bytes).map_err(|error| CliError::writing("standard output", &error))?;
    match cut {
        None => Ok(Outcome::Done),
        Some(reason) => Err(CliError::new(format!("{}: {reason}", Name::from(name))).partial()),
    }
}

/// What a terminal must not get: control characters other than line ends and tabs.
struct Escaping<'a> {
    out: &'a mut dyn std::io::Write,
}

impl std::io::Write for Escaping<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for byte in bytes {
            match byte {
                b'\n' | b'\t' | 0x20..=0x7e | 0x80.. => self.out.write_all(&[*byte])?,
                control => write!(self.out, "\\x{control:02x}")?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
