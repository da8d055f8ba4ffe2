//! What could not be read, beside the rest that could.

use std::error::Error as _;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// One thing that is missing or broken in a set of images. Reports list theirs and show the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Issue {
    /// Name of the image, control characters escaped.
    pub image: String,
    /// A stable word for the kind of fault.
    pub code: &'static str,
    /// The fault in words, without its place.
    pub reason: String,
    /// Index of the entry, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// Place in the image, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_bytes: Option<u64>,
    /// What one can do about it, where there is something.
    #[serde(skip)]
    pub hint: Option<&'static str>,
}

/// How many items a reason lists before it only counts.
const LISTED: usize = 10;

/// Reason of an image that is not in the set.
pub(crate) const MISSING: &str = "the image is missing";

impl Issue {
    /// An issue of a whole image.
    pub fn new(image: &str, code: &'static str, reason: impl Into<String>) -> Self {
        let image = ckx_criu::text::escaped(image.as_bytes()).to_string();
        Self { image, code, reason: reason.into(), entry: None, offset_bytes: None, hint: None }
    }

    /// An image that is not in the set.
    pub fn missing(image: &str) -> Self {
        Self::new(image, "missing", MISSING)
    }

    /// An image whose bytes could not be had.
    pub fn unreadable(image: &str, error: &ckx_archive::Error) -> Self {
        let mut reason = error.to_string();
        if let Some(source) = error.source() {
            reason = format!("{reason}: {source}");
        }
        Self::new(image, "unreadable", reason)
    }

    /// One issue that many items share; the reason lists the first of them.
    pub fn listing(
        image: &str,
        code: &'static str,
        reason: &str,
        items: impl ExactSizeIterator<Item = u32>,
    ) -> Self {
        let more = items.len().saturating_sub(LISTED);
        let listed: Vec<String> = items.take(LISTED).map(|item| item.to_string()).collect();
        let mut reason = format!("{reason}: {}", listed.join(", "));
        if more > 0 {
            reason = format!("{reason} and {more} more");
        }
        Self::new(image, code, reason)
    }
}

impl From<&ckx_archive::archive::Fault> for Issue {
    fn from(fault: &ckx_archive::archive::Fault) -> Self {
        let mut issue = Self::new("", fault.code, fault.reason.as_str());
        let whole = if fault.member.is_empty() { &b"archive"[..] } else { &fault.member };
        issue.image = ckx_criu::text::escaped(whole).to_string();
        issue.offset_bytes = fault.offset_bytes;
        issue
    }
}

impl From<&ckx_criu::Error> for Issue {
    fn from(error: &ckx_criu::Error) -> Self {
        Self {
            image: error.image().to_owned(),
            code: error.name(),
            reason: error.message(),
            entry: error.entry(),
            offset_bytes: Some(error.offset()),
            hint: error.hint(),
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.image)?;
        match (self.entry, self.offset_bytes) {
            (Some(entry), Some(offset)) => write!(f, "entry {entry} at offset {offset:#x}: ")?,
            (None, Some(offset)) => write!(f, "at offset {offset:#x}: ")?,
            _ => {}
        }
        f.write_str(&self.reason)
    }
}
