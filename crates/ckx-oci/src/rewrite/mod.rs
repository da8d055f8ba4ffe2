//! Memory written once more: against an earlier checkpoint, on its own, or without zeros.

mod base;
mod pagemap;
mod pages;
mod parents;

use ckx_core::memory::Memory;
use ckx_core::{Checkpoint, Name};
use ckx_criu::Image;
use ckx_criu::pages::{PE_PRESENT, PageEntries};
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use base::{Base, is_map};

use self::pagemap::MapWriter;
use self::pages::{Counts, Manner, rewrite};
use crate::Error;
use crate::plan::{Content, Entry, Origin, Plan, StreamedMember, counted, joined};

/// What is to become of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Whether pages of earlier dumps and compressed ones are stored as plain pages.
    pub flatten: bool,
    /// Whether pages of zeros in private anonymous memory are left out.
    pub drop_zero_pages: bool,
    /// Earlier checkpoints that an image may stand on, one on the other.
    pub max_depth: usize,
    /// Pages that a delta may store, in percent of all. With more, everything is stored.
    pub max_share_percent: u8,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { flatten: false, drop_zero_pages: false, max_depth: 4, max_share_percent: 50 }
    }
}

/// What became of the memory of a checkpoint that was written against an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Delta {
    /// Earlier checkpoints that the output stands on: 0 when everything was stored after all.
    pub depth: usize,
    /// Pages that are the same there.
    pub same_pages: u64,
    /// Pages that are not.
    pub changed_pages: u64,
    /// Size of a page.
    pub page_bytes: u64,
    /// Why everything was stored after all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebased: Option<String>,
}

/// Rewrites the memory in a plan as far as options ask for it.
///
/// # Errors
/// [`Error::Refused`] when it cannot be done with this checkpoint or this base; [`Error::Image`] for maps
/// and pages that cannot be read.
pub(crate) fn apply(
    plan: &mut Plan,
    checkpoint: &Checkpoint,
    base: Option<&Checkpoint>,
    options: MemoryOptions,
) -> Result<Option<Delta>, Error> {
    if checkpoint.previous().is_some() {
        let memory = Memory::at_hand(checkpoint);
        let names = parents::maps(checkpoint);
        parents::check(checkpoint, names.iter().map(|name| (name.as_str(), memory.chain(name))))?;
    }
    let Some(earlier) = base else {
        if options.flatten || options.drop_zero_pages {
            Rewriting::new(checkpoint, None, options).apply(plan)?;
        }
        if !options.flatten && checkpoint.previous().is_some() {
            parents::put(plan, checkpoint)?;
        }
        return Ok(None);
    };
    let base = Base::of(checkpoint, earlier)?;
    let all = |rebased, same, changed, page_bytes| Delta {
        depth: 0,
        same_pages: same,
        changed_pages: changed,
        page_bytes,
        rebased: Some(rebased),
    };
    let full = Rewriting::new(checkpoint, None, MemoryOptions { flatten: true, ..options });
    if base.depth() > options.max_depth {
        let reason = format!(
            "it would stand on {} earlier checkpoints, more than {}",
            base.depth(),
            options.max_depth
        );
        let page_bytes = full.apply(plan)?;
        return Ok(Some(all(reason, 0, 0, page_bytes)));
    }
    let delta = Rewriting::new(checkpoint, Some(&base), MemoryOptions { flatten: true, ..options });
    let done = delta.rewrite_all()?;
    let (same, changed) = (done.sum(|counts| counts.parent), done.sum(|counts| counts.stored));
    if same == 0 && changed > 0 {
        return Err(Error::refused("no page of the checkpoint is the same in the base")
            .hinted("is the base an earlier checkpoint of the same container?"));
    }
    let total = same.saturating_add(changed);
    if u128::from(changed) * 100 > u128::from(total) * u128::from(options.max_share_percent) {
        let percent = changed.saturating_mul(100).div_ceil(total.max(1));
        let reason = format!("{percent} % of its pages changed, more than {} %", options.max_share_percent);
        let page_bytes = full.apply(plan)?;
        return Ok(Some(all(reason, same, changed, page_bytes)));
    }
    let page_bytes = delta.page_size();
    delta.put(plan, done)?;
    base.put(plan, checkpoint.images_directory());
    Ok(Some(Delta {
        depth: base.depth(),
        same_pages: same,
        changed_pages: changed,
        page_bytes,
        rebased: None,
    }))
}

