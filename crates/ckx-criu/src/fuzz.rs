//! Fuzz bodies: plain functions over bytes, with the invariants written on top. The fuzz targets
//! in `fuzz/` call them, and so do smoke tests with a fixed number of seeds.

#![allow(clippy::expect_used, clippy::panic)]

use crate::error::Error;
use crate::frame::Image;
use crate::json::{ImageJson, JsonOptions, Style, encode, require_records, to_writer};
use crate::kind::{Header, KINDS, KindSpec};
use crate::pages::{PageMap, PagePlace, Residency};
use crate::raw::{RawFormat, summarize};
use crate::schema::{MESSAGES, MessageDesc};
use crate::wire;
use crate::write::{EntryEdit, rewrite};

/// A file name that the kind's pattern fits.
fn name_of(spec: &KindSpec) -> Vec<u8> {
    spec.pattern.replace("%u", "1").replace("%x", "a").replace("%s", "dump").into_bytes()
}

/// Splits off the first byte as a choice.
fn choose<'a, T>(from: &'a [T], data: &mut &[u8]) -> Option<&'a T> {
    let (first, rest) = data.split_first()?;
    *data = rest;
    from.get(usize::from(*first) % from.len())
}

/// Any bytes under any name: offsets stay inside, parts add up, and every form gives the bytes back.
pub fn frame(mut data: &[u8]) {
    let Some(spec) = choose(KINDS, &mut data) else { return };
    file(&name_of(spec), data);
    file(b"", data);
}

/// Any bytes behind the header of any kind, in both byte orders.
pub fn kind(mut data: &[u8]) {
    let Some(spec) = choose(KINDS, &mut data) else { return };
    let Some(order) = choose(&[crate::ByteOrder::Little, crate::ByteOrder::Big], &mut data) else { return };
    let header = if spec.header == Header::None {
        Vec::new()
    } else {
        spec.header.bytes(spec.magic.unwrap_or(0), *order)
    };
    file(&name_of(spec), &[&header, data].concat());
}

/// Any bytes as the body of one record of any kind, so that the framing is always right.
pub fn record(mut data: &[u8]) {
    let Some(spec) = choose(KINDS, &mut data) else { return };
    let mut image = spec.header.bytes(spec.magic.unwrap_or(0), crate::ByteOrder::Little);
    let split = data.first().map_or(0, |len| usize::from(*len)).min(data.len());
    let (body, extra) = data.split_at_checked(split).unwrap_or_default();
    let fits = crate::write::record(crate::ByteOrder::Little, body, extra, &mut image);
    assert!(fits.is_some());
    file(&name_of(spec), &image);
}

fn file(name: &[u8], data: &[u8]) {
    let Ok(image) = Image::parse(name, data) else { return };
    let mut entries = image.entries();
    let mut end = entries.offset();
    while let Some(Ok(entry)) = entries.next() {
        assert_eq!(entry.offset(), end, "entries follow each other");
        end += entry.len() as u64;
        assert!(end <= data.len() as u64, "an entry ends inside the file");
        let shape = entry.check();
        if let Ok(shape) = shape {
            let normal = wire::normalize(entry.message(), entry.body());
            assert_eq!(shape.canonical, normal == entry.body(), "canonical is what normalising keeps");
        }
    }
    assert_eq!(
        end as usize + entries.trailing().len(),
        data.len(),
        "entries and trailing bytes fill the file"
    );
    let same = rewrite(&image, |_| Ok::<_, Error>(EntryEdit::Keep)).expect("no edit");
    assert_eq!(same, data, "no edit, no change");
    if require_records(&image).is_ok() {
        for pretty in [false, true] {
            json_round(image, pretty);
        }
    }
    if let Some(summary) = image.raw_summary() {
        assert_eq!(summary.size_bytes, data.len() as u64);
    }
}

fn json_round(image: Image<'_>, pretty: bool) {
    let options = JsonOptions { pretty, ..JsonOptions::default() };
    let style = if pretty { Style::Indented } else { Style::Line };
    let mut text = Vec::new();
    to_writer(&mut text, &ImageJson::new(image, options), style).expect("writing to memory");
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
    assert!(text.iter().all(plain), "no control byte leaves the image");
    match encode(&text) {
        Ok(again) => assert_eq!(again, image.data(), "JSON gives the bytes back"),
        Err(error) => panic!("JSON cannot be read back: {error}\n{}", String::from_utf8_lossy(&text)),
    }
}

/// Any bytes as a message of the schema: normalising is idempotent and keeps what is canonical.
pub fn message(mut data: &[u8]) {
    let Some(desc) = choose(MESSAGES, &mut data) else { return };
    normal_form(desc, data);
}

fn normal_form(desc: &'static MessageDesc, data: &[u8]) {
    let Ok(shape) = wire::inspect(desc, data) else { return };
    let normal = wire::normalize(desc, data);
    assert_eq!(
        shape.canonical,
        normal == data,
        "canonical is what normalising keeps: {} {data:02x?} {normal:02x?}",
        desc.name
    );
    let again = wire::inspect(desc, &normal).expect("the normal form is well-formed");
    assert!(again.canonical, "the normal form is canonical");
    assert_eq!(again.unknown, shape.unknown, "normalising keeps unknown fields");
    assert!(normal.len() <= data.len() * 11, "the normal form grows by packed values and signs only");
}

/// Any bytes as JSON: an image or an error, and an image that reads as what it was encoded from.
pub fn json(data: &[u8]) {
    let Ok(image) = encode(data) else { return };
    let Ok(parsed) = Image::parse(b"", &image) else { return };
    for entry in parsed.entries() {
        let _ = entry.map(|entry| entry.check().is_ok());
    }
}

