//! Any message, field by field, by the schema alone.
//!
//! For decoding, showing and comparing messages without naming their types. Fields come by number,
//! as protobuf defines their meaning: the last of several values of a singular field, messages
//! merged, packed and unpacked integers alike. Unknown fields are there too.

use std::borrow::Cow;

use crate::error::WireError;
use crate::schema::{EnumDesc, FieldDesc, Label, MessageDesc, Type};
use crate::wire::{self, Scalar, WireField, WireValue, integers, message_values};

/// A message: its schema and its bytes.
#[derive(Debug, Clone)]
pub struct MessageRef<'a> {
    desc: &'static MessageDesc,
    bytes: Cow<'a, [u8]>,
}

/// A value of a known field.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// `bool` and integers.
    Scalar(Scalar),
    /// A value of an enum, which may have no name.
    Enum(i32, &'static EnumDesc),
    /// Text of the schema: any bytes.
    Text(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A message.
    Message(MessageRef<'a>),
}

/// A field with the values it has on the wire.
#[derive(Debug)]
pub struct FieldRef<'m> {
    desc: &'static FieldDesc,
    run: &'m [(Option<&'static FieldDesc>, WireField<'m>)],
}

/// The fields of a message, sorted.
#[derive(Debug)]
pub struct FieldList<'m> {
    fields: Vec<(Option<&'static FieldDesc>, WireField<'m>)>,
}

impl<'a> MessageRef<'a> {
    /// A message of the schema.
    ///
    /// # Errors
    /// When the bytes are not well-formed at some level.
    pub fn parse(desc: &'static MessageDesc, bytes: &'a [u8]) -> Result<Self, WireError> {
        wire::inspect(desc, bytes)?;
        Ok(Self::checked(desc, bytes))
    }

    /// A message whose bytes were checked before. Faulty ones show the fields before the fault.
    pub(crate) fn checked(desc: &'static MessageDesc, bytes: &'a [u8]) -> Self {
        Self { desc, bytes: Cow::Borrowed(bytes) }
    }

    /// Which message it is.
    pub fn desc(&self) -> &'static MessageDesc {
        self.desc
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its fields.
    pub fn fields(&self) -> FieldList<'_> {
        FieldList { fields: wire::sorted_fields(self.desc, &self.bytes) }
    }
}

impl<'m> FieldList<'m> {
    /// Known fields that are set, by number.
    pub fn known(&self) -> impl Iterator<Item = FieldRef<'_>> {
        self.fields.chunk_by(|(a, x), (b, y)| x.number == y.number && a.is_some() == b.is_some()).filter_map(
            |run| {
                let desc = run.first()?.0?;
                Some(FieldRef { desc, run })
            },
        )
    }

    /// Unknown fields: those without a row in the schema, and those whose value does not fit it.
    pub fn unknown(&self) -> impl Iterator<Item = (u32, WireValue<'m>)> {
        self.fields.iter().filter(|(known, _)| known.is_none()).map(|(_, field)| (field.number, field.value))
    }

    /// The field with this name, if it is set.
    pub fn get(&self, name: &str) -> Option<FieldRef<'_>> {
        self.known().find(|field| field.desc.name == name)
    }
}

impl<'m> FieldRef<'m> {
    /// Its row of the schema.
    pub fn desc(&self) -> &'static FieldDesc {
        self.desc
    }

    /// Visits its values: all of a repeated field, the one of a singular one.
    pub fn each(&self, mut visit: impl FnMut(Value<'m>)) {
        match self.desc.ty {
            Type::Message(desc) => {
                message_values(self.desc, self.run, |bytes| {
                    visit(Value::Message(MessageRef { desc, bytes }))
                });
            }
            Type::Text | Type::Bytes => {
                let skip =
                    if self.desc.label == Label::Repeated { 0 } else { self.run.len().saturating_sub(1) };
                for (_, field) in self.run.iter().skip(skip) {
                    let WireValue::Bytes(bytes) = field.value else { continue };
                    visit(if matches!(self.desc.ty, Type::Text) {
                        Value::Text(bytes)
                    } else {
                        Value::Bytes(bytes)
                    });
                }
            }
            Type::Enum(desc) => integers(self.desc, self.run, |value| {
                if let Scalar::Signed(number) = value {
                    visit(Value::Enum(number as i32, desc));
                }
            }),
            _ => integers(self.desc, self.run, |value| visit(Value::Scalar(value))),
        }
    }

    /// The values in a list.
    pub fn values(&self) -> Vec<Value<'m>> {
        let mut values = Vec::with_capacity(self.run.len());
        self.each(|value| values.push(value));
        values
    }
}
