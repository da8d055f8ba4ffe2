//! A directory in the OCI image layout. Images that are there stay.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::annotations::RECOGNITION;
use crate::destination::existing::{Blob, Comparing};
use crate::destination::partial::Partial;
use crate::destination::{Commit, Destination, Readable};
use crate::image::{Annotations, Descriptor, INDEX_TYPE, json};
use crate::{Digest, Error};

/// The file that makes a directory a layout.
pub(crate) const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// Where its blobs are.
const BLOBS: &str = "blobs/sha256";
/// The annotation of an entry of the index that holds its tag.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The one in which containerd looks for a full name.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The index of a layout.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub schema_version: u32,
    #[serde(default = "index_type")]
    pub media_type: String,
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    #[serde(flatten)]
    pub rest: std::collections::BTreeMap<String, serde_json::Value>,
}

fn index_type() -> String {
    INDEX_TYPE.to_owned()
}

impl Index {
    pub fn new() -> Self {
        Self {
            schema_version: 2,
            media_type: index_type(),
            manifests: Vec::new(),
            annotations: Annotations::new(),
            rest: Default::default(),
        }
    }

    /// Adds an image, in the place of another with its tag.
    pub fn add(&mut self, mut entry: Descriptor, tag: &str) {
        self.manifests.retain(|other| other.annotations.get(REF_NAME).is_none_or(|name| name != tag));
        entry.annotations.retain(|key, _| RECOGNITION.contains(&key.as_str()));
        let recognition = entry.annotations.clone();
        entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        if tag.contains('/') {
            entry.annotations.insert(CONTAINERD_NAME.to_owned(), tag.to_owned());
        }
        self.manifests.push(entry);
        // What stands on the index holds for all of its images.
        self.annotations.retain(|key, _| !RECOGNITION.contains(&key.as_str()));
        if self.manifests.len() == 1 {
            self.annotations.extend(recognition);
        }
    }
}

/// A layout that is written to.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    tag: String,
    underway: Option<Underway>,
    /// Whether the directory is ours and has no image yet: it goes when none comes about.
    is_new: bool,
}

/// A blob that is written.
#[derive(Debug)]
struct Underway {
    part: Partial,
    readable: Readable,
    /// The blob that it turned out to be; then there is no file.
    same: Arc<OnceLock<PathBuf>>,
}

impl Drop for Layout {
    fn drop(&mut self) {
        self.underway = None;
        if self.is_new && !self.is_used() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Layout {
    /// Opens a directory, or makes it.
    ///
    /// # Errors
    /// [`Error::Refused`] for a directory that holds something else; [`Error::Io`].
    pub fn open(path: &Path, tag: &str) -> Result<Self, Error> {
        let marker = path.join("oci-layout");
        let is_layout = marker.exists();
        if !is_layout && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::refused(format!("`{}` is not empty and no OCI image layout", path.display()))
                .hinted("name a new directory, or one that has a file `oci-layout`"));
        }
        let is_new = !path.exists();
        let blobs = path.join(BLOBS);
        fs::create_dir_all(&blobs).map_err(Error::io("create", &blobs))?;
        let layout = Self { path: path.to_owned(), tag: tag.to_owned(), underway: None, is_new };
        if !is_layout {
            let part = Partial::new(path);
            part.create()?.write_all(MARKER.as_bytes()).map_err(Error::io("write", &marker))?;
            part.place(&marker)?;
        }
        Ok(layout)
    }

    fn path_of(&self, digest: Digest) -> PathBuf {
        self.path.join(BLOBS).join(digest.hex())
    }

    /// Whether somebody else has put an image there, or is about to.
    fn is_used(&self) -> bool {
        let Ok(mut entries) = fs::read_dir(&self.path) else { return true };
        entries.any(|entry| {
            entry.map_or(true, |entry| !["oci-layout", "blobs"].iter().any(|ours| entry.file_name() == *ours))
        })
    }

    /// The index as it is now.
    fn index(&self) -> Result<Index, Error> {
        let path = self.path.join("index.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| Error::refused(format!("`{}` is no index: {error}", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::new()),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }
}

impl Destination for Layout {
    fn begin(&mut self, known: Option<(Digest, u64)>) -> Result<Box<dyn Write + Send>, Error> {
        let part = Partial::new(&self.path);
        let blobs = if known.is_none() { Blob::all(&self.path.join(BLOBS)) } else { Vec::new() };
        let (sink, readable, same): (Box<dyn Write + Send>, _, _) = match Comparing::with(blobs, part.path())
        {
            Some((sink, readable, same)) => (Box::new(sink), readable, same),
            None => {
                let file = part.create()?;
                let readable = File::open(part.path()).map_err(Error::io("read", part.path()))?;
                (Box::new(file), Readable::new(Arc::new(readable)), Arc::default())
            }
        };
        self.underway = Some(Underway { part, readable, same });
        Ok(sink)
    }

    fn underway(&self) -> Result<Option<(Readable, u64)>, Error> {
        Ok(self.underway.as_ref().map(|underway| (underway.readable.clone(), 0)))
    }

    fn commit(&mut self, digest: Digest, bytes: u64) -> Result<Commit, Error> {
        let Some(Underway { part, same, .. }) = self.underway.take() else { return Ok(Commit::Stored) };
        let target = self.path_of(digest);
        if target.metadata().is_ok_and(|metadata| metadata.len() == bytes) {
            let is_same = same.get().is_some_and(|path| *path == target);
            return Ok(if is_same { Commit::Compared } else { Commit::Reused });
        }
        if !part.path().exists() {
            // It is like a blob that goes on behind it, or has another digest as its name.
            return Ok(Commit::Repeat);
        }
        part.place(&target)?;
        Ok(Commit::Stored)
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io("write", &self.path)(error)
    }

    fn put(&mut self, _: &str, blob: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(blob);
        let mut sink = self.begin(Some((digest, blob.len() as u64)))?;
        sink.write_all(blob).map_err(|error| self.failed(error))?;
        drop(sink);
        self.commit(digest, blob.len() as u64)?;
        Ok(digest)
    }

    fn blob(&self, digest: Digest, _: u64) -> Result<Option<Box<dyn Read>>, Error> {
        let path = self.path_of(digest);
        Ok(Some(Box::new(File::open(&path).map_err(Error::io("read", &path))?)))
    }

    fn finish(&mut self, manifest: &[u8], entry: Descriptor) -> Result<(), Error> {
        self.put(&entry.media_type, manifest)?;
        // Two runs that add to one layout must not lose each other's image.
        let lock = File::open(self.path.join("oci-layout")).map_err(|error| self.failed(error))?;
        lock.lock().map_err(Error::io("lock", &self.path))?;
        let mut index = self.index()?;
        index.add(entry, &self.tag);
        let part = Partial::new(&self.path);
        let target = self.path.join("index.json");
        part.create()?.write_all(&json(&index)).map_err(Error::io("write", &target))?;
        part.place(&target)?;
        self.is_new = false;
        Ok(())
    }
}
