//! Processes and their threads, with the images that belong to each.

use ckx_criu::typed::messages::{CoreEntry, FsEntry, MmEntry, PstreeEntry, TaskKobjIdsEntry, VmaEntry};

use crate::explore::TaskState;
use crate::load::Loader;
use crate::{Checkpoint, ImageSet, Issue, Name};

/// All processes of a dump.
#[derive(Debug)]
pub struct Processes {
    /// Processes, in the order of the tree's image: parents come before their children.
    pub list: Vec<Process>,
    /// What is missing or broken in their images.
    pub issues: Vec<Issue>,
}

/// A process with its own images. Ids are those inside the dumped pid namespace.
#[derive(Debug)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Process id of the parent; 0 for the root.
    pub ppid: u32,
    /// Process group.
    pub pgid: u32,
    /// Session.
    pub sid: u32,
    /// State; `None` when its core cannot be read.
    pub state: Option<TaskState>,
    /// Its threads, the leading one first. A zombie has none.
    pub threads: Vec<Thread>,
    /// `core-PID.img`: registers, credentials, signals, limits of the leading thread and process.
    pub core: Option<CoreEntry>,
    /// `ids-PID.img`: numbers of namespaces and of tables that processes may share.
    pub ids: Option<TaskKobjIdsEntry>,
    /// `mm-PID.img`: its address space, mappings included.
    pub mm: Option<MmEntry>,
    /// `fs-PID.img`: ids of its root and working directory, and umask.
    pub fs: Option<FsEntry>,
}

/// A thread.
#[derive(Debug)]
pub struct Thread {
    /// Thread id.
    pub tid: u32,
    /// `core-TID.img`; of the leading thread see [`Process::core`].
    pub core: Option<CoreEntry>,
}

impl Processes {
    /// Reads all processes.
    pub(crate) fn read(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let tree = match loader.records::<PstreeEntry>("pstree.img") {
            Ok(records) => records.entries,
            Err(_) => Vec::new(),
        };
        let list = tree.iter().map(|entry| Process::read(checkpoint, &mut loader, entry)).collect();
        Self { list, issues: loader.into_issues() }
    }

    /// The process with this id.
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.list.iter().find(|process| process.pid == pid)
    }
}

impl Process {
    fn read(images: &dyn ImageSet, loader: &mut Loader<'_>, entry: &PstreeEntry) -> Self {
        let PstreeEntry { pid, ppid, pgid, sid, .. } = *entry;
        let core: Option<CoreEntry> = loader.first(&format!("core-{pid}.img")).ok();
        let state = core.as_ref().map(|core| TaskState::from(core.tc.as_ref().map_or(0, |tc| tc.task_state)));
        let mut process =
            Self { pid, ppid, pgid, sid, state, threads: Vec::new(), core, ids: None, mm: None, fs: None };
        // Of a zombie only its core is dumped, and its list of threads holds any number.
        if process.is_zombie() {
            return process;
        }
        process.threads = entry
            .threads
            .iter()
            .map(|tid| Thread {
                tid: *tid,
                core: (*tid != pid).then(|| loader.first(&format!("core-{tid}.img")).ok()).flatten(),
            })
            .collect();
        let has = |name: &str| matches!(images.get(name), Ok(Some(_)) | Err(_));
        let ids_name = format!("ids-{pid}.img");
        process.ids = match process.core.as_ref().and_then(|core| core.ids) {
            Some(ids) if !has(&ids_name) => Some(ids),
            _ => loader.first(&ids_name).ok(),
        };
        process.mm = loader.first::<MmEntry>(&format!("mm-{pid}.img")).ok().map(|mut mm| {
            // CRIU before 1.6 had the mappings in an image of their own.
            if mm.vmas.is_empty()
                && let Ok(old) = loader.records_if_any::<VmaEntry>(&format!("vmas-{pid}.img"))
            {
                mm.vmas = old.entries;
            }
            mm
        });
        process.fs = loader.first(&format!("fs-{pid}.img")).ok();
        process
    }

    /// Whether it has ended and was not waited for.
    pub fn is_zombie(&self) -> bool {
        self.state == Some(TaskState::Zombie)
    }

    /// Name of its leading thread.
    pub fn comm(&self) -> Option<Name> {
        let core = self.core.as_ref()?;
        Some(Name::from(core.tc.as_ref()?.comm.as_slice()))
    }
}
