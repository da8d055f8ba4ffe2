//! JSON objects to messages: fields in any order go out in the order of their numbers.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::extra::ExtraRule;
use crate::json::base64;
use crate::json::encode::Shared;
use crate::json::payload::{Payload, PayloadSeed};
use crate::json::quoted;
use crate::json::value::ValueSeed;
use crate::limits::MAX_MESSAGE_DEPTH;
use crate::schema::{FieldDesc, Label, MessageDesc};
use crate::wire::{self, WireValue, put_bytes, put_wire};

/// What an object stands for, and so which keys beside its fields it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A message inside another.
    Nested,
    /// A record with what follows it.
    Entry(ExtraRule),
    /// The head of a ghost file.
    GhostHead,
    /// A chunk of a ghost file.
    GhostChunk,
}

/// What an object holds.
#[derive(Default)]
pub(super) struct Parts {
    /// The message.
    pub body: Vec<u8>,
    /// The bytes behind it, padding included.
    pub extra: Vec<u8>,
    /// `extra` was only a size.
    pub extra_is_size: bool,
    /// Padding behind the bytes, where it is not zero.
    pub pad: Option<Vec<u8>>,
}

/// Reads an object as a message of the schema.
#[derive(Clone, Copy)]
pub(super) struct ObjectSeed<'c> {
    pub shared: &'c Shared,
    pub desc: &'static MessageDesc,
    pub form: Form,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Parts;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parts, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// One field as encoded, in the order of the text.
struct Segment {
    number: u32,
    unknown: bool,
    start: usize,
    end: usize,
}

/// What was read of an object so far.
struct Builder {
    bytes: Vec<u8>,
    segments: Vec<Segment>,
    /// A socket name, whose spelling is only known when the whole object is.
    name: Option<(&'static FieldDesc, String)>,
    payload: Option<Payload>,
    pad: Option<Vec<u8>>,
    wire: Option<Vec<u8>>,
}

impl Builder {
    fn close(&mut self, number: u32, unknown: bool, start: usize) {
        let end = self.bytes.len();
        self.segments.push(Segment { number, unknown, start, end });
    }

    /// The fields by number, known ones first: the order in which every writer puts them.
    fn sorted(mut self) -> Vec<u8> {
        let key = |segment: &Segment| (segment.number, segment.unknown);
        if self.segments.is_sorted_by_key(key) {
            return self.bytes;
        }
        self.segments.sort_by_key(key);
        let mut out = Vec::with_capacity(self.bytes.len());
        for segment in &self.segments {
            out.extend_from_slice(self.bytes.get(segment.start..segment.end).unwrap_or_default());
        }
        out
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = Parts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the fields of a {}", self.desc.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts, A::Error> {
        let depth = self.shared.depth.get();
        if depth >= MAX_MESSAGE_DEPTH {
            return Err(A::Error::custom("messages nest too deep"));
        }
        self.shared.depth.set(depth + 1);
        // Whether this very object is go-criu's decides how its socket name is read.
        let outer = self.shared.go.replace(false);
        let mut builder = Builder {
            bytes: Vec::new(),
            segments: Vec::new(),
            name: None,
            payload: None,
            pad: None,
            wire: None,
        };
        while let Some(key) = map.next_key_seed(Key)? {
            self.shared.enter(key.to_string());
            self.member(&mut map, &key, &mut builder)?;
            self.shared.leave();
        }
        let parts = self.finish(builder).map_err(A::Error::custom)?;
        self.shared.go.set(outer | self.shared.go.get());
        self.shared.depth.set(depth);
        Ok(parts)
    }
}

impl ObjectSeed<'_> {
    fn member<'de, A: MapAccess<'de>>(
        &self,
        map: &mut A,
        key: &str,
        builder: &mut Builder,
    ) -> Result<(), A::Error> {
        if let Some(field) = self.desc.field_named(current_name(self.desc, key)) {
            if builder.segments.iter().any(|segment| segment.number == field.number && !segment.unknown) {
                return Err(A::Error::custom("the key stands twice in one object"));
            }
            let start = builder.bytes.len();
            let seed =
                ValueSeed { shared: self.shared, field, out: &mut builder.bytes, name: &mut builder.name };
            if field.label == Label::Repeated {
                map.next_value_seed(ListSeed(seed))?;
            } else {
                map.next_value_seed(seed)?;
            }
            builder.close(field.number, false, start);
            return Ok(());
        }
        match (key, self.form) {
            ("@unknown", _) => map.next_value_seed(UnknownSeed { builder }),
            ("extra", Form::Entry(_) | Form::GhostHead | Form::GhostChunk) => {
                let rule = match self.form {
                    Form::Entry(rule) => rule,
                    _ => ExtraRule::PipeData,
                };
                builder.payload = Some(map.next_value_seed(PayloadSeed { shared: self.shared, rule })?);
                Ok(())
            }
            ("@pad", Form::Entry(_)) => {
                builder.pad = Some(base64_value(map)?);
                Ok(())
            }
            ("@wire", Form::Entry(_) | Form::GhostHead | Form::GhostChunk) => {
                builder.wire = Some(base64_value(map)?);
                Ok(())
            }
            ("@error", _) => map.next_value::<IgnoredAny>().map(drop),
            _ => Err(A::Error::custom(self.no_such_field(key))),
        }
    }

    fn no_such_field(&self, key: &str) -> String {
        let hint =
            meant(self.desc, key).map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default();
        format!("{} has no field \"{key}\"{hint}", self.desc.name)
    }

