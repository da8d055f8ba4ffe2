//! `container`: what the engine says of the container.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diff::change::Change;
use crate::diff::rules::{Key, ListRule, Rules, Treatment};
use crate::diff::structure::{Walk, hide};
use crate::diff::text::variables;
use crate::diff::{Comparison, Pair, Side};
use crate::{Checkpoint, Issue, secret};

/// Files of engines that are JSON, at the top of the archive.
const FILES: &[&str] =
    &["config.dump", "spec.dump", "status.dump", "status", "network.status", "bind.mounts"];

const RULES: Rules = Rules {
    lists: &[
        ListRule { at: "mounts", key: Key::Fields(&["destination"]), shown: "" },
        ListRule { at: "rlimits", key: Key::Fields(&["type"]), shown: "" },
        ListRule { at: "namespaces", key: Key::Fields(&["type"]), shown: "" },
    ],
    fields: &[
        ("checkpointedTime", Treatment::OfDump),
        ("checkpointedAt", Treatment::OfDump),
        ("restoredTime", Treatment::OfDump),
        ("restored", Treatment::OfDump),
        // The processes have their own.
        ("pid", Treatment::OfDump),
        ("Pid", Treatment::OfDump),
    ],
};

/// Compares them path by path.
pub(super) fn compare(pair: &Pair<'_>) -> Comparison {
    let mut all = Comparison::default();
    for name in FILES {
        let before = read(pair.before, name, Side::Before, &mut all.issues);
        let after = read(pair.after, name, Side::After, &mut all.issues);
        let (Some(mut before), Some(mut after)) = (before, after) else { continue };
        let (mut env_before, mut env_after) = (BTreeMap::new(), BTreeMap::new());
        take_environments(&mut before, name, &mut env_before);
        take_environments(&mut after, name, &mut env_after);
        let found = Walk::new(RULES, pair).compare(name, &before, &after);
        all.same += found.same;
        all.changes.extend(found.changes.into_iter().map(|change| masked(change, pair.options.reveal)));
        let none = Vec::new();
        let paths: std::collections::BTreeSet<&String> = env_before.keys().chain(env_after.keys()).collect();
        for path in paths {
            let list = |map: &'_ BTreeMap<String, Vec<Vec<u8>>>| map.get(path).unwrap_or(&none).clone();
            all.same +=
                variables(path, &list(&env_before), &list(&env_after), pair.options, &mut all.changes);
        }
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

/// Takes lists of variables out of a value, by path: they are compared by name. The parser of JSON
/// bounds how deep values are.
fn take_environments(value: &mut Value, path: &str, out: &mut BTreeMap<String, Vec<Vec<u8>>>) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        let below = format!("{path}.{name}");
        match value {
            Value::Array(list) if name.eq_ignore_ascii_case("env") && list.iter().all(Value::is_string) => {
                let entries = std::mem::take(list).into_iter();
                let bytes = entries.filter_map(|entry| Some(entry.as_str()?.as_bytes().to_vec()));
                out.insert(below, bytes.collect());
            }
            value => take_environments(value, &below, out),
        }
    }
}

/// A change without what is likely to be secret.
fn masked(mut change: Change, reveal: bool) -> Change {
    if reveal {
        return change;
    }
    let field = change.path.rsplit(['.', '[']).next().unwrap_or_default().trim_end_matches(']').to_owned();
    let hides = |value: &Option<Value>| value.as_ref().is_some_and(|value| hides(&field, value));
    if hides(&change.before) || hides(&change.after) {
        hide(&mut change);
    }
    change
}

/// Whether a value is likely to hold a secret.
fn hides(field: &str, value: &Value) -> bool {
    let any = |words: &[Vec<u8>]| secret::arguments(words, false).1;
    match value {
        Value::String(text) => {
            any(&[text.as_bytes().to_vec()]) || any(&[format!("{field}={text}").into_bytes()])
        }
        Value::Array(list) => {
            let words: Vec<Vec<u8>> =
                list.iter().filter_map(|word| Some(word.as_str()?.as_bytes().to_vec())).collect();
            any(&words) || list.iter().any(|value| hides(field, value))
        }
        Value::Object(fields) => fields.iter().any(|(name, value)| hides(name, value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_are() {
        for value in [
            json!({"a": {"api_token": "x"}}),
            json!(["run", "--password", "x"]),
            json!("ghp_0123456789abcdef"),
        ] {
            let change = Change::new("config.dump.spec", None, Some(value.clone()));
            assert!(masked(change.clone(), false).redacted, "{value}");
            assert_eq!(masked(change.clone(), true), change);
        }
        let named = Change::new("spec.dump.annotations[io/db-password]", Some(json!("x")), Some(json!("y")));
        assert_eq!(masked(named, false).after, None);
        let plain = Change::new("spec.dump.process.cwd", Some(json!("/")), Some(json!("/srv")));
        assert!(!masked(plain, false).redacted);
    }

    #[test]
    fn environments_are_taken_out() {
        let mut value = json!({"process": {"env": ["A=1", "B=2"], "args": ["x"]}});
        let mut out = BTreeMap::new();
        take_environments(&mut value, "spec.dump", &mut out);
        assert_eq!(out.keys().collect::<Vec<_>>(), ["spec.dump.process.env"]);
        assert_eq!(out["spec.dump.process.env"], [b"A=1", b"B=2"]);
        assert_eq!(value, json!({"process": {"env": [], "args": ["x"]}}));
    }
}
