//! An image that lies in no file: in a registry. This crate does not know how to reach it; whoever does
//! hands out its parts.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;

use crate::archive::interest::Interests;
use crate::archive::oci::blobs::{Blobs, Hasher, MAX_DOCUMENT, fault};
use crate::archive::oci::choose::{Candidate, choose};
use crate::archive::oci::spec::{Annotations, Descriptor, Document};
use crate::archive::oci::{Layered, parse, united};
use crate::archive::open::Options;
use crate::archive::{Archive, Backing, Form, Remote, Source};
use crate::compress::sniffed;
use crate::progress::Counted;
use crate::{Compression, Error};

/// What the name of an image leads to.
#[derive(Debug, Clone)]
pub struct RemoteRoot {
    /// The document: a manifest, or an index of several.
    pub bytes: Bytes,
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// The tag by which it was asked for, if it was one.
    pub tag: Option<String>,
}

/// Opens an image that lies elsewhere. `path` is its name in messages.
pub(in crate::archive) fn open(
    path: &Path,
    remote: &dyn Remote,
    interests: &mut dyn Interests,
    options: &Options,
) -> Result<Archive, Error> {
    let source = Source {
        path: path.into(),
        form: Form::Registry,
        compression: Compression::None,
        backing: Backing::Streamed,
        size_bytes: 0,
    };
    let fail = |reason: String| Error::Oci { path: path.into(), reason: crate::error::escaped(&reason) };
    let mut faults = Vec::new();
    let root = remote.root();
    let blobs = Blobs::Remote(remote);
    let document: Document = parse(&root.bytes, "what its name leads to").map_err(fail)?;
    let (chosen, manifest) = if document.manifests.is_some() {
        let mut chosen = choose(&blobs, document, options.image.as_deref(), &mut faults).map_err(fail)?;
        let bytes = blobs.document(&chosen.descriptor, &mut faults).map_err(fail)?;
        chosen.names.extend(root.tag);
        (chosen, parse(&bytes, "its manifest").map_err(fail)?)
    } else {
        let descriptor = Descriptor {
            media_type: root.media_type,
            digest: root.digest,
            size: Some(root.bytes.len() as u64),
            annotations: Annotations::new(),
            platform: None,
        };
        let names = root.tag.into_iter().collect();
        (Candidate { descriptor, names, index_annotations: Annotations::new() }, document)
    };
    united(&blobs, source, chosen, manifest, faults, interests, options)
}

/// A document as it lies elsewhere.
pub(super) fn document(remote: &dyn Remote, descriptor: &Descriptor) -> Result<Bytes, String> {
    let kind = descriptor.media_type.as_str();
    // Registries keep what describes images apart from everything else.
    if kind.is_empty() || kind.contains("manifest") || kind.contains("image.index") {
        return remote.manifest(&descriptor.digest);
    }
    let mut bytes = Vec::new();
    let mut input = remote.blob(&descriptor.digest)?.take(MAX_DOCUMENT + 1);
    input.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes.into())
}

impl Layered<'_> {
    /// Reads a layer as it comes. Its size and digest are always checked: on the way more can happen to
    /// it than on a disk.
    pub(super) fn stream(
        &mut self,
        descriptor: &Descriptor,
        reader: Box<dyn Read + '_>,
        options: &Options,
    ) -> Option<Compression> {
        if let (Some(progress), Some(size)) = (&options.progress, descriptor.size) {
            progress.expect(size);
        }
        let limited =
            Counted::new(reader.take(descriptor.size.unwrap_or(u64::MAX)), options.progress.clone());
        let mut input = Hashed { input: limited, hasher: Hasher::like(&descriptor.digest), failed: None };
        let plain = sniffed(&mut input).map(|plain| (plain.compression, plain.reader));
        let decoded = plain.map(|(compression, plain)| {
            self.reading.tar(plain);
            compression
        });
        if let (Err(error), None) = (&decoded, &input.failed) {
            let reason = format!("the layer cannot be decoded: {error}");
            self.faults.push(fault(&descriptor.digest, "not-a-layer", reason));
        }
        if !self.reading.stopped {
            self.check_end(descriptor, input);
        }
        decoded.ok()
    }

    fn check_end<R: Read>(&mut self, descriptor: &Descriptor, mut input: Hashed<Counted<R>>) {
        // A fault is noted by the reader itself; a decoder may have told of it in other words.
        let _ = io::copy(&mut input, &mut io::sink());
        let have = input.input.count();
        if let Some(reason) = input.failed {
            self.faults.push(fault(&descriptor.digest, "cut-off", format!("after {have} bytes: {reason}")));
            return;
        }
        if let Some(size) = descriptor.size.filter(|size| *size != have) {
            let reason = format!("the blob has {have} bytes, its descriptor says {size}");
            self.faults.push(fault(&descriptor.digest, "blob-size", reason));
            return;
        }
        if input.hasher.is_some_and(|hasher| hasher.finish() != descriptor.digest) {
            let reason = "the content of the blob does not have the digest that its name says".to_owned();
            self.faults.push(fault(&descriptor.digest, "digest-mismatch", reason));
        }
    }
}

/// Hashes what is read, and remembers why reading failed.
struct Hashed<R> {
    input: R,
    hasher: Option<Hasher>,
    failed: Option<String>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer) {
            Ok(read) => {
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(buffer.get(..read).unwrap_or_default());
                }
                Ok(read)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.failed.get_or_insert(error.to_string());
                }
                Err(error)
            }
        }
    }
}
