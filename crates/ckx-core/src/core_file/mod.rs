//! ELF core files of dumped processes, as the kernel would have written them.
//!
//! All threads with their registers, and all mappings: what the dump has of them is stored, what was never
//! touched is zeros, what is as in the mapped file is left to that file, and what should be there and is
//! not is left out and told, so that a debugger says that it cannot read it instead of showing zeros.

mod aarch64;
mod arm;
mod header;
mod i386;
mod machine;
mod notes;
mod ppc64;
mod record;
mod s390;
mod segments;
mod sink;
mod x86_64;

use std::fmt;
use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use crate::Issue;
use crate::memory::{AddressSpace, Content, Memory};
use crate::model::Process;
use machine::Machine;
use notes::NotedThread;
use segments::Plan;
pub use segments::Segment;
pub use sink::{Sink, Stream};

/// A core file that is planned: its headers are made, and it is known what goes where.
#[derive(Debug)]
pub struct CoreFile {
    space: AddressSpace,
    headers: Vec<u8>,
    segments: Vec<Segment>,
    size: u64,
    threads: usize,
    lost: u64,
    issues: Vec<Issue>,
}

/// Why there can be no core file of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It had ended when the dump was made.
    Zombie,
    /// Its core cannot be read, or names no machine.
    NoCore,
    /// Its mappings are not known.
    NoMappings,
    /// None of its threads has registers.
    NoRegisters,
    /// Core files of this machine are not known.
    Machine(String),
    /// The headers are larger than ELF allows.
    TooLarge,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zombie => f.write_str("it had ended: a zombie has no memory and no registers"),
            Self::NoCore => f.write_str("its core image is missing or broken"),
            Self::NoMappings => {
                f.write_str("its mm image is missing or broken, so its mappings are not known")
            }
            Self::NoRegisters => f.write_str("its core images hold no registers"),
            Self::Machine(machine) => {
                write!(f, "it ran on {machine}, of which no core files are made")
            }
            Self::TooLarge => {
                f.write_str("it has more memory or mappings than an ELF file of its kind can have")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// What a core file holds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Summary {
    /// The process.
    pub pid: u32,
    /// Threads whose registers are in it.
    pub threads: usize,
    /// Parts of mappings.
    pub segments: usize,
    /// Bytes of memory that are in it, zeros included.
    pub stored_bytes: u64,
    /// Bytes of memory that should be in it and are not.
    pub lost_bytes: u64,
    /// Size of the file, holes included.
    pub size_bytes: u64,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

impl CoreFile {
    /// Plans the core file of a process.
    ///
    /// # Errors
    /// When there can be none. What is only in part becomes an [`Issue`].
    pub fn of(memory: &Memory<'_>, process: &Process) -> Result<Self, Refusal> {
        if process.is_zombie() {
            return Err(Refusal::Zombie);
        }
        let machine = Machine::of(process)?;
        if process.mm.is_none() {
            return Err(Refusal::NoMappings);
        }
        let (threads, mut issues) = threads(&machine, process);
        if threads.is_empty() {
            return Err(Refusal::NoRegisters);
        }
        let space = memory.space(process);
        let mut plan = Plan::of(&space);
        let count = threads.len();
        let notes = notes::all(&machine, process, threads, &space, &plan.files);
        let end = header::end(&machine, plan.segments.len(), notes.len()).ok_or(Refusal::TooLarge)?;
        let size = plan.place(end, space.page_size());
        if !machine.wide && plan.segments.last().map_or(size, |last| size.max(last.end)) > 1 << 32 {
            return Err(Refusal::TooLarge);
        }
        let headers = header::write(&machine, &plan.segments, &notes, space.page_size());
        let headers = headers.ok_or(Refusal::TooLarge)?;
        issues.extend(memory.issue().cloned());
        issues.extend(space.issues().cloned());
        issues.extend(plan.issues(&space));
        let lost = plan.lost_bytes();
        Ok(Self { space, headers, segments: plan.segments, size, threads: count, lost, issues })
    }

    /// What it holds.
    pub fn summary(&self) -> Summary {
        let stored = self.segments.iter().map(|segment| segment.stored_bytes);
        Summary {
            pid: self.space.pid(),
            threads: self.threads,
            segments: self.segments.len(),
            stored_bytes: stored.fold(0, u64::saturating_add),
            lost_bytes: self.lost,
            size_bytes: self.size,
            issues: self.issues.clone(),
        }
    }

    /// The parts of the memory, by address.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Writes it, straight from where its pages lie. Zeros are left out.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_to(&self, sink: &mut dyn Sink) -> io::Result<()> {
        sink.put(0, &self.headers)?;
        for segment in self.segments.iter().filter(|segment| segment.stored_bytes > 0) {
            let end = segment.start.saturating_add(segment.stored_bytes);
            for piece in self.space.pieces(segment.start, end) {
                if let Content::Bytes(bytes) = piece.run.clone().unpacked().content {
                    let offset = segment.offset_bytes.saturating_add(piece.run.start - segment.start);
                    put_nonzero(sink, offset, &bytes)?;
                }
            }
        }
        sink.end(self.size)
    }
}

/// Bytes that are looked at at once for being zeros. The smallest page.
const UNIT: usize = 4096;

/// Writes what is not zeros, as much of it at once as there is.
fn put_nonzero(sink: &mut dyn Sink, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut begun: Option<usize> = None;
    let mut put =
        |from: usize, to: usize| sink.put(offset + from as u64, bytes.get(from..to).unwrap_or_default());
    for (index, page) in bytes.chunks(UNIT).enumerate() {
        let at = index * UNIT;
        if is_zero(page) {
            if let Some(from) = begun.take() {
                put(from, at)?;
            }
        } else {
            begun.get_or_insert(at);
        }
    }
    begun.map_or(Ok(()), |from| put(from, bytes.len()))
}

fn is_zero(page: &[u8]) -> bool {
    const ZEROS: &[u8] = &[0; UNIT];
    // Most pages with something in them tell so soon.
    page.first() == Some(&0) && page.last() == Some(&0) && ZEROS.starts_with(page)
}

/// The threads whose registers are known, the leading one first.
fn threads<'p>(machine: &Machine, process: &'p Process) -> (Vec<NotedThread<'p>>, Vec<Issue>) {
    let mut threads = Vec::with_capacity(process.threads.len());
    let mut lacking = Vec::new();
    for thread in &process.threads {
        let core = process.core_of(thread);
        match core.and_then(|core| Some((core, machine.registers(core)?))) {
            Some((core, registers)) => threads.push(NotedThread { tid: thread.tid, core, registers }),
            None => lacking.push(thread.tid),
        }
    }
    threads.sort_by_key(|thread| thread.tid != process.pid);
    let mut issues = Vec::new();
    if !lacking.is_empty() {
        let image = format!("core-{}.img", process.pid);
        let reason = "threads without registers, which are left out";
        issues.push(Issue::listing(&image, "no-registers", reason, lacking.into_iter()));
    }
    (threads, issues)
}
