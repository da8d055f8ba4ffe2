//! Do synthetic checkpoints fit together? Read with a reader of a few lines, as nothing else is here.

use std::collections::BTreeMap;

use super::presets::{self, Layout, NEW_PAGE, SHARED_TEXT, SHMID};
use super::{Checkpoint, Fd, PagemapStyle, SynthCheckpoint};
use crate::arch::Arch;
use crate::image::{ImageBuilder, Order};

/// Fields of a message: numbers, and bytes of what has a length.
#[derive(Debug, Default)]
struct Fields {
    numbers: BTreeMap<u64, Vec<u64>>,
    bytes: BTreeMap<u64, Vec<Vec<u8>>>,
}

impl Fields {
    fn new(mut message: &[u8]) -> Self {
        let mut fields = Self::default();
        while !message.is_empty() {
            let key = varint(&mut message);
            let value = varint(&mut message);
            if key & 7 == 0 {
                fields.numbers.entry(key >> 3).or_default().push(value);
            } else {
                assert_eq!(key & 7, 2, "only numbers and lengths are used");
                let (bytes, rest) = message.split_at(value as usize);
                fields.bytes.entry(key >> 3).or_default().push(bytes.to_vec());
                message = rest;
            }
        }
        fields
    }

    fn number(&self, field: u64) -> u64 {
        self.numbers.get(&field).map_or(0, |values| values[0])
    }

    fn all(&self, field: u64) -> &[u64] {
        self.numbers.get(&field).map_or(&[], |values| values)
    }