/// Any bytes as the entries of a page map: every look-up agrees with a walk over the runs.
pub fn pagemap(mut data: &[u8]) {
    let Some(page_size) = choose(&[4096u64, 16384, 65536], &mut data) else { return };
    let mut image = b"\x19\x43\x56\x54\x25\x40\x08\x56\x02\0\0\0\x08\x01".to_vec();
    image.extend_from_slice(data);
    let image = Image::parse(b"pagemap-1.img", &image).expect("a header");
    let Ok(map) = PageMap::parse(image, *page_size) else { return };
    let totals = map.totals();
    assert_eq!(map.runs().count() as u64, totals.entries, "every entry is a run");
    for run in map.runs() {
        let Ok(found) = map.find(run.entry.vaddr) else {
            assert!(!map.is_sorted(), "a sorted map can be searched");
            continue;
        };
        assert!(map.is_sorted());
        if run.entry.pages == 0 {
            continue;
        }
        match (run.residency, found) {
            (Residency::Present { file_offset }, PagePlace::Present { file_offset: found }) => {
                assert_eq!(file_offset, found);
                assert!(found < totals.file_bytes, "a page lies inside the pages file");
            }
            (Residency::Blocks { .. }, PagePlace::Block { .. } | PagePlace::Zero)
            | (Residency::Parent, PagePlace::Parent)
            | (Residency::Lazy, PagePlace::Lazy)
            | (Residency::Nowhere, PagePlace::Absent) => {}
            other => panic!("the walk and the look-up disagree: {other:?}"),
        }
    }
}

/// Any bytes as any raw image.
pub fn raw(data: &[u8]) {
    for spec in KINDS {
        if let crate::kind::Framing::Raw(format) = spec.framing {
            assert_eq!(summarize(format, data).size_bytes, data.len() as u64);
        }
    }
    assert_eq!(summarize(RawFormat::Foreign, data).format, RawFormat::Foreign);
}

/// Inputs that each body takes without damage, made from an image: where fuzzing starts from.
///
/// `name` is the file name of the image.
pub fn seed(body: &str, name: &str, image: &[u8]) -> Option<Vec<u8>> {
    let (spec, _) = crate::kind::spec_by_file_name(name.as_bytes())?;
    let kind = KINDS.iter().position(|each| std::ptr::eq(each, spec))? as u8;
    let parsed = Image::parse(name.as_bytes(), image).ok()?;
    let content = image.get(parsed.identity().header.len()..)?;
    let first = parsed.entries().next().and_then(Result::ok);
    Some(match body {
        "frame" => [&[kind], image].concat(),
        "kind" => [&[kind, u8::from(parsed.identity().order == crate::ByteOrder::Big)], content].concat(),
        "record" => {
            let entry = first?;
            let behind = image.get(entry.body_offset() as usize + entry.body().len()..)?;
            let len = u8::try_from(entry.body().len()).ok()?;
            [&[kind, len], entry.body(), behind].concat()
        }
        "message" => {
            let entry = first?;
            let at = MESSAGES.iter().position(|each| std::ptr::eq(*each, entry.message()))? as u8;
            [&[at], entry.body()].concat()
        }
        "json" => {
            require_records(&parsed).ok()?;
            let mut text = Vec::new();
            to_writer(&mut text, &ImageJson::new(parsed, JsonOptions::default()), Style::Line).ok()?;
            text
        }
        "pagemap" if spec.name == "PAGEMAP" => [&[0], image.get(first?.len() + 8..)?].concat(),
        "raw" => image.to_vec(),
        _ => return None,
    })
}

#[cfg(test)]
mod smoke {
    use ckx_testkit::{Rng, cases, mutate};

    /// Inputs per body. Few, so that `cargo test` stays quick; the fuzz targets run for long.
    const ROUNDS: usize = 20_000;

    fn run(name: &str, body: fn(&[u8])) {
        let seeds: Vec<Vec<u8>> =
            cases().iter().filter_map(|case| super::seed(name, &case.name, &case.bytes)).collect();
        assert!(!seeds.is_empty(), "nothing to start from");
        let mut rng = Rng::new(name.len() as u64);
        for round in 0..ROUNDS.max(seeds.len()) {
            let mut data = seeds[round % seeds.len()].clone();
            // The first time round each seed is taken as it is.
            for _ in 0..(round / seeds.len()) % 6 {
                mutate(&mut data, &mut rng);
            }
            body(&data);
        }
    }

    #[test]
    fn frame() {
        run("frame", super::frame);
    }

    #[test]
    fn kind() {
        run("kind", super::kind);
    }

    #[test]
    fn record() {
        run("record", super::record);
    }

    #[test]
    fn message() {
        run("message", super::message);
    }

    #[test]
    fn json() {
        run("json", super::json);
    }

    #[test]
    fn pagemap() {
        run("pagemap", super::pagemap);
    }

    #[test]
    fn raw() {
        run("raw", super::raw);
    }

    /// Every kind of image has a synthetic case, so that an addition is never without one.
    #[test]
    fn every_kind_has_a_case() {
        let cases = cases();
        for spec in crate::KINDS {
            // The old pages files have the name of the new ones.
            let name = |case: &ckx_testkit::Case| {
                crate::Image::parse(case.name.as_bytes(), &case.bytes).map(|image| image.kind())
            };
            let found = cases.iter().any(|case| name(case) == Ok(spec.kind));
            let is_file = spec.pattern != "parent";
            assert!(found || !is_file, "{} ({}) has no synthetic case", spec.name, spec.pattern);
        }
    }
}
