//! `tmpfs`: what lay in file systems that are only in memory, `/dev/shm` among them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::mounts::mountpoint_of;
use crate::inspect::storage::{Tarball, members};
use crate::model::{Purpose, mounts};
use crate::outline::{Cell, Outline};
use crate::{Checkpoint, Issue, Name};

/// File systems in memory, with their content.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tmpfs {
    /// File systems, by name of the member.
    pub filesystems: Vec<Filesystem>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A file system in memory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Filesystem {
    /// Where it was mounted; absent when no mount belongs to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mountpoint: Option<Name>,
    /// Its files.
    #[serde(flatten)]
    pub content: Tarball,
}

impl Collect for Tmpfs {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut issues = Vec::new();
        // Faults of the mounts are told by their own section.
        let (namespaces, _) = mounts(checkpoint);
        let mut filesystems = Vec::new();
        for member in members(checkpoint, |_| true) {
            let mountpoint = match Purpose::of(checkpoint, member) {
                Purpose::DevShm => Some(Name::from("/dev/shm")),
                Purpose::Tmpfs => match Number::of(member.file_name()) {
                    Some(Number::Device(device)) => {
                        mountpoint_of(&namespaces, |mount| mount.device == device)
                    }
                    Some(Number::Mount(id)) => mountpoint_of(&namespaces, |mount| mount.mnt_id == id),
                    None => None,
                },
                _ => continue,
            };
            let content = Tarball::read(checkpoint, member, &mut issues);
            filesystems.push(Filesystem { mountpoint, content });
        }
        Self { filesystems, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for filesystem in &self.filesystems {
            let place = match &filesystem.mountpoint {
                Some(mountpoint) => Cell::from(mountpoint),
                None => Cell::Absent("mounted nowhere".to_owned()),
            };
            let member = Cell::Faint(filesystem.content.member.to_string());
            filesystem.content.outline(vec![place, member], &mut outline);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// The number in the name of an image: a device since CRIU 2.6, a mount before.
enum Number {
    Device(u32),
    Mount(u32),
}

impl Number {
    fn of(name: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(name).ok()?.strip_suffix(".tar.gz.img")?;
        let (kind, number) = name.rsplit_once('-')?;
        let number = number.parse().ok()?;
        Some(if kind.ends_with("-dev") { Self::Device(number) } else { Self::Mount(number) })
    }
}
