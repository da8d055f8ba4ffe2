//! Memory of synthetic processes: usual mappings, page maps, pages files.

use super::PagemapStyle;
use super::process::{Backing, Pages, Process, Run, Vma};
use crate::arch::Arch;
use crate::image::{ImageBuilder, Order};
use crate::wire::Msg;

/// Where the ranges of usual memory begin. Each has one or more units of 64 KiB, so that they suit
/// every page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Program code, one unit, nothing stored.
    pub text: u64,
    /// Data of the program, one unit behind the code. First page stored: `data of COMM`.
    pub data: u64,
    /// Heap, two units. First page stored: `heap of COMM`.
    pub heap: u64,
    /// Anonymous memory, four units. Third and fourth page stored: `first`, `second`; thread
    /// pointers of all threads lie in it.
    pub anon: u64,
    /// `vvar`, one unit, nothing stored.
    pub vvar: u64,
    /// `vdso`, one unit. First page stored, begins like an ELF file.
    pub vdso: u64,
    /// Stack, two units. Last page stored, with arguments and environment.
    pub stack: u64,
    /// End of the stack.
    pub stack_end: u64,
}

/// Size of the steps in [`Layout`].
const UNIT: u64 = 0x1_0000;

impl Layout {
    /// The layout of a process; `compat` is 32-bit code on x86_64.
    pub fn new(arch: Arch, compat: bool) -> Self {
        let [text, heap, anon, stack] = match arch {
            Arch::Arm => [0x0001_0000, 0x0114_0000, 0xb6e0_0000, 0xbefd_0000],
            _ if compat => [0x0804_0000, 0x0914_0000, 0xf7e0_0000, 0xffc0_0000],
            Arch::S390 => [0x02aa_0000_0000, 0x02aa_1000_0000, 0x03ff_9000_0000, 0x03ff_f000_0000],
            Arch::Mips | Arch::LoongArch64 | Arch::RiscV64 => {
                [0x0015_5000_0000, 0x0015_6000_0000, 0x003f_9000_0000, 0x003f_f000_0000]
            }
            _ => [0x5581_2000_0000, 0x5581_3000_0000, 0x7f3a_1000_0000, 0x7ffc_0000_0000],
        };
        let [data, vvar, vdso] = [text + UNIT, anon + 0x10_0000, anon + 0x11_0000];
        Self { text, data, heap, anon, vvar, vdso, stack, stack_end: stack + 2 * UNIT }
    }
}

/// What `mm` says about arguments and environment: their begins and ends, and the place of the
/// name of the program.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Strings {
    pub args: [u64; 2],
    pub env: [u64; 2],
    pub name: u64,
}

/// Adds usual memory to a process that asked for it, brings mappings and pages into order, and
/// tells where arguments and environment are.
pub(super) fn complete(process: &mut Process, arch: Arch, page_size: u64) -> Strings {
    let strings = if process.usual_memory { usual(process, arch, page_size) } else { Strings::default() };
    // Guard ranges stay behind the others.
    process.vmas.sort_by_key(|vma| (vma.numbers[2] == 0x1_0000, vma.range[0]));
    process.runs.sort_by_key(|run| run.vaddr);
    for run in &mut process.runs {
        if let Pages::Stored(bytes) = &mut run.pages {
            bytes.resize(bytes.len().next_multiple_of(page_size as usize), 0);
            if run.vaddr < process.in_parent_below {
                run.pages = Pages::InParent(run.count(page_size));
            }
        }
    }
    let mut end = 0;
    for run in &process.runs {
        assert!(run.vaddr.is_multiple_of(page_size), "{:#x} is not the begin of a page", run.vaddr);
        assert!(run.vaddr >= end, "pages at {:#x} are there twice", run.vaddr);
        end = run.vaddr + run.count(page_size) * page_size;
    }
    strings
}

