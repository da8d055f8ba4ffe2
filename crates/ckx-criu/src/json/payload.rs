//! The key `extra` read back, in crit's forms and in go-criu's, where it is always one text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::bytes::round_up;
use crate::extra::ExtraRule;
use crate::json::base64;
use crate::json::encode::Shared;
use crate::json::object::{Form, ObjectSeed, Parts};
use crate::schema::messages;
use crate::write;

/// What `extra` holds.
pub(super) enum Payload {
    /// The bytes behind the record, padding included.
    Bytes(Vec<u8>),
    /// A size in place of bytes that were left out.
    Size,
}

/// Reads `extra` of a record whose kind has this rule.
#[derive(Clone, Copy)]
pub(super) struct PayloadSeed<'c> {
    pub shared: &'c Shared,
    pub rule: ExtraRule,
}

impl<'de> DeserializeSeed<'de> for PayloadSeed<'_> {
    type Value = Payload;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Payload, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl PayloadSeed<'_> {
    fn padded(self, mut data: Vec<u8>) -> Payload {
        let unit = match self.rule {
            ExtraRule::Shm => 4,
            ExtraRule::Sem => 8,
            _ => 1,
        };
        let len = round_up(data.len() as u64, unit).unwrap_or_default() as usize;
        data.resize(len.max(data.len()), 0);
        Payload::Bytes(data)
    }

    /// JSON inside a JSON string, as go-criu writes what is not plain bytes.
    fn inner<E: serde::de::Error>(self, text: &str) -> Result<Payload, E> {
        self.deserialize(&mut serde_json::Deserializer::from_str(text))
            .map_err(|error| E::custom(format!("in the text of \"extra\": {error}")))
    }
}

impl<'de> Visitor<'de> for PayloadSeed<'_> {
    type Value = Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.rule {
            ExtraRule::TcpStream => "an object with \"inq\" and \"outq\"",
            ExtraRule::Sem => "a list of semaphore values",
            ExtraRule::Msg => "a list of messages and their texts in turn",
            _ => "base64 text",
        })
    }

    fn visit_unit<E>(self) -> Result<Payload, E> {
        Ok(Payload::Bytes(Vec::new()))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Payload, E> {
        if text.starts_with("... <") {
            return Ok(Payload::Size);
        }
        match self.rule {
            ExtraRule::TcpStream | ExtraRule::Sem | ExtraRule::Msg if !text.is_empty() => self.inner(text),
            _ => base64::decode(text)
                .map(|data| self.padded(data))
                .ok_or_else(|| E::custom("\"extra\" is no base64")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload, A::Error> {
        if self.rule != ExtraRule::TcpStream {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        }
        let (mut inq, mut outq) = (Vec::new(), Vec::new());
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let queue = match key.as_ref() {
                "inq" | "in_q" => &mut inq,
                "outq" | "out_q" => &mut outq,
                _ => return Err(A::Error::custom("a TCP stream has the queues \"inq\" and \"outq\"")),
            };
            let text: Option<Cow<'de, str>> = map.next_value()?;
            *queue = base64::decode(&text.unwrap_or_default())
                .ok_or_else(|| A::Error::custom("a queue is no base64"))?;
        }
        inq.append(&mut outq);
        Ok(Payload::Bytes(inq))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Payload, A::Error> {
        match self.rule {
            ExtraRule::Sem => {
                let mut data = Vec::new();
                while let Some(value) = list.next_element::<u16>()? {
                    data.extend_from_slice(&self.shared.order.half_bytes(value));
                }
                Ok(self.padded(data))
            }
            ExtraRule::Msg => self.messages(list),
            _ => Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        }
    }
}

impl PayloadSeed<'_> {
    fn messages<'de, A: SeqAccess<'de>>(self, mut list: A) -> Result<Payload, A::Error> {
        let mut out = Vec::new();
        while let Some(parts) = list.next_element_seed(QueuedSeed { shared: self.shared })? {
            let text: Cow<'de, str> = list
                .next_element()?
                .ok_or_else(|| A::Error::custom("a message without its text: the list ends"))?;
            let mut data = base64::decode(&text)
                .ok_or_else(|| A::Error::custom("the text of a message is no base64"))?;
            let padded = round_up(data.len() as u64, 8).unwrap_or_default() as usize;
            let pad = padded.saturating_sub(data.len());
            match parts.pad {
                Some(bytes) if bytes.len() == pad => data.extend_from_slice(&bytes),
                Some(_) => return Err(A::Error::custom("\"@pad\" is not as long as the padding")),
                None => data.resize(padded, 0),
            }
            write::record(self.shared.order, &parts.body, &data, &mut out)
                .ok_or_else(|| A::Error::custom("a message has more than 2^32 bytes"))?;
        }
        Ok(Payload::Bytes(out))
    }
}

/// The record of a queued message: an object, or the text of one.
struct QueuedSeed<'c> {
    shared: &'c Shared,
}

impl QueuedSeed<'_> {
    fn object(&self) -> ObjectSeed<'_> {
        ObjectSeed { shared: self.shared, desc: &messages::IPC_MSG, form: Form::Entry(ExtraRule::None) }
    }
}

impl<'de> DeserializeSeed<'de> for QueuedSeed<'_> {
    type Value = Parts;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parts, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for QueuedSeed<'_> {
    type Value = Parts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the record of a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Parts, A::Error> {
        self.object().visit_map(map)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Parts, E> {
        self.object()
            .deserialize(&mut serde_json::Deserializer::from_str(text))
            .map_err(|error| E::custom(format!("in the text of a message: {error}")))
    }
}
