//! Changes on the way: what is left out, what a container is called, what it gets from its environment, and
//! which engine it is for. Each is told in the plan.

mod base_image;
mod containerd;
mod crio;
mod documents;
mod engine;
mod leave_out;
mod object;
mod rootfs;

use serde_json::{Value, json};

use self::documents::Documents;
use crate::Error;
use crate::facts::{Engine, Facts};
use crate::plan::Plan;
use crate::repack::Warning;

/// What is to be otherwise than in the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Engine that the output is for.
    pub engine: Option<Engine>,
    /// Base image, in the form in which that engine refers to it.
    pub base_image: Option<String>,
    /// Environment variables that are set in the specification.
    pub env: Vec<(String, String)>,
    /// Another name of the container.
    pub rename: Option<String>,
    /// Members that are left out.
    pub drop: Vec<String>,
}

/// Makes the changes in a plan, and in what is known of the checkpoint. Tells what may keep an engine from
/// restoring the result.
///
/// # Errors
/// [`Error::Refused`] for what cannot be done with this checkpoint.
pub(crate) fn apply(
    plan: &mut Plan,
    facts: &mut Facts,
    images: &[u8],
    edits: &Edits,
) -> Result<Vec<Warning>, Error> {
    for member in &edits.drop {
        leave_out::apply(plan, images, member)?;
    }
    let mut documents = Documents::default();
    if !edits.env.is_empty() {
        set_env(plan, &mut documents, &edits.env)?;
    }
    if let Some(name) = &edits.rename {
        rename(plan, &mut documents, facts, name)?;
    }
    if let Some(engine) = edits.engine {
        engine::translate(plan, &mut documents, facts, engine, edits.base_image.as_deref())?;
    }
    documents.put(plan, facts);
    if let Some(engine) = edits.engine {
        engine::refuse_without(plan, facts, engine)?;
    }
    Ok(engine::needs(plan, facts, edits.engine.or(facts.engine)))
}

/// Sets variables in the environment of the specification.
fn set_env(plan: &mut Plan, documents: &mut Documents, set: &[(String, String)]) -> Result<(), Error> {
    let spec = documents.open(plan, "spec.dump")?;
    let mut process = spec.object("process");
    let mut env: Vec<Value> = process.get("env").and_then(|env| env.as_array().cloned()).unwrap_or_default();
    for (name, value) in set {
        let has_name = |entry: &Value| {
            entry.as_str().and_then(|text| text.split_once('=')).is_some_and(|(known, _)| known == name)
        };
        let line = Value::from(format!("{name}={value}"));
        let place = env.iter().position(has_name);
        // Of several entries the last one counts: with one left, nobody has to know that.
        let mut at = 0;
        env.retain(|entry| {
            at += 1;
            Some(at - 1) == place || !has_name(entry)
        });
        match place.and_then(|place| env.get_mut(place)) {
            Some(entry) => *entry = line,
            None => env.push(line),
        }
        let detail = format!(
            "environment variable {name}, for what is started after the restore; processes that run keep what is in their memory"
        );
        plan.note(b"spec.dump", "rewritten", detail);
    }
    process.set("env", &env);
    spec.set("process", &process);
    Ok(())
}

/// Keys of annotations and labels that hold the name of the container.
const NAME_KEYS: [&str; 2] = ["io.kubernetes.container.name", "io.kubernetes.cri.container-name"];

/// Gives the container another name, wherever its engine has written the old one.
fn rename(plan: &mut Plan, documents: &mut Documents, facts: &Facts, name: &str) -> Result<(), Error> {
    if !is_container_name(name) {
        return Err(Error::refused(format!("`{name}` cannot be the name of a container"))
            .hinted("names have letters, digits, `_`, `.` and `-`, and begin with a letter or a digit"));
    }
    let Some(old) = facts.container_name() else {
        return Err(Error::refused("the checkpoint does not tell the name of its container"));
    };
    let config = documents.open(plan, "config.dump")?;
    if let Some(told) = facts.config("name")
        && let Some(new) = renamed(&told, &old, name)
    {
        config.set("name", &new);
        plan.note(b"config.dump", "rewritten", format!("name of the container, {told} before"));
    }
    rename_in_annotations(plan, documents, &old, name)?;
    if plan.get(b"status.dump").is_some() {
        let status = documents.open(plan, "status.dump")?;
        let mut metadata = status.object("metadata");
        metadata.set("name", &name);
        status.set("metadata", &metadata);
        let mut labels = status.object("labels");
        if labels.get(NAME_KEYS[0]).is_some() {
            labels.set(NAME_KEYS[0], &name);
            status.set("labels", &labels);
        }
        plan.note(b"status.dump", "rewritten", format!("name of the container, {old} before"));
    }
    Ok(())
}

fn rename_in_annotations(
    plan: &mut Plan,
    documents: &mut Documents,
    old: &str,
    name: &str,
) -> Result<(), Error> {
    let spec = documents.open(plan, "spec.dump")?;
    let mut annotations = spec.object("annotations");
    let mut is_changed = false;
    for key in NAME_KEYS {
        if annotations.get(key).is_some() {
            annotations.set(key, &name);
            is_changed = true;
        }
    }
    // CRI-O has documents in annotations.
    for (key, inner) in [(crio::LABELS, NAME_KEYS[0]), (crio::METADATA, "name")] {
        let told = annotations.get(key).and_then(|text| text.as_str().map(str::to_owned));
        let Some(mut object) = told.and_then(|text| object::Object::parse(text.as_bytes()).ok()) else {
            continue;
        };
        if object.get(inner).is_some() {
            object.set(inner, &name);
            annotations.set(key, &String::from_utf8_lossy(&object.to_bytes()));
            is_changed = true;
        }
    }
    if is_changed {
        spec.set("annotations", &annotations);
        plan.note(b"spec.dump", "rewritten", format!("name of the container, {old} before"));
    }
    Ok(())
}

/// The new name of a container whose name may stand among other words, as those of pods do.
fn renamed(told: &str, old: &str, new: &str) -> Option<String> {
    let (before, rest) = match told.strip_prefix("k8s_") {
        Some(rest) => ("k8s_", rest),
        None => ("", told),
    };
    let rest = rest.strip_prefix(old)?;
    (rest.is_empty() || rest.starts_with('_')).then(|| format!("{before}{new}{rest}"))
}

/// What Podman and Kubernetes both take, and some that only Podman does.
fn is_container_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// A text that holds a document.
fn nested(value: &Value) -> Value {
    json!(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_containers_stand_among_others() {
        assert_eq!(renamed("web", "web", "x").as_deref(), Some("x"));
        assert_eq!(renamed("k8s_web_pod_ns_uid_0", "web", "x").as_deref(), Some("k8s_x_pod_ns_uid_0"));
        assert_eq!(renamed("web_pod_ns_uid_0", "web", "x").as_deref(), Some("x_pod_ns_uid_0"));
        assert_eq!(renamed("website", "web", "x"), None);
        assert!(is_container_name("a.b-c_1") && !is_container_name("-a") && !is_container_name("a b"));
    }
}
