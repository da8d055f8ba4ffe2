//! A pod that restores an image: what Kubernetes has to be told, as far as a checkpoint tells it.
//!
//! # Folklore
//!
//! CRI-O of 2024 and later refuses a restore unless the pod declares every mount that the container had, but
//! for those that each container has. What the kubelet adds by itself (`/etc/hosts`, the termination log, the
//! token of the service account) is there without being declared. Which config map or claim was behind a
//! volume is nowhere in a checkpoint: only the name that the volume had in its pod is, as a part of a path.

use std::collections::BTreeMap;

use ckx_core::Checkpoint;
use serde::Serialize;
use serde_json::{Value, json};

use crate::facts::{Engine, Facts, text};

/// A pod manifest, and what people have to know before they use it.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The manifest.
    pub pod: Pod,
    /// Mounts that the pod has to declare.
    pub mounts: Vec<Mount>,
    /// What else is to be known or done.
    pub notes: Vec<String>,
}

/// A mount of the container that a pod has to declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is in the container.
    pub path: String,
    /// What is known of the volume behind it.
    pub about: String,
    /// Whether a part of the manifest has to be filled in.
    pub is_open: bool,
}

/// A pod, as the API of Kubernetes writes it. Text is of the checkpoint, unescaped.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Clone, Serialize)]
struct Metadata {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    node_selector: BTreeMap<&'static str, String>,
    containers: Vec<Container>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<Volume>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    image: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volume_mounts: Vec<VolumeMount>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct VolumeMount {
    name: String,
    mount_path: String,
    #[serde(skip_serializing_if = "is_false")]
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_propagation: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
struct Volume {
    name: String,
    #[serde(flatten)]
    source: BTreeMap<&'static str, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Mounts that each container has: engines make them, and do not ask for them.
const OF_ENGINES: [&str; 13] = [
    "/proc",
    "/dev",
    "/dev/pts",
    "/dev/mqueue",
    "/sys",
    "/sys/fs/cgroup",
    "/dev/shm",
    "/etc/resolv.conf",
    "/etc/hostname",
    "/etc/passwd",
    "/etc/group",
    "/run/secrets",
    "/run/.containerenv",
];

/// Mounts that the kubelet adds to each container.
const OF_KUBELET: [&str; 3] = [
    "/etc/hosts",
    "/var/run/secrets/kubernetes.io/serviceaccount",
    "/run/secrets/kubernetes.io/serviceaccount",
];

/// The key under which engines keep where the kubelet has its termination log.
const TERMINATION_LOG: &str = "io.kubernetes.container.terminationMessagePath";

/// Mounts that are told. Pods have tens.
const MAX_MOUNTS: usize = 1000;

/// The pod that restores `image`, the name of an image of this checkpoint.
pub fn restore(checkpoint: &Checkpoint, image: &str) -> Restore {
    let facts = Facts::of(checkpoint);
    let mut volumes = Volumes::default();
    let termination_log =
        facts.annotation(TERMINATION_LOG).unwrap_or_else(|| "/dev/termination-log".to_owned());
    let list = facts.spec.get("mounts").and_then(Value::as_array).into_iter().flatten();
    for mount in list.take(MAX_MOUNTS) {
        let Some(path) = mount.get("destination").and_then(text) else { continue };
        let is_given = OF_ENGINES.contains(&path.as_str())
            || OF_KUBELET.contains(&path.as_str())
            || path == termination_log;
        if !is_given {
            volumes.add(path, mount);
        }
    }
    let name = facts.container_name().filter(|name| is_label(name));
    let pod_name = facts.pod_name().filter(|name| is_name(name));
    let container = Container {
        name: name.clone().unwrap_or_else(|| "restored".to_owned()),
        image: image.to_owned(),
        volume_mounts: volumes.mounts,
    };
    let pod = Pod {
        api_version: "v1",
        kind: "Pod",
        metadata: Metadata {
            name: pod_name.or(name).unwrap_or_else(|| "restored".to_owned()),
            namespace: facts.pod_namespace().filter(|name| is_label(name)),
        },
        spec: Spec {
            node_selector: facts
                .architecture
                .map(|arch| ("kubernetes.io/arch", arch.to_owned()))
                .into_iter()
                .collect(),
            containers: vec![container],
            volumes: volumes.list,
        },
    };
    Restore { pod, mounts: volumes.told, notes: notes(&facts) }
}

fn notes(facts: &Facts) -> Vec<String> {
    let mut notes = vec![
        "the pod that was checkpointed must be gone, or this one must have another name".to_owned(),
        "the node needs CRIU and a kernel and processor that can do what the old ones could".to_owned(),
    ];
    let base = facts.base_name().unwrap_or_else(|| "of the container".to_owned());
    match facts.engine {
        Some(Engine::CriO) => {
            let id = facts.base_id().map(|id| format!(", with the id {id}")).unwrap_or_default();
            notes.push(format!("CRI-O does not pull the base image {base}: it must be on the node{id}"));
        }
        Some(Engine::Containerd) => {
            notes.push(format!(
                "containerd 2.1 to 2.3 pulls the base image {base} if need be, without credentials"
            ));
            notes.push(
                "containerd needs enable_experimental_restore_via_create = true from 2.2.7 and 2.3.4 on"
                    .to_owned(),
            );
            if facts.base_reference().is_some_and(|reference| !reference.contains('@')) {
                notes.push(
                    "the checkpoint names its base image by an id, which containerd cannot pull: pull it before"
                        .to_owned(),
                );
            }
        }
        Some(Engine::Podman) => {
            notes.push(
                "the checkpoint is Podman's: engines of Kubernetes do not restore it as it is".to_owned(),
            );
        }
        None => {
            notes.push("the checkpoint does not say which engine took it: no other restores it".to_owned())
        }
    }
    notes
}

/// Volumes of the pod, as they are found.
#[derive(Default)]
struct Volumes {
    list: Vec<Volume>,
    mounts: Vec<VolumeMount>,
    told: Vec<Mount>,
}

impl Volumes {
    fn add(&mut self, path: String, mount: &Value) {
        let options: Vec<&str> = mount
            .get("options")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let origin = mount.get("source").and_then(text).unwrap_or_default();
        let kind = mount.get("type").and_then(Value::as_str).unwrap_or_default();
        let is_bind = kind == "bind" || options.iter().any(|option| matches!(*option, "bind" | "rbind"));
        let behind = if is_bind { behind(&origin) } else { not_bound(kind) };
        let name = self.name(behind.name.as_deref(), behind.source.as_ref());
        if let Some((key, fields)) = behind.source {
            let propagation = options.iter().find_map(|option| match *option {
                "rslave" => Some("HostToContainer"),
                "rshared" => Some("Bidirectional"),
                _ => None,
            });
            self.mounts.push(VolumeMount {
                name: name.clone(),
                mount_path: path.clone(),
                read_only: options.contains(&"ro"),
                mount_propagation: propagation,
            });
            let volume = Volume { name, source: BTreeMap::from([(key, fields)]) };
            if !self.list.iter().any(|other| other.name == volume.name) {
                self.list.push(volume);
            }
        }
        self.told.push(Mount { path, about: behind.about, is_open: behind.is_open });
    }

    /// A name for a volume: that of a volume with the same source, or one that is free.
    fn name(&self, wanted: Option<&str>, source: Option<&Source>) -> String {
        let free = |name: &String| {
            let taken = self.list.iter().find(|volume| volume.name == *name);
            taken.is_none_or(|volume| {
                source.is_some_and(|(key, fields)| volume.source.get(key) == Some(fields))
            })
        };
        let wanted = wanted.filter(|name| is_label(name)).unwrap_or("volume").to_owned();
        let numbered = (2..=MAX_MOUNTS + 2).map(|number| format!("{wanted}-{number}"));
        std::iter::once(wanted.clone()).chain(numbered).find(free).unwrap_or(wanted)
    }
}

/// The key of a kind of volume, and its fields.
type Source = (&'static str, Value);

/// What is behind a mount.
struct Behind {
    /// Name of the volume in its pod.
    name: Option<String>,
    source: Option<Source>,
    about: String,
    is_open: bool,
}

/// Parts of a path under which the kubelet keeps volumes of a pod.
const VOLUMES: &str = "/volumes/kubernetes.io~";
const SUBPATHS: &str = "/volume-subpaths/";

fn behind(origin: &str) -> Behind {
    if let Some((kind, name)) = origin.split_once(VOLUMES).and_then(|(_, rest)| rest.split_once('/')) {
        let name = name.split('/').next().unwrap_or_default().to_owned();
        return of_kubelet(kind, name);
    }
    if let Some((_, rest)) = origin.split_once(SUBPATHS).filter(|(pod, _)| pod.contains("/pods/")) {
        let name = rest.split('/').next().unwrap_or_default().to_owned();
        let about = format!("a part of the volume `{name}`; which volume and which part is to be filled in");
        return Behind {
            source: Some(("persistentVolumeClaim", open("claimName"))),
            name: Some(name),
            about,
            is_open: true,
        };
    }
    let path = json!({ "path": origin });
    let about = format!("`{origin}` of the old node; the new one must have it too");
    Behind { name: None, source: Some(("hostPath", path)), about, is_open: false }
}

fn of_kubelet(kind: &str, name: String) -> Behind {
    let to_fill = |what: &str, source: Source| Behind {
        about: format!("the volume `{name}`, {what}; which one is to be filled in"),
        name: Some(name.clone()),
        source: Some(source),
        is_open: true,
    };
    match kind {
        "empty-dir" => Behind {
            about: format!("the volume `{name}`, an empty directory; what was in it does not come along"),
            name: Some(name),
            source: Some(("emptyDir", json!({}))),
            is_open: false,
        },
        "configmap" => to_fill("a config map", ("configMap", open("name"))),
        "secret" => to_fill("a secret", ("secret", open("secretName"))),
        "projected" => to_fill(
            "projected of config maps, secrets or tokens",
            ("projected", json!({ "sources": [{ "configMap": open("name") }] })),
        ),
        "downward-api" => to_fill("fields of the pod", ("downwardAPI", json!({ "items": [] }))),
        other => to_fill(&format!("of the kind {other}"), ("persistentVolumeClaim", open("claimName"))),
    }
}

fn not_bound(kind: &str) -> Behind {
    if kind == "tmpfs" {
        let memory = json!({ "medium": "Memory" });
        let about = "a file system in memory".to_owned();
        return Behind { name: None, source: Some(("emptyDir", memory)), about, is_open: false };
    }
    let about = format!("a file system of type `{kind}`, which a pod cannot declare");
    Behind { name: None, source: None, about, is_open: true }
}

/// A field without a value: the server refuses it until it is filled in.
fn open(field: &'static str) -> Value {
    json!({ field: "" })
}

/// Whether Kubernetes takes a word as the name of a container, a volume or a namespace.
fn is_label(name: &str) -> bool {
    name.len() <= 63 && !name.contains('.') && is_name(name)
}

/// Whether Kubernetes takes a word as the name of a pod.
fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= 253
        && bytes.first().copied().is_some_and(is_inner)
        && bytes.last().copied().is_some_and(is_inner)
        && bytes.iter().all(|byte| is_inner(*byte) || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volumes(mounts: &[(&str, &str, &str)]) -> Volumes {
        let mut volumes = Volumes::default();
        for (path, origin, option) in mounts {
            let mount = json!({"type": "bind", "source": origin, "options": ["rbind", option]});
            volumes.add((*path).to_owned(), &mount);
        }
        volumes
    }

    #[test]
    fn volumes_are_told_by_the_paths_of_the_kubelet() {
        let pod = "/var/lib/kubelet/pods/1111";
        let found = volumes(&[
            ("/cache", &format!("{pod}/volumes/kubernetes.io~empty-dir/cache"), "rw"),
            ("/etc/app", &format!("{pod}/volumes/kubernetes.io~configmap/settings/..data"), "ro"),
            ("/token", &format!("{pod}/volumes/kubernetes.io~projected/token"), "ro"),
            ("/data", &format!("{pod}/volumes/kubernetes.io~csi/pvc-1/mount"), "rw"),
            ("/host", "/srv/data", "rslave"),
            ("/host2", "/srv/other", "rw"),
        ]);
        let text = serde_json::to_value(&found.list).unwrap();
        assert_eq!(
            text,
            json!([
                {"name": "cache", "emptyDir": {}},
                {"name": "settings", "configMap": {"name": ""}},
                {"name": "token", "projected": {"sources": [{"configMap": {"name": ""}}]}},
                {"name": "pvc-1", "persistentVolumeClaim": {"claimName": ""}},
                {"name": "volume", "hostPath": {"path": "/srv/data"}},
                {"name": "volume-2", "hostPath": {"path": "/srv/other"}},
            ])
        );
        let open: Vec<bool> = found.told.iter().map(|mount| mount.is_open).collect();
        assert_eq!(open, [false, true, true, true, false, false]);
        assert!(found.mounts[1].read_only && !found.mounts[0].read_only);
        assert_eq!(found.mounts[4].mount_propagation, Some("HostToContainer"));
    }

    #[test]
    fn names_that_kubernetes_refuses_are_not_used() {
        assert!(is_label("web-1") && is_name("web.1"));
        for bad in ["", "-a", "a-", "A", "a_b", "a\nb", "a: b", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad:?}");
        }
        let found = volumes(&[("/a", "/pods/1/volumes/kubernetes.io~empty-dir/A\nb", "rw")]);
        assert_eq!(found.list[0].name, "volume");
    }
}
