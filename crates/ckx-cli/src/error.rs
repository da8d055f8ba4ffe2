//! Why a run failed, with its causes and what to do.

use std::error::Error as _;
use std::fmt;
use std::io;

/// A run that failed.
#[derive(Debug)]
pub struct CliError {
    kind: Kind,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Wrong usage, or an input that cannot be read.
    Usage,
    /// Part of what was asked for was done; the input is damaged.
    Damaged,
    /// The reader of our output went away: not a fault.
    BrokenPipe,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything was done.
    Done,
    /// Everything was done, and the answer is "different" or "not found".
    Different,
    /// What damaged input allows was done; the rest was said.
    Partial,
}

impl Outcome {
    /// Exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Different => 1,
            Self::Partial => 3,
        }
    }
}

impl CliError {
    /// A failure with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Part of it was done, as far as damaged input allows.
    #[must_use]
    pub fn partial(mut self) -> Self {
        self.kind = Kind::Damaged;
        self
    }

    /// Exit code.
    pub fn code(&self) -> u8 {
        match self.kind {
            Kind::Damaged => Outcome::Partial.code(),
            Kind::Usage | Kind::BrokenPipe => 2,
        }
    }

    /// With a cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// With the name of what it is about in front, if that has one.
    #[must_use]
    pub fn of(mut self, name: &str) -> Self {
        if !name.is_empty() {
            self.message = format!("{name}: {}", self.message);
        }
        self
    }

    /// Writing failed.
    pub fn writing(target: &str, error: &io::Error) -> Self {
        let mut failed = Self::new(format!("cannot write {target}")).because(error);
        if error.kind() == io::ErrorKind::BrokenPipe {
            failed.kind = Kind::BrokenPipe;
        }
        failed
    }

    /// Causes, the nearest first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether it is only the end of a pipe.
    pub fn is_broken_pipe(&self) -> bool {
        self.kind == Kind::BrokenPipe
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ckx_archive::Error> for CliError {
    fn from(error: ckx_archive::Error) -> Self {
        let mut failed = Self::new(error.to_string());
        if let Some(source) = error.source() {
            failed = failed.because(source);
        }
        if let ckx_archive::Error::Io { step: "write", source, .. } = &error {
            return Self::writing("standard output", source);
        }
        match error {
            ckx_archive::Error::NotAFile { actual: "directory", .. } => {
                failed.hinted("give the images in it, or the directory without -i")
            }
            ckx_archive::Error::NotACheckpoint { .. } => failed.hinted(
                "a checkpoint is a tar in any compression, a directory of CRIU images, or an OCI image; \
                 a single image is read by `ckx decode` or `ckx info`",
            ),
            _ => failed,
        }
    }
}

impl From<ckx_oci::Error> for CliError {
    fn from(error: ckx_oci::Error) -> Self {
        let mut failed = match error {
            ckx_oci::Error::Source(error) => return error.into(),
            ref error => Self::new(error.to_string()),
        };
        if let Some(source) = error.source() {
            failed = failed.because(source);
        }
        match error.hint() {
            Some(hint) => failed.hinted(hint),
            None => failed,
        }
    }
}

impl From<ckx_criu::Error> for CliError {
    fn from(error: ckx_criu::Error) -> Self {
        let failed = Self::new(error.to_string());
        match error.hint() {
            Some(hint) => failed.hinted(hint),
            None => failed,
        }
    }
}
