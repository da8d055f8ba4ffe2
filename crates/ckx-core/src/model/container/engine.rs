//! Which engine made a checkpoint, and by what one sees that.

use schemars::JsonSchema;
use serde::Serialize;

use super::documents::Documents;
use crate::Checkpoint;
use crate::model::DumpLog;

/// Makers of checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Podman.
    Podman,
    /// CRI-O.
    #[serde(rename = "cri-o")]
    CriO,
    /// containerd.
    Containerd,
    /// Docker.
    Docker,
    /// The runtime runc, called by itself or by an engine that left no trace.
    Runc,
    /// The runtime crun, called so.
    Crun,
    /// A runtime, runc or crun; nothing tells which, nor whether Docker called it.
    Runtime,
    /// CRIU called directly.
    Criu,
    /// A checkpoint of several containers of a pod.
    Pod,
    /// There is nothing to see it by.
    Unknown,
}

impl Engine {
    /// Its name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Podman => "Podman",
            Self::CriO => "CRI-O",
            Self::Containerd => "containerd",
            Self::Docker => "Docker",
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Runtime => "runc or crun",
            Self::Criu => "CRIU",
            Self::Pod => "pod",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it leaves a description of the container beside the images.
    pub fn describes(self) -> bool {
        matches!(self, Self::Podman | Self::CriO | Self::Containerd)
    }
}

/// Recognises the engine. The second is what it was recognised by.
pub(super) fn engine(checkpoint: &Checkpoint, documents: &Documents, log: &DumpLog) -> (Engine, String) {
    let has = |name: &str| checkpoint.archive().get(name.as_bytes()).is_some();
    if documents.pod.is_there() || has("pod.options") {
        return (Engine::Pod, "pod.options".to_owned());
    }
    if let Some(manager) = documents.annotation("io.container.manager") {
        let by = format!("io.container.manager = {manager}");
        match manager.as_str() {
            "libpod" => return (Engine::Podman, by),
            "cri-o" => return (Engine::CriO, by),
            _ => {}
        }
    }
    if documents.annotation("io.kubernetes.cri.container-type").is_some() {
        return (Engine::Containerd, "annotations io.kubernetes.cri.*".to_owned());
    }
    // The documents are missing or damaged; other members are named by one engine only.
    let marks: &[(&str, Engine)] = &[
        ("status.dump", Engine::Containerd),
        ("container.log", Engine::Containerd),
        ("network.status", Engine::Podman),
        ("ctr.log", Engine::Podman),
        ("devshm-checkpoint.tar", Engine::Podman),
        ("artifacts", Engine::Podman),
        ("pre-checkpoint", Engine::Podman),
        ("bind.mounts", Engine::CriO),
        ("io.kubernetes.cri-o.LogPath", Engine::CriO),
    ];
    if let Some((name, engine)) = marks.iter().find(|(name, _)| has(name)) {
        return (*engine, (*name).to_owned());
    }
    if has("spec.dump") && documents.spec.is_there() {
        return (Engine::Containerd, "spec.dump without io.container.manager".to_owned());
    }
    bare(checkpoint, log)
}

/// The maker of a bare directory of images.
fn bare(checkpoint: &Checkpoint, log: &DumpLog) -> (Engine, String) {
    if let Some(path) = docker_path(checkpoint) {
        return (Engine::Docker, path);
    }
    if let Some((file, name)) = log.settings.as_deref().and_then(|path| {
        let file = path.rsplit('/').next()?;
        Some((path, file.strip_suffix(".conf")?))
    }) {
        let by = format!("dump.log names {file}");
        match name {
            "runc" => return (Engine::Runc, by),
            "crun" => return (Engine::Crun, by),
            _ => {}
        }
    }
    if checkpoint.image_member(b"descriptors.json").is_some() {
        return (Engine::Runtime, "descriptors.json".to_owned());
    }
    if checkpoint.has_images() {
        return (Engine::Criu, "images without descriptors.json".to_owned());
    }
    (Engine::Unknown, "no description, no inventory.img".to_owned())
}

/// A path by which one sees Docker: its directory of checkpoints, or its cgroups.
fn docker_path(checkpoint: &Checkpoint) -> Option<String> {
    let path = checkpoint.archive().source().path.to_string_lossy().into_owned();
    if path.contains("/docker/containers/") && path.contains("/checkpoints/") {
        return Some("the place where it lies".to_owned());
    }
    super::cgroup_paths(checkpoint)
        .into_iter()
        .find(|path| path.starts_with("/docker/") || path.contains("/docker-"))
        .map(|path| format!("cgroup {path}"))
}
