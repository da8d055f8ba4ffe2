//! Checkpoints for containerd.

use serde_json::{Map, Value, json};

use super::documents::Documents;
use super::object::Object;
use super::{base_image, crio, rootfs};
use crate::Error;
use crate::facts::{Engine, Facts, text};
use crate::plan::Plan;
use crate::repack::Warning;

/// State of a container that runs, in the words of CRI.
const RUNNING: u64 = 1;

/// Makes a checkpoint of CRI-O one of containerd.
pub(super) fn of_crio(
    plan: &mut Plan,
    documents: &mut Documents,
    facts: &Facts,
    base: Option<&str>,
) -> Result<(), Error> {
    let reference = base_image::reference(facts, Engine::Containerd, base)?;
    documents.add("status.dump", status(facts, &reference)?);
    plan.note(b"status.dump", "added", "from the annotations that CRI-O wrote in spec.dump");
    let spec = documents.open(plan, "spec.dump")?;
    let mut annotations = spec.object("annotations");
    let known = [
        ("io.kubernetes.cri.container-name", facts.container_name()),
        ("io.kubernetes.cri.sandbox-name", facts.pod_name()),
        ("io.kubernetes.cri.sandbox-namespace", facts.pod_namespace()),
        ("io.kubernetes.cri.sandbox-uid", facts.pod_uid()),
        ("io.kubernetes.cri.image-name", facts.base_name()),
    ];
    for (key, value) in known {
        if let Some(value) = value {
            annotations.set(key, &value);
        }
    }
    // Who reads it would take what follows for a checkpoint of CRI-O.
    annotations.remove(crio::MANAGER);
    spec.set("annotations", &annotations);
    plan.note(b"spec.dump", "rewritten", "annotations of containerd");
    rootfs::mark_deleted(plan)?;
    if let Some(log) = plan.remove(crio::LOG_PATH.as_bytes()) {
        plan.put(crio::CONTAINERD_LOG, log);
        plan.note(crio::CONTAINERD_LOG, "renamed", format!("from {}", crio::LOG_PATH));
    }
    Ok(())
}

/// The status of the container as CRI has it.
fn status(facts: &Facts, reference: &str) -> Result<Object, Error> {
    let document = |key: &str| -> Result<Map<String, Value>, Error> {
        let Some(text) = facts.annotation(key) else { return Ok(Map::new()) };
        serde_json::from_str(&text)
            .map_err(|error| Error::refused(format!("annotation {key} in spec.dump is no object: {error}")))
    };
    let mut metadata = document(crio::METADATA)?;
    if let Some(name) = facts.container_name() {
        metadata.insert("name".to_owned(), json!(name));
    }
    let mut status = Object::default();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            status.set(key, &value);
        }
    };
    set("id", json!(facts.config("id")));
    set("metadata", Value::Object(metadata));
    set("state", json!(RUNNING));
    set("created_at", json!(nanoseconds(facts, "createdTime")));
    set("image", json!({ "image": facts.base_name().unwrap_or_default() }));
    set("image_ref", json!(reference));
    set("labels", Value::Object(document(crio::LABELS)?));
    set("annotations", Value::Object(document(crio::ANNOTATIONS)?));
    set("mounts", mounts(facts));
    set("log_path", json!(facts.annotation(crio::LOG_PATH)));
    set("image_id", json!(base_image::id(facts).map(|id| format!("sha256:{id}"))));
    Ok(status)
}

/// A time of `config.dump`, since 1970.
fn nanoseconds(facts: &Facts, key: &str) -> Option<i64> {
    let time: jiff::Timestamp = facts.config(key)?.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok().filter(|time| *time > 0)
}

/// The volumes that CRI-O was asked for.
fn mounts(facts: &Facts) -> Value {
    let told = facts.annotation("io.kubernetes.cri-o.Volumes");
    let volumes: Vec<Value> = told.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let mount = |volume: &Value| {
        let mut mount = Map::new();
        for key in ["container_path", "host_path"] {
            mount.insert(key.to_owned(), json!(text(volume.get(key)?)?));
        }
        if volume.get("readonly").and_then(Value::as_bool) == Some(true) {
            mount.insert("readonly".to_owned(), json!(true));
        }
        Some(Value::Object(mount))
    };
    let mounts: Vec<Value> = volumes.iter().filter_map(mount).collect();
    if mounts.is_empty() { Value::Null } else { Value::Array(mounts) }
}

/// What containerd will miss.
pub(super) fn needs(facts: &Facts) -> Vec<Warning> {
    let reference = facts.base_reference();
    if !facts.config.is_object() || reference.as_deref().is_some_and(base_image::is_pullable) {
        return Vec::new();
    }
    let reason = match reference {
        Some(_) => {
            "config.dump names the base image only by its id: containerd restores it only where that image is already"
        }
        None => "config.dump does not name the base image: containerd does not find it",
    };
    vec![Warning { code: "base-image", reason: reason.to_owned() }]
}
