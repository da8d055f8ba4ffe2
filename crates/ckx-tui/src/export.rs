//! Writing what is selected to a file.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use crate::job::Job;
use crate::view::Export;

/// Writes an export to a file that is not there yet.
///
/// # Errors
/// When nothing, or the name of a file that exists, was given.
pub fn job(export: Export, name: &str) -> Result<Job, String> {
    let path = PathBuf::from(name.trim());
    if path.as_os_str().is_empty() {
        return Err("the name of a file is needed".to_owned());
    }
    if path.exists() {
        return Err("that file exists: another name".to_owned());
    }
    Ok(Box::new(move |work| {
        let failed = |error: std::io::Error| format!("cannot write `{}`: {error}", path.display());
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
        let mut out = Counted { out: BufWriter::with_capacity(1 << 16, file), bytes: 0 };
        let written = (export.write)(work, &mut out).and_then(|()| out.flush().map_err(failed));
        if let Err(reason) = written {
            // A part of it is nothing that was asked for.
            let _ = std::fs::remove_file(&path);
            return Err(reason);
        }
        let size = ckx_core::outline::size(out.bytes);
        Ok(Box::new(format!("wrote {} ({size}) to {}", export.label, path.display())))
    }))
}

struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(data)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
