//! Comparing two values of one form, whatever they hold.
//!
//! Reports go through here as JSON, so that a field that is new in a report is compared without a word
//! being added here. What a comparison has to know of its report is in [`Rules`]: how elements of
//! lists are told apart, and which fields are no differences.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::diff::change::{Change, Mark};
use crate::diff::mappings::Moves;
use crate::diff::rules::{Key, PROCESS_FIELDS, Rules, Treatment, USUAL_KEYS};
use crate::diff::sections::Lost;
use crate::diff::{Pair, Pairing};

/// Compares values and collects what differs.
pub(crate) struct Walk<'a> {
    rules: Rules,
    pairing: &'a Pairing,
    keep_same: bool,
    lost: [Lost; 2],
    /// Where mappings went, if their places do not count.
    moves: Option<&'a Moves>,
    /// Names from the top to where the walk is.
    at: String,
    process: Option<(u32, u32)>,
    of_dump: bool,
    changes: Vec<Change>,
    same: u64,
}

/// What a walk found.
pub(crate) struct Found {
    pub changes: Vec<Change>,
    /// Plain values that are the same on both sides.
    pub same: u64,
}

impl<'a> Walk<'a> {
    pub fn new(rules: Rules, pair: &'a Pair<'_>) -> Self {
        Self {
            rules,
            pairing: pair.pairing,
            keep_same: pair.options.keep_same,
            lost: Default::default(),
            moves: pair.moves,
            at: String::new(),
            process: None,
            of_dump: false,
            changes: Vec::new(),
            same: 0,
        }
    }

    /// What the sides lack because it could not be read.
    pub fn lost(mut self, lost: [Lost; 2]) -> Self {
        self.lost = lost;
        self
    }

    /// Compares two values; `path` is what they are called.
    pub fn compare(mut self, path: &str, before: &Value, after: &Value) -> Found {
        self.value(path, before, after);
        Found { changes: self.changes, same: self.same }
    }

    /// Whether nothing was told of them.
    fn value(&mut self, path: &str, before: &Value, after: &Value) -> bool {
        match (before, after) {
            (Value::Object(a), Value::Object(b)) => self.object(path, a, b),
            (Value::Array(a), Value::Array(b)) => self.list(path, a, b),
            (a, b) if a == b || self.is_moved(a, b) => {
                self.same += 1;
                true
            }
            (Value::Null, b) => self.tell(path, None, Some(b)),
            (a, Value::Null) => self.tell(path, Some(a), None),
            (a, b) => self.tell(path, Some(a), Some(b)),
        }
    }

