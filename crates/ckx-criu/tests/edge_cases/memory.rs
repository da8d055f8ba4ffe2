//! Memory images. What needs more than one image (a pages file that is missing, a parent, a pid that
//! was used again) is answered by the address space; here is the part of the page map.

use ckx_criu::error::WireReason;
use ckx_criu::pages::{
    BlockEncoding, PE_LAZY, PE_PARENT, PE_PRESENT, PageEntries, PageMap, PagePlace, page_size_from_file,
    page_size_of,
};
use ckx_criu::{Error, ErrorKind};
use ckx_testkit::{ImageBuilder, Msg};

use crate::{json, parse};

const PAGE: u64 = 4096;

fn image(entries: impl IntoIterator<Item = Msg>) -> Vec<u8> {
    ImageBuilder::of("PAGEMAP").record(Msg::new().uint(1, 7)).records(entries).build()
}

fn map(data: &[u8]) -> Result<PageMap<'_>, Error> {
    PageMap::parse(parse("pagemap-1.img", data), PAGE)
}

/// An entry as CRIU 4.2 writes it.
fn wide(vaddr: u64, pages: u64, flags: u32) -> Msg {
    Msg::new().uint(1, vaddr).uint(2, 0).uint(4, flags.into()).uint(5, pages)
}

/// An entry with flags and the 32-bit count.
fn narrow(vaddr: u64, pages: u64, flags: u32) -> Msg {
    Msg::new().uint(1, vaddr).uint(2, pages).uint(4, flags.into())
}

#[test]
fn every_generation_of_counts_and_flags_means_the_same() {
    let generations = [
        image([
            Msg::new().uint(1, 0x1000).uint(2, 2),
            Msg::new().uint(1, 0x5000).uint(2, 1).bool(3, true),
            Msg::new().uint(1, 0x8000).uint(2, 3).bool(3, false),
        ]),
        image([narrow(0x1000, 2, PE_PRESENT), narrow(0x5000, 1, PE_PARENT), narrow(0x8000, 3, PE_PRESENT)]),
        image([
            wide(0x1000, 2, PE_PRESENT),
            wide(0x5000, 1, PE_PARENT),
            wide(0x8000, 3, PE_PRESENT | PE_LAZY),
        ]),
        // The old mark of the parent wins over the flags that an absent field stands for.
        image([wide(0x1000, 2, PE_PRESENT), wide(0x5000, 1, 0).bool(3, true), wide(0x8000, 3, PE_PRESENT)]),
    ];
    for data in &generations {
        let map = map(data).unwrap();
        assert_eq!(map.pages_id(), Some(7));
        let totals = map.totals();
        assert_eq!((totals.present_pages, totals.parent_pages, totals.file_bytes), (5, 1, 5 * PAGE));
        let present = |file_offset| Ok(PagePlace::Present { file_offset });
        assert_eq!(map.find(0x0fff), Ok(PagePlace::Absent));
        assert_eq!(map.find(0x2fff), present(PAGE));
        assert_eq!(map.find(0x3000), Ok(PagePlace::Absent));
        assert_eq!(map.find(0x5abc), Ok(PagePlace::Parent));
        assert_eq!(map.find(0x8000), present(2 * PAGE), "the parent's page takes no room");
        assert_eq!(map.find(0xa000), present(4 * PAGE));
        assert_eq!(map.find(u64::MAX), Ok(PagePlace::Absent));
        json(parse("pagemap-1.img", data));
    }
}

#[test]
fn entries_of_no_pages_hold_nothing() {
    let data = image([wide(0x1000, 0, PE_PRESENT), wide(0x1000, 1, PE_PRESENT), wide(0x2000, 0, PE_PARENT)]);
    let map = map(&data).unwrap();
    assert_eq!(map.find(0x1000), Ok(PagePlace::Present { file_offset: 0 }));
    assert_eq!(map.find(0x2000), Ok(PagePlace::Absent));
}

#[test]
fn counts_above_32_bits() {
    let pages = (1 << 33) + 5;
    let data = image([wide(0x10_0000, pages, PE_PRESENT), wide(1 << 60, 1, PE_PRESENT)]);
    let map = map(&data).unwrap();
    assert_eq!(map.totals().present_pages, pages + 1);
    assert_eq!(map.find(1 << 60), Ok(PagePlace::Present { file_offset: pages * PAGE }));
}

#[test]
fn a_pages_file_of_another_size_is_noticed_by_the_sum() {
    let data =
        image([wide(0x1000, 3, PE_PRESENT), wide(0x9000, 4, PE_PRESENT | PE_LAZY), wide(0xf000, 1, PE_LAZY)]);
    let totals = map(&data).unwrap().totals();
    assert_eq!((totals.file_bytes, totals.lazy_pages), (7 * PAGE, 1));
    assert_eq!(page_size_from_file(totals.present_pages, 7 * 65536), Some(65536));
    assert_eq!(page_size_from_file(totals.present_pages, 7 * 65536 - 1), None);
    assert_eq!(page_size_from_file(totals.present_pages, 7 * 1024), None, "no machine has such pages");
    assert_eq!(page_size_from_file(0, 0), None);
}

