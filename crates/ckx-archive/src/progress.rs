//! How far the reading of a source has come.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the bytes of a source that were consumed, compressed if the source is. Handed in with
/// [`Options`](crate::Options), read from another thread while the source is open; mapped sources
/// count nothing, since opening them takes no time.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Bytes consumed so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Size of the source in bytes; `None` while it is not known, as for pipes.
    pub fn total(&self) -> Option<u64> {
        Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }

    /// Makes the source larger by these bytes: those of one of its files.
    pub fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that were consumed.
    pub fn add(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A reader whose bytes are counted.
pub(crate) struct Counted<R> {
    input: R,
    bytes: u64,
    progress: Option<Arc<Progress>>,
}

impl<R> Counted<R> {
    pub fn new(input: R, progress: Option<Arc<Progress>>) -> Self {
        Self { input, bytes: 0, progress }
    }

    /// Bytes that were read.
    pub fn count(&self) -> u64 {
        self.bytes
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(progress) = &self.progress {
            progress.add(bytes);
        }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.add(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.add(bytes);
    }
}
