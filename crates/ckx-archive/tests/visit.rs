//! Streamed sources: content that goes by, and content that is fetched again.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ckx_archive::archive::{Piece, Window};
use ckx_archive::tarball::{Step, TarMember};
use ckx_archive::{Archive, Error, Interest, Interests, Kept, Options, Progress};
use ckx_testkit::tarball::{Member, gzip, tar};

const PAGES: &[u8] = b"checkpoint/pages-1.img";

/// Bytes that tell their place.
fn pages() -> Vec<u8> {
    (0..1_000_003u32).map(|at| (at % 251) as u8).collect()
}

fn source() -> Vec<u8> {
    let pages = pages();
    tar(&[
        ("checkpoint/", Member::Directory),
        ("checkpoint/pagemap-1.img", Member::File(b"map")),
        ("checkpoint/pages-1.img", Member::File(b"an older one")),
        ("checkpoint/pages-1.img", Member::File(&pages)),
        ("spec.dump", Member::File(b"{}")),
    ])
}

/// Visits pages, keeps the rest.
#[derive(Default)]
struct Visitor {
    windows: Vec<Window>,
    seen: Vec<u8>,
    stop_at: Option<u64>,
}

impl Interests for Visitor {
    fn of(&mut self, member: &TarMember, kept: &Kept<'_>) -> Interest {
        if *member.name != *PAGES {
            return Interest::Keep;
        }
        assert_eq!(kept.get(b"checkpoint/pagemap-1.img").map(|map| &map[..]), Some(&b"map"[..]));
        self.seen.clear();
        Interest::Visit(self.windows.clone())
    }

    fn visit(&mut self, _: &TarMember, offset: u64, chunk: &[u8]) -> Step {
        assert_eq!(offset, self.seen.len() as u64, "without gaps");
        self.seen.extend_from_slice(chunk);
        if self.stop_at.is_some_and(|at| self.seen.len() as u64 > at) { Step::Stop } else { Step::Next }
    }
}

fn open(data: Vec<u8>, interests: &mut dyn Interests) -> Archive {
    Archive::from_bytes(Path::new("made"), data.into(), interests, Options::default()).unwrap()
}

#[test]
fn a_visitor_sees_every_byte_and_keeps_windows() {
    let windows = vec![Window { offset: 0, len: 5 }, Window { offset: 131_070, len: 262_150 }];
    let mut visitor = Visitor { windows: windows.clone(), ..Visitor::default() };
    let archive = open(gzip(&source()), &mut visitor);
    assert!(visitor.seen == pages());
    let member = archive.get(PAGES).unwrap();
    for Window { offset, len } in windows {
        let expected = Bytes::copy_from_slice(&pages()[offset as usize..(offset + len) as usize]);
        assert_eq!(archive.read_at(member, Window { offset, len }).unwrap(), Piece::Bytes(expected));
    }
    assert!(matches!(archive.read_at(member, Window { offset: 9, len: 5 }).unwrap(), Piece::Absent(_)));
    assert_eq!(archive.read(archive.get(b"spec.dump").unwrap()).unwrap(), "{}");
}

#[test]
fn a_visitor_that_has_enough_ends_the_reading() {
    let mut visitor = Visitor { stop_at: Some(500_000), ..Visitor::default() };
    let archive = open(gzip(&source()), &mut visitor);
    assert!((500_000..800_000).contains(&visitor.seen.len()));
    assert!(archive.get(b"spec.dump").is_none());
    assert!(archive.faults().iter().all(|fault| fault.code == "duplicate-member"), "{:?}", archive.faults());
}

#[test]
fn what_a_visitor_does_not_get_is_told() {
    let data = source();
    let mut visitor = Visitor::default();
    let archive = open(gzip(&data[..700_000]), &mut visitor);
    let fault = archive.faults().iter().find(|fault| fault.code == "cut-off").expect("a fault");
    assert_eq!(&*fault.member, PAGES);
    assert_eq!(
        fault.reason,
        format!("{} of 1000003 bytes are there: the archive ends inside the member", visitor.seen.len())
    );
    assert!(pages().starts_with(&visitor.seen) && visitor.seen.len() > 600_000);
}

/// Keeps nothing.
struct Nothing;

impl Interests for Nothing {
    fn of(&mut self, _: &TarMember, _: &Kept<'_>) -> Interest {
        Interest::Skip
    }
}

#[test]
fn what_went_by_is_loaded_in_another_pass() {
    let archive = open(gzip(&source()), &mut Nothing);
    let member = archive.get(PAGES).unwrap();
    let window = Window { offset: 200_000, len: 300_000 };
    assert!(archive.load(member, window, 300_000).unwrap() == pages()[200_000..500_000]);
    assert!(archive.load(&member.clone(), window, 300_000).unwrap() == pages()[200_000..500_000]);
    let error = archive.load(member, window, 299_999).unwrap_err().to_string();
    assert!(error.contains("above the limit of 299999"), "{error}");
    // Of several members with one name, the one that was asked for.
    let first = &archive.members()[2];
    assert_eq!(archive.load(first, Window { offset: 3, len: 100 }, 100).unwrap(), "older one");
    assert_eq!(archive.load(first, Window { offset: 12, len: 100 }, 100).unwrap(), "");
    assert_eq!(archive.load(first, Window { offset: 1 << 60, len: u64::MAX }, 100).unwrap(), "");
}

#[test]
fn a_mapped_source_needs_no_other_pass() {
    let archive = open(source(), &mut Nothing);
    let member = archive.get(PAGES).unwrap();
    assert!(archive.load(member, Window { offset: 1, len: 9 }, 0).unwrap() == pages()[1..10]);
}

#[test]
fn a_pipe_can_be_read_only_once() {
    let data = gzip(&source());
    let path = Path::new("-");
    let archive = Archive::from_stream(path, data.as_slice(), &mut Nothing, Options::default()).unwrap();
    let error = archive.load(archive.get(PAGES).unwrap(), Window { offset: 0, len: 1 }, 10).unwrap_err();
    assert!(matches!(error, Error::ReadOnce { .. }), "{error}");
}

#[test]
fn progress_counts_what_is_consumed() {
    let data = gzip(&source());
    let size = data.len() as u64;
    let progress = Arc::new(Progress::default());
    let options = Options { progress: Some(progress.clone()), ..Options::default() };
    Archive::from_bytes(Path::new("made"), data.into(), &mut Nothing, options).unwrap();
    assert_eq!((progress.done(), progress.total()), (size, Some(size)));
}