    fn message(&self, field: u64) -> Self {
        Self::new(&self.bytes[&field][0])
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let len = 1 + bytes.iter().take_while(|byte| **byte >= 0x80).count();
    let (number, rest) = bytes.split_at(len);
    *bytes = rest;
    number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

/// A checkpoint with its byte order.
struct Reader {
    checkpoint: Checkpoint,
    order: Order,
    page_size: u64,
}

impl Reader {
    fn new(checkpoint: Checkpoint, arch: Arch, page_size: u64) -> Self {
        Self { checkpoint, order: arch.order(), page_size }
    }

    fn file(&self, name: &str) -> &[u8] {
        self.checkpoint.get(name).unwrap_or_else(|| panic!("{name} is missing"))
    }

    fn records(&self, name: &str) -> Vec<Fields> {
        let mut rest = &self.file(name)[if name == "inventory.img" { 4 } else { 8 }..];
        let mut records = Vec::new();
        while let Some((size, behind)) = rest.split_first_chunk::<4>() {
            let size = match self.order {
                Order::Little => u32::from_le_bytes(*size),
                Order::Big => u32::from_be_bytes(*size),
            };
            let (body, behind) = behind.split_at(size as usize);
            records.push(Fields::new(body));
            rest = behind;
        }
        assert!(rest.is_empty(), "{name} ends inside a record");
        records
    }

    /// The one record of an image.
    fn record(&self, name: &str) -> Fields {
        let mut records = self.records(name);
        assert_eq!(records.len(), 1, "{name}");
        records.remove(0)
    }

    /// Bytes at an address or an offset, by the page map.
    fn memory(&self, map: &str, address: u64, len: usize) -> Option<&[u8]> {
        let records = self.records(map);
        let mut offset = 0;
        for entry in &records[1..] {
            let pages = entry.number(5).max(entry.number(2));
            let (start, bytes) = (entry.number(1), pages * self.page_size);
            let present = entry.number(3) == 0 && (entry.number(4) & 4 != 0 || entry.all(4).is_empty());
            if present && (start..start + bytes).contains(&address) {
                let at = (offset + address - start) as usize;
                return Some(&self.file(&format!("pages-{}.img", records[0].number(1)))[at..at + len]);
            }
            offset += if present { bytes } else { 0 };
        }
        None
    }

    /// Follows every reference.
    fn check(&self) {
        let magic = ImageBuilder::of("INVENTORY").order(self.order).build();
        assert!(self.file("inventory.img").starts_with(&magic));
        let files = self.records("files.img");
        let ids: Vec<_> = files.iter().map(|file| file.number(2)).collect();
        assert_eq!(ids, (1..=files.len() as u64).collect::<Vec<_>>());
        let kind_of = |id: u64| files[id as usize - 1].number(1);
        for process in self.records("pstree.img") {
            let pid = process.number(1);
            let core = self.record(&format!("core-{pid}.img"));
            if core.message(3).number(1) == 2 {
                assert!(self.checkpoint.get(&format!("mm-{pid}.img")).is_none());
                continue;
            }
            assert_eq!(process.all(5)[0], pid);
            for tid in &process.all(5)[1..] {
                let core = self.record(&format!("core-{tid}.img"));
                assert!(!core.bytes.contains_key(&3) && core.bytes.contains_key(&5));
            }
            let fs = self.record(&format!("fs-{pid}.img"));
            assert_eq!([kind_of(fs.number(1)), kind_of(fs.number(2))], [1, 1]);
            let files_id = self.record(&format!("ids-{pid}.img")).number(2);
            for descriptor in self.records(&format!("fdinfo-{files_id}.img")) {
                assert_eq!(kind_of(descriptor.number(1)), descriptor.number(3));
            }
            self.check_memory(pid, kind_of);
        }
    }

    fn check_memory(&self, pid: u64, kind_of: impl Fn(u64) -> u64) {
        let mm = self.record(&format!("mm-{pid}.img"));
        assert_eq!(kind_of(mm.number(12)), 1);
        let auxv = mm.all(13);
        let usual = auxv.as_chunks::<2>().0.contains(&[6, self.page_size]);
        // 32-bit processes of x86_64 have both in one word.
        assert!(usual || auxv.contains(&(6 | self.page_size << 32)), "{pid} has no page size");
        let mut end = 0;
        for vma in mm.bytes.get(&14).into_iter().flatten() {
            let vma = Fields::new(vma);
            assert!(vma.number(1) >= end, "mappings of {pid} are sorted");
            end = vma.number(2);
            assert!(vma.number(1).is_multiple_of(self.page_size) && end.is_multiple_of(self.page_size));
            match vma.number(7) & 0x40c0 {
                0 => assert_eq!(vma.number(4), 0),
                status => assert_eq!(kind_of(vma.number(4)), if status & 0x4000 == 0 { 1 } else { 18 }),
            }
        }
        let map = self.records(&format!("pagemap-{pid}.img"));
        let present = map[1..].iter().filter(|entry| entry.number(4) & 1 == 0 && entry.number(3) == 0);
        let pages: u64 = present.map(|entry| entry.number(5).max(entry.number(2))).sum();
        let file = self.file(&format!("pages-{}.img", map[0].number(1)));
        assert_eq!(file.len() as u64, pages * self.page_size);
    }
}

#[test]
fn presets_fit_together_on_every_machine() {
    for arch in Arch::ALL {
        for page_size in [4096, 16384, 65536] {
            for style in [PagemapStyle::Bare, PagemapStyle::Flags, PagemapStyle::Wide] {
                let checkpoint = presets::web(arch).page_size(page_size).pagemap_style(style).build();
                let reader = Reader::new(checkpoint, arch, page_size);
                reader.check();
                let heap = reader.memory("pagemap-1.img", presets::layout(arch).heap, 12);
                assert_eq!(heap, Some(&b"heap of web\0"[..]));
                let shared = reader.memory(&format!("pagemap-shmem-{SHMID}.img"), 0, SHARED_TEXT.len());
                assert_eq!(shared, Some(SHARED_TEXT));
            }
        }
    }
}

#[test]
fn named_presets() {
    let presets = [
        (presets::aarch64_16k(), Arch::Aarch64, 16384),
        (presets::mips(), Arch::Mips, 4096),
        (presets::loongarch(), Arch::LoongArch64, 16384),
        (presets::riscv(), Arch::RiscV64, 4096),
        (presets::s390x(), Arch::S390, 4096),
        (presets::compat(), Arch::X86_64, 4096),
    ];
    for (preset, arch, page_size) in presets {
        Reader::new(preset.build(), arch, page_size).check();
    }
}

#[test]
fn arguments_are_where_mm_says() {
    let reader = Reader::new(presets::web(Arch::X86_64).build(), Arch::X86_64, 4096);
    let mm = reader.record("mm-1.img");
    let text = |from: u64, to: u64| {
        let (from, to) = (mm.number(from), mm.number(to));
        reader.memory("pagemap-1.img", from, (to - from) as usize).expect("stored").to_vec()
    };
    assert_eq!(text(8, 9), b"web\0--port\x008080\0");
    assert_eq!(text(10, 11), b"PATH=/usr/bin\0TOKEN=not-a-secret\0");
    let name = mm.all(13).as_chunks::<2>().0.iter().find(|[kind, _]| *kind == 31).expect("AT_EXECFN")[1];
    assert_eq!(reader.memory("pagemap-1.img", name, 13), Some(&b"/usr/bin/web\0"[..]));
}

#[test]
fn registers_point_into_memory() {
    let at = Layout::new(Arch::X86_64, true);
    let reader = Reader::new(presets::compat().build(), Arch::X86_64, 4096);
    let general = reader.record("core-12.img").message(2).message(2);
    assert_eq!(general.number(28), 2);
    assert!((at.text..at.data).contains(&general.number(17)));
    assert!((at.stack..at.stack_end).contains(&general.number(20)));
}

#[test]
fn an_incremental_pair() {
    let pair = presets::incremental();
    let heap = presets::layout(Arch::X86_64).heap;
    let parent = Reader::new(pair.parent, Arch::X86_64, 4096);
    let child = Reader::new(pair.child, Arch::X86_64, 4096);
    child.check();
    assert_eq!(parent.checkpoint.names(), ["inventory.img", "pagemap-1.img", "pages-1.img", "stats-dump"]);
    assert_eq!(child.checkpoint.parent.as_deref(), Some("../pre"));
    assert_eq!(parent.memory("pagemap-1.img", heap, 10), Some(&b"heap of db"[..]));
    assert_eq!(child.memory("pagemap-1.img", heap, 10), None);
    assert_eq!(child.memory("pagemap-1.img", NEW_PAGE, 7), Some(&b"written"[..]));
    assert_eq!(parent.memory("pagemap-1.img", NEW_PAGE, 7), None);
}

#[test]
fn open_files_are_shared_where_asked() {
    let shared = || Fd::reg("/x", 0).shared(1);
    let checkpoint = SynthCheckpoint::new()
        .process(1, 0, |process| process.fd(0, shared()).fd(1, shared()).fd(2, Fd::reg("/x", 0)))
        .process(2, 1, |process| process.files_of(1))
        .process(3, 1, |process| process.fd(0, shared()).stopped(19))
        .build();
    let reader = Reader::new(checkpoint, Arch::X86_64, 4096);
    reader.check();
    let ids = |name: &str| reader.records(name).iter().map(|fd| fd.number(1)).collect::<Vec<_>>();
    let first = ids("fdinfo-2.img");
    assert_eq!((first[0], first.len()), (first[1], 3));
    assert_ne!(first[0], first[2]);
    assert_eq!(reader.record("ids-2.img").number(2), 2);
    assert_eq!(ids("fdinfo-4.img"), first[..1]);
    assert_eq!(reader.record("core-3.img").message(3).number(21), 19);
}

#[test]
fn files_come_and_go() {
    let checkpoint = SynthCheckpoint::new().process(1, 0, |process| process);
    let checkpoint =
        checkpoint.file("dump.log", "text").file("pstree.img", [1]).without("inventory.img").build();
    assert_eq!(checkpoint.get("dump.log"), Some(&b"text"[..]));
    assert_eq!(checkpoint.get("pstree.img"), Some(&[1][..]));
    assert_eq!(checkpoint.get("inventory.img"), None);
    let directory = std::env::temp_dir().join(format!("ckx-testkit-{}", std::process::id()));
    let pair = presets::incremental();
    pair.write_to(&directory).expect("writable");
    let through_link = std::fs::read(directory.join("full/parent/pages-1.img")).expect("readable");
    assert_eq!(Some(&through_link[..]), pair.parent.get("pages-1.img"));
    std::fs::remove_dir_all(&directory).expect("removable");
}

#[test]
#[should_panic(expected = "are there twice")]
fn overlapping_pages_are_an_error_of_the_test() {
    SynthCheckpoint::new().process(1, 0, |process| process.pages(0x1000, b"a").lazy(0x1000, 1)).build();
}
