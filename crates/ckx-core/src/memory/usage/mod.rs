//! How much memory there is, of what kind, and how much of it is the same.

mod hasher;
mod outline;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub use hasher::Contents;
use hasher::{Key, Pages};

use super::held::Memory;
use super::run::{Content, Run, Why};
use super::space::AddressSpace;
use crate::inspect::Subject;
use crate::model::mappings::{Backing, Mapping};
use crate::{Checkpoint, ImageSet as _, Issue};

/// The memory of a checkpoint in numbers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Usage {
    /// Size of a page.
    pub page_size_bytes: u64,
    /// All processes and shared objects together, each page once.
    pub total: Total,
    /// The processes, in the order of the tree's image.
    pub processes: Vec<ProcessUsage>,
    /// Shared objects that have pages.
    pub objects: Vec<ObjectUsage>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// All memory.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Total {
    /// Pages that the dump has.
    #[serde(flatten)]
    pub pages: Counts,
    /// Pages that only one process has.
    pub private_pages: u64,
    /// Pages of shared objects.
    pub shared_pages: u64,
    /// Different contents among them; absent when not all could be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_pages: Option<u64>,
    /// Bytes of pages whose content another page has too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_bytes: Option<u64>,
    /// Bytes that would be there more if each process had shared pages on its own.
    pub saved_by_sharing_bytes: u64,
}

/// Memory of a process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessUsage {
    /// The process.
    #[serde(flatten)]
    pub process: Subject,
    /// Size of its mappings.
    pub mapped_bytes: u64,
    /// Its pages, with those of shared objects that it maps.
    #[serde(flatten)]
    pub pages: Counts,
    /// Pages that it has alone.
    pub private_pages: u64,
    /// Pages of shared objects that it maps.
    pub shared_pages: u64,
    /// Different contents among its private pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_pages: Option<u64>,
    /// The same by kind of mapping.
    pub kinds: Vec<KindUsage>,
}

/// Mappings of one kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KindUsage {
    /// `heap`, `stack`, `anonymous`, `code` (private, of a file, executable), `file` (private, of a file),
    /// `shared`, `shared-file`, `kernel`.
    pub kind: &'static str,
    /// How many there are.
    pub mappings: u64,
    /// Their size.
    pub mapped_bytes: u64,
    /// Their pages.
    #[serde(flatten)]
    pub pages: Counts,
}

/// A shared object.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ObjectUsage {
    /// Its number.
    pub shmid: u64,
    /// Processes that map it.
    pub mapped_by: Vec<u32>,
    /// Its pages.
    #[serde(flatten)]
    pub pages: Counts,
    /// Different contents among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_pages: Option<u64>,
}

/// Pages, counted by what is known of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Those whose content is there, in this dump or in an earlier one.
    pub present_pages: u64,
    /// Of them, those that are zeros throughout; absent when the content was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zero_pages: Option<u64>,
    /// Those that are in an earlier dump, there or not.
    pub parent_pages: u64,
    /// Those that were left on the dumping host.
    pub lazy_pages: u64,
    /// Those that should be there and are not.
    pub lost_pages: u64,
}

impl Counts {
    fn add(&mut self, run: &Run, page_size: u64) {
        let pages = run.size() / page_size.max(1);
        let here = matches!(
            run.content,
            Content::Bytes(_)
                | Content::Hashes(_)
                | Content::Packed(_)
                | Content::Zero
                | Content::Absent(Why::NotKept)
        );
        if here {
            self.present_pages = self.present_pages.saturating_add(pages);
        }
        match run.content {
            _ if here && run.level > 0 => self.parent_pages = self.parent_pages.saturating_add(pages),
            Content::Absent(Why::Parent | Why::Gap | Why::Circle) => {
                self.parent_pages = self.parent_pages.saturating_add(pages);
                self.lost_pages = self.lost_pages.saturating_add(pages);
            }
            Content::Absent(Why::Lazy) => self.lazy_pages = self.lazy_pages.saturating_add(pages),
            Content::Absent(Why::Lost | Why::Packed) => {
                self.lost_pages = self.lost_pages.saturating_add(pages)
            }
            _ => {}
        }
        if matches!(run.content, Content::Zero) {
            self.add_zeros(pages);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.present_pages = self.present_pages.saturating_add(other.present_pages);
        self.parent_pages = self.parent_pages.saturating_add(other.parent_pages);
        self.lazy_pages = self.lazy_pages.saturating_add(other.lazy_pages);
        self.lost_pages = self.lost_pages.saturating_add(other.lost_pages);
        if let Some(zeros) = other.zero_pages {
            self.add_zeros(zeros);
        }
    }

    fn add_zeros(&mut self, pages: u64) {
        let zeros = self.zero_pages.get_or_insert(0);
        *zeros = zeros.saturating_add(pages);
    }
}

/// The kind of a mapping, as people speak of it.
fn kind_of(mapping: &Mapping) -> &'static str {
    let name = mapping.name.as_ref().map(crate::Name::as_bytes).unwrap_or_default();
    match mapping.content {
        Backing::Anonymous if name == b"[heap]" => "heap",
        Backing::Anonymous if name == b"[stack]" => "stack",
        Backing::Anonymous => "anonymous",
        Backing::File if mapping.permissions.contains('x') => "code",
        Backing::File => "file",
        Backing::Object(_) => "shared",
        Backing::Elsewhere if name.starts_with(b"[") => "kernel",
        Backing::Elsewhere => "shared-file",
    }
}

