//! `ckx cat`: the content of a member.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ckx_archive::archive::{Copied, copy};
use ckx_archive::tarball::{EntryKind, TarMember, normal_name};
use ckx_archive::{Archive, Interest, Interests, Kept, Options};
use ckx_core::Name;

use crate::error::{CliError, Outcome};
use crate::members::{Place, below, missing_in, place};
use crate::progress::watched;
use crate::registry::RegistryArgs;
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
    /// Checkpoint: an archive, a directory, an OCI image, docker://HOST/NAME:TAG, `-` for standard input
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Member, or path inside a member that is a tar
    #[arg(value_name = "MEMBER", add = crate::complete::members())]
    member: OsString,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let name = normal_name(args.member.as_bytes());
    let options = args.registry.reach(&args.source, Options::default())?;
    if std::io::stdout().is_terminal() {
        let mut guarded = Escaping::new(&mut ui.out);
        // No progress: it would stand in the text.
        let outcome = content(args, &name, &mut guarded, &options)?;
        guarded.end().map_err(|error| CliError::writing("standard output", &error))?;
        return Ok(outcome);
    }
    watched("reading", |progress| {
        content(args, &name, &mut ui.out, &Options { progress, ..options })
    })
}

fn content(
    args: &Args,
    name: &[u8],
    out: &mut dyn std::io::Write,
    options: &Options,
) -> Result<Outcome, CliError> {
    let copied = match copy(&args.source, name, out, options) {
        Err(error @ ckx_archive::Error::Member { .. }) => return written(Err(error)),
        other => other?,
    };
    let passed = copied == Copied::Missing;
    match copied {
        Copied::Bytes(_) => return Ok(Outcome::Done),
        // Once more, for its list: that tells a directory from a slip of the pen.
        Copied::Missing if args.source.is_file() => {}
        Copied::Missing => {
            // What came through a pipe is gone.
            let error = CliError::new(format!(
                "`{}` has no member `{}`",
                args.source.display(),
                Name::from(name)
            ));
            return Err(error.hinted("`ckx ls` lists the members"));
        }
        Copied::Opened => {}
    }
    let archive = Archive::open(&args.source, &mut Holders(name), options.clone())?;
    // The member of this very name comes before what it may hold.
    if let Some(member) = archive.get(name) {
        if member.kind == EntryKind::Directory {
            return Err(directory(&archive, name));
        }
        if let Some(linked) = member.link.as_ref().filter(|_| passed && member.kind == EntryKind::Hardlink) {
            let linked = copy(&args.source, &normal_name(linked), out, options);
            return written(linked.map(|_| 0));
        }
        return written(archive.write_to(member, out));
    }
    match place(&archive, name) {
        Place::Inner(member, rest) => {
            let inner = archive.inner(member, Some(rest))?;
            let Some(file) = inner.get(rest) else {
                let is_directory = !below(&inner, rest).is_empty();
                return Err(if is_directory { directory(&archive, name) } else { missing_in(&inner, rest, name) });
            };
            match file.kind {
                EntryKind::Directory => Err(directory(&archive, name)),
                _ => written(inner.write_to(file, out)),
            }
        }
        // There need be no member for the directory itself.
        Place::Members(_) => Err(directory(&archive, name)),
        Place::Missing => Err(missing_in(&archive, name, name)),
    }
}

fn directory(archive: &Archive, name: &[u8]) -> CliError {
    let path = archive.source().path.display();
    CliError::new(format!("`{}` in `{path}` is a directory", Name::from(name)))
        .hinted("`ckx ls` lists what is in it")
}

/// A member that is cut off was written as far as it goes.
fn written(result: Result<u64, ckx_archive::Error>) -> Result<Outcome, CliError> {
    match result {
        Ok(_) => Ok(Outcome::Done),
        Err(error @ ckx_archive::Error::Member { .. }) => Err(CliError::from(error).partial()),
        Err(error) => Err(error.into()),
    }
}

/// Keeps members that may be tars with the one that is asked for in them.
struct Holders<'a>(&'a [u8]);

impl Interests for Holders<'_> {
    fn of(&mut self, member: &TarMember, _: &Kept<'_>) -> Interest {
        match self.0.strip_prefix(&*member.name) {
            Some([b'/', ..]) => Interest::Keep,
            _ => Interest::Skip,
        }
    }
}

/// What a terminal must not get: control characters other than line ends and tabs, in one byte or, as
/// UTF-8 has those above 0x80, in two.
struct Escaping<'a> {
    out: &'a mut dyn std::io::Write,
    /// Bytes of a character whose end has not come yet.
    begun: Vec<u8>,
}

impl<'a> Escaping<'a> {
    fn new(out: &'a mut dyn std::io::Write) -> Self {
        Self { out, begun: Vec::new() }
    }

    /// Writes what is left.
    fn end(mut self) -> std::io::Result<()> {
        let begun = std::mem::take(&mut self.begun);
        begun.iter().try_for_each(|byte| write!(self.out, "\\x{byte:02x}"))
    }
}

impl std::io::Write for Escaping<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = [&std::mem::take(&mut self.begun), bytes].concat();
        let mut rest = text.len();
        for chunk in text.utf8_chunks() {
            rest -= chunk.valid().len() + chunk.invalid().len();
            for char in chunk.valid().chars() {
                match char {
                    '\n' | '\t' => write!(self.out, "{char}")?,
                    control if control.is_control() => write!(self.out, "\\x{:02x}", u32::from(control))?,
                    plain => write!(self.out, "{plain}")?,
                }
            }
            // A character of up to four bytes may go on in the next buffer.
            let cut = str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if rest == 0 && cut {
                self.begun = chunk.invalid().to_vec();
            } else {
                chunk.invalid().iter().try_for_each(|byte| write!(self.out, "\\x{byte:02x}"))?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::Escaping;

    #[test]
    fn no_control_character_passes_however_it_is_cut() {
        let bytes = "a\x1b[31m \u{9b}31m \u{e9}\n\t".bytes().chain([0xff, 0xe2, 0x82]).collect::<Vec<_>>();
        for step in 1..bytes.len() {
            let mut out = Vec::new();
            let mut escaping = Escaping::new(&mut out);
            bytes.chunks(step).for_each(|part| escaping.write_all(part).expect("memory has room"));
            escaping.end().expect("memory has room");
            let text = String::from_utf8(out).expect("text");
            assert_eq!(text, "a\\x1b[31m \\x9b31m \u{e9}\n\t\\xff\\xe2\\x82", "in steps of {step}");
        }
    }
}
