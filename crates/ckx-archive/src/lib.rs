//! Where checkpoints lie: files and directories.
//!
//! This crate knows files and no formats. What it opens is mapped, so that a member is a slice of
//! the mapping whatever its size; nothing is copied, followed or executed.

mod compress;
mod directory;
mod error;
mod map;
pub mod tarball;

pub use compress::{Compression, MAGIC_BYTES};
pub use directory::{Directory, Member, MemberType};
pub use error::Error;
pub use map::{open_file, read_stream};
