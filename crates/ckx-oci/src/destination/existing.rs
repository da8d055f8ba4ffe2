//! Blobs that a layout has already: what is to be written is compared with them, and written only from where it
//! differs. The base of a delta, and an image that is written again, cost reading then, and no room on the disk.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::compress::STEP;
use crate::destination::follow::Readable;
use crate::destination::partial::create;

/// Smaller blobs are written at once.
const MIN_BYTES: u64 = 1 << 20;
/// Blobs that are looked at, the newest first.
const MAX_BLOBS: usize = 64;

/// How far all that are alike are read, and how many of them from there on: memories of one container may begin
/// with the same gibibyte.
const FAR: (u64, usize) = (16 << 20, 4);

/// A blob that is there.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
}

impl Blob {
    /// Blobs in a directory that are worth comparing with. What cannot be read is none.
    pub fn all(directory: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
        let mut found: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                let is_large = metadata.is_file() && metadata.len() >= MIN_BYTES;
                is_large.then(|| (metadata.modified().ok(), entry.path(), metadata.len()))
            })
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let open = |(_, path, bytes): (_, PathBuf, u64)| {
            Some(Self { file: Arc::new(File::open(&path).ok()?), path, bytes })
        };
        found.into_iter().take(MAX_BLOBS).filter_map(open).collect()
    }

    fn has(&self, bytes: &[u8], at: u64, buffer: &mut [u8]) -> bool {
        let Some(buffer) = buffer.get_mut(..bytes.len()) else { return false };
        self.file.read_exact_at(buffer, at).is_ok() && buffer == bytes
    }
}

/// A sink that makes a file only when no blob begins with what comes.
pub(super) struct Comparing {
    part: PathBuf,
    /// Those that are like what came.
    alike: Vec<Blob>,
    at: u64,
    file: Option<File>,
    readable: Readable,
    same: Arc<OnceLock<PathBuf>>,
    buffer: Vec<u8>,
}

impl Comparing {
    /// Will write to `part` if none of the blobs is what comes. The second result tells which one was, once
    /// everything has come; `None` without blobs.
    pub fn with(blobs: Vec<Blob>, part: &Path) -> Option<(Self, Readable, Arc<OnceLock<PathBuf>>)> {
        let readable = Readable::new(Arc::clone(&blobs.first()?.file));
        let same = Arc::default();
        let sink = Self {
            part: part.to_owned(),
            alike: blobs,
            at: 0,
            file: None,
            readable: readable.clone(),
            same: Arc::clone(&same),
            buffer: vec![0; STEP],
        };
        Some((sink, readable, same))
    }

    /// Makes the file, with what came until now: it is what the last blob that was alike begins with.
    fn depart(&mut self, last: Option<Blob>) -> io::Result<&mut File> {
        let mut file = create(&self.part)?;
        if let Some(last) = last.filter(|_| self.at > 0) {
            let mut source = &*last.file;
            source.seek(SeekFrom::Start(0))?;
            let copied = io::copy(&mut io::Read::take(source, self.at), &mut file)?;
            if copied != self.at {
                return Err(io::Error::other("a blob of the layout became shorter meanwhile"));
            }
        }
        self.readable.set(Arc::new(File::open(&self.part)?));
        Ok(self.file.insert(file))
    }
}

impl Write for Comparing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            return file.write(bytes);
        }
        let bytes = bytes.get(..STEP).unwrap_or(bytes);
        let last = self.alike.first().cloned();
        self.alike.retain(|blob| blob.has(bytes, self.at, &mut self.buffer));
        match self.alike.first() {
            Some(blob) => self.readable.set(Arc::clone(&blob.file)),
            None => self.depart(last)?.write_all(bytes)?,
        }
        self.at += bytes.len() as u64;
        if self.at >= FAR.0 {
            self.alike.truncate(FAR.1);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.file.is_none()
            && let Some(blob) = self.alike.iter().find(|blob| blob.bytes == self.at)
        {
            let _ = self.same.set(blob.path.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 3 << 20;

    /// A directory with blobs; what was written beside them, and which of them it was.
    fn write(blobs: &[Vec<u8>], content: &[u8]) -> (Option<Vec<u8>>, Option<String>) {
        let place = tempfile::tempdir().expect("a directory");
        for (number, blob) in blobs.iter().enumerate() {
            fs::write(place.path().join(number.to_string()), blob).expect("written");
        }
        let part = place.path().join("part");
        let found = Comparing::with(Blob::all(place.path()), &part);
        let (mut sink, readable, same) = found.expect("there are blobs");
        let mut at = 0;
        for step in content.chunks(300_001) {
            sink.write_all(step).expect("writes");
            at += step.len();
            let mut read = vec![0; at];
            readable.get().read_exact_at(&mut read, 0).expect("what came can be read");
            assert!(read == content[..at], "{at}");
        }
        sink.flush().expect("flushes");
        let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        (fs::read(part).ok(), same.get().map(name))
    }

    fn sample(seed: u8) -> Vec<u8> {
        (0..LEN).map(|at| (at / 4096) as u8 ^ seed).collect()
    }

    #[test]
    fn what_is_there_is_not_written_again() {
        let (a, b) = (sample(1), sample(2));
        assert_eq!(write(&[a.clone(), b.clone()], &b), (None, Some("1".to_owned())));
        let mut longer = b.clone();
        longer.push(0);
        assert_eq!(write(&[a, longer, b.clone()], &b), (None, Some("2".to_owned())));
    }

    #[test]
    fn what_differs_is_written_whole() {
        let content = sample(1);
        for at in [0, 1, 128 << 10, 1 << 20, LEN - 1] {
            let [mut a, mut b] = [content.clone(), content.clone()];
            a[at / 2] ^= 1;
            b[at] ^= 1;
            let (part, same) = write(&[a, b, content[..LEN - 1].to_vec()], &content);
            assert!(part.is_some_and(|part| part == content), "{at}");
            assert_eq!(same, None, "{at}");
        }
        let mut longer = content.clone();
        longer.push(0);
        assert_eq!(write(&[longer], &content), (None, None), "it is neither there nor written");
    }

    #[test]
    fn few_blobs_are_read_far() {
        let place = tempfile::tempdir().expect("a directory");
        for number in 0..FAR.1 + 2 {
            let file = File::create(place.path().join(number.to_string())).expect("a file");
            file.set_len(FAR.0 + 1).expect("zeros");
        }
        let found = Comparing::with(Blob::all(place.path()), &place.path().join("part"));
        let (mut sink, ..) = found.expect("there are blobs");
        let half = vec![0; FAR.0 as usize / 2];
        sink.write_all(&half).expect("writes");
        assert_eq!(sink.alike.len(), FAR.1 + 2);
        sink.write_all(&half).expect("writes");
        assert_eq!(sink.alike.len(), FAR.1);
    }

    #[test]
    fn small_blobs_are_no_blobs() {
        let place = tempfile::tempdir().expect("a directory");
        fs::write(place.path().join("small"), [0; 1000]).expect("written");
        assert!(Comparing::with(Blob::all(place.path()), &place.path().join("part")).is_none());
    }
}
