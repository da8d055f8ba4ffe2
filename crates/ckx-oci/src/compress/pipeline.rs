//! A layer on its way: hashed, compressed by several threads, hashed again and written.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;

use crate::compress::{Method, State};
use crate::digest::{Marked, Marker};
use crate::layer::Writing;
use crate::{Digest, Hasher};

/// Bytes that are hashed or written at once: they stay in the cache from one to the other, and the system looks for
/// no larger pieces of memory. On a guest whose free memory has to be fetched from the host, writes of 1 MiB can
/// take three times as long as these.
pub(crate) const STEP: usize = 128 << 10;

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Digest of the bytes that went in.
    pub plain_digest: Digest,
    /// What they are known by when they are read back.
    pub plain_mark: Marked,
    /// Digest of the bytes that came out.
    pub digest: Digest,
    /// What they are known by when they are read back.
    pub mark: Marked,
}

/// Takes bytes, and writes them compressed to a sink that it gives back at the end.
///
/// Memory is bounded: what is underway is a few pieces per thread. Bytes that come in are cut into pieces
/// by their offset alone, so the result depends neither on threads nor on how they came.
pub struct Pipeline<W> {
    method: Method,
    piece: Vec<Bytes>,
    piece_bytes: usize,
    jobs: Option<SyncSender<Job>>,
    order: Option<SyncSender<Receiver<Done>>>,
    hashing: Option<SyncSender<Arc<Vec<Bytes>>>>,
    hasher: Option<JoinHandle<Hashes>>,
    writer: Option<JoinHandle<(W, Written)>>,
    workers: Vec<JoinHandle<()>>,
}

/// What stays of bytes that were hashed.
type Hashes = (Digest, Marked);

/// What the writer made.
type Written = io::Result<Hashes>;

/// A piece to be compressed, and where the result goes.
struct Job {
    parts: Arc<Vec<Bytes>>,
    done: Sender<Done>,
}

enum Done {
    /// As it is.
    Plain(Arc<Vec<Bytes>>),
    /// Compressed, with the size before.
    Packed(io::Result<Vec<u8>>, u32),
}

impl<W: Write + Send + 'static> Pipeline<W> {
    /// Starts the threads.
    pub fn new(writing: Writing, sink: W) -> Self {
        let Writing { method, threads, .. } = writing;
        let threads = threads.max(1);
        let (used, unused) = channel();
        let (order, ordered) = sync_channel(threads + 2);
        let (hashing, to_hash) = sync_channel::<Arc<Vec<Bytes>>>(threads + 2);
        // Without compression both digests are one.
        let hasher = std::thread::spawn(move || hash(&to_hash));
        let writer = std::thread::spawn(move || {
            let mut sink = sink;
            let result = write(method, &ordered, &used, &mut sink);
            (sink, result)
        });
        let mut pipeline = Self {
            method,
            piece: Vec::new(),
            piece_bytes: 0,
            jobs: None,
            order: Some(order),
            hashing: Some(hashing),
            hasher: Some(hasher),
            writer: Some(writer),
            workers: Vec::new(),
        };
        if !method.is_plain() {
            let (jobs, queue) = sync_channel::<Job>(threads);
            let queues = Arc::new((Mutex::new(queue), Mutex::new(unused)));
            pipeline.jobs = Some(jobs);
            pipeline.workers = (0..threads)
                .map(|_| {
                    let queues = Arc::clone(&queues);
                    std::thread::spawn(move || work(writing, &queues.0, &queues.1))
                })
                .collect();
        }
        pipeline
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Some error when the writer has ended; [`Pipeline::finish`] tells which.
    pub fn push(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.method.piece_bytes() - self.piece_bytes;
            let part = bytes.split_to(room.min(bytes.len()));
            self.piece_bytes += part.len();
            self.piece.push(part);
            if self.piece_bytes == self.method.piece_bytes() {
                self.send()?;
            }
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        let parts = Arc::new(std::mem::take(&mut self.piece));
        self.piece_bytes = 0;
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let (done, result) = channel();
        // The place in the order is taken before the work is given out.
        self.order.as_ref().ok_or_else(gone)?.send(result).map_err(|_| gone())?;
        self.hashing.as_ref().ok_or_else(gone)?.send(Arc::clone(&parts)).map_err(|_| gone())?;
        match &self.jobs {
            Some(jobs) => jobs.send(Job { parts, done }).map_err(|_| gone()),
            None => done.send(Done::Plain(parts)).map_err(|_| gone()),
        }
    }

    /// Writes what is left and waits for all threads.
    ///
    /// # Errors
    /// Those of the sink and of the compressor.
    pub fn finish(mut self) -> (Option<W>, io::Result<Finished>) {
        // A fault shows in the writer's result.
        if self.piece_bytes > 0 {
            let _ = self.send();
        }
        (self.jobs, self.order, self.hashing) = (None, None, None);
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        let ended = || io::Error::other("a thread ended before its work");
        let hashed = self.hasher.take().and_then(|thread| thread.join().ok());
        let Some((sink, written)) = self.writer.take().and_then(|thread| thread.join().ok()) else {
            return (None, Err(ended()));
        };
        let result = written.and_then(|packed| {
            let (plain_digest, plain_mark) = hashed.ok_or_else(ended)?;
            let (digest, mark) = if self.method.is_plain() { (plain_digest, plain_mark) } else { packed };
            Ok(Finished { plain_digest, plain_mark, digest, mark })
        });
        (Some(sink), result)
    }
}

/// Hashes bytes in both ways.
#[derive(Default)]
struct Hashing {
    hasher: Hasher,
    marker: Marker,
}

impl Hashing {
    fn update(&mut self, bytes: &[u8]) {
        for step in bytes.chunks(STEP) {
            self.hasher.update(step);
            self.marker.update(step);
        }
    }

