//! Typed messages, one Rust struct per message of `proto/`, made by prost-build.
//!
//! Text fields are `Vec<u8>`: Linux names are bytes. prost drops fields it does not know, so these
//! structs are for reading; editing goes through [`crate::write`], which keeps what it does not know.

use crate::schema::MessageDesc;

/// A typed message that stands in the schema.
pub trait Record: prost::Message + Default {
    /// The schema row of the message.
    const SCHEMA: &'static MessageDesc;

    /// Decodes bytes that stand by themselves, such as [`crate::extra::Message::body`]. `None` when they
    /// are no message.
    fn of_bytes(body: &[u8]) -> Option<Self> {
        Self::decode(body).ok()
    }
}

/// The generated structs.
#[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all)]
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/typed.rs"));
}
