//! Files that a command writes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::CliError;
use crate::inputs::Input;

/// Refuses to write over an input: those are mapped, and evidence.
pub fn spare(path: &Path, inputs: &[&Path]) -> Result<(), CliError> {
    let identity = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let Some(target) = identity(path) else { return Ok(()) };
    if inputs.iter().any(|input| identity(input) == Some(target)) {
        let text = format!("`{}` is an input and will not be overwritten", path.display());
        return Err(CliError::new(text).hinted("write to another file"));
    }
    Ok(())
}

/// Opens a file for writing, unless it is one of the inputs.
pub fn create(path: &Path, inputs: &[Input]) -> Result<BufWriter<File>, CliError> {
    let inputs: Vec<&Path> = inputs.iter().filter_map(Input::path).collect();
    spare(path, &inputs)?;
    let file = File::create(path)
        .map_err(|error| CliError::new(format!("cannot create `{}`", path.display())).because(error))?;
    Ok(BufWriter::with_capacity(1 << 16, file))
}

/// Ends a file: what is still buffered is written, and a fault of that is told.
pub fn finish(mut file: impl Write, path: &Path) -> Result<(), CliError> {
    file.flush().map_err(|error| CliError::writing(&format!("`{}`", path.display()), &error))
}

/// A file that gets its name when it is whole: a run that fails leaves nothing, and what was there before.
#[derive(Debug)]
pub struct Beside {
    file: File,
    place: PathBuf,
    is_kept: bool,
}

/// Makes a file beside the one that it will be, unless that is one of the inputs.
pub fn create_beside(path: &Path, inputs: &[&Path]) -> Result<Beside, CliError> {
    let cannot = |error| CliError::new(format!("cannot create `{}`", path.display())).because(error);
    spare(path, inputs)?;
    if let Ok(target) = path.metadata() {
        // A device or a pipe cannot be replaced.
        if !target.is_file() {
            let file = File::options().write(true).open(path).map_err(cannot)?;
            return Ok(Beside { file, place: path.into(), is_kept: true });
        }
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let place = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let file = File::options().write(true).create_new(true).open(&place).map_err(cannot)?;
    Ok(Beside { file, place, is_kept: false })
}

impl Beside {
    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name.
    pub fn keep(mut self, path: &Path) -> Result<(), CliError> {
        if !std::mem::replace(&mut self.is_kept, true) {
            std::fs::rename(&self.place, path).map_err(|error| {
                let _ = std::fs::remove_file(&self.place);
                CliError::new(format!("cannot create `{}`", path.display())).because(error)
            })?;
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_file(&self.place);
        }
    }
}

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl std::io::Seek for Beside {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}
