//! A directory of images, as CRIU and runc write it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::{Error, open_file};

/// A directory with the names of what lies in it, sorted.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    members: Vec<Member>,
}

/// What lies in a directory.
#[derive(Debug, Clone)]
pub struct Member {
    name: OsString,
    /// What it is. Links are not followed.
    pub kind: MemberType,
    /// Size in bytes; of links the length of their text.
    pub size_bytes: u64,
}

/// Types of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberType {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

impl Member {
    /// Name inside the directory, as bytes.
    pub fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

impl Directory {
    /// Lists a directory. Nothing in it is opened.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let fail = |source| Error::io("list", path, source);
        let mut members = Vec::new();
        for entry in fs::read_dir(path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let metadata = entry.metadata().map_err(fail)?;
            let kind = match metadata.file_type() {
                kind if kind.is_file() => MemberType::File,
                kind if kind.is_symlink() => MemberType::Link,
                kind if kind.is_dir() => MemberType::Directory,
                _ => MemberType::Other,
            };
            members.push(Member { name: entry.file_name(), kind, size_bytes: metadata.len() });
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { path: path.into(), members })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What lies in it, by name.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Path of a member.
    pub fn path_of(&self, member: &Member) -> PathBuf {
        self.path.join(&member.name)
    }

    /// Content of the regular file with this name; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn get(&self, name: &[u8]) -> Result<Option<Bytes>, Error> {
        let found = self.members.binary_search_by(|member| member.name().cmp(name)).ok();
        match found.and_then(|at| self.members.get(at)).filter(|member| member.kind == MemberType::File) {
            Some(member) => open_file(&self.path_of(member)).map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_links_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("small"), b"abc").unwrap();
        fs::write(place.path().join("large"), vec![7; 100_000]).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", place.path().join("link")).unwrap();
        let directory = Directory::open(place.path()).unwrap();
        let names: Vec<_> = directory.members().iter().map(Member::name).collect();
        assert_eq!(names, [b"large".as_slice(), b"link", b"small"]);
        assert_eq!(directory.get(b"small").unwrap().as_deref(), Some(&b"abc"[..]));
        assert_eq!(directory.get(b"large").unwrap().map(|data| data.len()), Some(100_000));
        assert_eq!(directory.get(b"link").unwrap(), None);
        assert_eq!(directory.get(b"absent").unwrap(), None);
    }

    #[test]
    fn a_directory_is_no_file() {
        let place = tempfile::tempdir().unwrap();
        let error = open_file(place.path()).unwrap_err();
        assert!(matches!(error, Error::NotAFile { actual: "directory", .. }), "{error}");
    }
}
