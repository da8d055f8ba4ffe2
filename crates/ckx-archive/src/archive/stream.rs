//! Members of a source that is decoded once, kept as far as a reader is interested.

use std::collections::HashMap;
use std::io::{self, Read};

use bytes::Bytes;

use crate::archive::content::{Absent, Content, Listing};
use crate::archive::interest::{Interest, Interests, Kept};
use crate::archive::oci::digest_of;
use crate::archive::pass::{Pass, end_of};
use crate::archive::{Fault, Member, Options};
use crate::compress::sniffed;
use crate::tarball::{EntryKind, Step, TarFault, TarMember, stream};

/// Inner tars up to this size are kept whole, so that files in them can be shown.
const KEEP_INNER_BELOW: u64 = 4 << 20;

/// Bytes behind the end mark of a tar that are read: enough for the padding that tar writers add. The
/// checksum of a compressed source comes behind them.
const TRAILER: u64 = 1 << 20;

/// Bytes of documents of an OCI image that are kept, beside the budget.
const DOCUMENTS: u64 = 32 << 20;

/// Reading of tars from streams, once: one after the other, with one budget.
pub(super) struct Reading<'i> {
    pub interests: &'i mut dyn Interests,
    /// Bytes that may still be kept.
    pub left: u64,
    /// Bytes of documents of an image that may still be kept: nobody could ask for them beforehand.
    pub documents_left: u64,
    /// Whether digests are computed of blobs that go by.
    pub verify: bool,
    pub pass: Pass,
    pub past: Past,
    pub faults: Vec<Fault>,
    /// Files that the interests were asked about.
    pub asked: u64,
    /// Members of layers that went by inside a tar of blobs; `None` inside such a layer.
    pub layers: Option<Past>,
    pub streamed: bool,
    pub stopped: bool,
}

/// The members so far.
#[derive(Default)]
pub(super) struct Past {
    pub members: Vec<Member>,
    /// Those that were kept whole, by name.
    whole: HashMap<Box<[u8]>, usize>,
}

impl Past {
    pub fn push(&mut self, member: Member) {
        if matches!(member.content, Content::Whole(_)) {
            self.whole.insert(member.name.clone(), self.members.len());
        }
        self.members.push(member);
    }
}

impl<'i> Reading<'i> {
    pub fn new(interests: &'i mut dyn Interests, options: &Options) -> Self {
        Self {
            interests,
            left: options.budget_bytes,
            documents_left: DOCUMENTS,
            verify: options.verify,
            pass: Pass::new(),
            past: Past::default(),
            faults: Vec::new(),
            asked: 0,
            layers: Some(Past::default()),
            streamed: false,
            stopped: false,
        }
    }

    /// For a tar that is no source itself: what looks like an OCI image in it is none.
    pub fn inner(interests: &'i mut dyn Interests, options: &Options) -> Self {
        Self { layers: None, ..Self::new(interests, options) }
    }

    /// Reads a tar; returns where its members begin.
    pub fn tar(&mut self, mut input: impl Read) -> usize {
        self.streamed = true;
        let first = self.past.members.len();
        if self.stopped {
            return first;
        }
        let result = stream(&mut input, |head, content| {
            let step = self.member(head, content);
            self.stopped = step == Step::Stop;
            Ok::<_, std::convert::Infallible>(step)
        });
        match result {
            Ok(Err(TarFault { offset, reason })) => self.broken(reason, Some(offset)),
            _ if self.stopped => {}
            _ => {
                if let Err(error) = io::copy(&mut input.take(TRAILER), &mut io::sink()) {
                    self.broken(format!("behind the last member: {error}"), None);
                }
            }
        }
        first
    }

    fn broken(&mut self, reason: String, offset_bytes: Option<u64>) {
        self.faults.push(Fault { member: Box::default(), code: "broken-archive", reason, offset_bytes });
    }

    fn member(&mut self, head: &TarMember, content: &mut dyn Read) -> Step {
        if head.kind != EntryKind::File {
            self.past.push(Member::new(head, Content::None));
            return Step::Next;
        }
        let order = self.asked;
        let (content, step) = if self.is_document(head) {
            (self.document(head, content), Step::Next)
        } else if self.layers.is_some() && digest_of(&head.name).is_some() {
            self.blob(head, content)
        } else {
            self.asked += 1;
            let interest =
                self.interests.of(head, &Kept { members: &self.past.members, whole: &self.past.whole });
            self.take(head, content, interest)
        };
        let mut member = Member::new(head, content);
        member.order = order;
        self.past.push(member);
        step
    }

    pub fn take(&mut self, head: &TarMember, content: &mut dyn Read, interest: Interest) -> (Content, Step) {
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
                let visit = &mut |offset, chunk: &[u8]| self.interests.visit(head, offset, chunk);
                let passed = self.pass.run(content, head.size_bytes, windows, &mut self.left, visit);
                self.note_cut(head, passed.bytes, passed.broken.as_ref());
                return (Content::Windows(passed.kept), passed.step);
            }
        };
        (content, Step::Next)
    }

    pub fn keep(&mut self, head: &TarMember, content: &mut dyn Read) -> Content {
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
