//! An image as a sequence of entries, each a window into the file.

use crate::bytes::{ByteOrder, word_at};
use crate::error::{Error, ErrorKind};
use crate::extra::{self, Extra, ExtraRule};
use crate::header::{Identity, identify};
use crate::kind::{Framing, ImageKind, KindSpec};
use crate::raw::{RawFormat, RawSummary, summarize};
use crate::schema::MessageDesc;
use crate::typed::Record;
use crate::wire::{self, Shape};

/// The descriptor of records whose message is not known: every field is an unknown field.
pub static UNKNOWN_MESSAGE: MessageDesc =
    MessageDesc { name: "unknown message", file: "", about: "A message of an unknown kind.", fields: &[] };

/// An image file: what it is, and the bytes. Nothing behind the header has been looked at yet.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    name: &'a [u8],
    data: &'a [u8],
    identity: Identity,
}

impl<'a> Image<'a> {
    /// Recognises `data` as an image.
    ///
    /// `name` is the file name; of a path the last part counts. It may be empty where there is
    /// none, but raw images can then not be told.
    ///
    /// # Errors
    /// As [`identify`].
    ///
    /// # Example
    /// ```
    /// use ckx_criu::{Image, ImageKind};
    ///
    /// let bytes = b"\x19\x43\x56\x54\x12\x39\x40\x51\x06\0\0\0\x08\x08\x10\x09\x18\x12";
    /// let image = Image::parse(b"fs-66.img", bytes)?;
    /// assert_eq!(image.kind(), ImageKind::Fs);
    /// let entry = image.entries().next().expect("one record")?;
    /// assert_eq!(entry.offset(), 8);
    /// assert_eq!(entry.body(), b"\x08\x08\x10\x09\x18\x12");
    /// # Ok::<(), ckx_criu::Error>(())
    /// ```
    pub fn parse(name: &'a [u8], data: &'a [u8]) -> Result<Self, Error> {
        let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        Ok(Self { name, data, identity: identify(name, data)? })
    }

    /// File name without directory.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The kind.
    pub fn kind(&self) -> ImageKind {
        self.identity.kind
    }

    /// Row of the kind; `None` for kinds that are not in the table.
    pub fn spec(&self) -> Option<&'static KindSpec> {
        self.identity.spec
    }

    /// How the file was recognised: header, byte order, number in the name.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The whole file.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// What a raw image holds; `None` for images with records.
    pub fn raw_format(&self) -> Option<RawFormat> {
        match self.identity.spec.map(|spec| spec.framing) {
            Some(Framing::Raw(format)) => Some(format),
            None if self.identity.kind == ImageKind::Foreign => Some(RawFormat::Foreign),
            _ => None,
        }
    }

    /// Describes a raw image; `None` for images with records.
    pub fn raw_summary(&self) -> Option<RawSummary> {
        self.raw_format().map(|format| summarize(format, self.data))
    }

    /// The entries, read one after the other as the iterator is asked for them.
    ///
    /// Raw images give none. An image of an unknown kind gives its records if its size words lead
    /// exactly to its end, else none, and all its bytes are [`Entries::trailing`].
    pub fn entries(&self) -> Entries<'a> {
        let start = self.identity.header.len().min(self.data.len());
        let (plan, end) = match self.identity.spec.map(|spec| spec.framing) {
            Some(Framing::Raw(_)) => (Plan::None, false),
            Some(Framing::Single(desc, rule)) => (Plan::Single(desc, rule), false),
            Some(Framing::Stream(desc, rule)) => (Plan::Stream(desc, rule), false),
            Some(Framing::HeadThenStream(head, rest)) => (Plan::Head(head, rest), false),
            Some(Framing::Ghost(head, chunk)) => (Plan::Ghost(head, chunk), false),
            Some(Framing::Bare(desc)) => (Plan::Bare(desc), self.data.is_empty()),
            None if self.frames_to_end(start) => (Plan::Stream(&UNKNOWN_MESSAGE, ExtraRule::None), false),
            None => (Plan::None, false),
        };
        Entries { image: *self, plan, position: start, index: 0, done: end }
    }

    /// Whether size words lead from record to record exactly to the end of the file: then an image
    /// of unknown kind is taken to consist of records.
    fn frames_to_end(&self, start: usize) -> bool {
        if self.identity.kind == ImageKind::Foreign {
            return false;
        }
        let mut rest = self.data.get(start..).unwrap_or_default();
        while !rest.is_empty() {
            let size = word_at(rest, 0).map(|word| self.identity.order.word(word) as usize);
            let Some((_, behind)) = size.and_then(|size| rest.get(4..)?.split_at_checked(size)) else {
                return false;
            };
            rest = behind;
        }
        true
    }

    pub(crate) fn error(&self, kind: ErrorKind, entry: Option<u64>, offset: usize) -> Error {
        Error::new(kind, self.name, entry, offset as u64)
    }
}

