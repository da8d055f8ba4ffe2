//! Why an image could not be made, written or read.

use std::io;
use std::path::{Path, PathBuf};

/// A fault of repacking.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A source cannot be read.
    #[error(transparent)]
    Source(#[from] ckx_archive::Error),
    /// The system refused.
    #[error("cannot {step} `{}`", path.display())]
    Io {
        /// What was tried: `create`, `write`, `rename`.
        step: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What was asked for cannot be done with this checkpoint.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What to do about it, where there is something.
        hint: Option<String>,
    },
    /// An image of the checkpoint that has to be rewritten cannot be read.
    #[error("cannot read `{member}`: {reason}")]
    Image {
        /// Its name, escaped.
        member: String,
        /// Why.
        reason: String,
    },
    /// A registry did not do what was asked of it.
    #[error("{0}")]
    Registry(Box<crate::registry::Fault>),
    /// What was written is not what was meant.
    #[error("the image that was written does not hold: {0}")]
    Unsound(String),
}

impl Error {
    /// A refusal without a hint.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into(), hint: None }
    }

    /// Adds what to do about a refusal.
    #[must_use]
    pub fn hinted(mut self, text: impl Into<String>) -> Self {
        if let Self::Refused { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => hint.as_deref(),
            Self::Registry(fault) => fault.hint(),
            Self::Io { source, .. } => hint_of(source.kind()),
            Self::Unsound(_) => Some(
                "the image was not made known; remove what is damaged at the destination, or write elsewhere",
            ),
            _ => None,
        }
    }

    pub(crate) fn io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { step, path, source }
    }
}

fn hint_of(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Some("what was there before is untouched; free some space or write elsewhere")
        }
        io::ErrorKind::NotFound => Some("make that directory first, or write elsewhere"),
        io::ErrorKind::NotADirectory => Some("a file stands where a directory is needed: write elsewhere"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("nothing may be written there: write elsewhere, or as somebody who may")
        }
        _ => None,
    }
}
