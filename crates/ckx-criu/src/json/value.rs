//! Single values as JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Unexpected, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::display;
use crate::dynamic::{FieldRef, Value};
use crate::json::base64::{self, Lines, Plain};
use crate::json::encode::Shared;
use crate::json::message::{Context, MessageJson};
use crate::json::object::{Form, ObjectSeed};
use crate::json::quoted;
use crate::schema::{FieldDesc, Label, Type};
use crate::wire::{Scalar, WireValue, put_bytes, put_packed, put_wire, wire_scalar};

/// All values of a field: a list for repeated fields, else the value.
pub(super) struct FieldJson<'f, 'm> {
    pub field: &'f FieldRef<'m>,
    pub context: Context,
}

impl Serialize for FieldJson<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (desc, context) = (self.field.desc(), self.context);
        if desc.label != Label::Repeated {
            let mut last = None;
            self.field.each(|value| last = Some(value));
            return match last {
                Some(value) => ValueJson { desc, value, context }.serialize(serializer),
                None => serializer.serialize_unit(),
            };
        }
        if context.pretty
            && desc.display().ipadd
            && let Some(address) = address(&self.field.values(), context)
        {
            return [address].serialize(serializer);
        }
        let mut list = serializer.serialize_seq(None)?;
        let mut result = Ok(());
        self.field.each(|value| {
            if result.is_ok() {
                result = list.serialize_element(&ValueJson { desc, value, context });
            }
        });
        result?;
        list.end()
    }
}

fn address(values: &[Value<'_>], context: Context) -> Option<String> {
    let word = |value: &Value<'_>| match value {
        Value::Scalar(Scalar::Unsigned(word)) => u32::try_from(*word).ok(),
        _ => None,
    };
    let words: Vec<u32> = values.iter().take(5).map(word).collect::<Option<_>>()?;
    display::address(&words, context.order)
}

struct ValueJson<'m> {
    desc: &'static FieldDesc,
    value: Value<'m>,
    context: Context,
}

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let context = self.context;
        match &self.value {
            Value::Scalar(scalar) => {
                let pretty = context
                    .pretty
                    .then(|| display::pretty_integer(self.desc, context.hex, *scalar))
                    .flatten();
                match (pretty, scalar) {
                    (Some(text), _) => serializer.serialize_str(&text),
                    (None, Scalar::Bool(value)) => serializer.serialize_bool(*value),
                    (None, Scalar::Signed(value)) => serializer.serialize_i64(*value),
                    (None, Scalar::Unsigned(value)) => serializer.serialize_u64(*value),
                }
            }
            Value::Enum(number, desc) => match desc.name_of(*number) {
                Some(name) => serializer.serialize_str(name),
                None => serializer.serialize_i32(*number),
            },
            Value::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => serializer.serialize_str(text),
                Err(_) => {
                    let mut map = serializer.serialize_map(Some(1))?;
                    map.serialize_entry("@bytes", &Shown(Plain(bytes)))?;
                    map.end()
                }
            },
            Value::Bytes(bytes) if self.desc.display().conv == Some("unix_name") => {
                serializer.serialize_str(&quoted::encode(bytes))
            }
            Value::Bytes(bytes) => serializer.collect_str(&Lines(bytes)),
            Value::Message(message) => {
                let hex = context.hex || self.desc.display().hex;
                MessageJson { message, context: Context { hex, ..context } }.serialize(serializer)
            }
        }
    }
}

/// A value that is written as what its `Display` says.
pub(super) struct Shown<T>(pub T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// An unknown field: its number and its value as it stands on the wire.
pub(super) struct UnknownJson<'m>(pub u32, pub WireValue<'m>);

impl Serialize for UnknownJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("field", &self.0)?;
        match self.1 {
            WireValue::Varint(value) => map.serialize_entry("varint", &value)?,
            WireValue::Fixed64(value) => map.serialize_entry("fixed64", &value)?,
            WireValue::Fixed32(value) => map.serialize_entry("fixed32", &value)?,
            WireValue::Bytes(bytes) => map.serialize_entry("bytes", &Shown(Plain(bytes)))?,
            WireValue::Group(bytes) => map.serialize_entry("group", &Shown(Plain(bytes)))?,
        }
        map.end()
    }
}

