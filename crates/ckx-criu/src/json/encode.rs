//! JSON documents back to images.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::bytes::ByteOrder;
use crate::error::{Error, ErrorKind};
use crate::extra::{self, ExtraRule};
use crate::frame::UNKNOWN_MESSAGE;
use crate::json::base64;
use crate::json::object::{Form, ObjectSeed, Parts};
use crate::kind::{Framing, Header, spec_by_name};
use crate::schema::MessageDesc;
use crate::wire;
use crate::write;

/// Encodes the JSON document of an image: crit's plain and pretty forms, go-criu's spelling, and
/// this crate's own with its `@` keys.
///
/// Keys may stand in any order. A key that no field has is an error, and so are a number that does
/// not fit its field and an `extra` whose length contradicts the record.
///
/// # Errors
/// [`ErrorKind::BadJson`] with the offset in the text and the path of the value;
/// [`ErrorKind::Raw`] for the name of a kind without records.
///
/// # Example
/// ```
/// let image = ckx_criu::json::encode(
///     br#"{"magic": "FS", "entries": [{"cwd_id": 8, "root_id": 9, "umask": "0x12"}]}"#,
/// )?;
/// assert_eq!(image, b"\x19\x43\x56\x54\x12\x39\x40\x51\x06\0\0\0\x08\x08\x10\x09\x18\x12");
/// # Ok::<(), ckx_criu::Error>(())
/// ```
pub fn encode(json: &[u8]) -> Result<Vec<u8>, Error> {
    encode_as(json, None)
}

/// [`encode`] for a host of this byte order, whatever the document says. crit's documents do not
/// say it: crit reads and writes in the order of the machine it runs on.
///
/// # Errors
/// As [`encode`].
pub fn encode_as(json: &[u8], order: Option<ByteOrder>) -> Result<Vec<u8>, Error> {
    let document: Document<'_> =
        serde_json::from_slice(json).map_err(|error| bad(json, json, None, &error, ""))?;
    let fault = |reason: String| Error::new(ErrorKind::BadJson { reason }, b"", None, 0);
    let mut target = Target::of(&document).map_err(|error| error.unwrap_or_else(fault))?;
    target.order = order.unwrap_or(target.order);
    let mut out = target.header.bytes(target.magic, target.order);
    let shared =
        Shared { order: target.order, path: RefCell::default(), go: Cell::new(false), depth: Cell::new(0) };
    let state =
        EntriesSeed { shared: &shared, target: &target, out: &mut out, index: 0, next: target.first() };
    let text = document.entries.get();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    state.deserialize(&mut deserializer).map_err(|error| {
        let path = shared.path.borrow();
        let entry = path.first().and_then(|step| step.parse().ok());
        bad(json, text.as_bytes(), entry, &error, &path.join("."))
    })?;
    if let Some(trailing) = &document.trailing {
        let bytes = base64::decode(trailing).ok_or_else(|| fault("\"@trailing\" is no base64".into()))?;
        out.extend_from_slice(&bytes);
    }
    Ok(out)
}

#[derive(Deserialize)]
#[serde(expecting = "an object with \"magic\" and \"entries\"")]
struct Document<'a> {
    #[serde(borrow)]
    magic: Cow<'a, str>,
    #[serde(borrow)]
    entries: &'a RawValue,
    #[serde(rename = "@layout")]
    layout: Option<String>,
    #[serde(rename = "@byte_order")]
    byte_order: Option<String>,
    #[serde(rename = "@trailing", borrow)]
    trailing: Option<Cow<'a, str>>,
}

/// The fault of a JSON text, with its offset in the whole text. `part` is a window into `json`.
#[cold]
fn bad(json: &[u8], part: &[u8], entry: Option<u64>, error: &serde_json::Error, path: &str) -> Error {
    let before = (part.as_ptr() as usize).saturating_sub(json.as_ptr() as usize);
    let line_start: usize = part
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let offset = before + line_start + error.column().saturating_sub(1);
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let reason = if path.is_empty() { text.to_owned() } else { format!("entries.{path}: {text}") };
    let reason = crate::text::escaped(reason.as_bytes()).to_string();
    Error::new(ErrorKind::BadJson { reason }, b"", entry, offset as u64)
}

/// What is to be encoded.
pub(super) struct Target {
    header: Header,
    magic: u32,
    order: ByteOrder,
    framing: Framing,
}

impl Target {
    fn of(document: &Document<'_>) -> Result<Self, Result<Error, String>> {
        let name = document.magic.as_ref();
        let order = match document.byte_order.as_deref() {
            None | Some("little") => ByteOrder::Little,
            Some("big") => ByteOrder::Big,
            Some(_) => return Err(Err("\"@byte_order\" is neither \"little\" nor \"big\"".into())),
        };
        let (mut header, magic, framing) = match (spec_by_name(name), name.strip_prefix("0x")) {
            (Some(spec), _) => (spec.header, spec.magic.unwrap_or_default(), spec.framing),
            (None, Some(digits)) => match u32::from_str_radix(digits, 16) {
                Ok(magic) => (Header::Common, magic, Framing::Stream(&UNKNOWN_MESSAGE, ExtraRule::None)),
                Err(_) => return Err(Err(format!("no kind of image has the magic \"{name}\""))),
            },
            (None, None) => return Err(Err(format!("no kind of image has the magic \"{name}\""))),
        };
        if let Framing::Raw(format) = framing {
            let what = format.name();
            return Err(Ok(Error::new(ErrorKind::Raw { what }, b"", None, 0)));
        }
        if let Some(layout) = &document.layout {
            header = Header::by_name(layout).ok_or(Err("\"@layout\" names no form of header".to_owned()))?;
        }
        Ok(Self { header, magic, order, framing })
    }

