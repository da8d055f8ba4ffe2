//! Memories that no program had: rewritten page maps are read as CRIU reads them, one entry after the other and
//! through `parent`, and give every page that went in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ckx_criu::Image;
use ckx_criu::typed::messages::{PagemapEntry, PagemapHead};
use ckx_oci::MemoryOptions;
use ckx_oci::repack::{Input, Options, Report, repack};

use ckx_testkit::{Arch, ImageBuilder, Msg, PagemapStyle, SynthCheckpoint};
use lz4_flex::block::compress;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::open;

/// Marks of a page-map entry: FORMAT.md, section 7.
const PARENT: u32 = 1;
const LAZY: u32 = 2;
const PRESENT: u32 = 4;

/// Where the mappings are: private anonymous memory, and that of a file.
const START: u64 = 0x7000_0000_0000;
const ANONYMOUS: usize = 24;
const PAGES: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    None,
    Lazy,
    /// Filled with this byte.
    Filled(u8),
}

/// A machine and how its page maps are written.
#[derive(Debug, Clone, Copy)]
struct Form {
    arch: Arch,
    page_size: u64,
    style: PagemapStyle,
}

fn form() -> impl Strategy<Value = Form> {
    let machine = prop_oneof![
        Just((Arch::X86_64, 4096)),
        Just((Arch::S390, 4096)),
        Just((Arch::Aarch64, 16384)),
        Just((Arch::Ppc64, 65536)),
    ];
    let style = prop_oneof![Just(PagemapStyle::Bare), Just(PagemapStyle::Flags), Just(PagemapStyle::Wide)];
    (machine, style).prop_map(|((arch, page_size), style)| Form { arch, page_size, style })
}

fn pages() -> impl Strategy<Value = Vec<Page>> {
    let page = prop_oneof![
        2 => Just(Page::None),
        1 => Just(Page::Lazy),
        8 => (0u8..3).prop_map(Page::Filled),
    ];
    vec(page, PAGES).prop_map(|mut pages| {
        // A dump that has no page in common with the one before is refused.
        pages[ANONYMOUS] = Page::Filled(7);
        pages
    })
}

/// A memory as maps of this form can say it.
fn sayable(form: Form, mut pages: Vec<Page>) -> Vec<Page> {
    if form.style == PagemapStyle::Bare {
        pages.iter_mut().filter(|page| **page == Page::Lazy).for_each(|page| *page = Page::None);
    }
    pages
}

fn dump(form: Form, pages: &[Page], place: &Path) -> PathBuf {
    let at = |page: usize| START + page as u64 * form.page_size;
    let checkpoint =
        SynthCheckpoint::new().arch(form.arch).page_size(form.page_size).pagemap_style(form.style);
    let checkpoint = checkpoint.process(1, 0, |process| {
        let anonymous = 0x2 | form.arch.map_anonymous();
        let process = process.vma(at(0), at(ANONYMOUS), 3, anonymous, 0x201).file_vma(
            at(ANONYMOUS),
            at(PAGES),
            3,
            "/usr/lib/data",
            0,
        );
        pages.iter().enumerate().fold(process, |process, (number, page)| match page {
            Page::None => process,
            Page::Lazy => process.lazy(at(number), 1),
            Page::Filled(byte) => process.pages(at(number), &vec![*byte; form.page_size as usize]),
        })
    });
    checkpoint.build().write_to(place).unwrap();
    place.to_owned()
}

