//! What pages hold: zeros, or what others hold too.

use std::collections::HashMap;
use std::sync::Arc;

use ckx_archive::tarball::Step;
use rayon::prelude::*;

use crate::memory::area::{Area, Owner};
use crate::memory::run::hash;
use crate::memory::sweep::Sink;

/// Bytes that are looked at together.
const BATCH: usize = 8 << 20;

/// The largest page of Linux.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Looks at the content of all pages that are shown to it.
#[derive(Default)]
pub struct Contents {
    area: Option<Arc<Area>>,
    page_size: usize,
    /// Pages that did not come whole, or too few to be worth two threads.
    held: Vec<u8>,
    held_at: u64,
    current: Pages,
    done: HashMap<Key, Pages>,
}

/// Whose pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Process(u32),
    Object(u64),
}

/// What the pages of an area hold.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Of each page that is not zeros.
    pub hashes: Vec<u128>,
    /// Pages of zeros, by the first address of their mapping.
    pub zeros: HashMap<u64, u64>,
}

impl Pages {
    pub fn zero_pages(&self) -> u64 {
        self.zeros.values().sum()
    }

    /// Different contents.
    pub fn unique(&self) -> u64 {
        let mut hashes = self.hashes.clone();
        hashes.par_sort_unstable();
        hashes.dedup();
        hashes.len() as u64 + u64::from(!self.zeros.is_empty())
    }
}

impl Contents {
    pub(super) fn of(&self, key: Key) -> Option<&Pages> {
        self.done.get(&key)
    }

    pub(super) fn all(&self) -> Pages {
        let mut all = Pages::default();
        for pages in self.done.values() {
            all.hashes.extend_from_slice(&pages.hashes);
            for (start, count) in &pages.zeros {
                *all.zeros.entry(*start).or_default() += count;
            }
        }
        all
    }

    /// Looks at whole pages.
    fn look(&mut self, address: u64, bytes: &[u8]) {
        let size = self.page_size;
        let one = |page: &[u8]| (ZEROS.get(..page.len()) != Some(page)).then(|| hash(page));
        let found: Vec<Option<u128>> = match bytes.len() >= BATCH / 8 {
            true => bytes.par_chunks_exact(size).with_min_len(64).map(one).collect(),
            false => bytes.chunks_exact(size).map(one).collect(),
        };
        for (at, found) in found.into_iter().enumerate() {
            match found {
                Some(hash) => self.current.hashes.push(hash),
                None => {
                    let address = address.saturating_add((at * size) as u64);
                    let mapping = self.area.as_ref().and_then(|area| area.mapping_at(address));
                    let start = mapping.map_or(u64::MAX, |mapping| mapping.start);
                    *self.current.zeros.entry(start).or_default() += 1;
                }
            }
        }
    }

    fn flush(&mut self) {
        let held = std::mem::take(&mut self.held);
        let whole = held.len() - held.len() % self.page_size.max(1);
        self.look(self.held_at, held.get(..whole).unwrap_or_default());
        // Its room is used again.
        self.held = held;
        self.held.clear();
    }
}

impl Sink for Contents {
    fn area(&mut self, area: &Arc<Area>) {
        self.page_size = usize::try_from(area.chain().page_size()).unwrap_or(4096).clamp(1, ZEROS.len());
        self.area = Some(Arc::clone(area));
        self.current = Pages::default();
    }

    fn bytes(&mut self, address: u64, mut bytes: &[u8]) -> Step {
        if self.held_at.saturating_add(self.held.len() as u64) != address {
            self.flush();
        }
        let mut address = address;
        if self.held.is_empty() {
            let whole = bytes.len() - bytes.len() % self.page_size;
            if whole >= BATCH {
                let (pages, rest) = bytes.split_at(whole);
                for batch in pages.chunks(BATCH - BATCH % self.page_size) {
                    self.look(address, batch);
                    address = address.saturating_add(batch.len() as u64);
                }
                bytes = rest;
            }
            self.held_at = address;
        }
        self.held.extend_from_slice(bytes);
        if self.held.len() >= BATCH {
            let end = self.held_at.saturating_add(self.held.len() as u64);
            let part = self.held.split_off(self.held.len() - self.held.len() % self.page_size);
            self.flush();
            self.held_at = end.saturating_sub(part.len() as u64);
            self.held.extend_from_slice(&part);
        }
        Step::Next
    }

    fn end(&mut self) -> Step {
        self.flush();
        if let Some(area) = self.area.take() {
            let key = match area.owner {
                Owner::Process { pid, .. } => Key::Process(pid),
                Owner::Object { shmid } => Key::Object(shmid),
            };
            self.done.insert(key, std::mem::take(&mut self.current));
        }
        Step::Next
    }
}
