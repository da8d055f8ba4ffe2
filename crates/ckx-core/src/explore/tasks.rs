//! The processes of a dump: what the tree and the core of each say.

use std::collections::HashSet;
use std::io::{self, Write};

use ckx_criu::typed::messages::core_entry::March as Machine;
use ckx_criu::typed::messages::{CoreEntry, PstreeEntry};
use serde::{Serialize, Serializer};

use crate::load::{Gap, Loader};
use crate::{Issue, Name};

/// Image of the process tree.
pub(super) const PSTREE: &str = "pstree.img";

/// A process of the tree. Ids are those inside the dumped pid namespace.
#[derive(Debug, Clone, Serialize)]
pub struct Task {
    /// Process id.
    pub pid: u32,
    /// Process id of the parent; 0 for the root.
    pub ppid: u32,
    /// Process group.
    pub pgid: u32,
    /// Session.
    pub sid: u32,
    /// Name of the leading thread; `None` when its core cannot be read.
    pub comm: Option<Name>,
    /// State; `None` when its core cannot be read.
    pub state: Option<TaskState>,
    /// Number of its descriptor table, where the core holds it: before `ids` images.
    #[serde(skip)]
    pub(super) files_id_in_core: Option<u32>,
    /// The machine, from the core.
    #[serde(skip)]
    pub(super) machine: Option<Machine>,
}

/// States of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Running or sleeping.
    Alive,
    /// Ended, and not yet waited for: only its core is dumped.
    Zombie,
    /// Stopped by a signal.
    Stopped,
    /// A number that CRIU does not store.
    Other(u32),
}

impl From<u32> for TaskState {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Alive,
            // 6 is CRIU's number for a zombie while it dumps; 2 is what it stores.
            2 | 6 => Self::Zombie,
            3 => Self::Stopped,
            other => Self::Other(other),
        }
    }
}

impl Serialize for TaskState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Alive => serializer.serialize_str("alive"),
            Self::Zombie => serializer.serialize_str("zombie"),
            Self::Stopped => serializer.serialize_str("stopped"),
            Self::Other(number) => serializer.serialize_u32(*number),
        }
    }
}

impl schemars::JsonSchema for TaskState {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TaskState".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer"] })
    }
}

impl Task {
    /// Reads all tasks, in the order of the tree's image.
    pub(super) fn read_all(loader: &mut Loader<'_>) -> Vec<Self> {
        let Ok(tree) = loader.records::<PstreeEntry>(PSTREE) else { return Vec::new() };
        let mut pids = HashSet::new();
        let twice: Vec<u32> =
            tree.entries.iter().map(|entry| entry.pid).filter(|pid| !pids.insert(*pid)).collect();
        if !twice.is_empty() {
            let reason = "processes that occur more than once";
            loader.tell(Issue::listing(PSTREE, "duplicate-pid", reason, twice.into_iter()));
        }
        tree.entries.iter().map(|entry| Self::read(loader, entry)).collect()
    }

    fn read(loader: &mut Loader<'_>, entry: &PstreeEntry) -> Self {
        let PstreeEntry { pid, ppid, pgid, sid, .. } = *entry;
        // The list of threads is of no use here: that of a zombie holds any number.
        let core: Option<CoreEntry> = loader.first(&format!("core-{pid}.img")).ok();
        let files_id_in_core = core.as_ref().and_then(|core| core.ids.as_ref()).map(|ids| ids.files_id);
        let machine = core.as_ref().and_then(|core| Machine::try_from(core.mtype).ok());
        let leader = core.and_then(|core| core.tc);
        Self {
            pid,
            ppid,
            pgid,
            sid,
            comm: leader.as_ref().map(|leader| Name::from(&leader.comm)),
            state: leader.as_ref().map(|leader| leader.task_state.into()),
            files_id_in_core,
            machine,
        }
    }

    /// Whether it has ended: then it has no images but its core, and what lies there under its
    /// number is left from an earlier dump.
    pub(super) fn is_zombie(&self) -> bool {
        self.state == Some(TaskState::Zombie)
    }
}

/// The process that a part of a report is about.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Name of its leading thread.
    pub comm: Option<Name>,
    /// State.
    pub state: Option<TaskState>,
    /// Why something of it is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl From<&Task> for Process {
    fn from(task: &Task) -> Self {
        let note = task.is_zombie().then(|| "zombie".to_owned());
        Self { pid: task.pid, comm: task.comm.clone(), state: task.state, note }
    }
}

impl Process {
    /// Notes that an image is of no use.
    pub(super) fn lacks(&mut self, image: &str, gap: Gap) {
        self.add_note(match gap {
            Gap::Missing => format!("{image} is missing"),
            Gap::Unreadable => format!("{image} cannot be read"),
        });
    }

    /// Notes whether an image was read to its end.
    pub(super) fn has(&mut self, image: &str, whole: bool) {
        if !whole {
            self.add_note(format!("{image} is broken"));
        }
    }

    /// Notes why something is not shown.
    pub(super) fn add_note(&mut self, text: String) {
        match &mut self.note {
            Some(note) => {
                note.push_str(", ");
                note.push_str(&text);
            }
            None => self.note = Some(text),
        }
    }

    /// Writes the line that its part of a report begins with.
    pub(super) fn write_line(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.note {
            Some(note) => writeln!(out, "{} ({note})", self.pid),
            None => writeln!(out, "{}", self.pid),
        }
    }
}
