//! What the output holds, member by member, and in what it differs from the source.

mod content;
mod parents;
mod parts;
mod source;
mod streamed;
mod without;

use std::collections::BTreeMap;

use ckx_archive::tarball::EntryKind;
use ckx_core::Name;
use schemars::JsonSchema;
use serde::Serialize;

pub use content::{Content, Patch};
pub(crate) use parents::{MAX_PARENTS, joined};
pub use parts::Parts;
pub use source::{Keeping, Purpose};
pub use streamed::{Origin, Sources, StreamedMember};
pub use without::Without;

use crate::Error;
use crate::layer::Kind;

/// Members of the output by name, in the order in which they are written.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    entries: BTreeMap<Box<[u8]>, Entry>,
    changes: Vec<Change>,
}

/// A member of the output.
#[derive(Debug, Clone)]
pub struct Entry {
    /// A file, a directory or a symbolic link.
    pub kind: EntryKind,
    /// Target of a link.
    pub link: Box<[u8]>,
    /// Permission bits.
    pub mode: u32,
    /// What a file holds.
    pub content: Content,
    /// Bytes that are put over those of the content, sorted and without overlaps.
    pub patches: Vec<Patch>,
}

/// Something that the output has otherwise than the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// Name of the member in the output.
    pub member: Name,
    /// What was done: `added`, `dropped`, `renamed`, `rewritten`.
    pub action: &'static str,
    /// Why, or from what.
    pub detail: String,
}

/// Permissions of directories that the source has no entry for.
const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of files that are added. They may hold what was in memory.
pub(crate) const FILE_MODE: u32 = 0o600;

impl Entry {
    /// A file with this content.
    pub fn file(content: Content) -> Self {
        Self { kind: EntryKind::File, link: Box::default(), mode: FILE_MODE, content, patches: Vec::new() }
    }

    /// A directory.
    pub fn directory() -> Self {
        Self { kind: EntryKind::Directory, mode: DIRECTORY_MODE, ..Self::file(Content::None) }
    }

    /// Size of the content in bytes.
    pub fn size(&self) -> u64 {
        self.content.size()
    }
}

impl Plan {
    /// The members, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.entries.iter().map(|(name, entry)| (&**name, entry))
    }

    /// A member.
    pub fn get(&self, name: &[u8]) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// A member, to change it.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Entry> {
        self.entries.get_mut(name)
    }

    /// Puts a member in, in the place of another of its name.
    pub fn put(&mut self, name: impl Into<Box<[u8]>>, entry: Entry) {
        self.entries.insert(name.into(), entry);
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &[u8]) -> Option<Entry> {
        self.entries.remove(name)
    }

    /// Names of the members at a path and below it.
    pub fn below(&self, path: &[u8]) -> Vec<Box<[u8]>> {
        let is_below = |name: &&[u8]| parents::is_below(name, path);
        self.entries().map(|(name, _)| name).filter(is_below).map(Into::into).collect()
    }

    /// Notes a difference from the source.
    pub fn note(&mut self, member: &[u8], action: &'static str, detail: impl Into<String>) {
        self.changes.push(Change { member: Name::from(member), action, detail: detail.into() });
    }

    /// The differences from the source.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Adds the directories in which members lie and that have no entry: an engine that unpacks a layer
    /// would give them permissions of its own.
    pub fn add_directories(&mut self) {
        let mut missing = Vec::new();
        for (name, _) in self.entries() {
            for (at, _) in name.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                let parent = &name[..at];
                if !self.entries.contains_key(parent) {
                    missing.push(Box::from(parent));
                }
            }
        }
        for name in missing {
            self.entries.insert(name, Entry::directory());
        }
    }

    /// Members of a layer: those of its kind, with the directories that they lie in.
    pub fn of_layer(&self, kind: Kind, split: crate::layer::Split) -> Vec<(&[u8], &Entry)> {
        let mut chosen: BTreeMap<&[u8], &Entry> = BTreeMap::new();
        for (name, entry) in self.entries() {
            if split.kind_of(name, entry) != kind {
                continue;
            }
            chosen.insert(name, entry);
            for (at, _) in name.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                if let Some((parent, entry)) = self.entries.get_key_value(&name[..at]) {
                    chosen.insert(parent, entry);
                }
            }
        }
        chosen.into_iter().collect()
    }

    /// Checks that the members can be in the output at all.
    ///
    /// # Errors
    /// [`Error::Refused`] with the member.
    pub fn check(&self, purpose: Purpose) -> Result<(), Error> {
        for (name, entry) in self.entries() {
            let refuse = |reason: &str| {
                let name = Name::from(name);
                Err(Error::refused(format!("`{name}` cannot be in the output: {reason}")))
            };
            if !matches!(entry.kind, EntryKind::File | EntryKind::Directory | EntryKind::Symlink) {
                return refuse("it is a device or a pipe, which no engine puts there");
            }
            if purpose == Purpose::Archive {
                continue;
            }
            if name.split(|byte| *byte == b'/').any(|part| part.starts_with(b".wh.")) {
                return refuse("names that begin with `.wh.` delete files of lower layers");
            }
            if entry.kind == EntryKind::Symlink {
                return refuse("it is a symbolic link, and containerd refuses checkpoints with links");
            }
        }
        Ok(())
    }
}

/// A number of things, for the detail of a change.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