#[derive(Debug, Clone, Copy)]
enum Plan {
    None,
    Single(&'static MessageDesc, ExtraRule),
    Stream(&'static MessageDesc, ExtraRule),
    Head(&'static MessageDesc, &'static MessageDesc),
    Ghost(&'static MessageDesc, &'static MessageDesc),
    Chunks(&'static MessageDesc),
    Bare(&'static MessageDesc),
}

/// Walks the entries of an image. After an error it ends; what was not read is [`Entries::trailing`].
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    image: Image<'a>,
    plan: Plan,
    position: usize,
    index: u64,
    done: bool,
}

impl<'a> Entries<'a> {
    /// Absolute offset of the next entry.
    pub fn offset(&self) -> u64 {
        self.position as u64
    }

    /// Bytes behind the last entry that was read: empty at the end of a good image.
    pub fn trailing(&self) -> &'a [u8] {
        self.image.data.get(self.position..).unwrap_or_default()
    }

    fn read(&mut self) -> Result<Entry<'a>, ErrorKind> {
        let rest = self.trailing();
        let order = self.image.identity.order;
        let (body, behind) =
            if let Plan::Bare(_) = self.plan { (rest, &[][..]) } else { record(rest, order)? };
        let (desc, extra, next) = match self.plan {
            Plan::None => (&UNKNOWN_MESSAGE, Extra::None, Plan::None),
            Plan::Bare(desc) => (desc, Extra::None, Plan::None),
            Plan::Single(desc, rule) => (desc, self.cut(rule, desc, body, behind)?, Plan::None),
            Plan::Stream(desc, rule) => (desc, self.cut(rule, desc, body, behind)?, self.plan),
            Plan::Head(head, rest) => (head, Extra::None, Plan::Stream(rest, ExtraRule::None)),
            Plan::Ghost(head, chunk) if ghost_field(body, head, "chunks")? != 0 => {
                (head, Extra::None, Plan::Chunks(chunk))
            }
            Plan::Ghost(head, _) => (head, Extra::Bytes { data: behind, pad: &[] }, Plan::None),
            Plan::Chunks(chunk) => (chunk, ghost_chunk(body, chunk, behind)?, self.plan),
        };
        let entry = Entry {
            image: self.image.name,
            index: self.index,
            offset: self.position as u64,
            sized: !matches!(self.plan, Plan::Bare(_)),
            desc,
            body,
            extra,
            order,
        };
        self.plan = next;
        self.position += entry.len();
        self.index += 1;
        Ok(entry)
    }

    /// Cuts the bytes behind a record. When the record itself is broken, they cannot be found.
    fn cut(
        &self,
        rule: ExtraRule,
        desc: &'static MessageDesc,
        body: &[u8],
        behind: &'a [u8],
    ) -> Result<Extra<'a>, ErrorKind> {
        if rule != ExtraRule::None {
            wire::inspect(desc, body)
                .map_err(|reason| ErrorKind::BadMessage { message: desc.name, reason })?;
        }
        extra::cut(rule, body, behind, self.image.identity.order)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let left = self.trailing().len();
        let bare = matches!(self.plan, Plan::Bare(_));
        let kind = match self.plan {
            Plan::None if left > 0 && self.image.raw_format().is_none() => {
                let bytes = left as u64;
                match self.image.identity.kind {
                    ImageKind::Unknown(_) => ErrorKind::Unframed { bytes },
                    _ => ErrorKind::Trailing { bytes },
                }
            }
            Plan::None => {
                self.done = true;
                return None;
            }
            _ if left == 0 && !bare => {
                self.done = true;
                return None;
            }
            _ => match self.read() {
                Ok(entry) => return Some(Ok(entry)),
                Err(kind) => kind,
            },
        };
        self.done = true;
        let in_entry = !matches!(kind, ErrorKind::Trailing { .. } | ErrorKind::Unframed { .. });
        let entry = in_entry.then_some(self.index);
        Some(Err(self.image.error(kind, entry, self.position)))
    }
}

/// Splits off one record behind its size word.
fn record(rest: &[u8], order: ByteOrder) -> Result<(&[u8], &[u8]), ErrorKind> {
    let size = word_at(rest, 0).ok_or(ErrorKind::SizeTruncated { got: rest.len() as u64 })?;
    let size = order.word(size);
    let behind = rest.get(4..).unwrap_or_default();
    behind
        .split_at_checked(size as usize)
        .ok_or(ErrorKind::BodyTruncated { expected: size.into(), got: behind.len() as u64 })
}

