//! Shared objects that no process maps: memory files that are only open, segments that nobody attached.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ckx_criu::typed::messages::{IpcShmEntry, MemfdInodeEntry};

use crate::diff::structure::unique;
use crate::load::Loader;
use crate::{Checkpoint, ImageSet, Name};

/// Numbers of the objects that were not compared yet, by what they are called on both sides.
pub(super) fn unmapped(checkpoint: &Checkpoint, done: &BTreeSet<u64>) -> BTreeMap<String, u64> {
    let names = checkpoint.names();
    let number = |name: &Vec<u8>| crate::interest::number_in(name, b"pagemap-shmem-", b".img");
    let left: BTreeSet<u64> = names.iter().filter_map(number).filter(|id| !done.contains(id)).collect();
    if left.is_empty() {
        return BTreeMap::new();
    }
    // What is wrong with these images is told by their own comparisons.
    let mut loader = Loader::new(checkpoint);
    let mut called: BTreeMap<u64, String> = BTreeMap::new();
    if let Ok(files) = loader.records_if_any::<MemfdInodeEntry>("memfd.img") {
        let names =
            files.entries.iter().map(|file| (file.shmid.into(), format!("memfd {}", Name::from(&file.name))));
        called.extend(names);
    }
    for image in names.iter().filter(|name| name.starts_with(b"ipcns-shm-")) {
        if let Ok(segments) = loader.records_if_any::<IpcShmEntry>(&Name::from(image).to_string()) {
            let names = segments
                .entries
                .iter()
                .map(|segment| (segment.desc.id.into(), format!("shm {:#x}", segment.desc.key)));
            called.extend(names);
        }
    }
    let mut found = BTreeMap::new();
    let mut counts = HashMap::new();
    for id in left {
        let name = called.remove(&id).unwrap_or_else(|| format!("object {id}"));
        found.insert(unique(&mut counts, name), id);
    }
    found
}
