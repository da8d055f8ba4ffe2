//! What inspecting wants of a source that can be read only once.

use std::collections::HashMap;

use ckx_archive::archive::Window;
use ckx_archive::tarball::TarMember;
use ckx_archive::{Interest, Interests, Kept};
use ckx_criu::Image;
use ckx_criu::pages::{PageMap, PagePlace, page_size_of};
use ckx_criu::typed::messages::MmEntry;

use crate::checkpoint::joined;
use crate::inspect::auxv::text_areas;

/// Keeps images and descriptions, lists inner tars, and of the pages only those that hold arguments and
/// environments. Images come in alphabetical order in all archives that engines write, so a pages
/// file comes behind the maps that tell what is in it.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Members up to this one were looked at.
    seen: usize,
    /// Page maps by directory and number of their pages file.
    maps: HashMap<(Vec<u8>, u64), Vec<u8>>,
}

/// Larger members are kept only if they are images.
const KEEP_BELOW: u64 = 8 << 20;

/// Dumps on the way from pages to what the last one says. Names are as long as an archive wants them.
const MAX_DUMPS: usize = 64;

/// Bytes of arguments, and of environment, that are kept of one process.
pub(crate) const MAX_ARGUMENTS: u64 = 1 << 20;

impl Interests for Wanted {
    fn of(&mut self, member: &TarMember, kept: &Kept<'_>) -> Interest {
        let (directory, name) = split(&member.name);
        if let Some(id) = number_in(name, b"pages-", b".img") {
            self.learn(kept);
            return Interest::Windows(self.windows(directory, id, kept).unwrap_or_default());
        }
        let is_image = name.ends_with(b".img");
        if is_inner_tar(name) {
            Interest::List
        } else if name.starts_with(b"amdgpu-") && member.size_bytes > KEEP_BELOW {
            Interest::Skip
        } else if is_image || member.size_bytes <= KEEP_BELOW {
            Interest::Keep
        } else {
            Interest::Skip
        }
    }
}

impl Wanted {
    /// Notes the page maps among the members that are new.
    fn learn(&mut self, kept: &Kept<'_>) {
        let members = kept.members();
        for member in members.get(self.seen..).unwrap_or_default() {
            let (directory, name) = split(&member.name);
            let id = (name.starts_with(b"pagemap-") && !name.starts_with(b"pagemap-shmem"))
                .then(|| pages_id(name, kept.get(&member.name)?))
                .flatten();
            if let Some(id) = id {
                self.maps.insert((directory.to_vec(), id), name.to_vec());
            }
        }
        self.seen = members.len();
    }

    /// Windows of a pages file that hold what sections tell of the memory of its process.
    fn windows<'d>(&self, directory: &'d [u8], id: u64, kept: &Kept<'_>) -> Option<Vec<Window>> {
        let map_name = self.maps.get(&(directory.to_vec(), id))?;
        let pid = number_in(map_name, b"pagemap-", b".img")?;
        let in_directory = |directory: &[u8], name: &[u8]| kept.get(&joined(directory, name));
        let mm_name = format!("mm-{pid}.img");
        // The pages of an earlier dump are looked at for what the later one says.
        let later = |dump: &&'d [u8]| match split(dump) {
            (outer, b"parent") => Some(outer),
            _ => None,
        };
        let mut dumps = std::iter::successors(Some(directory), later).take(MAX_DUMPS);
        let mm_data = dumps.find_map(|dump| in_directory(dump, mm_name.as_bytes()))?;
        let mm_image = Image::parse(mm_name.as_bytes(), mm_data).ok()?;
        let mm: MmEntry = mm_image.entries().next()?.ok()?.decode().ok()?;
        let map_data = in_directory(directory, map_name)?;
        let page_size = page_size_of(&mm.mm_saved_auxv).unwrap_or(4096);
        let map = PageMap::parse(Image::parse(map_name, map_data).ok()?, page_size).ok()?;
        let mut windows: Vec<Window> = told_areas(&mm)
            .into_iter()
            .flat_map(|(start, end)| (start - start % page_size..end).step_by(page_size as usize))
            .filter_map(|address| match map.find(address) {
                Ok(PagePlace::Present { file_offset }) => {
                    Some(Window { offset: file_offset, len: page_size })
                }
                _ => None,
            })
            .collect();
        windows.sort();
        windows.dedup();
        Some(joined_windows(windows))
    }
}

/// Where arguments, environment and the texts of the auxiliary vector are, each as start and end.
fn told_areas(mm: &MmEntry) -> Vec<(u64, u64)> {
    [(mm.mm_arg_start, mm.mm_arg_end), (mm.mm_env_start, mm.mm_env_end)]
        .into_iter()
        .chain(text_areas(&mm.mm_saved_auxv))
        .filter(|(start, end)| start < end)
        .map(|(start, end)| (start, end.min(start.saturating_add(MAX_ARGUMENTS))))
        .collect()
}

/// Windows that touch become one.
fn joined_windows(windows: Vec<Window>) -> Vec<Window> {
    let mut out: Vec<Window> = Vec::new();
    for window in windows {
        match out.last_mut() {
            Some(last) if last.offset + last.len == window.offset => last.len += window.len,
            _ => out.push(window),
        }
    }
    out
}

fn pages_id(name: &[u8], data: &[u8]) -> Option<u64> {
    let image = Image::parse(name, data).ok()?;
    ckx_criu::pages::PageEntries::new(image).ok()?.pages_id()
}

fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (b"", name),
    }
}

/// The decimal number between a prefix and a suffix.
pub(crate) fn number_in(name: &[u8], prefix: &[u8], suffix: &[u8]) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Members that are tars themselves.
fn is_inner_tar(name: &[u8]) -> bool {
    name.ends_with(b".tar") || (name.starts_with(b"tmpfs-") && name.ends_with(b".tar.gz.img"))
}
