//! Searching memory and finding texts in it, beside the limit: one search of flat bytes.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ckx_archive::tarball::Step;
use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::memory::search::{Around, Query, Searcher, Strings, Syntax, Text, Texts};
use ckx_core::memory::usage::Contents;
use ckx_core::memory::{Area, Memory, areas, sweep};
use ckx_core::{Checkpoint, Options, Wanted};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use memchr::memmem;

const FIXTURE: &str = "fixtures/checkpoints/nginx-crio-1.tar.zst";

fn checkpoint() -> Checkpoint {
    let data = zstd::decode_all(std::fs::File::open(FIXTURE).expect("the fixture is there")).expect("zstd");
    let options = ArchiveOptions::default();
    let archive = Archive::from_bytes(Path::new("bench"), data.into(), &mut Wanted::default(), options);
    Checkpoint::from_archive(archive.expect("a tar"), Options::default())
}

fn pages(checkpoint: &Checkpoint) -> Vec<Bytes> {
    let members = checkpoint.image_members().filter(|(name, _)| name.starts_with(b"pages-"));
    members.map(|(_, member)| checkpoint.archive().read(member).expect("it is whole")).collect()
}

fn search(criterion: &mut Criterion) {
    let checkpoint = checkpoint();
    let pages = pages(&checkpoint);
    let size = pages.iter().map(|pages| pages.len() as u64).sum();
    let memory = Memory::at_hand(&checkpoint);
    let areas = areas(&memory);
    let text = "nothing has this text";
    let pattern = |text: &str, syntax| Query { patterns: vec![text.to_owned()], syntax, ..Query::default() };

    let mut group = criterion.benchmark_group("search");
    group.throughput(Throughput::Bytes(size));
    group.bench_function("limit: memmem over flat bytes", |bench| {
        let finder = memmem::Finder::new(text);
        bench.iter(|| pages.iter().filter(|pages| finder.find(black_box(pages)).is_some()).count());
    });
    for (name, text, syntax) in [
        ("text", text, Syntax::Fixed),
        ("expression with a prefix", "nothing has [a-z]+ text", Syntax::Regex),
        ("expression without", "[A-Z][a-z]{7}[0-9]{9}", Syntax::Regex),
    ] {
        let pattern = pattern(text, syntax).compile().expect("it is one");
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let mut found = 0;
                let mut searcher = Searcher::new(&pattern, Around::default(), |_: &Arc<Area>, _| {
                    found += 1;
                    Step::Next
                });
                sweep(black_box(&areas), &mut searcher);
                found
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("memory");
    group.throughput(Throughput::Bytes(size));
    group.bench_function("texts", |bench| {
        bench.iter(|| {
            let mut found = 0;
            let texts = Texts { min: 4, ascii: true, utf16: true };
            let make = |_: &Arc<Area>, texts: &mut dyn Iterator<Item = Text<'_>>| texts.count();
            let mut strings = Strings::new(texts, make, |some| {
                found += some;
                Step::Next
            });
            sweep(black_box(&areas), &mut strings);
            found
        });
    });
    group.bench_function("contents of pages", |bench| {
        bench.iter(|| {
            let mut contents = Contents::default();
            sweep(black_box(&areas), &mut contents);
            contents
        });
    });
    group.finish();
}

criterion_group!(benches, search);
criterion_main!(benches);
