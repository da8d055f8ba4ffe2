//! `memory`: what differs in the content of memory, page by page.
//!
//! Pages of sources that are mapped are compared where they lie. Of compressed sources and pipes the
//! pages are decoded once: held if they are few, else a hash of each.

mod compare;
mod objects;
mod report;
mod steps;

use std::collections::BTreeSet;
use std::path::Path;

pub use report::{MemoryChange, Range, Row};

use crate::diff::change::{Change, Mark};
use crate::diff::mappings::{self, Backing, Mapping, Unit};
use crate::diff::{Comparison, Pair, Side};
use crate::memory::{Chain, Content, PageFiles, Piped, Run, SMALLEST_PAGE, Why, is_read_once, page_size};
use crate::model::Process;
use crate::{Checkpoint, Issue};
use compare::{Manner, Tally};
use steps::Steps;

/// Compares the memory of all pairs, and the objects that they share.
pub(super) fn compare(pair: &Pair<'_>) -> Comparison {
    let mut all = Comparison::default();
    let sizes = [page_size(pair.before), page_size(pair.after)];
    let is_hashed = |checkpoint: &Checkpoint| !checkpoint.page_hashes().is_empty();
    let unit = match is_hashed(pair.before) || is_hashed(pair.after) {
        true => SMALLEST_PAGE,
        false => sizes[0].min(sizes[1]),
    };
    let read = || {
        rayon::join(
            || PageFiles::hashed(pair.before, sizes[0], unit),
            || PageFiles::hashed(pair.after, sizes[1], unit),
        )
    };
    let (before, after) = read();
    for (side, files) in [(Side::Before, &before), (Side::After, &after)] {
        all.issues.extend(files.issue.clone().map(|issue| (side, issue)));
    }
    let mut memory = Memory { pair, files: [&before, &after], unit, objects: BTreeSet::new(), found: all };
    for ids in pair.pairing.pairs() {
        let processes = (pair.before.processes().get(ids.before), pair.after.processes().get(ids.after));
        if let (Some(a), Some(b)) = processes {
            memory.process(a, b);
        }
    }
    memory.unmapped();
    memory.found
}

/// Opens a source for comparing. Of one that can be read only once the pages are taken as they go by.
///
/// # Errors
/// As [`Checkpoint::open`].
pub fn open(path: &Path, options: crate::Options) -> Result<Checkpoint, ckx_archive::Error> {
    let is_read_once = is_read_once(path, &options);
    if is_read_once { Piped::new().open(path, options) } else { Checkpoint::open(path, options) }
}

struct Memory<'a> {
    pair: &'a Pair<'a>,
    files: [&'a PageFiles<'a>; 2],
    /// The smaller of the page sizes: what is compared at once.
    unit: u64,
    /// Shared objects that were compared, by their numbers.
    objects: BTreeSet<(u64, u64)>,
    found: Comparison,
}

/// Both spaces of a comparison.
struct Spaces<'s> {
    before: &'s Chain,
    after: &'s Chain,
}