fn usual(process: &mut Process, arch: Arch, page_size: u64) -> Strings {
    let at = Layout::new(arch, process.compat);
    let anonymous = 0x2 | arch.map_anonymous();
    let add = |vmas: &mut Vec<Vma>, start: u64, units: u64, numbers: [u64; 3], backing: Backing| {
        let pgoff = if let Backing::File(_) = backing { start - at.text } else { 0 };
        vmas.push(Vma { range: [start, start + units * UNIT], numbers, pgoff, backing });
    };
    let exe = Backing::File(process.exe.clone());
    let vmas = &mut process.vmas;
    add(vmas, at.text, 1, [5, 0x2, 0x41], exe.clone());
    add(vmas, at.data, 1, [3, 0x2, 0x41], exe);
    add(vmas, at.heap, 2, [3, anonymous, 0x221], Backing::Nothing);
    add(vmas, at.anon, 4, [3, anonymous, 0x201], Backing::Nothing);
    add(vmas, at.vvar, 1, [1, anonymous, 0x1201], Backing::Nothing);
    add(vmas, at.vdso, 1, [5, anonymous, 0x209], Backing::Nothing);
    add(vmas, at.stack, 2, [3, anonymous | arch.map_growsdown(), 0x201], Backing::Nothing);
    let mut store =
        |vaddr: u64, bytes: Vec<u8>| process.runs.push(Run { vaddr, pages: Pages::Stored(bytes) });
    let page = |texts: [&[u8]; 2]| {
        let mut bytes = texts.concat();
        bytes.resize(page_size as usize, 0);
        bytes
    };
    store(at.data, page([b"data of ", &process.comm]));
    store(at.heap, page([b"heap of ", &process.comm]));
    store(at.anon + 2 * page_size, [page([b"first", b""]), page([b"second", b""])].concat());
    store(at.vdso, page([b"\x7fELF\x02\x01\x01", b""]));
    let (stack, strings) = stack(process, at.stack_end, page_size as usize);
    process.runs.push(Run { vaddr: at.stack_end - page_size, pages: Pages::Stored(stack) });
    strings
}

/// The last page of the stack: arguments, environment, name of the program, eight zeros.
fn stack(process: &Process, end: u64, page_size: usize) -> (Vec<u8>, Strings) {
    let text = |all: &[Vec<u8>]| all.iter().flat_map(|each| [each, &b"\0"[..]].concat()).collect::<Vec<u8>>();
    let (args, env) = (text(&process.args), text(&process.env));
    let name = text(std::slice::from_ref(&process.exe));
    let name_start = end - 8 - name.len() as u64;
    let env_start = name_start - env.len() as u64;
    let args_start = env_start - args.len() as u64;
    let all = [args, env, name, vec![0; 8]].concat();
    assert!(all.len() <= page_size, "arguments and environment do not fit into one page");
    let mut page = vec![0; page_size - all.len()];
    page.extend(all);
    (page, Strings { args: [args_start, env_start], env: [env_start, name_start], name: name_start })
}

impl Run {
    /// Its pages.
    pub(super) fn count(&self, page_size: u64) -> u64 {
        match &self.pages {
            Pages::Stored(bytes) => (bytes.len() as u64).div_ceil(page_size),
            Pages::InParent(pages) | Pages::Lazy(pages) => *pages,
        }
    }
}

/// Writes page maps and pages files, and counts.
#[derive(Debug)]
pub(super) struct PageWriter {
    pub style: PagemapStyle,
    pub order: Order,
    pub page_size: u64,
    pub files: Vec<(String, Vec<u8>)>,
    pub next_id: u64,
    pub written: u64,
    pub in_parent: u64,
    /// Of shared objects; not in `written`.
    pub shared: u64,
}

impl PageWriter {
    /// One page map with its pages file. `lazy` tells which addresses are private anonymous memory.
    pub(super) fn write(&mut self, name: &str, row: &str, runs: &[Run], lazy: impl Fn(u64) -> bool) {
        let id = self.next_id;
        self.next_id += 1;
        let mut map = ImageBuilder::of(row).order(self.order).record(Msg::new().uint(1, id));
        let mut pages = Vec::new();
        for run in runs {
            let count = run.count(self.page_size);
            let flags = match &run.pages {
                Pages::Stored(bytes) => {
                    pages.extend(bytes);
                    self.written += count;
                    if lazy(run.vaddr) { 6 } else { 4 }
                }
                Pages::InParent(_) => {
                    self.in_parent += count;
                    1
                }
                Pages::Lazy(_) => 2,
            };
            map = map.record(self.entry(run.vaddr, count, flags));
        }
        self.files.push((format!("{name}.img"), map.build()));
        self.files.push((format!("pages-{id}.img"), pages));
    }

    fn entry(&self, vaddr: u64, count: u64, flags: u64) -> Msg {
        let entry = Msg::new().uint(1, vaddr);
        match self.style {
            PagemapStyle::Bare => {
                assert_ne!(flags, 2, "page maps without flags know no lazy pages");
                let entry = entry.uint(2, count);
                if flags == 1 { entry.bool(3, true) } else { entry }
            }
            PagemapStyle::Flags => entry.uint(2, count).uint(4, flags),
            PagemapStyle::Wide => entry.uint(2, 0).uint(4, flags).uint(5, count),
        }
    }
}