    fn finish(&self, mut builder: Builder) -> Result<Parts, String> {
        if let Some((field, text)) = builder.name.take() {
            let start = builder.bytes.len();
            let name = if self.shared.go.get() {
                base64::decode(&text).ok_or("a socket name in go-criu's spelling is no base64")?
            } else {
                quoted::decode(&text).ok_or("a socket name is no quoted-printable text")?
            };
            put_bytes(field.number, &name, &mut builder.bytes);
            // The empty segment that was made for the key is now this one.
            builder.segments.retain(|segment| segment.number != field.number || segment.unknown);
            builder.close(field.number, false, start);
        }
        let (payload, pad, wire) = (builder.payload.take(), builder.pad.take(), builder.wire.take());
        let mut body = builder.sorted();
        if let Some(wire) = wire {
            body = self.unless_edited(wire, body);
        }
        let mut parts = Parts { body, pad, ..Parts::default() };
        match payload {
            Some(Payload::Bytes(bytes)) => {
                parts.extra = bytes;
                if let Some(pad) = &parts.pad {
                    let len = parts.extra.len().checked_sub(pad.len());
                    parts.extra.truncate(len.ok_or("\"@pad\" is longer than the padding")?);
                    parts.extra.extend_from_slice(pad);
                }
            }
            Some(Payload::Size) => parts.extra_is_size = true,
            None => {}
        }
        Ok(parts)
    }

    /// The record as it was, if its fields say the same; else what the fields say now.
    fn unless_edited(&self, wire: Vec<u8>, fields: Vec<u8>) -> Vec<u8> {
        let same = match wire::inspect(self.desc, &wire) {
            Ok(_) => wire::normalize(self.desc, &wire) == fields,
            Err(_) => fields.is_empty(),
        };
        if same { wire } else { fields }
    }
}

/// Fields that earlier releases called otherwise: message, old name, name. JSON made by their crit
/// has the old names. (`pagemap_entry.nr_pages` is missing here on purpose: the name is now that of
/// another field, which means the same.)
const RENAMED: &[(&str, &str, &str)] = &[
    ("user_desc_t", "useable", "usable"),
    ("task_core_entry", "seccomp_mode", "old_seccomp_mode"),
    ("task_core_entry", "seccomp_filter", "old_seccomp_filter"),
];

fn current_name<'k>(desc: &MessageDesc, key: &'k str) -> &'k str {
    let renamed = RENAMED.iter().find(|(message, old, _)| *old == key && *message == desc.name);
    renamed.map_or(key, |(_, _, name)| name)
}

/// The name that a typing error is nearest to, if it is near enough.
fn meant(desc: &MessageDesc, key: &str) -> Option<&'static str> {
    const LONGEST_NAME: usize = 64;
    if key.len() > LONGEST_NAME {
        return None;
    }
    let distance = |name: &str| strsim::damerau_levenshtein(name, key);
    let near = desc.fields.iter().map(|field| (distance(field.name), field.name)).min()?;
    (near.0 <= 1 + key.len() / 4).then_some(near.1)
}

fn base64_value<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Vec<u8>, A::Error> {
    let text: Cow<'de, str> = map.next_value()?;
    base64::decode(&text).ok_or_else(|| A::Error::custom("the text is no base64"))
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The values of a repeated field. A single value is no list.
struct ListSeed<'c, 'o>(ValueSeed<'c, 'o>);

impl<'de> DeserializeSeed<'de> for ListSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of values")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let ValueSeed { shared, field, out, name } = self.0;
        let mut index = 0usize;
        let mut packed = Vec::new();
        loop {
            shared.enter(index.to_string());
            let target = if field.packed { &mut packed } else { &mut *out };
            let seed = ValueSeed { shared, field, out: target, name: &mut *name };
            if list.next_element_seed(seed)?.is_none() {
                break;
            }
            shared.leave();
            index += 1;
        }
        shared.leave();
        if !packed.is_empty() {
            put_bytes(field.number, &packed, out);
        }
        Ok(())
    }
}

/// The list under `@unknown`.
struct UnknownSeed<'b> {
    builder: &'b mut Builder,
}

impl<'de> DeserializeSeed<'de> for UnknownSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for UnknownSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of unknown fields")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(field) = list.next_element::<UnknownField<'de>>()? {
            let UnknownField { field: number, varint, fixed64, fixed32, bytes, group } = field;
            if number == 0 || number >= 1 << 29 {
                return Err(A::Error::custom("a field number lies between 1 and 2^29 - 1"));
            }
            let start = self.builder.bytes.len();
            let decoded = |text: Option<Cow<'_, str>>| -> Result<Option<Vec<u8>>, A::Error> {
                let decode =
                    |text| base64::decode(text).ok_or_else(|| A::Error::custom("the text is no base64"));
                text.as_deref().map(decode).transpose()
            };
            let (bytes, group) = (decoded(bytes)?, decoded(group)?);
            let value = match (varint, fixed64, fixed32, &bytes, &group) {
                (Some(value), None, None, None, None) => WireValue::Varint(value),
                (None, Some(value), None, None, None) => WireValue::Fixed64(value),
                (None, None, Some(value), None, None) => WireValue::Fixed32(value),
                (None, None, None, Some(bytes), None) => WireValue::Bytes(bytes),
                (None, None, None, None, Some(group)) => WireValue::Group(group),
                _ => return Err(A::Error::custom("an unknown field has exactly one value")),
            };
            put_wire(number, value, &mut self.builder.bytes);
            self.builder.close(number, true, start);
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct UnknownField<'a> {
    field: u32,
    varint: Option<u64>,
    fixed64: Option<u64>,
    fixed32: Option<u32>,
    #[serde(borrow)]
    bytes: Option<Cow<'a, str>>,
    #[serde(borrow)]
    group: Option<Cow<'a, str>>,
}
