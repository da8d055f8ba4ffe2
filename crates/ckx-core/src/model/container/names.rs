//! Names, images and times of a container, each from the first document that tells it.

use std::collections::BTreeMap;

use super::documents::{Documents, map_of};
use super::{BaseImage, Engine, Pod};
use crate::Issue;
use crate::time::Time;

/// What the documents tell of a container.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub id: Option<String>,
    pub name: Option<String>,
    pub full_name: Option<String>,
    pub pod: Option<Pod>,
    pub image: Option<BaseImage>,
    pub runtime: Option<String>,
    pub created: Option<Time>,
    pub started: Option<Time>,
    pub restart_count: Option<u64>,
    pub log_path: Option<String>,
    pub labels: BTreeMap<String, String>,
}

impl Told {
    pub fn read(engine: Engine, documents: &Documents, issues: &mut Vec<Issue>) -> Self {
        let Documents { config, cri_status, .. } = documents;
        let note = |key: &str| documents.annotation(key);
        let mut agree = |what: &str, told: [(&str, Option<String>); 3]| agreed(what, told, issues);
        let id = agree(
            "id of the container",
            [
                ("config.dump", config.text(&["id"])),
                ("status.dump", cri_status.text(&["id"])),
                ("spec.dump", note("io.kubernetes.cri-o.ContainerID")),
            ],
        );
        let name = agree(
            "name of the container",
            [
                ("status.dump", cri_status.text(&["metadata", "name"])),
                ("spec.dump", note("io.kubernetes.container.name")),
                ("spec.dump", note("io.kubernetes.cri.container-name").or_else(|| crio_name(documents))),
            ],
        );
        let full_name = config.text(&["name"]);
        let name = name.or_else(|| full_name.clone());
        Self {
            full_name: full_name.filter(|full| Some(full) != name.as_ref()),
            id,
            pod: pod(documents, &mut agree),
            image: image(documents, &mut agree),
            runtime: config.text(&["runtime"]),
            created: created(engine, documents),
            started: nanoseconds(documents, "StartedAt", "started_at"),
            restart_count: note("io.kubernetes.container.restartCount")
                .or_else(|| cri_status.text(&["annotations", "io.kubernetes.container.restartCount"]))
                .and_then(|text| text.parse().ok()),
            log_path: config
                .text(&["logPath"])
                .or_else(|| note("io.kubernetes.cri-o.LogPath"))
                .or_else(|| cri_status.text(&["log_path"])),
            labels: labels(documents),
            name,
        }
    }
}

/// What the first document tells; the others ought to tell the same.
fn agreed<const N: usize>(
    what: &str,
    told: [(&str, Option<String>); N],
    issues: &mut Vec<Issue>,
) -> Option<String> {
    let mut all = told.into_iter().filter_map(|(place, value)| Some((place, value?)));
    let (first, value) = all.next()?;
    for (place, other) in all.filter(|(_, other)| bare(other) != bare(&value)) {
        let reason = format!("the {what} is `{value}` in {first}, and here `{other}`");
        issues.push(Issue::new(place, "contradiction", reason));
    }
    Some(value)
}

