//! A checkpoint in a line, for lists of many.

use schemars::JsonSchema;
use serde::Serialize;

use crate::load::Loader;
use crate::model::container::Engine;
use crate::model::{Purpose, images_bytes, sizes};
use crate::{Checkpoint, Name, Time};

/// What a list tells of a checkpoint. What nothing tells is absent.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Summary {
    /// Namespace of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Name of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Id of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// Who made the checkpoint.
    pub engine: Engine,
    /// The image that the container was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Addresses of the container.
    pub addresses: Vec<String>,
    /// When the container was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// When the checkpoint was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpointed: Option<Time>,
    /// Processes; absent when the tree cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Whether it is a pre-dump, which has pages of memory and no processes.
    #[serde(skip_serializing_if = "is_false")]
    pub is_pre_dump: bool,
    /// Size of the stored memory.
    pub memory_bytes: u64,
    /// Size of the images, uncompressed.
    pub checkpoint_size_bytes: u64,
    /// What is missing or broken, in a line each.
    pub faults: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Summary {
    /// Sums up a checkpoint. Only its descriptions and its process tree are looked at.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let container = checkpoint.container();
        let mut loader = Loader::new(checkpoint);
        let tree = crate::model::process::tree(checkpoint, &mut loader);
        let image = container.image.as_ref().and_then(|image| image.name.clone().or(image.requested.clone()));
        let memory = |size: &crate::model::Size| {
            matches!(size.purpose, Purpose::MemoryPages).then_some(size.size_bytes)
        };
        let faults = checkpoint.archive().faults().iter().map(crate::Issue::from);
        let told = faults.chain(loader.into_issues()).chain(container.issues.iter().cloned());
        Self {
            namespace: container.pod.as_ref().and_then(|pod| pod.namespace.clone()),
            pod: container.pod.as_ref().and_then(|pod| pod.name.clone()),
            container: container.name.clone(),
            container_id: container.id.clone(),
            engine: container.engine,
            image,
            addresses: container.addresses().map(str::to_owned).collect(),
            created: container.created,
            checkpointed: container.checkpointed,
            processes: tree.map(|entries| entries.len() as u64),
            is_pre_dump: checkpoint.is_pre_dump(),
            memory_bytes: sizes(checkpoint).iter().filter_map(memory).sum(),
            checkpoint_size_bytes: images_bytes(checkpoint),
            faults: told.map(|issue| issue.to_string()).collect(),
        }
    }

    /// What people call it: the name of the container, or the first digits of its id.
    pub fn name(&self) -> Option<Name> {
        let id = || self.container_id.as_ref().map(|id| id.get(..12).unwrap_or(id));
        self.container.as_deref().or_else(id).map(Name::from)
    }
}
