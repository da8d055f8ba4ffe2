//! Two runs of memory beside each other, page by page.

use rayon::prelude::*;

use super::steps::Step;
use crate::diff::change::Mark;
use crate::memory::{Content, Why, hash};

/// Pages that differ in one way, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub start: u64,
    pub end: u64,
    pub mark: Mark,
    /// Bytes that differ; `None` where they are not at hand.
    pub changed_bytes: Option<u64>,
    /// What differs, 16 bytes each.
    pub rows: Vec<Row>,
}

/// Sixteen bytes of which some differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub address: u64,
    pub before: Option<[u8; ROW]>,
    pub after: Option<[u8; ROW]>,
}

/// Bytes of a row.
pub(super) const ROW: usize = 16;

/// Counts of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub same: u64,
    pub changed: u64,
    pub added: u64,
    pub removed: u64,
    /// Pages that cannot be read, by side and reason.
    pub unknown: [[u64; Why::COUNT]; 2],
    /// Bytes that differ in changed pages; `None` once a page is only known by its hash.
    pub changed_bytes: Option<u64>,
    pub stretches: Vec<Stretch>,
    /// Stretches that are not listed.
    pub more: u64,
    /// End and mark of the last of those.
    beyond: Option<(u64, Mark)>,
}

/// Stretches that are listed of one mapping.
const MAX_STRETCHES: usize = 1000;

/// How pages are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub page_size: u64,
    /// Whether a page that is not there reads as zeros.
    pub is_anonymous: bool,
    /// Bytes that are shown of each stretch.
    pub show_bytes: usize,
}

/// Steps that are compared before the next are made: bounds what is held of a map of any length.
const BATCH: usize = 256;

/// Compares all steps, in parallel, with an answer that does not depend on how.
pub(super) fn compare(mut steps: impl Iterator<Item = Step>, manner: Manner) -> Tally {
    let mut tally = Tally { changed_bytes: Some(0), ..Tally::default() };
    loop {
        let batch: Vec<Step> = steps.by_ref().take(BATCH).collect();
        match batch.as_slice() {
            [] => return tally,
            [step] => tally.append(one(step, manner), manner),
            batch => {
                let parts: Vec<Tally> = batch.par_iter().map(|step| one(step, manner)).collect();
                parts.into_iter().for_each(|part| tally.append(part, manner));
            }
        }
    }
}

fn one(step: &Step, manner: Manner) -> Tally {
    let mut tally = Tally { changed_bytes: Some(0), ..Tally::default() };
    let unpacked = |content: &Option<Content>| match content {
        Some(Content::Packed(packed)) => Some(packed.unpack(step.len)),
        other => other.clone(),
    };
    let contents = (unpacked(&step.before), unpacked(&step.after));
    let pages = step.len / manner.page_size.max(1);
    for page in 0..pages {
        let offset = page * manner.page_size;
        let before = contents.0.as_ref().map(|content| Page::of(content, page, manner));
        let after = contents.1.as_ref().map(|content| Page::of(content, page, manner));
        let verdict = Page::verdict(before.as_ref(), after.as_ref(), manner);
        tally.add(step.start.saturating_add(offset), verdict, before, after, manner);
    }
    tally
}

/// One page.
#[derive(Debug, Clone, Copy)]
enum Page<'a> {
    Bytes(&'a [u8]),
    Hash(u128),
    Zero,
    Unknown(Why),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Same,
    Unknown,
    Differs(Mark),
}

impl<'a> Page<'a> {
    fn of(content: &'a Content, page: u64, manner: Manner) -> Self {
        let at = usize::try_from(page).unwrap_or(usize::MAX);
        let size = manner.page_size as usize;
        match content {
            Content::Bytes(data) => {
                let start = at.saturating_mul(size);
                // A pages file that is cut off ends inside a run.
                data.get(start..start.saturating_add(size)).map_or(Self::Unknown(Why::Lost), Self::Bytes)
            }
            Content::Hashes(run) => {
                let hash = run.all.get(run.from.saturating_add(at));
                hash.map_or(Self::Unknown(Why::Lost), |hash| Self::Hash(*hash))
            }
            Content::Zero | Content::Untouched => Self::Zero,
            Content::Packed(_) => Self::Unknown(Why::Packed),
            Content::Absent(why) => Self::Unknown(*why),
        }
    }

    fn is_zero(&self, manner: Manner) -> bool {
        match self {
            Self::Bytes(bytes) => is_zero(bytes),
            Self::Hash(known) => *known == hash(zeros(manner)),
            Self::Zero => true,
            Self::Unknown(_) => false,
        }
    }

