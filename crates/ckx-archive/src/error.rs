//! Errors of opening: which path, which step, why.

use std::io;
use std::path::PathBuf;

/// A file or directory that could not be read.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot {step} `{}`", path.display())]
    Io {
        /// What was tried: `open`, `map`, `list`.
        step: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The path is something else than a file with bytes: a socket, a device, a directory.
    #[error("`{}` is a {actual}, not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        actual: &'static str,
    },
    /// A file that holds something else than a checkpoint.
    #[error("`{}` is no checkpoint: {content}", path.display())]
    NotACheckpoint {
        /// The path.
        path: PathBuf,
        /// What it holds.
        content: String,
    },
    /// A source that was read and cannot be read once more.
    #[error("`{}` can be read only once, and this was not asked for when it went by", path.display())]
    ReadOnce {
        /// The path.
        path: PathBuf,
    },
    /// An OCI layout without the image that is meant, or with too many.
    #[error("`{}`: {reason}", path.display())]
    Oci {
        /// The path.
        path: PathBuf,
        /// Why no image can be read. Names of the layout are escaped.
        reason: String,
    },
    /// A member whose content cannot be had.
    #[error("cannot read {}: {reason}", member_name(member))]
    Member {
        /// Path of the source.
        source_path: PathBuf,
        /// Name of the member.
        member: Box<[u8]>,
        /// Why.
        reason: String,
    },
}

/// A name as text. What a terminal would take for a command is escaped.
pub(crate) fn escaped(text: &str) -> String {
    member_name(text.as_bytes())
}

fn member_name(name: &[u8]) -> String {
    name.utf8_chunks().fold(String::new(), |mut text, chunk| {
        for char in chunk.valid().chars() {
            match char {
                control if control.is_control() => text.extend(control.escape_default()),
                plain => text.push(plain),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
        text
    })
}

impl Error {
    pub(crate) fn io(step: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { step, path: path.into(), source }
    }
}
