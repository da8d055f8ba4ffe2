//! Private pages: through the page map of the process, and those of its previous dumps.

use std::cell::OnceCell;
use std::fmt;

use bytes::Bytes;
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
    let levels = levels(checkpoint, process.pid);
    // A map is read once for all pages, and only if a page leads to it.
    let maps: Vec<OnceCell<Result<PageMap<'_>, Absence>>> = levels.iter().map(|_| OnceCell::new()).collect();
    let map = |at: usize| {
        let (Some(level), Some(map)) = (levels.get(at), maps.get(at)) else {
            let is_circle = at >= MAX_PARENTS;
            let circle = || Absence::Unreadable("the previous dumps form a circle".to_owned());
            return Err(if is_circle { circle() } else { Absence::ParentMissing });
        };
        let map = map.get_or_init(|| level.map(page_size)).as_ref().map_err(Clone::clone)?;
        Ok((level, map))
    };
    let mut address = start;
    while address < end {
        let page = address - address % page_size;
        let bytes = match page_bytes(&map, process.pid, page, page_size) {
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

/// The dump, or one before it, with the page map that it has of the process.
struct Level<'c> {
    checkpoint: &'c Checkpoint,
    directory: Vec<u8>,
    name: String,
    data: Result<Bytes, Absence>,
}

/// The dump and those before it, the newest first.
fn levels(checkpoint: &Checkpoint, pid: u32) -> Vec<Level<'_>> {
    let mut found: Vec<Level<'_>> = Vec::new();
    let mut next = Some((checkpoint, checkpoint.images_directory().to_vec()));
    while let Some((checkpoint, directory)) = next.filter(|_| found.len() < MAX_PARENTS) {
        next = previous(checkpoint, &directory);
        let name = format!("pagemap-{pid}.img");
        let data = match checkpoint.archive().get(&joined(&directory, name.as_bytes())) {
            Some(member) => {
                checkpoint.archive().read_partial(member).map(|(data, _)| data).map_err(unreadable)
            }
            None if directory == checkpoint.images_directory() => {
                Err(unreadable(format!("{name} is missing")))
            }
            None => Err(Absence::ParentMissing),
        };
        found.push(Level { checkpoint, directory, name, data });
    }
    found
}

impl Level<'_> {
    fn map(&self, page_size: u64) -> Result<PageMap<'_>, Absence> {
        let data = self.data.as_ref().map_err(Clone::clone)?;
        let image = Image::parse(self.name.as_bytes(), data).map_err(unreadable)?;
        PageMap::parse(image, page_size).map_err(unreadable)
    }
}

fn unreadable(reason: impl fmt::Display) -> Absence {
    Absence::Unreadable(reason.to_string())
}

/// One page, from the dump or one before it.
fn page_bytes<'l>(
    map: &impl Fn(usize) -> Result<(&'l Level<'l>, &'l PageMap<'l>), Absence>,
    pid: u32,
    page: u64,
    page_size: u64,
) -> Result<Vec<u8>, Absence> {
    for at in 0.. {
        let (level, map) = map(at)?;
        match map.find(page).map_err(unreadable)? {
            PagePlace::Present { file_offset } => {
                let id = map.pages_id().unwrap_or(u64::from(pid));
                let window = Window { offset: file_offset, len: page_size };
                return stored(level.checkpoint, &level.directory, id, window);
            }
            PagePlace::Zero => return Ok(vec![0; page_size as usize]),
            PagePlace::Parent => {}
            PagePlace::Lazy => return Err(Absence::Lazy),
            PagePlace::Absent => return Err(Absence::NotDumped),
            PagePlace::Block { .. } => return Err(unreadable("the page is compressed")),
        }
    }
    // The levels end, and what lies behind the last of them is an absence.
    Err(Absence::ParentMissing)
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
