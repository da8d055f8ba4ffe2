//! The descriptions of a container, opened to be changed.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::object::Object;
use crate::Error;
use crate::facts::Facts;
use crate::plan::{Content, Entry, Plan};

/// Documents that were opened, by the names of their members.
#[derive(Debug, Default)]
pub(super) struct Documents(BTreeMap<&'static str, Object>);

impl Documents {
    /// A document of the plan.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is not there or no object.
    pub fn open(&mut self, plan: &Plan, name: &'static str) -> Result<&mut Object, Error> {
        if !self.0.contains_key(name) {
            let content = plan.get(name.as_bytes()).map(|entry| &entry.content);
            let Some(Content::Bytes(bytes)) = content else {
                return Err(Error::refused(format!("there is no {name} that could be changed"))
                    .hinted("only checkpoints of container engines describe a container"));
            };
            let object = Object::parse(bytes)
                .map_err(|error| Error::refused(format!("{name} cannot be changed: {error}")))?;
            self.0.insert(name, object);
        }
        Ok(self.0.entry(name).or_default())
    }

    /// A document that is not in the plan yet.
    pub fn add(&mut self, name: &'static str, object: Object) {
        self.0.insert(name, object);
    }

    /// Puts the documents into the plan, and into what is known of the checkpoint.
    pub fn put(self, plan: &mut Plan, facts: &mut Facts) {
        for (name, object) in self.0 {
            let bytes = Bytes::from(object.to_bytes());
            let value = serde_json::from_slice(&bytes).unwrap_or_default();
            match name {
                "config.dump" => facts.config = value,
                "spec.dump" => facts.spec = value,
                _ => facts.status = value,
            }
            match plan.get_mut(name.as_bytes()) {
                Some(entry) => {
                    entry.content = Content::Bytes(bytes);
                    entry.patches.clear();
                }
                None => plan.put(name.as_bytes(), Entry::file(Content::Bytes(bytes))),
            }
        }
        facts.tell_engine();
    }
}
