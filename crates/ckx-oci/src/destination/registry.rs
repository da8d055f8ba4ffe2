//! A registry that an image is pushed to.
//!
//! Small blobs are kept until their digest is known, and sent only if the registry lacks them. Large ones are
//! sent while they are made to a repository that is new. To others they are made twice: the first time for
//! their digest, since memory of an earlier checkpoint is mostly there already and the network is slower than
//! the processor; the second time they are sent. Nothing is put on a disk.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::destination::{Commit, Destination};
use crate::image::Descriptor;
use crate::registry::{Begun, Failure, Kind, Registry, Upload};
use crate::{Digest, Error};

/// How often a blob is sent from its beginning after the registry lost it.
const RESTARTS: u32 = 5;

/// An image on its way to a registry.
#[derive(Debug)]
pub struct Push {
    registry: Arc<Registry>,
    underway: Arc<Mutex<Underway>>,
    /// Whether the repository has nothing yet; asked when a large blob comes.
    is_new: Arc<OnceLock<bool>>,
    restarts: u32,
}

/// The blob that is written.
#[derive(Debug, Default)]
struct Underway {
    kept: Vec<u8>,
    is_too_large: bool,
    upload: Option<Upload>,
    failure: Option<Failure>,
}

impl Push {
    /// Prepares to push to what a registry was connected with.
    ///
    /// # Errors
    /// [`Error::Refused`] for a name with a digest: that follows from what is pushed.
    pub fn new(registry: Arc<Registry>) -> Result<Self, Error> {
        if registry.tag().is_none() {
            return Err(Error::refused("an image is not pushed to a digest")
                .hinted("name a tag, as in docker://HOST/NAME:TAG"));
        }
        Ok(Self { registry, underway: Arc::default(), is_new: Arc::default(), restarts: 0 })
    }

    fn underway(&self) -> MutexGuard<'_, Underway> {
        self.underway.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self) -> impl Fn(Failure) -> Error {
        let registry = Arc::clone(&self.registry);
        move |failure| registry.fault("push to", &failure)
    }

    /// Asks the registry for a blob from its other repositories; gives the upload that it begins otherwise.
    fn mount(&self, digest: Digest) -> Result<Begun, Failure> {
        let from = self.registry.settings.mount_from.iter();
        let other = from.filter(|from| *from != self.registry.repository());
        let mut upload = None;
        for from in other {
            if let Some(Begun::Upload(upload)) = upload.take() {
                Upload::cancel(upload);
            }
            match Upload::begin(&self.registry, Some((digest, from.as_str())))? {
                Begun::Mounted => return Ok(Begun::Mounted),
                begun @ Begun::Upload(_) => upload = Some(begun),
            }
        }
        upload.map_or_else(|| Upload::begin(&self.registry, None), Ok)
    }

    /// Sends a blob that is kept.
    fn send(&self, mut upload: Upload, blob: &[u8], digest: Digest) -> Result<(), Failure> {
        let mut restarts = 0;
        loop {
            let lost = match upload.write(blob).and_then(|()| upload.finish(digest)) {
                Err(failure) if failure.kind == Kind::Lost && restarts < RESTARTS => failure,
                other => return other,
            };
            restarts += 1;
            self.registry.wait(restarts, &lost);
            upload = match Upload::begin(&self.registry, None)? {
                Begun::Upload(upload) => upload,
                Begun::Mounted => return Ok(()),
            };
        }
    }

    fn commit_kept(&self, kept: &[u8], digest: Digest) -> Result<Commit, Failure> {
        if self.registry.has(&digest.to_string())? {
            // Another push was here, maybe one that was cut: large blobs may be there too.
            let _ = self.is_new.set(false);
            return Ok(Commit::Reused);
        }
        match self.mount(digest)? {
            Begun::Mounted => Ok(Commit::Reused),
            Begun::Upload(upload) => self.send(upload, kept, digest).map(|()| Commit::Stored),
        }
    }

    /// After the first time that a large blob was made.
    fn commit_hashed(&self, digest: Digest) -> Result<Commit, Failure> {
        if self.registry.has(&digest.to_string())? {
            return Ok(Commit::Reused);
        }
        if self.registry.settings.mount_from.is_empty() {
            return Ok(Commit::Repeat);
        }
        Ok(match self.mount(digest)? {
            Begun::Mounted => Commit::Reused,
            Begun::Upload(upload) => {
                upload.cancel();
                Commit::Repeat
            }
        })
    }

    /// After it was sent.
    fn commit_sent(&mut self, upload: Upload, digest: Digest) -> Result<Commit, Failure> {
        let lost = self.underway().failure.take();
        let lost = match lost.map_or_else(|| upload.finish(digest), Err) {
            Ok(()) => {
                self.restarts = 0;
                return Ok(Commit::Stored);
            }
            Err(failure) if failure.kind == Kind::Lost && self.restarts < RESTARTS => failure,
            Err(failure) => return Err(failure),
        };
        self.restarts += 1;
        self.registry.wait(self.restarts, &lost);
        Ok(Commit::Repeat)
    }
}

