//! `shared-memory`: memory that belongs to no process: anonymous shared memory, memory files, segments of
//! System V.

use std::collections::BTreeMap;

use bytes::Bytes;
use ckx_criu::pages::page_size_of;
use ckx_criu::typed::messages::{FdTypes, IpcShmEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::images::numbers_in_names;
use crate::inspect::Collect;
use crate::inspect::maps::{Pages, map_of};
use crate::inspect::sockets::{Holder, Holders};
use crate::inspect::subject::living;
use crate::load::Loader;
use crate::model::files::memfd_name;
use crate::model::mappings::{self, Backing};
use crate::outline::{Cell, Outline, Table};
use crate::{Address, Checkpoint, ImageSet, Issue, Name};

/// Shared memory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SharedMemory {
    /// Objects, by number.
    pub objects: Vec<Object>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Memory that several processes, or several descriptors, can have in common.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Object {
    /// Its number, as in the name of its page map: `pagemap-shmem-N.img`.
    pub shmid: u64,
    /// `memfd` (also anonymous shared memory, which the kernel keeps in a file), `sysv`, `anonymous` where an
    /// old CRIU did not tell more, or `unknown` when only its page map is there.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What the kernel calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its size; absent when nothing tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Its pages; absent when none was written, or their map is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<Pages>,
    /// Who has it mapped.
    pub mapped_by: Vec<Mapped>,
    /// Descriptors that it is open by.
    pub held_by: Vec<Holder>,
}

/// A mapping of an object.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Mapped {
    /// The process.
    pub pid: u32,
    /// First address.
    pub start: Address,
    /// Address behind the last.
    pub end: Address,
}

impl Object {
    fn new(shmid: u64) -> Self {
        Self {
            shmid,
            kind: "unknown",
            name: None,
            size_bytes: None,
            pages: None,
            mapped_by: Vec::new(),
            held_by: Vec::new(),
        }
    }
}

impl Collect for SharedMemory {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let mut objects: BTreeMap<u64, Object> = BTreeMap::new();
        for shmid in numbers_in_names(checkpoint, &["pagemap-shmem"]) {
            objects.insert(shmid, Object::new(shmid));
        }
        mapped(checkpoint, &mut objects);
        files(checkpoint, &mut objects);
        segments(checkpoint, &mut loader, &mut objects);
        let auxvs = checkpoint.processes().list.iter().filter_map(|process| process.mm.as_ref());
        let page_size = auxvs.into_iter().find_map(|mm| page_size_of(&mm.mm_saved_auxv)).unwrap_or(4096);
        for object in objects.values_mut() {
            let name = format!("pagemap-shmem-{}.img", object.shmid);
            let image: Option<(String, Bytes)> = loader.bytes_if_any(&name).ok().map(|bytes| (name, bytes));
            let map = map_of(&mut loader, image.as_ref(), page_size);
            object.pages = map.map(|map| Pages::count(&map, 0, u64::MAX));
        }
        let is_wanted = |object: &Object| {
            checkpoint.options().pids.is_none() || !(object.mapped_by.is_empty() && object.held_by.is_empty())
        };
        let mut issues = checkpoint.processes().issues_of(&["mm-"]);
        issues.extend(checkpoint.files().issues().iter().cloned());
        issues.extend(loader.into_issues());
        Self { objects: objects.into_values().filter(is_wanted).collect(), issues }
    }

    fn outline(&self) -> Outline {
        let mut table = Table::new(&["NUMBER", "TYPE", "SIZE", "PAGES", "MAPPED BY", "OPEN AS", "NAME"]);
        for object in &self.objects {
            let pages = object.pages.map(|pages| pages.present_pages.saturating_add(pages.parent_pages));
            let mapped = listed(object.mapped_by.iter().map(|mapped| mapped.pid.to_string()));
            let held = listed(object.held_by.iter().map(|held| format!("{}/{}", held.pid, held.fd)));
            table.row(vec![
                Cell::Count(object.shmid),
                Cell::from(object.kind),
                object.size_bytes.map_or_else(|| Cell::Faint("-".to_owned()), Cell::Bytes),
                Cell::or_dash(pages.filter(|pages| *pages > 0)),
                Cell::or_dash(mapped),
                Cell::or_dash(held),
                object.name.as_ref().map_or_else(|| Cell::from(""), Cell::from),
            ]);
        }
        let mut outline = Outline::new();
        outline.table(table);
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// Items of a cell that are listed.
const LISTED: usize = 6;

fn listed(all: impl ExactSizeIterator<Item = String>) -> Option<String> {
    let more = all.len().saturating_sub(LISTED);
    let mut items: Vec<String> = all.take(LISTED).collect();
    items.dedup();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!items.is_empty()).then(|| format!("{}{more}", items.join(" ")))
}

/// Adds who maps objects, and what that tells of them.
fn mapped(checkpoint: &Checkpoint, objects: &mut BTreeMap<u64, Object>) {
    for process in living(checkpoint) {
        for mapping in mappings::of(checkpoint, process) {
            let Backing::Object(shmid) = mapping.content else { continue };
            let object = objects.entry(shmid).or_insert_with(|| Object::new(shmid));
            let (pid, start, end) = (process.pid, Address(mapping.start), Address(mapping.end));
            object.kind = "anonymous";
            object.mapped_by.push(Mapped { pid, start, end });
            object.name = object.name.take().or(mapping.name);
            let reach = mapping.offset.unwrap_or(0).saturating_add(mapping.end.saturating_sub(mapping.start));
            object.size_bytes = object.size_bytes.max(Some(reach));
        }
    }
}

/// Adds memory files, and by which descriptors they are open.
fn files(checkpoint: &Checkpoint, objects: &mut BTreeMap<u64, Object>) {
    let holders = Holders::of(checkpoint);
    let files = checkpoint.files();
    let mut all: Vec<_> = files.all().filter_map(|file| file.memfd.as_ref()).collect();
    all.sort_by_key(|memfd| memfd.id);
    for memfd in all {
        let Some(inode) = files.memfd_inode(memfd.inode_id.into()) else { continue };
        let shmid = inode.shmid.into();
        let object = objects.entry(shmid).or_insert_with(|| Object::new(shmid));
        object.kind = "memfd";
        object.name = Some(memfd_name(&inode.name));
        object.size_bytes = Some(inode.size);
        object.held_by.extend(holders.of_file(FdTypes::Memfd, memfd.id));
    }
}

/// Adds segments of System V whose pages are in page maps, or that are mapped.
fn segments(checkpoint: &Checkpoint, loader: &mut Loader<'_>, objects: &mut BTreeMap<u64, Object>) {
    for name in checkpoint.names() {
        let Some(name) = std::str::from_utf8(&name).ok().filter(|name| name.starts_with("ipcns-shm-")) else {
            continue;
        };
        let Ok(records) = loader.records_if_any::<IpcShmEntry>(name) else { continue };
        for entry in &records.entries {
            let shmid = entry.desc.id.into();
            let is_mapped = objects.get(&shmid).is_some_and(|object| object.kind == "anonymous");
            if entry.in_pagemaps != Some(true) && !is_mapped {
                continue;
            }
            let object = objects.entry(shmid).or_insert_with(|| Object::new(shmid));
            object.kind = "sysv";
            object.name = Some(Name::from(format!("/SYSV{:08x}", entry.desc.key)));
            object.size_bytes = Some(entry.size);
        }
    }
}
