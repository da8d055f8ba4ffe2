//! Reading back behind the writer: what was written is read again from the file while more is written, so
//! that reading back costs time only where no processor is idle.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How far the writer is.
#[derive(Debug, Default)]
struct State {
    bytes: u64,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_one();
    }

    /// Waits until more than `at` bytes are there, or no more will come. Their number.
    fn wait_beyond(&self, at: u64) -> u64 {
        let is_behind = |state: &mut State| state.bytes <= at && !state.ended;
        let state = self.changed.wait_while(self.state(), is_behind);
        state.unwrap_or_else(PoisonError::into_inner).bytes
    }
}

/// The file in which what was written can be read. It may become another one, which begins with the same bytes.
#[derive(Debug, Clone)]
pub struct Readable(Arc<Mutex<Arc<File>>>);

impl Readable {
    /// This file.
    pub(crate) fn new(file: Arc<File>) -> Self {
        Self(Arc::new(Mutex::new(file)))
    }

    /// The file as it is now.
    pub(crate) fn get(&self) -> Arc<File> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on it is this one.
    pub(crate) fn set(&self, file: Arc<File>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = file;
    }
}

/// A sink that says how far it is, and at last, when it is dropped, that nothing more comes.
pub(crate) struct Followed {
    inner: Box<dyn Write + Send>,
    /// Nobody follows where there is no file to read.
    shared: Option<Arc<Shared>>,
}

/// Reads what a [`Followed`] has written to a file, and waits for what it has not written yet.
pub(crate) struct Follower {
    file: Readable,
    start: u64,
    at: u64,
    shared: Arc<Shared>,
}

impl Followed {
    /// A sink that nobody follows.
    pub(crate) fn alone(inner: Box<dyn Write + Send>) -> Self {
        Self { inner, shared: None }
    }

    /// A sink that writes to `file` from the offset `start` on, and its reader.
    pub(crate) fn pair(inner: Box<dyn Write + Send>, file: Readable, start: u64) -> (Self, Follower) {
        let shared = Arc::new(Shared::default());
        let followed = Self { inner, shared: Some(Arc::clone(&shared)) };
        (followed, Follower { file, start, at: 0, shared })
    }
}

impl Write for Followed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        if let Some(shared) = &self.shared {
            shared.change(|state| state.bytes = state.bytes.saturating_add(count as u64));
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.change(|state| state.ended = true);
        }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.shared.wait_beyond(self.at).saturating_sub(self.at);
        let count = usize::try_from(there).map_or(buffer.len(), |there| there.min(buffer.len()));
        let buffer = buffer.get_mut(..count).unwrap_or_default();
        let count = self.file.get().read_at(buffer, self.start.saturating_add(self.at))?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom};

    use super::*;

    #[test]
    fn what_is_written_is_read_while_it_is_written() {
        let mut file = tempfile::tempfile().expect("a file");
        file.seek(SeekFrom::Start(5)).expect("seeks");
        let inner = Box::new(file.try_clone().expect("a handle"));
        let (mut sink, mut reader) = Followed::pair(inner, Readable::new(Arc::new(file)), 5);
        let thread = std::thread::spawn(move || {
            let mut first = [0; 3];
            reader.read_exact(&mut first).map(|()| (first, reader))
        });
        sink.write_all(b"abcd").expect("writes");
        let (first, mut reader) = thread.join().expect("no panic").expect("reads");
        assert_eq!(&first, b"abc");
        sink.write_all(b"ef").expect("writes");
        drop(sink);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("reads");
        assert_eq!(rest, b"def");
    }
}
