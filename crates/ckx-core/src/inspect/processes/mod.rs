//! `processes`: who ran, as a tree.

mod tree;

use ckx_criu::Image;
use ckx_criu::pages::{PageMap, PageTotals};
use ckx_criu::typed::messages::VmaEntry;
use schemars::JsonSchema;
use serde::Serialize;

use crate::explore::TaskState;
use crate::inspect::Collect;
use crate::inspect::subject::wanted;
use crate::kernel::signal_name;
use crate::load::Loader;
use crate::model::{Process, arguments};
use crate::outline::Outline;
use crate::{Checkpoint, Issue, Name, secret};

/// The processes of the dump.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Processes {
    /// Processes in the order of the tree's image; `ppid` makes them a tree.
    pub processes: Vec<ProcessReport>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// One process. Ids are those inside the dumped pid namespace.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessReport {
    /// Process id.
    pub pid: u32,
    /// Process id of the parent; 0 for the root.
    pub ppid: u32,
    /// Process group.
    pub pgid: u32,
    /// Session.
    pub sid: u32,
    /// State: `alive`, `stopped`, `zombie`.
    pub state: Option<TaskState>,
    /// Signal that stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// How a zombie ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Name of its leading thread.
    pub comm: Option<Name>,
    /// Program that it runs.
    pub exe: Option<Name>,
    /// Arguments as they are in its memory; likely secrets are hidden unless asked for.
    pub cmdline: Option<Vec<Name>>,
    /// Whether something in the arguments is hidden.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// Why there are no arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline_absent: Option<String>,
    /// Working directory.
    pub cwd: Option<Name>,
    /// Root directory.
    pub root: Option<Name>,
    /// File mode bits that are taken off new files.
    pub umask: Option<u32>,
    /// Real user, inside its user namespace.
    pub uid: Option<u32>,
    /// Real group.
    pub gid: Option<u32>,
    /// Number of its pid namespace in the dump.
    pub pid_ns_id: Option<u32>,
    /// Bits of personality(2).
    pub personality: Option<u32>,
    /// Bits of the kernel (`PF_*`).
    pub flags: Option<u32>,
    /// Whether orphans among its descendants become its children.
    pub child_subreaper: Option<bool>,
    /// Thread ids, its own first.
    pub threads: Vec<u32>,
    /// Its address space; zombies have none.
    pub memory: Option<Memory>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Exit {
    /// The status as wait(2) has it.
    pub wait_status: u32,
    /// Exit code, if it ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// Signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Whether the kernel wrote a core file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub core_dumped: bool,
}

/// Size of an address space.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Memory {
    /// Mappings.
    pub mappings: u64,
    /// Bytes of all mappings.
    pub mapped_bytes: u64,
    /// Page size of the dumping host; `None` when the auxiliary vector does not tell it.
    pub page_size_bytes: Option<u64>,
    /// Its pages in the dump.
    pub pages: Option<Pages>,
}

/// Pages of a process by where they are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pages {
    /// Number of the pages image.
    pub pages_id: Option<u64>,
    /// Pages that the page map tells of.
    pub pages: u64,
    /// Pages in the pages image.
    pub present_pages: u64,
    /// Bytes of those.
    pub present_bytes: u64,
    /// Pages in the previous dump.
    pub parent_pages: u64,
    /// Pages left on the dumping host.
    pub lazy_pages: u64,
}

