//! Images of memory: page maps, pages, memfds, ghost files and what leads to them.

use super::Case;
use crate::files::memfd_inode;
use crate::image::{ImageBuilder, Order};
use crate::wire::Msg;

const PRESENT: u64 = 4;
const LAZY: u64 = 2;
const PARENT: u64 = 1;
const ALIGNED: u64 = 8;
const PAGE: usize = 4096;
const BASE: u64 = 0x7f3a_1000_0000;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = pagemaps();
    cases.extend(pages());
    cases.extend(ghosts());
    cases.extend([
        Case::list("MEMFD_INODE", "memfd.img", "shared memory, memfds, huge pages", memfds()),
        Case::list("REMAP_FPATH", "remap-fpath.img", "every sort", remaps()),
    ]);
    cases
}

fn pagemap(name: &str, about: &'static str, pages_id: u64, entries: Vec<Msg>) -> Case {
    let row = if name.contains("shmem") { "SHMEM_PAGEMAP" } else { "PAGEMAP" };
    Case::list(row, name, about, [Msg::new().uint(1, pages_id)].into_iter().chain(entries))
}

/// The entry of CRIU 4.2 and newer.
fn run(page: u64, pages: u64, flags: u64) -> Msg {
    Msg::new().seq(1, [BASE + page * PAGE as u64, 0]).uint(4, flags).uint(5, pages)
}

fn pagemaps() -> Vec<Case> {
    let first = vec![
        Msg::new().seq(1, [0x0040_0000, 2]),
        Msg::new().seq(1, [0x0060_0000, 3]).bool(3, false),
        Msg::new().seq(1, [BASE, 1]).bool(3, true),
    ];
    let second = vec![
        Msg::new().seq(1, [0x0040_0000, 2]).uint(4, PRESENT),
        Msg::new().seq(1, [BASE, 256]).bool(3, true).uint(4, PARENT),
        Msg::new().seq(1, [BASE + 0x10_0000, 1]).uint(4, PRESENT | LAZY),
        Msg::new().seq(1, [BASE + 0x20_0000, 7]).uint(4, LAZY),
    ];
    let third = vec![
        run(0, 3, PRESENT),
        run(3, 2, PARENT),
        run(5, 1, PRESENT | LAZY),
        run(6, 40, LAZY),
        run(0x1_0000, 1 << 33, PARENT),
        Msg::new().seq(1, [0xffff_ffff_ff60_0000, 0]).uint(4, PRESENT).uint(5, 1),
    ];
    let shared = vec![
        Msg::new().seq(1, [0, 0]).uint(4, PRESENT).uint(5, 1),
        Msg::new().seq(1, [0x3000, 0]).uint(4, PRESENT).uint(5, 2),
    ];
    vec![
        pagemap("pagemap-64.img", "without flags", 1, first),
        pagemap("pagemap-65.img", "with flags", 2, second),
        pagemap("pagemap-66.img", "counts of 64 bits", 3, third),
        pagemap("pagemap-67.img", "compressed in blocks", 7, compressed()),
        pagemap("pagemap-68.img", "without pages, from a page server", 0x1_0001, Vec::new()),
        pagemap("pagemap-shmem-1648.img", "a hole between", 4, shared),
        pagemap("pagemap-shmem-0.img", "of CRIU 4.1", 5, vec![Msg::new().seq(1, [0, 1]).uint(4, PRESENT)]),
    ]
}

/// Blocks of two pages that are zero or stored as they are. Content in [`compressed_pages`].
fn compressed() -> Vec<Msg> {
    let blocks = |sizes: &[u64], total: u64| Msg::new().packed(1, sizes.iter().copied()).seq(2, [total, 2]);
    vec![
        run(0, 5, PRESENT).msg(6, blocks(&[0, 8192, 4096], 12288)),
        run(5, 2, PRESENT),
        run(7, 4, PRESENT | ALIGNED).msg(6, blocks(&[8192, 0], 8192).bool(4, true)),
        run(11, 2, PRESENT | LAZY).msg(6, blocks(&[0], 0)),
        run(13, 1, PARENT),
    ]
}

fn compressed_pages() -> Vec<u8> {
    [filled(b'b', 2), filled(b'c', 1), filled(b'd', 2), filled(b'e', 2)].concat()
}

fn filled(byte: u8, pages: usize) -> Vec<u8> {
    vec![byte; pages * PAGE]
}

