//! `environment`: environment variables, as they are in memory.

use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::subject::{Subject, living};
use crate::model::{Process, arguments};
use crate::outline::{Cell, Outline};
use crate::{Checkpoint, Issue, Name, secret};

/// Environments, by process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Environment {
    /// Living processes.
    pub processes: Vec<ProcessEnvironment>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Environment of a process: what the area of memory holds that it started with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessEnvironment {
    /// The process.
    #[serde(flatten)]
    pub process: Subject,
    /// Its variables in the order of memory; `None` if they cannot be read.
    pub variables: Option<Vec<Variable>>,
    /// Why they cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

/// An entry of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Variable {
    /// Its name; `None` for an entry without `=`: a rest of an area that the program wrote over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its value, or the whole entry without `=`; `None` when it is hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Name>,
    /// Whether the value is hidden, because it is likely to be secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// Length of the value.
    pub value_bytes: u64,
}

impl Collect for Environment {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let processes: Vec<ProcessEnvironment> =
            living(checkpoint).map(|process| read(checkpoint, process)).collect();
        let mut issues = checkpoint.processes().issues_of(&["mm-"]);
        for process in &processes {
            let ProcessEnvironment { process, absent: Some(reason), .. } = process else { continue };
            // Of an image that is missing the process has told.
            if checkpoint.processes().get(process.pid).is_some_and(|process| process.mm.is_some()) {
                let image = format!("pagemap-{}.img", process.pid);
                let reason = format!("the environment cannot be read: {reason}");
                issues.push(Issue::new(&image, "environment-unreadable", reason));
            }
        }
        Self { processes, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for process in &self.processes {
            let mut inner = Outline::new();
            if let Some(reason) = &process.absent {
                inner.line(Cell::Absent(reason.clone()));
            }
            process.variables.iter().flatten().for_each(|variable| variable.show(&mut inner));
            outline.group(process.process.line(), inner);
        }
        if self.processes.iter().flat_map(|process| process.variables.iter().flatten()).any(|v| v.redacted) {
            outline.line(Cell::Faint("values that may be secret are hidden; --reveal shows them".to_owned()));
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

fn read(checkpoint: &Checkpoint, process: &Process) -> ProcessEnvironment {
    let (variables, absent) = match arguments::environment(checkpoint, process) {
        Ok(entries) => {
            let reveal = checkpoint.options().reveal;
            (Some(entries.iter().map(|entry| Variable::of(entry, reveal)).collect()), None)
        }
        Err(reason) => (None, Some(reason)),
    };
    ProcessEnvironment { process: process.into(), variables, absent }
}

impl Variable {
    /// Draws it.
    pub(crate) fn show(&self, outline: &mut Outline) {
        let value = match &self.value {
            Some(value) => Cell::from(value),
            None => Cell::Faint(format!("hidden, {} bytes", self.value_bytes)),
        };
        match &self.name {
            Some(name) => outline.field(name.to_string(), value),
            None => outline.line(value),
        }
    }

    /// An entry of an environment, with its value hidden if that is likely to be secret.
    pub(crate) fn of(entry: &[u8], reveal: bool) -> Self {
        let (name, value) = match entry.iter().position(|byte| *byte == b'=') {
            // A name is not empty; an entry that begins with the sign is a rest, too.
            Some(at) if at > 0 => (entry.get(..at), entry.get(at + 1..).unwrap_or_default()),
            _ => (None, entry),
        };
        let redacted = !reveal
            && name.map_or_else(|| secret::hides_rest(value), |name| secret::hides_variable(name, value));
        Self {
            name: name.map(Name::from),
            value: (!redacted).then(|| Name::from(value)),
            redacted,
            value_bytes: value.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let hidden = Variable::of(b"MY_SECRET=hunter2", false);
        assert!(hidden.redacted && hidden.value.is_none() && hidden.value_bytes == 7);
        let shown = Variable::of(b"MY_SECRET=hunter2", true);
        assert_eq!(shown.value, Some(Name::from("hunter2")));
        assert!(!shown.redacted);
        let rest = Variable::of(b"/etc/nginx/nginx.conf", false);
        assert_eq!((rest.name, rest.value), (None, Some(Name::from("/etc/nginx/nginx.conf"))));
        assert_eq!(Variable::of(b"=x", false).name, None);
    }
}
