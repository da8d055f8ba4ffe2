//! Texts that lie across the borders of pages which are stored apart.

use std::path::Path;
use std::sync::Arc;

use ckx_archive::tarball::Step;
use ckx_core::Options;
use ckx_core::memory::search::{Around, Query, Searcher, Syntax};
use ckx_core::memory::{Area, open_and_sweep};
use ckx_testkit::{Checkpoint as Images, ImageBuilder, Msg, Process, SynthCheckpoint};

const BASE: u64 = 0x7f00_0000_0000;
const PAGE: usize = 4096;
const TEXT: &[u8] = b"a secret across a border";

/// The pages before and behind a border, and the text across it.
fn pages() -> [Vec<u8>; 2] {
    let mut both = vec![b'.'; 2 * PAGE];
    let start = PAGE - 10;
    both[start..start + TEXT.len()].copy_from_slice(TEXT);
    [both[..PAGE].to_vec(), both[PAGE..].to_vec()]
}

fn mapped(process: Process) -> Process {
    process.comm("p").vma(BASE, BASE + 16 * PAGE as u64, 3, 0x22, 0x201)
}

/// The images of a dump, and of the one before it, as a tar.
fn tar(images: &Images, parent: Option<&Images>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, name, bytes).expect("room");
    };
    let mut files: Vec<_> = images.files.iter().collect();
    files.sort();
    for (name, bytes) in files {
        add(&format!("checkpoint/{name}"), bytes);
    }
    for (name, bytes) in parent.iter().flat_map(|parent| &parent.files) {
        add(&format!("checkpoint/parent/{name}"), bytes);
    }
    if parent.is_some() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        tar.append_data(&mut header, "checkpoint/parent", &[][..]).expect("room");
    }
    tar.into_inner().expect("room")
}

/// Addresses of the text by process, from a mapped and from a compressed source.
fn found(images: &Images, parent: Option<&Images>) -> Vec<Vec<(u32, u64)>> {
    let tar = tar(images, parent);
    let place = tempfile::tempdir().expect("a directory");
    let plain = place.path().join("plain.tar");
    std::fs::write(&plain, &tar).expect("room");
    let packed = place.path().join("packed.tar.zst");
    std::fs::write(&packed, zstd::encode_all(&tar[..], 1).expect("zstd")).expect("room");
    let from_plain = search(&plain);
    assert_eq!(search(&packed), from_plain, "the compressed source");
    from_plain
}

fn search(path: &Path) -> Vec<Vec<(u32, u64)>> {
    let mut all = Vec::new();
    for (text, syntax) in
        [("a secret across a border", Syntax::Fixed), ("a [a-z]+ acr.{0,4} a b[a-z]*", Syntax::Regex)]
    {
        let mut found = Vec::new();
        let pattern =
            Query { patterns: vec![text.to_owned()], syntax, ..Query::default() }.compile().unwrap();
        let around = Around { bytes: true, before: 2, after: 2 };
        let mut searcher = Searcher::new(&pattern, around, |area: &Arc<Area>, hit| {
            assert_eq!((&*hit.before, &*hit.bytes, &*hit.after), (&b".."[..], TEXT, &b".."[..]));
            found.push(area.places(hit.address).iter().map(|place| (place.pid, place.address.0)).collect());
            Step::Next
        });
        let swept = open_and_sweep(path, Options::default(), None, &mut searcher).expect("it opens");
        assert_eq!(super::lines(&swept.issues), [] as [&str; 0]);
        all.push(found);
    }
    let regex = all.pop().expect("two");
    assert_eq!(regex, all[0]);
    regex
}

const AT: u64 = BASE + PAGE as u64 - 10;

#[test]
fn two_runs() {
    let [first, second] = pages();
    let images = SynthCheckpoint::new()
        .process(1, 0, |process| mapped(process).pages(BASE, &first).pages(BASE + PAGE as u64, &second))
        .build();
    assert_eq!(found(&images, None), [[(1, AT)]]);
    // Pages that are no neighbours, stored one behind the other: there is no text across them.
    let images = SynthCheckpoint::new()
        .process(1, 0, |process| mapped(process).pages(BASE, &first).pages(BASE + 2 * PAGE as u64, &second))
        .build();
    assert_eq!(found(&images, None), [] as [Vec<(u32, u64)>; 0]);
}

