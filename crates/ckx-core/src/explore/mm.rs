//! Address spaces as the images have them.

use ckx_criu::typed::messages::{MmEntry, VmaEntry};

use crate::load::Loader;

use super::tasks::Process;

/// Bits of `vma_entry.status`.
pub(crate) mod status {
    /// Restored like any other; areas that the kernel makes on its own do not have it.
    pub const REGULAR: u32 = 1;
    /// A stack (old images).
    pub const STACK: u32 = 1 << 1;
    /// The page of old system calls, the same in every process.
    pub const VSYSCALL: u32 = 1 << 2;
    /// The kernel's code in the process.
    pub const VDSO: u32 = 1 << 3;
    /// The heap.
    pub const HEAP: u32 = 1 << 5;
    /// A file, copied on write.
    pub const FILE_PRIVATE: u32 = 1 << 6;
    /// A file, shared.
    pub const FILE_SHARED: u32 = 1 << 7;
    /// A file of either kind.
    pub const FILE: u32 = FILE_PRIVATE | FILE_SHARED;
    /// Shared memory without a file.
    pub const ANON_SHARED: u32 = 1 << 8;
    /// System V shared memory.
    pub const SYSVIPC: u32 = 1 << 10;
    /// The ring of a packet socket.
    pub const SOCKET: u32 = 1 << 11;
    /// The kernel's data in the process.
    pub const VVAR: u32 = 1 << 12;
    /// The ring of asynchronous input and output.
    pub const AIORING: u32 = 1 << 13;
    /// A shadow stack.
    pub const SHSTK: u32 = 1 << 15;
    /// Guard pages inside another area. They come last, out of order.
    pub const GUARD: u32 = 1 << 16;
    /// The kernel's page for user probes.
    pub const UPROBES: u32 = 1 << 17;
}

/// Reads the address space of a process, with its mappings wherever they are. `None` when there is
/// none, which `process` then notes.
pub(super) fn read(loader: &mut Loader<'_>, process: &mut Process) -> Option<MmEntry> {
    let pid = process.pid;
    let image = format!("mm-{pid}.img");
    match loader.first::<MmEntry>(&image) {
        Ok(mut mm) => {
            if mm.vmas.is_empty()
                && let Ok(old) = loader.records_if_any::<VmaEntry>(&format!("vmas-{pid}.img"))
            {
                mm.vmas = old.entries;
            }
            Some(mm)
        }
        Err(gap) => {
            process.lacks(&image, gap);
            None
        }
    }
}
