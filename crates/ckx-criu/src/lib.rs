//! The CRIU image format: bytes in, windows out.

pub mod bytes;
pub mod display;
pub mod dynamic;
pub mod error;
pub mod extra;
pub mod frame;
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
pub mod wire;
pub mod write;

pub use bytes::ByteOrder;
pub use error::{Error, ErrorKind};
pub use extra::Extra;
pub use frame::{Entries, Entry, Image};
pub use kind::{ImageKind, KINDS, KindSpec};
