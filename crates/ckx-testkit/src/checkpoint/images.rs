//! Writes the images of a checkpoint.

use std::collections::BTreeMap;

use super::SynthCheckpoint;
use super::memory::{Layout, PageWriter, Strings, complete};
use super::process::{Backing, Pages, Process, Run, State};
use super::table::FileTable;
use crate::arch::{Arch, Regs};
use crate::files::memfd_inode;
use crate::image::{ImageBuilder, Order};
use crate::parts::{self, ROOT_NAMESPACES, itimer, kobj_ids};
use crate::wire::Msg;

/// What a zombie has for a thread list: whatever lay in memory.
const ZOMBIE_THREAD: u64 = 1_841_759_280;

/// Everything, in about the order in which CRIU writes it.
pub(super) fn all(checkpoint: &SynthCheckpoint) -> Vec<(String, Vec<u8>)> {
    let mut writer = Writer::new(checkpoint);
    let mut processes = checkpoint.processes.clone();
    for process in &mut processes {
        writer.process(process);
    }
    writer.shared_objects(&processes);
    writer.finish(checkpoint, &processes)
}

struct Writer {
    arch: Arch,
    order: Order,
    page_size: u64,
    table: FileTable,
    pages: PageWriter,
    files: Vec<(String, Vec<u8>)>,
    /// Number of the descriptor table of each process.
    tables: BTreeMap<u64, u64>,
}

impl Writer {
    fn new(checkpoint: &SynthCheckpoint) -> Self {
        let arch = checkpoint.arch;
        let order = checkpoint.order.unwrap_or(arch.order());
        let page_size = checkpoint.page_size.unwrap_or(arch.page_size());
        let pages = PageWriter {
            style: checkpoint.style,
            order,
            page_size,
            files: Vec::new(),
            next_id: 1,
            written: 0,
            in_parent: 0,
            shared: 0,
        };
        let (table, tables) = (FileTable::new(order), BTreeMap::new());
        Self { arch, order, page_size, table, pages, files: Vec::new(), tables }
    }

    fn image(&self, row: &str) -> ImageBuilder {
        ImageBuilder::of(row).order(self.order)
    }

    fn one(&mut self, row: &str, name: String, record: Msg) {
        let image = self.image(row).record(record);
        self.files.push((name, image.build()));
    }

    fn process(&mut self, process: &mut Process) {
        let pid = process.pid;
        if let State::Zombie(exit_code) = process.state {
            let core = Msg::new().uint(1, self.arch.mtype()).msg(3, task(2, exit_code, &process.comm));
            return self.one("CORE", format!("core-{pid}.img"), core);
        }
        let strings = complete(process, self.arch, self.page_size);
        // Object 1 is CRIU's own.
        let object = self.tables.len() as u64 + 2;
        let files = process.files_of.map_or(object, |other| self.tables[&other]);
        self.tables.insert(pid, files);
        self.one("IDS", format!("ids-{pid}.img"), kobj_ids(object, files, ROOT_NAMESPACES));
        let mm = self.mm(process, &strings);
        self.one("MM", format!("mm-{pid}.img"), mm);
        if process.files_of.is_none() {
            let descriptors = process.fds.iter().map(|(number, fd)| self.table.descriptor(*number, fd));
            let descriptors: Vec<_> = descriptors.collect();
            let image = self.image("FDINFO").records(descriptors);
            self.files.push((format!("fdinfo-{files}.img"), image.build()));
        }
        let fs = [self.table.directory(&process.cwd), self.table.directory(&process.root), 0o22];
        self.one("FS", format!("fs-{pid}.img"), Msg::new().seq(1, fs));
        self.cores(process);
        let private = |address| {
            let within = |vma: &&super::process::Vma| (vma.range[0]..vma.range[1]).contains(&address);
            process.vmas.iter().find(within).is_some_and(|vma| vma.numbers[2] & 0x20d == 0x201)
        };
        self.pages.write(&format!("pagemap-{pid}"), "PAGEMAP", &process.runs, private);
    }

