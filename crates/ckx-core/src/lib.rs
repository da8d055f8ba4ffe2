//! What a checkpoint means: everything one can ask about it. No printing, no terminal.

#![forbid(unsafe_code)]

mod address;
mod checkpoint;
pub mod core_file;
pub mod diff;
pub mod explore;
mod images;
pub mod inspect;
mod interest;
mod issue;
mod kernel;
mod load;
pub mod memory;
pub mod model;
mod name;
pub mod outline;
mod secret;
mod summary;
mod time;

pub use address::Address;
pub use checkpoint::{Checkpoint, Options};
pub use images::{ImageSet, MemoryImages};
pub use interest::Wanted;
pub use issue::Issue;
pub use name::Name;
pub use summary::Summary;
pub use time::Time;
