//! Whether what stands at the destination is what was meant, before the image is made known.

use std::io::{self, Read};

use sha2::Digest as _;

use crate::compress::Method;
use crate::facts::Engine;
use crate::layer::Layer;
use crate::plan::Plan;
use crate::repack::Warning;
use crate::{Digest, Error};

/// Reads a layer back: its size, its digest, and the digest of the tar in it.
///
/// # Errors
/// [`Error::Unsound`] when one of them differs, or when it cannot be read.
pub(crate) fn layer(layer: &Layer, method: Method, blob: Box<dyn Read>) -> Result<(), Error> {
    let unsound = |what: &str| Error::Unsound(format!("the layer {} {what}", layer.digest));
    let unreadable = |error: io::Error| unsound(&format!("cannot be read back: {error}"));
    let mut blob = Hashed::new(blob);
    let plain = match method {
        Method::None => None,
        Method::Gzip(_) => Some(hash(flate2::read::MultiGzDecoder::new(&mut blob))),
        Method::Zstd(_) => Some(zstd::stream::read::Decoder::new(&mut blob).and_then(hash)),
    };
    // A decoder may stop before the end of the blob: at what it cannot decode, or at trailing frames.
    io::copy(&mut blob, &mut io::sink()).map_err(unreadable)?;
    let (digest, bytes) = blob.finish();
    if bytes != layer.size_bytes {
        return Err(unsound(&format!("has {bytes} bytes, not {}", layer.size_bytes)));
    }
    if digest != layer.digest {
        return Err(unsound(&format!("has the digest {digest}")));
    }
    let plain = plain.unwrap_or(Ok(digest)).map_err(unreadable)?;
    if plain != layer.diff_id {
        return Err(unsound(&format!("holds a tar with the digest {plain}, not {}", layer.diff_id)));
    }
    Ok(())
}

fn hash(reader: impl Read) -> io::Result<Digest> {
    let mut hashed = Hashed::new(reader);
    io::copy(&mut hashed, &mut io::sink())?;
    Ok(hashed.finish().0)
}

/// Hashes what is read through it.
struct Hashed<R> {
    inner: R,
    hash: sha2::Sha256,
    bytes: u64,
}

impl<R> Hashed<R> {
    fn new(inner: R) -> Self {
        Self { inner, hash: sha2::Sha256::new(), bytes: 0 }
    }

    fn finish(self) -> (Digest, u64) {
        (Digest::from_sha256(self.hash.finalize().into()), self.bytes)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(count as u64);
        Ok(count)
    }
}

/// Files without which engines refuse a checkpoint, and who needs each.
const REQUIRED: [(&[u8], &str); 3] = [
    (b"spec.dump", "no engine restores it"),
    (b"config.dump", "no engine restores it"),
    (b"checkpoint/inventory.img", "CRIU restores nothing"),
];

/// Only containerd writes it, and other engines do without.
const REQUIRED_OF_CONTAINERD: (&[u8], &str) = (b"status.dump", "containerd does not restore it");

/// What engines will miss in an image.
pub(crate) fn missing(plan: &Plan, engine: Option<Engine>) -> Vec<Warning> {
    let own = (engine == Some(Engine::Containerd)).then_some(REQUIRED_OF_CONTAINERD);
    let absent = REQUIRED.into_iter().chain(own).filter(|(name, _)| plan.get(name).is_none());
    let warning = |(name, who): (&[u8], &str)| Warning {
        code: "missing-file",
        reason: format!("there is no {}: {who}", String::from_utf8_lossy(name)),
    };
    absent.map(warning).collect()
}
