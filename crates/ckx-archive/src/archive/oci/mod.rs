//! Checkpoint images: OCI layouts in a directory or in a tar, read as one union of their layers.

mod blobs;
mod choose;
mod remote;
mod salvage;
mod spec;
mod union;

use std::path::Path;

use bytes::Bytes;

use crate::archive::interest::Interests;
use crate::archive::open::{Options, indexed};
use crate::archive::stream::Reading;
use crate::archive::{Archive, Backing, Fault, Form, Member, Source};
use crate::progress::Counted;
use crate::{Compression, Error, tarball};

use blobs::{Blob, Blobs, fault};
pub(super) use blobs::{Hasher, MAX_DOCUMENT};
use choose::Candidate;
pub use remote::RemoteRoot;
pub(super) use remote::open as open_remote;
pub use spec::Annotations;
pub(super) use spec::digest_of;
use spec::{Config, Descriptor, Document};
use union::Union;

/// The image that a source holds, as far as its documents tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OciImage {
    /// Digest of the manifest. Empty if the documents are missing and the layers were found without.
    pub manifest_digest: String,
    /// Media type of the manifest; empty if it does not say.
    pub media_type: String,
    /// What the index calls it.
    pub names: Vec<String>,
    /// Annotations of the indexes that lead to it, and of its entry in them.
    pub index_annotations: Annotations,
    /// Annotations of the manifest.
    pub annotations: Annotations,
    /// Digest of the config.
    pub config_digest: Option<String>,
    /// Labels of the config.
    pub labels: Annotations,
    /// Architecture that the config claims: mostly of the machine that built the image.
    pub architecture: Option<String>,
    /// Operating system that the config claims.
    pub os: Option<String>,
    /// When the image was made, as text of the config.
    pub created: Option<String>,
    /// Layers, the lowest first.
    pub layers: Vec<OciLayer>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciLayer {
    /// Digest of the blob, as stored.
    pub digest: String,
    /// Media type that the manifest claims.
    pub media_type: String,
    /// Size of the blob as the manifest claims it, in bytes.
    pub size_bytes: Option<u64>,
    /// Compression, told by content; `None` if the blob is not there.
    pub compression: Option<Compression>,
    /// Annotations of the layer.
    pub annotations: Annotations,
}

/// Whether a directory is an OCI layout.
pub(super) fn is_layout(path: &Path) -> bool {
    ["oci-layout", "index.json"].iter().all(|name| path.join(name).is_file())
}

/// Opens a directory that is a layout.
pub(super) fn open_directory(
    path: &Path,
    interests: &mut dyn Interests,
    options: &Options,
) -> Result<Archive, Error> {
    let source = Source {
        path: path.into(),
        form: Form::OciLayout,
        compression: Compression::None,
        backing: Backing::Mapped,
        size_bytes: 0,
    };
    open(Blobs::Directory(path.into()), source, interests, options)
}

/// The image in a tar, if the tar is one of a layout.
pub(super) fn open_tar(
    archive: Archive,
    interests: &mut dyn Interests,
    options: &Options,
) -> Result<Archive, Error> {
    let has = |name: &[u8]| archive.get(name).is_some();
    if has(b"index.json") && has(b"oci-layout") {
        let source = Source { form: Form::OciArchive, ..archive.source.clone() };
        return open(Blobs::Members(archive), source, interests, options);
    }
    if salvage::is_cut_layout(&archive) {
        let source = Source { form: Form::OciArchive, ..archive.source.clone() };
        return salvage::open(archive, source, interests, options);
    }
    Ok(archive)
}

fn open(
    blobs: Blobs<'_>,
    source: Source,
    interests: &mut dyn Interests,
    options: &Options,
) -> Result<Archive, Error> {
    let fail =
        |reason: String| Error::Oci { path: source.path.clone(), reason: crate::error::escaped(&reason) };
    let mut faults = Vec::new();
    let index: Document = parse(&blobs.top("index.json").map_err(fail)?, "index.json").map_err(fail)?;
    let chosen = choose::choose(&blobs, index, options.image.as_deref(), &mut faults).map_err(fail)?;
    let bytes = blobs.document(&chosen.descriptor, &mut faults).map_err(fail)?;
    let manifest: Document = parse(&bytes, "its manifest").map_err(fail)?;
    united(&blobs, source, chosen, manifest, faults, interests, options)
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &Bytes, name: &str) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("{name} cannot be understood: {error}"))
}

/// Reads the layers of a manifest as one.
fn united(
    blobs: &Blobs<'_>,
    mut source: Source,
    chosen: Candidate,
    manifest: Document,
    mut faults: Vec<Fault>,
    interests: &mut dyn Interests,
    options: &Options,
) -> Result<Archive, Error> {
    let config = manifest.config.as_ref().and_then(|config| read_config(blobs, config, &mut faults));
    let layers = manifest.layers.unwrap_or_default();
    if matches!(source.form, Form::OciLayout | Form::Registry) {
        let sizes = layers.iter().chain(manifest.config.iter()).chain([&chosen.descriptor]);
        source.size_bytes = sizes.filter_map(|each| each.size).fold(0, u64::saturating_add);
    }
    let mut layered = Layered { reading: Reading::new(interests, options), faults };
    let (layers, members) = layered.all(blobs, layers, options);
    let mut union = Union::default();
    members.into_iter().for_each(|members| union.add(members));
    let Layered { reading, mut faults } = layered;
    if reading.streamed {
        source.backing = Backing::Streamed;
    }
    faults.extend(reading.faults);
    let config = config.unwrap_or_default();
    let image = OciImage {
        manifest_digest: chosen.descriptor.digest,
        media_type: manifest.media_type,
        names: chosen.names,
        index_annotations: chosen
            .index_annotations
            .into_iter()
            .chain(chosen.descriptor.annotations)
            .collect(),
        annotations: manifest.annotations,
        config_digest: manifest.config.map(|config| config.digest),
        labels: config.config.labels,
        architecture: config.architecture,
        os: config.os,
        created: config.created,
        layers,
    };
    Ok(Archive::new(source, union.members(), faults).with_image(image))
}