/// An id without the name of its algorithm.
fn bare(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

/// Whether a reference to an image is its id, not a name with a digest.
fn is_id(reference: &str) -> bool {
    !reference.contains('@')
}

fn crio_name(documents: &Documents) -> Option<String> {
    let metadata: serde_json::Value =
        serde_json::from_str(&documents.annotation("io.kubernetes.cri-o.Metadata")?).ok()?;
    metadata.get("name")?.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

type Agree<'a> = dyn FnMut(&str, [(&str, Option<String>); 3]) -> Option<String> + 'a;

fn pod(documents: &Documents, agree: &mut Agree<'_>) -> Option<Pod> {
    let note = |key: &str| documents.annotation(key);
    let label = |key: &str| documents.cri_status.text(&["labels", key]);
    let mut one = |what: &str, crio: &str, containerd: &str| {
        let told = [("spec.dump", note(crio)), ("spec.dump", note(containerd)), ("status.dump", label(crio))];
        agree(what, told)
    };
    let pod = Pod {
        name: one("name of the pod", "io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name"),
        namespace: one(
            "namespace of the pod",
            "io.kubernetes.pod.namespace",
            "io.kubernetes.cri.sandbox-namespace",
        ),
        uid: one("UID of the pod", "io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid"),
        sandbox_id: one("id of the sandbox", "io.kubernetes.cri-o.SandboxID", "io.kubernetes.cri.sandbox-id")
            .or_else(|| documents.config.text(&["pod"])),
    };
    (pod != Pod::default()).then_some(pod)
}

fn image(documents: &Documents, agree: &mut Agree<'_>) -> Option<BaseImage> {
    let Documents { config, cri_status, .. } = documents;
    let note = |key: &str| documents.annotation(key);
    let name = config
        .text(&["rootfsImageName"])
        .or_else(|| note("io.kubernetes.cri-o.ImageName"))
        .or_else(|| note("io.kubernetes.cri.image-name"))
        .or_else(|| cri_status.text(&["image", "image"]));
    let requested = config.text(&["RawImageName"]).or_else(|| config.text(&["rootfsImage"]));
    let config_ref = config.text(&["rootfsImageRef"]).or_else(|| config.text(&["rootfsImageID"]));
    let status_ref = cri_status.text(&["image_ref"]);
    let id = agree(
        "id of the image",
        [
            ("config.dump", config_ref.clone().filter(|reference| is_id(reference))),
            (
                "status.dump",
                cri_status
                    .text(&["image_id"])
                    .or_else(|| status_ref.clone().filter(|reference| is_id(reference))),
            ),
            ("spec.dump", note("io.kubernetes.cri-o.ImageRef").filter(|reference| is_id(reference))),
        ],
    );
    // Digests are of what a registry has, ids of what an engine made of it: they differ by nature.
    let references = [config_ref, status_ref].into_iter().flatten().filter(|reference| !is_id(reference));
    let known = note("io.kubernetes.cri-o.ImageRepoDigests");
    let mut digests: Vec<String> =
        known.iter().flat_map(|list| list.split([',', ' '])).map(str::to_owned).collect();
    for reference in references {
        if !digests.contains(&reference) {
            digests.push(reference);
        }
    }
    let image = BaseImage {
        requested: requested.filter(|requested| Some(requested) != name.as_ref()),
        name,
        id,
        digests,
    };
    (image != BaseImage::default()).then_some(image)
}

/// The engine's own note of the creation. CRI-O has an annotation that is a little earlier than its
/// `createdTime`; that is the one which its tools show.
fn created(engine: Engine, documents: &Documents) -> Option<Time> {
    let annotation = documents.annotation("io.kubernetes.cri-o.Created");
    let config = documents.config.text(&["createdTime"]);
    let mut order = [config, annotation];
    if engine == Engine::CriO {
        order.reverse();
    }
    let told = order.into_iter().flatten().find_map(|text| Time::parse(&text));
    told.or_else(|| nanoseconds(documents, "CreatedAt", "created_at"))
}

/// A time that containerd writes as a number.
fn nanoseconds(documents: &Documents, status: &str, cri: &str) -> Option<Time> {
    let number = documents.status.at(&[status]).or_else(|| documents.cri_status.at(&[cri]))?;
    Time::from_nanoseconds(number.as_i64()?)
}

fn labels(documents: &Documents) -> BTreeMap<String, String> {
    let own = documents.config.map(&["labels"]);
    if !own.is_empty() {
        return own;
    }
    let crio = documents
        .annotation("io.kubernetes.cri-o.Labels")
        .and_then(|text| serde_json::from_str(&text).ok())
        .map(|value| map_of(&value));
    crio.unwrap_or_else(|| documents.cri_status.map(&["labels"]))
}
