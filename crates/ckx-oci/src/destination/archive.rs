//! Archives: a tar of an OCI image layout, written in place, and tars as engines write them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ckx_archive::tarball::EntryKind;

use crate::compress::Finished;
use crate::destination::layout::{Index, MARKER};
use crate::destination::partial::Partial;
use crate::destination::{Commit, Destination, Readable};
use crate::image::{Descriptor, json};
use crate::layer::{self, Writing};
use crate::plan::{FILE_MODE, Plan, Purpose, Sources};
use crate::tarball::{Head, header, padding};
use crate::{Digest, Error};

/// A tar of an OCI image layout with one image. Blobs are written where they stay: the header of a blob
/// is put in front of it when its digest and size are known.
#[derive(Debug)]
pub struct ArchiveFile {
    path: PathBuf,
    tag: String,
    part: Option<Partial>,
    file: File,
    /// Where the next header goes.
    end: u64,
    /// Where the content of each blob begins.
    blobs: BTreeMap<Digest, u64>,
}

const HEADER_BYTES: u64 = 512;

impl ArchiveFile {
    /// Starts an archive. A file that has the name keeps it until the new one is complete.
    ///
    /// # Errors
    /// [`Error::Refused`] for what is no regular file; [`Error::Io`].
    pub fn create(path: &Path, tag: &str) -> Result<Self, Error> {
        let part = Partial::beside(path)?;
        let file = part.create()?;
        let mut archive = Self {
            path: path.to_owned(),
            tag: tag.to_owned(),
            part: Some(part),
            file,
            end: 0,
            blobs: BTreeMap::new(),
        };
        for name in ["blobs", "blobs/sha256"] {
            archive.member(name, EntryKind::Directory, b"")?;
        }
        archive.member("oci-layout", EntryKind::File, MARKER.as_bytes())?;
        Ok(archive)
    }

    fn member(&mut self, name: &str, kind: EntryKind, content: &[u8]) -> Result<(), Error> {
        let mode = if kind == EntryKind::Directory { 0o755 } else { 0o644 };
        let size = content.len() as u64;
        let head = header(&Head { name: name.as_bytes(), kind, link: b"", mode, size });
        let bytes = [&head, content, padding(size)].concat();
        self.file.write_all_at(&bytes, self.end).map_err(|error| self.failed(error))?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

impl Destination for ArchiveFile {
    fn begin(&mut self, _: Option<(Digest, u64)>) -> Result<Box<dyn Write + Send>, Error> {
        let start = SeekFrom::Start(self.end + HEADER_BYTES);
        let mut file = self.file.try_clone().map_err(|error| self.failed(error))?;
        file.seek(start).map_err(|error| self.failed(error))?;
        Ok(Box::new(file))
    }

    fn underway(&self) -> Result<Option<(Readable, u64)>, Error> {
        let file = self.file.try_clone().map_err(Error::io("read", &self.path))?;
        Ok(Some((Readable::new(Arc::new(file)), self.end + HEADER_BYTES)))
    }

    fn commit(&mut self, digest: Digest, bytes: u64) -> Result<Commit, Error> {
        if self.blobs.contains_key(&digest) {
            self.file.set_len(self.end).map_err(|error| self.failed(error))?;
            return Ok(Commit::Reused);
        }
        let name = blob_name(digest);
        let head = header(&Head {
            name: name.as_bytes(),
            kind: EntryKind::File,
            link: b"",
            mode: 0o644,
            size: bytes,
        });
        if head.len() as u64 != HEADER_BYTES {
            return Err(Error::refused("a layer of 8 GiB or more does not fit an OCI archive")
                .hinted("write an OCI layout with oci:DIR, or make smaller layers with --layers kind"));
        }
        self.blobs.insert(digest, self.end + HEADER_BYTES);
        let fail = |error| Error::io("write", &self.path)(error);
        self.file.write_all_at(&head, self.end).map_err(fail)?;
        let content_end = self.end + HEADER_BYTES + bytes;
        let padding = padding(bytes);
        self.file.write_all_at(padding, content_end).map_err(fail)?;
        self.end = content_end + padding.len() as u64;
        Ok(Commit::Stored)
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io("write", &self.path)(error)
    }

    fn put(&mut self, _: &str, blob: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(blob);
        if !self.blobs.contains_key(&digest) {
            self.blobs.insert(digest, self.end + HEADER_BYTES);
            self.member(&blob_name(digest), EntryKind::File, blob)?;
        }
        Ok(digest)
    }

    fn blob(&self, digest: Digest, bytes: u64) -> Result<Option<Box<dyn Read>>, Error> {
        let start = self.blobs.get(&digest).ok_or_else(|| Error::Unsound(format!("{digest} is missing")))?;
        let mut file = self.file.try_clone().map_err(Error::io("read", &self.path))?;
        file.seek(SeekFrom::Start(*start)).map_err(Error::io("read", &self.path))?;
        Ok(Some(Box::new(file.take(bytes))))
    }

    fn finish(&mut self, manifest: &[u8], entry: Descriptor) -> Result<(), Error> {
        self.put(&entry.media_type, manifest)?;
        let mut index = Index::new();
        index.add(entry, &self.tag);
        self.member("index.json", EntryKind::File, &json(&index))?;
        self.file.write_all_at(&[0; 1024], self.end).map_err(|error| self.failed(error))?;
        match self.part.take() {
            Some(part) => part.place(&self.path),
            None => Ok(()),
        }
    }
}

/// Writes a plan as one tar.
///
/// # Errors
/// [`Error::Refused`] for members that cannot be in one; those of the source; [`Error::Io`].
pub fn write_tar(
    sources: Sources<'_>,
    plan: &Plan,
    writing: Writing,
    path: &Path,
) -> Result<Finished, Error> {
    plan.check(Purpose::Archive)?;
    let part = Partial::beside(path)?;
    let file = part.create()?;
    let members: Vec<_> = plan.entries().collect();
    let (_, result) = layer::write(sources, &members, writing, file)?;
    let finished = result.map_err(Error::io("write", path))?;
    part.place(path)?;
    Ok(finished)
}

const _: () = assert!(FILE_MODE == 0o600, "archives hold memory");