impl Memory<'_> {
    fn process(&mut self, a: &Process, b: &Process) {
        let maps = (mappings::of(self.pair.before, a), mappings::of(self.pair.after, b));
        if maps.0.is_empty() && maps.1.is_empty() {
            return;
        }
        let units = match self.pair.options.relocated {
            true => mappings::by_name(&maps.0, &maps.1),
            false => mappings::by_address(&maps.0, &maps.1),
        };
        let names = [a.pid, b.pid].map(|pid| format!("pagemap-{pid}.img"));
        let place = format!("proc[{}]", self.pair.pairing.name_of(a.pid, Side::Before));
        self.spaces(&names, |memory, spaces| {
            let mut unknown = Unknown::default();
            if mappings::lies_elsewhere(&units) {
                memory.elsewhere(&place, &spaces, &mut unknown);
                return unknown;
            }
            for unit in &units {
                let is_anonymous = |mapping: Option<&Mapping>| {
                    mapping.is_none_or(|mapping| mapping.content == Backing::Anonymous)
                };
                let manner = memory.manner(is_anonymous(unit.before) && is_anonymous(unit.after));
                let tally = spaces.tally(unit, manner);
                unknown.add(&tally);
                memory.tell(&place, unit, tally);
            }
            unknown
        });
        for unit in &units {
            self.object(&place, unit);
        }
    }

    /// Of a process whose mappings are all at other addresses only the pages are counted.
    fn elsewhere(&mut self, place: &str, spaces: &Spaces<'_>, unknown: &mut Unknown) {
        let page_size = self.unit;
        let mut count = |space: &Chain, side: usize| {
            space.runs(0, u64::MAX).fold(0u64, |pages, run| {
                let of_run = (run.end - run.start) / page_size.max(1);
                if let Content::Absent(why) = run.content {
                    unknown.0[side][why as usize] += of_run;
                }
                pages.saturating_add(of_run)
            })
        };
        let pages = [count(spaces.before, 0), count(spaces.after, 1)];
        let value = |pages: u64| Some(serde_json::json!({ "pages": pages }));
        let mut change = Change::new(format!("{place}.memory"), value(pages[0]), value(pages[1]));
        change.remark = Some(mappings::ELSEWHERE.to_owned());
        self.found.changes.push(change);
    }

    /// Reads the page maps of both sides and lets `compare` work on them.
    fn spaces(&mut self, names: &[String; 2], compare: impl FnOnce(&mut Self, Spaces<'_>) -> Unknown) {
        let before = Chain::read(self.files[0], &names[0]);
        let after = Chain::read(self.files[1], &names[1]);
        let unknown = match before.is_lost() || after.is_lost() {
            true => Unknown::default(),
            false => compare(self, Spaces { before: &before, after: &after }),
        };
        for (side, chain) in [(Side::Before, &before), (Side::After, &after)] {
            self.found.issues.extend(chain.issues().iter().cloned().map(|issue| (side, issue)));
            let name = match side {
                Side::Before => &names[0],
                Side::After => &names[1],
            };
            if let Some(issue) = unknown.issue(side, name) {
                self.found.issues.push((side, issue));
            }
        }
    }

    fn manner(&self, is_anonymous: bool) -> Manner {
        Manner { page_size: self.unit, is_anonymous, show_bytes: self.pair.options.show_bytes }
    }

    /// Compares the shared objects behind a unit, once for all processes that map them.
    fn object(&mut self, place: &str, unit: &Unit<'_>) {
        let id = |mapping: Option<&Mapping>| match mapping?.content {
            Backing::Object(id) => Some(id),
            _ => None,
        };
        let (Some(a), Some(b)) = (id(unit.before), id(unit.after)) else { return };
        if !self.objects.insert((a, b)) {
            return;
        }
        let names = [a, b].map(|id| format!("pagemap-shmem-{id}.img"));
        // An object of which no page was touched has no map.
        let is_there =
            |checkpoint: &Checkpoint, name: &str| checkpoint.image_member(name.as_bytes()).is_some();
        if !is_there(self.pair.before, &names[0]) && !is_there(self.pair.after, &names[1]) {
            return;
        }
        self.spaces(&names, |memory, spaces| {
            let whole = Unit { ranges: vec![(0, u64::MAX)], shift: 0, ..unit.clone() };
            let tally = spaces.tally(&whole, memory.manner(true));
            let mut unknown = Unknown::default();
            unknown.add(&tally);
            memory.tell(&format!("{place}.shared"), unit, tally);
            unknown
        });
    }

    /// Compares objects that no pair maps, by their names.
    fn unmapped(&mut self) {
        let done =
            (self.objects.iter().map(|ids| ids.0).collect(), self.objects.iter().map(|ids| ids.1).collect());
        let before = objects::unmapped(self.pair.before, &done.0);
        let after = objects::unmapped(self.pair.after, &done.1);
        for (name, a) in &before {
            let Some(b) = after.get(name) else { continue };
            let names = [a, b].map(|id| format!("pagemap-shmem-{id}.img"));
            let object = Mapping {
                start: 0,
                end: u64::MAX,
                name: Some(crate::Name::from(name)),
                permissions: "rw-s".to_owned(),
                offset: None,
                object_offset: 0,
                content: Backing::Object(*a),
            };
            let both = Some(&object);
            let unit = Unit { before: both, after: both, ranges: vec![(0, u64::MAX)], shift: 0 };
            self.spaces(&names, |memory, spaces| {
                let tally = spaces.tally(&unit, memory.manner(true));
                let mut unknown = Unknown::default();
                unknown.add(&tally);
                memory.tell(&format!("shared[{name}]"), &unit, tally);
                unknown
            });
        }
    }

    fn tell(&mut self, place: &str, unit: &Unit<'_>, tally: Tally) {
        self.found.same += tally.same;
        let Some(mapping) = unit.before.or(unit.after) else { return };
        let path = format!("{place}.memory[{:#x}]", mapping.start);
        if tally.changed + tally.added + tally.removed == 0 {
            if self.pair.options.keep_same && tally.same > 0 {
                self.found.changes.push(Change::same(path));
            }
            return;
        }
        let mut change = Change::new(path, None, None);
        change.mark = match (unit.before, unit.after) {
            (None, _) => Mark::Added,
            (_, None) => Mark::Removed,
            _ => Mark::Changed,
        };
        if unit.before.is_some_and(Mapping::is_private_code)
            && unit.after.is_some_and(Mapping::is_private_code)
        {
            change.remark = Some("code differs".to_owned());
        }
        change.memory = Some(Box::new(MemoryChange::new(mapping, unit, tally)));
        self.found.changes.push(change);
    }
}

impl Spaces<'_> {
    fn tally(&self, unit: &Unit<'_>, manner: Manner) -> Tally {
        let steps = unit.ranges.iter().flat_map(|(start, end)| {
            let (start, end) = (*start, *end);
            let before = self.before.runs(start, end);
            let shift = unit.shift;
            let after = self.after.runs(start.wrapping_add(shift), end.wrapping_add(shift)).map(move |run| {
                Run { start: run.start.wrapping_sub(shift), end: run.end.wrapping_sub(shift), ..run }
            });
            Steps::new(before, after)
        });
        compare::compare(steps, manner)
    }
}

/// Pages that could not be compared, by the side that lacks them and by the reason.
#[derive(Default)]
struct Unknown([[u64; Why::COUNT]; 2]);

impl Unknown {
    fn add(&mut self, tally: &Tally) {
        for (all, new) in self.0.iter_mut().flatten().zip(tally.unknown.iter().flatten()) {
            *all = all.saturating_add(*new);
        }
    }

    fn issue(&self, side: Side, image: &str) -> Option<Issue> {
        let counts = match side {
            Side::Before => &self.0[0],
            Side::After => &self.0[1],
        };
        let total = counts.iter().fold(0u64, |all, count| all.saturating_add(*count));
        let parts = Why::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
        let reasons: Vec<String> = parts.map(|(why, count)| format!("{count} {}", why.reason())).collect();
        let pages = if total == 1 { "page was" } else { "pages were" };
        (total > 0).then(|| {
            Issue::new(image, "not-compared", format!("{total} {pages} not compared: {}", reasons.join(", ")))
        })
    }
}
