//! Every image of the corpus of real checkpoints: lossless in each form, and equal to what CRIU's
//! own crit recorded.
//!
//! The corpus is large and not part of the project: `CKX_CORPUS` names its place. Without it these
//! tests say so and pass.

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
fn every_image_is_lossless_in_every_form() {
    let Some(corpus) = Corpus::load() else { return };
    let (failures, count) =
        each_image(&corpus, Failures::default, Failures::merge, |failures, path, data| {
            match Image::parse(path.as_bytes(), data) {
                Ok(image) if require_records(&image).is_ok() => lossless(path, image, failures),
                Ok(_) => {}
                Err(error) => failures.add("parse", error.to_string()),
            }
        });
    println!("{count} files");
    failures.assert_none();
    assert!(count > 10_000, "only {count} files: is the corpus whole?");
}

#[test]
fn json_equals_what_crit_recorded() {
    let Some(corpus) = Corpus::load() else { return };
    let (failures, _) = each_image(&corpus, Failures::default, Failures::merge, |failures, path, data| {
        for (suffix, pretty) in [(".crit.json", false), (".crit.pretty.json", true)] {
            let Some(recorded) = corpus.get(&format!("{path}{suffix}")) else { continue };
            let Ok(image) = Image::parse(path.as_bytes(), data) else { continue };
            let expected: serde_json::Value = match serde_json::from_slice(recorded) {
                Ok(expected) => expected,
                Err(error) => {
                    failures.add("recording", format!("{path}{suffix}: {error}"));
                    continue;
                }
            };
            // Some recordings named like the plain form are of the pretty one.
            let forms: &[bool] = if pretty { &[true] } else { &[false, true] };
            let differences: Vec<String> = forms
                .iter()
                .map_while(|pretty| {
                    let (json, _) = json_of(image, *pretty);
                    let ours: serde_json::Value = serde_json::from_slice(&json).expect("our JSON is JSON");
                    crit::difference(&image, &ours, &expected, *pretty)
                })
                .collect();
            failures.compared += 1;
            if differences.len() == forms.len() {
                failures.add("differs", format!("{path}{suffix}: {}", differences.join(" / ")));
            }
            match encode(recorded) {
                Ok(again) if again == data || crit::cannot_encode(&image, &expected) => {}
                Ok(again) => failures
                    .add("encode", format!("{path}{suffix}: {} and {} bytes", again.len(), data.len())),
                Err(_) if crit::cannot_encode(&image, &expected) => {}
                Err(error) => failures.add("encode", format!("{path}{suffix}: {error}")),
            }
        }
    });
    failures.assert_none();
    println!("{} recorded documents", failures.compared);
    assert!(failures.compared > 30_000, "only {} recorded documents", failures.compared);
}
