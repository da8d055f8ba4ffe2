//! `ckx ls`: the members of a checkpoint, and of the tars in it.

use std::io::Write as _;
use std::path::PathBuf;

use ckx_archive::tarball::{EntryKind, TarMember, normal_name};
use ckx_archive::{Archive, Interest, Interests, Kept, Member, Options};
use ckx_core::outline::Cell;
use ckx_core::{Issue, Name};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{CliError, Outcome};
use crate::members::{Place, place};
use crate::progress::watched;
use crate::registry::RegistryArgs;
use crate::render::{Format, FormatArgs, table, write_value};
use crate::ui::Ui;

/// List the members of a checkpoint
///
/// Without PATH all members are listed. PATH is a directory, a member, or a member that is itself a tar:
/// the changes of the root file system, a volume, a tmpfs. Nothing is extracted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx ls checkpoint.tar.zst
  ckx ls checkpoint.tar checkpoint
  ckx ls checkpoint.tar rootfs-diff.tar/etc")]
pub struct Args {
    /// Checkpoint: an archive, a directory, an OCI image, docker://HOST/NAME:TAG, `-` for standard input
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Directory, member, or path inside a member that is a tar
    #[arg(value_name = "PATH", add = crate::complete::members())]
    path: Option<std::ffi::OsString>,
    #[command(flatten)]
    format: FormatArgs,
    /// Sizes as numbers of bytes
    #[arg(long)]
    bytes: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Name and version of the document's schema.
pub const SCHEMA: &str = "ckx.ls/1";

/// The listing as a document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing<'a> {
    /// `ckx.ls/1`.
    schema: &'static str,
    /// Members, in the order of the source.
    #[schemars(with = "Vec<Line>")]
    members: Lines<'a>,
}

/// Members as lines. An archive has any number of them, so each is made when it is written.
#[derive(Debug)]
struct Lines<'a>(&'a [&'a Member]);

impl Lines<'_> {
    fn iter(&self) -> impl Iterator<Item = Line> {
        self.0.iter().map(|member| Line::from(*member))
    }
}

impl Serialize for Lines<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// A line of the listing.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    #[serde(skip)]
    entry: EntryKind,
    /// Type: `file`, `directory`, `symlink`, `hardlink`, `char`, `block`, `fifo`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Permissions, as an octal number in a string.
    pub mode: String,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Size of the content.
    pub size_bytes: u64,
    /// Modification time, RFC 3339.
    pub modified: String,
    /// Name.
    pub name: Name,
    /// Target of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Name>,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    use std::os::unix::ffi::OsStrExt;
    let path = args.path.as_ref().map(|path| normal_name(path.as_bytes())).unwrap_or_default();
    let options = args.registry.reach(&args.source, Options::default())?;
    let archive = watched("reading", |progress| {
        Archive::open(&args.source, &mut Listed(&path), Options { progress, ..options })
    })?;
    let mut inside = Vec::new();
    match place(&archive, &path) {
        Place::Members(members) => write(args, &Lines(&members), ui)?,
        Place::Inner(member, rest) => {
            let inner = archive.inner(member, None)?;
            let below = crate::members::below(&inner, rest);
            if below.is_empty() && !rest.is_empty() {
                return Err(CliError::new(format!("no `{}` in {}", Name::from(rest), Name::from(&member.name))));
            }
            write(args, &Lines(&below), ui)?;
            inside = inner.faults().to_vec();
        }
        Place::Missing => return Err(crate::members::missing(&archive, &path)),
    }
    let faults: Vec<Issue> = archive.faults().iter().chain(&inside).map(Issue::from).collect();
    for fault in &faults {
        ui.warn(&fault.to_string(), fault.hint);
    }
    Ok(if faults.is_empty() { Outcome::Done } else { Outcome::Partial })
}

fn write(args: &Args, lines: &Lines<'_>, ui: &mut Ui) -> Result<(), CliError> {
    let failed = |error| CliError::writing("standard output", &error);
    match args.format.get() {
        Format::Text => text(args, lines, ui),
        Format::Jsonl => {
            lines.iter().try_for_each(|line| write_value(Format::Jsonl, &line, &mut ui.out)).map_err(failed)
        }
        format => {
            let listing = Listing { schema: SCHEMA, members: Lines(lines.0) };
            write_value(format, &listing, &mut ui.out).map_err(failed)
        }
    }?;
    ui.out.flush().map_err(failed)
}

fn text(args: &Args, lines: &Lines<'_>, ui: &mut Ui) -> Result<(), CliError> {
    ui.page(true);
    let mut look = ui.look();
    look.bytes = args.bytes;
    let names = ["MODE", "OWNER", "SIZE", "MODIFIED", "NAME"];
    let layout = table::Layout::of(&names, lines.iter().map(|line| line.cells()), look, 0);
    lines.iter().try_for_each(|line| {
        let mut text = String::new();
        look.paint(&layout.row(&line.cells(), look), &mut text);
        text.push('\n');
        ui.write(&text)
    })
}

impl From<&Member> for Line {
    fn from(member: &Member) -> Self {
        Self {
            entry: member.kind,
            kind: member.kind.name(),
            mode: format!("{:04o}", member.mode),
            uid: member.uid,
            gid: member.gid,
            size_bytes: member.size_bytes,
            modified: crate::members::time(member.mtime_s),
            name: (&member.name).into(),
            target: member.link.as_ref().map(Name::from),
        }
    }
}

impl Line {
    fn cells(&self) -> Vec<Cell> {
        let mode = u32::from_str_radix(&self.mode, 8).unwrap_or_default();
        let name = match &self.target {
            Some(target) => {
                Cell::Line(vec![(&self.name).into(), Cell::Faint("->".to_owned()), target.into()])
            }
            None => (&self.name).into(),
        };
        vec![
            Cell::Text(format!("{}{}", self.entry.letter(), permissions(mode))),
            Cell::Text(format!("{}/{}", self.uid, self.gid)),
            Cell::Bytes(self.size_bytes),
            Cell::Text(self.modified.clone()),
            name,
        ]
    }
}

/// `rwxr-xr-x`, with set-id and sticky bits as `ls` has them.
fn permissions(mode: u32) -> String {
    let triple = |shift: u32, special: bool, set: char| {
        let bits = mode >> shift;
        let execute = match (bits & 1 != 0, special) {
            (true, true) => set,
            (false, true) => set.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        };
        [if bits & 4 != 0 { 'r' } else { '-' }, if bits & 2 != 0 { 'w' } else { '-' }, execute]
    };
    let groups = [triple(6, mode & 0o4000 != 0, 's'), triple(3, mode & 0o2000 != 0, 's'), triple(0, mode & 0o1000 != 0, 't')];
    groups.iter().flatten().collect()
}

/// Of a stream only the tar that was asked for is looked into.
struct Listed<'a>(&'a [u8]);

impl Interests for Listed<'_> {
    fn of(&mut self, member: &TarMember, _: &Kept<'_>) -> Interest {
        let inside = self.0.strip_prefix(&*member.name).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
        if inside { Interest::List } else { Interest::Skip }
    }
}

#[cfg(test)]
mod tests {
    use super::permissions;

    #[test]
    fn permissions_are_written_as_ls_does() {
        assert_eq!(permissions(0o755), "rwxr-xr-x");
        assert_eq!(permissions(0o4755), "rwsr-xr-x");
        assert_eq!(permissions(0o1777), "rwxrwxrwt");
        assert_eq!(permissions(0o2644), "rw-r-Sr--");
    }
}
