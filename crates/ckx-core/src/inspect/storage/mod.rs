//! Files that the checkpoint holds: changes of the root file system, tmpfs mounts, volumes.

pub mod rootfs_diff;
pub mod tmpfs;
pub mod volumes;

use ckx_archive::Member;
use ckx_archive::tarball::EntryKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue, Name, Time};

/// A tar in the archive, as a listing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Tarball {
    /// Name of the member.
    pub member: Name,
    /// Size of the member.
    pub size_bytes: u64,
    /// Its members, in their order; `None` when it cannot be read.
    pub files: Option<Vec<File>>,
}

/// A file in a tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct File {
    /// Path, without a slash in front.
    pub path: Name,
    /// `file`, `directory`, `symlink`, `hardlink`, `char`, `block`, `fifo`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Size of the content.
    pub size_bytes: u64,
    /// Permissions, as an octal number in a string.
    pub mode: String,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<Time>,
    /// Target of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Name>,
}

/// Files of one tar that text shows. JSON has all.
const MAX_SHOWN: usize = 500;

impl Tarball {
    /// Lists a member. What is wrong with it goes to `issues`.
    pub(crate) fn read(checkpoint: &Checkpoint, member: &Member, issues: &mut Vec<Issue>) -> Self {
        let name = Name::from(&member.name);
        let files = match checkpoint.archive().inner(member, None) {
            Ok(inner) => {
                for fault in inner.faults() {
                    let mut issue = Issue::from(fault);
                    let below =
                        if fault.member.is_empty() { String::new() } else { format!("/{}", issue.image) };
                    issue.image = format!("{name}{below}");
                    issues.push(issue);
                }
                Some(inner.current().filter(|member| !member.name.is_empty()).map(File::from).collect())
            }
            Err(error) => {
                issues.push(Issue::unreadable(&name.to_string(), &error));
                None
            }
        };
        Self { member: name, size_bytes: member.size_bytes, files }
    }

    /// Lists its files below a heading.
    pub(crate) fn outline(&self, heading: Vec<Cell>, outline: &mut Outline) {
        let mut below = Outline::new();
        match &self.files {
            Some(files) => File::table(files.iter(), &mut below),
            None => below.line(Cell::Absent("it cannot be read".to_owned())),
        }
        outline.group(heading, below);
    }
}

impl From<&Member> for File {
    fn from(member: &Member) -> Self {
        let is_dot = |name: &[u8]| name == b".";
        Self {
            path: if is_dot(&member.name) { Name::from("") } else { Name::from(&member.name) },
            kind: member.kind.name(),
            size_bytes: member.size_bytes,
            mode: format!("{:04o}", member.mode),
            uid: member.uid,
            gid: member.gid,
            modified: Time::from_seconds(member.mtime_s),
            target: member.link.as_ref().map(Name::from),
        }
    }
}

impl File {
    /// Last part of the path.
    pub(crate) fn file_name(&self) -> &[u8] {
        self.path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    fn cells(&self) -> Vec<Cell> {
        let slash = if self.kind == "directory" { "/" } else { "" };
        let path = Cell::Text(format!("{}{slash}", self.path));
        let path = match &self.target {
            Some(target) => Cell::Line(vec![path, Cell::Faint("->".to_owned()), target.into()]),
            None => path,
        };
        let size = match self.kind {
            "file" => Cell::Bytes(self.size_bytes),
            other => Cell::Faint(other.to_owned()),
        };
        let modified = self.modified.map(Time::to_seconds);
        let owner = format!("{}:{}", self.uid, self.gid);
        vec![size, Cell::from(self.mode.as_str()), owner.into(), Cell::or_dash(modified), path]
    }

    /// Draws files as a table.
    pub(crate) fn table<'a>(files: impl Iterator<Item = &'a Self>, outline: &mut Outline) {
        let mut table = Table::new(&["SIZE", "MODE", "OWNER", "MODIFIED", "PATH"]);
        let mut files = files.filter(|file| !file.path.as_bytes().is_empty());
        table.rows.extend(files.by_ref().take(MAX_SHOWN).map(Self::cells));
        outline.table(table);
        let more = files.count();
        if more > 0 {
            outline.line(Cell::Faint(format!("and {more} more; `ckx ls` or --format json lists all")));
        }
    }
}

/// Files of the archive that a section is about, by name: their order is another in each form that a
/// checkpoint may have.
pub(crate) fn members(checkpoint: &Checkpoint, is_meant: impl Fn(&[u8]) -> bool) -> Vec<&Member> {
    let files = checkpoint.archive().current().filter(|member| member.kind == EntryKind::File);
    let mut found: Vec<&Member> = files.filter(|member| is_meant(&member.name)).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}
