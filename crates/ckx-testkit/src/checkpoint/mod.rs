//! Whole image directories that fit together: everything that an image refers to is there.

mod fd;
mod images;
mod memory;
pub mod presets;
mod process;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

pub use fd::Fd;
pub use process::Process;

use crate::arch::Arch;
use crate::image::Order;

/// Which generation of page map entries to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PagemapStyle {
    /// CRIU up to 3.4: 32-bit counts, `in_parent`, no flags.
    Bare,
    /// CRIU 3.5 to 4.1: 32-bit counts and flags.
    Flags,
    /// CRIU 4.2 and newer: 64-bit counts and flags.
    #[default]
    Wide,
}

/// A checkpoint under construction.
///
/// ```
/// use ckx_testkit::{Arch, Fd, SynthCheckpoint};
///
/// let checkpoint = SynthCheckpoint::new()
///     .arch(Arch::Aarch64)
///     .page_size(16384)
///     .process(1, 0, |p| p.comm("web").usual_memory().thread(2).fd(0, Fd::reg("/dev/null", 2)))
///     .process(7, 1, |p| p.comm("sh").zombie(0x100))
///     .build();
/// assert!(checkpoint.get("core-2.img").is_some());
/// assert!(checkpoint.get("mm-7.img").is_none());
/// ```
#[derive(Debug, Clone)]
pub struct SynthCheckpoint {
    arch: Arch,
    page_size: Option<u64>,
    order: Option<Order>,
    style: PagemapStyle,
    processes: Vec<Process>,
    parent: Option<String>,
    pre_dump: bool,
    more: Vec<(String, Vec<u8>)>,
    less: Vec<String>,
}

impl Default for SynthCheckpoint {
    fn default() -> Self {
        Self {
            arch: Arch::X86_64,
            page_size: None,
            order: None,
            style: PagemapStyle::default(),
            processes: Vec::new(),
            parent: None,
            pre_dump: false,
            more: Vec::new(),
            less: Vec::new(),
        }
    }
}

impl SynthCheckpoint {
    /// A checkpoint of an x86_64 host without processes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another machine, with its usual page size and byte order unless they are given.
    pub fn arch(self, arch: Arch) -> Self {
        Self { arch, ..self }
    }

    /// Another page size, in bytes.
    pub fn page_size(self, bytes: u64) -> Self {
        Self { page_size: Some(bytes), ..self }
    }

    /// Another byte order.
    pub fn order(self, order: Order) -> Self {
        Self { order: Some(order), ..self }
    }

    /// Another generation of page maps.
    pub fn pagemap_style(self, style: PagemapStyle) -> Self {
        Self { style, ..self }
    }

    /// A process; parents first, as in `pstree.img`.
    pub fn process(mut self, pid: u64, ppid: u64, build: impl FnOnce(Process) -> Process) -> Self {
        self.processes.push(build(Process::new(pid, ppid)));
        self
    }

    /// Makes it incremental: `parent` is a link to this place.
    pub fn parent(self, target: &str) -> Self {
        Self { parent: Some(target.to_owned()), ..self }
    }

    /// Makes it a pre-dump: only what concerns memory is written.
    pub fn pre_dump(self) -> Self {
        Self { pre_dump: true, ..self }
    }

    /// One more file, or another content for one.
    pub fn file(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.more.push((name.to_owned(), bytes.into()));
        self
    }

    /// Leaves a file out, so that something is missing.
    pub fn without(mut self, name: &str) -> Self {
        self.less.push(name.to_owned());
        self
    }

    /// The images.
    ///
    /// # Panics
    /// If memory contradicts itself: stored ranges that overlap or do not begin at a page.
    pub fn build(self) -> Checkpoint {
        let mut files = images::all(&self);
        for (name, bytes) in self.more {
            files.retain(|(other, _)| *other != name);
            files.push((name, bytes));
        }
        files.retain(|(name, _)| !self.less.contains(name));
        Checkpoint { files, parent: self.parent }
    }
}

/// The files of an image directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Names and contents, in the order in which they were written.
    pub files: Vec<(String, Vec<u8>)>,
    /// Target of the link `parent`.
    pub parent: Option<String>,
}

impl Checkpoint {
    /// Content of a file.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.iter().find(|(other, _)| other == name).map(|(_, bytes)| &bytes[..])
    }

    /// Names of the files, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.files.iter().map(|(name, _)| &name[..]).collect();
        names.sort_unstable();
        names
    }

    /// Writes it into a directory, which is made if there is none.
    ///
    /// # Errors
    /// If that fails.
    pub fn write_to(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)?;
        for (name, bytes) in &self.files {
            std::fs::write(directory.join(name), bytes)?;
        }
        match &self.parent {
            Some(target) => std::os::unix::fs::symlink(target, directory.join("parent")),
            None => Ok(()),
        }
    }
}
