//! The members of a tar that lies in memory or is mapped.

use std::io::{self, Cursor};

use bytes::Bytes;

use crate::tarball::{Segment, TarFault, TarMember, member};

/// The members of a tar, in its order.
#[derive(Debug, Clone, Default)]
pub struct TarIndex {
    /// Its members. Of several with one name the last is the one that counts.
    pub members: Vec<TarMember>,
    /// Why not all of it could be read.
    pub fault: Option<TarFault>,
}

/// Indexes a tar by its headers. A missing end mark is no fault; a broken header ends the index.
pub fn index(data: &[u8]) -> TarIndex {
    let mut archive = tar::Archive::new(Cursor::new(data));
    let mut found = TarIndex::default();
    let mut end = 0;
    let result = archive.entries_with_seek().and_then(|entries| {
        for entry in entries {
            let mut entry = entry?;
            let read = member::read(&mut entry)?;
            let Some(mut read) = read else { continue };
            if entry.header().entry_type() == tar::EntryType::GNUSparse {
                extension_blocks(data, &mut read)?;
            }
            end = read.data_offset.saturating_add(read.stored_bytes.next_multiple_of(512));
            found.members.push(read);
        }
        Ok(())
    });
    let cut = end > data.len() as u64;
    found.fault = match result {
        Err(error) => Some(TarFault { offset: end.min(data.len() as u64), reason: error.to_string() }),
        Ok(()) if cut => {
            Some(TarFault { offset: data.len() as u64, reason: "the file ends inside a member".to_owned() })
        }
        Ok(()) => None,
    };
    found
}

/// GNU's old sparse form has room for four segments in the header. More stand in blocks of 21 behind
/// it, before the data; the tar crate skips them silently.
fn extension_blocks(data: &[u8], member: &mut TarMember) -> io::Result<()> {
    let block = |offset: u64| -> Option<&[u8]> {
        let offset = usize::try_from(offset).ok()?;
        data.get(offset..offset.checked_add(512)?)
    };
    let cut =
        || io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends inside the map of a sparse member");
    if member.segments.is_some() {
        return Ok(());
    }
    let header = block(member.data_offset.wrapping_sub(512)).ok_or_else(cut)?;
    let mut list: Vec<Segment> = pairs(&header[386..482]).collect();
    loop {
        let extension = block(member.data_offset).ok_or_else(cut)?;
        member.data_offset += 512;
        list.extend(pairs(&extension[..504]));
        if extension[504] == 0 {
            break;
        }
    }
    member.segments = Some(list.into_boxed_slice());
    Ok(())
}

/// Pairs of octal numbers, 12 bytes each. An empty pair ends the list.
fn pairs(bytes: &[u8]) -> impl Iterator<Item = Segment> {
    bytes
        .as_chunks::<24>()
        .0
        .iter()
        .map_while(|pair| Some(Segment { offset: octal(&pair[..12])?, bytes: octal(&pair[12..])? }))
}

/// A number of a tar header: octal text, or binary with the top bit set.
fn octal(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        return field
            .iter()
            .skip(1)
            .try_fold(0u64, |value, byte| value.checked_mul(256).map(|value| value | u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok()
}

/// Content of a member: a window into the tar, or for a sparse file a copy with its holes.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] when the tar ends before the content does;
/// [`io::ErrorKind::OutOfMemory`] when a sparse file is larger than `limit` bytes.
pub fn content(data: &Bytes, member: &TarMember, limit: u64) -> io::Result<Bytes> {
    let window = |offset: u64, bytes: u64| -> io::Result<Bytes> {
        let range = usize::try_from(offset)
            .ok()
            .zip(offset.checked_add(bytes).and_then(|end| usize::try_from(end).ok()))
            .filter(|(_, end)| *end <= data.len());
        let (start, end) = range.ok_or_else(|| {
            let there = (data.len() as u64).saturating_sub(offset);
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the archive ends inside the member: {there} of {bytes} bytes are there"),
            )
        })?;
        Ok(data.slice(start..end))
    };
    let Some(segments) = &member.segments else { return window(member.data_offset, member.stored_bytes) };
    if member.size_bytes > limit {
        return Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            format!("a sparse file of {} bytes is above the limit of {limit}", member.size_bytes),
        ));
    }
    let mut out = vec![0; member.size_bytes as usize];
    let mut stored = member.data_offset;
    for segment in segments {
        let bytes = window(stored, segment.bytes)?;
        let start = segment.offset as usize;
        let target = out.get_mut(start..start.saturating_add(bytes.len())).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a segment lies behind the end of the file")
        })?;
        target.copy_from_slice(&bytes);
        stored += segment.bytes;
    }
    Ok(out.into())
}
