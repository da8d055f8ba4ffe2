//! What the descriptors of layers say: what is in them, whose memory, how many pages.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ckx_archive::archive::LAYER_KIND;
use ckx_criu::Image;
use ckx_criu::pages::PE_PRESENT;
use ckx_criu::pages::PageEntries;

use crate::image::Annotations;
use crate::layer::{Kind, Split};
use crate::plan::{Content, Plan};

/// Keys on the descriptors of layers.
const PIDS: &str = "io.ckx.layer.pids";
const PAGES: &str = "io.ckx.layer.memory.pages";
const BYTES: &str = "io.ckx.layer.memory.bytes";

/// Processes that an annotation lists before it stops.
const MAX_PIDS: usize = 256;

/// Annotations of all layers of a plan.
pub fn layers(plan: &Plan, split: Split) -> BTreeMap<Kind, Annotations> {
    let mut found: BTreeMap<Kind, Memory> = BTreeMap::new();
    let owners = owners(plan);
    for (name, entry) in plan.entries() {
        let memory = found.entry(split.kind_of(name, entry)).or_default();
        if let Some(owner) = owners.get(name) {
            memory.bytes += entry.size();
            memory.pages += owner.pages;
            memory.pids.extend(&owner.pids);
        }
    }
    found.into_iter().map(|(kind, memory)| (kind, memory.annotations(kind))).collect()
}

#[derive(Default)]
struct Memory {
    bytes: u64,
    pages: u64,
    pids: BTreeSet<u64>,
}

impl Memory {
    fn annotations(&self, kind: Kind) -> Annotations {
        let mut out = Annotations::from([(LAYER_KIND.to_owned(), kind.name().to_owned())]);
        if self.bytes > 0 {
            out.insert(BYTES.to_owned(), self.bytes.to_string());
            out.insert(PAGES.to_owned(), self.pages.to_string());
        }
        if !self.pids.is_empty() && self.pids.len() <= MAX_PIDS {
            let pids: Vec<String> = self.pids.iter().map(u64::to_string).collect();
            out.insert(PIDS.to_owned(), pids.join(","));
        }
        out
    }
}

/// Whose pages a pages file holds.
#[derive(Default)]
struct Owner {
    pids: BTreeSet<u64>,
    pages: u64,
}

/// Owners of the pages files, by name of the file.
fn owners(plan: &Plan) -> BTreeMap<Vec<u8>, Owner> {
    let mut found: BTreeMap<Vec<u8>, Owner> = BTreeMap::new();
    for (name, entry) in plan.entries() {
        let (directory, file) = split_name(name);
        let Some(rest) = file.strip_prefix(b"pagemap-").and_then(|rest| rest.strip_suffix(b".img")) else {
            continue;
        };
        let Content::Bytes(bytes) = &entry.content else { continue };
        let Some((id, pages)) = present(file, bytes) else { continue };
        let pages_name = crate::plan::joined(directory, format!("pages-{id}.img").as_bytes());
        let owner = found.entry(pages_name).or_default();
        owner.pages += pages;
        // Maps of shared memory have a word before their number.
        owner.pids.extend(std::str::from_utf8(rest).ok().and_then(|digits| digits.parse::<u64>().ok()));
    }
    found
}

/// Number of the pages file of a map, and its pages.
fn present(name: &[u8], data: &Bytes) -> Option<(u64, u64)> {
    let entries = PageEntries::new(Image::parse(name, data).ok()?).ok()?;
    let id = entries.pages_id()?;
    let pages = entries.flatten().filter(|entry| entry.flags & PE_PRESENT != 0).map(|entry| entry.pages);
    Some((id, pages.fold(0, u64::saturating_add)))
}

pub(crate) fn split_name(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (b"", name),
    }
}