/// A rewriting underway.
struct Rewriting<'a> {
    checkpoint: &'a Checkpoint,
    memory: Memory<'a>,
    base: Option<&'a Base<'a>>,
    options: MemoryOptions,
}

/// Maps that were rewritten, each with its name and that of its pages file.
struct Done(Vec<(String, Vec<u8>, pages::Rewritten)>);

impl Done {
    fn sum(&self, of: fn(&Counts) -> u64) -> u64 {
        self.0.iter().map(|(_, _, done)| of(&done.counts)).fold(0, u64::saturating_add)
    }
}

impl<'a> Rewriting<'a> {
    fn new(checkpoint: &'a Checkpoint, base: Option<&'a Base<'a>>, options: MemoryOptions) -> Self {
        let at_hand = Memory::at_hand(checkpoint);
        let page_size = at_hand.page_size();
        // Pages that went by are needed only for a look at what is in them.
        let looks = base.is_some() || options.drop_zero_pages;
        let memory = if looks { Memory::hashed(checkpoint, page_size) } else { at_hand };
        Self { checkpoint, memory, base, options }
    }

    fn page_size(&self) -> u64 {
        self.memory.page_size()
    }

    fn apply(&self, plan: &mut Plan) -> Result<u64, Error> {
        let done = self.rewrite_all()?;
        self.put(plan, done)?;
        Ok(self.page_size())
    }

    fn rewrite_all(&self) -> Result<Done, Error> {
        if let Some(issue) = self.memory.issue() {
            return Err(Error::Image { member: issue.image.clone(), reason: issue.reason.clone() });
        }
        let mut done = Vec::new();
        for name in parents::maps(self.checkpoint) {
            if let Some((pages, rewritten)) = self.rewrite_one(&name)? {
                done.push((name, pages, rewritten));
            }
        }
        Ok(Done(done))
    }

    /// Rewrites a map if there is something to be done about it.
    fn rewrite_one(&self, name: &str) -> Result<Option<(Vec<u8>, pages::Rewritten)>, Error> {
        let chain = self.memory.chain(name);
        if chain.is_lost() {
            let reason = chain.issues().first().map_or_else(String::new, |issue| issue.reason.clone());
            return Err(Error::Image { member: Name::from(name).to_string(), reason });
        }
        let bytes = self
            .checkpoint
            .image_member(name.as_bytes())
            .map(|member| self.checkpoint.archive().read(member));
        let Some(bytes) = bytes.transpose()? else { return Ok(None) };
        let unreadable = |reason: String| Error::Image { member: Name::from(name).to_string(), reason };
        let image = Image::parse(name.as_bytes(), &bytes).map_err(|error| unreadable(error.to_string()))?;
        let before = self.base.map(|base| base.chain(name)).filter(|chain| !chain.is_lost());
        let zeros = if self.options.drop_zero_pages { self.zeros(name) } else { Vec::new() };
        let is_flat = !chain.has_parent() && !has_blocks(image);
        if before.is_none() && zeros.is_empty() && (is_flat || !self.options.flatten) {
            let counts = Counts { stored: stored_pages(image), ..Counts::default() };
            return Ok(self.base.map(|_| (Vec::new(), pages::Rewritten::untouched(counts))));
        }
        let Some(writer) = MapWriter::like(&image, chain.page_size()) else { return Ok(None) };
        let Some(pages) = chain.members().next().map(<[u8]>::to_vec) else { return Ok(None) };
        let manner = Manner {
            base: before.as_ref(),
            keeps_parent: !self.options.flatten,
            zeros: &zeros,
            streamed: &|member, level| self.streamed(member, level),
        };
        let rewritten = rewrite(name, &chain, writer, &manner)?;
        let counts = rewritten.counts;
        let is_same = is_flat && counts.parent == 0 && counts.dropped == 0;
        Ok(Some(if is_same { (Vec::new(), pages::Rewritten::untouched(counts)) } else { (pages, rewritten) }))
    }

