//! What a reader wants of a source that is decoded once.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;

use crate::Compression;
use crate::archive::content::Content;
use crate::archive::{Archive, Backing, Form, Member, Source, Window};
use crate::tarball::{Step, TarMember};

/// What a reader wants of a member that goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Its content.
    Keep,
    /// Parts of its content, sorted and without overlaps.
    Windows(Vec<Window>),
    /// Its content goes to [`Interests::visit`] chunk by chunk, however large it is. These parts of it
    /// are kept besides; mostly there are none.
    Visit(Vec<Window>),
    /// Its members: it is a tar itself, maybe compressed. Kept whole if it is small.
    List,
    /// Nothing but its header.
    Skip,
}

/// Decides what is kept of a streamed source. Asked once for each file, in the order of the source.
///
/// Whoever has to see all bytes of large members (to search, hash or copy page data) answers
/// [`Interest::Visit`] and gets them in [`Interests::visit`] while the source goes by. Nothing of this
/// happens for a source that is mapped: there [`Archive::read`](crate::Archive::read) gives everything,
/// at any time.
pub trait Interests {
    /// What to do with a file, knowing the members before it. What is needed of those during visits
    /// (a page map) is taken from `kept` here: cloning its bytes is free.
    fn of(&mut self, member: &TarMember, kept: &Kept<'_>) -> Interest;

    /// Gets a chunk of a file for which [`Interests::of`] said [`Interest::Visit`]. Chunks come in
    /// order and without gaps, holes of sparse files as zeros, in sizes that mean nothing; `offset` is
    /// that of the first byte in the file. Files end with the next call of [`Interests::of`]; one that
    /// the source breaks off is cut off, its [`Fault`](crate::archive::Fault) says so.
    ///
    /// [`Step::Stop`] ends the reading of the source, without a fault: the answer is found, or an
    /// output cannot be written.
    fn visit(&mut self, member: &TarMember, offset: u64, chunk: &[u8]) -> Step {
        let _ = (member, offset, chunk);
        Step::Next
    }
}

/// Keeps everything, as far as the memory allowed goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepAll;

impl Interests for KeepAll {
    fn of(&mut self, _: &TarMember, _: &Kept<'_>) -> Interest {
        Interest::Keep
    }
}

/// The members before the one in question.
#[derive(Debug)]
pub struct Kept<'a> {
    pub(super) members: &'a [Member],
    /// Those that were kept whole, by name.
    pub(super) whole: &'a HashMap<Box<[u8]>, usize>,
}

impl Kept<'_> {
    /// Content of a member that was kept whole; of several with one name the last.
    pub fn get(&self, name: &[u8]) -> Option<&Bytes> {
        match &self.members.get(*self.whole.get(name)?)?.content {
            Content::Whole(data) => Some(data),
            _ => None,
        }
    }

    /// The source so far, as an archive: its members share their content with it.
    pub fn archive(&self) -> Archive {
        self.archive_at(Path::new(""))
    }

    /// The same, of a source that may be opened once more by its path.
    pub fn archive_at(&self, path: &Path) -> Archive {
        let source = Source {
            path: path.to_owned(),
            form: Form::Tar,
            compression: Compression::None,
            backing: Backing::Streamed,
            size_bytes: 0,
        };
        Archive::new(source, self.members.to_vec(), Vec::new())
    }

    /// Members so far.
    pub fn members(&self) -> &[Member] {
        self.members
    }
}
