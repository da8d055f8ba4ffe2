//! `maps`: the mappings of each process, with the pages that the dump has of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use ckx_criu::pages::{PageMap, Residency, page_size_of};
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::subject::{Subject, living};
use crate::load::Loader;
use crate::model::Process;
use crate::model::mappings::{self, Backing};
use crate::outline::{Cell, Outline, Table};
use crate::{Address, Checkpoint, Issue, Name};

/// Mappings, by process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Maps {
    /// Processes that have mappings, in the order of the tree's image.
    pub processes: Vec<ProcessMaps>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Mappings of a process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessMaps {
    /// The process.
    #[serde(flatten)]
    pub process: Subject,
    /// Size of a page.
    pub page_size_bytes: u64,
    /// Size of all mappings.
    pub mapped_bytes: u64,
    /// Size of those that are shared: with other processes, or with a file.
    pub shared_bytes: u64,
    /// Mappings, by address.
    pub mappings: Vec<Mapping>,
}

/// A mapping: a line of `/proc/PID/maps`, with its pages.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Mapping {
    /// First address.
    pub start: Address,
    /// Address behind the last.
    pub end: Address,
    /// Its size.
    pub size_bytes: u64,
    /// `r-xp`.
    pub permissions: String,
    /// Where in its file it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_bytes: Option<u64>,
    /// Path of its file, or what the kernel calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Where its pages are: `private`, `file` (what was not written is as in the file), `shared` (in the
    /// page map of a shared object), `none` (not in the dump).
    pub backing: &'static str,
    /// Number of the shared object, if it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shmid: Option<u64>,
    /// Its pages; absent when their map is missing or broken, or none is dumped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<Pages>,
}

/// Pages of a mapping. What is in none of the counts was never touched, or is as in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pages {
    /// In the pages file.
    pub present_pages: u64,
    /// In the dump before this one.
    pub parent_pages: u64,
    /// Left on the dumping host.
    pub lazy_pages: u64,
}

impl Collect for Maps {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let mut objects = Objects::default();
        let processes = living(checkpoint)
            .filter(|process| process.mm.is_some())
            .map(|process| ProcessMaps::read(checkpoint, &mut loader, &mut objects, process))
            .collect();
        let mut issues = checkpoint.processes().issues_of(&["mm-"]);
        issues.extend(loader.into_issues());
        Self { processes, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for process in &self.processes {
            let mut table = Table::new(&["RANGE", "PERM", "SIZE", "PAGES", "PARENT", "NAME"]);
            for mapping in &process.mappings {
                let count = |of: fn(&Pages) -> u64| match mapping.pages {
                    Some(pages) if of(&pages) > 0 => Cell::Count(of(&pages)),
                    _ => Cell::Faint("-".to_owned()),
                };
                table.row(vec![
                    Cell::from(format!("{:x}-{:x}", mapping.start.0, mapping.end.0)),
                    Cell::from(&mapping.permissions),
                    Cell::Bytes(mapping.size_bytes),
                    count(|pages| pages.present_pages),
                    count(|pages| pages.parent_pages),
                    mapping.name.as_ref().map_or_else(|| Cell::from(""), Cell::from),
                ]);
            }
            let mut below = Outline::new();
            below.table(table);
            let faint = |text: &str| Cell::Faint(text.to_owned());
            let mut line = process.process.line();
            line.extend([Cell::Bytes(process.mapped_bytes), faint("mapped,")]);
            line.extend([Cell::Bytes(process.shared_bytes), faint("of it shared")]);
            outline.group(line, below);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// Page maps of shared objects, each read once.
type Objects = BTreeMap<u64, Option<(String, Bytes)>>;

impl ProcessMaps {
    fn read(
        checkpoint: &Checkpoint,
        loader: &mut Loader<'_>,
        objects: &mut Objects,
        process: &Process,
    ) -> Self {
        let auxv = process.mm.as_ref().map(|mm| mm.mm_saved_auxv.as_slice()).unwrap_or_default();
        let page_size = page_size_of(auxv).unwrap_or(4096);
        let name = format!("pagemap-{}.img", process.pid);
        let private = loader.bytes(&name).ok().map(|bytes| (name, bytes));
        let private = map_of(loader, private.as_ref(), page_size);
        let mut list = Vec::new();
        for mapping in mappings::of(checkpoint, process) {
            let size_bytes = mapping.end - mapping.start;
            let (backing, shmid) = match mapping.content {
                Backing::Anonymous => ("private", None),
                Backing::File => ("file", None),
                Backing::Object(shmid) => ("shared", Some(shmid)),
                Backing::Elsewhere => ("none", None),
            };
            let pages = match mapping.content {
                Backing::Anonymous | Backing::File => {
                    private.as_ref().map(|map| Pages::count(map, mapping.start, mapping.end))
                }
                Backing::Object(shmid) => {
                    let start = mapping.offset.unwrap_or(0);
                    let object = object(loader, objects, shmid);
                    map_of(loader, object, page_size)
                        .map(|map| Pages::count(&map, start, start.saturating_add(size_bytes)))
                }
                Backing::Elsewhere => None,
            };
            list.push(Mapping {
                start: Address(mapping.start),
                end: Address(mapping.end),
                size_bytes,
                permissions: mapping.permissions,
                offset_bytes: mapping.offset,
                name: mapping.name,
                backing,
                shmid,
                pages,
            });
        }
        let sum = |is: fn(&Mapping) -> bool| {
            let sizes = list.iter().filter(|mapping| is(mapping)).map(|mapping| mapping.size_bytes);
            sizes.fold(0, u64::saturating_add)
        };
        Self {
            process: process.into(),
            page_size_bytes: page_size,
            mapped_bytes: sum(|_| true),
            shared_bytes: sum(|mapping| mapping.permissions.ends_with('s')),
            mappings: list,
        }
    }
}

/// The page map of a shared object. One that nothing was written to has none.
fn object<'o>(loader: &mut Loader<'_>, objects: &'o mut Objects, shmid: u64) -> Option<&'o (String, Bytes)> {
    let read = || {
        let name = format!("pagemap-shmem-{shmid}.img");
        loader.bytes_if_any(&name).ok().map(|bytes| (name, bytes))
    };
    objects.entry(shmid).or_insert_with(read).as_ref()
}

pub(super) fn map_of<'b>(
    loader: &mut Loader<'_>,
    image: Option<&'b (String, Bytes)>,
    page_size: u64,
) -> Option<PageMap<'b>> {
    let (name, bytes) = image?;
    let image = loader.image(name, bytes).ok()?;
    match PageMap::parse(image, page_size) {
        Ok(map) => Some(map),
        Err(error) => {
            loader.tell(Issue::from(&error));
            None
        }
    }
}

impl Pages {
    /// Counts the pages of a range.
    pub(super) fn count(map: &PageMap<'_>, start: u64, end: u64) -> Self {
        let mut pages = Self::default();
        let page_size = map.page_size();
        for run in map.runs_since(start) {
            if run.entry.vaddr >= end && map.is_sorted() {
                break;
            }
            let run_end = run.entry.vaddr.saturating_add(run.entry.pages.saturating_mul(page_size));
            let bytes = run_end.min(end).saturating_sub(run.entry.vaddr.max(start));
            let counter = match run.residency {
                Residency::Parent => &mut pages.parent_pages,
                Residency::Lazy => &mut pages.lazy_pages,
                Residency::Nowhere => continue,
                _ => &mut pages.present_pages,
            };
            *counter = counter.saturating_add(bytes / page_size);
        }
        pages
    }
}