    fn mm(&mut self, process: &Process, strings: &Strings) -> Msg {
        let at = Layout::new(self.arch, process.compat);
        let exe = self.table.path(&process.exe);
        let limits = if process.usual_memory {
            let stack = strings.args[0] & !0xf;
            [at.text, at.text + 0x8000, at.data, at.data + 0x100, stack, at.heap, at.heap + 0x2_0000]
        } else {
            [0; 7]
        };
        let mm = Msg::new().seq(1, limits).seq(8, strings.args).seq(10, strings.env).uint(12, exe);
        let mut auxv = vec![6, self.page_size, 17, 100, 11, process.uid, 12, process.uid, 23, 0];
        if process.usual_memory {
            auxv.splice(0..0, [33, at.vdso]);
            auxv.extend([3, at.text + 0x40, 4, 56, 5, 13, 9, at.text + 0x10a0, 31, strings.name]);
        }
        let vmas = process.vmas.iter().map(|vma| {
            let id = match &vma.backing {
                Backing::Nothing => 0,
                Backing::File(path) => self.table.path(path),
                Backing::Shared(shmid, _) => self.table.mapped(*shmid),
            };
            let entry = Msg::new().seq(1, vma.range).seq(3, [vma.pgoff, id]).seq(5, vma.numbers).sint(8, -1);
            // Open flags of mapped files: shared ones need writing.
            let flags = if vma.numbers[1] & 1 == 1 { 2 } else { 0 };
            entry.maybe((id != 0).then_some(flags), |entry, flags| entry.uint(10, flags))
        });
        let vmas: Vec<_> = vmas.collect();
        mm.uints(13, parts::auxv(&auxv, process.compat)).msgs(14, vmas).int(15, 1).bool(17, false)
    }

    fn cores(&mut self, process: &Process) {
        let at = Layout::new(self.arch, process.compat);
        let (state, signal) = match process.state {
            State::Stopped(signal) => (3, Some(signal)),
            _ => (1, None),
        };
        let limits = Msg::new().msgs(1, parts::rlimits());
        let none = || itimer(0, 0, 0, 0);
        let timers = Msg::new().msg(1, none()).msg(2, none()).msg(3, none());
        let task = task(state, 0, &process.comm).msg(7, timers).msg(8, limits).msg(10, Msg::new());
        let task = task.uint(13, 0xffff_ffff).int(14, 0).msgs(15, parts::sigactions()).bool(18, false);
        let task = task.maybe(signal, |task, signal| task.uint(21, signal));
        let leader = (process.pid, None);
        for (index, (tid, comm)) in (0..).zip(std::iter::once(&leader).chain(&process.threads)) {
            let step = index * 0x1000;
            let usual = Regs::new(
                at.text + 0x11a8 + index * 0x10,
                at.stack_end - 0x2000 - step,
                at.anon + 0x740 + step,
            );
            let regs = process.regs.filter(|_| index == 0).unwrap_or(usual);
            let regs = Regs { seed: tid & 0x7fff, compat: process.compat, ..regs };
            let task = (index == 0).then(|| task.clone());
            let thread = self.thread(process, &regs, comm.as_ref().unwrap_or(&process.comm));
            let core = Msg::new().uint(1, self.arch.mtype());
            let info = self.arch.thread_info(&regs);
            let core = if self.arch == Arch::X86_64 {
                core.msg(2, info).maybe(task, |core, task| core.msg(3, task)).msg(5, thread)
            } else {
                core.maybe(task, |core, task| core.msg(3, task)).msg(5, thread).msg(self.arch.field(), info)
            };
            self.one("CORE", format!("core-{tid}.img"), core);
        }
    }

    /// `thread_core_entry`.
    fn thread(&self, process: &Process, regs: &Regs, comm: &[u8]) -> Msg {
        let list_len = if process.compat || self.arch == Arch::Arm { 12 } else { 24 };
        let thread = Msg::new().seq(1, [regs.tls + 0x2e0, list_len]).sint(3, 0).uint(4, 0).uint(6, 0);
        let thread = thread.msg(7, Msg::new().seq(1, [0, 0, 2])).msg(9, Msg::new());
        let rseq = Msg::new().seq(1, [0, 0, 0]);
        thread.msg(10, parts::creds(process.uid, None)).bytes(13, comm).msg(15, rseq).uint(16, 1)
    }

