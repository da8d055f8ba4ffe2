//! The JSON form of images: crit's, made lossless.
//!
//! An image is `{"magic": NAME, "entries": [...]}`, an entry an object with the fields of its message
//! and, where bytes follow the record, the key `extra`. Scripts written for crit read and write it.
//! What crit's form has no place for stands under keys that begin with `@`, and only where it is
//! needed, so that bytes → JSON → bytes is the identity for every file:
//!
//! | key | where | holds |
//! |---|---|---|
//! | `@unknown` | any message | fields that the schema does not have: `{"field": 99, "varint": 1}`, or `fixed64`, `fixed32`, `bytes`, `group` (base64) |
//! | `@wire` | entry | the record as it was, base64, when encoding its fields would give other bytes |
//! | `@pad` | entry | padding behind the payload that is not zero, base64 |
//! | `@error` | entry, image | why a record or the rest of the image cannot be read |
//! | `@trailing` | image | bytes behind the last readable record, base64 |
//! | `@byte_order` | image | `big` for images of s390x hosts |
//! | `@layout` | image | how the file begins (`own`, `common`, `service`) when not as usual for its kind |
//! | `@bytes` | in place of text | text that is not UTF-8, base64 |
//!
//! An entry with `@wire` whose fields were edited is encoded from the fields.
//!
//! Numbers are JSON numbers, 64-bit ones too; enums are names, numbers where a value has no name;
//! `bytes` are base64 in lines of 76 characters; names of unix sockets are quoted-printable. The
//! pretty form shows integers by the display options of the schema (see [`crate::display`]).
//! [`encode`] reads both forms and go-criu's spelling of them.

pub mod base64;
mod document;
mod encode;
mod extra;
mod message;
mod object;
mod payload;
pub mod quoted;
mod style;

mod value;

pub use document::{EntryJson, ImageJson, JsonOptions, Payload, magic_name, require_records};
pub use encode::{encode, encode_as};
pub use style::{Style, to_writer};
