//! Showing all pages of a source while it is opened.
//!
//! A source that is mapped is walked where it lies. One that is compressed or comes in a pipe is decoded
//! once: its page maps come before its pages in all archives that engines write, so each chunk of a pages
//! file is known by address when it goes by. Where that is not so, or pages are in earlier dumps, the
//! pages are held in memory in a second pass. Decoding and looking go on side by side.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use ckx_archive::archive::{Backing, Kept};
use ckx_archive::tarball::{Step, TarMember};
use ckx_archive::{Archive, Interest, Interests};

use super::area::Area;
use super::chain::Stored;
use super::held::{HELD_BYTES, Memory};
use super::passing::is_pages;
use super::run::Why;
use super::sweep::{Sink, areas, areas_of, sweep, tell};
use crate::interest::number_in;
use crate::model::Process;
use crate::{Checkpoint, ImageSet as _, Issue, Options, Wanted};

/// What came of opening a source and seeing all its pages.
pub struct Swept {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// What should have been seen and was not.
    pub issues: Vec<Issue>,
}

/// Opens a source and shows all its pages to a sink: of one that has to be decoded while it goes by.
/// `previous` is the dump before it.
///
/// # Errors
/// As [`Checkpoint::open`].
pub fn open_and_sweep(
    path: &Path,
    options: Options,
    previous: Option<Checkpoint>,
    sink: &mut dyn Sink,
) -> Result<Swept, ckx_archive::Error> {
    let is_stopped = AtomicBool::new(false);
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    let (give_back, spare) = mpsc::channel();
    let read = || {
        let mut passing =
            Passing::new(&options, &is_stopped, Pieces { sender, spare, at: 0, bytes: Vec::new() });
        let archive = Archive::open(path, &mut passing, options.archive.clone());
        passing.finish();
        (archive, passing.seen, passing.issues)
    };
    let (archive, seen, mut issues) = std::thread::scope(|scope| {
        let reader = scope.spawn(read);
        for event in receiver {
            if is_stopped.load(Ordering::Relaxed) {
                continue;
            }
            let step = match event {
                Event::Area(area) => {
                    sink.area(&area);
                    Step::Next
                }
                Event::Bytes(address, bytes) => {
                    let step = sink.bytes(address, &bytes);
                    // The reader may have ended, and then nobody wants it.
                    let _ = give_back.send(bytes);
                    step
                }
                Event::End => sink.end(),
            };
            is_stopped.fetch_or(step == Step::Stop, Ordering::Relaxed);
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let is_stopped = is_stopped.into_inner();
    let checkpoint = Checkpoint::from_archive(archive?, options).with_previous(previous);
    if !is_stopped {
        rest(&checkpoint, &seen, sink, &mut issues);
    }
    Ok(Swept { checkpoint, issues })
}

/// Shows what did not go by.
fn rest(checkpoint: &Checkpoint, seen: &[String], sink: &mut dyn Sink, issues: &mut Vec<Issue>) {
    let is_mapped = checkpoint.archive().source().backing == Backing::Mapped;
    let memory = Memory::at_hand(checkpoint);
    let is_left = |area: &Arc<Area>| !seen.iter().any(|name| name == area.chain().name());
    let left: Vec<_> = areas(&memory).into_iter().filter(is_left).collect();
    if is_mapped && checkpoint.previous().is_none() {
        issues.extend(sweep(&left, sink));
        return;
    }
    if left.iter().all(|area| area.chain().is_lost()) {
        return issues.extend(sweep(&left, sink));
    }
    let members: HashSet<Vec<u8>> =
        left.iter().flat_map(|area| area.chain().members().map(<[u8]>::to_vec)).collect();
    let memory = Memory::of_members(checkpoint, HELD_BYTES, &members);
    issues.extend(memory.issue().cloned());
    let left: Vec<_> = areas(&memory).into_iter().filter(is_left).collect();
    issues.extend(sweep(&left, sink));
}

/// Pieces that wait for the sink at most.
const WAITING: usize = 4;

/// Bytes of a piece: enough for all processors to work on one.
const PIECE: usize = 4 << 20;

/// What the reader of a source tells the sink, which works beside it.
enum Event {
    Area(Arc<Area>),
    Bytes(u64, Vec<u8>),
    End,
}

/// Gathers bytes that follow each other.
struct Pieces {
    sender: SyncSender<Event>,
    /// Room of pieces that were seen.
    spare: Receiver<Vec<u8>>,
    at: u64,
    bytes: Vec<u8>,
}

impl Pieces {
    fn event(&mut self, event: Event) {
        self.flush();
        // Whoever listens does so until the end.
        let _ = self.sender.send(event);
    }

    fn bytes(&mut self, address: u64, bytes: &[u8]) {
        if self.at.saturating_add(self.bytes.len() as u64) != address || self.bytes.len() >= PIECE {
            self.flush();
        }
        if self.bytes.is_empty() {
            self.at = address;
            if self.bytes.capacity() == 0 {
                self.bytes = self.spare.try_recv().unwrap_or_default();
                self.bytes.clear();
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            let _ = self.sender.send(Event::Bytes(self.at, std::mem::take(&mut self.bytes)));
        }
    }
}

/// Shows pages while their source goes by.
struct Passing<'s> {
    wanted: Wanted,
    options: &'s Options,
    pieces: Pieces,
    /// The areas by the pages files that they lie in, made when the first goes by.
    plan: Option<HashMap<Vec<u8>, Arc<Area>>>,
    /// Page maps whose pages went by.
    seen: Vec<String>,
    current: Option<Current>,
    issues: Vec<Issue>,
    is_stopped: &'s AtomicBool,
}

/// The pages file that goes by.
struct Current {
    area: Arc<Area>,
    /// What of it is still to come, the next one last.
    runs: Vec<Stored>,
    /// A block that has not come whole yet.
    block: Vec<u8>,
    /// Bytes of memory whose blocks do not unpack.
    broken: u64,
}

impl Interests for Passing<'_> {
    fn of(&mut self, member: &TarMember, kept: &Kept<'_>) -> Interest {
        self.finish();
        let wanted = self.wanted.of(member, kept);
        if !is_pages(&member.name) {
            return wanted;
        }
        let options = self.options;
        let plan = self.plan.get_or_insert_with(|| plan(kept, options));
        let Some(area) = plan.remove(&*member.name).filter(|_| !self.is_stopped.load(Ordering::Relaxed))
        else {
            return wanted;
        };
        self.enter(area);
        let windows = match wanted {
            Interest::Windows(windows) => windows,
            _ => Vec::new(),
        };
        Interest::Visit(windows)
    }

    fn visit(&mut self, _: &TarMember, offset: u64, chunk: &[u8]) -> Step {
        // Only the pages may be of no interest any more: what the source has besides still is.
        if !self.is_stopped.load(Ordering::Relaxed) {
            self.chunk(offset, chunk);
        }
        Step::Next
    }
}

impl<'s> Passing<'s> {
    fn new(options: &'s Options, is_stopped: &'s AtomicBool, pieces: Pieces) -> Self {
        Self {
            wanted: Wanted::default(),
            options,
            pieces,
            plan: None,
            seen: Vec::new(),
            current: None,
            issues: Vec::new(),
            is_stopped,
        }
    }

    fn enter(&mut self, area: Arc<Area>) {
        self.seen.push(area.chain().name().to_owned());
        self.pieces.event(Event::Area(Arc::clone(&area)));
        let mut runs = area.chain().stored_runs();
        runs.reverse();
        self.current = Some(Current { area, runs, block: Vec::new(), broken: 0 });
    }

    /// Ends the pages file that went by.
    fn finish(&mut self) {
        let Some(current) = self.current.take() else { return };
        let mut lost = [0; Why::COUNT];
        // After a stop nothing was looked for any more.
        if !self.is_stopped.load(Ordering::Relaxed) {
            lost[Why::Lost as usize] = current.runs.iter().fold(0u64, |all, run| all.saturating_add(run.len));
        }
        lost[Why::Packed as usize] = current.broken;
        let member = current.area.chain().members().next().map(crate::Name::from);
        let name = member.map(|member| member.to_string()).unwrap_or_default();
        let file = name.rsplit('/').next();
        tell(&current.area, file, &lost, &mut self.issues);
        self.pieces.event(Event::End);
    }

    fn chunk(&mut self, offset: u64, chunk: &[u8]) {
        let chunk_end = offset.saturating_add(chunk.len() as u64);
        let Some(current) = &mut self.current else { return };
        while let Some(run) = current.runs.last_mut().filter(|run| run.offset < chunk_end) {
            let from = usize::try_from(run.offset.saturating_sub(offset)).unwrap_or(usize::MAX);
            let rest = chunk.get(from..).unwrap_or_default();
            let len = usize::try_from(run.stored).unwrap_or(usize::MAX).min(rest.len());
            let bytes = rest.get(..len).unwrap_or_default();
            if run.packed {
                current.block.extend_from_slice(bytes);
            } else {
                self.pieces.bytes(run.address, bytes);
            }
            if (len as u64) < run.stored {
                run.advance(len as u64);
                return;
            }
            if run.packed {
                let block = std::mem::take(&mut current.block);
                let mut plain = vec![0; usize::try_from(run.len).unwrap_or(0)];
                match lz4_flex::block::decompress_into(&block, &mut plain) {
                    Ok(size) if size == plain.len() => self.pieces.bytes(run.address, &plain),
                    _ => current.broken = current.broken.saturating_add(run.len),
                }
            }
            current.runs.pop();
        }
    }
}

/// The areas whose pages are still to come and whose maps came, by pages file. There is none where not all
/// is known yet: names of files come later, or pages are in earlier dumps.
fn plan(kept: &Kept<'_>, options: &Options) -> HashMap<Vec<u8>, Arc<Area>> {
    let mut plan = HashMap::new();
    let checkpoint = Checkpoint::from_archive(kept.archive(), options.clone());
    if checkpoint.image_member(b"files.img").is_none() {
        return plan;
    }
    let names = checkpoint.names();
    let pids = names.iter().filter_map(|name| number_in(name, b"pagemap-", b".img"));
    let pids = pids.filter_map(|pid| u32::try_from(pid).ok());
    let processes: Vec<Process> = pids.map(|pid| Process::alone(&checkpoint, pid)).collect();
    let processes: Vec<&Process> = processes.iter().filter(|process| process.mm.is_some()).collect();
    let page_size = processes.iter().find_map(|process| process.page_size());
    let memory = Memory::at_hand(&checkpoint).with_page_size(page_size);
    let mut shared = Vec::new();
    for area in areas_of(&memory, &processes).into_iter().filter(|area| !area.chain().has_parent()) {
        let Some(member) = area.chain().members().next().map(<[u8]>::to_vec) else { continue };
        // Two maps of one file are no kernel's.
        if plan.insert(member.clone(), area).is_some() {
            shared.push(member);
        }
    }
    plan.retain(|member, _| !shared.contains(member));
    plan
}