    fn tell(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) -> bool {
        let is_empty = |value: Option<&Value>| match value {
            None => true,
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(fields)) => fields.is_empty(),
            Some(_) => false,
        };
        if is_empty(before) && is_empty(after) {
            return true;
        }
        let (pid, other) = (self.process.map(|ids| ids.0), self.process.map(|ids| ids.1));
        // Of a process that is not whole on a side only what both sides have is sure.
        let is_broken = pid.is_some_and(|pid| self.lost[0].lacks(pid))
            || other.is_some_and(|pid| self.lost[1].lacks(pid));
        let lacks = match (before, after) {
            (None, _) => is_broken || self.lost[0].may_lack(pid),
            (_, None) => is_broken || self.lost[1].may_lack(other),
            _ => false,
        };
        if lacks {
            return true;
        }
        let pruned = |value: Option<&Value>| value.map(|value| self.pruned(&mut self.at.clone(), value));
        let mut change = Change::new(path, pruned(before), pruned(after));
        change.of_dump = self.of_dump;
        self.changes.push(change);
        false
    }

    /// A value without the fields that are not compared.
    fn pruned(&self, at: &mut String, value: &Value) -> Value {
        match value {
            Value::Array(list) => list.iter().map(|value| self.pruned(at, value)).collect(),
            Value::Object(fields) => {
                let mut out = Map::new();
                for (name, value) in fields {
                    let len = at.len();
                    push_name(at, name);
                    let is_skipped = match self.treatment(at) {
                        Some(Treatment::Skip) => true,
                        Some(Treatment::Number) => value.is_number(),
                        _ => false,
                    };
                    if !is_skipped {
                        out.insert(name.clone(), self.pruned(at, value));
                    }
                    at.truncate(len);
                }
                Value::Object(out)
            }
            plain => plain.clone(),
        }
    }

    fn treatment(&self, at: &str) -> Option<Treatment> {
        self.rules.fields.iter().find(|(rule, _)| is_at(at, rule)).map(|(_, treatment)| *treatment)
    }

    /// Runs `compare` for something called `path`. If nothing was told of it, what is the same in it
    /// becomes one line.
    fn one(&mut self, path: &str, compare: impl FnOnce(&mut Self) -> bool) -> bool {
        let from = self.changes.len();
        let same = compare(self);
        if self.keep_same && same {
            self.changes.truncate(from);
            self.changes.push(Change::same(path));
        }
        same
    }

    fn object(&mut self, path: &str, a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
        let mut same = true;
        let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
        for name in names {
            let below = below(path, name);
            let values = (a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null));
            same &= self.inside(name, |walk| walk.field(&below, name, values));
        }
        same
    }

    /// Runs `walk` one name deeper.
    fn inside<T>(&mut self, name: &str, walk: impl FnOnce(&mut Self) -> T) -> T {
        let len = self.at.len();
        push_name(&mut self.at, name);
        let result = walk(self);
        self.at.truncate(len);
        result
    }

    fn field(&mut self, path: &str, name: &str, (a, b): (&Value, &Value)) -> bool {
        let rule = self.treatment(&self.at);
        let by_name = PROCESS_FIELDS.contains(&name).then_some(Treatment::Process);
        match rule.or(by_name) {
            None => self.one(path, |walk| walk.value(path, a, b)),
            Some(Treatment::Plain) => {
                let outer = std::mem::replace(&mut self.of_dump, false);
                let same = self.value(path, a, b);
                self.of_dump = outer;
                same
            }
            Some(Treatment::Skip) => true,
            Some(Treatment::Number) if a.is_number() || b.is_number() => true,
            Some(Treatment::Number) => self.value(path, a, b),
            Some(Treatment::Process) if self.is_pair(a, b) => {
                self.same += 1;
                true
            }
            Some(Treatment::Process) => self.value(path, a, b),
            Some(Treatment::OfDump) => {
                let outer = std::mem::replace(&mut self.of_dump, true);
                let same = self.value(path, a, b);
                self.of_dump = outer;
                same
            }
        }
    }

    /// Whether these are addresses of one place in a program that lies elsewhere.
    fn is_moved(&self, a: &Value, b: &Value) -> bool {
        let (Some(moves), Some(process)) = (self.moves, self.process) else { return false };
        let address = |value: &Value| u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok();
        match (address(a), address(b)) {
            (Some(a), Some(b)) => moves.are_same(process, a, b),
            _ => false,
        }
    }

    fn is_pair(&self, a: &Value, b: &Value) -> bool {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        match (id(a), id(b)) {
            (Some(a), Some(b)) => self.pairing.are_same(a, b),
            _ => false,
        }
    }

    fn list(&mut self, path: &str, a: &[Value], b: &[Value]) -> bool {
        let rule = self.rules.lists.iter().find(|rule| is_at(&self.at, rule.at)).copied();
        let outer = self.process;
        let is_list_of_objects = a.iter().chain(b).all(Value::is_object);
        let rule = rule.filter(|_| is_list_of_objects);
        let key = rule.map(|rule| rule.key).unwrap_or_else(|| usual_key(a, b));
        let path = match rule {
            Some(rule) if !rule.shown.is_empty() => {
                let parent = path.rfind('.').and_then(|end| path.get(..end)).filter(|_| !path.ends_with(']'));
                match parent {
                    Some(parent) => format!("{parent}.{}", rule.shown),
                    None => rule.shown.to_owned(),
                }
            }
            _ => path.to_owned(),
        };
        let same = match key {
            Key::Position if is_plain(a) && is_plain(b) => self.sequence(&path, a, b),
            Key::Position => self.by_position(&path, a, b),
            key => self.by_key(&path, key, a, b),
        };
        self.process = outer;
        same
    }

    /// Plain values are told together: a command line, capabilities.
    fn sequence(&mut self, path: &str, a: &[Value], b: &[Value]) -> bool {
        if a == b {
            self.same += 1;
            return true;
        }
        self.tell(path, Some(&Value::from(a.to_vec())), Some(&Value::from(b.to_vec())))
    }

    fn by_position(&mut self, path: &str, a: &[Value], b: &[Value]) -> bool {
        let mut same = true;
        for at in 0..a.len().max(b.len()) {
            let below = format!("{path}[{at}]");
            same &= self.one(&below, |walk| match (a.get(at), b.get(at)) {
                (Some(a), Some(b)) => walk.value(&below, a, b),
                (a, b) => walk.tell(&below, a, b),
            });
        }
        same
    }

    fn by_key(&mut self, path: &str, key: Key, a: &[Value], b: &[Value]) -> bool {
        let mut after: HashMap<String, usize> = HashMap::with_capacity(b.len());
        let mut counts: HashMap<String, u32> = HashMap::new();
        for (at, value) in b.iter().enumerate() {
            after.insert(unique(&mut counts, self.key_of(key, value, Side::After)), at);
        }
        counts.clear();
        let mut paired = vec![false; b.len()];
        let mut same = true;
        for value in a {
            let name = unique(&mut counts, self.key_of(key, value, Side::Before));
            let other = after.get(&name).copied();
            let other = other.and_then(|at| Some((paired.get_mut(at)?, b.get(at)?)));
            let other = other.map(|(paired, other)| {
                *paired = true;
                other
            });
            same &= self.element(path, key, &name, Some(value), other);
        }
        let mut counts = HashMap::new();
        for (value, paired) in b.iter().zip(paired) {
            let name = unique(&mut counts, self.key_of(key, value, Side::After));
            if !paired {
                same &= self.element(path, key, &name, None, Some(value));
            }
        }
        same
    }

    /// An element of a list, on both sides or one.
    fn element(&mut self, path: &str, key: Key, name: &str, a: Option<&Value>, b: Option<&Value>) -> bool {
        let both = a.zip(b);
        let below = match key {
            Key::Process(_) | Key::AnyProcess(_) => format!("proc[{name}]"),
            _ if path.ends_with('.') => format!("{path}{name}"),
            _ => format!("{path}[{name}]"),
        };
        if let Key::Process(field) | Key::AnyProcess(field) = key {
            self.process = a.or(b).and_then(|value| self.pair_of(id_in(value, field)?, a.is_some()));
        }
        match both {
            Some((a, b)) => self.one(&below, |walk| walk.value(&below, a, b)),
            None if matches!(key, Key::Process(_)) && self.process.is_none() => true,
            None => self.tell(&below, a, b),
        }
    }

    fn pair_of(&self, pid: u32, is_before: bool) -> Option<(u32, u32)> {
        match is_before {
            true => Some((pid, self.pairing.after(pid)?)),
            false => Some((self.pairing.before(pid)?, pid)),
        }
    }

    /// What an element is called. Processes and threads that are a pair have one name.
    fn key_of(&self, key: Key, value: &Value, side: Side) -> String {
        match key {
            Key::Process(field) | Key::AnyProcess(field) => match id_in(value, field) {
                Some(pid) => self.pairing.name_of(pid, side),
                None => "?".to_owned(),
            },
            Key::Thread(field) => match (id_in(value, field), self.process) {
                (Some(tid), Some(process)) => self.pairing.thread_name(process, tid, side),
                (Some(tid), None) => tid.to_string(),
                _ => "?".to_owned(),
            },
            Key::Fields(fields) => {
                let parts =
                    fields.iter().filter_map(|field| at_path(value, field)).filter(|part| !part.is_null());
                parts.map(plain).collect::<Vec<_>>().join(" ")
            }
            Key::First(fields) => {
                let mut found = fields.iter().filter_map(|field| at_path(value, field));
                found.find(|value| !value.is_null()).map(plain).unwrap_or_default()
            }
            Key::Position => String::new(),
        }
    }
}