#[test]
fn two_mappings() {
    let [first, second] = pages();
    let border = BASE + PAGE as u64;
    let images = SynthCheckpoint::new().process(1, 0, |process| {
        let process =
            process.comm("p").vma(BASE, border, 3, 0x22, 0x201).vma(border, border + 0x1000, 1, 0x22, 0x201);
        process.pages(BASE, &first).pages(border, &second)
    });
    assert_eq!(found(&images.build(), None), [[(1, AT)]]);
}

#[test]
fn two_pages_files_and_an_earlier_dump() {
    let [first, second] = pages();
    let border = BASE + PAGE as u64;
    let parent = SynthCheckpoint::new()
        .pre_dump()
        .process(1, 0, |process| mapped(process).pages(BASE, &first).pages(border, &second))
        .build();
    let child = |build: &dyn Fn(Process) -> Process| {
        SynthCheckpoint::new().process(1, 0, |process| build(mapped(process))).build()
    };
    // The first page in one file, the second in the other; both in the earlier dump.
    let mixed = child(&|process| process.in_parent(BASE, 1).pages(border, &second));
    assert_eq!(found(&mixed, Some(&parent)), [[(1, AT)]]);
    let other = child(&|process| process.pages(BASE, &first).in_parent(border, 1));
    assert_eq!(found(&other, Some(&parent)), [[(1, AT)]]);
    let whole = child(&|process| process.in_parent(BASE, 2));
    assert_eq!(found(&whole, Some(&parent)), [[(1, AT)]]);
    // What was there before and is not now is not found.
    let changed = child(&|process| process.in_parent(BASE, 1).pages(border, &vec![b'.'; PAGE]));
    assert_eq!(found(&changed, Some(&parent)), [] as [Vec<(u32, u64)>; 0]);
}

/// A page map whose first run is one block of LZ4, and whose second is stored as it is.
fn compressed(block_pages: u64, block: &[u8]) -> Vec<u8> {
    let blocks = Msg::new().packed(1, [block.len() as u64]).seq(2, [block.len() as u64, block_pages]);
    let run =
        |page: u64, pages: u64| Msg::new().seq(1, [BASE + page * PAGE as u64, 0]).uint(4, 4).uint(5, pages);
    let mut image =
        ImageBuilder::of("PAGEMAP").record(Msg::new().uint(1, 1)).record(run(0, block_pages).msg(6, blocks));
    if block_pages == 1 {
        image = image.record(run(1, 1));
    }
    image.build()
}

#[test]
fn compressed_blocks() {
    let [first, second] = pages();
    for pages in [1, 2] {
        let plain = if pages == 1 { first.clone() } else { [first.clone(), second.clone()].concat() };
        let block = lz4_flex::block::compress(&plain);
        let stored = if pages == 1 { [block.clone(), second.clone()].concat() } else { block.clone() };
        let images = SynthCheckpoint::new()
            .process(1, 0, |process| mapped(process).pages(BASE, &first).pages(BASE + PAGE as u64, &second))
            .file("pagemap-1.img", compressed(pages, &block))
            .file("pages-1.img", stored)
            .build();
        assert_eq!(found(&images, None), [[(1, AT)]], "{pages}");
    }
}

#[test]
fn shared_memory_once_with_all_that_map_it() {
    let content = pages().concat();
    let images = SynthCheckpoint::new()
        .process(1, 0, |process| process.comm("a").shared_vma(BASE, BASE + 0x2000, 77, &content))
        .process(2, 1, |process| process.comm("b").shared_vma(2 * BASE, 2 * BASE + 0x2000, 77, &content))
        .build();
    assert_eq!(found(&images, None), [[(1, AT), (2, AT + BASE)]]);
}
