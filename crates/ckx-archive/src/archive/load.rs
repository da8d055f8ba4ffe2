//! Parts of members that went by, read once more.

use std::path::Path;

use bytes::Bytes;

use crate::Error;
use crate::archive::content::Window;
use crate::archive::stream::{Interest, Interests, Kept};
use crate::archive::{Archive, Member, Options, Piece};
use crate::tarball::{EntryKind, Step, TarMember};

/// From where an archive can be opened again.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// The path of its source, unless that is a pipe.
    Path,
    /// Bytes.
    Bytes(Bytes),
    /// It came once.
    Gone,
}

impl Archive {
    /// Opens the source once more, with other interests.
    ///
    /// # Errors
    /// As [`Archive::open`]; [`Error::ReadOnce`] for standard input and other pipes.
    pub fn again(&self, interests: &mut dyn Interests, options: Options) -> Result<Self, Error> {
        let path: &Path = &self.source.path;
        match &self.origin {
            Origin::Bytes(data) => Self::from_bytes(path, data.clone(), interests, options),
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
        let window = Window { offset: window.offset, len };
        let mut part = Part { name: &member.name, before: self.before(member), window, data: Vec::new() };
        if len > 0 {
            self.again(&mut part, Options::default())?;
        }
        if part.data.len() as u64 == len {
            return Ok(part.data.into());
        }
        let have = window.offset + part.data.len() as u64;
        Err(self.lacks(member, &format!("{have} of {} bytes are there", member.size_bytes)))
    }

    /// Files of the same name before this one.
    fn before(&self, member: &Member) -> usize {
        let same =
            || self.members.iter().filter(|other| other.kind == EntryKind::File && other.name == member.name);
        let at = same().position(|other| std::ptr::eq(other, member));
        // A member that was copied out of the archive is the one that counts.
        at.unwrap_or_else(|| same().count().saturating_sub(1))
    }
}

/// Takes part of one file, and ends the reading there.
struct Part<'a> {
    name: &'a [u8],
    /// Files of this name that come before.
    before: usize,
    window: Window,
    data: Vec<u8>,
}

impl Interests for Part<'_> {
    fn of(&mut self, member: &TarMember, _: &Kept<'_>) -> Interest {
        if *member.name != *self.name {
            return Interest::Skip;
        }
        match self.before.checked_sub(1) {
            Some(before) => {
                self.before = before;
                Interest::Skip
            }
            None => Interest::Visit(Vec::new()),
        }
    }

    fn visit(&mut self, _: &TarMember, offset: u64, chunk: &[u8]) -> Step {
        let end = self.window.offset + self.window.len;
        let inside = |at: u64| at.clamp(offset, offset + chunk.len() as u64) - offset;
        let (start, stop) = (inside(self.window.offset) as usize, inside(end) as usize);
        self.data.extend_from_slice(chunk.get(start..stop).unwrap_or_default());
        if offset + chunk.len() as u64 >= end { Step::Stop } else { Step::Next }
    }
}
