//! `container`: what the engine says of the container.

use serde_json::Value;

use crate::diff::structure::{ListRule, Rules, Treatment, Walk};
use crate::diff::{Comparison, Pair, Side};
use crate::{Checkpoint, Issue};

/// Files of engines that are JSON, at the top of the archive.
const FILES: &[&str] = &["config.dump", "spec.dump", "status.dump", "status", "network.status", "bind.mounts"];

const RULES: Rules = Rules {
    lists: &[] as &[ListRule],
    fields: &[
        ("checkpointedTime", Treatment::OfDump),
        ("checkpointedAt", Treatment::OfDump),
    ],
};

/// Compares them path by path.
pub(super) fn compare(pair: &Pair<'_>) -> Comparison {
    let mut all = Comparison::default();
    for name in FILES {
        let before = read(pair.before, name, Side::Before, &mut all.issues);
        let after = read(pair.after, name, Side::After, &mut all.issues);
        let (Some(before), Some(after)) = (before, after) else { continue };
        let walk = Walk::new(RULES, pair.pairing).keep_same(pair.options.keep_same);
        let found = walk.compare(name, &before, &after);
        all.changes.extend(found.changes);
        all.same += found.same;
    }
    all
}

/// The value of a file; null if there is none, `None` if it cannot be read.
fn read(checkpoint: &Checkpoint, name: &str, side: Side, issues: &mut Vec<(Side, Issue)>) -> Option<Value> {
    match checkpoint.json(name) {
        Ok(value) => Some(value.unwrap_or(Value::Null)),
        Err(issue) => {
            issues.push((side, issue));
            None
        }
    }
}