#[test]
fn addresses_that_overflow_are_refused() {
    for (vaddr, pages) in [(u64::MAX - 4095, 2), (0x1000, u64::MAX), (0x1000, u64::MAX / 4096)] {
        let data = image([wide(0x1000, 1, PE_PRESENT), wide(vaddr, pages, PE_PRESENT)]);
        let error = map(&data).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BadPageMap { .. }), "{error}");
        assert_eq!(error.entry(), Some(2), "the head is entry 0");
    }
    let data = image([
        wide(0, 1 << 51, PE_PRESENT),
        wide(1 << 63, 1 << 50, PE_PRESENT),
        wide(3 << 62, 1 << 49, PE_PRESENT),
    ]);
    assert!(map(&data).is_ok());
}

#[test]
fn overlapping_and_unsorted_entries_cannot_be_searched() {
    for entries in [[(0x5000, 1), (0x1000, 1)], [(0x1000, 3), (0x2000, 1)]] {
        let data = image(entries.map(|(vaddr, pages)| wide(vaddr, pages, PE_PRESENT)));
        let map = map(&data).unwrap();
        assert!(!map.is_sorted());
        assert_eq!(map.runs().count(), 2, "they can still be listed");
        assert!(matches!(map.find(0x1000).unwrap_err().kind(), ErrorKind::BadPageMap { .. }));
    }
}

#[test]
fn present_and_in_the_parent_contradict_each_other() {
    let data = image([wide(0x1000, 1, PE_PRESENT | PE_PARENT)]);
    assert!(matches!(map(&data).unwrap_err().kind(), ErrorKind::BadPageMap { .. }));
}

#[test]
fn lazy_alone_is_not_in_the_image() {
    let data = image([wide(0x1000, 1, PE_LAZY), wide(0x2000, 1, PE_PRESENT | PE_LAZY), wide(0x3000, 1, 0)]);
    let map = map(&data).unwrap();
    assert_eq!(map.find(0x1000), Ok(PagePlace::Lazy));
    assert_eq!(map.find(0x2000), Ok(PagePlace::Present { file_offset: 0 }));
    assert_eq!(map.find(0x3000), Ok(PagePlace::Absent), "an entry without any flag says nothing");
}

#[test]
fn page_sizes_come_from_the_images() {
    for size in [4096, 16384, 65536] {
        let data = image([wide(0x10000, 1, PE_PRESENT), wide(0x40000, 2, PE_PRESENT)]);
        let map = PageMap::parse(parse("pagemap-1.img", &data), size).unwrap();
        assert_eq!(map.find(0x40000 + size), Ok(PagePlace::Present { file_offset: 2 * size }));
        assert_eq!(page_size_of(&[3, 0x400040, 6, size, 9, 0x401000]), Some(size));
    }
    let data = image([]);
    for size in [0, 1000, 4097] {
        assert!(PageMap::parse(parse("pagemap-1.img", &data), size).is_err());
    }
}

#[test]
fn huge_mappings_use_64_bits_everywhere() {
    let data = image([wide(0, 1 << 20, PE_PRESENT), wide(1 << 40, 1 << 20, PE_PRESENT)]);
    let found = map(&data).unwrap().find((1 << 40) + (1 << 32) - 1).unwrap();
    assert_eq!(found, PagePlace::Present { file_offset: (1 << 32) + (1 << 32) - 4096 });
}

/// `pagemap_blocks` of blocks with these stored sizes.
fn blocks(sizes: &[u64], total: u64, per_block: u64, padded: bool) -> Msg {
    let message = Msg::new().packed(1, sizes.iter().copied()).uint(2, total).uint(3, per_block);
    if padded { message.bool(4, true) } else { message }
}

#[test]
fn compressed_blocks_are_found_and_never_misread() {
    let compressed = wide(0x10000, 5, PE_PRESENT).msg(6, blocks(&[0, 8192, 100], 8292, 2, false));
    let data = image([wide(0x1000, 1, PE_PRESENT), compressed, wide(0x20000, 1, PE_PRESENT)]);
    let map = map(&data).unwrap();
    assert_eq!(map.totals().present_pages, 7);
    assert_eq!(map.totals().file_bytes, PAGE + 8292 + PAGE);
    assert_eq!(map.find(0x11000), Ok(PagePlace::Zero));
    let Ok(PagePlace::Block { block, file_offset, page_in_block }) = map.find(0x13000) else {
        panic!("a block")
    };
    assert_eq!((block.encoding, file_offset, page_in_block, block.pages), (BlockEncoding::Raw, PAGE, 1, 2));
    let Ok(PagePlace::Block { block, file_offset, .. }) = map.find(0x14fff) else { panic!("a block") };
    assert_eq!((block.encoding, file_offset, block.stored_bytes), (BlockEncoding::Lz4, PAGE + 8192, 100));
    assert_eq!(block.pages, 1, "the last block is shorter");
    assert_eq!(map.find(0x20000), Ok(PagePlace::Present { file_offset: PAGE + 8292 }));
    json(parse("pagemap-1.img", &data));
}

