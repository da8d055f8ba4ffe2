//! Which of the images of a layout is meant.

use std::collections::HashSet;

use crate::archive::Fault;
use crate::archive::oci::blobs::{Blobs, fault};
use crate::archive::oci::parse;
use crate::archive::oci::spec::{Annotations, Descriptor, Document};

/// Levels of indexes in indexes. Real ones have two.
const MAX_DEPTH: usize = 4;

/// Images that are looked at. A hostile index names any number.
const MAX_IMAGES: usize = 4096;

/// Images that a message lists.
const LISTED: usize = 20;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// An image of a layout.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub descriptor: Descriptor,
    /// What it is called, from the entry of the outermost index.
    pub names: Vec<String>,
    /// Annotations of the indexes that lead to it, the outermost first.
    pub index_annotations: Annotations,
}

impl Candidate {
    /// What a person would write to mean it.
    fn label(&self) -> String {
        let name = self.names.first().unwrap_or(&self.descriptor.digest);
        match &self.descriptor.platform {
            Some(platform) if !platform.architecture.is_empty() => {
                format!("{name} ({})", platform.architecture)
            }
            _ => name.clone(),
        }
    }

    fn is_called(&self, tag: &str) -> bool {
        let is_digest = tag.contains(':') && self.descriptor.digest.starts_with(tag);
        is_digest
            || self.names.iter().any(|name| {
                name == tag || name.strip_suffix(tag).is_some_and(|rest| rest.ends_with([':', '/']))
            })
    }

    /// Whether it is an image at all, and no statement about another one (an attestation).
    fn is_image(&self) -> bool {
        !self.descriptor.annotations.contains_key("vnd.docker.reference.type")
            && self.descriptor.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
    }
}

/// Chooses the image with this tag, name or digest, or the only one.
pub(super) fn choose(
    blobs: &Blobs<'_>,
    index: Document,
    tag: Option<&str>,
    faults: &mut Vec<Fault>,
) -> Result<Candidate, String> {
    let mut search = Search { blobs, faults, seen: HashSet::new(), found: Vec::new() };
    search.index(index, &[], &Annotations::new(), 0);
    let found = search.found;
    let mut fit: Vec<&Candidate> = match tag {
        Some(tag) => found.iter().filter(|each| each.is_called(tag)).collect(),
        None => found.iter().collect(),
    };
    if fit.len() > 1 {
        let images: Vec<_> = fit.iter().copied().filter(|each| each.is_image()).collect();
        if !images.is_empty() {
            fit = images;
        }
        let mut digests = HashSet::new();
        fit.retain(|each| digests.insert(each.descriptor.digest.as_str()));
    }
    match (fit.as_slice(), tag) {
        ([one], _) => Ok((*one).clone()),
        ([], Some(tag)) => {
            Err(format!("it has no image `{tag}`; it has {}", list(&found.iter().collect::<Vec<_>>())))
        }
        ([], None) => Err("its index names no image".to_owned()),
        (several, _) => Err(format!("it holds several images: {}", list(several))),
    }
}

fn list(candidates: &[&Candidate]) -> String {
    let mut labels: Vec<String> = candidates.iter().take(LISTED).map(|each| each.label()).collect();
    match candidates.len() {
        0 => return "none".to_owned(),
        more if more > LISTED => labels.push(format!("{} more", more - LISTED)),
        _ => {}
    }
    labels.join(", ")
}

struct Search<'a> {
    blobs: &'a Blobs<'a>,
    faults: &'a mut Vec<Fault>,
    /// Indexes that were read: they may name each other.
    seen: HashSet<String>,
    found: Vec<Candidate>,
}

impl Search<'_> {
    fn index(&mut self, index: Document, names: &[String], above: &Annotations, depth: usize) {
        let mut annotations = above.clone();
        annotations.extend(index.annotations);
        for descriptor in index.manifests.unwrap_or_default() {
            if self.found.len() >= MAX_IMAGES {
                return;
            }
            let own = [REF_NAME, CONTAINERD_NAME]
                .iter()
                .filter_map(|key| descriptor.annotations.get(*key).cloned());
            let mut names_here: Vec<String> = own.collect();
            names_here.extend_from_slice(names);
            match self.entry(&descriptor, depth) {
                Entry::Index(document) => {
                    let mut annotations = annotations.clone();
                    annotations.extend(descriptor.annotations);
                    self.index(*document, &names_here, &annotations, depth + 1);
                }
                Entry::Manifest => self.found.push(Candidate {
                    descriptor,
                    names: names_here,
                    index_annotations: annotations.clone(),
                }),
                Entry::Nothing => {}
            }
        }
    }

    /// What a descriptor leads to.
    fn entry(&mut self, descriptor: &Descriptor, depth: usize) -> Entry {
        let kind = descriptor.media_type.as_str();
        let is_index = kind.contains("image.index") || kind.contains("manifest.list");
        if !is_index && !kind.is_empty() {
            return Entry::Manifest;
        }
        if depth >= MAX_DEPTH || !self.seen.insert(descriptor.digest.clone()) {
            return if is_index { Entry::Nothing } else { Entry::Manifest };
        }
        let bytes = self.blobs.document(descriptor, self.faults);
        match bytes.and_then(|bytes| parse::<Document>(&bytes, "an index in the index")) {
            Ok(document) if document.manifests.is_some() => Entry::Index(Box::new(document)),
            Ok(_) => Entry::Manifest,
            Err(reason) if is_index => {
                self.faults.push(fault(&descriptor.digest, "bad-index", reason));
                Entry::Nothing
            }
            Err(_) => Entry::Manifest,
        }
    }
}

/// What an entry of an index is.
enum Entry {
    Index(Box<Document>),
    Manifest,
    Nothing,
}
