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
}

impl Error {
    pub(crate) fn io(step: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { step, path: path.into(), source }
    }
}
