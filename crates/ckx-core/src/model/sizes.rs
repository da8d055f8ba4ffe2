//! Members of an archive by what they are for.

use ckx_archive::Member;
use ckx_archive::tarball::EntryKind;
use ckx_criu::kind::spec_by_file_name;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Checkpoint;
use crate::checkpoint::joined;

/// What a member is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Contents of memory.
    MemoryPages,
    /// Contents of the memory of GPUs.
    GpuPages,
    /// Contents of tmpfs mounts.
    Tmpfs,
    /// Contents of files that were deleted and still open.
    GhostFiles,
    /// The other images of CRIU.
    Images,
    /// Images of earlier dumps that this one builds on.
    ParentImages,
    /// Changes of the root file system.
    RootfsDiff,
    /// Volumes.
    Volumes,
    /// Contents of `/dev/shm` that the engine keeps.
    DevShm,
    /// Logs of the container, the engine and CRIU.
    Logs,
    /// Descriptions of the container and of the dump.
    Descriptions,
    /// Artifacts that were attached.
    Artifacts,
    /// Anything else.
    Other,
}

impl Purpose {
    /// Its name, as people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MemoryPages => "memory pages",
            Self::GpuPages => "GPU memory",
            Self::Tmpfs => "tmpfs",
            Self::GhostFiles => "deleted open files",
            Self::Images => "other images",
            Self::ParentImages => "parent images",
            Self::RootfsDiff => "rootfs diff",
            Self::Volumes => "volumes",
            Self::DevShm => "/dev/shm",
            Self::Logs => "logs",
            Self::Descriptions => "descriptions",
            Self::Artifacts => "artifacts",
            Self::Other => "other",
        }
    }

    /// What a member of this checkpoint is for.
    pub fn of(checkpoint: &Checkpoint, member: &Member) -> Self {
        let directory = checkpoint.images_directory();
        let name = &*member.name;
        let in_images = match name.strip_prefix(directory) {
            Some(rest) if directory.is_empty() => Some(rest),
            Some(rest) => rest.strip_prefix(b"/"),
            None => None,
        };
        // Where the images lie at the top, everything else does too.
        match in_images.filter(|rest| !rest.contains(&b'/')).map(|rest| (rest, of_image(rest))) {
            Some((rest, Self::Other)) => of_top(rest),
            Some((_, purpose)) => purpose,
            None => of_top(name),
        }
    }
}

fn of_image(name: &[u8]) -> Purpose {
    let is = |prefix: &str| name.starts_with(prefix.as_bytes());
    if !name.ends_with(b".img") {
        Purpose::Other
    } else if is("pages-") {
        Purpose::MemoryPages
    } else if is("amdgpu-pages-") || is("amdgpu-drm-pages-") {
        Purpose::GpuPages
    } else if is("ghost-file-") {
        Purpose::GhostFiles
    } else if is("tmpfs-") || is("devtmpfs-") {
        Purpose::Tmpfs
    } else {
        Purpose::Images
    }
}

fn of_top(name: &[u8]) -> Purpose {
    let is_image = |name: &[u8]| name.ends_with(b".img") || spec_by_file_name(name).is_some();
    // runc and Docker may have a directory of their own for what CRIU writes beside the images.
    match last(name) {
        b"rootfs-diff.tar" => Purpose::RootfsDiff,
        b"devshm-checkpoint.tar" => Purpose::DevShm,
        b"config.dump" | b"spec.dump" | b"network.status" | b"status" | b"status.dump" | b"bind.mounts"
        | b"deleted.files" | b"descriptors.json" | b"stats-dump" | b"stats-restore" | b"pod.options"
        | b"pod.dump" | b"config.json" => Purpose::Descriptions,
        b"container.log" | b"ctr.log" | b"io.kubernetes.cri-o.LogPath" => Purpose::Logs,
        _ if name.ends_with(b".log") => Purpose::Logs,
        _ if name.starts_with(b"volumes/") => Purpose::Volumes,
        _ if name.starts_with(b"artifacts/") => Purpose::Artifacts,
        _ if name.starts_with(b"pre-checkpoint/") => Purpose::ParentImages,
        file if is_image(file) && name.contains(&b'/') => Purpose::ParentImages,
        file if is_image(file) => Purpose::Images,
        _ => Purpose::Other,
    }
}

fn last(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Members of one purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Size {
    /// What they are for.
    pub purpose: Purpose,
    /// Number of files.
    pub files: u64,
    /// Size of all of them, as they are stored uncompressed.
    pub size_bytes: u64,
}

/// Sizes of all files of a checkpoint by purpose, those without files left out.
pub fn sizes(checkpoint: &Checkpoint) -> Vec<Size> {
    let mut all: std::collections::BTreeMap<Purpose, (u64, u64)> = std::collections::BTreeMap::new();
    for member in files(checkpoint) {
        let (files, size) = all.entry(Purpose::of(checkpoint, member)).or_default();
        *files += 1;
        *size = size.saturating_add(member.size_bytes);
    }
    all.into_iter().map(|(purpose, (files, size_bytes))| Size { purpose, files, size_bytes }).collect()
}

/// Size of all files in the directory of the images: what checkpointctl calls the size of a checkpoint.
pub fn images_bytes(checkpoint: &Checkpoint) -> u64 {
    let below = joined(checkpoint.images_directory(), b"");
    let images = files(checkpoint).filter(|member| member.name.starts_with(&below));
    images.fold(0, |sum, member| sum.saturating_add(member.size_bytes))
}

fn files(checkpoint: &Checkpoint) -> impl Iterator<Item = &Member> {
    checkpoint.archive().current().filter(|member| member.kind == EntryKind::File)
}
