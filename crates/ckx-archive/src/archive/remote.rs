//! The door to images that no file system holds.

use std::fmt;
use std::io::Read;

use bytes::Bytes;

use crate::archive::RemoteRoot;

/// An image in a registry, in parts. Digests are those of its own documents, and were looked at: they are
/// an algorithm and hexadecimal digits.
///
/// What is handed out is not trusted: documents and layers are checked against their digests and sizes.
/// Reasons are told to people, with what is in them escaped.
pub trait Remote: fmt::Debug + Send + Sync {
    /// What the name of the image leads to.
    fn root(&self) -> RemoteRoot;

    /// A manifest or an index by its digest.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn manifest(&self, digest: &str) -> Result<Bytes, String>;

    /// Any other blob, from its beginning. The reader goes on after what can be mended by itself; its
    /// errors are final.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn blob(&self, digest: &str) -> Result<Box<dyn Read + '_>, String>;
}
