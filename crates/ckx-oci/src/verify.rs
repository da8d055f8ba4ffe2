//! Whether what stands at the destination is what was meant, before the image is made known.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use ckx_archive::tarball::{self, EntryKind, Step, TarMember};
use ckx_core::Name;
use ckx_criu::Image;
use ckx_criu::pages::PageMap;

use sha2::Digest as _;

use crate::compress::Method;
use crate::describe::split_name;
use crate::layer::Layer;
use crate::plan::{Content, Entry, Plan, joined};
use crate::repack::Warning;
use crate::{Digest, Error};

/// What was found where a layer was read back.
pub(crate) struct Found {
    digest: Digest,
    bytes: u64,
    /// The digest of the tar in it; `None` where the layer is the tar.
    plain: io::Result<Option<Digest>>,
}

/// Reads a layer back: its size, its digest, the digest of the tar in it, and the members of that.
///
/// # Errors
/// When it cannot be read. What is wrong with what is read is in the result.
pub(crate) fn read(method: Method, blob: impl Read, expected: &[(&[u8], &Entry)]) -> io::Result<Found> {
    let mut blob = Hashed::new(blob);
    let plain = match method {
        Method::None => tar(&mut blob, expected).map(|()| None),
        Method::Gzip(_) => hash(flate2::read::MultiGzDecoder::new(&mut blob), expected).map(Some),
        Method::Zstd(_) => {
            zstd::stream::read::Decoder::new(&mut blob).and_then(|plain| hash(plain, expected)).map(Some)
        }
    };
    // A decoder may stop before the end of the blob: at what it cannot decode, or at trailing frames.
    io::copy(&mut blob, &mut io::sink())?;
    let (digest, bytes) = blob.finish();
    Ok(Found { digest, bytes, plain })
}

/// Compares what was found with the layer that was meant.
///
/// # Errors
/// [`Error::Unsound`] when they differ, or when it could not be read.
pub(crate) fn layer(layer: &Layer, found: io::Result<Found>) -> Result<(), Error> {
    let unsound = |what: &str| Error::Unsound(format!("the layer {} {what}", layer.digest));
    let unreadable = |error: io::Error| unsound(&format!("cannot be read back: {error}"));
    let Found { digest, bytes, plain } = found.map_err(unreadable)?;
    if bytes != layer.size_bytes {
        return Err(unsound(&format!("has {bytes} bytes, not {}", layer.size_bytes)));
    }
    if digest != layer.digest {
        return Err(unsound(&format!("has the digest {digest}")));
    }
    let plain = plain.map_err(unreadable)?.unwrap_or(digest);
    if plain != layer.diff_id {
        return Err(unsound(&format!("holds a tar with the digest {plain}, not {}", layer.diff_id)));
    }
    Ok(())
}

fn hash(reader: impl Read, expected: &[(&[u8], &Entry)]) -> io::Result<Digest> {
    let mut hashed = Hashed::new(reader);
    tar(&mut hashed, expected)?;
    Ok(hashed.finish().0)
}

/// Reads a tar to its end, and compares its members with those that it should have.
fn tar(mut reader: impl Read, expected: &[(&[u8], &Entry)]) -> io::Result<()> {
    let mut left = expected.iter();
    let read = tarball::stream(&mut reader, |member, _| match left.next() {
        Some((name, entry)) if **name == *member.name && is_like(member, entry) => Ok(Step::Next),
        _ => Err(io::Error::other(format!(
            "the member `{}` is not what was meant to be there",
            Name::from(&member.name)
        ))),
    });
    read?.map_err(|fault| io::Error::other(fault.reason))?;
    if let Some((name, _)) = left.next() {
        return Err(io::Error::other(format!("the member `{}` is not there", Name::from(*name))));
    }
    io::copy(&mut reader, &mut io::sink()).map(|_| ())
}

fn is_like(member: &TarMember, entry: &Entry) -> bool {
    let size = if entry.kind == EntryKind::File { entry.size() } else { 0 };
    member.kind == entry.kind && member.size_bytes == size
}

/// Page maps whose pages files have other sizes than they tell. CRIU would read other pages, or none.
///
/// A directory that was dumped into twice keeps page maps of processes that are gone, and their number of a
/// pages file is that of another process now: a pages file is as it should be when one map tells its size.
pub(crate) fn pages(plan: &Plan, page_size: u64) -> Vec<Warning> {
    let mut told: BTreeMap<Vec<u8>, BTreeSet<u64>> = BTreeMap::new();
    for (name, entry) in plan.entries() {
        let (directory, file) = split_name(name);
        if !file.starts_with(b"pagemap-") || !file.ends_with(b".img") {
            continue;
        }
        let Content::Bytes(bytes) = &entry.content else { continue };
        let map = Image::parse(file, bytes).and_then(|image| PageMap::parse(image, page_size));
        // What cannot be read was told where the source was looked at.
        let Ok(map) = map else { continue };
        let Some(id) = map.pages_id() else { continue };
        let pages = joined(directory, format!("pages-{id}.img").as_bytes());
        told.entry(pages).or_default().insert(map.totals().file_bytes);
    }
    told.iter().filter_map(|(name, told)| size_warning(name, told, plan.get(name).map(Entry::size))).collect()
}

fn size_warning(name: &[u8], told: &BTreeSet<u64>, size: Option<u64>) -> Option<Warning> {
    let is_told = |size: u64| told.contains(&size);
    let bytes = told.last().filter(|_| !size.is_some_and(is_told))?;
    let found = size.map_or_else(|| "is not there".to_owned(), |size| format!("has {size} bytes"));
    let reason = format!(
        "`{}` {found}, and its page map tells of {bytes} bytes: CRIU restores other memory, or nothing",
        Name::from(name)
    );
    Some(Warning { code: "pages-size", reason })
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
