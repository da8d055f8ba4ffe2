//! Where checkpoints lie: tars in any compression, directories, OCI images, streams.
//!
//! This crate knows files and no formats. [`Archive`] opens all of them, by content. What is not
//! compressed is mapped, so that a member is a slice of the mapping whatever its size; what is
//! compressed is decoded once, and a reader says beforehand what it wants of it. Nothing is copied
//! to disk, followed or executed.

pub mod archive;
mod compress;
mod directory;
mod error;
mod map;
mod progress;
pub mod tarball;

pub use archive::{Archive, Interest, Interests, Kept, Member, Options, Remote};
pub use compress::{Compression, MAGIC_BYTES};
pub use directory::{Directory, MemberType};
pub use error::Error;
pub use map::{open_file, read_stream};
pub use progress::Progress;