/// Reads one value of a field and appends it to `out`, encoded.
pub(super) struct ValueSeed<'c, 'o> {
    pub shared: &'c Shared,
    pub field: &'static FieldDesc,
    pub out: &'o mut Vec<u8>,
    /// Where a socket name waits until the spelling of its object is known.
    pub name: &'o mut Option<(&'static FieldDesc, String)>,
}

impl ValueSeed<'_, '_> {
    fn integer<E: serde::de::Error>(self, value: i128) -> Result<(), E> {
        let range = match self.field.ty {
            Type::Bool => 0..=1,
            Type::Int32 | Type::Sint32 | Type::Enum(_) => i32::MIN.into()..=i32::MAX.into(),
            Type::Int64 | Type::Sint64 => i64::MIN.into()..=i64::MAX.into(),
            Type::Uint32 | Type::Fixed32 => 0..=u32::MAX.into(),
            Type::Uint64 | Type::Fixed64 => 0..=u64::MAX.into(),
            Type::Text | Type::Bytes | Type::Message(_) => {
                return Err(E::invalid_type(Unexpected::Other("a number"), &self));
            }
        };
        if !range.contains(&value) {
            let (low, high) = range.into_inner();
            return Err(E::custom(format!("{value} is not between {low} and {high}")));
        }
        let scalar = if value < 0 { Scalar::Signed(value as i64) } else { Scalar::Unsigned(value as u64) };
        if self.field.packed {
            put_packed(self.field.ty, scalar, self.out);
        } else {
            put_wire(self.field.number, wire_scalar(self.field.ty, scalar), self.out);
        }
        Ok(())
    }

    fn integer_text<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if let Type::Enum(desc) = self.field.ty
            && let Some(number) = desc.number_of(text)
        {
            return self.integer(number.into());
        }
        if self.field.display().ipadd
            && let Some(words) = display::parse_address(text, self.shared.order)
        {
            for word in words {
                put_wire(self.field.number, WireValue::Varint(word.into()), self.out);
            }
            return Ok(());
        }
        let wide = matches!(self.field.ty, Type::Int64 | Type::Sint64 | Type::Uint64 | Type::Fixed64);
        if wide && !text.is_empty() && text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit())
        {
            self.shared.go.set(true);
        }
        match display::parse_integer(self.field, text) {
            Some(value) => self.integer(value),
            None => Err(E::custom(format!("\"{text}\" is no value of {}", self.field.name))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.ty {
            Type::Bool => f.write_str("true or false"),
            Type::Text => f.write_str("text"),
            Type::Bytes => f.write_str("base64 text"),
            Type::Enum(desc) => write!(f, "a name of {}", desc.name),
            Type::Message(desc) => write!(f, "an object with the fields of a {}", desc.name),
            _ => f.write_str("a number"),
        }
    }

    /// `null` is a field that is not set.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        match self.field.ty {
            Type::Bool => self.integer(value.into()),
            _ => Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        Err(E::custom(format!(
            "{value} is no whole number of 64 bits; some tools turn large numbers into such ones"
        )))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        match self.field.ty {
            Type::Text => put_bytes(self.field.number, text.as_bytes(), self.out),
            Type::Bytes if self.field.display().conv == Some("unix_name") => {
                *self.name = Some((self.field, text.to_owned()));
            }
            Type::Bytes => {
                let bytes = base64::decode(text).ok_or_else(|| E::custom("the text is no base64"))?;
                put_bytes(self.field.number, &bytes, self.out);
            }
            Type::Message(_) => return Err(E::invalid_type(Unexpected::Str(text), &self)),
            _ => return self.integer_text(text),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self.field.ty {
            Type::Message(desc) => {
                let seed = ObjectSeed { shared: self.shared, desc, form: Form::Nested };
                let parts = seed.visit_map(map)?;
                put_bytes(self.field.number, &parts.body, self.out);
                Ok(())
            }
            Type::Text => {
                let entry: Option<(Cow<'de, str>, Cow<'de, str>)> = map.next_entry()?;
                let bytes =
                    entry.filter(|(key, _)| key == "@bytes").and_then(|(_, text)| base64::decode(&text));
                let bytes =
                    bytes.ok_or_else(|| A::Error::custom("text is a string or {\"@bytes\": base64}"))?;
                put_bytes(self.field.number, &bytes, self.out);
                Ok(())
            }
            _ => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}
