//! Synthetic processes.

use super::fd::Fd;
use crate::arch::Regs;

/// A process under construction: alive, of root, without memory, threads and descriptors.
#[derive(Debug, Clone)]
pub struct Process {
    pub(super) pid: u64,
    pub(super) ppid: u64,
    pub(super) pgid: u64,
    pub(super) sid: u64,
    pub(super) comm: Vec<u8>,
    pub(super) state: State,
    pub(super) uid: u64,
    pub(super) exe: Vec<u8>,
    pub(super) cwd: Vec<u8>,
    pub(super) root: Vec<u8>,
    pub(super) args: Vec<Vec<u8>>,
    pub(super) env: Vec<Vec<u8>>,
    pub(super) compat: bool,
    pub(super) usual_memory: bool,
    pub(super) vmas: Vec<Vma>,
    pub(super) runs: Vec<Run>,
    pub(super) in_parent_below: u64,
    pub(super) threads: Vec<(u64, Option<Vec<u8>>)>,
    pub(super) regs: Option<Regs>,
    pub(super) fds: Vec<(u64, Fd)>,
    pub(super) files_of: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Alive,
    Zombie(u64),
    Stopped(u64),
}

#[derive(Debug, Clone)]
pub(super) struct Vma {
    pub range: [u64; 2],
    /// Protection, flags, status.
    pub numbers: [u64; 3],
    pub pgoff: u64,
    pub backing: Backing,
}

#[derive(Debug, Clone)]
pub(super) enum Backing {
    Nothing,
    File(Vec<u8>),
    /// A shared object, with its content as far as this process knows.
    Shared(u64, Vec<u8>),
}

/// Consecutive pages in the page map.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub vaddr: u64,
    pub pages: Pages,
}

#[derive(Debug, Clone)]
pub(super) enum Pages {
    Stored(Vec<u8>),
    InParent(u64),
    Lazy(u64),
}

impl Process {
    pub(super) fn new(pid: u64, ppid: u64) -> Self {
        let root = b"/".to_vec();
        Self {
            pid,
            ppid,
            pgid: pid,
            sid: pid,
            comm: b"app".to_vec(),
            state: State::Alive,
            uid: 0,
            exe: b"/usr/bin/app".to_vec(),
            cwd: root.clone(),
            root,
            args: vec![b"app".to_vec()],
            env: vec![b"PATH=/usr/bin".to_vec()],
            compat: false,
            usual_memory: false,
            vmas: Vec::new(),
            runs: Vec::new(),
            in_parent_below: 0,
            threads: Vec::new(),
            regs: None,
            fds: Vec::new(),
            files_of: None,
        }
    }

    /// Name, at most 15 bytes.
    pub fn comm(self, comm: impl AsRef<[u8]>) -> Self {
        Self { comm: comm.as_ref().to_vec(), ..self }
    }

    /// Process group and session.
    pub fn group(self, pgid: u64, sid: u64) -> Self {
        Self { pgid, sid, ..self }
    }

    /// User and group id.
    pub fn uid(self, uid: u64) -> Self {
        Self { uid, ..self }
    }

    /// Ended, not waited for. `exit_code` is the raw wait status.
    pub fn zombie(self, exit_code: u64) -> Self {
        Self { state: State::Zombie(exit_code), ..self }
    }

    /// Stopped by this signal.
    pub fn stopped(self, signal: u64) -> Self {
        Self { state: State::Stopped(signal), ..self }
    }

    /// 32-bit code on x86_64.
    pub fn compat(self) -> Self {
        Self { compat: true, ..self }
    }

    /// Path of the program.
    pub fn exe(self, path: impl AsRef<[u8]>) -> Self {
        Self { exe: path.as_ref().to_vec(), ..self }
    }

    /// Current directory.
    pub fn cwd(self, path: impl AsRef<[u8]>) -> Self {
        Self { cwd: path.as_ref().to_vec(), ..self }
    }

    /// Root directory.
    pub fn root(self, path: impl AsRef<[u8]>) -> Self {
        Self { root: path.as_ref().to_vec(), ..self }
    }

