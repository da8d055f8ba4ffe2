//! Members of a source that is decoded once, kept as far as a reader is interested.

use std::io::{self, Read};

use bytes::Bytes;

use crate::archive::content::{Absent, Content, Listing};
use crate::archive::pass::{Pass, end_of};
use crate::archive::{Fault, Member, Window};
use crate::compress::sniffed;
use crate::tarball::{EntryKind, Step, TarFault, TarMember, stream};

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
pub struct Kept<'a>(&'a [Member]);

impl Kept<'_> {
    /// Content of a member that was kept whole.
    pub fn get(&self, name: &[u8]) -> Option<&Bytes> {
        self.0.iter().rev().find(|member| *member.name == *name).and_then(|member| match &member.content {
            Content::Whole(data) => Some(data),
            _ => None,
        })
    }

    /// Members so far.
    pub fn members(&self) -> &[Member] {
        self.0
    }
}

/// Inner tars up to this size are kept whole, so that files in them can be shown.
const KEEP_INNER_BELOW: u64 = 4 << 20;

/// What reading a stream gave.
pub(super) struct Streamed {
    pub members: Vec<Member>,
    pub faults: Vec<Fault>,
}

/// Bytes behind the end mark of a tar that are read: enough for the padding that tar writers add. The
/// checksum of a compressed source comes behind them.
const TRAILER: u64 = 1 << 20;

/// Reads a tar from a stream, once, with at most `budget` bytes of content kept.
pub(super) fn read(mut input: impl Read, interests: &mut dyn Interests, budget: u64) -> Streamed {
    let mut reading = Reading { left: budget, pass: Pass::new(), faults: Vec::new() };
    let mut members = Vec::new();
    let mut last = Step::Next;
    let result = stream(&mut input, |head, content| {
        if head.kind != EntryKind::File {
            members.push(Member::new(head, Content::None));
            return Ok::<_, std::convert::Infallible>(Step::Next);
        }
        let interest = interests.of(head, &Kept(&members));
        let (content, step) = reading.take(head, content, interest, interests);
        members.push(Member::new(head, content));
        last = step;
        Ok(step)
    });
    let mut faults = reading.faults;
    let mut broken = |reason, offset_bytes| {
        faults.push(Fault { member: Box::default(), code: "broken-archive", reason, offset_bytes });
    };
    match result {
        Ok(Err(TarFault { offset, reason })) => broken(reason, Some(offset)),
        _ if last == Step::Stop => {}
        _ => {
            if let Err(error) = io::copy(&mut input.take(TRAILER), &mut io::sink()) {
                broken(format!("behind the last member: {error}"), None);
            }
        }
    }
    Streamed { members, faults }
}

/// The state of reading a source.
struct Reading {
    /// Bytes that may still be kept.
    left: u64,
    pass: Pass,
    faults: Vec<Fault>,
}

impl Reading {
    fn take(
        &mut self,
        head: &TarMember,
        content: &mut dyn Read,
        interest: Interest,
        interests: &mut dyn Interests,
    ) -> (Content, Step) {
        let content = match interest {
            Interest::Skip => Content::Absent(Absent::NotKept),
            Interest::List if head.size_bytes > KEEP_INNER_BELOW => list(content),
            Interest::Keep | Interest::List => self.keep(head, content),
            Interest::Windows(windows) => {
                let until = end_of(&windows).min(head.size_bytes);
                let passed = self.pass.run(content, until, windows, &mut self.left, &mut |_, _| Step::Next);
                self.note_cut(head, passed.bytes, passed.broken.as_ref());
                Content::Windows(passed.kept)
            }
            Interest::Visit(windows) => {
                let visit = &mut |offset, chunk: &[u8]| interests.visit(head, offset, chunk);
                let passed = self.pass.run(content, head.size_bytes, windows, &mut self.left, visit);
                self.note_cut(head, passed.bytes, passed.broken.as_ref());
                return (Content::Windows(passed.kept), passed.step);
            }
        };
        (content, Step::Next)
    }

    fn keep(&mut self, head: &TarMember, content: &mut dyn Read) -> Content {
        if head.size_bytes > self.left {
            return Content::Absent(Absent::OverBudget);
        }
        match whole(content, head.size_bytes) {
            Ok(data) => {
                self.left -= data.len() as u64;
                Content::Whole(data)
            }
            Err((data, error)) => {
                self.note_cut(head, data.len() as u64, Some(&error));
                Content::Cut(data, error.to_string().into())
            }
        }
    }

    /// Notes that a content is not all there.
    fn note_cut(&mut self, head: &TarMember, have: u64, broken: Option<&io::Error>) {
        let Some(error) = broken else { return };
        self.faults.push(Fault {
            member: head.name.clone(),
            code: "cut-off",
            reason: format!("{have} of {} bytes are there: {error}", head.size_bytes),
            offset_bytes: Some(head.data_offset),
        });
    }
}

/// Reads a content of known size. What comes before a fault is given with the fault.
fn whole(content: &mut dyn Read, size: u64) -> Result<Bytes, (Bytes, io::Error)> {
    // The size is what a header claims: memory is taken as bytes come.
    let mut data = Vec::with_capacity(size.min(1 << 20) as usize);
    let result = content.take(size).read_to_end(&mut data);
    match result {
        Ok(_) if data.len() as u64 == size => {
            data.shrink_to_fit();
            Ok(data.into())
        }
        Ok(_) => Err((
            data.into(),
            io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside the member"),
        )),
        Err(error) => Err((data.into(), error)),
    }
}

/// Lists a tar inside the source, without its content.
fn list(content: &mut dyn Read) -> Content {
    let mut members = Vec::new();
    let Ok(plain) = sniffed(content) else { return Content::Absent(Absent::NotKept) };
    let result = stream(plain.reader, |head, _| {
        let content = match head.kind {
            EntryKind::File => Content::Absent(Absent::NotKept),
            _ => Content::None,
        };
        members.push(Member::new(head, content));
        Ok::<_, std::convert::Infallible>(Step::Next)
    });
    let fault = match result {
        Ok(Err(fault)) => Some(fault),
        _ => None,
    };
    Content::Listed(Box::new(Listing { members, fault }))
}
