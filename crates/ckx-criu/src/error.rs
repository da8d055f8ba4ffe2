//! Errors of the format: what is wrong, in which image, at which entry and byte.

use std::fmt;

/// A fault in an image, with its place.
///
/// One word in size; the details are behind a box, so results stay small on the good path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    image: String,
    entry: Option<u64>,
    offset: u64,
}

/// What is wrong.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// No bytes at all where an image of this kind has a header.
    Empty,
    /// The file ends inside its header.
    HeaderTruncated {
        /// Bytes the header takes.
        expected: u64,
        /// Bytes that are there.
        got: u64,
    },
    /// The first words are no magic that an image of this name can have.
    BadMagic {
        /// The words found, as read in little-endian order.
        found: Vec<u32>,
        /// The kind that the file name stands for, where it stands for one.
        expected: Option<&'static str>,
    },
    /// Fewer than four bytes where the size word of a record should be.
    SizeTruncated {
        /// Bytes that are there (1 to 3).
        got: u64,
    },
    /// A record ends behind the end of the file.
    BodyTruncated {
        /// Length by the size word.
        expected: u64,
        /// Bytes that are there.
        got: u64,
    },
    /// The bytes that belong behind a record end behind the end of the file.
    PayloadTruncated {
        /// Which bytes, e.g. `inq_len + outq_len`.
        what: &'static str,
        /// Length by the fields of the record.
        expected: u64,
        /// Bytes that are there.
        got: u64,
    },
    /// A record is not a protobuf message.
    BadMessage {
        /// The message expected.
        message: &'static str,
        /// What the decoder met.
        reason: WireError,
    },
    /// The record before which this stands could not be decoded, so where the next one begins is
    /// not known: bytes of unknown number follow it.
    Lost {
        /// Kind of the image.
        kind: &'static str,
    },
    /// Bytes behind the last record that this kind of image can have.
    Trailing {
        /// How many.
        bytes: u64,
    },
    /// An image of unknown kind whose size words do not lead to its end.
    Unframed {
        /// Bytes behind the header.
        bytes: u64,
    },
    /// Neither the name nor the first words are those of an image.
    Foreign,
    /// The image holds raw bytes: there are no records to read.
    Raw {
        /// What the bytes are.
        what: &'static str,
    },
    /// A typed read asked for another message than the record holds.
    WrongMessage {
        /// The message asked for.
        asked: &'static str,
        /// The message of the record.
        actual: &'static str,
    },
    /// A page map that contradicts itself.
    BadPageMap {
        /// How.
        reason: &'static str,
    },
    /// The page map uses a form that this reader knows of but cannot follow.
    UnsupportedPageMap {
        /// Which form.
        form: &'static str,
    },
    /// JSON that does not describe an image.
    BadJson {
        /// What is wrong and where in the text.
        reason: String,
    },
}

/// Why bytes are not a message of the protobuf wire format.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireError {
    /// What the decoder met.
    pub reason: WireReason,
    /// Where, counted from the first byte of the record.
    pub position: usize,
}

/// The faults that the wire format can have.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireReason {
    /// The message ends inside a number.
    VarintTruncated,
    /// A number of more than ten bytes.
    VarintTooLong,
    /// A field key with number 0 or above 2^29 - 1.
    BadFieldNumber,
    /// A field key with wire type 6 or 7.
    BadWireType,
    /// A length, or a number of fixed width, that reaches behind the end of the message.
    ValueTruncated,
    /// Messages nested deeper than [`crate::limits::MAX_MESSAGE_DEPTH`].
    TooDeep,
    /// A group without its end, or an end without its group.
    BadGroup,
}

impl WireReason {
    fn text(self) -> &'static str {
        match self {
            Self::VarintTruncated => "the message ends inside a number",
            Self::VarintTooLong => "a number takes more than ten bytes",
            Self::BadFieldNumber => "a field key has a number that no field can have",
            Self::BadWireType => "a field key has a wire type that does not exist",
            Self::ValueTruncated => "a field reaches behind the end of the message",
            Self::TooDeep => "messages nest too deep",
            Self::BadGroup => "a group does not end where it should",
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {} of the record)", self.reason.text(), self.position)
    }
}

impl std::error::Error for WireError {}

impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind, image: &[u8], entry: Option<u64>, offset: u64) -> Self {
        let image = crate::text::escaped(image).to_string();
        Self(Box::new(Inner { kind, image, entry, offset }))
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Name of the image, with control characters escaped; empty when it came without a name.
    pub fn image(&self) -> &str {
        &self.0.image
    }

    /// Index of the entry, counted from 0; `None` when the fault is not in an entry.
    pub fn entry(&self) -> Option<u64> {
        self.0.entry
    }

    /// Absolute offset in the image, in bytes (in JSON input: in the text).
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// A stable word for the kind of fault, for logs and JSON.
    pub fn name(&self) -> &'static str {
        match self.0.kind {
            ErrorKind::Empty => "empty",
            ErrorKind::HeaderTruncated { .. } => "header-truncated",
            ErrorKind::BadMagic { .. } => "bad-magic",
            ErrorKind::SizeTruncated { .. } => "size-truncated",
            ErrorKind::BodyTruncated { .. } => "body-truncated",
            ErrorKind::PayloadTruncated { .. } => "payload-truncated",
            ErrorKind::BadMessage { .. } => "bad-message",
            ErrorKind::Lost { .. } => "lost",
            ErrorKind::Trailing { .. } => "trailing",
            ErrorKind::Unframed { .. } => "unframed",
            ErrorKind::Foreign => "foreign",
            ErrorKind::Raw { .. } => "raw",
            ErrorKind::WrongMessage { .. } => "wrong-message",
            ErrorKind::BadPageMap { .. } => "bad-page-map",
            ErrorKind::UnsupportedPageMap { .. } => "unsupported-page-map",
            ErrorKind::BadJson { .. } => "bad-json",
        }
    }

    /// The fault without its place, in one sentence without a full stop.
    pub fn message(&self) -> String {
        match &self.0.kind {
            ErrorKind::Empty => "there are no bytes, and an image has a header at least".into(),
            ErrorKind::HeaderTruncated { expected, got } => {
                format!("the file ends inside its header: needs {expected} bytes, has {got}")
            }
            ErrorKind::BadMagic { found, expected } => bad_magic(found, *expected),
            ErrorKind::SizeTruncated { got } => {
                format!("the file ends inside a size word: needs 4 bytes, has {got}")
            }
            ErrorKind::BodyTruncated { expected, got } => {
                format!("the file ends inside the record: needs {expected} bytes, has {got}")
            }
            ErrorKind::PayloadTruncated { what, expected, got } => format!(
                "the file ends inside the bytes behind the record: {what} says {expected}, {got} are there"
            ),
            ErrorKind::BadMessage { message, reason } => {
                format!("the record is no {message}: {reason}")
            }
            ErrorKind::Lost { kind } => format!(
                "bytes of unknown length follow the broken record, so later records of this {kind} image cannot be found"
            ),
            ErrorKind::Trailing { bytes } => {
                format!("{bytes} bytes follow the last record that an image of this kind has")
            }
            ErrorKind::Unframed { bytes } => format!(
                "the kind is unknown, and the size words of its records do not lead to the end of the file: its {bytes} bytes are kept as they are"
            ),
            ErrorKind::Foreign => {
                "this is no CRIU image: neither its name nor its first words are known".into()
            }
            ErrorKind::Raw { what } => format!("this is a raw image ({what}): it has no records"),
            ErrorKind::WrongMessage { asked, actual } => {
                format!("the record is a {actual}, not a {asked}")
            }
            ErrorKind::BadPageMap { reason } => (*reason).into(),
            ErrorKind::UnsupportedPageMap { form } => {
                format!("the page map uses {form}, which cannot be followed")
            }
            ErrorKind::BadJson { reason } => reason.clone(),
        }
    }

    /// What one can do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self.0.kind {
            ErrorKind::Empty
            | ErrorKind::HeaderTruncated { .. }
            | ErrorKind::SizeTruncated { .. }
            | ErrorKind::BodyTruncated { .. }
            | ErrorKind::PayloadTruncated { .. } => Some(
                "the file is cut short: compare its size with the place it was copied from, or see whether the dump was interrupted",
            ),
            ErrorKind::BadMagic { .. } => Some(
                "check that the file is a CRIU image and that its name was not changed; kinds are told by name and magic together",
            ),
            ErrorKind::BadMessage { .. } | ErrorKind::Lost { .. } => Some(
                "the bytes are damaged or come from a program that is not CRIU; the records before are good",
            ),
            ErrorKind::Raw { .. } => Some("`ckx info` describes raw images"),
            ErrorKind::Trailing { .. } | ErrorKind::Unframed { .. } => {
                Some("the bytes are kept under \"@trailing\" and written back by `ckx encode`")
            }
            _ => None,
        }
    }
}

fn bad_magic(found: &[u32], expected: Option<&'static str>) -> String {
    let words: Vec<String> = found.iter().map(|word| format!("{word:#010x}")).collect();
    let found = if words.is_empty() { "nothing".into() } else { words.join(" ") };
    match expected {
        Some(kind) => format!("the header is not that of a {kind} image: found {found}"),
        None => format!("the header is not that of a CRIU image: found {found}"),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.image.is_empty() {
            write!(f, "{}: ", self.0.image)?;
        }
        if let Some(entry) = self.0.entry {
            write!(f, "entry {entry} ")?;
        }
        if !matches!(self.0.kind, ErrorKind::Raw { .. } | ErrorKind::Foreign | ErrorKind::Empty) {
            write!(f, "at offset {:#x}: ", self.0.offset)?;
        }
        f.write_str(&self.message())
    }
}

impl std::error::Error for Error {}