    fn hash(&self, manner: Manner) -> u128 {
        match self {
            Self::Bytes(bytes) => hash(bytes),
            Self::Hash(hash) => *hash,
            Self::Zero | Self::Unknown(_) => hash(zeros(manner)),
        }
    }

    /// Its bytes, where they are at hand.
    fn bytes(self, manner: Manner) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Zero => Some(zeros(manner)),
            Self::Hash(_) | Self::Unknown(_) => None,
        }
    }

    fn verdict(before: Option<&Self>, after: Option<&Self>, manner: Manner) -> Verdict {
        let is_same = match (before, after) {
            (Some(Self::Unknown(_)), _) | (_, Some(Self::Unknown(_))) => return Verdict::Unknown,
            (Some(Self::Bytes(a)), Some(Self::Bytes(b))) => a == b,
            (Some(Self::Zero), Some(other)) | (Some(other), Some(Self::Zero)) => other.is_zero(manner),
            (Some(a), Some(b)) => a.hash(manner) == b.hash(manner),
            (Some(page), None) | (None, Some(page)) => manner.is_anonymous && page.is_zero(manner),
            (None, None) => true,
        };
        match (is_same, before, after) {
            (true, ..) => Verdict::Same,
            (false, None, _) => Verdict::Differs(Mark::Added),
            (false, _, None) => Verdict::Differs(Mark::Removed),
            (false, ..) => Verdict::Differs(Mark::Changed),
        }
    }
}

/// Zeros, as many as a page of any machine has.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

fn zeros(manner: Manner) -> &'static [u8] {
    ZEROS.get(..manner.page_size as usize).unwrap_or(&ZEROS)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|chunk| ZEROS.get(..chunk.len()) == Some(chunk))
}

fn differing(a: &[u8], b: &[u8]) -> u64 {
    // Counted in bytes for as long as they cannot overflow, so that it is done for many at once.
    let blocks = a.chunks(255).zip(b.chunks(255));
    blocks.map(|(a, b)| u64::from(a.iter().zip(b).map(|(a, b)| u8::from(a != b)).sum::<u8>())).sum()
}

impl Tally {
    fn add(
        &mut self,
        start: u64,
        verdict: Verdict,
        a: Option<Page<'_>>,
        b: Option<Page<'_>>,
        manner: Manner,
    ) {
        let mark = match verdict {
            Verdict::Same => {
                self.same += 1;
                return;
            }
            Verdict::Unknown => {
                for (counts, page) in self.unknown.iter_mut().zip([a, b]) {
                    if let (Some(Page::Unknown(why)), counts) = (page, counts) {
                        counts[why as usize] += 1;
                    }
                }
                return;
            }
            Verdict::Differs(mark) => mark,
        };
        let bytes = (a.and_then(|page| page.bytes(manner)), b.and_then(|page| page.bytes(manner)));
        let changed = match (mark, bytes) {
            (Mark::Changed, (Some(a), Some(b))) => Some(differing(a, b)),
            (Mark::Changed, _) => None,
            _ => Some(0),
        };
        match mark {
            Mark::Changed => self.changed += 1,
            Mark::Added => self.added += 1,
            _ => self.removed += 1,
        }
        self.changed_bytes = sum(self.changed_bytes, changed);
        let rows = if manner.show_bytes == 0 { Vec::new() } else { rows(start, bytes, manner) };
        self.push(
            Stretch {
                start,
                end: start.saturating_add(manner.page_size),
                mark,
                changed_bytes: changed,
                rows,
            },
            manner,
        );
    }

    /// Adds a stretch; one that goes on where the last ended becomes part of it.
    fn push(&mut self, stretch: Stretch, manner: Manner) {
        let goes_on = |end: u64, mark: Mark| end == stretch.start && mark == stretch.mark;
        if let Some((end, mark)) = self.beyond {
            self.more += u64::from(!goes_on(end, mark));
            self.beyond = Some((stretch.end, stretch.mark));
            return;
        }
        let is_full = self.stretches.len() >= MAX_STRETCHES;
        match self.stretches.last_mut() {
            Some(last) if goes_on(last.end, last.mark) => {
                last.end = stretch.end;
                last.changed_bytes = sum(last.changed_bytes, stretch.changed_bytes);
                let room = (manner.show_bytes / ROW).saturating_sub(last.rows.len());
                last.rows.extend(stretch.rows.into_iter().take(room));
            }
            _ if !is_full => self.stretches.push(stretch),
            _ => {
                self.more += 1;
                self.beyond = Some((stretch.end, stretch.mark));
            }
        }
    }