/// Which checkpoint.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The first.
    Before,
    /// The second.
    After,
}

/// Takes the values of a change away.
pub(crate) fn hide(change: &mut Change) {
    if change.mark != Mark::Same {
        change.before = None;
        change.after = None;
        change.redacted = true;
    }
}

fn push_name(at: &mut String, name: &str) {
    if !at.is_empty() {
        at.push('.');
    }
    at.push_str(name);
}

/// The path of a field. Names that are no plain words stand in brackets.
fn below(path: &str, name: &str) -> String {
    match (path.is_empty(), name.contains(['.', '/', '[', ' '])) {
        (true, _) => name.to_owned(),
        (false, true) => format!("{path}[{name}]"),
        (false, false) => format!("{path}.{name}"),
    }
}

fn is_at(at: &str, rule: &str) -> bool {
    at.strip_suffix(rule).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn id_in(value: &Value, field: &str) -> Option<u32> {
    at_path(value, field)?.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// The value at `a.b`.
fn at_path<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, name| value.get(name))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The second of one name is `name#2`.
pub(super) fn unique(counts: &mut HashMap<String, u32>, name: String) -> String {
    let count = counts.entry(name.clone()).or_default();
    *count += 1;
    if *count == 1 { name } else { format!("{name}#{count}") }
}

fn is_plain(list: &[Value]) -> bool {
    list.iter().all(|value| !value.is_object() && !value.is_array())
}

/// How elements are told apart where no rule says so.
fn usual_key(a: &[Value], b: &[Value]) -> Key {
    let mut all = a.iter().chain(b).peekable();
    if all.peek().is_none() || !all.clone().all(Value::is_object) {
        return Key::Position;
    }
    let has = |name: &str| {
        a.iter()
            .chain(b)
            .all(|value| value.get(name).is_some_and(|value| value.is_string() || value.is_number()))
    };
    let at = USUAL_KEYS.iter().position(|name| has(name));
    match at.and_then(|at| USUAL_KEYS.get(at..=at)) {
        Some(["pid"]) => Key::Process("pid"),
        Some(["tid"]) => Key::Thread("tid"),
        Some(name) => Key::Fields(name),
        None => Key::Position,
    }
}
