//! Parts of members that went by, read once more.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::Error;
use crate::archive::content::Window;
use crate::archive::interest::{Interest, Interests, Kept};
use crate::archive::{Archive, Member, Options, Piece, Remote};
use crate::tarball::{Step, TarMember};

/// From where an archive can be opened again.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// The path of its source, unless that is a pipe.
    Path,
    /// Bytes, and which image in them.
    Bytes(Bytes, Option<String>),
    /// An image that lies elsewhere, and which image in it.
    Remote(Arc<dyn Remote>, Option<String>),
    /// It came once.
    Gone,
}

impl Archive {
    /// Opens the source once more, with other interests.
    ///
    /// # Errors
    /// As [`Archive::open`]; [`Error::ReadOnce`] for standard input and other pipes.
    pub fn again(&self, interests: &mut dyn Interests, mut options: Options) -> Result<Self, Error> {
        let path: &Path = &self.source.path;
        match &self.origin {
            Origin::Bytes(data, image) => {
                options.image = options.image.or_else(|| image.clone());
                Self::from_bytes(path, data.clone(), interests, options)
            }
            Origin::Remote(remote, image) => {
                options.image = options.image.or_else(|| image.clone());
                options.remote = Some(Arc::clone(remote));
                Self::open(path, interests, options)
            }
            Origin::Path => Self::open(path, interests, options),
            Origin::Gone => Err(Error::ReadOnce { path: path.into() }),
        }
    }

    /// Part of a member in memory, wherever it lies; it is shorter than asked for at the end of the
    /// member. What a streamed source did not keep is read in another pass over it, up to there, so
    /// that asking for one large part is cheaper than for many small ones.
    ///
    /// # Errors
    /// As [`Archive::read_at`] and [`Archive::again`]; [`Error::Member`] when another pass is needed
    /// and the part is larger than `limit` bytes.
    pub fn load(&self, member: &Member, window: Window, limit: u64) -> Result<Bytes, Error> {
        if let Piece::Bytes(bytes) = self.read_at(member, window)? {
            return Ok(bytes);
        }
        let end = window.offset.saturating_add(window.len).min(member.size_bytes);
        let len = end.saturating_sub(window.offset);
        if len > limit {
            let reason = format!("{len} bytes of a source that is not mapped are above the limit of {limit}");
            return Err(self.lacks(member, &reason));
        }
        let mut data = Vec::new();
        let window = Window { offset: window.offset, len };
        self.visit_again(member, window, &mut |bytes| {
            data.extend_from_slice(bytes);
            Step::Next
        })?;
        if data.len() as u64 == len {
            return Ok(data.into());
        }
        let have = window.offset + data.len() as u64;
        Err(self.lacks(member, &format!("{have} of {} bytes are there", member.size_bytes)))
    }

    /// Writes the content of a member to `out`, whatever its size, in little memory. What a streamed
    /// source did not keep is read in another pass. Returns the number of bytes.
    ///
    /// # Errors
    /// As [`Archive::read`] and [`Archive::again`], after what is there was written. Errors of `out`
    /// have the step `write`.
    pub fn write_to(&self, member: &Member, out: &mut dyn Write) -> Result<u64, Error> {
        let failed = |source| Error::io("write", "-", source);
        let all = Window { offset: 0, len: member.size_bytes };
        if let Piece::Bytes(bytes) = self.read_at(member, all)? {
            out.write_all(&bytes).map_err(failed)?;
            return self.read(member).map(|bytes| bytes.len() as u64);
        }
        let (mut written, mut broken) = (0, None);
        self.visit_again(member, all, &mut |bytes| match out.write_all(bytes) {
            Ok(()) => {
                written += bytes.len() as u64;
                Step::Next
            }
            Err(error) => {
                broken = Some(error);
                Step::Stop
            }
        })?;
        match broken {
            Some(error) => Err(failed(error)),
            None if written < member.size_bytes => {
                Err(self.lacks(member, &format!("{written} of {} bytes are there", member.size_bytes)))
            }
            None => Ok(written),
        }
    }

    /// Shows part of a member to `visit`, in another pass over a streamed source.
    fn visit_again(
        &self,
        member: &Member,
        window: Window,
        visit: &mut dyn FnMut(&[u8]) -> Step,
    ) -> Result<(), Error> {
        if window.len == 0 {
            return Ok(());
        }
        let mut part = Part { member, asked: 0, window, visit, is_done: false };
        let again = self.again(&mut part, Options::default());
        // An image whose index was not reached has no name, but the part is there.
        if part.is_done { Ok(()) } else { again.map(drop) }
    }
}

/// Shows part of one file, and ends the reading there.
struct Part<'a> {
    member: &'a Member,
    /// Files that it was asked about.
    asked: u64,
    window: Window,
    visit: &'a mut dyn FnMut(&[u8]) -> Step,
    is_done: bool,
}

impl Interests for Part<'_> {
    fn of(&mut self, member: &TarMember, _: &Kept<'_>) -> Interest {
        let is_it = self.asked == self.member.order && member.name.ends_with(&self.member.name);
        self.asked += 1;
        if is_it { Interest::Visit(Vec::new()) } else { Interest::Skip }
    }

    fn visit(&mut self, _: &TarMember, offset: u64, chunk: &[u8]) -> Step {
        let end = self.window.offset.saturating_add(self.window.len);
        let chunk_end = offset + chunk.len() as u64;
        let inside = |at: u64| (at.clamp(offset, chunk_end) - offset) as usize;
        let bytes = chunk.get(inside(self.window.offset)..inside(end)).unwrap_or_default();
        let step = if bytes.is_empty() { Step::Next } else { (self.visit)(bytes) };
        self.is_done = chunk_end >= end || step == Step::Stop;
        if self.is_done { Step::Stop } else { Step::Next }
    }
}
