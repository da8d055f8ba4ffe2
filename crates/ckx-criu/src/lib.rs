#![doc = include_str!("../HANDBOOK.md")]
// Input is hostile here: nothing may index, unwrap or panic; and nothing reaches beyond bytes.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::todo,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods
)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bytes;
pub mod display;
pub mod dynamic;
pub mod error;
pub mod extra;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod header;
pub mod json;
pub mod kind;
mod kinds;
pub mod limits;
pub mod pages;
pub mod raw;
pub mod schema;
pub mod text;
pub mod typed;
mod varint;
pub mod wire;
pub mod write;

pub use bytes::ByteOrder;
pub use error::{Error, ErrorKind};
pub use extra::Extra;
pub use frame::{Entries, Entry, Image};
pub use kind::{ImageKind, KINDS, KindSpec};
