//! `maps`: the mappings of each process, with the pages that the dump has of them.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use ckx_criu::display::split_dev;
use ckx_criu::pages::{PageMap, Residency, page_size_of};
use ckx_criu::typed::messages::core_entry::March;
use ckx_criu::typed::messages::{FdTypes, VmaEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::explore::mm::status;
use crate::inspect::Collect;
use crate::inspect::flags::{Bits, names};
use crate::inspect::subject::{Subject, living};
use crate::load::Loader;
use crate::model::Process;
use crate::model::mappings::{self, Backing};
use crate::model::mounts;
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
    /// Whether the kernel's addresses have 32 bits, which its lists are laid out by.
    #[serde(skip)]
    is_32_bit: bool,
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
    /// Device of its file, as in `/proc/PID/maps`; absent where the mount of the file is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Path of its file, or what the kernel calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Flags of `mmap(2)`.
    pub flags: Vec<String>,
    /// What `madvise(2)` set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub madvise: Vec<String>,
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
        let mut known = Known::new(checkpoint);
        let processes = living(checkpoint)
            .filter(|process| process.mm.is_some())
            .map(|process| ProcessMaps::read(checkpoint, &mut loader, &mut known, process))
            .collect();
        let mut issues = checkpoint.processes().issues_of(&["mm-"]);
        issues.extend(loader.into_issues());
        Self { processes, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let mappings = self.processes.iter().flat_map(|process| &process.mappings);
        let has_parent = mappings.filter_map(|mapping| mapping.pages).any(|pages| pages.parent_pages > 0);
        let mut columns = vec!["RANGE", "PERM", "SIZE", "PAGES", "PARENT", "NAME"];
        columns.retain(|name| has_parent || *name != "PARENT");
        for process in &self.processes {
            let mut table = Table::new(&columns);
            for mapping in &process.mappings {
                let count = |of: fn(&Pages) -> u64| match mapping.pages {
                    Some(pages) if of(&pages) > 0 => Cell::Count(of(&pages)),
                    _ => Cell::Faint("-".to_owned()),
                };
                let mut row = vec![
                    Cell::from(format!("{:x}-{:x}", mapping.start.0, mapping.end.0)),
                    Cell::from(&mapping.permissions),
                    Cell::Bytes(mapping.size_bytes),
                    count(|pages| pages.present_pages),
                ];
                row.extend(has_parent.then(|| count(|pages| pages.parent_pages)));
                row.push(mapping.name.as_ref().map_or_else(|| Cell::from(""), Cell::from));
                table.row(row);
            }
            let mut below = Outline::new();
            below.table(table);
            outline.group(process.line(), below);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// Page maps of shared objects, each read once.
type Objects = BTreeMap<u64, Option<(String, Bytes)>>;

/// What all processes need, read once.
struct Known {
    objects: Objects,
    /// Devices by mount.
    devices: HashMap<u32, u32>,
}

impl Known {
    fn new(checkpoint: &Checkpoint) -> Self {
        // What is wrong with them is told by their own section.
        let (namespaces, _) = mounts(checkpoint);
        let all = namespaces.iter().flat_map(|namespace| &namespace.mounts);
        let devices = all.map(|mount| (mount.mnt_id, mount.device)).collect();
        Self { objects: Objects::default(), devices }
    }

    /// Device of the file of a mapping, as the kernel writes it.
    fn device(&self, checkpoint: &Checkpoint, vma: &VmaEntry) -> Option<String> {
        let has_file = vma.status & (status::FILE_PRIVATE | status::FILE_SHARED) != 0;
        let id = u32::try_from(vma.shmid).ok().filter(|_| has_file)?;
        let file = checkpoint.files().get(FdTypes::Reg, id)?;
        let mount = u32::try_from(file.reg.as_ref()?.mnt_id?).ok()?;
        let (major, minor) = split_dev((*self.devices.get(&mount)?).into());
        Some(format!("{major:02x}:{minor:02x}"))
    }
}

const MMAP_FLAGS: Bits = &[
    (0x1, "MAP_SHARED"),
    (0x2, "MAP_PRIVATE"),
    (0x10, "MAP_FIXED"),
    (0x20, "MAP_ANONYMOUS"),
    (0x100, "MAP_GROWSDOWN"),
    (0x800, "MAP_DENYWRITE"),
    (0x2000, "MAP_LOCKED"),
    (0x4000, "MAP_NORESERVE"),
    (0x8000, "MAP_POPULATE"),
    (0x2_0000, "MAP_STACK"),
    (0x4_0000, "MAP_HUGETLB"),
    (0x8_0000, "MAP_SYNC"),
    (0x20_0000, "MAP_DROPPABLE"),
];

/// Bits by the number of the advice.
const MADVISE: Bits = &[
    (1 << 1, "MADV_RANDOM"),
    (1 << 2, "MADV_SEQUENTIAL"),
    (1 << 10, "MADV_DONTFORK"),
    (1 << 12, "MADV_MERGEABLE"),
    (1 << 14, "MADV_HUGEPAGE"),
    (1 << 15, "MADV_NOHUGEPAGE"),
    (1 << 16, "MADV_DONTDUMP"),
    (1 << 18, "MADV_WIPEONFORK"),
];

/// Columns before the name in `/proc/PID/maps` on machines whose addresses have 64 bits, and on others.
const NAME_COLUMNS: [usize; 2] = [73, 49];

impl ProcessMaps {
    /// The lines of `/proc/PID/maps`, without line ends. Inodes, which no dump has, are 0.
    pub fn procfs(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.mappings.iter().map(|mapping| {
            let (start, end) = (mapping.start.0, mapping.end.0);
            let offset = mapping.offset_bytes.unwrap_or(0);
            let device = mapping.device.as_deref().unwrap_or("00:00");
            let numbers = format!("{start:08x}-{end:08x} {} {offset:08x} {device} 0 ", mapping.permissions);
            let Some(name) = &mapping.name else { return numbers.into_bytes() };
            let column = NAME_COLUMNS[usize::from(self.is_32_bit)];
            let mut line = format!("{numbers:column$}").into_bytes();
            for byte in name.as_bytes() {
                match byte {
                    // The one character that the kernel escapes.
                    b'\n' => line.extend_from_slice(b"\\012"),
                    byte => line.push(*byte),
                }
            }
            line
        })
    }
}

impl Maps {
    /// What people see who ask for the mappings alone.
    pub fn wide(&self) -> Outline {
        let columns =
            ["RANGE", "PERM", "OFFSET", "SIZE", "PAGES", "PARENT", "LAZY", "BACKING", "NAME", "FLAGS"];
        let mut outline = Outline::new();
        for process in &self.processes {
            let mut table = Table::new(&columns);
            for mapping in &process.mappings {
                let count = |of: fn(&Pages) -> u64| {
                    Cell::or_dash(mapping.pages.as_ref().map(of).filter(|pages| *pages > 0))
                };
                let flags = mapping.flags.iter().chain(&mapping.madvise);
                // The letter behind the permissions says these.
                let told = flags.filter(|flag| !["MAP_SHARED", "MAP_PRIVATE"].contains(&flag.as_str()));
                let flags: Vec<String> = told
                    .map(|flag| flag.trim_start_matches("MAP_").trim_start_matches("MADV_").to_lowercase())
                    .collect();
                table.row(vec![
                    Cell::from(format!("{:x}-{:x}", mapping.start.0, mapping.end.0)),
                    Cell::from(&mapping.permissions),
                    Cell::or_dash(mapping.offset_bytes.map(|offset| format!("{offset:x}"))),
                    Cell::Bytes(mapping.size_bytes),
                    count(|pages| pages.present_pages),
                    count(|pages| pages.parent_pages),
                    count(|pages| pages.lazy_pages),
                    Cell::from(mapping.backing),
                    Cell::or_dash(mapping.name.clone()),
                    Cell::from(flags.join(",")),
                ]);
            }
            let mut below = Outline::new();
            below.table(table);
            outline.group(process.line(), below);
        }
        outline
    }
}

impl ProcessMaps {
    fn line(&self) -> Vec<Cell> {
        let faint = |text: &str| Cell::Faint(text.to_owned());
        let mut line = self.process.line();
        line.extend([Cell::Bytes(self.mapped_bytes), faint("mapped,")]);
        line.extend([Cell::Bytes(self.shared_bytes), faint("of it shared")]);
        line
    }

    fn read(checkpoint: &Checkpoint, loader: &mut Loader<'_>, known: &mut Known, process: &Process) -> Self {
        let vmas = process.mm.iter().flat_map(|mm| &mm.vmas);
        // Of two at one place, as no kernel has them, the first stands.
        let vmas: HashMap<u64, &VmaEntry> = vmas.rev().map(|vma| (vma.start, vma)).collect();
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
                    let object = object(loader, &mut known.objects, shmid);
                    map_of(loader, object, page_size)
                        .map(|map| Pages::count(&map, start, start.saturating_add(size_bytes)))
                }
                Backing::Elsewhere => None,
            };
            let vma = vmas.get(&mapping.start);
            list.push(Mapping {
                device: vma.and_then(|vma| known.device(checkpoint, vma)),
                flags: vma.map(|vma| names(MMAP_FLAGS, vma.flags.into())).unwrap_or_default(),
                madvise: vma.and_then(|vma| vma.madv).map(|bits| names(MADVISE, bits)).unwrap_or_default(),
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
            is_32_bit: process.machine == Some(March::Arm),
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
