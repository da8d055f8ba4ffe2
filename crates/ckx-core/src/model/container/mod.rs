//! The container: who it is and where it comes from, as its engine and the images tell.

mod documents;
mod engine;
mod machine;
mod names;
mod network;

use std::collections::BTreeMap;

use ckx_archive::tarball::EntryKind;
use ckx_criu::typed::messages::CgroupEntry;
use schemars::JsonSchema;
use serde::Serialize;

pub use documents::{Document, Documents};
pub use engine::Engine;
pub use network::Network;

use crate::load::Loader;
use crate::time::Time;
use crate::{Checkpoint, Issue, Name};

/// A container and its checkpoint. What no document tells is absent; where two documents disagree,
/// there is an issue, and the first of them counts.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Container {
    /// Who made the checkpoint.
    pub engine: Engine,
    /// What that was recognised by.
    pub engine_evidence: String,
    /// Id of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name of the container: in a pod that in the pod's specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name that the engine gives it, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// Host name in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Name>,
    /// The pod that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// The image that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<BaseImage>,
    /// Runtime: `runc`, `crun`, `io.containerd.runc.v2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// When the container was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// When the checkpoint was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpointed: Option<Time>,
    /// Where that time comes from: the engine, or the time at which an image was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpointed_by: Option<&'static str>,
    /// Whether it had been restored from a checkpoint before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_restored: Option<bool>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<Time>,
    /// How often the kubelet had restarted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_count: Option<u64>,
    /// Where its log was on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_path: Option<String>,
    /// Its cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// Networks that it was in.
    pub networks: Vec<Network>,
    /// Annotations.
    #[serde(skip)]
    pub annotations: BTreeMap<String, String>,
    /// Labels.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
    /// CRIU and the machine that it ran on.
    pub machine: Machine,
    /// What is missing, broken or contradictory.
    #[serde(skip)]
    pub issues: Vec<Issue>,
    /// The documents that this comes from.
    #[serde(skip)]
    pub documents: Documents,
}

/// A Kubernetes or Podman pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pod {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its UID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Id of its sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<String>,
}

/// The image that a container was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BaseImage {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name that the user asked for, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<String>,
    /// Its id, as the engine has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Names with digests under which registries have it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
}

/// CRIU and the machine that it ran on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Machine {
    /// Version of CRIU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criu_version: Option<String>,
    /// Where nothing tells the version: the release that first wrote a field of `inventory.img`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criu_at_least: Option<&'static str>,
    /// Commit that CRIU was built from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criu_git_id: Option<String>,
    /// Version of the layout of the images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub img_version: Option<u32>,
    /// Name of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Release of the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Architecture, as uname has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<&'static str>,
    /// Security module: `selinux`, `apparmor`, `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsm: Option<&'static str>,
}

impl Container {
    /// Reads what the documents and images tell.
    pub(crate) fn read(checkpoint: &Checkpoint) -> Self {
        let mut issues = Vec::new();
        let documents = Documents::read(checkpoint, &mut issues);
        let log = checkpoint.dump_log();
        let (engine, engine_evidence) = engine::engine(checkpoint, &documents, log);
        if engine.describes() && !checkpoint.is_pre_dump() {
            for (name, document) in [("spec.dump", &documents.spec), ("config.dump", &documents.config)] {
                if !document.is_there() && checkpoint.archive().get(name.as_bytes()).is_none() {
                    issues.push(Issue::missing(name));
                }
            }
        }
        let told = names::Told::read(engine, &documents, &mut issues);
        let (checkpointed, checkpointed_by) = checkpointed(checkpoint, &documents);
        let machine = machine::machine(checkpoint, log, &mut issues);
        let cgroup = documents
            .spec
            .text(&["linux", "cgroupsPath"])
            .or_else(|| cgroup_paths(checkpoint).into_iter().find(|path| path != "/"));
        let hostname = documents.spec.text(&["hostname"]).map(Name::from);
        Self {
            engine,
            engine_evidence,
            id: told.id,
            name: told.name,
            full_name: told.full_name,
            hostname: hostname.or_else(|| machine::nodename(checkpoint)),
            pod: told.pod,
            image: told.image,
            runtime: told.runtime.or_else(|| match engine {
                Engine::Runc => Some("runc".to_owned()),
                Engine::Crun => Some("crun".to_owned()),
                _ => None,
            }),
            created: told.created,
            started: told.started,
            checkpointed,
            checkpointed_by,
            is_restored: documents.config.flag(&["restored"]),
            restored: documents.config.text(&["restoredTime"]).as_deref().and_then(Time::parse),
            restart_count: told.restart_count,
            log_path: told.log_path,
            cgroup,
            networks: network::networks(&documents),
            annotations: documents.spec.map(&["annotations"]),
            labels: told.labels,
            machine,
            issues,
            documents,
        }
    }

    /// Addresses of the container, without the length of the network's prefix.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let all = self.networks.iter().flat_map(|network| &network.addresses);
        all.map(|address| address.split_once('/').map_or(address.as_str(), |(address, _)| address))
    }

    /// First digits of the id, as engines show it.
    pub fn short_id(&self) -> Option<&str> {
        let id = self.id.as_deref()?;
        Some(id.get(..12).unwrap_or(id))
    }
}

/// Time of the checkpoint, and where it is known from. Podman does not note it; CRIU writes the
/// inventory last.
fn checkpointed(checkpoint: &Checkpoint, documents: &Documents) -> (Option<Time>, Option<&'static str>) {
    if let Some(time) = documents.config.text(&["checkpointedTime"]).as_deref().and_then(Time::parse) {
        return (Some(time), Some("config.dump"));
    }
    let written = |name: &[u8]| {
        let member = checkpoint.image_member(name).filter(|member| member.kind == EntryKind::File)?;
        Time::from_seconds(member.mtime_s)
    };
    if let Some(time) = written(b"inventory.img") {
        return (Some(time), Some("time of inventory.img"));
    }
    match written(b"pstree.img") {
        Some(time) => (Some(time), Some("time of pstree.img")),
        None => (None, None),
    }
}

/// Paths of the cgroups that processes are in.
pub(super) fn cgroup_paths(checkpoint: &Checkpoint) -> Vec<String> {
    let mut loader = Loader::new(checkpoint);
    let records = loader.records_if_any::<CgroupEntry>("cgroup.img");
    let entries = records.map(|records| records.entries).unwrap_or_default();
    let members = entries.into_iter().flat_map(|entry| entry.sets).flat_map(|set| set.ctls);
    members.map(|member| String::from_utf8_lossy(&member.path).into_owned()).collect()
}
