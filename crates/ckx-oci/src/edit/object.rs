//! JSON objects in which only what is set changes: everything else keeps its bytes and its place.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// An object: keys and values in the order in which they stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    /// Reads one.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// Its compact form. Values that were not set are as they were written.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// A value. Of several with one key engines see the last.
    pub fn get(&self, key: &str) -> Option<Value> {
        serde_json::from_str(self.raw(key)?.get()).ok()
    }

    /// A value that is an object; an empty one if there is none.
    pub fn object(&self, key: &str) -> Self {
        self.raw(key).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// Sets a value, in the place of one that has its key.
    pub fn set(&mut self, key: &str, value: &impl Serialize) {
        // Text, numbers, lists and maps of them always have a JSON form.
        let Ok(raw) = serde_json::value::to_raw_value(value) else { return };
        let place = self.0.iter().rposition(|(name, _)| name == key);
        match place.and_then(|at| self.0.get_mut(at)) {
            Some((_, old)) => *old = raw,
            None => self.0.push((key.to_owned(), raw)),
        }
    }

    /// Takes a value out. Whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(name, _)| name != key);
        self.0.len() < before
    }

    fn raw(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, raw)| &**raw)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, raw)| (key, raw)))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut found = Vec::new();
        while let Some(entry) = map.next_entry()? {
            found.push(entry);
        }
        Ok(Object(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_stays_as_it_is_written() {
        let text = br#"{"z":1.50, "a": { "big": 123456789012345678901234567890 },"z2":"\u00e9"}"#;
        let mut object = Object::parse(text).unwrap();
        object.set("n", &"new");
        object.set("z2", &[1]);
        let expected = r#"{"z":1.50,"a":{ "big": 123456789012345678901234567890 },"z2":[1],"n":"new"}"#;
        assert_eq!(String::from_utf8(object.to_bytes()).unwrap(), expected);
        assert!(object.remove("z") && !object.remove("z"));
        assert!(Object::parse(b"[]").is_err());
    }

    #[test]
    fn of_several_values_with_one_key_the_last_counts() {
        let mut object = Object::parse(br#"{"k":1,"k":2}"#).unwrap();
        assert_eq!(object.get("k"), Some(Value::from(2)));
        object.set("k", &3);
        assert_eq!(object.get("k"), Some(Value::from(3)));
    }
}