    /// Ranges of a process in which a page that is not stored is zeros when it is restored.
    fn zeros(&self, name: &str) -> Vec<(u64, u64)> {
        let pid =
            name.strip_prefix("pagemap-").and_then(|rest| rest.strip_suffix(".img")?.parse::<u32>().ok());
        let list = &self.checkpoint.processes().list;
        let process = pid.and_then(|pid| list.iter().find(|process| process.pid == pid));
        let mm = process.and_then(|process| process.mm.as_ref());
        let vmas = mm.map(|mm| mm.vmas.as_slice()).unwrap_or_default();
        let is_plain = |status: u32| status & PLAIN == PLAIN && status & !ALLOWED == 0;
        let mut ranges: Vec<(u64, u64)> =
            vmas.iter().filter(|vma| is_plain(vma.status)).map(|vma| (vma.start, vma.end)).collect();
        ranges.sort_unstable();
        ranges
    }

    /// A member with pages that is decoded again; of a dump in another source there is none.
    fn streamed(&self, name: &[u8], level: usize) -> Option<StreamedMember> {
        if level > 0 && self.checkpoint.previous().is_some() {
            return None;
        }
        let member = self.checkpoint.archive().get(name)?;
        Some(StreamedMember { origin: Origin::Own, name: name.into(), size: member.size_bytes })
    }

    /// Puts what was rewritten into the plan, and takes out what it no longer stands on.
    fn put(&self, plan: &mut Plan, done: Done) -> Result<(), Error> {
        let images = self.checkpoint.images_directory().to_vec();
        for (name, pages, rewritten) in done.0 {
            let counts = rewritten.counts;
            if pages.is_empty() {
                continue;
            }
            let name = joined(&images, name.as_bytes());
            replace(plan, &name, pages::content(rewritten.map));
            replace(plan, &pages, Content::Parts(rewritten.pages));
            plan.note(&name, "rewritten", said(counts));
        }
        if self.options.flatten {
            remove_parent(plan, &images)?;
        }
        Ok(())
    }
}

/// `vma_entry.status`: an ordinary mapping of private anonymous memory.
const PLAIN: u32 = 1 | 1 << 9;
/// The same and what does not matter: stack, heap.
const ALLOWED: u32 = PLAIN | 1 << 1 | 1 << 5;

fn said(counts: Counts) -> String {
    let mut parts = vec![format!("{} stored", counted(counts.stored, "page"))];
    let more = [(counts.parent, "in the earlier checkpoint"), (counts.dropped, "of zeros left out")];
    parts.extend(more.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    parts.join(", ")
}

fn replace(plan: &mut Plan, name: &[u8], content: Content) {
    match plan.get_mut(name) {
        Some(entry) => {
            entry.content = content;
            entry.patches.clear();
        }
        None => plan.put(name, Entry::file(content)),
    }
}

fn has_blocks(image: Image<'_>) -> bool {
    PageEntries::new(image).is_ok_and(|entries| entries.flatten().any(|entry| entry.blocks().is_some()))
}

fn stored_pages(image: Image<'_>) -> u64 {
    let Ok(entries) = PageEntries::new(image) else { return 0 };
    let stored = entries.flatten().filter(|entry| entry.flags & PE_PRESENT != 0);
    stored.map(|entry| entry.pages).fold(0, u64::saturating_add)
}

/// Takes out the earlier dumps of a source: nothing stands on them any more.
fn remove_parent(plan: &mut Plan, images: &[u8]) -> Result<(), Error> {
    plan.gather_parents(images)?;
    let parent = joined(images, b"parent");
    let is_there = plan.get(&parent).is_some();
    for name in plan.below(&parent) {
        plan.remove(&name);
    }
    if is_there {
        plan.note(&parent, "dropped", "all pages that were in the earlier dump are stored");
    }
    Ok(())
}
