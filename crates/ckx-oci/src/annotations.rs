//! Annotations: what engines recognise a checkpoint image by, and what people want to know of one.

use crate::facts::Facts;
use crate::image::Annotations;

/// A row of [`ANNOTATIONS`].
pub struct Annotation {
    /// Key on the manifest.
    pub key: &'static str,
    /// What it tells, in a line.
    pub about: &'static str,
    /// Its value; `None` when the checkpoint does not tell, and then there is no annotation.
    pub value: fn(&Facts) -> Option<String>,
}

/// The key that makes CRI-O restore an image.
pub const CRIO_KEY: &str = "io.kubernetes.cri-o.annotations.checkpoint.name";
/// The key that makes Podman restore an image.
pub const PODMAN_KEY: &str = "io.podman.annotations.checkpoint.runtime.name";
/// The key that makes containerd restore an image.
pub const CONTAINERD_KEY: &str = "org.criu.checkpoint.container.name";

/// Keys by which engines recognise a checkpoint image.
pub const RECOGNITION: &[&str] = &[CRIO_KEY, PODMAN_KEY, CONTAINERD_KEY];

macro_rules! annotations {
    ($($key:literal, $about:literal, $value:expr;)*) => {
        /// All annotations. Their order is that of `--list-annotations`.
        pub const ANNOTATIONS: &[Annotation] =
            &[$(Annotation { key: $key, about: $about, value: $value },)*];
    };
}

annotations! {
    "io.kubernetes.cri-o.annotations.checkpoint.name",
        "name of the container; CRI-O restores images that have it", Facts::container_name;
    "io.kubernetes.cri-o.annotations.checkpoint.rawImageName",
        "base image as its user named it", Facts::base_requested;
    "io.kubernetes.cri-o.annotations.checkpoint.rootfsImageID",
        "id of the base image", Facts::base_id;
    "io.kubernetes.cri-o.annotations.checkpoint.rootfsImageName",
        "name of the base image", Facts::base_name;
    "io.kubernetes.cri-o.annotations.checkpoint.criu.version",
        "version of CRIU as one number", Facts::criu_version;
    "io.podman.annotations.checkpoint.runtime.name",
        "OCI runtime; Podman restores images whose runtime is its own", Facts::runtime;
    "io.podman.annotations.checkpoint.name",
        "name of the container", Facts::container_name;
    "io.podman.annotations.checkpoint.rawImageName",
        "base image as its user named it", |facts| facts.config("RawImageName").or_else(|| facts.base_requested());
    "io.podman.annotations.checkpoint.rootfsImageID",
        "id of the base image", Facts::base_id;
    "io.podman.annotations.checkpoint.rootfsImageName",
        "name of the base image", Facts::base_name;
    "io.podman.annotations.checkpoint.criu.version",
        "version of CRIU as one number", Facts::criu_version;
    "io.podman.annotations.checkpoint.host.arch",
        "architecture of the machine", |facts| facts.architecture.map(str::to_owned);
    "io.podman.annotations.checkpoint.host.kernel",
        "release of the kernel", Facts::kernel;
    "org.criu.checkpoint.container.name",
        "name of the container; containerd restores images that have it", Facts::container_name;
    "org.criu.checkpoint.engine.name",
        "engine that took the checkpoint", |facts| facts.engine.map(|engine| engine.name().to_owned());
    "org.criu.checkpoint.pod.name",
        "name of the pod", Facts::pod_name;
    "org.criu.checkpoint.pod.namespace",
        "namespace of the pod", Facts::pod_namespace;
    "org.criu.checkpoint.pod.id",
        "UID of the pod", Facts::pod_uid;
    "org.criu.checkpoint.pod.uid",
        "UID of the pod, under its newer name", Facts::pod_uid;
    "org.criu.checkpoint.rootfsImageName",
        "name of the base image", Facts::base_name;
    "org.criu.checkpoint.rootfsImageUserRequested",
        "base image as its user named it", Facts::base_requested;
    "org.criu.checkpoint.rawImageName",
        "base image as it was typed", |facts| facts.config("RawImageName");
    "org.criu.checkpoint.rootfsImageID",
        "id of the base image", Facts::base_id;
    "org.criu.checkpoint.rootfsImageSha",
        "digest of the base image in its registry", Facts::base_digest;
    "org.criu.checkpoint.runtime.name",
        "OCI runtime", Facts::runtime;
    "org.criu.checkpoint.criu.version",
        "version of CRIU as one number", Facts::criu_version;
    "org.criu.checkpoint.host.arch",
        "architecture of the machine", |facts| facts.architecture.map(str::to_owned);
    "org.criu.checkpoint.host.kernel",
        "release of the kernel", Facts::kernel;
    "org.opencontainers.image.created",
        "when the checkpoint was taken", Facts::checkpointed;
    "org.opencontainers.image.title",
        "what the image is", |facts| Some(format!("checkpoint of {}", facts.container_name()?));
    "org.opencontainers.image.base.name",
        "base image, to be pulled before", Facts::base_name;
    "org.opencontainers.image.base.digest",
        "digest of the base image in its registry", Facts::base_digest;
}

/// The annotations of a checkpoint: those whose value is known.
pub fn annotations(facts: &Facts) -> Annotations {
    ANNOTATIONS.iter().filter_map(|row| Some((row.key.to_owned(), (row.value)(facts)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_unique_and_nothing_is_said_of_nothing() {
        let keys: BTreeSet<_> = ANNOTATIONS.iter().map(|row| row.key).collect();
        assert_eq!(keys.len(), ANNOTATIONS.len());
        assert!(RECOGNITION.iter().all(|key| keys.contains(key)));
        assert_eq!(annotations(&Facts::default()), Annotations::new());
    }
}
