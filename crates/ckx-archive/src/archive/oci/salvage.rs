//! Layouts whose index is cut off. It comes behind the blobs in every archive that engines write, so
//! what is left of such an archive is blobs without names.

use crate::archive::content::Content;
use crate::archive::oci::blobs::{Blobs, MAX_DOCUMENT};
use crate::archive::oci::choose::Candidate;
use crate::archive::oci::spec::{Annotations, Descriptor, Document, digest_of};
use crate::archive::oci::united;
use crate::archive::{Archive, Fault, Interests, Member, Options, Source};
use crate::{Compression, Error, tarball};

/// Whether a tar holds blobs and no index.
pub(super) fn is_cut_layout(archive: &Archive) -> bool {
    let mut files = archive.members.iter().filter(|member| member.kind == tarball::EntryKind::File);
    archive.get(b"index.json").is_none()
        && files.clone().next().is_some()
        && files.all(|member| digest_of(&member.name).is_some())
}

/// Reads the image that the only manifest names; without one, the only layer.
pub(super) fn open(
    archive: Archive,
    source: Source,
    interests: &mut dyn Interests,
    options: &Options,
) -> Result<Archive, Error> {
    let found = found(&archive);
    let (descriptor, manifest) = match (found.manifests.as_slice(), found.layers.as_slice()) {
        ([(descriptor, manifest)], _) => (descriptor.clone(), manifest.clone()),
        ([], [layer]) => (described(String::new()), of_layer(layer.clone())),
        _ => return Ok(archive),
    };
    let mut faults = archive.faults.clone();
    faults.push(Fault {
        member: Box::default(),
        code: "missing-index",
        reason: "the index of the OCI image is missing: what it says of the image is unknown".to_owned(),
        offset_bytes: None,
    });
    let chosen = Candidate { descriptor, names: Vec::new(), index_annotations: Annotations::new() };
    united(&Blobs::Members(archive), source, chosen, manifest, faults, interests, options)
}

#[derive(Default)]
struct Found {
    manifests: Vec<(Descriptor, Document)>,
    layers: Vec<Descriptor>,
}

fn found(archive: &Archive) -> Found {
    let mut found = Found::default();
    for member in &archive.members {
        let Some(digest) = digest_of(&member.name) else { continue };
        if is_layer(archive, member) {
            found.layers.push(described(digest));
        } else if let Some(manifest) = manifest(archive, member) {
            found.manifests.push((described(digest), manifest));
        }
    }
    found
}

fn is_layer(archive: &Archive, member: &Member) -> bool {
    match &member.content {
        Content::Layer(_) => true,
        _ => archive
            .read_partial(member)
            .is_ok_and(|(data, _)| Compression::of(&data) != Compression::None || tarball::is_tar(&data)),
    }
}

fn manifest(archive: &Archive, member: &Member) -> Option<Document> {
    let bytes = archive.read(member).ok().filter(|bytes| bytes.len() as u64 <= MAX_DOCUMENT)?;
    let document: Document = serde_json::from_slice(&bytes).ok()?;
    document.layers.is_some().then_some(document)
}

fn described(digest: String) -> Descriptor {
    Descriptor {
        media_type: String::new(),
        digest,
        size: None,
        annotations: Annotations::new(),
        platform: None,
    }
}

fn of_layer(layer: Descriptor) -> Document {
    Document {
        media_type: String::new(),
        annotations: Annotations::new(),
        manifests: None,
        config: None,
        layers: Some(vec![layer]),
    }
}
