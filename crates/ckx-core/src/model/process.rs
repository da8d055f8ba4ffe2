//! Processes and their threads, with the images that belong to each.

use std::collections::HashMap;

use ckx_criu::ByteOrder;
use ckx_criu::pages::page_size_of;
use ckx_criu::typed::messages::core_entry::March;
use ckx_criu::typed::messages::{
    CoreEntry, CredsEntry, FsEntry, MmEntry, PstreeEntry, TaskCoreEntry, TaskKobjIdsEntry, ThreadCoreEntry,
    VmaEntry,
};

use crate::explore::TaskState;
use crate::load::Loader;
use crate::{Checkpoint, ImageSet, Issue, Name};

/// Image of the process tree.
pub(crate) const PSTREE: &str = "pstree.img";

/// All processes of a dump.
#[derive(Debug)]
pub struct Processes {
    /// Processes, in the order of the tree's image: parents come before their children.
    pub list: Vec<Process>,
    /// What is missing or broken in their images.
    pub issues: Vec<Issue>,
    /// Places in the list by process id.
    places: HashMap<u32, usize>,
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
    /// Machine of the dump; `None` when its core cannot be read or names one that is not known.
    pub machine: Option<March>,
    /// Byte order of its images, and so of the dump.
    pub order: ByteOrder,
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
        let tree = tree(checkpoint, &mut loader).unwrap_or_default();
        let mut places = HashMap::with_capacity(tree.len());
        let mut twice = Vec::new();
        let mut list: Vec<Process> = Vec::with_capacity(tree.len());
        for entry in &tree {
            // Images are named by pid: of several with one id the first stands for all.
            if places.contains_key(&entry.pid) {
                twice.push(entry.pid);
                continue;
            }
            places.insert(entry.pid, list.len());
            list.push(Process::read(checkpoint, &mut loader, entry));
        }
        if !twice.is_empty() {
            let reason = "processes that occur more than once";
            loader.tell(Issue::listing(PSTREE, "duplicate-pid", reason, twice.into_iter()));
        }
        Self { list, issues: loader.into_issues(), places }
    }

    /// The process with this id.
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.list.get(*self.places.get(&pid)?)
    }

    /// What is wrong with the tree, the cores, and images whose names begin so.
    pub(crate) fn issues_of(&self, prefixes: &[&str]) -> Vec<Issue> {
        let concerns = |issue: &&Issue| {
            let is = |prefix: &&str| issue.image.starts_with(*prefix);
            issue.image == PSTREE || issue.image.starts_with("core-") || prefixes.iter().any(is)
        };
        self.issues.iter().filter(concerns).cloned().collect()
    }
}

impl Processes {
    /// What is wrong with the tree, and with what tells of the memory of processes.
    pub fn issues_of_memory(&self) -> Vec<Issue> {
        self.issues_of(&["mm-"])
    }
}

impl Process {
    fn read(images: &dyn ImageSet, loader: &mut Loader<'_>, entry: &PstreeEntry) -> Self {
        let PstreeEntry { pid, ppid, pgid, sid, .. } = *entry;
        let mut order = ByteOrder::Little;
        let core = loader.first_ordered::<CoreEntry>(&format!("core-{pid}.img"), &mut order).ok();
        let machine = core.as_ref().and_then(|core| March::try_from(core.mtype).ok());
        let mut process = Self {
            pid,
            ppid,
            pgid,
            sid,
            state: core.as_ref().and_then(|core| core.tc.as_ref()).map(|task| task.task_state.into()),
            machine: machine.filter(|machine| *machine != March::Unknown),
            order,
            threads: Vec::new(),
            core,
            ids: None,
            mm: None,
            fs: None,
        };
        // Of a zombie only its core is dumped, and its list of threads holds any number.
        if process.is_zombie() {
            return process;
        }
        process.threads = threads(images, loader, entry);
        let ids_name = format!("ids-{pid}.img");
        process.ids = match process.core.as_ref().and_then(|core| core.ids) {
            Some(ids) if !has(images, &ids_name) => Some(ids),
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

    /// A process by its own images alone: who its parent is, its threads and its group are not known.
    pub(crate) fn alone(checkpoint: &Checkpoint, pid: u32) -> Self {
        let entry = PstreeEntry { pid, ..PstreeEntry::default() };
        Self::read(checkpoint, &mut Loader::new(checkpoint), &entry)
    }

    /// Whether it has ended and was not waited for.
    pub fn is_zombie(&self) -> bool {
        self.state == Some(TaskState::Zombie)
    }

    /// Name of its leading thread.
    pub fn comm(&self) -> Option<Name> {
        Some(Name::from(self.task()?.comm.as_slice()))
    }

    /// What its core says of the process as a whole.
    pub fn task(&self) -> Option<&TaskCoreEntry> {
        self.core.as_ref()?.tc.as_ref()
    }

    /// What its core says of its leading thread. A zombie has nothing of it.
    pub fn leader(&self) -> Option<&ThreadCoreEntry> {
        self.core.as_ref()?.thread_core.as_ref()
    }

    /// Credentials of its leading thread.
    pub fn creds(&self) -> Option<&CredsEntry> {
        self.leader()?.creds.as_ref()
    }

    /// Core of one of its threads.
    pub fn core_of<'p>(&'p self, thread: &'p Thread) -> Option<&'p CoreEntry> {
        if thread.tid == self.pid { self.core.as_ref() } else { thread.core.as_ref() }
    }

    /// Page size of the dumping host in bytes, from the auxiliary vector.
    pub fn page_size(&self) -> Option<u64> {
        page_size_of(&self.mm.as_ref()?.mm_saved_auxv)
    }

    /// Why something is not known that stands in this image of the process.
    pub(crate) fn lack(&self, kind: &str) -> String {
        if self.is_zombie() { "a zombie has none".to_owned() } else { format!("no {kind}-{}.img", self.pid) }
    }
}

/// The entries of the process tree. That a pre-dump has none is no fault.
pub(crate) fn tree(checkpoint: &Checkpoint, loader: &mut Loader<'_>) -> Option<Vec<PstreeEntry>> {
    let records = match checkpoint.is_pre_dump() {
        true => loader.records_if_any(PSTREE),
        false => loader.records(PSTREE),
    };
    records.ok().map(|records| records.entries)
}

/// Threads whose images are told to be missing one by one.
const MAX_TOLD: usize = 16;

/// The threads of a living process. A list of any length is little to tell.
fn threads(images: &dyn ImageSet, loader: &mut Loader<'_>, entry: &PstreeEntry) -> Vec<Thread> {
    let mut missing = Vec::new();
    let mut read = |tid: u32| {
        if tid == entry.pid {
            return None;
        }
        let image = format!("core-{tid}.img");
        if missing.len() >= MAX_TOLD && !has(images, &image) {
            missing.push(tid);
            return None;
        }
        let core = loader.first(&image).ok();
        if core.is_none() {
            missing.push(tid);
        }
        core
    };
    let threads = entry.threads.iter().map(|tid| Thread { tid: *tid, core: read(*tid) }).collect();
    if missing.len() > MAX_TOLD {
        let more = missing.split_off(MAX_TOLD);
        let reason = format!("more threads of process {} whose core is missing", entry.pid);
        loader.tell(Issue::listing(PSTREE, "missing-thread", &reason, more.into_iter()));
    }
    threads
}

fn has(images: &dyn ImageSet, name: &str) -> bool {
    matches!(images.get(name), Ok(Some(_)) | Err(_))
}
