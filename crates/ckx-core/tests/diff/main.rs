//! What `ckx_core::diff` finds, beside what is known to have happened.
//!
//! The corpus is large and no part of the project: `CKX_CORPUS` names its place, and without it its
//! tests say so and pass.

#![allow(clippy::print_stdout)]

mod kinds;
mod pairs;
mod raw;
mod synthetic;

use std::path::Path;

use bytes::Bytes;
use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::diff::{Diff, Mark, Options};
use ckx_core::{Checkpoint, Wanted};

/// A checkpoint archive in memory, opened as a mapped tar would be.
fn open(name: &str, data: impl Into<Bytes>) -> Checkpoint {
    let archive =
        Archive::from_bytes(Path::new(name), data.into(), &mut Wanted::default(), ArchiveOptions::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    Checkpoint::from_archive(archive, ckx_core::Options::default())
}

/// What differs, in the form `+ proc[7]`.
fn lines(diff: &Diff) -> Vec<String> {
    let told = diff.changes.iter().filter(|change| change.mark != Mark::Same && !change.of_dump);
    told.map(|change| format!("{} {} {}", change.kind, change.mark.sign(), change.path)).collect()
}

/// Compares with no options.
fn compare(before: &Checkpoint, after: &Checkpoint) -> Diff {
    ckx_core::diff::compare(before, after, &Options::default())
}
