//! Opening, indexing and inspecting a checkpoint. What is mapped costs its headers, whatever its size; what
//! is compressed costs its decoder.

use std::hint::black_box;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::inspect::{SECTIONS, collect};
use ckx_core::{Checkpoint, Options, Wanted};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const FIXTURE: &str = "fixtures/checkpoints/nginx-crio-1.tar.zst";

fn archive(data: &Bytes) -> Archive {
    let options = ArchiveOptions::default();
    Archive::from_bytes(Path::new("bench"), data.clone(), &mut Wanted::default(), options).expect("a tar")
}

/// A tar of the fixture and then members of this size in all, which nothing asks for.
fn large(small: &[u8], mebibytes: usize) -> Bytes {
    let mut data = Vec::with_capacity(small.len() + (mebibytes << 20));
    let mut header = tar::Header::new_gnu();
    header.set_path("artifacts/large").expect("a short name");
    header.set_size((mebibytes as u64) << 20);
    header.set_cksum();
    data.extend_from_slice(header.as_bytes());
    data.resize(512 + (mebibytes << 20), 0x5a);
    data.extend_from_slice(small);
    data.into()
}

fn open(criterion: &mut Criterion) {
    let packed = Bytes::from(std::fs::read(FIXTURE).expect("the fixture is there"));
    let mut small = Vec::new();
    zstd::Decoder::new(&packed[..]).expect("zstd").read_to_end(&mut small).expect("it decodes");
    let small = Bytes::from(small);
    let large = large(&small, 256);
    let default: Vec<_> = SECTIONS.iter().filter(|section| section.is_default).collect();
    let all: Vec<_> = SECTIONS.iter().collect();
    let inspected = |data: &Bytes, sections: &[_]| {
        collect(&Checkpoint::from_archive(archive(data), Options::default()), sections)
    };

    let mut group = criterion.benchmark_group("open");
    group.bench_function("index 6 MiB", |bench| bench.iter(|| archive(black_box(&small))));
    group.bench_function("index 256 MiB", |bench| bench.iter(|| archive(black_box(&large))));
    group.bench_function("inspect 6 MiB", |bench| bench.iter(|| inspected(black_box(&small), &default)));
    group.bench_function("inspect 256 MiB", |bench| bench.iter(|| inspected(black_box(&large), &default)));
    group.bench_function("inspect --all 6 MiB", |bench| bench.iter(|| inspected(black_box(&small), &all)));
    group.finish();

    let mut group = criterion.benchmark_group("decode zstd");
    group.throughput(Throughput::Bytes(small.len() as u64));
    group.bench_function("limit: the decoder", |bench| {
        bench.iter(|| {
            let mut decoder = zstd::Decoder::new(&packed[..]).expect("zstd");
            std::io::copy(&mut decoder, &mut std::io::sink()).expect("it decodes")
        });
    });
    group.bench_function("open", |bench| bench.iter(|| archive(black_box(&packed))));
    group.finish();
}

criterion_group!(benches, open);
criterion_main!(benches);
