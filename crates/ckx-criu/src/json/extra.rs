//! The key `extra`: the bytes behind a record as JSON.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::dynamic::MessageRef;
use crate::extra::{Extra, Message};
use crate::json::base64::{Lines, Plain};
use crate::json::message::{Context, known, unknown};
use crate::json::value::Shown;
use crate::schema::messages;
use crate::wire;

/// The bytes behind a record in crit's form.
pub(super) struct ExtraJson<'e, 'a>(pub &'e Extra<'a>);

impl Serialize for ExtraJson<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Extra::None => serializer.serialize_unit(),
            Extra::Bytes { data, .. } => serializer.collect_str(&Lines(data)),
            Extra::Tcp { inq, outq } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("inq", &Shown(Lines(inq)))?;
                map.serialize_entry("outq", &Shown(Lines(outq)))?;
                map.end()
            }
            // crit joins both in one text; where one ends is in the record.
            Extra::Bpf { keys, values } => serializer.collect_str(&Lines(&[*keys, *values].concat())),
            Extra::Sems(sems) => serializer.collect_seq(sems.iter()),
            Extra::Messages(messages) => {
                let mut list = serializer.serialize_seq(None)?;
                for message in messages.iter() {
                    list.serialize_element(&QueuedJson(&message))?;
                    list.serialize_element(&Shown(Lines(message.data)))?;
                }
                list.end()
            }
        }
    }
}

/// The `ipc_msg` record of a queued message. crit never shows these in its pretty form.
struct QueuedJson<'e, 'a>(&'e Message<'a>);

impl Serialize for QueuedJson<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Message { body, pad, .. } = *self.0;
        let message = MessageRef::checked(&messages::IPC_MSG, body);
        let fields = message.fields();
        let mut map = serializer.serialize_map(None)?;
        let shape = wire::inspect(&messages::IPC_MSG, body);
        if shape.is_ok() {
            known(&mut map, &fields, Context::default())?;
            unknown(&mut map, &fields)?;
        }
        if pad.iter().any(|byte| *byte != 0) {
            map.serialize_entry("@pad", &Shown(Plain(pad)))?;
        }
        if !shape.is_ok_and(|shape| shape.canonical) {
            map.serialize_entry("@wire", &Shown(Plain(body)))?;
        }
        map.end()
    }
}

/// Padding behind the bytes of a record that is not zero.
pub(super) fn odd_padding<'a>(extra: &Extra<'a>) -> Option<&'a [u8]> {
    let pad = match extra {
        Extra::Bytes { pad, .. } => pad,
        Extra::Sems(sems) => sems.pad,
        _ => return None,
    };
    pad.iter().any(|byte| *byte != 0).then_some(pad)
}

/// A payload that was left out, as crit's `--nopl` writes it: `... <1.5KB>`.
pub(super) struct LeftOut(pub usize);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut size = self.0 as f64;
        for unit in ["", "K", "M", "G", "T", "P", "E"] {
            if size < 1024.0 {
                let decimals = usize::from(size.fract() != 0.0);
                return write!(f, "... <{size:.decimals$}{unit}B>");
            }
            size /= 1024.0;
        }
        write!(f, "... <{size:.1}ZB>")
    }
}

#[cfg(test)]
mod tests {
    use super::LeftOut;

    #[test]
    fn sizes_are_those_of_crit() {
        let text = |size| LeftOut(size).to_string();
        assert_eq!(text(0), "... <0B>");
        assert_eq!(text(1023), "... <1023B>");
        assert_eq!(text(12 * 1024), "... <12KB>");
        assert_eq!(text(1536), "... <1.5KB>");
    }
}
