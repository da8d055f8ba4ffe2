//! Sparse members: GNU's old form, whose map stands in the header, and the three PAX forms, whose
//! map stands in extended headers or before the data.
//!
//! # Folklore
//!
//! * The tar crate expands the old form when it is read as a stream, but says where the data begins
//!   without counting extension headers, and knows nothing of the PAX forms: they appear as
//!   `GNUSparseFile.N/name` with packed bytes. Here both get a map.
//! * In PAX form 1.0 the map is text at the start of the data, padded to 512 bytes.

use std::io::{self, Read};

use crate::tarball::TarMember;

/// A run of stored bytes of a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it belongs in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The most segments a map may have. Real ones have a few hundred; a header of that size is some
/// megabytes of text.
const MAX_SEGMENTS: usize = 1 << 20;

/// What the extended headers of a member say of sparseness.
#[derive(Debug, Default)]
pub(super) struct PaxKeys {
    /// The name under which the file is known; the header's is made up.
    pub name: Option<Vec<u8>>,
    real_size: Option<u64>,
    major: u64,
    /// Forms 0.0 and 0.1: offsets and lengths in turn.
    map: Vec<u64>,
    sparse: bool,
}

impl PaxKeys {
    pub fn of<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Self> {
        let mut keys = Self::default();
        let Some(extensions) = entry.pax_extensions()? else { return Ok(keys) };
        for extension in extensions {
            // A broken extension is not the member's fault; what it would have said is unknown.
            let Ok(extension) = extension else { continue };
            let (key, value) = (extension.key_bytes(), extension.value_bytes());
            let Some(key) = key.strip_prefix(b"GNU.sparse.") else { continue };
            keys.sparse = true;
            match key {
                b"name" => keys.name = Some(value.to_vec()),
                b"realsize" | b"size" => keys.real_size = number(value),
                b"major" => keys.major = number(value).unwrap_or_default(),
                b"offset" | b"numbytes" => keys.map.extend(number(value)),
                b"map" => keys.map.extend(value.split(|byte| *byte == b',').filter_map(number)),
                _ => {}
            }
        }
        Ok(keys)
    }

    /// Adds the map of a sparse member, from wherever it stands.
    pub fn apply<R: Read>(self, entry: &mut tar::Entry<'_, R>, member: &mut TarMember) -> io::Result<()> {
        if entry.header().entry_type() == tar::EntryType::GNUSparse {
            return old_gnu(entry, member);
        }
        if !self.sparse {
            return Ok(());
        }
        let (map, taken) = if self.major >= 1 { map_in_data(entry)? } else { (self.map, 0) };
        member.data_offset += taken;
        member.stored_bytes = member.stored_bytes.saturating_sub(taken);
        member.size_bytes = self.real_size.unwrap_or(member.size_bytes);
        member.segments = Some(segments(&map, member)?);
        Ok(())
    }
}

/// GNU's old form: four pairs in the header, more in extension blocks behind it. The tar crate has
/// read those when it hands out the entry; its reader gives the file with its holes, so all that is
/// known for sure is the size. Read as a stream the file is whole.
fn old_gnu<R: Read>(entry: &mut tar::Entry<'_, R>, member: &mut TarMember) -> io::Result<()> {
    let header = entry.header().as_gnu();
    let pairs: Vec<u64> = header
        .into_iter()
        .flat_map(|header| header.sparse.iter())
        .filter(|pair| !pair.is_empty())
        .flat_map(|pair| [pair.offset().unwrap_or(0), pair.length().unwrap_or(0)])
        .collect();
    let extended = header.is_some_and(tar::GnuHeader::is_extended);
    member.stored_bytes = entry.header().entry_size()?;
    // With extension blocks the map is incomplete, and the data is not where the crate says.
    member.segments = if extended { None } else { Some(segments(&pairs, member)?) };
    Ok(())
}

/// PAX form 1.0: a count, then as many pairs, each number on a line; padded to 512 bytes.
fn map_in_data<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<(Vec<u64>, u64)> {
    let mut block = [0; 512];
    let (mut taken, mut map, mut wanted) = (0, Vec::new(), None);
    let mut line = Vec::new();
    while wanted.is_none_or(|wanted| map.len() < wanted) {
        entry.read_exact(&mut block)?;
        taken += block.len() as u64;
        for byte in block {
            // Behind the last number comes padding.
            if wanted.is_some_and(|wanted| map.len() == wanted) {
                break;
            }
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let value = number(&line).ok_or_else(|| bad("its map holds something else than numbers"))?;
            line.clear();
            match wanted {
                None if value as usize > MAX_SEGMENTS => return Err(bad("its map is too long")),
                None => wanted = Some(value as usize * 2),
                Some(_) => map.push(value),
            }
        }
        if line.len() > 32 {
            return Err(bad("its map holds something else than numbers"));
        }
    }
    Ok((map, taken))
}

/// Pairs as segments: in order, inside the file, and no longer than what is stored.
fn segments(map: &[u64], member: &TarMember) -> io::Result<Box<[Segment]>> {
    let (pairs, rest) = map.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > MAX_SEGMENTS {
        return Err(bad("its map is no list of pairs"));
    }
    let (mut end, mut stored) = (0u64, 0u64);
    let mut list = Vec::with_capacity(pairs.len());
    for [offset, bytes] in pairs {
        let after = offset.checked_add(*bytes).ok_or_else(|| bad("its map is out of range"))?;
        if *offset < end || after > member.size_bytes {
            return Err(bad("its map is out of order or reaches behind its end"));
        }
        end = after;
        stored += bytes;
        list.push(Segment { offset: *offset, bytes: *bytes });
    }
    if stored > member.stored_bytes {
        return Err(bad("its map names more bytes than are stored"));
    }
    Ok(list.into_boxed_slice())
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

fn bad(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the member is sparse and {reason}"))
}
