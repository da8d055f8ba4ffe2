//! Members of sources that are decoded again when they are written.

use std::io::{self, Write};

use bytes::Bytes;
use ckx_archive::Archive;

use crate::Error;

/// The sources of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// That of the checkpoint.
    pub own: &'a Archive,
    /// That of the earlier checkpoint.
    pub base: Option<&'a Archive>,
}

impl<'a> From<&'a Archive> for Sources<'a> {
    fn from(own: &'a Archive) -> Self {
        Self { own, base: None }
    }
}

/// Which of the sources a member is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// That of the checkpoint.
    #[default]
    Own,
    /// That of the earlier checkpoint.
    Base,
}

/// A member of a source that is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamedMember {
    /// The source.
    pub origin: Origin,
    /// Its name there.
    pub name: Box<[u8]>,
    /// Its size in bytes.
    pub size: u64,
}

impl StreamedMember {
    /// Decodes it once more.
    ///
    /// # Errors
    /// Those of `out`; [`Error::Source`] when it cannot be read, [`Error::Refused`] when it changed.
    pub fn stream(
        &self,
        sources: Sources<'_>,
        out: &mut dyn FnMut(Bytes) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let archive = match self.origin {
            Origin::Own => sources.own,
            Origin::Base => sources.base.unwrap_or(sources.own),
        };
        let changed = || {
            Error::refused(format!(
                "`{}` changed while it was read: `{}` is not what it was",
                archive.source().path.display(),
                ckx_core::Name::from(&self.name)
            ))
        };
        let member = archive.get(&self.name).ok_or_else(changed)?;
        let mut writer = Pieces { out, failed: None };
        let copied = archive.write_to(member, &mut writer);
        match (writer.failed, copied) {
            (Some(error), _) => Err(error),
            (None, Ok(bytes)) if bytes == self.size => Ok(()),
            (None, Ok(_)) => Err(changed()),
            (None, Err(error)) => Err(error.into()),
        }
    }
}

/// Gives written bytes on, and keeps the error of the receiver.
struct Pieces<'a> {
    out: &'a mut dyn FnMut(Bytes) -> Result<(), Error>,
    failed: Option<Error>,
}

impl Write for Pieces<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match (self.out)(Bytes::copy_from_slice(buffer)) {
            Ok(()) => Ok(buffer.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::other("the receiver failed"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
