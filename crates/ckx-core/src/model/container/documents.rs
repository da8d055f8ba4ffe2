//! The JSON documents that engines put beside the images.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Checkpoint, Issue};

/// Larger documents are told as broken: as values they would take many times their size in memory.
const MAX_DOCUMENT: u64 = 16 << 20;

/// A document; empty when it is not there or cannot be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    value: Option<Value>,
}

impl Document {
    /// Reads a member at the top of the archive. What is wrong goes to `issues`.
    pub(crate) fn read(checkpoint: &Checkpoint, name: &str, issues: &mut Vec<Issue>) -> Self {
        let member = checkpoint.archive().get(name.as_bytes());
        if let Some(member) = member.filter(|member| member.size_bytes > MAX_DOCUMENT) {
            let reason = format!("{} bytes are too many for a description", member.size_bytes);
            issues.push(Issue::new(name, "too-large", reason));
            return Self::default();
        }
        let value = checkpoint.json(name).unwrap_or_else(|issue| {
            issues.push(issue);
            None
        });
        Self { value }
    }

    /// Whether it is there, readable, and not `null`.
    pub fn is_there(&self) -> bool {
        self.value.as_ref().is_some_and(|value| !value.is_null())
    }

    /// The value at a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self.value.as_ref()?, |value, key| value.get(key))
    }

    /// The document at a path of keys as one of its own.
    pub fn part(&self, path: &[&str]) -> Self {
        Self { value: self.at(path).cloned() }
    }

    /// Text at a path of keys; `None` if it is empty.
    pub fn text(&self, path: &[&str]) -> Option<String> {
        self.at(path)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A number at a path of keys.
    pub fn number(&self, path: &[&str]) -> Option<u64> {
        self.at(path)?.as_u64()
    }

    /// A truth value at a path of keys.
    pub fn flag(&self, path: &[&str]) -> Option<bool> {
        self.at(path)?.as_bool()
    }

    /// Texts in a list at a path of keys. Other values in it are left out.
    pub fn texts(&self, path: &[&str]) -> Vec<String> {
        let list = self.at(path).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    /// An object of texts at a path of keys. Other values in it are written as JSON.
    pub fn map(&self, path: &[&str]) -> BTreeMap<String, String> {
        self.at(path).map(map_of).unwrap_or_default()
    }
}

/// An object as texts by key.
pub(crate) fn map_of(value: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// The documents of one checkpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Documents {
    /// `config.dump`: what the engine knows of the container.
    pub config: Document,
    /// `spec.dump`: the OCI runtime specification that it ran with. Where there is none, that in
    /// Podman's `config.dump` stands in, and then `config.json`, as a bundle of runc has it.
    pub spec: Document,
    /// `network.status` of Podman.
    pub network: Document,
    /// `status` of containerd.
    pub status: Document,
    /// `status.dump` of containerd: the container as the kubelet sees it.
    pub cri_status: Document,
    /// `pod.options` of a checkpoint of several containers.
    pub pod: Document,
}

impl Documents {
    /// Reads those that are there.
    pub(crate) fn read(checkpoint: &Checkpoint, issues: &mut Vec<Issue>) -> Self {
        let mut read = |name| Document::read(checkpoint, name, issues);
        let config = read("config.dump");
        let mut spec = read("spec.dump");
        if !spec.is_there() {
            spec = config.part(&["spec"]);
        }
        if !spec.is_there() {
            spec = read("config.json");
        }
        Self {
            config,
            spec,
            network: read("network.status"),
            status: read("status"),
            cri_status: read("status.dump"),
            pod: read("pod.options"),
        }
    }

    /// An annotation of the container, unless it is empty.
    pub fn annotation(&self, key: &str) -> Option<String> {
        self.spec.text(&["annotations", key])
    }
}
