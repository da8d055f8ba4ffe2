//! Blobs of an OCI layout, in a directory or in a tar of one.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256, Sha512};

use crate::archive::blob::Layer;
use crate::archive::content::Content;
use crate::archive::oci::remote;
use crate::archive::oci::spec::{Descriptor, blob_name};
use crate::archive::{Archive, Fault, Remote};
use crate::open_file;

/// The largest document of an image that is read. Registries take 4 MiB.
pub(in crate::archive) const MAX_DOCUMENT: u64 = 8 << 20;

/// Where blobs are.
pub(super) enum Blobs<'a> {
    /// In a directory.
    Directory(PathBuf),
    /// In a tar: the members of the outer one.
    Members(Archive),
    /// Elsewhere.
    Remote(&'a dyn Remote),
}

/// A blob, as far as it is there.
pub(super) enum Blob<'a> {
    /// Its bytes. They are fewer than they should be if the source is cut off.
    Bytes(Bytes),
    /// A layer that was read while it went by.
    Layer(Layer),
    /// A layer that is read as it comes.
    Stream(Box<dyn Read + 'a>),
}

impl Blobs<'_> {
    /// A file at the top of the layout.
    pub fn top(&self, name: &str) -> Result<Bytes, String> {
        match self.get(name)? {
            Blob::Bytes(bytes) => Ok(bytes),
            Blob::Layer(_) | Blob::Stream(_) => Err(format!("{name} is no document")),
        }
    }

    /// A JSON document. Its digest is always checked, a wrong one is told.
    pub fn document(&self, descriptor: &Descriptor, faults: &mut Vec<Fault>) -> Result<Bytes, String> {
        let name = name_of(descriptor)?;
        let bytes = match self {
            Self::Remote(remote) => remote::document(*remote, descriptor)?,
            _ => self.top(&name)?,
        };
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(format!("{name} is larger than any image description"));
        }
        check(descriptor, &name, &bytes, true, faults);
        Ok(bytes)
    }

    /// A layer. Its size is always checked, its digest if `verify` asks for it.
    pub fn layer(
        &self,
        descriptor: &Descriptor,
        verify: bool,
        faults: &mut Vec<Fault>,
    ) -> Result<Blob<'_>, String> {
        let name = name_of(descriptor)?;
        if let Self::Remote(remote) = self {
            return remote.blob(&descriptor.digest).map(Blob::Stream);
        }
        let blob = self.get(&name)?;
        match &blob {
            Blob::Stream(_) => {}
            Blob::Bytes(bytes) => check(descriptor, &name, bytes, verify, faults),
            Blob::Layer(layer) => {
                layer.size_bytes.map(|bytes| check_size(descriptor, &name, bytes, faults));
                if layer.digest.as_ref().is_some_and(|digest| *digest != descriptor.digest) {
                    faults.push(mismatch(&name));
                }
            }
        }
        Ok(blob)
    }

    fn get(&self, name: &str) -> Result<Blob<'_>, String> {
        match self {
            Self::Remote(_) => Err(format!("a registry has no file {name}")),
            Self::Directory(path) => file(path, name).map(Blob::Bytes),
            Self::Members(archive) => {
                let member = archive.get(name.as_bytes()).ok_or_else(|| format!("{name} is missing"))?;
                if let Content::Layer(layer) = &member.content {
                    return Ok(Blob::Layer((**layer).clone()));
                }
                let (bytes, _) = archive.read_partial(member).map_err(|error| error.to_string())?;
                Ok(Blob::Bytes(bytes))
            }
        }
    }
}

/// A file below a directory. A link on the way is not followed: it may lead anywhere.
fn file(directory: &Path, name: &str) -> Result<Bytes, String> {
    let mut path = directory.to_owned();
    for part in name.split('/') {
        path.push(part);
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => {
                return Err(format!("{name} is behind a symbolic link, which is not followed"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(format!("{name} is missing"));
            }
            Err(error) => return Err(format!("{name} cannot be read: {error}")),
        }
    }
    open_file(&path).map_err(|error| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}

fn name_of(descriptor: &Descriptor) -> Result<String, String> {
    blob_name(&descriptor.digest)
        .ok_or_else(|| format!("`{}` is no digest", descriptor.digest.escape_default()))
}

fn check(descriptor: &Descriptor, name: &str, bytes: &Bytes, verify: bool, faults: &mut Vec<Fault>) {
    let is_sized = check_size(descriptor, name, bytes.len() as u64, faults);
    if is_sized
        && verify
        && digest(&descriptor.digest, bytes).is_some_and(|digest| digest != descriptor.digest)
    {
        faults.push(mismatch(name));
    }
}

fn check_size(descriptor: &Descriptor, name: &str, have: u64, faults: &mut Vec<Fault>) -> bool {
    let Some(size) = descriptor.size.filter(|size| *size != have) else { return true };
    faults.push(fault(name, "blob-size", format!("the blob has {have} bytes, its descriptor says {size}")));
    false
}

fn mismatch(name: &str) -> Fault {
    fault(
        name,
        "digest-mismatch",
        "the content of the blob does not have the digest that its name says".to_owned(),
    )
}

pub(super) fn fault(name: &str, code: &'static str, reason: String) -> Fault {
    Fault { member: name.as_bytes().into(), code, reason, offset_bytes: None }
}

/// The digest of bytes, with the algorithm of another; `None` for algorithms that nobody uses.
fn digest(like: &str, bytes: &[u8]) -> Option<String> {
    let mut hasher = Hasher::like(like)?;
    hasher.update(bytes);
    Some(hasher.finish())
}

/// Computes a digest.
pub(in crate::archive) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// With the algorithm of a digest.
    pub fn like(digest: &str) -> Option<Self> {
        match digest.split_once(':')?.0 {
            "sha256" => Some(Self::Sha256(Sha256::new())),
            "sha512" => Some(Self::Sha512(Sha512::new())),
            _ => None,
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub fn finish(self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Sha256(hasher) => format!("sha256:{}", hex(&hasher.finalize())),
            Self::Sha512(hasher) => format!("sha512:{}", hex(&hasher.finalize())),
        }
    }
}
