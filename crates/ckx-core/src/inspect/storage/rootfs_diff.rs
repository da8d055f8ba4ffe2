//! `rootfs-diff`: what the container added to its root file system, changed in it and deleted from it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::storage::{File, Tarball, members};
use crate::outline::{Cell, Outline};
use crate::{Checkpoint, Issue, Name};

/// Changes of the root file system.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RootfsDiff {
    /// The member that holds them; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Name>,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Files that were added or changed. Directories above them are listed too.
    pub changed: Vec<File>,
    /// Paths that were deleted, with a slash in front: from `deleted.files`, and from the marks
    /// (`.wh.NAME`) that containerd puts into the tar.
    pub deleted: Vec<Name>,
    /// Directories whose former content was hidden as a whole.
    pub opaque: Vec<Name>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Begins the name of a file that marks another as deleted.
const WHITEOUT: &[u8] = b".wh.";
/// Name of a file that marks its directory as new.
const OPAQUE: &[u8] = b".wh..wh..opq";

impl Collect for RootfsDiff {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut issues = Vec::new();
        let member = members(checkpoint, |name| name == b"rootfs-diff.tar").into_iter().next();
        let tarball = member.map(|member| Tarball::read(checkpoint, member, &mut issues));
        let mut deleted = deleted_files(checkpoint, &mut issues);
        let (mut changed, mut opaque) = (Vec::new(), Vec::new());
        for file in tarball.iter().flat_map(|tarball| tarball.files.iter().flatten()) {
            let path = file.path.as_bytes();
            let directory = path.get(..path.len() - file.file_name().len()).unwrap_or_default();
            let below = |name: &[u8]| Name::from([b"/", directory, name].concat());
            match file.file_name().strip_prefix(WHITEOUT) {
                Some(_) if file.file_name() == OPAQUE => opaque.push(below(b"")),
                Some(name) => deleted.push(below(name)),
                None => changed.push(file.clone()),
            }
        }
        Self {
            member: tarball.as_ref().map(|tarball| tarball.member.clone()),
            size_bytes: tarball.as_ref().map(|tarball| tarball.size_bytes),
            changed,
            deleted,
            opaque,
            issues,
        }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let list = |heading: &str, names: &[Name], outline: &mut Outline| {
            let mut below = Outline::new();
            names.iter().for_each(|name| below.line(name));
            if !below.is_empty() {
                outline.group(vec![Cell::from(heading)], below);
            }
        };
        let mut below = Outline::new();
        File::table(self.changed.iter(), &mut below);
        if !below.is_empty() {
            outline.group(vec![Cell::from("added or changed")], below);
        }
        list("deleted", &self.deleted, &mut outline);
        list("emptied before", &self.opaque, &mut outline);
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// The list that Podman and CRI-O keep beside the tar.
fn deleted_files(checkpoint: &Checkpoint, issues: &mut Vec<Issue>) -> Vec<Name> {
    const LIST: &str = "deleted.files";
    let list = match checkpoint.json(LIST) {
        Ok(Some(serde_json::Value::Array(list))) => list,
        Ok(Some(serde_json::Value::Null) | None) => return Vec::new(),
        Ok(Some(_)) => {
            issues.push(Issue::new(LIST, "bad-json", "a list of paths was expected"));
            return Vec::new();
        }
        Err(issue) => {
            issues.push(issue);
            return Vec::new();
        }
    };
    list.iter().filter_map(|path| path.as_str()).map(Name::from).collect()
}
