//! Checkpoints to begin with.
//!
//! All but [`incremental`] are a small web service: `web` (1) with two threads more, a listening
//! socket, a connection, pipes and shared memory, its `worker` (7), and a zombie (9).

use std::io;
use std::path::Path;

use super::{Checkpoint, Fd, Process, SynthCheckpoint};
use crate::arch::Arch;

pub use super::memory::Layout;

/// Where usual memory is. See [`Process::usual_memory`].
pub fn layout(arch: Arch) -> Layout {
    Layout::new(arch, false)
}

/// Number of the shared memory object in presets, which begins with [`SHARED_TEXT`].
pub const SHMID: u64 = 1648;
/// What its first page begins with.
pub const SHARED_TEXT: &[u8] = b"shared between web and worker";

/// The web service on a machine, with its usual page size and byte order.
pub fn web(arch: Arch) -> SynthCheckpoint {
    let shared = layout(arch).anon + 0x20_0000;
    let with_shared = |process: Process| process.shared_vma(shared, shared + 0x2_0000, SHMID, SHARED_TEXT);
    SynthCheckpoint::new()
        .arch(arch)
        .process(1, 0, |process| {
            with_shared(process.usual_memory())
                .comm("web")
                .exe("/usr/bin/web")
                .args(&["web", "--port", "8080"])
                .env(&["PATH=/usr/bin", "TOKEN=not-a-secret"])
                .cwd("/srv")
                .thread_named(2, "web-accept")
                .thread_named(3, b"web-\xff")
                .fd(0, Fd::reg("/dev/null", 2).shared(0))
                .fd(1, Fd::pipe_writer(1_541_946))
                .fd(2, Fd::reg("/var/log/web.log", 0o2001).shared(1))
                .fd(3, Fd::tcp_listen(0x1a2b, 8080).close_on_exec())
                .fd(
                    4,
                    Fd::tcp(0x1a2c, ([127, 0, 0, 1], 8080), ([127, 0, 0, 1], 40_000))
                        .holding(b"GET / HTTP/1.1\r\n")
                        .sending(b"HTTP/1.1 200 OK\r\n"),
                )
                .fd(5, Fd::unix(4242, 4243, "").holding(b"one").holding(b"two"))
                .fd(6, Fd::unix(4244, 0, b"/run/web.sock\0"))
                .fd(7, Fd::eventfd(3))
                .fd(8, Fd::epoll(&[(3, 1), (4, 0x2001)]))
        })
        .process(7, 1, |process| {
            with_shared(process.usual_memory())
                .comm("worker")
                .exe("/usr/bin/web")
                .args(&["web: worker"])
                .group(1, 1)
                .uid(33)
                .fd(0, Fd::pipe_reader(1_541_946).holding(b"a line\n"))
                .fd(2, Fd::reg("/var/log/web.log", 0o2001).shared(1))
                .fd(5, Fd::unix(4243, 4242, ""))
                .fd(6, Fd::memfd(SHMID))
                .fd(7, Fd::fifo(77, "/run/web.fifo"))
        })
        .process(9, 1, |process| process.comm("sh").group(1, 1).zombie(0x100))
}

/// aarch64 with pages of 16 KiB.
pub fn aarch64_16k() -> SynthCheckpoint {
    web(Arch::Aarch64).page_size(16384)
}

/// MIPS.
pub fn mips() -> SynthCheckpoint {
    web(Arch::Mips)
}

/// LoongArch, pages of 16 KiB.
pub fn loongarch() -> SynthCheckpoint {
    web(Arch::LoongArch64)
}

/// RISC-V.
pub fn riscv() -> SynthCheckpoint {
    web(Arch::RiscV64)
}

/// s390x: big-endian images, pages of 4 KiB.
pub fn s390x() -> SynthCheckpoint {
    web(Arch::S390)
}

/// x86_64 with a 32-bit process (12) beside the others.
pub fn compat() -> SynthCheckpoint {
    web(Arch::X86_64).process(12, 1, |process| {
        let process = process.usual_memory().compat().comm("hello32").exe("/opt/hello32").args(&["hello32"]);
        process.group(1, 1).fd(0, Fd::reg("/dev/null", 2).shared(0))
    })
}

/// A pre-dump and the dump that follows it.
#[derive(Debug, Clone)]
pub struct Incremental {
    /// The pre-dump.
    pub parent: Checkpoint,
    /// The dump. Its link `parent` leads to `../pre`.
    pub child: Checkpoint,
}

/// Process 1 of an incremental pair, with usual memory: below the stack all pages are in the
/// parent only, those of the stack in both, and one page above it ([`NEW_PAGE`]) is new.
pub fn incremental() -> Incremental {
    let at = layout(Arch::X86_64);
    let base = |process: Process| process.usual_memory().comm("db").exe("/usr/bin/db").args(&["db"]);
    let parent = SynthCheckpoint::new().pre_dump().process(1, 0, base);
    let child = SynthCheckpoint::new().parent("../pre").process(1, 0, |process| {
        let process = base(process).in_parent_below(at.stack);
        process
            .vma(NEW_PAGE, NEW_PAGE + 0x1_0000, 3, 0x22, 0x201)
            .pages(NEW_PAGE, b"written after the pre-dump")
    });
    Incremental { parent: parent.build(), child: child.build() }
}

/// Address of the page that only the child of [`incremental`] has.
pub const NEW_PAGE: u64 = 0x7ffd_0000_0000;

impl Incremental {
    /// Writes both below a directory: `pre` and `full`.
    ///
    /// # Errors
    /// If that fails.
    pub fn write_to(&self, directory: &Path) -> io::Result<()> {
        self.parent.write_to(&directory.join("pre"))?;
        self.child.write_to(&directory.join("full"))
    }
}