    fn shared_objects(&mut self, processes: &[Process]) {
        let mut objects: BTreeMap<u64, (u64, Vec<u8>)> = BTreeMap::new();
        for vma in processes.iter().flat_map(|process| &process.vmas) {
            let Backing::Shared(shmid, content) = &vma.backing else { continue };
            let object = objects.entry(*shmid).or_default();
            object.0 = object.0.max(vma.range[1] - vma.range[0]);
            if object.1.is_empty() {
                object.1.clone_from(content);
            }
        }
        if objects.is_empty() {
            return;
        }
        let inodes = objects.iter().map(|(shmid, (size, _))| memfd_inode("/dev/zero", *size, *shmid, *shmid));
        let image = self.image("MEMFD_INODE").records(inodes.map(|inode| inode.uint(9, 0o100_777)));
        self.files.push(("memfd.img".to_owned(), image.build()));
        for (shmid, (_, mut content)) in objects {
            content.resize(content.len().next_multiple_of(self.page_size as usize), 0);
            let run = Run { vaddr: 0, pages: Pages::Stored(content) };
            let runs = if run.count(self.page_size) == 0 { vec![] } else { vec![run] };
            let before = self.pages.written;
            self.pages.write(&format!("pagemap-shmem-{shmid}"), "SHMEM_PAGEMAP", &runs, |_| false);
            self.pages.shared += self.pages.written - before;
            self.pages.written = before;
        }
    }

    fn finish(mut self, checkpoint: &SynthCheckpoint, processes: &[Process]) -> Vec<(String, Vec<u8>)> {
        let PageWriter { written, in_parent, shared, .. } = self.pages;
        let stats =
            [5276, 16035, 7672, 223, written + in_parent, in_parent, written, 0, 0, 1, 1, shared, 0, shared];
        let stats = self.image("STATS").record(Msg::new().msg(1, Msg::new().seq(1, stats))).build();
        let inventory = self.image("INVENTORY").record(inventory(checkpoint.pre_dump)).build();
        let mut files = if checkpoint.pre_dump { Vec::new() } else { std::mem::take(&mut self.files) };
        files.append(&mut self.pages.files);
        if !checkpoint.pre_dump {
            let tree = self.image("PSTREE").records(processes.iter().map(tree_entry)).build();
            let time = |seconds| Msg::new().uint(1, seconds).uint(2, 467_844_229);
            let times = Msg::new().msg(1, time(9_505_243)).msg(2, time(9_505_243));
            files.push(("seccomp.img".to_owned(), self.image("SECCOMP").record(Msg::new()).build()));
            files.push(("timens-0.img".to_owned(), self.image("TIMENS").record(times).build()));
            files.extend(self.table.images());
            files.push(("pstree.img".to_owned(), tree));
        }
        files.push(("stats-dump".to_owned(), stats));
        files.push(("inventory.img".to_owned(), inventory));
        files
    }
}

/// `task_core_entry`, the required fields.
fn task(state: u64, exit_code: u64, comm: &[u8]) -> Msg {
    let flags = if state == 2 { 0 } else { 0x40_0040 };
    Msg::new().seq(1, [state, exit_code, 0, flags, 0]).bytes(6, comm)
}

fn tree_entry(process: &Process) -> Msg {
    let entry = Msg::new().seq(1, [process.pid, process.ppid, process.pgid, process.sid]);
    match process.state {
        State::Zombie(_) => entry.uint(5, ZOMBIE_THREAD),
        _ => entry.uint(5, process.pid).uints(5, process.threads.iter().map(|(tid, _)| *tid)),
    }
}

fn inventory(pre_dump: bool) -> Msg {
    if pre_dump {
        // CRIU leaves the version at 0 there.
        return Msg::new().uint(1, 0).uint(8, 9_505_243_467_844).uint(9, 1).msg(12, Msg::new());
    }
    let inventory = Msg::new().uint(1, 2).bool(2, true);
    let inventory = inventory.msg(3, kobj_ids(1, 1, ROOT_NAMESPACES)).bool(4, true).seq(5, [1, 0]);
    inventory.uint(11, 0).msg(12, Msg::new()).text(13, "bfaed9e5-cb21-4ea0-95ad-2b3f2e5c53f0")
}
