//! The members of a tar that comes as a stream.

use std::io::{self, Read};

use crate::tarball::{TarFault, TarMember, member};

/// Whether a reader wants more of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// On to the next member. What was not read of this one is skipped.
    Next,
    /// No more.
    Stop,
}

/// Reads a tar from a stream, once. `visit` gets each member with its content, holes of sparse files
/// as zeros, and reads as much of it as it wants.
///
/// # Errors
/// [`TarFault`] when the tar cannot be read further; members before it were visited. Errors of
/// `visit` come back as they are, in the outer result.
pub fn stream<R: Read, E>(
    reader: R,
    mut visit: impl FnMut(&TarMember, &mut dyn Read) -> Result<Step, E>,
) -> Result<Result<(), TarFault>, E> {
    let mut archive = tar::Archive::new(reader);
    let mut end = 0;
    let fault = |offset, error: &io::Error| Ok(Err(TarFault { offset, reason: error.to_string() }));
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return fault(0, &error),
    };
    for entry in entries {
        let read = entry.and_then(|mut entry| Ok((member::read(&mut entry)?, entry)));
        let (found, mut entry) = match read {
            Ok((Some(found), entry)) => (found, entry),
            Ok((None, _)) => continue,
            Err(error) => return fault(end, &error),
        };
        end = found.data_offset.saturating_add(found.stored_bytes.next_multiple_of(512));
        let is_expanded = entry.header().entry_type() == tar::EntryType::GNUSparse;
        let step = match &found.segments {
            Some(_) if !is_expanded => visit(&found, &mut Holes::new(&found, &mut entry))?,
            _ => visit(&found, &mut entry)?,
        };
        if step == Step::Stop {
            break;
        }
    }
    Ok(Ok(()))
}

/// A sparse file with its holes, from the packed bytes that are stored.
struct Holes<'m, R> {
    member: &'m TarMember,
    stored: R,
    position: u64,
    /// Index of the segment at or behind the position.
    segment: usize,
}

impl<'m, R: Read> Holes<'m, R> {
    fn new(member: &'m TarMember, stored: R) -> Self {
        Self { member, stored, position: 0, segment: 0 }
    }
}

impl<R: Read> Read for Holes<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let segments = self.member.segments.as_deref().unwrap_or_default();
        while segments.get(self.segment).is_some_and(|each| each.offset + each.bytes <= self.position) {
            self.segment += 1;
        }
        let current = segments.get(self.segment);
        let (in_hole, until) = match current {
            Some(each) if each.offset > self.position => (true, each.offset),
            Some(each) => (false, each.offset + each.bytes),
            None => (true, self.member.size_bytes),
        };
        let len = (until - self.position.min(until)).min(buffer.len() as u64) as usize;
        let target = &mut buffer[..len];
        let read = if in_hole {
            target.fill(0);
            len
        } else {
            let read = self.stored.read(target)?;
            if read == 0 && len > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read
        };
        self.position += read as u64;
        Ok(read)
    }
}
