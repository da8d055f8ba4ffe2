//! What differs, one thing at a time.

use std::collections::HashSet;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

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

    /// The line that people read, without its mark.
    pub fn cells(&self) -> Vec<Cell> {
        let mut line = vec![Cell::Text(self.path.clone())];
        if let Some(memory) = &self.memory {
            line.push(Cell::Text(memory.to_string()));
        } else if self.redacted {
            line.push(Cell::Faint("(value hidden; --reveal shows it)".to_owned()));
        } else {
            match (&self.before, &self.after) {
                (Some(Value::Array(before)), Some(Value::Array(after)))
                    if is_long(before) || is_long(after) =>
                {
                    line.extend(list(before, after));
                }
                (Some(before), Some(after)) => {
                    line.extend([cell(before), Cell::Faint("->".to_owned()), cell(after)]);
                }
                (Some(value), None) | (None, Some(value)) => line.push(cell(value)),
                (None, None) => {}
            }
        }
        if let Some(remark) = &self.remark {
            line.push(Cell::Marked(remark.clone()));
        }
        line
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
        Value::Array(_) | Value::Object(_) => Cell::Text(short(&Brief(value).to_string())),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The plain values of a thing, without what is below them.
struct Brief<'a>(&'a Value);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Array(list) => {
                let mut first = true;
                for value in list.iter().take(MAX_TEXT) {
                    f.write_str(if first { "" } else { " " })?;
                    first = false;
                    match value {
                        Value::String(text) => f.write_str(text)?,
                        Value::Array(_) | Value::Object(_) => f.write_str("…")?,
                        plain => plain.fmt(f)?,
                    }
                }
                Ok(())
            }
            Value::Object(fields) => {
                let mut first = true;
                let plain = fields.iter().filter(|(_, value)| !value.is_array() && !value.is_object());
                for (name, value) in plain.filter(|(_, value)| !value.is_null()) {
                    f.write_str(if first { "" } else { ", " })?;
                    first = false;
                    match value {
                        // Enough to tell one from the other; JSON has it whole.
                        Value::String(text) if name == "content_xxh3" => {
                            write!(f, "content {}", text.get(..8).unwrap_or(text))?;
                        }
                        Value::String(text) => write!(f, "{name} {text}")?,
                        plain => write!(f, "{name} {plain}")?,
                    }
                }
                Ok(())
            }
            plain => plain.fmt(f),
        }
    }
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
        assert_eq!(text(Some(json!(["a", "b", {}])), None), "proc[7].fd[9] a b …");
        assert_eq!(text(None, Some("x".repeat(300).into())).chars().count(), 14 + MAX_TEXT + 1);
    }
}
