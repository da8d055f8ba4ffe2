//! All pages of a checkpoint, each once, to whoever wants to see their bytes.
//!
//! A source that is mapped is walked where it lies. One that is compressed or comes in a pipe is decoded
//! once: its page maps come before its pages in all archives that engines write, so each chunk of a pages
//! file is known by address when it goes by. Where that is not so, or pages are in earlier dumps, the
//! pages are held in memory in a second pass.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ckx_archive::archive::{Backing, Kept};
use ckx_archive::tarball::{Step, TarMember};
use ckx_archive::{Archive, Interest, Interests};

use super::area::Area;
use super::chain::Stored;
use super::held::{HELD_BYTES, Memory};
use super::passing::is_pages;
use super::run::{Content, Why};
use crate::interest::number_in;
use crate::model::Process;
use crate::{Checkpoint, ImageSet, Issue, Options, Wanted};

/// Sees the bytes of memory.
///
/// Areas come one after the other; inside one, addresses rise, and bytes whose addresses follow each
/// other come in pieces whose sizes mean nothing. Pages that are not there, and those never touched, are
/// left out.
pub trait Sink {
    /// The bytes that come now are of this area.
    fn area(&mut self, area: &Arc<Area>);

    /// Bytes of the area.
    fn bytes(&mut self, address: u64, bytes: &[u8]) -> Step;

    /// Nothing more comes of the area.
    fn end(&mut self) -> Step {
        Step::Next
    }
}

/// The areas of a checkpoint, in the order in which their pages lie in an archive.
pub fn areas(memory: &Memory<'_>) -> Vec<Arc<Area>> {
    let checkpoint = memory.checkpoint();
    let all: Vec<&Process> =
        checkpoint.processes().list.iter().filter(|process| process.mm.is_some()).collect();
    areas_of(memory, &all)
}

fn areas_of(memory: &Memory<'_>, processes: &[&Process]) -> Vec<Arc<Area>> {
    let checkpoint = memory.checkpoint();
    let spaces: Vec<_> = processes.iter().map(|process| Arc::new(memory.space(process))).collect();
    let mut areas: Vec<Arc<Area>> = Vec::new();
    for (process, space) in processes.iter().zip(&spaces) {
        if checkpoint.wants(process.pid) {
            areas.push(Arc::new(Area::of_process(process, Arc::clone(space))));
        }
    }
    let mut ids: Vec<u64> =
        checkpoint.names().iter().filter_map(|name| number_in(name, b"pagemap-shmem-", b".img")).collect();
    ids.sort_unstable();
    let wanted = |id: &u64| {
        let mut owners = spaces.iter().filter(|space| checkpoint.wants(space.pid()));
        checkpoint.options().pids.is_none() || owners.any(|space| space.object(*id).is_some())
    };
    for id in ids.into_iter().filter(wanted) {
        areas.push(Arc::new(Area::of_object(id, memory.object(id), &spaces)));
    }
    areas.sort_by(|a, b| a.chain().members().next().cmp(&b.chain().members().next()));
    areas
}

/// Shows all that is at hand of the areas to a sink; tells what should have been there and was not.
pub fn sweep(areas: &[Arc<Area>], sink: &mut dyn Sink) -> Vec<Issue> {
    let mut issues = Vec::new();
    for area in areas {
        if one(area, sink, &mut issues) == Step::Stop {
            break;
        }
    }
    issues
}

fn one(area: &Arc<Area>, sink: &mut dyn Sink, issues: &mut Vec<Issue>) -> Step {
    sink.area(area);
    let mut lost = [0u64; Why::COUNT];
    for run in area.chain().runs(0, u64::MAX) {
        let run = run.unpacked();
        match &run.content {
            Content::Bytes(bytes) => {
                if sink.bytes(run.start, bytes) == Step::Stop {
                    return Step::Stop;
                }
            }
            Content::Absent(why) => lost[*why as usize] += run.size(),
            Content::Hashes(_) => lost[Why::NotKept as usize] += run.size(),
            Content::Zero | Content::Untouched | Content::Packed(_) => {}
        }
    }
    tell(area, None, &lost, issues);
    sink.end()
}

