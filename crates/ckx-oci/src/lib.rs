//! Checkpoints as OCI images: layers, annotations, layouts, registries.
//!
//! A [`plan::Plan`] says what the output holds, member by member; [`layer`] turns parts of it into
//! compressed tars while hashing both sides; an [`image`] is those layers with a manifest and a
//! configuration; a [`destination`] takes the blobs. Nothing depends on a clock, an owner or the order of
//! a directory: same input and options, same digests.

#![forbid(unsafe_code)]

pub mod annotations;
pub mod compress;
mod describe;
pub mod destination;
mod digest;
mod edit;
mod error;
pub mod facts;
pub mod image;
pub mod layer;
pub mod plan;
pub mod pod;
pub mod registry;
pub mod repack;
mod rewrite;
mod tarball;
mod verify;

pub use digest::{Digest, Hasher};
pub use edit::Edits;
pub use error::Error;
pub use rewrite::{Delta, MemoryOptions};
