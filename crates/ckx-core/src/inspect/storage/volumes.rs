//! `volumes`: named volumes that the engine put into the checkpoint.

use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::storage::{Tarball, members};
use crate::model::Purpose;
use crate::outline::{Cell, Outline};
use crate::{Checkpoint, Issue, Name};

/// Volumes with their content.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Volumes {
    /// Volumes, by name of the member.
    pub volumes: Vec<Volume>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A volume.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Volume {
    /// Its name.
    pub name: Name,
    /// Its files.
    #[serde(flatten)]
    pub content: Tarball,
}

impl Collect for Volumes {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut issues = Vec::new();
        let volumes = members(checkpoint, |name| name.starts_with(b"volumes/"))
            .into_iter()
            .filter(|member| Purpose::of(checkpoint, member) == Purpose::Volumes)
            .map(|member| {
                let name = member.file_name();
                let name = Name::from(name.strip_suffix(b".tar").unwrap_or(name));
                Volume { name, content: Tarball::read(checkpoint, member, &mut issues) }
            })
            .collect();
        Self { volumes, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for volume in &self.volumes {
            volume.content.outline(vec![Cell::from(&volume.name)], &mut outline);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}
