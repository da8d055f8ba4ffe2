//! The memory of a whole checkpoint.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::chain::Chain;
use super::files::PageFiles;
use super::space::{AddressSpace, Chains};
use crate::model::Process;
use crate::{Checkpoint, Issue};

/// Bytes of pages that are held at most of a source that is compressed or comes in a pipe, where a
/// question is about certain addresses.
pub const HELD_BYTES: u64 = 1 << 30;

/// The memory of the processes of a checkpoint, with what is held of its pages.
pub struct Memory<'c> {
    files: PageFiles<'c>,
    chains: Mutex<Chains>,
}

impl<'c> Memory<'c> {
    /// What is at hand without reading the source once more: all of one that is mapped; of others what was
    /// kept when they were opened, and where everything would be.
    pub fn at_hand(checkpoint: &'c Checkpoint) -> Self {
        Self { files: PageFiles::at_hand(checkpoint), chains: Mutex::default() }
    }

    /// The same with the pages of `processes` and of what they share in memory, up to `budget` bytes. A
    /// source that is mapped costs nothing; one that is compressed is decoded once more.
    pub fn held(checkpoint: &'c Checkpoint, budget: u64, processes: &[&Process]) -> Self {
        let chains = Mutex::default();
        let at_hand = Self { files: PageFiles::at_hand(checkpoint), chains };
        let mut names = HashSet::new();
        for process in processes {
            let space = at_hand.space(process);
            names.extend(space.chains().flat_map(|chain| chain.members().map(<[u8]>::to_vec)));
        }
        Self::of_members(checkpoint, budget, &names)
    }

    /// The same with these pages files.
    pub(super) fn of_members(checkpoint: &'c Checkpoint, budget: u64, names: &HashSet<Vec<u8>>) -> Self {
        let files = PageFiles::bytes(checkpoint, budget, &|name| names.contains(name));
        Self { files, chains: Mutex::default() }
    }

    /// With a page size that is known from elsewhere.
    pub(super) fn with_page_size(mut self, page_size: Option<u64>) -> Self {
        if let Some(page_size) = page_size {
            self.files.set_page_size(page_size);
        }
        self
    }

    /// The same for comparing with a checkpoint whose pages have this size in bytes. A source that is mapped
    /// costs nothing; one that is decoded and too large to be held goes by once more, and of its pages only
    /// hashes are kept.
    pub fn hashed(checkpoint: &'c Checkpoint, page_size: u64) -> Self {
        Self { files: PageFiles::hashed(checkpoint, page_size, page_size), chains: Mutex::default() }
    }

    /// The pages of a page map by its file name: `pagemap-7.img`, `pagemap-shmem-9.img`.
    pub fn chain(&self, name: &str) -> Chain {
        Chain::read(&self.files, name)
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &'c Checkpoint {
        self.files.checkpoint()
    }

    /// Size of a page in bytes.
    pub fn page_size(&self) -> u64 {
        self.files.page_size()
    }

    /// Why the pages of the source could not be had.
    pub fn issue(&self) -> Option<&Issue> {
        self.files.issue.as_ref()
    }

    /// The pages of a shared object.
    pub fn object(&self, shmid: u64) -> Arc<Chain> {
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        chains.object(&self.files, shmid)
    }

    /// The memory of one process. It holds what it needs and lives on its own.
    pub fn space(&self, process: &Process) -> AddressSpace {
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        AddressSpace::read(&self.files, &mut chains, process)
    }
}
