//! Messages as JSON objects.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::bytes::ByteOrder;
use crate::dynamic::{FieldList, MessageRef};
use crate::json::value::{FieldJson, UnknownJson};

/// What the renderings of values depend on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context {
    pub pretty: bool,
    pub hex: bool,
    pub order: ByteOrder,
}

/// A message as an object of its fields.
pub(super) struct MessageJson<'f, 'm> {
    pub message: &'f MessageRef<'m>,
    pub context: Context,
}

impl Serialize for MessageJson<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.message.fields();
        let mut map = serializer.serialize_map(None)?;
        known(&mut map, &fields, self.context)?;
        unknown(&mut map, &fields)?;
        map.end()
    }
}

/// Writes the known fields of a message into an object.
pub(super) fn known<M: SerializeMap>(
    map: &mut M,
    fields: &FieldList<'_>,
    context: Context,
) -> Result<(), M::Error> {
    fields
        .known()
        .try_for_each(|field| map.serialize_entry(field.desc().name, &FieldJson { field: &field, context }))
}

/// Writes the unknown fields of a message, if there are any, under `@unknown`.
pub(super) fn unknown<M: SerializeMap>(map: &mut M, fields: &FieldList<'_>) -> Result<(), M::Error> {
    if fields.unknown().next().is_none() {
        return Ok(());
    }
    map.serialize_entry("@unknown", &Unknown(fields))
}

struct Unknown<'f, 'm>(&'f FieldList<'m>);

impl Serialize for Unknown<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (number, value) in self.0.unknown() {
            list.serialize_element(&UnknownJson(number, value))?;
        }
        list.end()
    }
}