impl Usage {
    /// Counts the memory of a checkpoint, with what was seen of its content.
    pub fn new(checkpoint: &Checkpoint, contents: &Contents, issues: Vec<Issue>) -> Self {
        let memory = Memory::at_hand(checkpoint);
        let page_size = memory.page_size();
        let mut usage = Self {
            page_size_bytes: page_size,
            total: Total::default(),
            processes: Vec::new(),
            objects: Vec::new(),
            issues: checkpoint.processes().issues_of(&["mm-"]),
        };
        for issue in issues {
            if !usage.issues.contains(&issue) {
                usage.issues.push(issue);
            }
        }
        let mut owners: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        let wanted = checkpoint.processes().list.iter().filter(|process| checkpoint.wants(process.pid));
        for process in wanted.filter(|process| process.mm.is_some()) {
            let space = memory.space(process);
            for id in space.object_ids() {
                owners.entry(id).or_default().push(process.pid);
            }
            usage.processes.push(ProcessUsage::new(process.into(), &space, contents));
        }
        let names = checkpoint.names();
        let ids =
            names.iter().filter_map(|name| crate::interest::number_in(name, b"pagemap-shmem-", b".img"));
        let mut ids: Vec<u64> =
            ids.filter(|id| checkpoint.options().pids.is_none() || owners.contains_key(id)).collect();
        ids.sort_unstable();
        for id in ids {
            let mapped_by = owners.remove(&id).unwrap_or_default();
            usage.objects.push(ObjectUsage::new(&memory, id, mapped_by, contents));
        }
        usage.sum(contents);
        usage
    }

    fn sum(&mut self, contents: &Contents) {
        let total = &mut self.total;
        let mut shown = 0u64;
        for process in &self.processes {
            total.private_pages = total.private_pages.saturating_add(process.private_pages);
            shown = shown.saturating_add(process.shared_pages);
            for kind in process.kinds.iter().filter(|kind| kind.kind != "shared") {
                total.pages.merge(&kind.pages);
            }
        }
        let mut mapped = 0u64;
        for object in &self.objects {
            total.pages.merge(&object.pages);
            total.shared_pages = total.shared_pages.saturating_add(object.pages.present_pages);
            mapped = mapped.saturating_add(if object.mapped_by.is_empty() {
                0
            } else {
                object.pages.present_pages
            });
        }
        total.saved_by_sharing_bytes = shown.saturating_sub(mapped).saturating_mul(self.page_size_bytes);
        let all = contents.all();
        let seen = all.hashes.len() as u64 + all.zero_pages();
        // Zeros that the page map tells of have no bytes to see.
        if seen > 0 && seen <= total.pages.present_pages {
            let unique = all.unique();
            total.unique_pages = Some(unique);
            total.duplicate_bytes = Some(seen.saturating_sub(unique).saturating_mul(self.page_size_bytes));
        }
    }
}

impl ProcessUsage {
    fn new(process: Subject, space: &AddressSpace, contents: &Contents) -> Self {
        let pages = contents.of(Key::Process(space.pid()));
        let mut kinds: BTreeMap<&'static str, KindUsage> = BTreeMap::new();
        let mut mapped_bytes = 0u64;
        for mapping in space.mappings() {
            let kind = kind_of(mapping);
            let usage = kinds.entry(kind).or_insert_with(|| KindUsage {
                kind,
                mappings: 0,
                mapped_bytes: 0,
                pages: Counts::default(),
            });
            let size = mapping.end - mapping.start;
            mapped_bytes = mapped_bytes.saturating_add(size);
            usage.mappings = usage.mappings.saturating_add(1);
            usage.mapped_bytes = usage.mapped_bytes.saturating_add(size);
            if let Some(pages) = pages.filter(|_| kind != "shared") {
                usage.pages.add_zeros(pages.zeros.get(&mapping.start).copied().unwrap_or(0));
            }
        }
        for piece in space.pieces(0, u64::MAX) {
            let Some(mapping) = space.mappings().get(piece.mapping) else { continue };
            if let Some(usage) = kinds.get_mut(kind_of(mapping)) {
                usage.pages.add(&piece.run, space.page_size());
            }
        }
        let mut all = Counts::default();
        kinds.values().for_each(|kind| all.merge(&kind.pages));
        let shared_pages = kinds.get("shared").map_or(0, |kind| kind.pages.present_pages);
        Self {
            process,
            mapped_bytes,
            private_pages: all.present_pages.saturating_sub(shared_pages),
            shared_pages,
            pages: all,
            unique_pages: pages.map(Pages::unique),
            kinds: kinds.into_values().collect(),
        }
    }
}

impl ObjectUsage {
    fn new(memory: &Memory<'_>, shmid: u64, mapped_by: Vec<u32>, contents: &Contents) -> Self {
        let chain = memory.object(shmid);
        let mut counts = Counts::default();
        chain.runs(0, u64::MAX).for_each(|run| counts.add(&run, memory.page_size()));
        let pages = contents.of(Key::Object(shmid));
        if let Some(pages) = pages {
            counts.add_zeros(pages.zero_pages());
        }
        Self { shmid, mapped_by, pages: counts, unique_pages: pages.map(Pages::unique) }
    }
}
