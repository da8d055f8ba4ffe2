//! Where images and archives go. Each is whole at any time: what is underway has a name of its own until
//! it is complete.

mod archive;
mod directory;
mod existing;
mod follow;
mod layout;
mod partial;
mod registry;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use archive::{ArchiveFile, write_tar};
pub use directory::write_directory;
pub(crate) use follow::Followed;
pub use follow::Readable;
pub use layout::Layout;
pub use partial::Partial;
pub use registry::Push;

use crate::compress::Method;
use crate::image::Descriptor;
use crate::registry::check_name;
use crate::{Digest, Error};

/// Takes the blobs of one image.
pub trait Destination {
    /// A sink for the next blob. `known` is its digest and size, if it is written for the second time
    /// because of [`Commit::Repeat`].
    ///
    /// # Errors
    /// When it cannot be made.
    fn begin(&mut self, known: Option<(Digest, u64)>) -> Result<Box<dyn Write + Send>, Error>;

    /// The file in which the blob is that was begun, and where in it: it is read back while it is written.
    /// `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    fn underway(&self) -> Result<Option<(Readable, u64)>, Error> {
        Ok(None)
    }

    /// The blob that was written to the sink is complete.
    ///
    /// # Errors
    /// When it cannot be put in its place.
    fn commit(&mut self, digest: Digest, bytes: u64) -> Result<Commit, Error>;

    /// Says what a fault of a sink means.
    fn failed(&self, error: io::Error) -> Error;

    /// Takes a small blob whole.
    ///
    /// # Errors
    /// As [`Destination::commit`].
    fn put(&mut self, media_type: &str, blob: &[u8]) -> Result<Digest, Error>;

    /// A blob of the image as it stands at the destination, to be read back; `None` where that has compared
    /// the digest itself.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn blob(&self, digest: Digest, bytes: u64) -> Result<Option<Box<dyn Read>>, Error>;

    /// Takes the manifest and makes the image known. `entry` points to it.
    ///
    /// # Errors
    /// As [`Destination::commit`].
    fn finish(&mut self, manifest: &[u8], entry: Descriptor) -> Result<(), Error>;
}

/// Writes a file, in the place of one that has its name, when it is complete.
///
/// # Errors
/// [`Error::Refused`] for what is no regular file; [`Error::Io`].
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), Error> {
    let part = partial::Partial::beside(path)?;
    part.create()?.write_all(content).map_err(Error::io("write", path))?;
    part.place(path)
}

/// What became of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It is new.
    Stored,
    /// It was there already.
    Reused,
    /// It was there already, and is the one that was read while it was compared with what came.
    Compared,
    /// It has to be written once more: it was too large to be kept until its digest was known.
    Repeat,
}

/// A destination as it is written on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `oci:DIR[:TAG]`: an OCI image layout.
    Layout(PathBuf, String),
    /// `oci-archive:FILE[:TAG]`: a tar of one.
    OciArchive(PathBuf, String),
    /// `docker://HOST/NAME[:TAG]`: a registry.
    Registry(String),
    /// `tar:FILE`, also `.gz` and `.zst`: an archive as engines write them.
    Tar(PathBuf),
    /// `dir:DIR`: a directory.
    Directory(PathBuf),
}

/// The tag that nobody asked for.
pub const DEFAULT_TAG: &str = "latest";

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (form, rest) = text.split_once(':').ok_or(FORMS)?;
        if let Some(reference) = rest.strip_prefix("//").filter(|_| form == "docker") {
            check_name(reference)?;
            return Ok(Self::Registry(reference.to_owned()));
        }
        if rest.is_empty() {
            return Err(format!("`{form}:` needs a path"));
        }
        let tagged = || match rest.split_once(':') {
            Some((_, tag)) if !is_tag(tag) => Err(format!("`{tag}` is no tag")),
            Some((path, tag)) => Ok((PathBuf::from(path), tag.to_owned())),
            None => Ok((PathBuf::from(rest), DEFAULT_TAG.to_owned())),
        };
        match form {
            "oci" => tagged().map(|(path, tag)| Self::Layout(path, tag)),
            "oci-archive" => tagged().map(|(path, tag)| Self::OciArchive(path, tag)),
            "tar" => Ok(Self::Tar(rest.into())),
            "dir" => Ok(Self::Directory(rest.into())),
            _ => Err(FORMS.to_owned()),
        }
    }
}

const FORMS: &str =
    "it is none of oci:DIR[:TAG], oci-archive:FILE[:TAG], docker://HOST/NAME[:TAG], tar:FILE and dir:DIR";

/// Whether a word may be a reference in an image layout.
fn is_tag(tag: &str) -> bool {
    let ends = |text: &str| text.starts_with(|c: char| c.is_ascii_alphanumeric());
    ends(tag) && tag.chars().all(|c| c.is_ascii_alphanumeric() || "-._:@/+".contains(c))
}

impl Target {
    /// Whether it takes an image, and not an archive.
    pub fn is_image(&self) -> bool {
        !matches!(self, Self::Tar(_) | Self::Directory(_))
    }

    /// The name by which an engine pulls the image; `None` if it has none that leads to a registry.
    pub fn pull_name(&self) -> Option<&str> {
        match self {
            Self::Registry(name) => Some(name),
            Self::Layout(_, tag) | Self::OciArchive(_, tag) => {
                Some(tag.as_str()).filter(|tag| tag.contains('/'))
            }
            Self::Tar(_) | Self::Directory(_) => None,
        }
    }

    /// The compression that the name of an archive asks for.
    pub fn method_of_name(&self) -> Method {
        let Self::Tar(path) = self else { return Method::default() };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz" | "tgz") => Method::Gzip(6),
            Some("zst" | "tzst") => Method::default(),
            _ => Method::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_on_the_command_line() {
        let parse = |text: &str| text.parse::<Target>();
        assert_eq!(parse("oci:/a/b"), Ok(Target::Layout("/a/b".into(), "latest".into())));
        assert_eq!(parse("oci:a:localhost/x:1"), Ok(Target::Layout("a".into(), "localhost/x:1".into())));
        assert_eq!(parse("docker://h:5000/n:t"), Ok(Target::Registry("h:5000/n:t".into())));
        assert_eq!(parse("tar:x.tar.zst").map(|target| target.method_of_name()), Ok(Method::Zstd(3)));
        assert_eq!(parse("tar:x").map(|target| target.method_of_name()), Ok(Method::None));
        for bad in ["x.tar", "oci:", "oci:a:", "oci:a:b c", "docker:x", "docker://h/N", "zip:x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
