//! Speed of comparing memory against comparing the bytes at all.
//!
//! `cargo bench --bench diff`; throughput is in bytes of one side. Of 64 MiB every hundredth page
//! differs in one byte.

use std::hint::black_box;
use std::path::Path;

use bytes::Bytes;
use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::diff::{Options, compare};
use ckx_core::{Checkpoint, Wanted};
use ckx_testkit::tarball::{Member, tar};
use ckx_testkit::{Rng, SynthCheckpoint};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SIZE: usize = 64 << 20;
const PAGE: usize = 4096;
const START: u64 = 0x100_0000_0000;

fn memory() -> Vec<u8> {
    let mut rng = Rng::new(1);
    let mut data = vec![0; SIZE];
    data.chunks_exact_mut(64).for_each(|chunk| chunk[..8].copy_from_slice(&rng.next_u64().to_le_bytes()));
    data
}

fn archive(memory: &[u8]) -> Bytes {
    let made = SynthCheckpoint::new().process(1, 0, |process| {
        process.usual_memory().vma(START, START + SIZE as u64, 3, 0x22, 0x201).pages(START, memory)
    });
    let made = made.build();
    let members: Vec<_> = made.files.iter().map(|(name, bytes)| (&name[..], Member::File(bytes))).collect();
    tar(&members).into()
}

fn open(data: &Bytes) -> Checkpoint {
    let interests = &mut Wanted::default();
    let archive = Archive::from_bytes(Path::new("made"), data.clone(), interests, ArchiveOptions::default());
    Checkpoint::from_archive(archive.expect("an archive"), ckx_core::Options::default())
}

fn memory_diff(criterion: &mut Criterion) {
    let before = memory();
    let mut after = before.clone();
    (0..SIZE).step_by(100 * PAGE).for_each(|at| after[at] ^= 1);
    let (a, b) = (open(&archive(&before)), open(&archive(&after)));
    let mut group = criterion.benchmark_group("diff");
    group.throughput(Throughput::Bytes(SIZE as u64)).sample_size(20);
    group.bench_function("bytes alone", |bencher| {
        bencher.iter(|| {
            let pages = before.chunks_exact(PAGE).zip(after.chunks_exact(PAGE));
            black_box(pages.filter(|(a, b)| a != b).count())
        });
    });
    let options = Options { only: vec!["memory".to_owned()], ..Options::default() };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, 2, cores].into_iter().collect::<std::collections::BTreeSet<_>>() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        group.bench_function(format!("memory, {threads} threads"), |bencher| {
            bencher.iter(|| pool.install(|| black_box(compare(&a, &b, &options).changes.len())));
        });
    }
    group.finish();
}

criterion_group!(benches, memory_diff);
criterion_main!(benches);
