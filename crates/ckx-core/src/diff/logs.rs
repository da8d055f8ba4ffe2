//! `logs`: what the container wrote, and what the dump did.

use serde_json::json;

use crate::Issue;
use crate::diff::change::Change;
use crate::diff::{Comparison, Pair, Side};

/// Logs at the top of archives, and whether they are of the dump.
const LOGS: &[(&str, bool)] = &[
    ("ctr.log", false),
    ("container.log", false),
    ("io.kubernetes.cri-o.LogPath", false),
    ("dump.log", true),
    ("restore.log", true),
];

/// Compares them as a whole: logs grow.
pub(super) fn compare(pair: &Pair<'_>) -> Comparison {
    let mut found = Comparison::default();
    for (name, of_dump) in LOGS {
        let mut read = |side: Side| match pair.side(side).top(name) {
            Ok(bytes) => Some(bytes),
            // Logs of a compressed source that are very large are not kept.
            Err(issue) => {
                found.issues.push((side, Issue { code: "not-compared", ..issue }));
                None
            }
        };
        let (Some(before), Some(after)) = (read(Side::Before), read(Side::After)) else { continue };
        let path = format!("log[{name}]");
        if before == after {
            if before.is_some() {
                found.same += 1;
                found.changes.extend(pair.options.keep_same.then(|| Change::same(path)));
            }
            continue;
        }
        let lines = |data: &[u8]| memchr::memchr_iter(b'\n', data).count();
        let value = |data: &bytes::Bytes| json!({ "size_bytes": data.len(), "lines": lines(data) });
        let mut change = Change::new(path, before.as_ref().map(value), after.as_ref().map(value));
        change.of_dump = *of_dump;
        if let (Some(before), Some(after)) = (&before, &after) {
            let goes_on = after.starts_with(before);
            change.remark = Some(if goes_on { "appended to" } else { "other content" }.to_owned());
        }
        found.changes.push(change);
    }
    found
}
