//! Files that a command writes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::CliError;
use crate::inputs::Input;

/// Opens a file for writing, unless it is one of the inputs: those are mapped, and evidence.
pub fn create(path: &Path, inputs: &[Input]) -> Result<BufWriter<File>, CliError> {
    if let Ok(target) = path.metadata() {
        let same = |input: &Input| {
            let metadata = input.path().and_then(|path| path.metadata().ok());
            metadata.is_some_and(|other| (other.dev(), other.ino()) == (target.dev(), target.ino()))
        };
        if inputs.iter().any(same) {
            return Err(CliError::new(format!(
                "`{}` is an input and will not be overwritten",
                path.display()
            ))
            .hinted("write to another file"));
        }
    }
    let file = File::create(path)
        .map_err(|error| CliError::new(format!("cannot create `{}`", path.display())).because(error))?;
    Ok(BufWriter::with_capacity(1 << 16, file))
}

/// Ends a file: what is still buffered is written, and a fault of that is told.
pub fn finish(mut file: impl Write, path: &Path) -> Result<(), CliError> {
    file.flush().map_err(|error| CliError::writing(&format!("`{}`", path.display()), &error))
}
