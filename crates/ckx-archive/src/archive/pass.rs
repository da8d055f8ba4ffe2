//! Content of a streamed member, chunk by chunk: parts of it kept, all of it seen.

use std::io::{self, Read};

use crate::archive::Window;
use crate::archive::content::Parts;
use crate::tarball::Step;

/// Bytes of a chunk. Decoders write blocks of 128 KiB at most; larger chunks leave the cache.
const CHUNK: usize = 128 << 10;

/// Lets contents pass through one buffer.
pub(super) struct Pass {
    buffer: Box<[u8]>,
}

/// How far a content passed.
#[derive(Debug)]
pub(super) struct Passed {
    /// Windows that were kept, by offset.
    pub kept: Parts,
    /// Bytes that came.
    pub bytes: u64,
    /// Why they ended too early, if they did.
    pub broken: Option<io::Error>,
    /// Whether the visitor wants more of the source.
    pub step: Step,
}

impl Pass {
    pub fn new() -> Self {
        Self { buffer: vec![0; CHUNK].into_boxed_slice() }
    }

    /// Reads `size` bytes, shows them to `visit` and keeps what lies in `windows`, which are sorted and
    /// without overlaps; those that do not fit into `left` are not kept.
    pub fn run(
        &mut self,
        content: &mut dyn Read,
        size: u64,
        windows: Vec<Window>,
        left: &mut u64,
        visit: &mut dyn FnMut(u64, &[u8]) -> Step,
    ) -> Passed {
        let mut keeper = Keeper::new(windows, left);
        let mut passed = Passed { kept: Parts::new(), bytes: 0, broken: None, step: Step::Next };
        while passed.bytes < size {
            let most = usize::try_from(size - passed.bytes).unwrap_or(CHUNK).min(CHUNK);
            let read = match content.read(&mut self.buffer[..most]) {
                Ok(0) => {
                    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside the member"))
                }
                Ok(read) => Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let chunk = match read {
                Ok(read) => &self.buffer[..read],
                Err(error) => {
                    passed.broken = Some(error);
                    break;
                }
            };
            keeper.chunk(passed.bytes, chunk);
            passed.step = visit(passed.bytes, chunk);
            passed.bytes += chunk.len() as u64;
            if passed.step == Step::Stop {
                break;
            }
        }
        passed.kept = keeper.kept;
        passed
    }
}

/// Copies windows out of chunks.
struct Keeper {
    windows: std::iter::Peekable<std::vec::IntoIter<Window>>,
    /// What came of the first window.
    partial: Vec<u8>,
    kept: Parts,
}

impl Keeper {
    fn new(windows: Vec<Window>, left: &mut u64) -> Self {
        let mut end = 0;
        let fits = |window: &Window| {
            let fits = window.len <= *left && window.offset >= end;
            if fits {
                *left -= window.len;
                end = window.offset.saturating_add(window.len);
            }
            fits
        };
        let windows: Vec<Window> = windows.into_iter().filter(fits).collect();
        Self { windows: windows.into_iter().peekable(), partial: Vec::new(), kept: Parts::new() }
    }

    fn chunk(&mut self, offset: u64, chunk: &[u8]) {
        let chunk_end = offset + chunk.len() as u64;
        while let Some(window) = self.windows.peek().filter(|window| window.offset < chunk_end) {
            let end = window.offset.saturating_add(window.len);
            let start = (window.offset.max(offset) - offset) as usize;
            let stop = (end.min(chunk_end).max(offset) - offset) as usize;
            self.partial.extend_from_slice(chunk.get(start..stop).unwrap_or_default());
            if end > chunk_end {
                return;
            }
            self.kept.push((window.offset, std::mem::take(&mut self.partial).into()));
            self.windows.next();
        }
    }
}

/// Up to where the last of the windows reaches.
pub(super) fn end_of(windows: &[Window]) -> u64 {
    windows.last().map_or(0, |last| last.offset.saturating_add(last.len))
}