/// Tells of pages that the dump should have and that could not be seen. `seen` is a pages file that went by.
fn tell(area: &Area, seen: Option<&str>, lost: &[u64; Why::COUNT], issues: &mut Vec<Issue>) {
    // That a pages file which goes by was not there before is no fault of it.
    let is_new = |issue: &&Issue| seen != Some(issue.image.as_str()) && !issues.contains(issue);
    let new: Vec<Issue> = area.chain().issues().iter().filter(is_new).cloned().collect();
    issues.extend(new);
    let page_size = area.chain().page_size().max(1);
    let losses = Why::ALL.iter().zip(lost).filter(|(why, bytes)| **bytes > 0 && why.is_loss());
    let reasons: Vec<String> =
        losses.map(|(why, bytes)| format!("{} {}", bytes / page_size, why.reason())).collect();
    if !reasons.is_empty() {
        let total: u64 = lost.iter().sum::<u64>() / page_size;
        let pages = if total == 1 { "page was" } else { "pages were" };
        let reason = format!("{total} {pages} not seen: {}", reasons.join(", "));
        issues.push(Issue::new(area.chain().name(), "not-seen", reason));
    }
}

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
    let mut passing = Passing {
        wanted: Wanted::default(),
        options: &options,
        sink,
        plan: None,
        seen: Vec::new(),
        current: None,
        issues: Vec::new(),
        is_stopped: false,
    };
    let archive = Archive::open(path, &mut passing, options.archive.clone())?;
    passing.finish();
    let Passing { seen, mut issues, is_stopped, .. } = passing;
    let mut checkpoint = Checkpoint::from_archive(archive, options.clone());
    if let Some(previous) = previous {
        checkpoint = checkpoint.with_previous(previous);
    }
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
    let members: std::collections::HashSet<Vec<u8>> =
        left.iter().flat_map(|area| area.chain().members().map(<[u8]>::to_vec)).collect();
    let memory = Memory::of_members(checkpoint, HELD_BYTES, &members);
    issues.extend(memory.issue().cloned());
    let left: Vec<_> = areas(&memory).into_iter().filter(is_left).collect();
    issues.extend(sweep(&left, sink));
}

/// Shows pages while their source goes by.
struct Passing<'s> {
    wanted: Wanted,
    options: &'s Options,
    sink: &'s mut dyn Sink,
    /// The areas by the pages files that they lie in, made when the first goes by.
    plan: Option<HashMap<Vec<u8>, Arc<Area>>>,
    /// Page maps whose pages went by.
    seen: Vec<String>,
    current: Option<Current>,
    issues: Vec<Issue>,
    is_stopped: bool,
}

/// The pages file that goes by.
struct Current {
    area: Arc<Area>,
    /// What of it is still to come, the next one last.
    runs: Vec<Stored>,
    /// A block that has not come whole yet.
    block: Vec<u8>,
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
        let Some(area) = plan.remove(&*member.name).filter(|_| !self.is_stopped) else { return wanted };
        self.enter(area);
        let windows = match wanted {
            Interest::Windows(windows) => windows,
            _ => Vec::new(),
        };
        Interest::Visit(windows)
    }

    fn visit(&mut self, _: &TarMember, offset: u64, chunk: &[u8]) -> Step {
        if self.is_stopped || self.current.is_none() {
            return Step::Next;
        }
        if self.chunk(offset, chunk) == Step::Stop {
            // Only the pages are of no interest any more: what the source has besides still is.
            self.is_stopped = true;
            self.current = None;
        }
        Step::Next
    }
}

impl Passing<'_> {
    fn enter(&mut self, area: Arc<Area>) {
        self.seen.push(area.chain().name().to_owned());
        self.sink.area(&area);
        let mut runs = area.chain().stored_runs();
        runs.reverse();
        self.current = Some(Current { area, runs, block: Vec::new() });
    }

    /// Ends the pages file that went by.
    fn finish(&mut self) {
        let Some(current) = self.current.take() else { return };
        let mut lost = [0; Why::COUNT];
        lost[Why::Lost as usize] = current.runs.iter().map(|run| run.len).sum();
        let member = current.area.chain().members().next().map(crate::Name::from);
        let name = member.map(|member| member.to_string()).unwrap_or_default();
        let file = name.rsplit('/').next();
        tell(&current.area, file, &lost, &mut self.issues);
        self.is_stopped |= self.sink.end() == Step::Stop;
    }

    fn chunk(&mut self, offset: u64, chunk: &[u8]) -> Step {
        let chunk_end = offset.saturating_add(chunk.len() as u64);
        loop {
            let Some(current) = &mut self.current else { return Step::Next };
            let Some(run) = current.runs.last_mut() else { return Step::Next };
            if run.offset >= chunk_end {
                return Step::Next;
            }
            let from = usize::try_from(run.offset.saturating_sub(offset)).unwrap_or(usize::MAX);
            let rest = chunk.get(from..).unwrap_or_default();
            let len = usize::try_from(run.stored).unwrap_or(usize::MAX).min(rest.len());
            let bytes = rest.get(..len).unwrap_or_default();
            let whole = len as u64 == run.stored;
            let step = match run.packed {
                false => self.sink.bytes(run.address, bytes),
                true if whole && current.block.is_empty() => unpacked(self.sink, run, bytes),
                true => {
                    current.block.extend_from_slice(bytes);
                    if whole {
                        let block = std::mem::take(&mut current.block);
                        unpacked(self.sink, run, &block)
                    } else {
                        Step::Next
                    }
                }
            };
            if whole {
                current.runs.pop();
            } else {
                run.advance(len as u64);
            }
            if step == Step::Stop {
                return Step::Stop;
            }
        }
    }
}

/// Shows a block that is there whole.
fn unpacked(sink: &mut dyn Sink, run: &Stored, block: &[u8]) -> Step {
    let mut plain = vec![0; usize::try_from(run.len).unwrap_or(0)];
    match lz4_flex::block::decompress_into(block, &mut plain) {
        Ok(size) if size == plain.len() => sink.bytes(run.address, &plain),
        _ => Step::Next,
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
