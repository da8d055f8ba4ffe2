//! A plan that is a source as it is.

use ckx_archive::archive::Backing;
use ckx_archive::tarball::{EntryKind, TarMember};
use ckx_archive::{Archive, Interest, Interests, Kept, Member};
use ckx_core::{Checkpoint, Name};

use crate::Error;
use crate::plan::{Content, Entry, Origin, Plan, StreamedMember};

/// What a plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An image: what engines cannot take in one is moved or refused.
    Image,
    /// An archive or a directory: everything may stay where it is.
    Archive,
}

/// Keeps of a source that is decoded what repacking wants at hand: all that is small, and of the rest as
/// much as fits. What does not is decoded again when it is written.
#[derive(Debug)]
pub struct Keeping {
    left: u64,
    changes: bool,
}

/// Members up to this size are kept in any case; the readers of a checkpoint want them.
const SMALL: u64 = 4 << 20;

impl Keeping {
    /// Keeps at most this many bytes of large members.
    pub fn of_large(budget_bytes: u64) -> Self {
        Self { left: budget_bytes, changes: false }
    }
}

/// The largest changes of a root file system that are kept to be translated.
const MAX_CHANGES: u64 = 1 << 30;

impl Keeping {
    /// Keeps the changes of the root file system too, whatever their size: they have to be looked at.
    #[must_use]
    pub fn and_changes(mut self, wanted: bool) -> Self {
        self.changes = wanted;
        self
    }
}

impl Interests for Keeping {
    fn of(&mut self, member: &TarMember, _: &Kept<'_>) -> Interest {
        if member.size_bytes <= SMALL {
            return Interest::Keep;
        }
        if self.changes && *member.name == *b"rootfs-diff.tar" && member.size_bytes <= MAX_CHANGES {
            return Interest::Keep;
        }
        match self.left.checked_sub(member.size_bytes) {
            Some(left) => {
                self.left = left;
                Interest::Keep
            }
            None => Interest::Skip,
        }
    }
}

impl Plan {
    /// The members of a checkpoint's source as they are.
    ///
    /// # Errors
    /// [`Error::Refused`] for a source that is damaged, or whose names lead out of it.
    pub fn of(checkpoint: &Checkpoint, purpose: Purpose) -> Result<Self, Error> {
        let archive = checkpoint.archive();
        check(archive)?;
        let mut plan = Self::default();
        for member in archive.current() {
            if member.name.is_empty() {
                continue;
            }
            check_name(&member.name)?;
            plan.put(member.name.clone(), entry(archive, member)?);
        }
        plan.add_directories();
        // With a dump before that was given apart they are moved when that is put there.
        if purpose == Purpose::Image && checkpoint.previous().is_none() {
            plan.move_parents(checkpoint.images_directory())?;
        }
        Ok(plan)
    }
}

/// Half a checkpoint is not packed again: whoever restores it would not know.
fn check(archive: &Archive) -> Result<(), Error> {
    let broken = archive.faults().iter().find(|fault| fault.code != "duplicate-member");
    let Some(fault) = broken else { return Ok(()) };
    let place = if fault.member.is_empty() {
        "the source".to_owned()
    } else {
        format!("`{}`", Name::from(&fault.member))
    };
    Err(Error::refused(format!("{place} is damaged: {}", fault.reason))
        .hinted("`ckx inspect` tells what can still be read; a damaged checkpoint is not packed again"))
}

fn check_name(name: &[u8]) -> Result<(), Error> {
    if name.starts_with(b"/") || name.split(|byte| *byte == b'/').any(|part| part == b"..") {
        return Err(Error::refused(format!("the member `{}` leads out of the archive", Name::from(name)))
            .hinted("no engine writes such names: do not trust this archive"));
    }
    Ok(())
}

fn entry(archive: &Archive, member: &Member) -> Result<Entry, Error> {
    let mut entry = Entry {
        kind: member.kind,
        link: member.link.clone().unwrap_or_default(),
        mode: member.mode & 0o777,
        ..Entry::file(Content::None)
    };
    match member.kind {
        // Podman writes them without the bit that lets one enter them.
        EntryKind::Directory => entry.mode |= 0o700,
        EntryKind::Symlink => entry.mode = 0o777,
        EntryKind::File | EntryKind::Hardlink => {
            entry.kind = EntryKind::File;
            entry.link = Box::default();
            entry.content = match archive.read(member) {
                Ok(bytes) => Content::Bytes(bytes),
                Err(error) if !can_stream(archive, member) => return Err(error.into()),
                Err(_) => Content::Streamed(StreamedMember {
                    origin: Origin::Own,
                    name: member.name.clone(),
                    size: member.size_bytes,
                }),
            };
        }
        // Refused when the plan is checked.
        _ => {}
    }
    Ok(entry)
}

fn can_stream(archive: &Archive, member: &Member) -> bool {
    let source = archive.source();
    source.backing == Backing::Streamed
        && member.kind == EntryKind::File
        && source.path.as_os_str() != ckx_archive::archive::STDIN
}
