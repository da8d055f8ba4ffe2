//! Directories: what lies in them, with names from the top.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::archive::content::{Content, io_error};
use crate::archive::{Archive, Backing, Fault, Form, Member, Source, joined};
use crate::tarball::EntryKind;
use crate::{Compression, Error};

/// Levels of directories that are read. Checkpoints have three or four.
const MAX_DEPTH: usize = 64;

/// Opens a directory. Links are told and not followed.
pub(super) fn open(path: &Path) -> Result<Archive, Error> {
    let mut found = Walk::default();
    found.directory(path, b"", 0)?;
    found.members.sort_by(|a, b| a.name.cmp(&b.name));
    let size_bytes = found.members.iter().map(|member| member.size_bytes).sum();
    let source = Source {
        path: path.into(),
        form: Form::Directory,
        compression: Compression::None,
        backing: Backing::Mapped,
        size_bytes,
    };
    Ok(Archive::new(source, found.members, found.faults))
}

#[derive(Default)]
struct Walk {
    members: Vec<Member>,
    faults: Vec<Fault>,
}

impl Walk {
    fn directory(&mut self, path: &Path, name: &[u8], depth: usize) -> Result<(), Error> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(source) if depth == 0 => return Err(io_error("list", path, source)),
            Err(source) => {
                self.fault(name, "unreadable", format!("cannot list the directory: {source}"));
                return Ok(());
            }
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(&entry, name, depth)?,
                Err(error) => self.fault(name, "unreadable", format!("cannot list the directory: {error}")),
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &fs::DirEntry, parent: &[u8], depth: usize) -> Result<(), Error> {
        let name = joined(parent, entry.file_name().as_bytes());
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                self.fault(&name, "unreadable", error.to_string());
                return Ok(());
            }
        };
        let kind = match metadata.file_type() {
            kind if kind.is_file() => EntryKind::File,
            kind if kind.is_symlink() => EntryKind::Symlink,
            kind if kind.is_dir() => EntryKind::Directory,
            kind if kind.is_block_device() => EntryKind::BlockDevice,
            kind if kind.is_char_device() => EntryKind::CharDevice,
            // Sockets have no letter of their own in a tar either; both have no content.
            _ => EntryKind::Fifo,
        };
        let path = entry.path();
        let is_file = kind == EntryKind::File;
        let size_bytes = if is_file { metadata.len() } else { 0 };
        self.members.push(Member {
            name: name.clone().into_boxed_slice(),
            kind,
            link: link(kind, &path),
            size_bytes,
            stored_bytes: if is_file { metadata.blocks().saturating_mul(512).min(size_bytes) } else { 0 },
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid().into(),
            gid: metadata.gid().into(),
            mtime_s: u64::try_from(metadata.mtime()).unwrap_or(0),
            order: 0,
            content: if is_file { Content::File(path.clone()) } else { Content::None },
        });
        if kind == EntryKind::Directory && depth < MAX_DEPTH {
            self.directory(&path, &name, depth + 1)?;
        }
        Ok(())
    }

    fn fault(&mut self, name: &[u8], code: &'static str, reason: String) {
        self.faults.push(Fault { member: name.into(), code, reason, offset_bytes: None });
    }
}

fn link(kind: EntryKind, path: &PathBuf) -> Option<Box<[u8]>> {
    let target = (kind == EntryKind::Symlink).then(|| fs::read_link(path).ok()).flatten()?;
    Some(target.as_os_str().as_bytes().into())
}
