//! Images of a registry as sources.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use ckx_archive::Remote;
use ckx_archive::archive::RemoteRoot;
use futures_util::StreamExt as _;
use oci_client::RegistryOperation;
use oci_client::client::BlobResponse;
use oci_client::errors::DigestError;
use oci_client::manifest::OciDescriptor;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};

use crate::registry::{Failure, Kind, Registry, SCHEME, Settings, expect, limited};
use crate::{Digest, Error};

/// What is asked for when a name may lead to an index or to a manifest.
const DOCUMENTS: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

/// The largest document that is read.
const MAX_DOCUMENT: usize = 8 << 20;

/// An image of a registry that is read.
#[derive(Debug)]
pub struct Pulled {
    registry: Arc<Registry>,
    root: RemoteRoot,
}

impl Pulled {
    /// Opens a source as it is written on the command line, if it is an image of a registry.
    ///
    /// # Errors
    /// [`Error::Registry`] when the image cannot be had; [`Error::Refused`] for a name that is none.
    pub fn of_source(written: &str, settings: Settings) -> Result<Option<Self>, Error> {
        match written.strip_prefix(SCHEME) {
            Some(name) => Self::open(name, settings).map(Some),
            None => Ok(None),
        }
    }

    /// Opens an image.
    ///
    /// # Errors
    /// As [`Pulled::of_source`].
    pub fn open(name: &str, settings: Settings) -> Result<Self, Error> {
        let registry = Registry::connect(name, settings)?;
        let reference = registry.reference.clone();
        let wanted = reference.digest().or(reference.tag()).unwrap_or("latest");
        let (bytes, media_type) =
            registry.document(wanted).map_err(|failure| registry.fault("read", &failure))?;
        let digest = Digest::of(&bytes).to_string();
        if reference.digest().is_some_and(|wanted| wanted.starts_with("sha256:") && wanted != digest) {
            let failure = Failure::new(Kind::Protocol, format!("it has the digest {digest}"));
            return Err(registry.fault("read", &failure));
        }
        let root = RemoteRoot { bytes, digest, media_type, tag: registry.tag().map(str::to_owned) };
        Ok(Self { registry, root })
    }

    /// Host and repository, for mounting blobs from there.
    pub fn place(&self) -> (&str, &str) {
        (self.registry.host(), self.registry.repository())
    }
}

impl Remote for Pulled {
    fn root(&self) -> RemoteRoot {
        self.root.clone()
    }

    fn manifest(&self, digest: &str) -> Result<Bytes, String> {
        self.registry.document(digest).map(|(bytes, _)| bytes).map_err(|failure| failure.to_string())
    }

    fn blob(&self, digest: &str) -> Result<Box<dyn Read + '_>, String> {
        let mut reader = Blob::new(&self.registry, digest);
        reader.open().map_err(|failure| failure.to_string())?;
        Ok(Box::new(reader))
    }
}

impl Registry {
    /// A manifest or an index, with its media type.
    fn document(&self, wanted: &str) -> Result<(Bytes, String), Failure> {
        let url = self.place(&format!("manifests/{wanted}"))?;
        self.retrying(async || {
            let request = self.request(Method::GET, url.clone(), RegistryOperation::Pull).await?;
            let response = expect(request.header(ACCEPT, DOCUMENTS).send().await?, &[StatusCode::OK]).await?;
            let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = media_type.unwrap_or_default().to_owned();
            let bytes = limited(response, MAX_DOCUMENT + 1).await?;
            if bytes.len() > MAX_DOCUMENT {
                return Err(Failure::new(Kind::Protocol, "the manifest is larger than any"));
            }
            Ok((bytes.into(), media_type))
        })
    }
}

type Chunks = futures_util::stream::BoxStream<'static, io::Result<Bytes>>;

/// A blob that is read as it comes. After a cut it goes on where it was.
struct Blob<'a> {
    registry: &'a Registry,
    digest: String,
    chunks: Option<Chunks>,
    chunk: Bytes,
    /// Bytes that came.
    offset: u64,
    /// Attempts without a byte.
    attempt: u32,
}

impl fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl<'a> Blob<'a> {
    fn new(registry: &'a Registry, digest: &str) -> Self {
        Self { registry, digest: digest.to_owned(), chunks: None, chunk: Bytes::new(), offset: 0, attempt: 0 }
    }

    fn open(&mut self) -> Result<(), Failure> {
        let descriptor = OciDescriptor { digest: self.digest.clone(), ..OciDescriptor::default() };
        let registry = self.registry;
        let offset = self.offset;
        let response = registry.retrying(async || {
            registry.client.store_auth_if_needed(registry.host(), &registry.login.auth).await;
            let image = &registry.reference;
            Ok(registry.client.pull_blob_stream_partial(image, &descriptor, offset, None).await?)
        })?;
        let (chunks, skip) = match response {
            BlobResponse::Partial(sized) => (sized.stream, 0),
            // It gives only all: what came before comes again.
            BlobResponse::Full(sized) => (sized.stream, offset),
        };
        let mut skip = skip;
        self.chunks = Some(Box::pin(chunks.filter_map(move |chunk| {
            let kept = chunk.map(|mut bytes| {
                let cut = skip.min(bytes.len() as u64);
                skip -= cut;
                bytes.split_off(cut as usize)
            });
            let is_nothing = kept.as_ref().is_ok_and(Bytes::is_empty);
            std::future::ready((!is_nothing).then_some(kept))
        })));
        Ok(())
    }

    /// The next bytes; none at the end.
    fn next(&mut self) -> io::Result<Bytes> {
        loop {
            if self.chunks.is_none() {
                self.open().map_err(|failure| io::Error::other(failure.to_string()))?;
            }
            let Some(chunks) = &mut self.chunks else { continue };
            let error = match self.registry.runtime.block_on(chunks.next()) {
                None => return Ok(Bytes::new()),
                Some(Ok(bytes)) => {
                    self.attempt = 0;
                    self.offset += bytes.len() as u64;
                    return Ok(bytes);
                }
                Some(Err(error)) => error,
            };
            if error.get_ref().is_some_and(|inner| inner.is::<DigestError>()) {
                // The reader of the blob finds out itself, with all bytes in its hands.
                return Ok(Bytes::new());
            }
            self.chunks = None;
            self.attempt += 1;
            let failure = Failure::new(Kind::Cut, innermost(&error));
            if self.attempt >= self.registry.settings.attempts {
                return Err(io::Error::other(failure.to_string()));
            }
            self.registry.wait(self.attempt, &failure);
        }
    }
}

/// The last of the causes of an error.
fn innermost(error: &io::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.chunk = self.next()?;
        }
        let part = self.chunk.split_to(self.chunk.len().min(buffer.len()));
        if let Some(target) = buffer.get_mut(..part.len()) {
            target.copy_from_slice(&part);
        }
        Ok(part.len())
    }
}
