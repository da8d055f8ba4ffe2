//! Deleted files, as engines tell them: CRI-O in a list beside the changes of the root file system,
//! containerd by whiteouts among them.

use std::collections::BTreeSet;
use std::io::Write;

use bytes::Bytes;
use ckx_archive::Compression;
use ckx_archive::tarball::{self, EntryKind, Step, TarMember};
use ckx_core::Name;

use crate::Error;
use crate::plan::{Content, Entry, Parts, Plan, Without, counted};
use crate::tarball::{Head, header};

const CHANGES: &[u8] = b"rootfs-diff.tar";
const DELETED: &[u8] = b"deleted.files";
/// Begins the names of whiteouts.
const MARK: &[u8] = b".wh.";

/// Takes whiteouts out of the changes and lists what they delete.
pub(super) fn list_deleted(plan: &mut Plan) -> Result<(), Error> {
    let Some(bytes) = changes(plan)? else { return Ok(()) };
    let mut deleted = listed(plan)?;
    let mut kept: BTreeSet<Box<[u8]>> = BTreeSet::new();
    let mut cut = Vec::new();
    members(&bytes, |member| {
        let Some(name) = deleted_by(member)? else {
            kept.insert(member.name.clone());
            return Ok(());
        };
        deleted.insert(name);
        let end = member.data_offset.saturating_add(member.stored_bytes.next_multiple_of(512));
        cut.push(member.header_offset..end);
        Ok(())
    })?;
    if cut.is_empty() {
        return Ok(());
    }
    if let Some(name) = deleted.iter().find(|name| kept.contains(name.as_bytes())) {
        return Err(refused(&format!(
            "`{}` was deleted and made again, and CRI-O deletes after it has unpacked",
            Name::from(name.as_bytes())
        )));
    }
    let count = cut.len();
    let without = Without::new(bytes, cut)
        .map_err(|error| Error::refused(format!("rootfs-diff.tar cannot be read: {error}")))?;
    replace(plan, CHANGES, Content::Without(without));
    plan.note(
        CHANGES,
        "rewritten",
        format!("without {}: CRI-O takes them for files", counted(count as u64, "whiteout")),
    );
    let list: Vec<String> = deleted.iter().map(|name| format!("/{name}")).collect();
    let list = serde_json::to_vec(&list).unwrap_or_default();
    replace(plan, DELETED, Content::Bytes(list.into()));
    plan.note(
        DELETED,
        "added",
        format!("with what whiteouts deleted: {}", counted(deleted.len() as u64, "path")),
    );
    Ok(())
}

/// Puts whiteouts of the listed files before the changes.
pub(super) fn mark_deleted(plan: &mut Plan) -> Result<(), Error> {
    let deleted = listed(plan)?;
    let bytes = changes(plan)?;
    if let Some(bytes) = &bytes {
        members(bytes, |member| {
            let name = Name::from(&member.name);
            if base_name(&member.name).1.starts_with(MARK) {
                return Err(refused(&format!("containerd would take `{name}` for a deleted file")));
            }
            if std::str::from_utf8(&member.name).is_ok_and(|name| deleted.contains(name)) {
                return Err(refused(&format!("`{name}` is among the deleted files too")));
            }
            Ok(())
        })?;
    }
    plan.remove(DELETED);
    if deleted.is_empty() {
        return Ok(());
    }
    let mut marks = Vec::new();
    for name in &deleted {
        // A directory is deleted with all that is in it.
        let mut above = name.match_indices('/').filter_map(|(at, _)| name.get(..at));
        if above.any(|directory| deleted.contains(directory)) {
            continue;
        }
        let (directory, file) = base_name(name.as_bytes());
        let name = [directory, MARK, file].concat();
        marks.extend(header(&Head { name: &name, kind: EntryKind::File, link: b"", mode: 0, size: 0 }));
    }
    let content = match bytes {
        Some(bytes) => {
            let mut parts = Parts::default();
            parts.push_bytes(packed_like(&bytes, marks)?);
            parts.push_bytes(bytes);
            Content::Parts(parts)
        }
        None => {
            marks.resize(marks.len() + 1024, 0);
            Content::Bytes(marks.into())
        }
    };
    replace(plan, CHANGES, content);
    let detail = format!("with {}, from deleted.files", counted(deleted.len() as u64, "whiteout"));
    plan.note(CHANGES, "rewritten", detail);
    plan.note(DELETED, "dropped", "containerd does not read it: there are whiteouts in rootfs-diff.tar");
    Ok(())
}

