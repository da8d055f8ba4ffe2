//! What differs, one thing at a time.

use std::collections::HashSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::diff::memory::MemoryChange;
use crate::outline::Cell;

/// How a thing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Only the second checkpoint has it.
    Added,
    /// Only the first checkpoint has it.
    Removed,
    /// Both have it, with different values.
    Changed,
    /// Both have it alike. Told only when asked for.
    Same,
}

impl Mark {
    /// The sign that stands before a line.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Removed => "-",
            Self::Changed => "~",
            Self::Same => "=",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// The comparison that found it.
    pub kind: &'static str,
    /// How it differs.
    pub mark: Mark,
    /// What differs: `proc[7].fd[9].offset`. A process is told by its id in the first checkpoint, or in
    /// the second if only that has it; by both (`proc[7:9]`) where they are not the same.
    pub path: String,
    /// Value in the first checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Value in the second checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Whether values are left out because they are likely to be secret.
    #[serde(skip_serializing_if = "is_false")]
    pub redacted: bool,
    /// Whether it belongs to how and when the checkpoint was made, not to the container.
    #[serde(skip_serializing_if = "is_false")]
    pub of_dump: bool,
    /// What one should know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// What differs in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Box<MemoryChange>>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Change {
    /// A difference of values. The comparison's name is set when its row is done.
    pub(crate) fn new(path: impl Into<String>, before: Option<Value>, after: Option<Value>) -> Self {
        let mark = match (&before, &after) {
            (None, Some(_)) => Mark::Added,
            (Some(_), None) => Mark::Removed,
            _ => Mark::Changed,
        };
        Self {
            kind: "",
            mark,
            path: path.into(),
            before,
            after,
            redacted: false,
            of_dump: false,
            remark: None,
            memory: None,
        }
    }

    /// Something that both have alike.
    pub(crate) fn same(path: impl Into<String>) -> Self {
        Self { mark: Mark::Same, ..Self::new(path, None, None) }
    }

    /// The line that people read, without its mark: what differs, and [`Self::values`].
    pub fn cells(&self) -> Vec<Cell> {
        [vec![Cell::Text(self.path.clone())], self.values()].concat()
    }

    /// How it differs, in pieces between which a narrow screen may break the line.
    pub fn values(&self) -> Vec<Cell> {
        let mut pieces = match (&self.memory, &self.before, &self.after) {
            (Some(memory), ..) => memory.cells(),
            _ if self.redacted => vec![Cell::Faint("(value hidden; --reveal shows it)".to_owned())],
            (_, Some(before), Some(after)) => both(before, after),
            (_, Some(value), None) | (_, None, Some(value)) => one(value),
            (_, None, None) => Vec::new(),
        };
        pieces.extend(self.remark.iter().map(|remark| Cell::Marked(remark.clone())));
        pieces
    }
}

/// What was and what is.
fn both(before: &Value, after: &Value) -> Vec<Cell> {
    match (before, after) {
        (Value::Array(before), Value::Array(after)) if is_long(before) || is_long(after) => {
            return list(before, after);
        }
        (Value::Object(before), Value::Object(after)) => {
            let pieces = fields(before, after);
            if !pieces.is_empty() {
                return pieces;
            }
        }
        _ => {}
    }
    vec![cell(before), arrow(cell(after))]
}

fn arrow(after: Cell) -> Cell {
    Cell::Line(vec![Cell::Faint("->".to_owned()), after])
}

/// The plain fields that differ, each with what was and what is.
fn fields(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Cell> {
    let is_nested = |value: &Value| value.is_array() || value.is_object();
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let mut pieces = Vec::new();
    for name in names {
        let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or(Value::Null);
        let (old, new) = (of(before), of(after));
        if old == new || is_nested(&old) || is_nested(&new) {
            continue;
        }
        let ((name, old), (_, new)) = (named(name, &old), named(name, &new));
        pieces.push((format!("{name} {}", short(&old)), short(&new)));
    }
    let last = pieces.len().saturating_sub(1);
    let comma = |at: usize| if at < last { "," } else { "" };
    let pieces = pieces.into_iter().enumerate();
    pieces
        .map(|(at, (old, new))| {
            Cell::Line(vec![Cell::Text(old), arrow(Cell::Text(format!("{new}{}", comma(at))))])
        })
        .collect()
}

/// What is on one side only: a thing field by field, without what is below it.
fn one(value: &Value) -> Vec<Cell> {
    let Value::Object(fields) = value else { return vec![cell(value)] };
    let plain =
        fields.iter().filter(|(_, value)| !value.is_array() && !value.is_object() && !value.is_null());
    let told: Vec<(&str, String)> = plain.map(|(name, value)| named(name, value)).collect();
    let last = told.len().saturating_sub(1);
    let comma = |at: usize| if at < last { "," } else { "" };
    let texts =
        told.iter().enumerate().map(|(at, (name, text))| format!("{name} {}{}", short(text), comma(at)));
    texts.map(Cell::Text).collect()
}

/// A field as people read it. JSON has it whole, in seconds and with its unit.
fn named<'n>(name: &'n str, value: &Value) -> (&'n str, String) {
    match (name, value) {
        (_, Value::Null) => (name, "none".to_owned()),
        // Enough to tell one from the other.
        ("content_xxh3", Value::String(text)) => ("content", text.get(..8).unwrap_or(text).to_owned()),
        ("mtime_s", Value::Number(seconds)) => {
            let time = seconds.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok());
            match time {
                Some(time) => ("mtime", time.to_string()),
                None => (name, seconds.to_string()),
            }
        }
        (_, value) => (name, plain(value)),
    }
}

