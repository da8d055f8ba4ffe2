//! Writing images: what is not edited is written back byte for byte.

use crate::bytes::ByteOrder;
use crate::error::Error;
use crate::frame::{Entry, Image};

/// What to do with an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EntryEdit {
    /// Copy its bytes: size word, message, and what follows.
    #[default]
    Keep,
    /// Put another message in its place; what follows it is copied. The caller answers for
    /// lengths that the message announces.
    Message(Vec<u8>),
    /// Put another message and other bytes behind it (padding included) in its place.
    Replace {
        /// The message.
        message: Vec<u8>,
        /// The bytes behind it.
        extra: Vec<u8>,
    },
    /// Leave it out.
    Drop,
}

/// Writes an image again, with edits. Header, entries that are kept, and bytes behind the last
/// readable entry are copied as they are; without edits the result equals the input.
///
/// # Errors
/// Whatever `edit` returns.
///
/// # Example
/// ```
/// use ckx_criu::write::{EntryEdit, rewrite};
/// use ckx_criu::{Error, Image};
///
/// let bytes = b"\x19\x43\x56\x54\x12\x39\x40\x51\x06\0\0\0\x08\x08\x10\x09\x18\x12";
/// let image = Image::parse(b"fs-66.img", bytes)?;
/// let same = rewrite(&image, |_| Ok::<_, Error>(EntryEdit::Keep))?;
/// assert_eq!(same, bytes);
/// # Ok::<(), Error>(())
/// ```
pub fn rewrite<E>(
    image: &Image<'_>,
    mut edit: impl FnMut(&Entry<'_>) -> Result<EntryEdit, E>,
) -> Result<Vec<u8>, E>
where
    E: From<Error>,
{
    let data = image.data();
    let order = image.identity().order;
    let mut entries = image.entries();
    let mut out = Vec::with_capacity(data.len());
    out.extend_from_slice(data.get(..entries.offset() as usize).unwrap_or_default());
    // What cannot be read is copied below, with everything behind the last entry.
    while let Some(Ok(entry)) = entries.next() {
        let start = entry.offset() as usize;
        let extra_start = entry.body_offset() as usize + entry.body().len();
        let extra = data.get(extra_start..start + entry.len()).unwrap_or_default();
        let (message, extra) = match edit(&entry)? {
            EntryEdit::Keep => {
                out.extend_from_slice(data.get(start..start + entry.len()).unwrap_or_default());
                continue;
            }
            EntryEdit::Drop => continue,
            EntryEdit::Message(message) => (message, extra.to_vec()),
            EntryEdit::Replace { message, extra } => (message, extra),
        };
        if entry.is_sized() {
            record(order, &message, &extra, &mut out).ok_or_else(|| too_large(image, &entry))?;
        } else {
            out.extend_from_slice(&message);
        }
    }
    out.extend_from_slice(entries.trailing());
    Ok(out)
}

fn too_large(image: &Image<'_>, entry: &Entry<'_>) -> Error {
    let reason = "a record may have no more than 2^32 - 1 bytes".to_owned();
    let kind = crate::error::ErrorKind::BadJson { reason };
    image.error(kind, Some(entry.index()), entry.offset() as usize)
}

/// Appends a record with its size word and what follows it. `None` when the size does not fit.
#[must_use]
pub fn record(order: ByteOrder, message: &[u8], extra: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let size = u32::try_from(message.len()).ok()?;
    out.extend_from_slice(&order.word_bytes(size));
    out.extend_from_slice(message);
    out.extend_from_slice(extra);
    Some(())
}
