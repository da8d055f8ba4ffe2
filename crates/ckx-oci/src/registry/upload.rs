//! Uploads of blobs, in chunks, that go on where they were cut.

use std::sync::Arc;

use bytes::Bytes;
use oci_client::RegistryOperation;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use crate::Digest;
use crate::registry::{Failure, Kind, Registry, expect};

/// The smallest part into which a chunk is cut when a proxy finds it too large.
const MIN_PART: usize = 1 << 20;
/// The largest chunk, also if the registry asks for more.
const MAX_CHUNK: usize = 64 << 20;

/// The upload of one blob.
#[derive(Debug)]
pub(crate) struct Upload {
    registry: Arc<Registry>,
    /// Where the next request goes.
    location: Url,
    /// Bytes that the registry has.
    sent: u64,
    chunk: Vec<u8>,
    chunk_bytes: usize,
}

/// What became of the wish to begin one.
#[derive(Debug)]
pub(crate) enum Begun {
    /// The registry had the blob in another repository.
    Mounted,
    /// It takes the blob.
    Upload(Upload),
}

impl Upload {
    /// Begins. With `mount` the registry is asked first whether it has the blob in that repository.
    pub fn begin(registry: &Arc<Registry>, mount: Option<(Digest, &str)>) -> Result<Begun, Failure> {
        let mut url = registry.place("blobs/uploads/")?;
        if let Some((digest, from)) = mount {
            url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        }
        let good = [StatusCode::ACCEPTED, StatusCode::CREATED];
        let (status, location, least) = registry.retrying(async || {
            let request = registry.request(Method::POST, url.clone(), RegistryOperation::Push).await?;
            let response = expect(request.header(CONTENT_LENGTH, 0).send().await?, &good).await?;
            let least =
                response.headers().get("oci-chunk-min-length").and_then(|v| v.to_str().ok()?.parse().ok());
            let status = response.status();
            // What is mounted needs no place.
            let location = if status == StatusCode::CREATED { url.clone() } else { next(&url, &response)? };
            Ok((status, location, least))
        })?;
        if status == StatusCode::CREATED && mount.is_some() {
            return Ok(Begun::Mounted);
        }
        let chunk_bytes = registry.settings.chunk_bytes.max(least.unwrap_or(0)).min(MAX_CHUNK);
        Ok(Begun::Upload(Self {
            registry: Arc::clone(registry),
            location,
            sent: 0,
            chunk: Vec::new(),
            chunk_bytes,
        }))
    }