    /// Arguments, the name of the program included. They are only there with usual memory.
    pub fn args<T: AsRef<[u8]>>(self, args: &[T]) -> Self {
        Self { args: args.iter().map(|arg| arg.as_ref().to_vec()).collect(), ..self }
    }

    /// Environment, as `NAME=value`. It is only there with usual memory.
    pub fn env<T: AsRef<[u8]>>(self, env: &[T]) -> Self {
        Self { env: env.iter().map(|each| each.as_ref().to_vec()).collect(), ..self }
    }

    /// Registers of the leading thread; without it they point into usual memory.
    pub fn regs(self, regs: Regs) -> Self {
        Self { regs: Some(regs), ..self }
    }

    /// One more thread.
    pub fn thread(mut self, tid: u64) -> Self {
        self.threads.push((tid, None));
        self
    }

    /// One more thread with a name of its own.
    pub fn thread_named(mut self, tid: u64, comm: impl AsRef<[u8]>) -> Self {
        self.threads.push((tid, Some(comm.as_ref().to_vec())));
        self
    }

    /// Descriptor `number`.
    pub fn fd(mut self, number: u64, fd: Fd) -> Self {
        self.fds.push((number, fd));
        self
    }

    /// Uses the descriptor table of another process (`CLONE_FILES`), which has to come before. Own
    /// descriptors do not count then.
    pub fn files_of(self, pid: u64) -> Self {
        Self { files_of: Some(pid), ..self }
    }
}

/// Memory.
impl Process {
    /// What nearly every process has: program, data, heap, anonymous memory, vvar, vdso and a stack
    /// with arguments and environment, each with some pages stored. Begins of ranges and their
    /// content are in [`super::presets::layout`].
    pub fn usual_memory(self) -> Self {
        Self { usual_memory: true, ..self }
    }

    /// A mapping of nothing: protection, `MAP_*` flags and status bits.
    pub fn vma(mut self, start: u64, end: u64, prot: u64, flags: u64, status: u64) -> Self {
        let (range, numbers) = ([start, end], [prot, flags, status]);
        self.vmas.push(Vma { range, numbers, pgoff: 0, backing: Backing::Nothing });
        self
    }

    /// A private mapping of a file, from `pgoff` (in bytes) on.
    pub fn file_vma(mut self, start: u64, end: u64, prot: u64, path: impl AsRef<[u8]>, pgoff: u64) -> Self {
        let (range, numbers) = ([start, end], [prot, 0x2, 0x41]);
        self.vmas.push(Vma { range, numbers, pgoff, backing: Backing::File(path.as_ref().to_vec()) });
        self
    }

    /// A mapping of a shared object, as anonymous shared memory is stored. Objects are told by
    /// `shmid`; of those that give one a content the first counts.
    pub fn shared_vma(mut self, start: u64, end: u64, shmid: u64, content: &[u8]) -> Self {
        let (range, numbers) = ([start, end], [3, 0x1, 0x4081]);
        self.vmas.push(Vma { range, numbers, pgoff: 0, backing: Backing::Shared(shmid, content.to_vec()) });
        self
    }

    /// Stored pages from `vaddr` on; the last one is filled up with zeros.
    pub fn pages(mut self, vaddr: u64, bytes: &[u8]) -> Self {
        self.runs.push(Run { vaddr, pages: Pages::Stored(bytes.to_vec()) });
        self
    }

    /// Pages whose content is in the parent checkpoint.
    pub fn in_parent(mut self, vaddr: u64, pages: u64) -> Self {
        self.runs.push(Run { vaddr, pages: Pages::InParent(pages) });
        self
    }

    /// Pages whose content stayed on the host.
    pub fn lazy(mut self, vaddr: u64, pages: u64) -> Self {
        self.runs.push(Run { vaddr, pages: Pages::Lazy(pages) });
        self
    }

    /// All pages below this address, those of usual memory too, are in the parent checkpoint.
    pub fn in_parent_below(self, address: u64) -> Self {
        Self { in_parent_below: address, ..self }
    }
}