    fn append(&mut self, other: Self, manner: Manner) {
        self.same += other.same;
        self.changed += other.changed;
        self.added += other.added;
        self.removed += other.removed;
        for (all, new) in self.unknown.iter_mut().flatten().zip(other.unknown.iter().flatten()) {
            *all += new;
        }
        self.changed_bytes = sum(self.changed_bytes, other.changed_bytes);
        other.stretches.into_iter().for_each(|stretch| self.push(stretch, manner));
    }
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    Some(a?.saturating_add(b?))
}

/// The rows of a page that differ, up to the bytes that are to be shown.
fn rows(start: u64, (before, after): (Option<&[u8]>, Option<&[u8]>), manner: Manner) -> Vec<Row> {
    let mut rows = Vec::new();
    for at in (0..manner.page_size as usize).step_by(ROW) {
        let row = |bytes: Option<&[u8]>| bytes?.get(at..at + ROW)?.try_into().ok();
        let (before, after): (Option<[u8; ROW]>, Option<[u8; ROW]>) = (row(before), row(after));
        let is_news = match (before, after) {
            (Some(before), Some(after)) => before != after,
            (Some(row), None) | (None, Some(row)) => row != [0; ROW],
            (None, None) => false,
        };
        if is_news {
            rows.push(Row { address: start.saturating_add(at as u64), before, after });
        }
        if rows.len() >= manner.show_bytes / ROW {
            break;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::steps::Steps;
    use super::*;
    use crate::memory::{HashRun, Packed, Run};

    const PAGE: u64 = 4096;
    const MANNER: Manner = Manner { page_size: PAGE, is_anonymous: true, show_bytes: 64 };

    fn bytes(start: u64, pages: &[u8]) -> Run {
        let data: Vec<u8> = pages.iter().flat_map(|byte| [*byte; PAGE as usize]).collect();
        let end = start + data.len() as u64;
        Run { start, end, level: 0, content: Content::Bytes(data.into()) }
    }

    fn hashes(start: u64, pages: &[u8]) -> Run {
        let all: Vec<u128> = pages.iter().map(|byte| hash(&[*byte; PAGE as usize])).collect();
        let end = start + all.len() as u64 * PAGE;
        Run {
            start,
            end,
            level: 0,
            content: Content::Hashes(HashRun { all: all.into(), from: 0, page_size: PAGE }),
        }
    }

    fn tally(before: Vec<Run>, after: Vec<Run>, manner: Manner) -> Tally {
        compare(Steps::new(before.into_iter(), after.into_iter()), manner)
    }

    fn counts(tally: &Tally) -> [u64; 5] {
        [tally.same, tally.changed, tally.added, tally.removed, tally.unknown.iter().flatten().sum()]
    }

    #[test]
    fn pages_are_lined_up_by_address() {
        let before = vec![bytes(0, &[1, 2, 3, 4]), bytes(6 * PAGE, &[7, 0])];
        let after = vec![bytes(PAGE, &[2]), bytes(2 * PAGE, &[9, 4, 5]), bytes(6 * PAGE, &[7])];
        let found = tally(before, after, MANNER);
        // A page of zeros that is not there is a page of zeros.
        assert_eq!(counts(&found), [4, 1, 1, 1, 0]);
        assert_eq!(found.changed_bytes, Some(PAGE));
        let marks: Vec<_> =
            found.stretches.iter().map(|each| (each.start / PAGE, each.end / PAGE, each.mark)).collect();
        assert_eq!(marks, [(0, 1, Mark::Removed), (2, 3, Mark::Changed), (4, 5, Mark::Added)]);
        let row = &found.stretches[1].rows[0];
        assert_eq!((row.address, row.before, row.after), (2 * PAGE, Some([3; 16]), Some([9; 16])));
        assert_eq!(found.stretches[1].rows.len(), 4);
    }

    #[test]
    fn of_a_file_a_page_that_is_not_there_is_that_of_the_file() {
        let manner = Manner { is_anonymous: false, ..MANNER };
        assert_eq!(counts(&tally(vec![bytes(0, &[0])], vec![], manner)), [0, 0, 0, 1, 0]);
    }

    #[test]
    fn hashes_bytes_and_zeros_compare() {
        let zero = |pages: u64| Run { start: 0, end: pages * PAGE, level: 0, content: Content::Zero };
        assert_eq!(
            counts(&tally(vec![hashes(0, &[1, 2])], vec![bytes(0, &[1, 3])], MANNER)),
            [1, 1, 0, 0, 0]
        );
        assert_eq!(counts(&tally(vec![hashes(0, &[0, 2])], vec![zero(2)], MANNER)), [1, 1, 0, 0, 0]);
        assert_eq!(counts(&tally(vec![bytes(0, &[0, 2])], vec![zero(2)], MANNER)), [1, 1, 0, 0, 0]);
        // A run of hashes that another run cuts in two.
        let after = vec![hashes(0, &[1, 2]), hashes(2 * PAGE, &[9, 4])];
        let found = tally(vec![hashes(0, &[1, 2, 3, 4])], after, MANNER);
        assert_eq!((counts(&found), found.changed_bytes), ([3, 1, 0, 0, 0], None));
    }

    #[test]
    fn blocks_are_unpacked_in_part() {
        let plain = bytes(0, &[1, 2, 3, 4]);
        let Content::Bytes(data) = &plain.content else { panic!("bytes") };
        let packed = |len: usize| {
            let block = Bytes::from(lz4_flex::block::compress(data));
            Run { content: Content::Packed(Packed { block, len, from: 0 }), ..plain.clone() }
        };
        let whole = packed(data.len());
        assert_eq!(counts(&tally(vec![whole.clone()], vec![plain.clone()], MANNER)), [4, 0, 0, 0, 0]);
        // The other side cuts it: page 2 differs, page 3 is not there.
        let after = vec![bytes(0, &[1]), bytes(PAGE, &[2, 9])];
        assert_eq!(counts(&tally(vec![whole], after, MANNER)), [2, 1, 0, 1, 0]);
        // A length that the block does not have.
        assert_eq!(
            counts(&tally(vec![packed(data.len() - 1)], vec![plain.clone()], MANNER)),
            [0, 0, 0, 0, 4]
        );
    }

    #[test]
    fn what_cannot_be_read_is_neither_same_nor_different() {
        let unknown = Run { start: 0, end: 2 * PAGE, level: 0, content: Content::Absent(Why::Lazy) };
        assert_eq!(counts(&tally(vec![unknown.clone()], vec![bytes(0, &[1])], MANNER)), [0, 0, 0, 0, 2]);
        // A pages file that is cut off.
        let mut cut = bytes(0, &[1, 2]);
        cut.content = Content::Bytes(vec![1; PAGE as usize + 5].into());
        assert_eq!(counts(&tally(vec![cut], vec![bytes(0, &[1, 2])], MANNER)), [1, 0, 0, 0, 1]);
    }

    #[test]
    fn stretches_go_on_over_steps_and_are_bounded() {
        let (a, b) = (vec![1; 600], vec![2; 600]);
        let found = tally(vec![bytes(0, &a)], vec![bytes(0, &b)], MANNER);
        assert_eq!((found.stretches.len(), found.stretches[0].end), (1, 600 * PAGE));
        assert_eq!(found.stretches[0].rows.len(), 4);
        let every_other: Vec<u8> = (0..3000).map(|at| if at % 2 == 0 { 1 } else { 2 }).collect();
        let found = tally(vec![bytes(0, &every_other)], vec![bytes(0, &[1; 3000])], MANNER);
        assert_eq!((found.stretches.len() as u64, found.more), (1000, 500));
    }

    #[test]
    fn bytes_that_differ_are_counted() {
        assert_eq!(differing(&[0; 4096], &[1; 4096]), 4096);
        let mut other = [0; 4096];
        other[255] = 1;
        other[4095] = 9;
        assert_eq!(differing(&[0; 4096], &other), 2);
    }

    proptest::proptest! {
        /// However pages lie in runs, the counts are those of comparing page by page.
        #[test]
        fn counts_do_not_depend_on_runs(
            before in proptest::collection::vec((0u64..4, proptest::option::of(0u8..3)), 0..40),
            after in proptest::collection::vec((0u64..4, proptest::option::of(0u8..3)), 0..40),
        ) {
            // Each pair: pages left out in front, and what the page holds.
            let pages = |list: &[(u64, Option<u8>)]| {
                let mut at = 0;
                let mut pages = std::collections::BTreeMap::new();
                for (gap, byte) in list {
                    at += gap + 1;
                    pages.insert(at, *byte);
                }
                pages
            };
            let runs = |pages: &std::collections::BTreeMap<u64, Option<u8>>| -> Vec<Run> {
                pages
                    .iter()
                    .map(|(at, byte)| match byte {
                        Some(byte) => bytes(at * PAGE, &[*byte]),
                        None => hashes(at * PAGE, &[9]),
                    })
                    .collect()
            };
            let (a, b) = (pages(&before), pages(&after));
            let mut expected = [0u64; 5];
            for at in a.keys().chain(b.keys().filter(|at| !a.contains_key(at))) {
                let place = match (a.get(at), b.get(at)) {
                    (Some(a), Some(b)) if a == b => 0,
                    (Some(Some(0)), None) | (None, Some(Some(0))) => 0,
                    (Some(_), Some(_)) => 1,
                    (None, _) => 2,
                    (_, None) => 3,
                };
                expected[place] += 1;
            }
            proptest::prop_assert_eq!(counts(&tally(runs(&a), runs(&b), MANNER)), expected);
        }
    }
}