fn read_config(blobs: &Blobs<'_>, descriptor: &Descriptor, faults: &mut Vec<Fault>) -> Option<Config> {
    // An artifact has something else there, or nothing.
    let mut descriptor = descriptor.clone();
    if descriptor.media_type.is_empty() {
        // Without a type it would be taken for a manifest.
        "config".clone_into(&mut descriptor.media_type);
    }
    let bytes = blobs.document(&descriptor, faults);
    match bytes.and_then(|bytes| parse(&bytes, "the config")) {
        Ok(config) => Some(config),
        Err(reason) => {
            faults.push(fault(&descriptor.digest, "bad-image-config", reason));
            None
        }
    }
}

/// Reads layers.
struct Layered<'i> {
    reading: Reading<'i>,
    faults: Vec<Fault>,
}

/// The annotation of a layer that says what it holds.
pub const LAYER_KIND: &str = "io.ckx.layer.kind";

/// When a layer is read: pages are behind the images that tell which of them are wanted. Those of an earlier dump
/// have their maps with them, but not what the maps are looked at for.
fn turn(layer: &Descriptor) -> usize {
    let kind = layer.annotations.get(LAYER_KIND).map(String::as_str);
    ["memory", "parent"].iter().position(|late| kind == Some(late)).map_or(0, |at| at + 1)
}

impl Layered<'_> {
    /// Reads all layers. They and their members are in the order of the image, whatever the order of reading.
    fn all(
        &mut self,
        blobs: &Blobs<'_>,
        layers: Vec<Descriptor>,
        options: &Options,
    ) -> (Vec<OciLayer>, Vec<Vec<Member>>) {
        let mut numbered: Vec<(usize, Descriptor)> = layers.into_iter().enumerate().collect();
        numbered.sort_by_key(|(_, layer)| turn(layer));
        let read = numbered.into_iter().map(|(number, layer)| (number, self.layer(blobs, layer, options)));
        let mut read: Vec<(usize, (OciLayer, Vec<Member>))> = read.collect();
        read.sort_by_key(|(number, _)| *number);
        read.into_iter().map(|(_, layer)| layer).unzip()
    }

    fn layer(
        &mut self,
        blobs: &Blobs<'_>,
        descriptor: Descriptor,
        options: &Options,
    ) -> (OciLayer, Vec<Member>) {
        let first = self.reading.past.members.len();
        let mut stored = None;
        let is_wanted = !self.reading.stopped || !matches!(blobs, Blobs::Remote(_));
        let blob = is_wanted.then(|| blobs.layer(&descriptor, options.verify, &mut self.faults));
        let compression = match blob.transpose() {
            Ok(None) => None,
            Ok(Some(Blob::Stream(reader))) => self.stream(&descriptor, reader, options),
            Ok(Some(Blob::Bytes(data))) => self.bytes(&descriptor, data, options),
            Ok(Some(Blob::Layer(layer))) => {
                self.reading.streamed = true;
                self.faults.extend(layer.faults);
                stored = Some(layer.members);
                Some(layer.compression)
            }
            Err(reason) => {
                self.faults.push(fault(&descriptor.digest, "missing-layer", reason));
                None
            }
        };
        let layer = OciLayer {
            digest: descriptor.digest,
            media_type: descriptor.media_type,
            size_bytes: descriptor.size,
            compression,
            annotations: descriptor.annotations,
        };
        let read = || self.reading.past.members.get(first..).unwrap_or_default().to_vec();
        (layer, stored.unwrap_or_else(read))
    }

    fn bytes(&mut self, descriptor: &Descriptor, data: Bytes, options: &Options) -> Option<Compression> {
        let compression = Compression::of(&data);
        if compression == Compression::None {
            let is_tar = tarball::is_tar(&data) || data.iter().take(1024).all(|byte| *byte == 0);
            if !is_tar {
                self.faults.push(fault(&descriptor.digest, "not-a-layer", "the layer is no tar".to_owned()));
                return Some(compression);
            }
            let (members, faults) = indexed(&data);
            self.faults.extend(faults);
            members.into_iter().for_each(|member| self.reading.past.push(member));
            return Some(compression);
        }
        if let Some(progress) = &options.progress {
            progress.expect(data.len() as u64);
        }
        let input = Counted::new(data.as_ref(), options.progress.clone());
        match compression.decode(input) {
            Ok(plain) => {
                self.reading.tar(plain);
            }
            Err(error) => {
                let reason = format!("the layer cannot be decoded: {error}");
                self.faults.push(fault(&descriptor.digest, "not-a-layer", reason));
            }
        }
        Some(compression)
    }
}