    fn first(&self) -> Next {
        match self.framing {
            Framing::Single(desc, rule) => Next::Record(desc, Form::Entry(rule)),
            Framing::Stream(desc, rule) => Next::Record(desc, Form::Entry(rule)),
            Framing::HeadThenStream(head, _) => Next::Record(head, Form::Entry(ExtraRule::None)),
            Framing::Ghost(head, _) => Next::Record(head, Form::GhostHead),
            Framing::Bare(desc) => Next::Record(desc, Form::Entry(ExtraRule::None)),
            Framing::Raw(_) => Next::End,
        }
    }

    /// What may follow an entry that was written.
    fn after(&self, form: Form, body: &[u8]) -> Next {
        match self.framing {
            Framing::Single(..) | Framing::Bare(_) | Framing::Raw(_) => Next::End,
            Framing::Stream(desc, rule) => Next::Record(desc, Form::Entry(rule)),
            Framing::HeadThenStream(_, desc) => Next::Record(desc, Form::Entry(ExtraRule::None)),
            Framing::Ghost(head, chunk) if form == Form::GhostChunk || is_chunked(head, body) => {
                Next::Record(chunk, Form::GhostChunk)
            }
            Framing::Ghost(..) => Next::End,
        }
    }
}

fn is_chunked(head: &MessageDesc, body: &[u8]) -> bool {
    let number = head.field_named("chunks").map_or(0, |field| field.number);
    matches!(wire::uint_field(body, number), Ok(Some(value)) if value != 0)
}

#[derive(Clone, Copy)]
enum Next {
    Record(&'static MessageDesc, Form),
    End,
}

/// What all parts of one encoding share.
pub(super) struct Shared {
    pub order: ByteOrder,
    /// Where in the document the reader is: entry, then keys. Stays as it was at a fault.
    pub path: RefCell<Vec<String>>,
    /// Whether a 64-bit number was met as decimal text, which only go-criu writes.
    pub go: Cell<bool>,
    /// How deep messages nest around the value being read.
    pub depth: Cell<usize>,
}

impl Shared {
    pub fn enter(&self, step: String) {
        self.path.borrow_mut().push(step);
    }

    pub fn leave(&self) {
        self.path.borrow_mut().pop();
    }
}

struct EntriesSeed<'c> {
    shared: &'c Shared,
    target: &'c Target,
    out: &'c mut Vec<u8>,
    index: u64,
    next: Next,
}

impl<'de> DeserializeSeed<'de> for EntriesSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EntriesSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        loop {
            self.shared.enter(self.index.to_string());
            let (desc, form) = match self.next {
                Next::Record(desc, form) => (desc, form),
                Next::End if list.next_element::<serde::de::IgnoredAny>()?.is_some() => {
                    return Err(A::Error::custom("an image of this kind has no further entry"));
                }
                Next::End => return Ok(()),
            };
            let Some(parts) = list.next_element_seed(ObjectSeed { shared: self.shared, desc, form })? else {
                return Ok(());
            };
            self.write(desc, form, &parts).map_err(A::Error::custom)?;
            self.shared.leave();
            self.index += 1;
        }
    }
}

impl EntriesSeed<'_> {
    fn write(&mut self, desc: &'static MessageDesc, form: Form, parts: &Parts) -> Result<(), String> {
        let order = self.target.order;
        if parts.extra_is_size {
            return Err(
                "\"extra\" holds only the size of the payload (--nopl): the bytes are not there".into()
            );
        }
        let extra = parts.extra.as_slice();
        let expected = match form {
            Form::Entry(rule) => extra::cut(rule, &parts.body, extra, order).map(|cut| cut.len() as u64),
            Form::GhostChunk => Ok(chunk_len(desc, &parts.body)),
            Form::GhostHead if is_chunked(desc, &parts.body) => Ok(0),
            Form::GhostHead | Form::Nested => Ok(extra.len() as u64),
        };
        match expected {
            Ok(len) if len == extra.len() as u64 => {}
            Ok(len) => return Err(contradiction(extra.len() as u64, len)),
            Err(ErrorKind::PayloadTruncated { what, expected, got }) => {
                return Err(format!("{} (`{what}`)", contradiction(got, expected)));
            }
            Err(kind) => return Err(Error::new(kind, b"", None, 0).message()),
        }
        if matches!(self.target.framing, Framing::Bare(_)) {
            self.out.extend_from_slice(&parts.body);
        } else {
            write::record(order, &parts.body, extra, self.out).ok_or("a record has more than 2^32 bytes")?;
        }
        self.next = self.target.after(form, &parts.body);
        Ok(())
    }
}

fn chunk_len(desc: &MessageDesc, body: &[u8]) -> u64 {
    let number = desc.field_named("len").map_or(0, |field| field.number);
    wire::uint_field(body, number).ok().flatten().unwrap_or_default()
}

fn contradiction(extra: u64, fields: u64) -> String {
    format!("\"extra\" holds {extra} bytes, but the fields of the record announce {fields}")
}
