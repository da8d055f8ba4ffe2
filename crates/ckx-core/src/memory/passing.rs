//! Pages of sources that are decoded once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ckx_archive::archive::Kept;
use ckx_archive::tarball::{Step, TarMember};
use ckx_archive::{Archive, Interest, Interests};

use super::run::hash;
use crate::{Checkpoint, Options, Wanted};

/// Bytes of pages of a compressed source that are held; above that a hash of each page is.
pub(super) const HELD: u64 = 48 << 20;

/// Whether a member is a pages file.
pub(super) fn is_pages(name: &[u8]) -> bool {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    crate::interest::number_in(file, b"pages-", b".img").is_some()
}

/// Takes the pages of a source that goes by.
#[derive(Default)]
pub(super) struct Pages {
    /// Whether they are hashed, or kept.
    hash: bool,
    /// Bytes that are hashed at once.
    unit: u64,
    done: HashMap<Vec<u8>, Vec<u128>>,
    /// A page that has not come whole yet.
    rest: Vec<u8>,
}

impl Interests for Pages {
    fn of(&mut self, member: &TarMember, _: &Kept<'_>) -> Interest {
        if !is_pages(&member.name) {
            return Interest::Skip;
        }
        if !self.hash {
            return Interest::Keep;
        }
        self.rest.clear();
        // Of several with one name the last counts.
        self.done.insert(member.name.to_vec(), Vec::new());
        Interest::Visit(Vec::new())
    }

    fn visit(&mut self, member: &TarMember, _: u64, mut chunk: &[u8]) -> Step {
        let size = self.unit as usize;
        let Some(hashes) = self.done.get_mut(&*member.name) else { return Step::Next };
        if !self.rest.is_empty() {
            let (head, tail) = chunk.split_at(chunk.len().min(size - self.rest.len()));
            self.rest.extend_from_slice(head);
            chunk = tail;
            if self.rest.len() == size {
                hashes.push(hash(&self.rest));
                self.rest.clear();
            }
        }
        let whole = chunk.chunks_exact(size);
        self.rest.extend_from_slice(whole.remainder());
        hashes.extend(whole.map(hash));
        Step::Next
    }
}

/// Page size of hashes that are made before the page size is known.
pub(crate) const SMALLEST_PAGE: u64 = 4096;

/// What comparing wants of a pipe: what inspecting wants, and the pages, held if they are few, else their
/// hashes.
pub(crate) struct Piped {
    wanted: Wanted,
    pages: Pages,
    left: u64,
}

impl Piped {
    pub fn new() -> Self {
        Self { wanted: Wanted::default(), pages: Pages::new(true, SMALLEST_PAGE), left: HELD }
    }

    /// Opens a source that can be read only once.
    pub fn open(mut self, path: &Path, options: Options) -> Result<Checkpoint, ckx_archive::Error> {
        let mut keeping = options.archive.clone();
        keeping.budget_bytes = keeping.budget_bytes.saturating_add(HELD);
        let archive = Archive::open(path, &mut self, keeping)?;
        Ok(Checkpoint::from_archive(archive, options).with_page_hashes(self.pages.finish()))
    }
}

impl Interests for Piped {
    fn of(&mut self, member: &TarMember, kept: &Kept<'_>) -> Interest {
        let wanted = self.wanted.of(member, kept);
        if !is_pages(&member.name) {
            return wanted;
        }
        if member.size_bytes <= self.left {
            self.left -= member.size_bytes;
            return Interest::Keep;
        }
        let Interest::Visit(_) = self.pages.of(member, kept) else { return wanted };
        Interest::Visit(match wanted {
            Interest::Windows(windows) => windows,
            _ => Vec::new(),
        })
    }

    fn visit(&mut self, member: &TarMember, offset: u64, chunk: &[u8]) -> Step {
        self.pages.visit(member, offset, chunk)
    }
}

impl Pages {
    /// Takes pages, or hashes of `unit` bytes each.
    pub fn new(hash: bool, unit: u64) -> Self {
        Self { hash, unit, ..Self::default() }
    }

    /// The hashes by member.
    pub fn finish(self) -> HashMap<Vec<u8>, Arc<[u128]>> {
        self.done.into_iter().map(|(name, hashes)| (name, hashes.into())).collect()
    }
}

/// Opens a source for looking at certain addresses: of one that can be read only once the pages are held,
/// up to `budget` bytes.
///
/// # Errors
/// As [`Checkpoint::open`].
pub fn open_holding(path: &Path, options: Options, budget: u64) -> Result<Checkpoint, ckx_archive::Error> {
    if !is_read_once(path, &options) {
        return Checkpoint::open(path, options);
    }
    let mut keeping = options.archive.clone();
    keeping.budget_bytes = keeping.budget_bytes.saturating_add(budget);
    let archive = Archive::open(path, &mut Holding(Wanted::default()), keeping)?;
    Ok(Checkpoint::from_archive(archive, options))
}

/// Whether a source is read as it comes: what comes over a network is not fetched twice either.
pub(crate) fn is_read_once(path: &Path, options: &Options) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    options.archive.remote.is_some()
        || path.as_os_str() == ckx_archive::archive::STDIN
        || path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Keeps the pages too.
struct Holding(Wanted);

impl Interests for Holding {
    fn of(&mut self, member: &TarMember, kept: &Kept<'_>) -> Interest {
        let wanted = self.0.of(member, kept);
        if is_pages(&member.name) { Interest::Keep } else { wanted }
    }
}
