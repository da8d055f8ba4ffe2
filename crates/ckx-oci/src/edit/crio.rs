//! Checkpoints for CRI-O.

use serde_json::Value;

use super::documents::Documents;
use super::object::Object;
use super::{base_image, nested, rootfs};
use crate::Error;
use crate::facts::{Facts, is_id};
use crate::plan::Plan;
use crate::repack::Warning;

/// Annotations of the pod as a document; without it nothing is restored.
pub(super) const ANNOTATIONS: &str = "io.kubernetes.cri-o.Annotations";
/// Labels as a document. CRI-O before 1.29 needs it.
pub(super) const LABELS: &str = "io.kubernetes.cri-o.Labels";
/// Name and attempt as a document. CRI-O before 1.29 needs it.
pub(super) const METADATA: &str = "io.kubernetes.cri-o.Metadata";
/// Where the log was; the member of this name is the log.
pub(super) const LOG_PATH: &str = "io.kubernetes.cri-o.LogPath";
/// Log of the container in a checkpoint of containerd.
pub(super) const CONTAINERD_LOG: &[u8] = b"container.log";
/// Who made a container.
pub(super) const MANAGER: &str = "io.container.manager";

/// Makes a checkpoint of containerd one of CRI-O.
pub(super) fn of_containerd(plan: &mut Plan, documents: &mut Documents, facts: &Facts) -> Result<(), Error> {
    let status = &facts.status;
    if !status.is_object() {
        return Err(Error::refused(
            "status.dump is missing or unreadable: the annotations that CRI-O needs are only there",
        ));
    }
    let spec = documents.open(plan, "spec.dump")?;
    let mut annotations = spec.object("annotations");
    let empty = || Value::Object(serde_json::Map::new());
    for (key, told) in [(ANNOTATIONS, "annotations"), (LABELS, "labels"), (METADATA, "metadata")] {
        let value = status.get(told).filter(|value| value.is_object()).cloned().unwrap_or_else(empty);
        annotations.set(key, &nested(&value));
    }
    annotations.set(MANAGER, &"cri-o");
    if let Some(path) = status.get("log_path").filter(|path| path.is_string()) {
        annotations.set(LOG_PATH, path);
    }
    name_pod(&mut annotations, facts);
    spec.set("annotations", &annotations);
    plan.note(b"spec.dump", "rewritten", "annotations of CRI-O, from status.dump");
    rootfs::list_deleted(plan)?;
    if let Some(log) = plan.remove(CONTAINERD_LOG) {
        plan.put(LOG_PATH.as_bytes(), log);
        plan.note(LOG_PATH.as_bytes(), "renamed", "from container.log");
    }
    Ok(())
}

/// Annotations by which tools find the pod.
fn name_pod(annotations: &mut Object, facts: &Facts) {
    let known = [
        ("io.kubernetes.container.name", facts.container_name()),
        ("io.kubernetes.pod.name", facts.pod_name()),
        ("io.kubernetes.pod.namespace", facts.pod_namespace()),
        ("io.kubernetes.pod.uid", facts.pod_uid()),
        ("io.kubernetes.cri-o.ImageName", facts.base_name()),
        ("io.kubernetes.cri-o.ImageRef", base_image::id(facts)),
    ];
    for (key, value) in known {
        if let Some(value) = value {
            annotations.set(key, &value);
        }
    }
}

/// What CRI-O will miss.
pub(super) fn needs(facts: &Facts) -> Vec<Warning> {
    let mut found = Vec::new();
    let told = facts.annotation(ANNOTATIONS);
    let is_document =
        |text: &String| serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object());
    if facts.spec.is_object() && !told.as_ref().is_some_and(is_document) {
        found.push(Warning {
            code: "missing-annotation",
            reason: format!(
                "spec.dump has no annotation {ANNOTATIONS} with an object: CRI-O does not restore it"
            ),
        });
    }
    match facts.config("rootfsImageRef") {
        Some(reference) if !is_id(&reference) => found.push(Warning {
            code: "base-image",
            reason:
                "config.dump does not name the base image by its id: CRI-O 1.29 and later do not restore it"
                    .to_owned(),
        }),
        _ => {}
    }
    found
}
