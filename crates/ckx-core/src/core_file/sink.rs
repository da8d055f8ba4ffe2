//! Where a core file goes.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Takes the bytes of a file in ascending order; what lies between them is zeros.
pub trait Sink {
    /// Bytes at an offset that is not before the end of those that came before.
    ///
    /// # Errors
    /// When they cannot be written.
    fn put(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// The file is complete and has this size.
    ///
    /// # Errors
    /// When it cannot be written.
    fn end(&mut self, size: u64) -> io::Result<()>;
}

/// A file that is new: zeros become holes.
impl Sink for File {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn end(&mut self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }
}

/// A stream: zeros are written.
#[derive(Debug)]
pub struct Stream<W> {
    out: W,
    at: u64,
}

impl<W: Write> Stream<W> {
    /// A stream from its beginning.
    pub fn new(out: W) -> Self {
        Self { out, at: 0 }
    }

    fn zeros_to(&mut self, offset: u64) -> io::Result<()> {
        const ZEROS: &[u8] = &[0; 1 << 16];
        while self.at < offset {
            let len = usize::try_from(offset - self.at).unwrap_or(usize::MAX).min(ZEROS.len());
            self.out.write_all(ZEROS.get(..len).unwrap_or_default())?;
            self.at += len as u64;
        }
        Ok(())
    }
}

impl<W: Write> Sink for Stream<W> {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.zeros_to(offset)?;
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self, size: u64) -> io::Result<()> {
        self.zeros_to(size)?;
        self.out.flush()
    }
}
