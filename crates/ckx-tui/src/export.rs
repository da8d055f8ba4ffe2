//! Writing what is selected to a file.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use ckx_core::core_file::{CoreFile, Stream};
use ckx_core::memory::{HELD_BYTES, Memory};

use crate::job::{Job, Work};
use crate::view::{Export, Loaded, Which};

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

/// The core file of a process, for debuggers.
pub fn core(loaded: &Arc<Loaded>, which: Which, pid: u32) -> Export {
    let loaded = Arc::clone(loaded);
    Export {
        label: "core file",
        name: format!("core.{pid}"),
        write: Arc::new(move |work, out| write_core(&loaded, which, pid, work, out)),
    }
}

fn write_core(
    loaded: &Loaded,
    which: Which,
    pid: u32,
    work: &Work,
    out: &mut dyn Write,
) -> Result<(), String> {
    let checkpoint = loaded.side(which).ok_or("there is no second checkpoint")?;
    let process = checkpoint.processes().get(pid).ok_or_else(|| format!("there is no process {pid}"))?;
    let memory = Memory::held(checkpoint, HELD_BYTES, &[process]);
    let core = CoreFile::of(&memory, process)
        .map_err(|refusal| format!("there can be no core file of process {pid}: {refusal}"))?;
    core.write_to(&mut Stream::new(Stoppable { out, work })).map_err(|error| error.to_string())
}

/// Fails when nobody waits for what is written any more.
struct Stoppable<'a> {
    out: &'a mut dyn Write,
    work: &'a Work,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.work.is_stopped() { Err(io::Error::other("stopped")) } else { self.out.write(data) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
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
