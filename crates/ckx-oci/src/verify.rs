//! Whether what stands at the destination is what was meant, before the image is made known.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use ckx_archive::tarball::{self, EntryKind, Step, TarMember};
use ckx_core::Name;
use ckx_criu::kind::spec_by_file_name;
use ckx_criu::pages::PageMap;
use ckx_criu::{ErrorKind, Image};

use crate::Error;
use crate::compress::{Finished, Method};
use crate::describe::split_name;
use crate::digest::{Marked, Marker};
use crate::plan::{Content, Entry, Plan, joined};
use crate::repack::Warning;
use crate::rewrite::is_map;

/// What was found where a layer was read back.
pub(crate) struct Found {
    /// The blob.
    blob: Marked,
    /// The tar in it; `None` where the layer is the tar.
    plain: io::Result<Option<Marked>>,
}

/// Reads a layer back: the blob, the tar in it, and the members of that.
///
/// Both are compared by their marks: their digests are those of bytes with these marks, and SHA-256 of
/// both would take longer than decoding.
///
/// # Errors
/// When it cannot be read. What is wrong with what is read is in the result.
pub(crate) fn read(method: Method, blob: impl Read, expected: &[(&[u8], &Entry)]) -> io::Result<Found> {
    let mut blob = Marking { inner: blob, marker: Marker::default() };
    let plain = match method {
        Method::None => tar(&mut blob, expected).map(|()| None),
        Method::Gzip(_) => marked(flate2::read::MultiGzDecoder::new(&mut blob), expected).map(Some),
        Method::Zstd(_) => {
            zstd::stream::read::Decoder::new(&mut blob).and_then(|plain| marked(plain, expected)).map(Some)
        }
    };
    // A decoder may stop before the end of the blob: at what it cannot decode, or at trailing frames.
    io::copy(&mut blob, &mut io::sink())?;
    Ok(Found { blob: blob.marker.finish(), plain })
}

/// Compares what was found with the layer that was written.
///
/// # Errors
/// [`Error::Unsound`] when they differ, or when it could not be read.
pub(crate) fn layer(written: &Finished, found: io::Result<Found>) -> Result<(), Error> {
    let unsound = |what: &str| Error::Unsound(format!("the layer {} {what}", written.digest));
    let unreadable = |error: io::Error| unsound(&format!("cannot be read back: {error}"));
    let Found { blob, plain } = found.map_err(unreadable)?;
    if blob.bytes != written.mark.bytes {
        return Err(unsound(&format!("has {} bytes, not {}", blob.bytes, written.mark.bytes)));
    }
    if blob != written.mark {
        return Err(unsound("has other bytes than those that were written"));
    }
    match plain.map_err(unreadable)? {
        Some(plain) if plain != written.plain_mark => {
            Err(unsound(&format!("holds another tar than that with the digest {}", written.plain_digest)))
        }
        _ => Ok(()),
    }
}

fn marked(reader: impl Read, expected: &[(&[u8], &Entry)]) -> io::Result<Marked> {
    let mut marking = Marking { inner: reader, marker: Marker::default() };
    tar(&mut marking, expected)?;
    Ok(marking.marker.finish())
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

/// Page maps that cannot be read, and those whose pages files have other sizes than they tell. CRIU would read other pages, or none.
///
/// A directory that was dumped into twice keeps page maps of processes that are gone, and their number of a
/// pages file is that of another process now: a pages file is as it should be when one map tells its size.
pub(crate) fn pages(plan: &Plan, page_size: u64) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut told: BTreeMap<Vec<u8>, BTreeSet<u64>> = BTreeMap::new();
    for (name, entry) in plan.entries() {
        let (directory, file) = split_name(name);
        if !is_map(file) {
            continue;
        }
        let Content::Bytes(bytes) = &entry.content else { continue };
        let map = match page_map(file, bytes, page_size) {
            Ok(map) => map,
            // Only of the forms of drafts it is not known what some CRIU makes of them.
            Err(error) if matches!(error.kind(), ErrorKind::UnsupportedPageMap { .. }) => continue,
            Err(error) => {
                warnings.push(restores_nothing(name, &error));
                continue;
            }
        };
        let Some(id) = map.pages_id() else { continue };
        let pages = joined(directory, format!("pages-{id}.img").as_bytes());
        told.entry(pages).or_default().insert(map.totals().file_bytes);
    }
    let sizes = told.iter().map(|(name, told)| size_warning(name, told, plan.get(name).map(Entry::size)));
    warnings.extend(sizes.flatten());
    warnings
}

/// Other images that CRIU will not be able to read. They are packed as they are: a checkpoint is evidence too.
pub(crate) fn images(plan: &Plan, directory: &[u8]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (name, entry) in plan.entries().filter(|(name, _)| is_below(directory, name)) {
        let (_, file) = split_name(name);
        let Content::Bytes(bytes) = &entry.content else { continue };
        if spec_by_file_name(file).is_some()
            && !is_map(file)
            && let Err(error) = readable(file, bytes)
        {
            warnings.push(restores_nothing(name, &error));
        }
    }
    warnings
}

fn is_below(directory: &[u8], name: &[u8]) -> bool {
    directory.is_empty() || name.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

/// What is wrong with an image, and where.
pub(crate) fn unreadable(name: &[u8], error: &ckx_criu::Error) -> String {
    let place = if error.offset() == 0 { String::new() } else { format!(" at offset {:#x}", error.offset()) };
    format!("`{}` cannot be read{place}: {}", Name::from(name), error.message())
}

fn restores_nothing(name: &[u8], error: &ckx_criu::Error) -> Warning {
    let reason = format!("{}: CRIU restores nothing", unreadable(name, error));
    Warning { code: "unreadable-image", reason }
}

/// Reads a page map to its end.
///
/// # Errors
/// The first fault.
pub(crate) fn page_map<'a>(
    file: &'a [u8],
    bytes: &'a [u8],
    page_size: u64,
) -> Result<PageMap<'a>, ckx_criu::Error> {
    PageMap::parse(Image::parse(file, bytes)?, page_size)
}

/// Reads an image to its end.
///
/// # Errors
/// The first fault.
fn readable(file: &[u8], bytes: &[u8]) -> Result<(), ckx_criu::Error> {
    for entry in Image::parse(file, bytes)?.entries() {
        entry?.check()?;
    }
    Ok(())
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

/// Marks what is read through it.
struct Marking<R> {
    inner: R,
    marker: Marker,
}

impl<R: Read> Read for Marking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.marker.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
