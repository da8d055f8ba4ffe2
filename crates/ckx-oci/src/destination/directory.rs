//! A directory with the members as files.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use ckx_archive::tarball::EntryKind;

use crate::Error;
use crate::compress::STEP;
use crate::destination::partial::Partial;
use crate::plan::{Entry, Plan, Purpose, Sources};

/// Writes a plan as a directory that did not exist or was empty. Gives the bytes of all files.
///
/// # Errors
/// [`Error::Refused`] when there is something; those of the source; [`Error::Io`].
pub fn write_directory(sources: Sources<'_>, plan: &Plan, path: &Path) -> Result<u64, Error> {
    plan.check(Purpose::Archive)?;
    if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::refused(format!("`{}` is not empty", path.display()))
            .hinted("name a directory that does not exist yet"));
    }
    let part = Partial::new(parent(path));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(part.path())
        .map_err(Error::io("create a directory in", parent(path)))?;
    let mut bytes = 0;
    // Links come last: nothing is written through them.
    let (links, others): (Vec<_>, Vec<_>) =
        plan.entries().partition(|(_, entry)| entry.kind == EntryKind::Symlink);
    // Faults name the place that was asked for, not the one that it has until it is complete.
    for (name, entry) in others {
        bytes += member(sources, &at(part.path(), name), &at(path, name), entry)?;
    }
    for (name, entry) in links {
        symlink(std::ffi::OsStr::from_bytes(&entry.link), at(part.path(), name))
            .map_err(Error::io("create", &at(path, name)))?;
    }
    part.place(path)?;
    Ok(bytes)
}

fn at(root: &Path, name: &[u8]) -> PathBuf {
    root.join(std::ffi::OsStr::from_bytes(name))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn member(sources: Sources<'_>, place: &Path, shown: &Path, entry: &Entry) -> Result<u64, Error> {
    if entry.kind == EntryKind::Directory {
        let mut builder = fs::DirBuilder::new();
        builder.mode(entry.mode | 0o700).create(place).map_err(Error::io("create", shown))?;
        return Ok(0);
    }
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(place).map_err(Error::io("create", shown))?;
    entry.content.emit(sources, &entry.patches, &mut |bytes| {
        bytes.chunks(STEP).try_for_each(|step| file.write_all(step)).map_err(Error::io("write", shown))
    })?;
    file.set_permissions(fs::Permissions::from_mode(entry.mode)).map_err(Error::io("write", shown))?;
    Ok(entry.size())
}
