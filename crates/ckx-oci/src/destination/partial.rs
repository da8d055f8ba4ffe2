//! Files and directories that are underway: they have a name that says so until they are complete.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// A path that is removed unless it was put in its place.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    placed: bool,
}

static COUNT: AtomicU64 = AtomicU64::new(0);
const PREFIX: &str = ".ckx-";
const SUFFIX: &str = ".part";

impl Partial {
    /// A name in `directory` that nothing else has. What runs that were killed left there is removed.
    pub fn new(directory: &Path) -> Self {
        remove_stale(directory);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}{SUFFIX}", std::process::id());
        Self { path: directory.join(name), placed: false }
    }

    /// Beside the file `target`, so that it can be renamed to it.
    ///
    /// # Errors
    /// [`Error::Refused`] for what is no regular file: a device or a pipe would be gone afterwards.
    pub fn beside(target: &Path) -> Result<Self, Error> {
        if target.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Error::refused(format!(
                "`{}` is no regular file, and is not replaced",
                target.display()
            ))
            .hinted("name a file"));
        }
        Ok(Self::new(parent(target)))
    }

    /// Where it is until it has its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it a file that only its owner can read: it holds memory.
    ///
    /// # Errors
    /// When that is not allowed there.
    pub fn create(&self) -> Result<File, Error> {
        create(&self.path).map_err(Error::io("create a file in", parent(&self.path)))
    }

    /// Gives it its name, in the place of what had that name before.
    ///
    /// # Errors
    /// When that is not allowed there.
    pub fn place(mut self, target: &Path) -> Result<(), Error> {
        fs::rename(&self.path, target).map_err(Error::io("write", target))?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.path).or_else(|_| fs::remove_dir_all(&self.path));
        }
    }
}

/// Makes a file that only its owner can read.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Removes what belongs to processes that are gone. Faults are not ours to tell.
fn remove_stale(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-'))
            .and_then(|(pid, _)| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let path = entry.path();
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
    }
}