    fn finish(self) -> Hashes {
        (self.hasher.finish().0, self.marker.finish())
    }
}

fn hash(pieces: &Receiver<Arc<Vec<Bytes>>>) -> Hashes {
    let mut hashing = Hashing::default();
    for piece in pieces {
        piece.iter().for_each(|part| hashing.update(part));
    }
    hashing.finish()
}

/// Compresses pieces, into buffers that were written when there are some: new ones have to be cleared by the
/// system.
fn work(writing: Writing, queue: &Mutex<Receiver<Job>>, unused: &Mutex<Receiver<Vec<u8>>>) {
    let mut state = State::new(writing);
    let mut joined = Vec::new();
    loop {
        let Ok(job) = queue.lock().map_err(drop).and_then(|queue| queue.recv().map_err(drop)) else { return };
        // The result must not depend on how the piece came: a compressor sees it as one.
        let piece: &[u8] = match job.parts.as_slice() {
            [one] => one,
            parts => {
                joined.clear();
                parts.iter().for_each(|part| joined.extend_from_slice(part));
                &joined
            }
        };
        let mut out = unused.lock().ok().and_then(|unused| unused.try_recv().ok()).unwrap_or_default();
        let packed = writing.method.compress(piece, &mut state, &mut out).map(|()| out);
        // Nobody waits when the writer has failed.
        let _ = job.done.send(Done::Packed(packed, piece.len() as u32));
    }
}

/// Writes pieces in their order. After a fault the rest is taken and thrown away by ending.
fn write(
    method: Method,
    ordered: &Receiver<Receiver<Done>>,
    used: &Sender<Vec<u8>>,
    sink: &mut dyn Write,
) -> Written {
    let mut hashing = Hashing::default();
    let mut pieces = Vec::new();
    for result in ordered {
        match result.recv() {
            Ok(Done::Plain(parts)) => {
                for step in parts.iter().flat_map(|part| part.chunks(STEP)) {
                    sink.write_all(step)?;
                }
            }
            Ok(Done::Packed(packed, plain)) => {
                let packed = packed?;
                for step in packed.chunks(STEP) {
                    hashing.update(step);
                    sink.write_all(step)?;
                }
                pieces.push((packed.len() as u32, plain));
                let _ = used.send(packed);
            }
            Err(_) => return Err(io::Error::other("a thread ended before its work")),
        }
    }
    let trailer = method.trailer(&pieces);
    hashing.update(&trailer);
    sink.write_all(&trailer)?;
    sink.flush()?;
    Ok(hashing.finish())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn run(method: Method, threads: usize, data: &[u8], step: usize) -> (Vec<u8>, Finished) {
        let mut pipeline =
            Pipeline::new(Writing { method, threads, has_checksums: true, is_memory: false }, Vec::new());
        for part in data.chunks(step) {
            pipeline.push(Bytes::copy_from_slice(part)).unwrap();
        }
        let (sink, finished) = pipeline.finish();
        (sink.unwrap(), finished.unwrap())
    }

    fn sample() -> Vec<u8> {
        let mut rng = ckx_testkit::Rng::new(7);
        (0..3_000_000).flat_map(|at: u32| ((at / 3) ^ (rng.next_u64() as u32 & 7)).to_le_bytes()).collect()
    }

    #[test]
    fn threads_and_cuts_do_not_change_the_bytes() {
        let data = sample();
        for method in [Method::None, Method::Gzip(1), Method::Zstd(3)] {
            let (bytes, finished) = run(method, 1, &data, 1 << 20);
            assert_eq!(finished.plain_digest, Digest::of(&data));
            assert_eq!(finished.digest, Digest::of(&bytes));
            assert_eq!(
                (finished.plain_mark.bytes, finished.mark.bytes),
                (data.len() as u64, bytes.len() as u64)
            );
            for (threads, step) in [(2, data.len()), (4, 12_345)] {
                assert_eq!(run(method, threads, &data, step).1, finished, "{method} {threads}");
            }
        }
    }

    #[test]
    fn other_decoders_read_it() {
        let data = sample();
        let mut plain = Vec::new();
        let (bytes, _) = run(Method::Gzip(6), 2, &data, 999_999);
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
        assert!(plain == data);
        plain.clear();
        let (bytes, _) = run(Method::Zstd(3), 2, &data, 999_999);
        zstd::stream::read::Decoder::new(bytes.as_slice()).unwrap().read_to_end(&mut plain).unwrap();
        assert!(plain == data);
    }

    #[test]
    fn frames_are_found_by_the_table() {
        let data = sample();
        let (bytes, _) = run(Method::Zstd(3), 2, &data, data.len());
        let (rest, footer) = bytes.split_at(bytes.len() - 9);
        assert_eq!(footer[5..], 0x8f92_eab1u32.to_le_bytes());
        let frames = u32::from_le_bytes(footer[..4].try_into().unwrap()) as usize;
        assert_eq!(frames, data.len().div_ceil(8 << 20));
        let table = &rest[rest.len() - frames * 8..];
        let first = u32::from_le_bytes(table[..4].try_into().unwrap()) as usize;
        let second = u32::from_le_bytes(table[8..12].try_into().unwrap()) as usize;
        let frame = zstd::bulk::decompress(&bytes[first..first + second], 8 << 20).unwrap();
        assert!(frame == data[8 << 20..]);
    }

    #[test]
    fn a_full_disk_is_told() {
        let sink = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut pipeline =
            Pipeline::new(Writing { method: Method::Zstd(1), threads: 2, ..Writing::default() }, sink);
        let data = Bytes::from(sample());
        let _ = (0..10).try_for_each(|_| pipeline.push(data.clone()));
        let error = pipeline.finish().1.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
