//! One page map and its pages, once more: without pages that are elsewhere or need not be anywhere.

use bytes::Bytes;
use ckx_core::Name;
use ckx_core::memory::{Chain, Content, Run, Why};
use ckx_criu::pages::{PE_LAZY, PE_PARENT};
use rayon::prelude::*;

use crate::Error;
use crate::plan::{Parts, StreamedMember};
use crate::rewrite::pagemap::{MapWriter, stored_flags};

/// How a map is rewritten.
pub(super) struct Manner<'a> {
    /// The same map in the earlier checkpoint: pages that are the same there are not stored.
    pub base: Option<&'a Chain>,
    /// Whether pages that are in an earlier dump of the source stay there.
    pub keeps_parent: bool,
    /// Ranges, sorted, in which a page of zeros need not be stored.
    pub zeros: &'a [(u64, u64)],
    /// A member of a dump, so many steps back, that can be decoded again.
    pub streamed: &'a (dyn Fn(&[u8], usize) -> Option<StreamedMember> + Sync),
}

/// Pages by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub stored: u64,
    pub parent: u64,
    /// Zeros that are not stored.
    pub dropped: u64,
    /// Left on the dumping host.
    pub lazy: u64,
}

/// A map that was rewritten.
pub(super) struct Rewritten {
    pub map: Vec<u8>,
    pub pages: Parts,
    pub counts: Counts,
}

impl Rewritten {
    /// A map that stays as it is.
    pub fn untouched(counts: Counts) -> Self {
        Self { map: Vec::new(), pages: Parts::default(), counts }
    }
}

/// What becomes of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stored,
    Parent,
    Dropped,
    Lazy,
}

/// Bytes that are compared in one go.
const STEP: u64 = 4 << 20;
/// Steps that are compared before the next are made: bounds what is held of a map of any length.
const BATCH: usize = 64;

/// Rewrites a map.
///
/// # Errors
/// [`Error::Image`] for pages that cannot be read.
pub(super) fn rewrite(
    name: &str,
    chain: &Chain,
    mut writer: MapWriter,
    manner: &Manner<'_>,
) -> Result<Rewritten, Error> {
    let mut out = Output { name, chain, manner, pages: Parts::default(), counts: Counts::default() };
    let mut steps = chain.runs(0, u64::MAX).flat_map(steps_of);
    loop {
        let batch: Vec<Run> = steps.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        let page_size = chain.page_size();
        let fates: Vec<Vec<(u64, u64, Fate)>> =
            batch.par_iter().map(|run| fates(run, manner, page_size)).collect();
        for (run, fates) in batch.iter().zip(fates) {
            out.check(run)?;
            for (start, end, fate) in fates {
                out.push(&mut writer, run, (start, end), fate)?;
            }
        }
    }
    let map = writer.finish().ok_or_else(|| image(name, CANNOT_SAY))?;
    Ok(Rewritten { map, pages: out.pages, counts: out.counts })
}

const CANNOT_SAY: &str = "its form cannot say what would have to be said";

fn image(name: &str, reason: impl Into<String>) -> Error {
    Error::Image { member: Name::from(name).to_string(), reason: reason.into() }
}

/// Long runs in steps, so that they are compared in parallel.
fn steps_of(run: Run) -> impl Iterator<Item = Run> {
    let mut at = run.start;
    std::iter::from_fn(move || {
        let end = at.saturating_add(STEP).min(run.end);
        (at < end).then(|| {
            let step = run.cut(at, end);
            at = end;
            step
        })
    })
}

/// What becomes of the pages of a run, in stretches.
fn fates(run: &Run, manner: &Manner<'_>, page_size: u64) -> Vec<(u64, u64, Fate)> {
    let mut stretches: Vec<(u64, u64, Fate)> = Vec::new();
    let whole = run.clone().unpacked();
    let mut base =
        manner.base.into_iter().flat_map(|chain| chain.runs(run.start, run.end)).map(Run::unpacked);
    let mut before = base.next();
    let mut at = run.start;
    while at < run.end {
        while before.as_ref().is_some_and(|run| run.end <= at) {
            before = base.next();
        }
        let fate = match &run.content {
            Content::Absent(Why::Lazy) => Fate::Lazy,
            _ if manner.keeps_parent && run.level > 0 => Fate::Parent,
            _ if is_within(manner.zeros, at) && whole.has_zero_page(at, page_size) => Fate::Dropped,
            _ if before.as_ref().is_some_and(|before| whole.has_same_page(before, at, page_size)) => {
                Fate::Parent
            }
            _ => Fate::Stored,
        };
        let end = at.saturating_add(page_size.max(1)).min(run.end);
        match stretches.last_mut() {
            Some((_, last, known)) if *known == fate => *last = end,
            _ => stretches.push((at, end, fate)),
        }
        at = end;
    }
    stretches
}

fn is_within(ranges: &[(u64, u64)], address: u64) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= address);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, end)| address < *end)
}

struct Output<'a> {
    name: &'a str,
    chain: &'a Chain,
    manner: &'a Manner<'a>,
    pages: Parts,
    counts: Counts,
}

impl Output<'_> {
    /// Half a memory is not written: whoever restores it would not know.
    fn check(&self, run: &Run) -> Result<(), Error> {
        match run.content {
            Content::Absent(why) if !matches!(why, Why::Lazy | Why::NotKept) => {
                let reason = format!("at {:#x}: {}", run.start, self.chain.reason(why));
                Err(image(self.name, reason))
            }
            _ => Ok(()),
        }
    }

    fn push(
        &mut self,
        writer: &mut MapWriter,
        run: &Run,
        (start, end): (u64, u64),
        fate: Fate,
    ) -> Result<(), Error> {
        let pages = (end - start) / self.chain.page_size().max(1);
        let (counter, flags) = match fate {
            Fate::Dropped => {
                self.counts.dropped += pages;
                return Ok(());
            }
            Fate::Parent => (&mut self.counts.parent, PE_PARENT),
            Fate::Lazy => (&mut self.counts.lazy, PE_LAZY),
            Fate::Stored => {
                let part = run.cut(start, end);
                let known = self.chain.stored_at(&part);
                let (offset, flags) = known.map_or((None, 0), |known| (known.offset, known.flags));
                let member = known.and_then(|known| (self.manner.streamed)(known.member, run.level));
                self.store(part, member, offset)?;
                (&mut self.counts.stored, stored_flags(flags))
            }
        };
        *counter += pages;
        writer.push(start, pages, flags).ok_or_else(|| image(self.name, CANNOT_SAY))
    }

    fn store(&mut self, part: Run, member: Option<StreamedMember>, offset: Option<u64>) -> Result<(), Error> {
        let len = part.size();
        match part.content {
            Content::Bytes(bytes) if bytes.len() as u64 == len => {
                self.pages.push_bytes(bytes);
                return Ok(());
            }
            Content::Zero => {
                self.pages.push_zeros(len);
                return Ok(());
            }
            Content::Packed(_) => {
                self.pages.push_packed(part);
                return Ok(());
            }
            _ => {}
        }
        if let (Some(member), Some(offset)) = (member, offset)
            && self.pages.push_streamed(&member, offset, len)
        {
            return Ok(());
        }
        Err(Error::refused(format!(
            "`{}`: its pages are in more than one large file of a source that is compressed",
            Name::from(self.name)
        ))
        .hinted("decompress the source first; a plain tar or a directory can be read anywhere"))
    }
}

/// The bytes of a map as a content.
pub(super) fn content(map: Vec<u8>) -> crate::plan::Content {
    crate::plan::Content::Bytes(Bytes::from(map))
}
