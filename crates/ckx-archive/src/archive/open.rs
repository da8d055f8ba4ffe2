//! Opening a source: what it is, told by its content.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::archive::content::Content;
use crate::archive::content::io_error;
use crate::archive::load::Origin;
use crate::archive::stream::{self, Interests};
use crate::archive::{Archive, Backing, Fault, Form, Member, Source, walk};
use crate::compress::{Sniffed, sniffed};
use crate::progress::Counted;
use crate::tarball::{self, EntryKind, TarMember};
use crate::{Compression, Error, Progress, open_file};

/// The name of standard input.
pub const STDIN: &str = "-";

/// How a source is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of content that may be kept of a source that is decoded once.
    pub budget_bytes: u64,
    /// Counts how far the reading has come, for whoever shows it.
    pub progress: Option<Arc<Progress>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { budget_bytes: 64 << 20, progress: None }
    }
}

/// Bytes that tell what a file is: one block of a tar.
const HEAD: usize = 512;

impl Archive {
    /// Opens a source by its content. Of a source that has to be decoded, what `interests` asks for
    /// is kept; of one that can be mapped everything is there.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be opened, [`Error::NotACheckpoint`] when its content is no tar.
    pub fn open(path: &Path, interests: &mut dyn Interests, options: Options) -> Result<Self, Error> {
        if path.as_os_str() == STDIN {
            return Self::from_stream(path, io::stdin().lock(), interests, options);
        }
        let metadata = path.metadata().map_err(|source| io_error("open", path, source))?;
        if metadata.is_dir() {
            return walk::open(path, interests, options);
        }
        if metadata.file_type().is_fifo() {
            let file = File::open(path).map_err(|source| io_error("open", path, source))?;
            return Self::from_stream(path, file, interests, options);
        }
        let archive = Self::from_bytes(path, open_file(path)?, interests, options)?;
        Ok(archive.with_origin(Origin::Path))
    }

    /// Reads a source out of bytes, mapped or in memory. `path` is its name in messages.
    ///
    /// # Errors
    /// [`Error::NotACheckpoint`] when it is no tar.
    pub fn from_bytes(
        path: &Path,
        data: Bytes,
        interests: &mut dyn Interests,
        options: Options,
    ) -> Result<Self, Error> {
        let compression = Compression::of(&data);
        let size_bytes = data.len() as u64;
        if compression == Compression::None {
            check_tar(path, &data, compression)?;
            let source = Source {
                path: path.into(),
                form: Form::Tar,
                compression,
                backing: Backing::Mapped,
                size_bytes,
            };
            let (members, faults) = indexed(&data);
            return Ok(Self::new(source, members, faults).with_origin(Origin::Bytes(data)));
        }
        if let Some(progress) = &options.progress {
            progress.expect(size_bytes);
        }
        let input = Counted::new(data.as_ref(), options.progress.clone());
        let decoded = compression.decode(input).map_err(|source| io_error("decode", path, source))?;
        let source = Source {
            path: path.into(),
            form: Form::Tar,
            compression,
            backing: Backing::Streamed,
            size_bytes,
        };
        Ok(Self::decoded(source, decoded, interests, options)?.with_origin(Origin::Bytes(data.clone())))
    }

    /// Reads a source from a stream, to its end.
    ///
    /// # Errors
    /// As [`Archive::from_bytes`].
    pub fn from_stream(
        path: &Path,
        input: impl Read,
        interests: &mut dyn Interests,
        options: Options,
    ) -> Result<Self, Error> {
        let mut counted = Counted::new(input, options.progress.clone());
        let Sniffed { compression, reader } =
            sniffed(&mut counted).map_err(|source| io_error("read", path, source))?;
        let source = Source {
            path: path.into(),
            form: Form::Tar,
            compression,
            backing: Backing::Streamed,
            size_bytes: 0,
        };
        let mut archive = Self::decoded(source, reader, interests, options)?;
        // What stands behind the end mark was not asked for by the tar reader; a writer at the other
        // end of a pipe would be killed by it.
        let _ = io::copy(&mut counted, &mut io::sink());
        archive.source.size_bytes = counted.count();
        Ok(archive)
    }

    fn decoded(
        source: Source,
        mut plain: impl Read,
        interests: &mut dyn Interests,
        options: Options,
    ) -> Result<Self, Error> {
        let mut head = Vec::with_capacity(HEAD);
        let read = plain.by_ref().take(HEAD as u64).read_to_end(&mut head);
        if let (Err(error), true) = (read, head.is_empty()) {
            return Err(io_error("decode", &source.path, error));
        }
        check_tar(&source.path, &head, source.compression)?;
        let read = stream::read(io::Cursor::new(head).chain(plain), interests, options.budget_bytes);
        Ok(Self::new(source, read.members, read.faults))
    }
}

/// The members of a mapped tar, with their content as windows.
pub(super) fn indexed(data: &Bytes) -> (Vec<Member>, Vec<Fault>) {
    let index = tarball::index(data);
    let mut faults = Vec::new();
    let members =
        index.members.iter().map(|head| Member::new(head, window(data, head, &mut faults))).collect();
    if let Some(fault) = index.fault {
        faults.push(Fault {
            member: Box::default(),
            code: "broken-archive",
            reason: fault.reason,
            offset_bytes: Some(fault.offset),
        });
    }
    (members, faults)
}

fn window(data: &Bytes, head: &TarMember, faults: &mut Vec<Fault>) -> Content {
    if head.kind != EntryKind::File {
        return Content::None;
    }
    let start = usize::try_from(head.data_offset).unwrap_or(usize::MAX).min(data.len());
    let there = data.len() - start;
    let len = usize::try_from(head.stored_bytes).unwrap_or(usize::MAX).min(there);
    let bytes = data.slice(start..start + len);
    if (len as u64) < head.stored_bytes {
        let reason = "the archive ends inside the member";
        faults.push(Fault {
            member: head.name.clone(),
            code: "cut-off",
            reason: format!("{len} of {} bytes are there: {reason}", head.stored_bytes),
            offset_bytes: Some(head.data_offset),
        });
        return Content::Cut(bytes, reason.into());
    }
    match &head.segments {
        Some(segments) => Content::Sparse(bytes, segments.clone()),
        None => Content::Whole(bytes),
    }
}

fn check_tar(path: &Path, head: &[u8], compression: Compression) -> Result<(), Error> {
    if tarball::is_tar(head) {
        return Ok(());
    }
    let content = match (head.is_empty(), compression) {
        (true, _) => "it is empty".to_owned(),
        (false, Compression::None) => "it is neither a tar nor compressed".to_owned(),
        (false, compression) => format!("it is {} data, but not of a tar", compression.name()),
    };
    Err(Error::NotACheckpoint { path: path.into(), content })
}
