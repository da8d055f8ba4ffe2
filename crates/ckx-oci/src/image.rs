//! An image: layers, a configuration that makes it unique, and a manifest that engines read.

use std::collections::BTreeMap;
use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compress::Finished;
use crate::destination::{Commit, Destination, Followed};
use crate::layer::{self, Kind, Layer, Split, Writing};
use crate::plan::{Entry, Plan, Purpose, Sources};
use crate::{Digest, Error, verify};

/// Media type of a manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a configuration.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// The most layers that an image gets: engines of 2023 mount 127, by way of an option that holds less.
pub const MAX_LAYERS: usize = 100;

/// Annotations by key.
pub type Annotations = BTreeMap<String, String>;

/// Points to a blob.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type.
    pub media_type: String,
    /// Digest, as text: others may use algorithms that are not known here.
    pub digest: String,
    /// Size in bytes.
    pub size: u64,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// Machine that an image is for, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Everything else that stands there.
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

/// A kind of machine.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Platform {
    /// Architecture, in Go's words.
    pub architecture: String,
    /// Operating system.
    pub os: String,
    /// Everything else that stands there.
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

/// A manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// [`MANIFEST_TYPE`].
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// Layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// What engines read.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// A configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// When the checkpoint was taken, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Architecture of the machine that was checkpointed, in Go's words.
    pub architecture: String,
    /// Operating system.
    pub os: String,
    /// What a container would run with: only labels.
    pub config: RunConfig,
    /// The tars.
    pub rootfs: RootFs,
    /// A line for each layer.
    #[serde(default)]
    pub history: Vec<History>,
}

/// What a container would run with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunConfig {
    /// Labels: the annotations again, so that images with other annotations are other images.
    #[serde(rename = "Labels", default)]
    pub labels: Annotations,
}

/// The tars of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the tars, the lowest first.
    pub diff_ids: Vec<String>,
}

/// How a layer came about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct History {
    /// By what.
    #[serde(default)]
    pub created_by: String,
}

/// What an image is made of.
#[derive(Debug)]
pub struct Request<'a> {
    /// The source, for members that are decoded again.
    pub sources: Sources<'a>,
    /// Its members.
    pub plan: &'a Plan,
    /// How they are spread over layers.
    pub split: Split,
    /// How layers are written.
    pub writing: Writing,
    /// Annotations of the manifest.
    pub annotations: &'a Annotations,
    /// Annotations of layers.
    pub layer_annotations: &'a BTreeMap<Kind, Annotations>,
    /// Architecture, in Go's words.
    pub architecture: &'a str,
    /// When the checkpoint was taken, as RFC 3339.
    pub created: Option<&'a str>,
}

/// An image that was written.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Image {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Digest of the configuration: the image id of engines.
    pub id: Digest,
    /// Layers, the lowest first.
    pub layers: Vec<Layer>,
    /// Annotations of the manifest.
    pub annotations: Annotations,
}

/// Writes an image: its layers one after the other, the configuration, and the manifest last.
///
/// # Errors
/// [`Error::Refused`] when the plan does not fit an image; those of the source and of the destination.
pub fn build(request: &Request<'_>, destination: &mut dyn Destination) -> Result<Image, Error> {
    request.plan.check(Purpose::Image)?;
    let kinds = request.split.layers(request.plan);
    if kinds.len() > MAX_LAYERS {
        return Err(Error::refused(format!(
            "the image would have {} layers; engines mount {MAX_LAYERS}",
            kinds.len()
        )));
    }
    let layers =
        kinds.iter().map(|kind| write_layer(request, *kind, destination)).collect::<Result<Vec<_>, _>>()?;
    let config = json(&config(request, &layers));
    let id = destination.put(CONFIG_TYPE, &config)?;
    let manifest = json(&manifest(request, &layers, descriptor(CONFIG_TYPE, id, config.len() as u64)));
    let digest = Digest::of(&manifest);
    let mut entry = descriptor(MANIFEST_TYPE, digest, manifest.len() as u64);
    entry.annotations = request.annotations.clone();
    entry.platform = Some(Platform {
        architecture: request.architecture.to_owned(),
        os: "linux".to_owned(),
        rest: BTreeMap::new(),
    });
    destination.finish(&manifest, entry)?;
    Ok(Image { digest, id, layers, annotations: request.annotations.clone() })
}