#[test]
fn padded_blocks_and_aligned_payloads() {
    let padded = wide(0x10000, 4, PE_PRESENT).msg(6, blocks(&[10, 20], 2 * PAGE, 2, true));
    let tight = wide(0x20000, 2, PE_PRESENT).msg(6, blocks(&[30], 30, 2, false));
    let aligned = wide(0x30000, 1, PE_PRESENT | 8);
    let data = image([padded, tight, aligned]);
    let map = map(&data).unwrap();
    let Ok(PagePlace::Block { file_offset, .. }) = map.find(0x12000) else { panic!("a block") };
    assert_eq!(file_offset, PAGE);
    assert_eq!(map.find(0x30000), Ok(PagePlace::Present { file_offset: 3 * PAGE }));
}

#[test]
fn blocks_that_do_not_add_up_are_refused() {
    let cases = [
        blocks(&[100, 200], 301, 2, false),
        blocks(&[100], 100, 2, false),
        blocks(&[100, 200, 300], 600, 2, false),
        blocks(&[100, 9000], 9100, 2, false),
        blocks(&[100, 200], 300, 0, false),
        blocks(&[100, 200], 300, u64::MAX, false),
    ];
    for case in cases {
        let data = image([wide(0x10000, 4, PE_PRESENT).msg(6, case.clone())]);
        let error = map(&data).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BadPageMap { .. }), "{case:?}: {error}");
    }
}

#[test]
fn drafts_of_the_compressed_form_are_refused_by_name() {
    let drafts = [
        wide(0x1000, 2, PE_PRESENT).uints(6, [100, 4096]).uint(7, 4196),
        wide(0x1000, 2, PE_PRESENT).packed(6, [100, 4096]),
        wide(0x1000, 2, PE_PRESENT).uint(8, 16),
    ];
    for draft in drafts {
        let data = image([draft]);
        assert!(matches!(map(&data).unwrap_err().kind(), ErrorKind::UnsupportedPageMap { .. }));
        json(parse("pagemap-1.img", &data));
    }
}

#[test]
fn a_damaged_map_gives_its_entries_before_the_damage() {
    let data = ImageBuilder::of("PAGEMAP")
        .record(Msg::new().uint(1, 7))
        .record(wide(0x1000, 1, 4))
        .sized(50, wide(0x2000, 1, 4))
        .build();
    let image = parse("pagemap-1.img", &data);
    let mut entries = PageEntries::new(image).unwrap();
    assert_eq!(entries.next().unwrap().unwrap().vaddr, 0x1000);
    let error = entries.next().unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BodyTruncated { expected: 50, .. }), "{error}");
    assert_eq!(error.entry(), Some(2));
    assert!(entries.next().is_none());
    let data =
        ImageBuilder::of("PAGEMAP").record(Msg::new().uint(1, 7)).record(Msg::new().raw(b"\x08\x80")).build();
    let error = map(&data).unwrap_err();
    let ErrorKind::BadMessage { reason, .. } = error.kind() else { panic!("{error}") };
    assert_eq!(reason.reason, WireReason::VarintTruncated);
}

#[test]
fn a_map_without_a_head_or_of_another_kind() {
    let data = ImageBuilder::of("PAGEMAP").build();
    let empty = map(&data).unwrap();
    assert_eq!((empty.pages_id(), empty.totals().entries), (None, 0));
    let other = ImageBuilder::of("FS").record(Msg::new().uint(1, 8).uint(2, 9)).build();
    let error = PageMap::parse(parse("fs-1.img", &other), PAGE).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongMessage { asked: "pagemap_entry", .. }));
}

/// Look-ups cross the marks of the sparse index.
#[test]
fn every_page_of_a_long_map_is_found() {
    let runs: Vec<(u64, u64, u32)> = (0..1000)
        .scan(0x1000u64, |vaddr, index| {
            *vaddr += (index % 5) * PAGE;
            let run = (*vaddr, 1 + index % 3, if index % 7 == 0 { PE_PARENT } else { PE_PRESENT });
            *vaddr += run.1 * PAGE;
            Some(run)
        })
        .collect();
    let data = image(runs.iter().map(|(vaddr, pages, flags)| wide(*vaddr, *pages, *flags)));
    let map = map(&data).unwrap();
    let mut file_offset = 0;
    let mut end = 0;
    for (vaddr, pages, flags) in runs {
        for hole in (end..vaddr).step_by(4096) {
            assert_eq!(map.find(hole), Ok(PagePlace::Absent));
        }
        for page in 0..pages {
            let expected = if flags == PE_PARENT {
                PagePlace::Parent
            } else {
                file_offset += PAGE;
                PagePlace::Present { file_offset: file_offset - PAGE }
            };
            assert_eq!(map.find(vaddr + page * PAGE + 17), Ok(expected));
        }
        end = vaddr + pages * PAGE;
    }
}
