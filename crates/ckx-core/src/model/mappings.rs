//! Mappings of a process: what the kernel would list in `/proc/PID/maps`.

use std::collections::HashMap;

use ckx_criu::typed::messages::core_entry::March;
use ckx_criu::typed::messages::{IpcShmEntry, VmaEntry};

use crate::explore::mm::status;
use crate::load::Loader;
use crate::model::Process;
use crate::{Checkpoint, ImageSet, Name};

/// A mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// Path of its file, or what the kernel calls it.
    pub name: Option<Name>,
    /// `r-xp`.
    pub permissions: String,
    /// Where in its file it begins, in bytes.
    pub offset: Option<u64>,
    /// Where in its shared object it begins, in bytes.
    pub object_offset: u64,
    /// Where its pages are.
    pub content: Backing,
}

/// Where the pages of a mapping are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// In the page map of the process; what was not touched is zeros.
    Anonymous,
    /// The same, but what was not touched is as in the file.
    File,
    /// In the page map of a shared object.
    Object(u64),
    /// Not in the dump: written to a file, or made by the kernel.
    Elsewhere,
}

impl Mapping {
    /// Whether its code is its own, so that nobody else's writes change it.
    pub fn is_private_code(&self) -> bool {
        self.permissions.contains('x')
            && self.permissions.ends_with('p')
            && self.name.as_ref().is_none_or(|name| name.as_bytes() != b"[vdso]")
    }
}

const MAP_SHARED: u32 = 1;

/// Mappings of a process, by address. Those that overlap, as no kernel makes them, are cut.
pub(crate) fn of(checkpoint: &Checkpoint, process: &Process) -> Vec<Mapping> {
    let Some(mm) = &process.mm else { return Vec::new() };
    let brk = mm.mm_start_brk..mm.mm_brk.max(mm.mm_start_brk.saturating_add(1));
    let vmas = mm.vmas.iter().filter(|vma| vma.status & status::GUARD == 0);
    let has_sysv = mm.vmas.iter().any(|vma| vma.status & status::SYSVIPC != 0);
    let keys = if has_sysv { sysv_keys(checkpoint) } else { HashMap::new() };
    let mut list: Vec<Mapping> =
        vmas.map(|vma| mapping(checkpoint, process.machine, vma, mm.mm_start_stack, brk.clone())).collect();
    for mapping in &mut list {
        if let (Backing::Object(id), None) = (mapping.content, &mapping.name)
            && let Some(key) = keys.get(&id)
        {
            mapping.name = Some(Name::from(format!("/SYSV{key:08x} (deleted)")));
        }
    }
    list.sort_by_key(|mapping| mapping.start);
    let mut end = 0;
    for mapping in &mut list {
        let cut = mapping.start.max(end) - mapping.start;
        mapping.start += cut;
        mapping.object_offset = mapping.object_offset.saturating_add(cut);
        mapping.offset = mapping.offset.map(|offset| offset.saturating_add(cut));
        end = end.max(mapping.end);
    }
    list.retain(|mapping| mapping.start < mapping.end);
    list
}

/// Keys of System V shared memory by id. A mapping has no mark of its IPC namespace, so of several with
/// one id the first counts.
fn sysv_keys(checkpoint: &Checkpoint) -> HashMap<u64, u32> {
    let mut loader = Loader::new(checkpoint);
    let mut keys = HashMap::new();
    for name in checkpoint.names() {
        let Some(name) = std::str::from_utf8(&name).ok().filter(|name| name.starts_with("ipcns-shm-")) else {
            continue;
        };
        // What is wrong with the image its section tells.
        let Ok(records) = loader.records_if_any::<IpcShmEntry>(name) else { continue };
        for entry in records.entries {
            keys.entry(u64::from(entry.desc.id)).or_insert(entry.desc.key);
        }
    }
    keys
}

fn mapping(
    checkpoint: &Checkpoint,
    machine: Option<March>,
    vma: &VmaEntry,
    stack: u64,
    brk: std::ops::Range<u64>,
) -> Mapping {
    let has = |bit| vma.status & bit != 0;
    let files = checkpoint.files();
    let word = |name: &str| Some(Name::from(name));
    let name = match () {
        () if has(status::FILE) => files.name_of_mapping(vma),
        () if has(status::VDSO) => word("[vdso]"),
        () if has(status::VVAR) => word("[vvar]"),
        () if has(status::VSYSCALL) && machine == Some(March::Arm) => word("[vectors]"),
        () if has(status::VSYSCALL) => word("[vsyscall]"),
        () if has(status::HEAP) || vma.start < brk.end && brk.start < vma.end => word("[heap]"),
        () if has(status::STACK) || (vma.start..vma.end).contains(&stack) => word("[stack]"),
        () => None,
    };
    let is_shared = vma.flags & MAP_SHARED != 0;
    let letter = |bit, letter| if vma.prot & bit == 0 { '-' } else { letter };
    let kind = if is_shared { 's' } else { 'p' };
    let permissions = [letter(1, 'r'), letter(2, 'w'), letter(4, 'x'), kind].iter().collect();
    let offset = has(status::FILE).then_some(vma.pgoff);
    let content = backing(checkpoint, vma);
    Mapping { start: vma.start, end: vma.end, name, permissions, offset, object_offset: vma.pgoff, content }
}

fn backing(checkpoint: &Checkpoint, vma: &VmaEntry) -> Backing {
    let has = |bit| vma.status & bit != 0;
    let files = checkpoint.files();
    if has(status::ANON_SHARED | status::SYSVIPC) {
        return Backing::Object(vma.shmid);
    }
    if !has(status::FILE) {
        return if has(status::VVAR | status::VSYSCALL) { Backing::Elsewhere } else { Backing::Anonymous };
    }
    let file = u32::try_from(vma.shmid).ok().filter(|id| files.is_memfd(*id));
    let memfd = file.and_then(|id| {
        let entry = files.get(ckx_criu::typed::messages::FdTypes::Memfd, id)?;
        files.memfd_inode(entry.memfd.as_ref()?.inode_id.into())
    });
    match memfd {
        Some(inode) if has(status::FILE_SHARED) => Backing::Object(inode.shmid.into()),
        _ if has(status::FILE_SHARED) => Backing::Elsewhere,
        _ => Backing::File,
    }
}
