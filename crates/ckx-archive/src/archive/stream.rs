//! Members of a source that is decoded once, kept as far as a reader is interested.

use std::io::{self, Read};

use bytes::Bytes;

use crate::archive::content::{Absent, Content, Listing};
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
    /// Its members: it is a tar itself, maybe compressed. Kept whole if it is small.
    List,
    /// Nothing but its header.
    Skip,
}

/// Decides what is kept of a streamed source. Asked once for each member, in the order of the source.
pub trait Interests {
    /// What to do with a member, knowing those before it.
    fn of(&mut self, member: &TarMember, kept: &Kept<'_>) -> Interest;
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

/// Reads a tar from a stream, once, with at most `budget` bytes of content kept.
pub(super) fn read(input: impl Read, interests: &mut dyn Interests, budget: u64) -> Streamed {
    let mut found = Streamed { members: Vec::new(), faults: Vec::new() };
    let mut left = budget;
    let result = stream(input, |head, content| {
        let interest = match head.kind {
            EntryKind::File => interests.of(head, &Kept(&found.members)),
            _ => Interest::Skip,
        };
        let content = match head.kind {
            EntryKind::File => take(head, content, interest, &mut left),
            _ => Content::None,
        };
        if let Content::Cut(data, reason) = &content {
            found.faults.push(Fault {
                member: head.name.clone(),
                code: "cut-off",
                reason: format!("{} of {} bytes are there: {reason}", data.len(), head.size_bytes),
                offset_bytes: Some(head.data_offset),
            });
        }
        found.members.push(Member::new(head, content));
        Ok::<_, std::convert::Infallible>(Step::Next)
    });
    if let Ok(Err(TarFault { offset, reason })) = result {
        found.faults.push(Fault {
            member: Box::default(),
            code: "broken-archive",
            reason,
            offset_bytes: Some(offset),
        });
    }
    found
}

fn take(head: &TarMember, content: &mut dyn Read, interest: Interest, left: &mut u64) -> Content {
    match interest {
        Interest::Skip => Content::Absent(Absent::NotKept),
        Interest::List if head.size_bytes > KEEP_INNER_BELOW => list(content),
        Interest::Keep | Interest::List if head.size_bytes > *left => Content::Absent(Absent::OverBudget),
        Interest::Keep | Interest::List => match whole(content, head.size_bytes) {
            Ok(data) => {
                *left -= data.len() as u64;
                Content::Whole(data)
            }
            Err((data, error)) => Content::Cut(data, error.to_string().into()),
        },
        Interest::Windows(windows) => parts(content, &windows, left),
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

/// Keeps windows of a content.
fn parts(content: &mut dyn Read, windows: &[Window], left: &mut u64) -> Content {
    let mut position = 0u64;
    let mut kept = Vec::new();
    for window in windows {
        if window.len > *left || window.offset < position {
            continue;
        }
        let gap = window.offset - position;
        if io::copy(&mut content.take(gap), &mut io::sink()).ok() != Some(gap) {
            break;
        }
        let Ok(data) = whole(content, window.len) else { break };
        position = window.offset + window.len;
        *left -= data.len() as u64;
        kept.push((window.offset, data));
    }
    Content::Windows(kept)
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
