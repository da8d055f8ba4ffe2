//! Speed of the format crate against its limits: page maps against reading the bytes at all and
//! against prost, JSON against the bytes of the image.
//!
//! `cargo bench --bench parse`; throughput is in bytes of the image.

use std::hint::black_box;

use ckx_criu::json::{EntryJson, ImageJson, JsonOptions, Style, encode, to_writer};
use ckx_criu::pages::{PageEntries, PageMap};
use ckx_criu::typed::messages::{MmEntry, PagemapEntry, PagemapHead, VmaEntry};
use ckx_criu::{Image, wire};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message as _;

const ENTRIES: u64 = 1_000_000;
const PAGEMAP_HEADER: &[u8] = b"\x19\x43\x56\x54\x25\x40\x08\x56";
const MM_HEADER: &[u8] = b"\x19\x43\x56\x54\x20\x28\x49\x57";

fn record(message: &impl prost::Message, out: &mut Vec<u8>) {
    let body = message.encode_to_vec();
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&body);
}

/// A page map of a process with a million runs, as CRIU 4.2 writes it.
fn pagemap() -> Vec<u8> {
    let mut image = PAGEMAP_HEADER.to_vec();
    record(&PagemapHead { pages_id: 1 }, &mut image);
    let mut vaddr = 0x7f00_0000_0000;
    for index in 0..ENTRIES {
        let pages = 1 + index % 256;
        let entry = PagemapEntry {
            vaddr,
            compat_nr_pages: 0,
            flags: Some(6),
            nr_pages: Some(pages),
            ..PagemapEntry::default()
        };
        record(&entry, &mut image);
        vaddr += (pages + 1) * 4096;
    }
    image
}

/// The address space of a process with a hundred thousand mappings.
fn mm() -> Vec<u8> {
    let vma = |index: u64| VmaEntry {
        start: 0x7f00_0000_0000 + index * 8192,
        end: 0x7f00_0000_1000 + index * 8192,
        prot: 3,
        flags: 0x22,
        status: 0x201,
        fd: -1,
        ..VmaEntry::default()
    };
    let mut image = MM_HEADER.to_vec();
    record(&MmEntry { vmas: (0..100_000).map(vma).collect(), ..MmEntry::default() }, &mut image);
    image
}

fn page_maps(criterion: &mut Criterion) {
    let data = pagemap();
    let image = Image::parse(b"pagemap-1.img", &data).expect("a page map");
    let mut group = criterion.benchmark_group("pagemap of 1M entries");
    group.throughput(Throughput::Bytes(data.len() as u64)).sample_size(20);
    group.bench_function("limit: sum of the bytes", |bench| {
        bench.iter(|| data.iter().map(|byte| u64::from(*byte)).sum::<u64>());
    });
    group.bench_function("walk", |bench| {
        bench.iter(|| {
            let entries = PageEntries::new(image).expect("a page map");
            entries.map(|entry| entry.expect("good").pages).sum::<u64>()
        });
    });
    group.bench_function("walk, check and index", |bench| {
        bench.iter(|| PageMap::parse(image, 4096).expect("good").totals());
    });
    group.bench_function("prost", |bench| {
        bench.iter(|| {
            let entries = image.entries().skip(1).map(|entry| entry.expect("good").body());
            entries.map(|body| PagemapEntry::decode(body).expect("good").nr_pages()).sum::<u64>()
        });
    });
    let map = PageMap::parse(image, 4096).expect("good");
    group.throughput(Throughput::Elements(1));
    let mut address = 0x7f00_0000_0000u64;
    group.bench_function("find one page", |bench| {
        bench.iter(|| {
            address =
                0x7f00_0000_0000 + address.wrapping_mul(6_364_136_223_846_793_005) % (128 * ENTRIES * 4096);
            map.find(black_box(address)).expect("sorted")
        });
    });
    group.finish();
}

fn json(criterion: &mut Criterion) {
    let data = mm();
    let image = Image::parse(b"mm-1.img", &data).expect("an image");
    let body = image.entries().next().expect("one").expect("good").body();
    let mut group = criterion.benchmark_group("mm of 100k mappings");
    group.throughput(Throughput::Bytes(data.len() as u64)).sample_size(20);
    group.bench_function("inspect", |bench| {
        let entry = image.entries().next().expect("one").expect("good");
        bench.iter(|| EntryJson::new(black_box(&entry), JsonOptions::default()).missing());
    });
    group.bench_function("normalize", |bench| {
        bench.iter(|| wire::normalize(&ckx_criu::schema::messages::MM_ENTRY, black_box(body)));
    });
    group.bench_function("prost", |bench| bench.iter(|| MmEntry::decode(black_box(body)).expect("good")));
    for (name, options, style) in [
        ("to JSON", JsonOptions::default(), Style::Line),
        ("to pretty JSON", JsonOptions { pretty: true, ..JsonOptions::default() }, Style::Indented),
    ] {
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let mut out = Vec::with_capacity(data.len() * 10);
                to_writer(&mut out, &ImageJson::new(image, options), style).expect("memory");
                out
            });
        });
    }
    let mut text = Vec::new();
    to_writer(&mut text, &ImageJson::new(image, JsonOptions::default()), Style::Line).expect("memory");
    group.bench_function("from JSON", |bench| bench.iter(|| encode(black_box(&text)).expect("good")));
    group.finish();
}

criterion_group!(benches, page_maps, json);
criterion_main!(benches);