impl Destination for Push {
    fn begin(&mut self, known: Option<(Digest, u64)>) -> Result<Box<dyn Write + Send>, Error> {
        let mut underway = Underway::default();
        if known.is_some() {
            match Upload::begin(&self.registry, None).map_err(self.fault())? {
                Begun::Upload(upload) => underway.upload = Some(upload),
                Begun::Mounted => return Err(Error::Unsound("a blob was mounted unasked".to_owned())),
            }
        }
        *self.underway() = underway;
        Ok(Box::new(Sink {
            underway: Arc::clone(&self.underway),
            registry: Arc::clone(&self.registry),
            is_new: Arc::clone(&self.is_new),
        }))
    }

    fn commit(&mut self, digest: Digest, _: u64) -> Result<Commit, Error> {
        let (kept, is_too_large, upload) = {
            let mut underway = self.underway();
            (std::mem::take(&mut underway.kept), underway.is_too_large, underway.upload.take())
        };
        match upload {
            Some(upload) => self.commit_sent(upload, digest),
            None if is_too_large => self.commit_hashed(digest),
            None => self.commit_kept(&kept, digest),
        }
        .map_err(self.fault())
    }

    fn failed(&self, error: io::Error) -> Error {
        let failure = self.underway().failure.take();
        self.fault()(failure.unwrap_or_else(|| Failure::new(Kind::Protocol, error.to_string())))
    }

    fn put(&mut self, _: &str, blob: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(blob);
        self.commit_kept(blob, digest).map_err(self.fault())?;
        Ok(digest)
    }

    fn blob(&self, _: Digest, _: u64) -> Result<Option<Box<dyn Read>>, Error> {
        // The registry compared the digest before it took the blob, or said that it has it.
        Ok(None)
    }

    fn finish(&mut self, manifest: &[u8], entry: Descriptor) -> Result<(), Error> {
        let told = self.registry.put_manifest(manifest, &entry.media_type).map_err(self.fault())?;
        match told {
            Some(told) if told != entry.digest => Err(Error::Unsound(format!(
                "the registry says that the manifest is {told}, not {}",
                entry.digest
            ))),
            _ => Ok(()),
        }
    }
}

/// Where the bytes of a blob go.
struct Sink {
    underway: Arc<Mutex<Underway>>,
    registry: Arc<Registry>,
    is_new: Arc<OnceLock<bool>>,
}

impl Sink {
    /// Whether a blob of which nothing is known may be sent: where it cannot be there already.
    fn may_send(&self) -> bool {
        self.registry.settings.mount_from.is_empty()
            && *self.is_new.get_or_init(|| self.registry.is_empty().unwrap_or(false))
    }

    /// What becomes of a blob that is too large to be kept.
    fn outgrown(&self, underway: &mut Underway, buffer: &[u8]) -> Result<(), Failure> {
        let kept = std::mem::take(&mut underway.kept);
        if !self.may_send() {
            underway.is_too_large = true;
            return Ok(());
        }
        if let Begun::Upload(upload) = Upload::begin(&self.registry, None)? {
            let upload = underway.upload.insert(upload);
            upload.write(&kept)?;
            upload.write(buffer)?;
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut underway = self.underway.lock().unwrap_or_else(PoisonError::into_inner);
        let underway = &mut *underway;
        let result = match (&mut underway.upload, &underway.failure) {
            // It is made to its end, and then once more.
            (Some(_), Some(_)) => Ok(()),
            (Some(upload), None) => upload.write(buffer),
            (None, _) if underway.is_too_large => Ok(()),
            (None, _) if underway.kept.len() + buffer.len() > self.registry.settings.kept_bytes => {
                self.outgrown(underway, buffer)
            }
            (None, _) => {
                underway.kept.extend_from_slice(buffer);
                Ok(())
            }
        };
        if let Err(failure) = result {
            let is_lost = failure.kind == Kind::Lost;
            underway.failure = Some(failure);
            if !is_lost {
                return Err(io::Error::other("the upload failed"));
            }
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
