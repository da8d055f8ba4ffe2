//! A layer on its way: hashed, compressed by several threads, hashed again and written.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;

use crate::compress::Method;
use crate::{Digest, Hasher};

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Digest of the bytes that went in.
    pub plain_digest: Digest,
    /// Their number.
    pub plain_bytes: u64,
    /// Digest of the bytes that came out.
    pub digest: Digest,
    /// Their number.
    pub bytes: u64,
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
    hasher: Option<JoinHandle<(Digest, u64)>>,
    writer: Option<JoinHandle<(W, Written)>>,
    workers: Vec<JoinHandle<()>>,
}

/// What the writer made: digest and size.
type Written = io::Result<(Digest, u64)>;

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
    pub fn new(method: Method, threads: usize, sink: W) -> Self {
        let threads = threads.max(1);
        let (order, ordered) = sync_channel(threads * 2);
        let (hashing, to_hash) = sync_channel::<Arc<Vec<Bytes>>>(threads * 2);
        // Without compression both digests are one.
        let hasher = std::thread::spawn(move || hash(&to_hash));
        let writer = std::thread::spawn(move || {
            let mut sink = sink;
            let result = write(method, &ordered, &mut sink);
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
            let queue = Arc::new(Mutex::new(queue));
            pipeline.jobs = Some(jobs);
            pipeline.workers = (0..threads)
                .map(|_| {
                    let queue = Arc::clone(&queue);
                    std::thread::spawn(move || work(method, &queue))
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
        let result = written.and_then(|(digest, bytes)| {
            let (plain_digest, plain_bytes) = hashed.ok_or_else(ended)?;
            let (digest, bytes) =
                if self.method.is_plain() { (plain_digest, plain_bytes) } else { (digest, bytes) };
            Ok(Finished { plain_digest, plain_bytes, digest, bytes })
        });
        (Some(sink), result)
    }
}

fn hash(pieces: &Receiver<Arc<Vec<Bytes>>>) -> (Digest, u64) {
    let mut hasher = Hasher::default();
    for piece in pieces {
        piece.iter().for_each(|part| hasher.update(part));
    }
    hasher.finish()
}

fn work(method: Method, queue: &Mutex<Receiver<Job>>) {
    let mut state = None;
    let mut buffer = Vec::new();
    loop {
        let Ok(job) = queue.lock().map_err(drop).and_then(|queue| queue.recv().map_err(drop)) else { return };
        // The result must not depend on how the piece came: a compressor sees it as one.
        let piece: &[u8] = match job.parts.as_slice() {
            [one] => one,
            parts => {
                buffer.clear();
                parts.iter().for_each(|part| buffer.extend_from_slice(part));
                &buffer
            }
        };
        let packed = method.compress(piece, &mut state);
        // Nobody waits when the writer has failed.
        let _ = job.done.send(Done::Packed(packed, piece.len() as u32));
    }
}

/// Writes pieces in their order. After a fault the rest is taken and thrown away by ending.
fn write(
    method: Method,
    ordered: &Receiver<Receiver<Done>>,
    sink: &mut dyn Write,
) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::default();
    let mut pieces = Vec::new();
    for result in ordered {
        match result.recv() {
            Ok(Done::Plain(parts)) => {
                for part in parts.iter() {
                    sink.write_all(part)?;
                }
            }
            Ok(Done::Packed(packed, plain)) => {
                let packed = packed?;
                hasher.update(&packed);
                sink.write_all(&packed)?;
                pieces.push((packed.len() as u32, plain));
            }
            Err(_) => return Err(io::Error::other("a thread ended before its work")),
        }
    }
    let trailer = method.trailer(&pieces);
    hasher.update(&trailer);
    sink.write_all(&trailer)?;
    sink.flush()?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn run(method: Method, threads: usize, data: &[u8], step: usize) -> (Vec<u8>, Finished) {
        let mut pipeline = Pipeline::new(method, threads, Vec::new());
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
            assert_eq!((finished.plain_bytes, finished.bytes), (data.len() as u64, bytes.len() as u64));
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
        assert_eq!(frames, data.len().div_ceil(4 << 20));
        let table = &rest[rest.len() - frames * 8..];
        let first = u32::from_le_bytes(table[..4].try_into().unwrap()) as usize;
        let second = u32::from_le_bytes(table[8..12].try_into().unwrap()) as usize;
        let frame = zstd::bulk::decompress(&bytes[first..first + second], 4 << 20).unwrap();
        assert!(frame == data[4 << 20..8 << 20]);
    }

    #[test]
    fn a_full_disk_is_told() {
        let sink = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut pipeline = Pipeline::new(Method::Zstd(1), 2, sink);
        let data = Bytes::from(sample());
        let _ = (0..10).try_for_each(|_| pipeline.push(data.clone()));
        let error = pipeline.finish().1.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
