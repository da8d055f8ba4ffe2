//! All pages of a checkpoint, each once, to whoever wants to see their bytes.

use std::sync::Arc;

use ckx_archive::tarball::Step;

use super::area::Area;
use super::held::Memory;
use super::run::{Content, Why};
use crate::interest::number_in;
use crate::model::Process;
use crate::{ImageSet as _, Issue};

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

pub(super) fn areas_of(memory: &Memory<'_>, processes: &[&Process]) -> Vec<Arc<Area>> {
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
            Content::Absent(why) => add(&mut lost, *why, run.size()),
            Content::Hashes(_) => add(&mut lost, Why::NotKept, run.size()),
            Content::Zero | Content::Untouched | Content::Packed(_) => {}
        }
    }
    tell(area, None, &lost, issues);
    sink.end()
}

fn add(lost: &mut [u64; Why::COUNT], why: Why, bytes: u64) {
    let all = &mut lost[why as usize];
    *all = all.saturating_add(bytes);
}

/// Tells of pages that the dump should have and that could not be seen. `seen` is a pages file that went by.
pub(super) fn tell(area: &Area, seen: Option<&str>, lost: &[u64; Why::COUNT], issues: &mut Vec<Issue>) {
    // That a pages file which goes by was not there before is no fault of it.
    let is_new = |issue: &&Issue| seen != Some(issue.image.as_str()) && !issues.contains(issue);
    let new: Vec<Issue> = area.chain().issues().iter().filter(is_new).cloned().collect();
    issues.extend(new);
    let page_size = area.chain().page_size().max(1);
    let losses = Why::ALL.iter().zip(lost).filter(|(why, bytes)| **bytes > 0 && why.is_loss());
    let losses: Vec<(&Why, u64)> = losses.map(|(why, bytes)| (why, bytes / page_size)).collect();
    if !losses.is_empty() {
        let reasons: Vec<String> =
            losses.iter().map(|(why, pages)| format!("{pages} {}", why.reason())).collect();
        let total = losses.iter().fold(0u64, |all, (_, pages)| all.saturating_add(*pages));
        let pages = if total == 1 { "page was" } else { "pages were" };
        let reason = format!("{total} {pages} not seen: {}", reasons.join(", "));
        issues.push(Issue::new(area.chain().name(), "not-seen", reason));
    }
}