/// Values of a list above which only those are shown that are not on both sides.
const LONG_LIST: usize = 6;

fn is_long(list: &[Value]) -> bool {
    list.len() > LONG_LIST && list.iter().all(|value| !value.is_object() && !value.is_array())
}

/// What was taken out of a list and put into it.
fn list(before: &[Value], after: &[Value]) -> Vec<Cell> {
    let only = |sign: &str, list: &[Value], other: &[Value]| -> Vec<Cell> {
        let other: HashSet<String> = other.iter().map(Value::to_string).collect();
        let missing = list.iter().filter(|value| !other.contains(&value.to_string()));
        missing.take(MAX_TEXT).map(|value| Cell::Text(short(&format!("{sign}{}", plain(value))))).collect()
    };
    let cells = [only("-", before, after), only("+", after, before)].concat();
    if cells.is_empty() { vec![Cell::from("the same in another order or number")] } else { cells }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Longest text of one value on a line; JSON has all of it.
const MAX_TEXT: usize = 200;

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Faint("none".to_owned()),
        Value::Bool(true) => Cell::from("yes"),
        Value::Bool(false) => Cell::from("no"),
        Value::Number(number) => Cell::Text(number.to_string()),
        Value::String(text) if text.is_empty() => Cell::from("\"\""),
        Value::String(text) => Cell::Text(short(text)),
        Value::Array(values) => Cell::Text(short(&words(values))),
        Value::Object(_) => Cell::Line(one(value)),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The plain values of a list.
fn words(values: &[Value]) -> String {
    let word = |value: &Value| match value {
        Value::Array(_) | Value::Object(_) => "…".to_owned(),
        plain => self::plain(plain),
    };
    values.iter().take(MAX_TEXT).map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(before: Option<Value>, after: Option<Value>) -> String {
        Cell::Line(Change::new("proc[7].fd[9]", before, after).cells()).to_string()
    }

    #[test]
    fn lines_say_what_was_and_what_is() {
        assert_eq!(text(Some(json!(1)), Some(json!(20))), "proc[7].fd[9] 1 -> 20");
        assert_eq!(text(Some(json!(null)), Some(json!(""))), "proc[7].fd[9] none -> \"\"");
        let words = |text: &str| Some(json!(text.split(' ').collect::<Vec<_>>()));
        assert_eq!(text(words("a b"), words("a c")), "proc[7].fd[9] a b -> a c");
        assert_eq!(text(words("a b c d e f g"), words("a b c x d e f y")), "proc[7].fd[9] -g +x +y");
        let thing = json!({"kind": "REG", "offset_bytes": 3, "more": [1], "none": null});
        assert_eq!(text(None, Some(thing)), "proc[7].fd[9] kind REG, offset_bytes 3");
        let file = |mtime, size| Some(json!({"mtime_s": mtime, "size_bytes": size, "more": [mtime]}));
        assert_eq!(
            text(file(1_795_452_801, 3), file(1_795_452_940, 3)),
            "proc[7].fd[9] mtime 2026-11-23T16:53:21Z -> 2026-11-23T16:55:40Z"
        );
        assert_eq!(text(file(0, 3), file(0, 4)), "proc[7].fd[9] size_bytes 3 -> 4");
        assert_eq!(
            text(file(0, 3), file(u64::MAX, 4)),
            "proc[7].fd[9] mtime 1970-01-01T00:00:00Z -> 18446744073709551615, size_bytes 3 -> 4"
        );
        assert_eq!(text(Some(json!(["a", "b", {}])), None), "proc[7].fd[9] a b …");
        assert_eq!(text(None, Some("x".repeat(300).into())).chars().count(), 14 + MAX_TEXT + 1);
    }
}
