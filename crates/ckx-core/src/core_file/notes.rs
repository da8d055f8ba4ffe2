//! The notes of a core file: threads, process, auxiliary vector, files.

use ckx_criu::typed::messages::{CoreEntry, SignalQueueEntry};
use object::elf;

use super::machine::{CORE, Machine, Note, ThreadRegisters};
use super::segments::MappedFile;
use crate::inspect::auxv;
use crate::memory::AddressSpace;
use crate::model::Process;

/// Bytes of the command line that a core file has room for, the closing zero included.
const ARGUMENTS: usize = 80;
/// Bytes of the name of a program, the closing zero included.
const NAME: usize = 16;
/// Bytes of `siginfo_t`.
const SIGINFO: usize = 128;

/// A thread whose registers are known.
pub(super) struct NotedThread<'p> {
    pub tid: u32,
    pub core: &'p CoreEntry,
    pub registers: ThreadRegisters,
}

/// All notes, in the order of the kernel: the first thread, the process, the first thread's other
/// registers, the other threads.
pub(super) fn all(
    machine: &Machine,
    process: &Process,
    threads: Vec<NotedThread<'_>>,
    space: &AddressSpace,
    files: &[MappedFile],
) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, thread) in threads.into_iter().enumerate() {
        let is_leader = thread.tid == process.pid;
        let info = siginfo(process, thread.core, is_leader);
        let status = status(machine, process, &thread, &info);
        push(&mut out, machine, &Note::new(CORE, elf::NT_PRSTATUS, status));
        if index == 0 {
            push(&mut out, machine, &Note::new(CORE, elf::NT_PRPSINFO, about(machine, process, space)));
        }
        push(&mut out, machine, &Note::new(CORE, elf::NT_SIGINFO, info));
        if index == 0 {
            push(&mut out, machine, &Note::new(CORE, elf::NT_AUXV, vector(machine, process)));
            push(&mut out, machine, &Note::new(CORE, elf::NT_FILE, table(machine, files, space.page_size())));
        }
        for note in &thread.registers.notes {
            push(&mut out, machine, note);
        }
    }
    out
}

/// Appends a note: lengths and kind, the owner's name, the structure, each filled up to four bytes.
fn push(out: &mut Vec<u8>, machine: &Machine, note: &Note) {
    let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    let record = machine.record().u32(size(note.owner.len() + 1)).u32(size(note.bytes.len())).u32(note.kind);
    let filled = |record: super::record::Record, bytes: &[u8]| {
        let record = record.raw(bytes);
        let end = record.len().next_multiple_of(4);
        record.up_to(end)
    };
    let record = filled(record.raw(note.owner.as_bytes()), &[0]);
    out.extend(filled(record, &note.bytes).done());
}

/// `elf_prstatus`. Images do not keep the times.
fn status(machine: &Machine, process: &Process, thread: &NotedThread<'_>, info: &[u8]) -> Vec<u8> {
    let word = |at: usize| info.get(at..at + 4).unwrap_or_default();
    let own = thread.core.thread_core.as_ref();
    let pending = own.and_then(|own| own.signals_p.as_ref()).map(|queue| mask(machine, queue));
    let held = own.and_then(|own| own.blk_sigset).or_else(|| Some(thread.core.tc.as_ref()?.blk_sigset));
    // No signal ended the process, so there is no current one.
    let record = machine.record().raw(word(0)).raw(word(8)).raw(word(4)).u16(0).aligned();
    let record = record.words(&[pending.unwrap_or_default(), held.unwrap_or_default()]);
    let record = record.u32(thread.tid).u32(process.ppid).u32(process.pgid).u32(process.sid).aligned();
    let times = [0; 8];
    let record = record.words(&times).raw(&thread.registers.general);
    let has_floating_point = 1;
    record.u32(has_floating_point).aligned().done()
}

