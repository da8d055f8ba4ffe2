//! What a checkpoint means: everything one can ask about it. No printing, no terminal.

#![forbid(unsafe_code)]

mod address;
pub mod explore;
mod images;
mod issue;
mod load;
mod name;

pub use address::Address;
pub use images::{ImageSet, MemoryImages};
pub use issue::Issue;
pub use name::Name;
