//! Private pages: through the page map of the process, and those of its previous dumps.

use std::fmt;

use ckx_archive::archive::{Piece, Window};
use ckx_archive::tarball::EntryKind;
use ckx_criu::Image;
use ckx_criu::pages::{PageMap, PagePlace, page_size_of};

use crate::Checkpoint;
use crate::checkpoint::joined;
use crate::model::Process;

/// Why memory cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// The page was never touched, or is a page of a file as it is in the file.
    NotDumped,
    /// It is in a previous dump that the source does not hold.
    ParentMissing,
    /// It was left on the dumping host.
    Lazy,
    /// An image that tells where it is, or that holds it, cannot be read.
    Unreadable(String),
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDumped => "the page is not in the dump",
            Self::ParentMissing => "the page is in a previous dump that is not in the source",
            Self::Lazy => "the page was left on the dumping host",
            Self::Unreadable(reason) => reason,
        })
    }
}

/// Previous dumps that are followed; chains of engines have one, of live migration a handful.
const MAX_PARENTS: usize = 64;

/// Reads the bytes from `start` to `end` of a process's private memory.
///
/// # Errors
/// The first absence; what comes before it is in the first half.
pub fn read(checkpoint: &Checkpoint, process: &Process, start: u64, end: u64) -> (Vec<u8>, Option<Absence>) {
    let mut out = Vec::new();
    let page_size = process.mm.as_ref().and_then(|mm| page_size_of(&mm.mm_saved_auxv)).unwrap_or(4096);
    let mut address = start;
    while address < end {
        let page = address - address % page_size;
        let bytes = match page_bytes(checkpoint, process.pid, page, page_size) {
            Ok(bytes) => bytes,
            Err(absence) => return (out, Some(absence)),
        };
        let from = ((address - page) as usize).min(bytes.len());
        let to = (end.saturating_sub(page).min(page_size) as usize).min(bytes.len());
        let Some(part) = bytes.get(from..to).filter(|part| !part.is_empty()) else {
            return (out, Some(Absence::Unreadable("the pages file ends before the page".to_owned())));
        };
        out.extend_from_slice(part);
        address = page.saturating_add(page_size);
    }
    (out, None)
}

/// One page, from the dump or one before it.
fn page_bytes(checkpoint: &Checkpoint, pid: u32, page: u64, page_size: u64) -> Result<Vec<u8>, Absence> {
    let mut checkpoint = checkpoint;
    let mut directory = checkpoint.images_directory().to_vec();
    for _ in 0..MAX_PARENTS {
        match place(checkpoint, &directory, pid, page, page_size)? {
            (PagePlace::Present { file_offset }, id) => {
                let window = Window { offset: file_offset, len: page_size };
                return stored(checkpoint, &directory, id, window);
            }
            (PagePlace::Zero, _) => return Ok(vec![0; page_size as usize]),
            (PagePlace::Parent, _) => {
                (checkpoint, directory) = previous(checkpoint, &directory).ok_or(Absence::ParentMissing)?;
            }
            (PagePlace::Lazy, _) => return Err(Absence::Lazy),
            (PagePlace::Absent, _) => return Err(Absence::NotDumped),
            (PagePlace::Block { .. }, _) => {
                return Err(Absence::Unreadable("the page is compressed".to_owned()));
            }
        }
    }
    Err(Absence::Unreadable("the previous dumps form a circle".to_owned()))
}

fn place(
    checkpoint: &Checkpoint,
    directory: &[u8],
    pid: u32,
    page: u64,
    page_size: u64,
) -> Result<(PagePlace, u64), Absence> {
    let unreadable = |reason: String| Absence::Unreadable(reason);
    let name = format!("pagemap-{pid}.img");
    let member = checkpoint.archive().get(&joined(directory, name.as_bytes()));
    let member = member.ok_or_else(|| match directory == checkpoint.images_directory() {
        true => unreadable(format!("{name} is missing")),
        false => Absence::ParentMissing,
    })?;
    let (data, _) =
        checkpoint.archive().read_partial(member).map_err(|error| unreadable(error.to_string()))?;
    let image = Image::parse(name.as_bytes(), &data).map_err(|error| unreadable(error.to_string()))?;
    let map = PageMap::parse(image, page_size).map_err(|error| unreadable(error.to_string()))?;
    let place = map.find(page).map_err(|error| unreadable(error.to_string()))?;
    Ok((place, map.pages_id().unwrap_or(u64::from(pid))))
}

fn stored(checkpoint: &Checkpoint, directory: &[u8], id: u64, window: Window) -> Result<Vec<u8>, Absence> {
    let name = format!("pages-{id}.img");
    let member = checkpoint.archive().get(&joined(directory, name.as_bytes()));
    let member = member.ok_or_else(|| Absence::Unreadable(format!("{name} is missing")))?;
    match checkpoint.archive().read_at(member, window) {
        Ok(Piece::Bytes(bytes)) => Ok(bytes.to_vec()),
        Ok(Piece::Absent(absent)) => Err(Absence::Unreadable(absent.reason().to_owned())),
        Err(error) => Err(Absence::Unreadable(error.to_string())),
    }
}

/// The previous dump: in the source, or what was given for it.
pub(crate) fn previous<'c>(
    checkpoint: &'c Checkpoint,
    directory: &[u8],
) -> Option<(&'c Checkpoint, Vec<u8>)> {
    let is_there = |directory: &Vec<u8>| {
        let inventory = joined(directory, b"inventory.img");
        [directory, &inventory].iter().any(|name| checkpoint.archive().get(name).is_some())
    };
    match parent_directory(checkpoint, directory).filter(is_there) {
        Some(directory) => Some((checkpoint, directory)),
        None => checkpoint.previous().map(|previous| (previous, previous.images_directory().to_vec())),
    }
}

/// Directory of the previous dump: what `parent` beside the images names, if that is in the source.
fn parent_directory(checkpoint: &Checkpoint, directory: &[u8]) -> Option<Vec<u8>> {
    let link = checkpoint.archive().get(&joined(directory, b"parent"))?;
    if link.kind == EntryKind::Directory {
        return Some(link.name.to_vec());
    }
    let mut parts: Vec<&[u8]> =
        directory.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    for part in link.link.as_deref()?.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}