fn mask(machine: &Machine, queue: &SignalQueueEntry) -> u64 {
    let number = |bytes: &[u8]| Some(machine.order.word(bytes.get(..4)?.try_into().ok()?));
    let numbers = queue.signals.iter().filter_map(|signal| number(&signal.siginfo));
    numbers.filter(|number| (1..=64).contains(number)).fold(0, |mask, number| mask | 1 << (number - 1))
}

/// `siginfo_t` of the first signal that waits for the thread, or as the leading one for the process;
/// zeros if there is none.
fn siginfo(process: &Process, core: &CoreEntry, is_leader: bool) -> Vec<u8> {
    let own = core.thread_core.as_ref().and_then(|thread| thread.signals_p.as_ref());
    let shared = process.task().filter(|_| is_leader).and_then(|task| task.signals_s.as_ref());
    let waiting = own.into_iter().chain(shared).flat_map(|queue| &queue.signals);
    let mut info = waiting.map(|signal| signal.siginfo.clone()).next().unwrap_or_default();
    info.resize(SIGINFO, 0);
    info
}

/// `elf_prpsinfo`.
fn about(machine: &Machine, process: &Process, space: &AddressSpace) -> Vec<u8> {
    let is_stopped = process.state == Some(crate::explore::TaskState::Stopped);
    // Places of the states in the letters "RSDTZW": whether one that lives ran or slept is not kept.
    let (state, letter) = if is_stopped { (3, b'T') } else { (0, b'R') };
    let nice = process.leader().and_then(|leader| leader.sched_nice).unwrap_or_default();
    let nice = i8::try_from(nice).unwrap_or_default();
    let (uid, gid) = process.creds().map_or((u32::MAX, u32::MAX), |creds| (creds.uid, creds.gid));
    let flags = process.task().map_or(0, |task| task.flags);
    let record = machine.record().raw(&[state, letter, 0]).raw(&nice.to_ne_bytes()).aligned();
    let record = record.word(flags.into());
    // Machines of 32 bits have kept ids of 16 here.
    let record = if machine.wide { record.u32(uid).u32(gid) } else { record.u16(uid).u16(gid) };
    let record = record.u32(process.pid).u32(process.ppid).u32(process.pgid).u32(process.sid);
    let comm = process.task().map(|task| task.comm.as_slice()).unwrap_or_default();
    let end = record.len() + NAME;
    let record = record.raw(comm.get(..NAME - 1).unwrap_or(comm)).up_to(end);
    let end = end + ARGUMENTS;
    record.raw(&command_line(process, space)).up_to(end).done()
}

/// Arguments with spaces between them, as far as there is room.
fn command_line(process: &Process, space: &AddressSpace) -> Vec<u8> {
    let Some(mm) = &process.mm else { return Vec::new() };
    let len = mm.mm_arg_end.saturating_sub(mm.mm_arg_start).min(ARGUMENTS as u64 - 1);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    let (read, _) = space.copy(mm.mm_arg_start, &mut bytes);
    let end = bytes.iter().take(read).rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    bytes
}

/// The auxiliary vector with the entry that closes it.
fn vector(machine: &Machine, process: &Process) -> Vec<u8> {
    let words = process.mm.as_ref().map(|mm| mm.mm_saved_auxv.as_slice()).unwrap_or_default();
    let pairs = auxv::pairs(words).into_iter().chain([(0, 0)]);
    pairs.fold(machine.record(), |record, (kind, value)| record.words(&[kind, value])).done()
}

/// The table of mapped files: ranges, then names.
fn table(machine: &Machine, files: &[MappedFile], page_size: u64) -> Vec<u8> {
    let page_size = page_size.max(1);
    let mut record = machine.record().words(&[files.len() as u64, page_size]);
    for file in files {
        record = record.words(&[file.start, file.end, file.offset / page_size]);
    }
    for file in files {
        record = record.raw(file.name.as_bytes()).raw(&[0]);
    }
    record.done()
}