fn write_layer(request: &Request<'_>, kind: Kind, destination: &mut dyn Destination) -> Result<Layer, Error> {
    let members = request.plan.of_layer(kind, request.split);
    let mut known = None;
    loop {
        let (finished, found) = write_blob(request, &members, known, destination)?;
        let commit = destination.commit(finished.digest, finished.mark.bytes)?;
        let reused = match commit {
            Commit::Stored => false,
            Commit::Reused | Commit::Compared => true,
            Commit::Repeat => {
                known = Some((finished.digest, finished.mark.bytes));
                continue;
            }
        };
        let layer = Layer {
            kind: kind.name(),
            media_type: request.writing.method.media_type(),
            digest: finished.digest,
            diff_id: finished.plain_digest,
            size_bytes: finished.mark.bytes,
            tar_bytes: finished.plain_mark.bytes,
            members: members.len() as u64,
            reused,
            annotations: request.layer_annotations.get(&kind).cloned().unwrap_or_default(),
        };
        // A blob that was there before need not be the one that was read while it was written.
        let found = match found.filter(|_| commit != Commit::Reused) {
            Some(found) => Some(found),
            None => destination
                .blob(layer.digest, layer.size_bytes)?
                .map(|blob| verify::read(request.writing.method, blob, &members)),
        };
        if let Some(found) = found {
            verify::layer(&finished, found)?;
        }
        return Ok(layer);
    }
}

/// A blob that was written, and what was found where it was read back.
type Written = (Finished, Option<io::Result<verify::Found>>);

/// Writes the blob of a layer, and reads it back at the same time where it is in a file.
fn write_blob(
    request: &Request<'_>,
    members: &[(&[u8], &Entry)],
    known: Option<(Digest, u64)>,
    destination: &mut dyn Destination,
) -> Result<Written, Error> {
    let method = request.writing.method;
    let sink = destination.begin(known)?;
    let (sink, follower) = match destination.underway()? {
        Some((file, start)) => {
            let (sink, follower) = Followed::pair(sink, file, start);
            (sink, Some(follower))
        }
        None => (Followed::alone(sink), None),
    };
    std::thread::scope(|scope| {
        let reader = follower.map(|follower| scope.spawn(move || verify::read(method, follower, members)));
        let (sink, result) = layer::write(request.sources, members, request.writing, sink)?;
        // The reader ends where the sink does.
        drop(sink);
        let finished = result.map_err(|error| destination.failed(error))?;
        let ended = || io::Error::other("the thread that read it back ended before its work");
        let found = reader.map(|reader| reader.join().unwrap_or_else(|_| Err(ended())));
        Ok((finished, found))
    })
}

fn config(request: &Request<'_>, layers: &[Layer]) -> Config {
    Config {
        created: request.created.map(str::to_owned),
        architecture: request.architecture.to_owned(),
        os: "linux".to_owned(),
        config: RunConfig { labels: request.annotations.clone() },
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: layers.iter().map(|layer| layer.diff_id.to_string()).collect(),
        },
        history: layers
            .iter()
            .map(|layer| History { created_by: format!("ckx repack: {}", layer.kind) })
            .collect(),
    }
}

fn manifest(request: &Request<'_>, layers: &[Layer], config: Descriptor) -> Manifest {
    let layers = layers.iter().map(|layer| Descriptor {
        annotations: layer.annotations.clone(),
        ..descriptor(layer.media_type, layer.digest, layer.size_bytes)
    });
    Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        config,
        layers: layers.collect(),
        annotations: request.annotations.clone(),
    }
}

/// A descriptor with nothing but what it must have.
pub fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_string(),
        size,
        annotations: Annotations::new(),
        platform: None,
        rest: BTreeMap::new(),
    }
}

/// Compact JSON. Keys stand in the order of the fields and, in maps, of the alphabet.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    // Text and numbers in structures and maps with text keys always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}
