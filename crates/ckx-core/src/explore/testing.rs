//! Help for the tests of the explorers.

use ckx_criu::json::Style;
use ckx_testkit::{Checkpoint, SynthCheckpoint};

use crate::MemoryImages;
use crate::explore::Report;

/// A synthetic checkpoint as a set of images.
pub(super) fn images(checkpoint: SynthCheckpoint) -> MemoryImages {
    let Checkpoint { files, .. } = checkpoint.build();
    let mut images = MemoryImages::default();
    for (name, bytes) in files {
        images.insert(name, bytes);
    }
    images
}

/// The text form of a report.
pub(super) fn text(report: &dyn Report) -> String {
    let mut out = Vec::new();
    report.write_text(&mut out).expect("writing to memory");
    String::from_utf8(out).expect("text is UTF-8")
}

/// The JSON form of a report, in one line.
pub(super) fn json(report: &dyn Report) -> String {
    let mut out = Vec::new();
    report.write_json(&mut out, Style::Line).expect("writing to memory");
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// The issues of a report as text.
pub(super) fn issues(report: &dyn Report) -> Vec<String> {
    report.issues().iter().map(ToString::to_string).collect()
}