    /// Takes the next bytes. What was lost is [`Kind::Lost`]: the blob has to be sent from its beginning.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let room = self.chunk_bytes - self.chunk.len().min(self.chunk_bytes);
            let (part, rest) = bytes.split_at(room.min(bytes.len()));
            self.chunk.extend_from_slice(part);
            bytes = rest;
            if self.chunk.len() >= self.chunk_bytes {
                self.send()?;
            }
        }
        Ok(())
    }

    /// Sends what was gathered. After a fault the registry is asked how far it has come.
    fn send(&mut self) -> Result<(), Failure> {
        let chunk = Bytes::from(std::mem::take(&mut self.chunk));
        let start = self.sent;
        let mut part_bytes = chunk.len();
        let mut attempt = 0;
        loop {
            let done = usize::try_from(self.sent - start).unwrap_or(usize::MAX);
            let part = chunk.slice(done.min(chunk.len())..done.saturating_add(part_bytes).min(chunk.len()));
            if part.is_empty() {
                return Ok(());
            }
            let Err(failure) = self.patch(part) else {
                attempt = 0;
                continue;
            };
            if failure.is_status(404) {
                return Err(lost(failure));
            }
            let is_too_large = failure.is_status(413) && part_bytes > MIN_PART;
            if is_too_large {
                part_bytes = (part_bytes / 2).max(MIN_PART);
                self.chunk_bytes = part_bytes;
            } else {
                attempt += 1;
                let is_over = attempt >= self.registry.settings.attempts;
                if is_over || !(failure.is_passing() || failure.is_status(416)) {
                    return Err(failure);
                }
                self.registry.wait(attempt, &failure);
            }
            self.resume(start, chunk.len() as u64)?;
        }
    }

    /// One part, once.
    fn patch(&mut self, part: Bytes) -> Result<(), Failure> {
        let len = part.len() as u64;
        let range = format!("{}-{}", self.sent, self.sent + len - 1);
        let registry = Arc::clone(&self.registry);
        let url = self.location.clone();
        // Bodies are not repeated without a look at what arrived.
        let location = registry.once(async || {
            let request = registry.request(Method::PATCH, url.clone(), RegistryOperation::Push).await?;
            let request = request
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, len)
                .header(CONTENT_RANGE, range.as_str());
            // Some registries answer 204 or 201 here.
            let good = [StatusCode::ACCEPTED, StatusCode::NO_CONTENT, StatusCode::CREATED];
            next(&url, &expect(request.body(part.clone()).send().await?, &good).await?)
        })?;
        self.location = location;
        self.sent += len;
        if let Some(progress) = &registry.settings.progress {
            progress.add(len as usize);
        }
        Ok(())
    }

    /// Asks how far the upload has come, and goes on there.
    fn resume(&mut self, start: u64, len: u64) -> Result<(), Failure> {
        let registry = Arc::clone(&self.registry);
        let url = self.location.clone();
        let answer = registry.retrying(async || {
            let request = registry.request(Method::GET, url.clone(), RegistryOperation::Push).await?;
            let good = [StatusCode::NO_CONTENT, StatusCode::ACCEPTED, StatusCode::OK];
            let response = expect(request.send().await?, &good).await?;
            Ok((next(&url, &response)?, end_of(&response)))
        });
        let (location, have) = match answer {
            Ok(answer) => answer,
            Err(failure) if matches!(failure.kind, Kind::Status(400 | 404 | 405 | 416)) => {
                return Err(lost(failure));
            }
            Err(failure) => return Err(failure),
        };
        if have < start || have > start + len {
            return Err(Failure::new(Kind::Lost, format!("it has {have} bytes of {start}")));
        }
        (self.location, self.sent) = (location, have);
        Ok(())
    }

    /// Sends the rest and gives the blob its name.
    pub fn finish(mut self, digest: Digest) -> Result<(), Failure> {
        if self.sent > 0 && !self.chunk.is_empty() {
            self.send()?;
        }
        // A blob that fits a chunk is sent with its name: two requests in all.
        let body = Bytes::from(std::mem::take(&mut self.chunk));
        let mut url = self.location.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let registry = self.registry;
        let len = body.len();
        let mut attempt = 0;
        loop {
            let result = registry.once(async || {
                let request = registry.request(Method::PUT, url.clone(), RegistryOperation::Push).await?;
                let request = request.header(CONTENT_TYPE, "application/octet-stream");
                let response = request.header(CONTENT_LENGTH, len).body(body.clone()).send().await?;
                let good = [StatusCode::CREATED, StatusCode::NO_CONTENT];
                expect(response, &good).await.map(drop)
            });
            let failure = match result {
                Ok(()) => break,
                Err(failure) => failure,
            };
            if failure.is_status(404) {
                return Err(lost(failure));
            }
            attempt += 1;
            if !failure.is_passing() || attempt >= registry.settings.attempts {
                return Err(failure);
            }
            registry.wait(attempt, &failure);
            // The answer may have been lost, not the request.
            if registry.has(&digest.to_string())? {
                break;
            }
            if len > 0 {
                // Part of the body may have arrived.
                return Err(lost(failure));
            }
        }
        if let Some(progress) = &registry.settings.progress {
            progress.add(len);
        }
        Ok(())
    }

    /// Gives an upload up. The registry would find out by itself, after days.
    pub fn cancel(self) {
        let registry = self.registry;
        let url = self.location;
        let _ = registry.once(async || {
            let request = registry.request(Method::DELETE, url.clone(), RegistryOperation::Push).await?;
            Ok(request.send().await?)
        });
    }
}

impl Registry {
    /// Does something once, or twice if the token is too old.
    fn once<T>(&self, work: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
        match self.runtime.block_on(work()) {
            Err(failure) if failure.is_status(401) && self.forget_token() => self.runtime.block_on(work()),
            other => other,
        }
    }
}

/// The registry knows nothing of the upload any more: registries forget those that took long.
fn lost(failure: Failure) -> Failure {
    Failure { kind: Kind::Lost, ..failure }
}

/// Where the next request of an upload goes.
fn next(url: &Url, response: &Response) -> Result<Url, Failure> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| Failure::new(Kind::Protocol, "it has no Location"))?;
    let next = url.join(location).map_err(|error| Failure::new(Kind::Protocol, error.to_string()))?;
    if matches!(next.scheme(), "http" | "https") {
        Ok(next)
    } else {
        Err(Failure::new(Kind::Protocol, "its Location is no web address"))
    }
}

/// Bytes that a registry has of an upload. `0-0` is said of none and of one, and chunks are larger.
fn end_of(response: &Response) -> u64 {
    let range = response.headers().get(RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let last = range.rsplit('-').next().and_then(|last| last.parse::<u64>().ok());
    last.filter(|last| *last > 0).map_or(0, |last| last.saturating_add(1))
}
