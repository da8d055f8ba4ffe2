//! Searching what a checkpoint holds besides memory: queues, files, logs.

use std::convert::Infallible;
use std::io::{BufReader, Read};

use bytes::Bytes;
use ckx_archive::archive::Window;
use ckx_archive::tarball::{EntryKind, Step, is_tar, stream};
use ckx_archive::{Compression, Member};

use super::pattern::Pattern;
use super::scanner::{Around, Hit, Scanner};
use crate::memory::passing::is_pages;
use crate::{Checkpoint, Issue, Name};

/// Bytes of a member that are held of a source that is not mapped.
const MAX_HELD: u64 = 1 << 30;

/// Which members are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Images that hold what waits in pipes, sockets and message queues.
    Queues,
    /// All but the pages.
    All,
}

/// Where in a checkpoint something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InMember {
    /// The member.
    pub member: Name,
    /// The file in it, if it is a tar.
    pub inner: Option<Name>,
}

/// Begins of the names of images that hold queues.
const QUEUES: [&[u8]; 5] = [b"pipes-data", b"fifo-data", b"sk-queues", b"tcp-stream-", b"ipcns-msg-"];

/// Searches members, and the files in those that are tars, compressed or not; in the order of their names.
/// What cannot be read becomes an issue.
pub fn in_members(
    checkpoint: &Checkpoint,
    which: Which,
    pattern: &Pattern,
    around: Around,
    found: &mut dyn FnMut(&InMember, Hit) -> Step,
) -> Vec<Issue> {
    let archive = checkpoint.archive();
    let is_queue = |member: &&Member| {
        let name = member.file_name();
        QUEUES.iter().any(|queue| name.starts_with(queue)) && checkpoint.image_member(name).is_some()
    };
    let files = archive.current().filter(|member| member.kind == EntryKind::File && !is_pages(&member.name));
    let mut wanted: Vec<&Member> = match which {
        Which::Queues => files.filter(is_queue).collect(),
        Which::All => files.collect(),
    };
    wanted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut issues = Vec::new();
    for member in wanted {
        let name = Name::from(&member.name);
        let all = Window { offset: 0, len: member.size_bytes };
        // Of one that is cut off the part that is there is searched, and the cut is told elsewhere.
        let bytes = archive.read_partial(member).map(|(bytes, _)| bytes);
        let bytes = bytes.or_else(|_| archive.load(member, all, MAX_HELD));
        let step = match bytes {
            Ok(bytes) => in_member(&name, &bytes, pattern, around, found, &mut issues),
            Err(error) => {
                issues.push(Issue::unreadable(&name.to_string(), &error));
                Step::Next
            }
        };
        if step == Step::Stop {
            break;
        }
    }
    issues
}

fn in_member(
    name: &Name,
    bytes: &Bytes,
    pattern: &Pattern,
    around: Around,
    found: &mut dyn FnMut(&InMember, Hit) -> Step,
    issues: &mut Vec<Issue>,
) -> Step {
    let compression = Compression::of(bytes);
    let broken =
        |error: &dyn std::fmt::Display| Issue::new(&name.to_string(), "not-searched", error.to_string());
    let mut place = InMember { member: name.clone(), inner: None };
    if compression == Compression::None && !is_tar(bytes) {
        return super::in_bytes(pattern, around, bytes, &mut |hit| found(&place, hit));
    }
    let mut plain = match compression.decode(bytes.as_ref()) {
        Ok(plain) => BufReader::with_capacity(CHUNK, plain),
        Err(error) => {
            issues.push(broken(&error));
            return Step::Next;
        }
    };
    let is_inner = std::io::BufRead::fill_buf(&mut plain).is_ok_and(is_tar);
    if !is_inner {
        return reader(pattern, around, &mut plain, &mut |hit| found(&place, hit)).unwrap_or_else(|error| {
            issues.push(broken(&error));
            Step::Next
        });
    }
    let mut last = Step::Next;
    let result = stream(plain, |head, content| {
        if head.kind != EntryKind::File {
            return Ok::<_, Infallible>(Step::Next);
        }
        place.inner = Some(Name::from(&head.name));
        let place = &place;
        last = reader(pattern, around, content, &mut |hit| found(place, hit)).unwrap_or(Step::Next);
        Ok(last)
    });
    if let Ok(Err(fault)) = result {
        issues.push(broken(&fault.reason));
    }
    last
}

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// Searches what a reader gives.
fn reader(
    pattern: &Pattern,
    around: Around,
    content: &mut dyn Read,
    found: &mut dyn FnMut(Hit) -> Step,
) -> std::io::Result<Step> {
    let mut scanner = Scanner::new(pattern, around);
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0u64;
    loop {
        let read = match content.read(&mut buffer) {
            Ok(0) => return Ok(scanner.end(found)),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                scanner.end(found);
                return Err(error);
            }
        };
        if scanner.piece(offset, buffer.get(..read).unwrap_or_default(), found) == Step::Stop {
            return Ok(Step::Stop);
        }
        offset += read as u64;
    }
}