/// Stores the pages of a dump as newer releases of CRIU do: in compressed blocks of two pages.
fn pack(form: Form, pages: &[Page], is_padded: bool, place: &Path) {
    let size = form.page_size as usize;
    let mut map = ImageBuilder::of("PAGEMAP").order(form.arch.order()).record(Msg::new().uint(1, 1));
    let mut stored = Vec::new();
    let is_filled = |page: &Page| matches!(page, Page::Filled(_));
    let mut at = 0;
    for run in pages.chunk_by(|a, b| is_filled(a) == is_filled(b)) {
        let vaddr = START + at * form.page_size;
        at += run.len() as u64;
        if !is_filled(&run[0]) {
            continue;
        }
        let mut sizes = Vec::new();
        let before = stored.len();
        for block in run.chunks(2) {
            let filled =
                |page: &Page| if let Page::Filled(byte) = page { vec![*byte; size] } else { Vec::new() };
            let plain: Vec<u8> = block.iter().flat_map(filled).collect();
            let packed = if plain.iter().all(|byte| *byte == 0) { Vec::new() } else { compress(&plain) };
            sizes.push(packed.len() as u64);
            stored.extend(packed);
            if is_padded {
                stored.resize(stored.len().next_multiple_of(size), 0);
            }
        }
        let total = (stored.len() - before) as u64;
        let blocks = Msg::new().packed(1, sizes).seq(2, [total, 2]).bool(4, is_padded);
        let entry = Msg::new().seq(1, [vaddr, 0]).uint(4, PRESENT.into()).uint(5, run.len() as u64);
        map = map.record(entry.msg(6, blocks));
    }
    fs::write(place.join("pagemap-1.img"), map.build()).unwrap();
    fs::write(place.join("pages-1.img"), stored).unwrap();
}

/// The memory of a directory of images, and how many pages its own pages file has.
fn read(directory: &Path, page_size: u64) -> (BTreeMap<u64, Page>, usize) {
    let map = fs::read(directory.join("pagemap-1.img")).unwrap();
    let image = Image::parse(b"pagemap-1.img", &map).unwrap();
    let mut entries = image.entries();
    let head: PagemapHead = entries.next().unwrap().unwrap().decode().unwrap();
    let stored = fs::read(directory.join(format!("pages-{}.img", head.pages_id))).unwrap();
    let mut next = stored.chunks_exact(page_size as usize);
    let count = next.len();
    let mut parent = None;
    let mut memory = BTreeMap::new();
    for entry in entries {
        let entry: PagemapEntry = entry.unwrap().decode().unwrap();
        let flags = entry.flags.unwrap_or(if entry.in_parent == Some(true) { PARENT } else { PRESENT });
        let pages = entry.nr_pages.unwrap_or(entry.compat_nr_pages.into());
        assert!(pages > 0);
        for at in (0..pages).map(|page| entry.vaddr + page * page_size) {
            let page = if flags & PARENT != 0 {
                let parent = parent.get_or_insert_with(|| read(&directory.join("parent"), page_size).0);
                parent[&at]
            } else if flags & PRESENT != 0 {
                let bytes = next.next().expect("a page for each that is said to be stored");
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "{at:#x} is made of two");
                Page::Filled(bytes[0])
            } else {
                assert_eq!(flags, LAZY);
                Page::Lazy
            };
            let address = memory.last_key_value().map_or(0, |(address, _)| *address);
            assert!(address < at, "entries rise");
            memory.insert(at, page);
        }
    }
    assert_eq!(next.next(), None, "no page is stored that nobody asks for");
    (memory, count)
}

fn write(base: Option<&Path>, source: &Path, target: &Path, memory: MemoryOptions) -> Report {
    let (checkpoint, base) = (open(source), base.map(open));
    let input = Input { checkpoint: &checkpoint, base: base.as_ref() };
    let options = Options { memory, ..Options::default() };
    repack(input, &format!("dir:{}", target.display()).parse().unwrap(), &options).unwrap()
}

fn expected(pages: &[Page], page_size: u64) -> BTreeMap<u64, Page> {
    let numbered = pages.iter().enumerate().map(|(at, page)| (START + at as u64 * page_size, *page));
    numbered.filter(|(_, page)| *page != Page::None).collect()
}

