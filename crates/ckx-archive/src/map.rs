//! Bytes of a file: mapped, or read where a mapping is not possible.

use std::fs::{File, FileType};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

use crate::Error;

/// Files below this size are read: one system call instead of a mapping's page faults.
const READ_BELOW: u64 = 16 * 1024;

/// Opens a file. Regular files are mapped, pipes are read to their end.
///
/// # Errors
/// [`Error::Io`]; [`Error::NotAFile`] for directories, devices and sockets, none of which end.
pub fn open_file(path: &Path) -> Result<Bytes, Error> {
    let file = File::open(path).map_err(|source| Error::io("open", path, source))?;
    let metadata = file.metadata().map_err(|source| Error::io("open", path, source))?;
    let kind = metadata.file_type();
    if let Some(actual) = not_a_file(kind) {
        return Err(Error::NotAFile { path: path.into(), actual });
    }
    if kind.is_fifo() || metadata.len() < READ_BELOW {
        return read_stream(file).map_err(|source| Error::io("read", path, source));
    }
    let map = map(&file).map_err(|source| Error::io("map", path, source))?;
    Ok(Bytes::from_owner(map))
}

/// Reads a stream to its end.
///
/// # Errors
/// Those of the stream.
pub fn read_stream(mut stream: impl Read) -> io::Result<Bytes> {
    let mut data = Vec::new();
    stream.read_to_end(&mut data)?;
    Ok(data.into())
}

fn not_a_file(kind: FileType) -> Option<&'static str> {
    Some(match kind {
        kind if kind.is_dir() => "directory",
        kind if kind.is_socket() => "socket",
        kind if kind.is_block_device() => "block device",
        kind if kind.is_char_device() => "character device",
        _ => return None,
    })
}

/// The one mapping of the project.
#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: a mapping is sound as long as nobody changes the file under it. Checkpoints are
    // evidence at rest; a program that truncates one while it is read ends this process with
    // SIGBUS, which is the accepted price of reading archives of any size in place. The mapping is
    // private and read-only, so nothing here can change the file.
    unsafe { Mmap::map(file) }
}
