//! Every page of every dump, beside its place in the pages file.

use std::collections::BTreeMap;

use bytes::Bytes;
use ckx_core::memory::{Content, Memory};
use ckx_core::{Checkpoint, Options};
use ckx_criu::Image;
use ckx_criu::typed::messages::{PagemapEntry, PagemapHead};

use crate::bundle::{checkpoint, directories};
use crate::corpus::{archives, corpus, open_bytes};

/// Marks of a page-map entry: FORMAT.md, section 7.
const PARENT: u32 = 1;
const LAZY: u32 = 2;
const PRESENT: u32 = 4;

/// Address, length, and offset in the pages file.
type Run = (u64, u64, u64);

/// Where the pages of a map are: address, length and offset in the pages file, as CRIU itself reads it: one
/// after the other.
fn places(name: &str, map: &[u8], page_size: u64) -> Option<(u32, Vec<Run>)> {
    let image = Image::parse(name.as_bytes(), map).ok()?;
    let mut entries = image.entries();
    let head: PagemapHead = entries.next()?.ok()?.decode().ok()?;
    let mut offset = 0;
    let mut places = Vec::new();
    for entry in entries {
        let entry: PagemapEntry = entry.ok()?.decode().ok()?;
        if entry.blocks.is_some() {
            return None;
        }
        let flags = entry.flags.unwrap_or(if entry.in_parent == Some(true) { PARENT } else { PRESENT });
        let pages = entry.nr_pages.unwrap_or(entry.compat_nr_pages.into());
        if flags & PRESENT != 0 || flags & (PARENT | LAZY) == 0 {
            places.push((entry.vaddr, pages * page_size, offset));
            offset += pages * page_size;
        }
    }
    Some((head.pages_id, places))
}

/// Compares all pages of a checkpoint with the pages files; returns how many bytes there were.
fn compare(name: &str, checkpoint: &Checkpoint, file: &dyn Fn(&str) -> Option<Bytes>) -> u64 {
    let memory = Memory::at_hand(checkpoint);
    let mut compared = 0;
    let mut one = |map: &str, copy: &dyn Fn(u64, u64) -> Vec<u8>| {
        let Some(bytes) = file(map) else { return };
        let Some((pages, places)) = places(map, &bytes, memory.page_size()) else { return };
        let Some(pages) = file(&format!("pages-{pages}.img")) else { return };
        for (vaddr, len, offset) in places {
            let expected = pages.get(offset as usize..(offset + len) as usize);
            // Some dumps are shipped without all of their pages.
            let Some(expected) = expected else { continue };
            assert!(copy(vaddr, len) == expected, "{name} {map} {vaddr:#x}");
            compared += len;
        }
    };
    for process in checkpoint.processes().list.iter().filter(|process| process.mm.is_some()) {
        let space = memory.space(process);
        let copy = |vaddr: u64, len: u64| {
            let mut out = vec![0; len as usize];
            let (done, why) = space.copy(vaddr, &mut out);
            assert_eq!((done as u64, why), (len, None), "{name} {} {vaddr:#x}", process.pid);
            out
        };
        one(&format!("pagemap-{}.img", process.pid), &copy);
    }
    for id in checkpoint_objects(checkpoint) {
        let chain = memory.object(id);
        let copy = |start: u64, len: u64| {
            let mut out = Vec::new();
            for run in chain.runs(start, start + len) {
                match run.content {
                    Content::Bytes(bytes) => out.extend_from_slice(&bytes),
                    other => panic!("{name} object {id} {start:#x}: {other:?}"),
                }
            }
            out
        };
        one(&format!("pagemap-shmem-{id}.img"), &copy);
    }
    compared
}

fn checkpoint_objects(checkpoint: &Checkpoint) -> Vec<u64> {
    let number = |name: &[u8]| {
        let name = std::str::from_utf8(name).ok()?;
        name.strip_prefix("pagemap-shmem-")?.strip_suffix(".img")?.parse().ok()
    };
    checkpoint.image_members().filter_map(|(name, _)| number(name)).collect()
}

#[test]
fn of_archives() {
    let Some(place) = corpus() else { return };
    let mut compared = 0;
    for (name, data) in archives(&place) {
        let checkpoint = open_bytes(&name, data, Options::default());
        let file = |image: &str| checkpoint.archive().read(checkpoint.image_member(image.as_bytes())?).ok();
        compared += compare(&name, &checkpoint, &file);
    }
    assert!(compared > 90 << 20, "only {compared} bytes");
}

#[test]
fn of_image_directories() {
    let Some(place) = corpus() else { return };
    let mut counts = BTreeMap::new();
    for bundle in ["images.tar.zst", "qemu.tar.zst"] {
        let all = directories(&place, bundle, Some(|name| name.ends_with(".img")));
        for (name, files) in all.iter().filter(|(_, files)| files.contains_key("pstree.img")) {
            let checkpoint = checkpoint(name, files, Options::default());
            let compared = compare(name, &checkpoint, &|image| files.get(image).cloned());
            *counts.entry(bundle).or_insert(0) += compared;
        }
    }
    assert!(counts.values().all(|bytes| *bytes > 20 << 20), "{counts:?}");
}