/// The changes, if there are some.
fn changes(plan: &Plan) -> Result<Option<Bytes>, Error> {
    match plan.get(CHANGES).map(|entry| &entry.content) {
        None => Ok(None),
        Some(Content::Bytes(bytes)) => Ok(Some(bytes.clone())),
        Some(_) => Err(Error::refused("rootfs-diff.tar is too large to be looked at in a compressed source")
            .hinted("decompress the source first")),
    }
}

/// Shows all members of the changes.
fn members(bytes: &Bytes, mut visit: impl FnMut(&TarMember) -> Result<(), Error>) -> Result<(), Error> {
    let unreadable = |reason: &str| Error::refused(format!("rootfs-diff.tar cannot be read: {reason}"));
    let reader = Compression::of(bytes).decode(&bytes[..]).map_err(|error| unreadable(&error.to_string()))?;
    tarball::stream(reader, |member, _| visit(member).map(|()| Step::Next))?
        .map_err(|fault| unreadable(&fault.reason))
}

/// What a whiteout deletes; `None` for another member.
fn deleted_by(member: &TarMember) -> Result<Option<String>, Error> {
    let (directory, file) = base_name(&member.name);
    let Some(file) = file.strip_prefix(MARK) else { return Ok(None) };
    let name = Name::from(&member.name);
    if file.starts_with(MARK) {
        return Err(refused(&format!(
            "`{name}` hides a whole directory of the base image, and what is in that is not known here"
        )));
    }
    if file.is_empty() {
        return Err(refused(&format!("`{name}` deletes nothing")));
    }
    String::from_utf8([directory, file].concat())
        .map(Some)
        .map_err(|_| refused(&format!("`{name}` is not UTF-8, and the list of CRI-O is JSON")))
}

/// The list of deleted files, as paths without a leading slash.
fn listed(plan: &Plan) -> Result<BTreeSet<String>, Error> {
    let Some(Content::Bytes(bytes)) = plan.get(DELETED).map(|entry| &entry.content) else {
        return Ok(BTreeSet::new());
    };
    let list: Option<Vec<String>> = serde_json::from_slice(bytes)
        .map_err(|error| Error::refused(format!("deleted.files is no list of paths: {error}")))?;
    let mut found = BTreeSet::new();
    for path in list.unwrap_or_default() {
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.is_empty() || parts.contains(&"..") {
            let name = Name::from(path.as_bytes());
            return Err(Error::refused(format!(
                "deleted.files lists `{name}`, which leads out of the container"
            ))
            .hinted("no engine writes such paths: do not trust this checkpoint"));
        }
        found.insert(parts.join("/"));
    }
    Ok(found)
}

/// Headers in the compression of what they are put before: members and frames may follow each other.
fn packed_like(bytes: &[u8], plain: Vec<u8>) -> Result<Bytes, Error> {
    let packed = match Compression::of(bytes) {
        Compression::None => Ok(plain),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(&plain).and_then(|()| encoder.finish())
        }
        Compression::Zstd => zstd::bulk::compress(&plain, 3),
        other => {
            return Err(refused(&format!("containerd does not unpack {}", other.name())));
        }
    };
    packed.map(Bytes::from).map_err(|error| refused(&error.to_string()))
}

/// Directory, with its slash, and name in it.
fn base_name(name: &[u8]) -> (&[u8], &[u8]) {
    name.split_at(name.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1))
}

fn replace(plan: &mut Plan, name: &[u8], content: Content) {
    match plan.get_mut(name) {
        Some(entry) => {
            entry.content = content;
            entry.patches.clear();
        }
        None => plan.put(name, Entry::file(content)),
    }
}

fn refused(reason: &str) -> Error {
    Error::refused(format!("the changes of the root file system cannot be translated: {reason}"))
}
