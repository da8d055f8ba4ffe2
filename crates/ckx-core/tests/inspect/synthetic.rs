//! Synthetic checkpoints, opened as directories of images in memory.

use ckx_core::{Checkpoint, Options};
use ckx_testkit::SynthCheckpoint;

/// A synthetic checkpoint, as a tar with its images at the top.
pub fn open(set: SynthCheckpoint) -> Checkpoint {
    open_with(set, Options::default())
}

/// The same, with options.
pub fn open_with(set: SynthCheckpoint, options: Options) -> Checkpoint {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in set.build().files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, name, &bytes[..]).expect("writing to memory");
    }
    crate::corpus::open_bytes("synthetic", tar.into_inner().expect("writing to memory"), options)
}