impl Collect for Processes {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let all = checkpoint.processes();
        let mut loader = Loader::new(checkpoint);
        let processes = wanted(checkpoint).map(|process| read(checkpoint, &mut loader, process)).collect();
        let mut issues = all.issues.clone();
        issues.extend(tree::faults(&all.list));
        issues.extend(checkpoint.files().issues().iter().cloned());
        issues.extend(loader.into_issues());
        Self { processes, issues }
    }

    fn outline(&self) -> Outline {
        tree::outline(&self.processes)
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

fn read(checkpoint: &Checkpoint, loader: &mut Loader<'_>, process: &Process) -> ProcessReport {
    let files = checkpoint.files();
    let task = process.task();
    let directory = |id: Option<u32>| files.mapped_name(id?);
    let exe = process.mm.as_ref().and_then(|mm| files.mapped_name(mm.exe_file_id));
    let (cmdline, redacted, cmdline_absent) = match arguments::command_line(checkpoint, process) {
        Ok(words) => {
            let (words, redacted) = secret::arguments(&words, checkpoint.options().reveal);
            (Some(words), redacted, None)
        }
        Err(reason) => (None, false, Some(reason)),
    };
    let creds = process.creds();
    let stop_signal = task.and_then(|task| task.stop_signo).filter(|number| *number != 0);
    ProcessReport {
        pid: process.pid,
        ppid: process.ppid,
        pgid: process.pgid,
        sid: process.sid,
        state: process.state,
        stop_signal: stop_signal.map(|number| signal_name(number.into(), process.machine)),
        exit: task.filter(|_| process.is_zombie()).map(|task| exit(task.exit_code, process)),
        comm: process.comm(),
        exe,
        cmdline,
        redacted,
        cmdline_absent,
        cwd: directory(process.fs.as_ref().map(|fs| fs.cwd_id)),
        root: directory(process.fs.as_ref().map(|fs| fs.root_id)),
        umask: process.fs.as_ref().and_then(|fs| fs.umask),
        uid: creds.map(|creds| creds.uid),
        gid: creds.map(|creds| creds.gid),
        pid_ns_id: process.ids.as_ref().and_then(|ids| ids.pid_ns_id),
        personality: task.filter(|_| !process.is_zombie()).map(|task| task.personality),
        flags: task.filter(|_| !process.is_zombie()).map(|task| task.flags),
        child_subreaper: task.and_then(|task| task.child_subreaper),
        threads: process.threads.iter().map(|thread| thread.tid).collect(),
        memory: memory(loader, process),
    }
}

fn exit(wait_status: u32, process: &Process) -> Exit {
    let signal = wait_status & 0x7f;
    Exit {
        wait_status,
        code: (signal == 0).then_some(wait_status >> 8 & 0xff),
        signal: (signal != 0).then(|| signal_name(signal.into(), process.machine)),
        core_dumped: signal != 0 && wait_status & 0x80 != 0,
    }
}

/// `VMA_AREA_GUARD`: pages inside another mapping that must not be touched.
const GUARD: u32 = 1 << 16;

fn memory(loader: &mut Loader<'_>, process: &Process) -> Option<Memory> {
    let mm = process.mm.as_ref()?;
    let mappings = || mm.vmas.iter().filter(|vma: &&VmaEntry| vma.status & GUARD == 0);
    let mapped = mappings().map(|vma| vma.end.saturating_sub(vma.start));
    let page_size = process.page_size();
    Some(Memory {
        mappings: mappings().count() as u64,
        mapped_bytes: mapped.fold(0, u64::saturating_add),
        page_size_bytes: page_size,
        pages: pages(loader, process.pid, page_size.unwrap_or(4096)),
    })
}

fn pages(loader: &mut Loader<'_>, pid: u32, page_size: u64) -> Option<Pages> {
    let name = format!("pagemap-{pid}.img");
    let bytes = loader.bytes(&name).ok()?;
    let map = Image::parse(name.as_bytes(), &bytes).and_then(|image| PageMap::parse(image, page_size));
    let map = map.map_err(|error| loader.tell(Issue::from(&error))).ok()?;
    let PageTotals { present_pages, parent_pages, lazy_pages, .. } = map.totals();
    Some(Pages {
        pages_id: map.pages_id(),
        pages: present_pages.saturating_add(parent_pages).saturating_add(lazy_pages),
        present_pages,
        present_bytes: present_pages.saturating_mul(page_size),
        parent_pages,
        lazy_pages,
    })
}