fn pages() -> Vec<Case> {
    let like_an_image = [&crate::COMMON_MAGIC.to_le_bytes()[..], &filled(0, 1)[4..]].concat();
    let old = |order| {
        let image = ImageBuilder::of("PAGES_OLD").order(order);
        let image = image.long(0x0040_0000).payload(&filled(b'a', 1));
        image.long(BASE).payload(&filled(b'b', 1)).build()
    };
    vec![
        Case::raw("PAGES", "pages-3.img", "four pages", [filled(b'a', 3), filled(b'z', 1)].concat()),
        Case::raw("PAGES", "pages-4.img", "begins like an image", like_an_image),
        Case::raw("PAGES", "pages-65537.img", "empty", Vec::new()),
        Case::raw("PAGES", "pages-7.img", "blocks of a compressed map", compressed_pages()),
        Case::raw("PAGES_OLD", "pages-12.img", "pairs of address and page", old(Order::Little)),
        Case::raw("SHM_PAGES_OLD", "pages-shmem-1648.img", "pairs of address and page", old(Order::Little)),
    ]
}

/// `ghost_file_entry` without what only some have: `chunks`, `size`, the target of a link.
fn ghost(mode: u64, rdev: Option<u64>) -> Msg {
    let time = |sec, usec| Msg::new().uint(1, sec).uint(2, usec);
    let ghost = Msg::new().seq(1, [1000, 1000, mode, 0x0080_0001, 5_377_021]);
    let ghost = ghost.maybe(rdev, |ghost, rdev| ghost.uint(6, rdev));
    ghost.msg(7, time(1_700_000_000, 999_999)).msg(8, time(1_700_000_001, 0))
}

fn ghosts() -> Vec<Case> {
    let chunk = |len: u64, off: u64| Msg::new().uint(1, len).uint(2, off);
    let of = |first: Msg| ImageBuilder::of("GHOST_FILE").record(first);
    let chunked = |size| of(ghost(0o100_644, None).bool(9, true).uint(10, size));
    let plain = ghost(0o100_600, None).bool(9, false).uint(10, 11);
    let holes = chunked(1 << 20)
        .record(chunk(4096, 0))
        .payload(&filled(b'a', 1))
        .record(chunk(8192, 0x8_0000))
        .payload(&filled(b'b', 2))
        .record(chunk(5, (1 << 20) - 5))
        .payload(b"tail\n");
    let old = Msg::new().seq(1, [0, 0, 0o100_644]);
    let link = ghost(0o120_777, None).bool(9, false).uint(10, 9).bytes(11, b"../\xff\xfe/to");
    let mut cases = Vec::new();
    cases.extend(Case::both("GHOST_FILE", "ghost-file-a.img", "chunks and holes", holes, 4));
    cases.extend([
        Case::new("GHOST_FILE", "ghost-file-1.img", "plain", of(plain).payload(b"hello ghost"), 1),
        Case::new("GHOST_FILE", "ghost-file-2.img", "plain, empty", of(ghost(0o100_600, None)), 1),
        Case::new("GHOST_FILE", "ghost-file-3.img", "a directory", of(ghost(0o040_755, None)), 1),
        Case::new("GHOST_FILE", "ghost-file-4.img", "all hole", chunked(1 << 40), 1),
        Case::new("GHOST_FILE", "ghost-file-5.img", "a device", of(ghost(0o020_666, Some(0x103))), 1),
        Case::new("GHOST_FILE", "ghost-file-6.img", "a named pipe", of(ghost(0o010_644, None)), 1),
        Case::new("GHOST_FILE", "ghost-file-7.img", "a link", of(link), 1),
        Case::new("GHOST_FILE", "ghost-file-8.img", "of an old release", of(old).payload(&[0, 1, 2]), 1),
    ]);
    cases
}

fn memfds() -> [Msg; 4] {
    [
        memfd_inode("/dev/zero", 0x4000, 1648, 1).uint(9, 0o100_777),
        memfd_inode(b"caf\xe9", 1 << 33, 1649, 2).uint(9, 0o100_755),
        memfd_inode("huge", 0x20_0000, 1650, 3).uint(8, 0x5400_0000),
        Msg::new().text(1, "sealed").seq(2, [1000, 1000, 12, 1651, 0x1f, 4]),
    ]
}

fn remaps() -> [Msg; 5] {
    let remap = |file: u64, target: u64| Msg::new().uint(1, file).uint(2, target);
    [
        remap(21, 31).uint(3, 0),
        remap(22, 10).uint(3, 1),
        remap(23, 4711).uint(3, 2),
        // Of very old releases, which had no type: a ghost and a link.
        remap(24, 0x8000_0001),
        remap(25, 31),
    ]
}
