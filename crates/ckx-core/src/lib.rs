//! What a checkpoint means: everything one can ask about it. No printing, no terminal.

#![forbid(unsafe_code)]

mod images;

pub use images::{ImageSet, MemoryImages};