fn ghost_field(body: &[u8], desc: &'static MessageDesc, name: &str) -> Result<u64, ErrorKind> {
    let number = desc.field_named(name).map_or(0, |field| field.number);
    wire::inspect(desc, body)
        .and_then(|_| wire::uint_field(body, number))
        .map(Option::unwrap_or_default)
        .map_err(|reason| ErrorKind::BadMessage { message: desc.name, reason })
}

fn ghost_chunk<'a>(
    body: &[u8],
    desc: &'static MessageDesc,
    behind: &'a [u8],
) -> Result<Extra<'a>, ErrorKind> {
    let len = ghost_field(body, desc, "len")?;
    let data = usize::try_from(len)
        .ok()
        .and_then(|len| behind.get(..len))
        .ok_or(ErrorKind::PayloadTruncated { what: "len", expected: len, got: behind.len() as u64 })?;
    Ok(Extra::Bytes { data, pad: &[] })
}

/// One record of an image and the bytes that belong to it, borrowed from the file.
///
/// Having an entry does not mean that its message is well-formed: that is checked when it is
/// decoded ([`Entry::check`], [`Entry::decode`]). Only of kinds with bytes behind the record the
/// record was read to find them.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    image: &'a [u8],
    index: u64,
    offset: u64,
    sized: bool,
    desc: &'static MessageDesc,
    body: &'a [u8],
    extra: Extra<'a>,
    order: ByteOrder,
}

impl<'a> Entry<'a> {
    /// Index in the image, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Absolute offset in the image of the size word, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Absolute offset in the image of the message.
    pub fn body_offset(&self) -> u64 {
        self.offset + if self.sized { 4 } else { 0 }
    }

    /// Bytes in the file: size word, message and what follows it.
    pub fn len(&self) -> usize {
        (if self.sized { 4 } else { 0 }) + self.body.len() + self.extra.len()
    }

    /// Whether the entry takes no byte at all (an empty file of a kind without framing).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a size word stands before the message: in all kinds but a plugin's bare ones.
    pub fn is_sized(&self) -> bool {
        self.sized
    }

    /// The message, encoded.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// What follows the message.
    pub fn extra(&self) -> &Extra<'a> {
        &self.extra
    }

    /// Which message it is.
    pub fn message(&self) -> &'static MessageDesc {
        self.desc
    }

    /// Byte order of the image.
    pub fn order(&self) -> ByteOrder {
        self.order
    }

    /// Checks the message at every level: well-formed, canonical, complete.
    ///
    /// # Errors
    /// [`ErrorKind::BadMessage`].
    pub fn check(&self) -> Result<Shape, Error> {
        wire::inspect(self.desc, self.body)
            .map_err(|reason| self.error(ErrorKind::BadMessage { message: self.desc.name, reason }))
    }

    /// Decodes the message into its typed form.
    ///
    /// Fields that the typed form does not know are dropped by it: use [`Entry::fields`] or the
    /// JSON form to see everything. Missing required fields become zero; [`Entry::check`] names them.
    ///
    /// # Errors
    /// [`ErrorKind::WrongMessage`], [`ErrorKind::BadMessage`].
    ///
    /// # Example
    /// ```
    /// use ckx_criu::{Image, typed::messages::FsEntry};
    ///
    /// let bytes = b"\x19\x43\x56\x54\x12\x39\x40\x51\x06\0\0\0\x08\x08\x10\x09\x18\x12";
    /// let fs: FsEntry = Image::parse(b"fs-66.img", bytes)?.entries().next().unwrap()?.decode()?;
    /// assert_eq!((fs.cwd_id, fs.root_id, fs.umask), (8, 9, Some(0o22)));
    /// # Ok::<(), ckx_criu::Error>(())
    /// ```
    pub fn decode<M: Record>(&self) -> Result<M, Error> {
        if !std::ptr::eq(M::SCHEMA, self.desc) {
            let kind = ErrorKind::WrongMessage { asked: M::SCHEMA.name, actual: self.desc.name };
            return Err(self.error(kind));
        }
        self.check()?;
        // What passed the check can only fail here for a limit of prost's own.
        M::decode(self.body).map_err(|_| {
            let reason = crate::error::WireError { reason: crate::error::WireReason::TooDeep, position: 0 };
            self.error(ErrorKind::BadMessage { message: self.desc.name, reason })
        })
    }

    /// The fields in wire order.
    pub fn fields(&self) -> wire::Fields<'a> {
        wire::Fields::new(self.body)
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, self.image, Some(self.index), self.offset)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_message_is_too_wide_for_the_required_check() {
        for desc in crate::schema::MESSAGES {
            assert!(desc.fields.len() <= 128, "{}: {} fields", desc.name, desc.fields.len());
        }
    }
}
