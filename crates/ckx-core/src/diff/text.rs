//! `arguments` and `environment`: what programs were called with, as it is in memory.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::diff::change::{Change, Mark};
use crate::diff::structure::hide;
use crate::diff::{Comparison, Pair, Side};
use crate::model::{Process, arguments};
use crate::{Checkpoint, Name, secret};

/// Lets `compare` look at each pair of processes that have memory.
fn each(pair: &Pair<'_>, mut compare: impl FnMut(&str, &Process, &Process)) {
    for ids in pair.pairing.pairs() {
        let (a, b) = (pair.before.processes().get(ids.before), pair.after.processes().get(ids.after));
        if let (Some(a), Some(b)) = (a, b)
            && a.mm.is_some()
            && b.mm.is_some()
        {
            let place = format!("proc[{}]", pair.pairing.name_of(a.pid, Side::Before));
            compare(&place, a, b);
        }
    }
}

type Entries = Vec<Vec<u8>>;
type Read = fn(&Checkpoint, &Process) -> Result<Entries, String>;

/// Reads something of both processes; what cannot be read is told.
fn both(
    pair: &Pair<'_>,
    read: Read,
    a: &Process,
    b: &Process,
    found: &mut Comparison,
) -> Option<(Entries, Entries)> {
    let mut side = |side, checkpoint, process: &Process| {
        read(checkpoint, process)
            .map_err(|reason| {
                let image = format!("pagemap-{}.img", process.pid);
                let reason = format!("the arguments or the environment cannot be read: {reason}");
                found.issues.push((side, crate::Issue::new(&image, "arguments-unreadable", reason)));
            })
            .ok()
    };
    let (before, after) = (side(Side::Before, pair.before, a), side(Side::After, pair.after, b));
    before.zip(after)
}

/// Compares command lines.
pub(super) fn arguments(pair: &Pair<'_>) -> Comparison {
    let mut found = Comparison::default();
    let mut changes = Vec::new();
    each(pair, |place, a, b| {
        let Some((before, after)) = both(pair, arguments::command_line, a, b, &mut found) else { return };
        let path = format!("{place}.cmdline");
        if before == after {
            found.same += 1;
            changes.extend(pair.options.keep_same.then(|| Change::same(path)));
            return;
        }
        let shown = |words: &Entries| secret::arguments(words, pair.options.reveal);
        let ((before, hides_before), (after, hides_after)) = (shown(&before), shown(&after));
        let value = |words: &[Name]| Value::from(words.iter().map(ToString::to_string).collect::<Vec<_>>());
        let mut change = Change::new(path, Some(value(&before)), Some(value(&after)));
        if hides_before || hides_after {
            change.remark = Some("secrets hidden".to_owned());
        }
        changes.push(change);
    });
    found.changes = changes;
    found
}

/// Compares environments, variable by variable.
pub(super) fn environment(pair: &Pair<'_>) -> Comparison {
    let mut found = Comparison::default();
    let mut changes = Vec::new();
    each(pair, |place, a, b| {
        let Some((before, after)) = both(pair, arguments::environment, a, b, &mut found) else { return };
        found.same += variables(&format!("{place}.env"), &before, &after, pair.options, &mut changes);
    });
    found.changes = changes;
    found
}

/// Compares lists of `NAME=value`; the number of those that are the same.
pub(crate) fn variables(
    place: &str,
    before: &[Vec<u8>],
    after: &[Vec<u8>],
    options: &crate::diff::Options,
    changes: &mut Vec<Change>,
) -> u64 {
    let (before, after) = (named(before), named(after));
    let by_name = |list: &[Variable]| -> HashMap<Vec<u8>, Vec<u8>> { list.iter().cloned().collect() };
    let values = (by_name(&before), by_name(&after));
    let mut same = 0;
    let only_after = after.iter().filter(|(name, _)| !values.0.contains_key(name));
    for (name, _) in before.iter().chain(only_after) {
        let (a, b) = (values.0.get(name).cloned(), values.1.get(name).cloned());
        let path = format!("{place}.{}", Name::from(name));
        if a == b {
            same += 1;
            changes.extend(options.keep_same.then(|| Change::same(path)));
            continue;
        }
        let hides = [&a, &b].into_iter().flatten().any(|value| secret::hides_variable(name, value));
        let text = |value: Option<Vec<u8>>| value.map(|value| Value::from(Name::from(value).to_string()));
        let mut change = Change::new(path, text(a), text(b));
        if hides && !options.reveal && change.mark != Mark::Same {
            hide(&mut change);
        }
        changes.push(change);
    }
    same
}

/// Name and value.
type Variable = (Vec<u8>, Vec<u8>);

/// Variables by name, in order; of several with one name the first counts, as for programs. Entries
/// without a name are told by themselves.
fn named(entries: &[Vec<u8>]) -> Vec<Variable> {
    let mut seen = HashSet::new();
    let split = entries.iter().map(|entry| match entry.iter().position(|byte| *byte == b'=') {
        Some(at) if at > 0 => (entry[..at].to_vec(), entry[at + 1..].to_vec()),
        _ => (entry.clone(), Vec::new()),
    });
    split.filter(|(name, _)| seen.insert(name.clone())).collect()
}
