//! Opening a source: what it is, told by its content.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::archive::content::Content;
use crate::archive::content::io_error;
use crate::archive::interest::Interests;
use crate::archive::load::Origin;
use crate::archive::spelling::{Spelled, spelled};
use crate::archive::stream::Reading;
use crate::archive::{Archive, Backing, Fault, Form, Member, Remote, Source, oci, walk};
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
    /// Tag, name or digest of the image in an OCI layout that has several.
    pub image: Option<String>,
    /// Whether digests of the layers of an OCI image are checked. Their sizes always are.
    pub verify: bool,
    /// Counts how far the reading has come, for whoever shows it.
    pub progress: Option<Arc<Progress>>,
    /// Reads the image from here instead of from the file system.
    pub remote: Option<Arc<dyn Remote>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { budget_bytes: 64 << 20, image: None, verify: false, progress: None, remote: None }
    }
}

/// Bytes that tell what a file is: one block of a tar.
const HEAD: usize = 512;

impl Archive {
    /// Opens a source by its content: a tar in any compression, a directory, an OCI layout in either.
    /// `path` may be `-` for standard input, `oci:DIR[:TAG]` or `oci-archive:FILE[:TAG]`; with
    /// [`Options::remote`] it is only a name. Of what has
    /// to be decoded, that is kept which `interests` asks for; of what can be mapped, everything is
    /// there.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be opened, [`Error::NotACheckpoint`] when its content is no tar,
    /// [`Error::Oci`] when it is an OCI layout without the image that is meant.
    pub fn open(path: &Path, interests: &mut dyn Interests, mut options: Options) -> Result<Self, Error> {
        if let Some(remote) = options.remote.take() {
            let archive = oci::open_remote(path, &*remote, interests, &options)?;
            return Ok(archive.with_origin(Origin::Remote(remote, options.image)));
        }
        if path.as_os_str() == STDIN {
            return Self::from_stream(path, io::stdin().lock(), interests, options);
        }
        let Spelled { path: place, form, image } = spelled(path);
        options.image = image.or(options.image);
        let metadata = place.metadata().map_err(|source| io_error("open", &place, source))?;
        let mut archive = if metadata.is_dir() {
            match oci::is_layout(&place) {
                true => oci::open_directory(&place, interests, &options)?,
                false => walk::open(&place)?,
            }
        } else if metadata.file_type().is_fifo() {
            let file = File::open(&place).map_err(|source| io_error("open", &place, source))?;
            Self::from_stream(&place, file, interests, options)?
        } else {
            Self::from_bytes(&place, open_file(&place)?, interests, options)?.with_origin(Origin::Path)
        };
        if metadata.is_dir() {
            archive.origin = Origin::Path;
        }
        match form {
            Some(form) if form != archive.source.form => {
                let (wanted, actual) = (form.name(), archive.source.form.name());
                Err(Error::Oci { path: place, reason: format!("it is no {wanted} but a {actual}") })
            }
            _ => {
                archive.source.path = path.into();
                Ok(archive)
            }
        }
    }

    /// Reads a source out of bytes, mapped or in memory. `path` is its name in messages.
    ///
    /// # Errors
    /// [`Error::NotACheckpoint`] when it is no tar; [`Error::Oci`] as [`Archive::open`].
    pub fn from_bytes(
        path: &Path,
        data: Bytes,
        interests: &mut dyn Interests,
        options: Options,
    ) -> Result<Self, Error> {
        let compression = Compression::of(&data);
        let source = Source {
            path: path.into(),
            form: Form::Tar,
            compression,
            backing: Backing::Mapped,
            size_bytes: data.len() as u64,
        };
        let origin = Origin::Bytes(data.clone(), options.image.clone());
        if compression == Compression::None {
            check_tar(path, &data, compression)?;
            let (members, faults) = indexed(&data);
            let outer = Self::new(source, members, faults);
            return Ok(oci::open_tar(outer, interests, &options)?.with_origin(origin));
        }
        if let Some(progress) = &options.progress {
            progress.expect(source.size_bytes);
        }
        let input = Counted::new(data.as_ref(), options.progress.clone());
        let decoded = compression.decode(input).map_err(|source| io_error("decode", path, source))?;
        Ok(Self::decoded(source, decoded, interests, &options)?.with_origin(origin))
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
        let mut archive = Self::decoded(source, reader, interests, &options)?;
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
        options: &Options,
    ) -> Result<Self, Error> {
        let mut head = Vec::with_capacity(HEAD);
        let read = plain.by_ref().take(HEAD as u64).read_to_end(&mut head);
        if let (Err(error), true) = (read, head.is_empty()) {
            return Err(io_error("decode", &source.path, error));
        }
        check_tar(&source.path, &head, source.compression)?;
        let mut reading = Reading::new(interests, options);
        reading.tar(io::Cursor::new(head).chain(plain));
        let Reading { past, faults, interests, .. } = reading;
        let source = Source { backing: Backing::Streamed, ..source };
        let opened = oci::open_tar(Self::new(source, past.members, faults), interests, options)?;
        Ok(opened.without_layers())
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
