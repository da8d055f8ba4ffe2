//! Every image of real dumps: lossless in each form, and equal to what CRIU's own crit recorded.
//!
//! The fixtures are checked always. The corpus is large and not part of the project: `CKX_CORPUS`
//! names its place, and without it its tests say so and pass.

#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeMap;

use ckx_criu::json::{ImageJson, JsonOptions, Payload, Style, encode, require_records, to_writer};
use ckx_criu::write::{EntryEdit, rewrite};
use ckx_criu::{Error, Image, wire};
use support::corpus::{Corpus, each_image};
use support::crit;

/// What went wrong, by sort, with the first examples, and how many comparisons were made.
#[derive(Default)]
struct Failures {
    found: BTreeMap<&'static str, Vec<String>>,
    compared: usize,
}

impl Failures {
    fn add(&mut self, what: &'static str, detail: String) {
        self.found.entry(what).or_default().push(detail);
    }

    fn merge(mut self, other: Self) -> Self {
        self.compared += other.compared;
        for (what, details) in other.found {
            self.found.entry(what).or_default().extend(details);
        }
        self
    }

    fn assert_none(&self) {
        let mut report = String::new();
        for (what, details) in &self.found {
            report += &format!("{}: {} times\n", what, details.len());
            for detail in details.iter().take(8) {
                report += &format!("    {detail}\n");
            }
        }
        assert!(report.is_empty(), "{report}");
    }
}

fn json_of(image: Image<'_>, pretty: bool) -> (Vec<u8>, u64) {
    let document = ImageJson::new(image, JsonOptions { pretty, payload: Payload::Full });
    let mut out = Vec::new();
    let style = if pretty { Style::Indented } else { Style::Line };
    to_writer(&mut out, &document, style).expect("writing to memory");
    (out, document.problems().1)
}

fn lossless(path: &str, image: Image<'_>, failures: &mut Failures) {
    let data = image.data();
    match rewrite(&image, |_| Ok::<_, Error>(EntryEdit::Keep)) {
        Ok(same) if same == data => {}
        _ => failures.add("rewrite", path.to_owned()),
    }
    for entry in image.entries().flatten() {
        if wire::normalize(entry.message(), entry.body()) != entry.body() {
            failures.add("dynamic", format!("{path} entry {}", entry.index()));
        }
        match entry.check() {
            Ok(shape) if !shape.canonical => {
                failures.add("not canonical", format!("{path} entry {}", entry.index()))
            }
            Ok(shape) if shape.unknown => {
                failures.add("unknown field", format!("{path} entry {}", entry.index()))
            }
            Ok(_) => {}
            Err(error) => failures.add("check", format!("{path}: {error}")),
        }
    }
    for (what, pretty) in [("plain JSON", false), ("pretty JSON", true)] {
        let (json, problems) = json_of(image, pretty);
        if problems > 0 {
            failures.add("problems", path.to_owned());
        }
        match encode(&json) {
            Ok(again) if again == data => {}
            Ok(again) => {
                let at = again.iter().zip(data).position(|(a, b)| a != b);
                failures.add(
                    what,
                    format!("{path}: differs at {at:?} ({} and {} bytes)", again.len(), data.len()),
                );
            }
            Err(error) => failures.add(what, format!("{path}: {error}")),
        }
    }
}

#[test]
fn every_fixture_is_lossless_in_every_form() {
    assert!(lossless_in_every_form(&Corpus::fixtures()) > 120);
}

#[test]
fn every_image_of_the_corpus_is_lossless_in_every_form() {
    let Some(corpus) = Corpus::load() else { return };
    assert!(lossless_in_every_form(&corpus) > 30_000, "is the corpus whole?");
}

#[test]
fn json_of_fixtures_equals_what_crit_recorded() {
    assert!(equals_crit(&Corpus::fixtures()) > 100);
}

#[test]
fn json_of_the_corpus_equals_what_crit_recorded() {
    let Some(corpus) = Corpus::load() else { return };
    assert!(equals_crit(&corpus) > 39_000, "is the corpus whole?");
}

/// Returns how many files were checked.
fn lossless_in_every_form(corpus: &Corpus) -> usize {
    let (failures, count) = each_image(corpus, Failures::default, Failures::merge, |failures, path, data| {
        match Image::parse(path.as_bytes(), data) {
            Ok(image) if require_records(&image).is_ok() => lossless(path, image, failures),
            Ok(_) => {}
            Err(error) => failures.add("parse", error.to_string()),
        }
    });
    failures.assert_none();
    count
}

/// Returns how many recorded documents were compared.
fn equals_crit(corpus: &Corpus) -> usize {
    let (failures, _) = each_image(corpus, Failures::default, Failures::merge, |failures, path, data| {
        for (suffix, forms) in [(".crit.json", &[false, true][..]), (".crit.pretty.json", &[true])] {
            let Some(recorded) = corpus.get(&format!("{path}{suffix}")) else { continue };
            let Ok(image) = Image::parse(path.as_bytes(), data) else { continue };
            let path = format!("{path}{suffix}");
            compare(&path, image, recorded, forms, failures);
        }
    });
    failures.assert_none();
    failures.compared
}

/// `forms` are plain and pretty: some recordings named like the plain form are of the pretty one.
fn compare(path: &str, image: Image<'_>, recorded: &[u8], forms: &[bool], failures: &mut Failures) {
    let expected: serde_json::Value = match serde_json::from_slice(recorded) {
        Ok(expected) => expected,
        Err(error) => return failures.add("recording", format!("{path}: {error}")),
    };
    let difference = |pretty: &bool| {
        let (json, _) = json_of(image, *pretty);
        let ours: serde_json::Value = serde_json::from_slice(&json).expect("our JSON is JSON");
        crit::difference(&image, &ours, &expected, *pretty)
    };
    let differences: Vec<String> = forms.iter().map_while(difference).collect();
    failures.compared += 1;
    if differences.len() == forms.len() {
        failures.add("differs", format!("{path}: {}", differences.join(" / ")));
    }
    match encode(recorded) {
        Ok(again) if again == image.data() || crit::cannot_encode(&image, &expected) => {}
        Ok(again) => {
            failures.add("encode", format!("{path}: {} and {} bytes", again.len(), image.data().len()))
        }
        Err(_) if crit::cannot_encode(&image, &expected) => {}
        Err(error) => failures.add("encode", format!("{path}: {error}")),
    }
}