const DELTA: MemoryOptions =
    MemoryOptions { flatten: false, drop_zero_pages: false, max_depth: 4, max_share_percent: 100 };

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn deltas_hold_what_was_there(form in form(), dumps in [pages(), pages(), pages()]) {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let size = form.page_size;
        let dumps = dumps.map(|pages| sayable(form, pages));
        let [a, b, c] = ["a", "b", "c"].map(at);
        for (pages, place) in dumps.iter().zip([&a, &b, &c]) {
            dump(form, pages, place);
        }
        // One upon the other: c on (b on a).
        let changed = |before: &[Page], after: &[Page]| {
            let filled = after.iter().zip(before).filter(|(after, _)| matches!(after, Page::Filled(_)));
            filled.filter(|(after, before)| after != before).count()
        };
        for (base, source, name, before, after) in
            [(&a, &b, "ab", &dumps[0], &dumps[1]), (&at("ab"), &c, "abc", &dumps[1], &dumps[2])]
        {
            let report = write(Some(base), source, &at(name), DELTA);
            let (memory, stored) = read(&at(name), size);
            prop_assert_eq!(&memory, &expected(after, size));
            prop_assert_eq!(stored, changed(before, after));
            prop_assert_eq!(report.delta.unwrap().changed_pages, stored as u64);
            for file in ["pagemap-1.img", "pages-1.img"] {
                let kept = fs::read(at(name).join("parent").join(file)).unwrap();
                prop_assert_eq!(kept, fs::read(base.join(file)).unwrap(), "the base stays as it was");
            }
            let flat = at(&format!("{name}-flat"));
            write(None, &at(name), &flat, MemoryOptions { flatten: true, ..DELTA });
            prop_assert_eq!(read(&flat, size).0, memory);
            prop_assert!(!flat.join("parent").exists());
        }
    }

    #[test]
    fn compressed_pages_become_plain(form in form(), is_padded: bool, dumps in [pages(), pages()]) {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let form = Form { style: PagemapStyle::Wide, ..form };
        let dumps = dumps.map(|mut pages| {
            pages.iter_mut().filter(|page| **page == Page::Lazy).for_each(|page| *page = Page::None);
            pages
        });
        for (pages, name) in dumps.iter().zip(["a", "b"]) {
            dump(form, pages, &at(name));
        }
        pack(form, &dumps[1], is_padded, &at("b"));
        let wanted = expected(&dumps[1], form.page_size);
        write(Some(&at("a")), &at("b"), &at("ab"), DELTA);
        prop_assert_eq!(read(&at("ab"), form.page_size).0, wanted.clone());
        write(None, &at("b"), &at("flat"), MemoryOptions { flatten: true, ..DELTA });
        prop_assert_eq!(read(&at("flat"), form.page_size).0, wanted);
        // The other way round CRIU could not restore it.
        let (checkpoint, base) = (open(&at("a")), open(&at("b")));
        let target = format!("dir:{}", at("ba").display()).parse().unwrap();
        let error = repack(Input { checkpoint: &checkpoint, base: Some(&base) }, &target, &Options::default());
        let error = error.unwrap_err().to_string();
        prop_assert!(error.contains("`pagemap-1.img` has compressed pages"), "{}", error);
        prop_assert!(!at("ba").exists());
    }

    #[test]
    fn only_zeros_that_come_back_are_left_out(form in form(), pages in pages()) {
        let place = tempfile::tempdir().unwrap();
        let pages = sayable(form, pages);
        let (source, target) = (dump(form, &pages, &place.path().join("a")), place.path().join("b"));
        write(None, &source, &target, MemoryOptions { drop_zero_pages: true, ..DELTA });
        let mut kept = pages;
        kept.iter_mut().take(ANONYMOUS).filter(|page| **page == Page::Filled(0)).for_each(|page| *page = Page::None);
        prop_assert_eq!(read(&target, form.page_size).0, expected(&kept, form.page_size));
    }
}
