//! A set of images by name, wherever they lie.

use std::collections::BTreeMap;

use bytes::Bytes;
use ckx_archive::{Directory, MemberType};

/// Images by file name. Questions about a dump are asked of this, so that a directory, an archive
/// and a set built in memory answer alike.
pub trait ImageSet {
    /// Names of all files, sorted.
    fn names(&self) -> Vec<Vec<u8>>;

    /// Content of a file; `None` when there is none of this name.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn get(&self, name: &str) -> Result<Option<Bytes>, ckx_archive::Error>;
}

impl ImageSet for Directory {
    fn names(&self) -> Vec<Vec<u8>> {
        let files = self.members().iter().filter(|member| member.kind == MemberType::File);
        files.map(|member| member.name().to_vec()).collect()
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, ckx_archive::Error> {
        Directory::get(self, name.as_bytes())
    }
}

/// Images in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryImages(BTreeMap<String, Bytes>);

impl MemoryImages {
    /// Adds a file.
    pub fn insert(&mut self, name: impl Into<String>, data: impl Into<Bytes>) {
        self.0.insert(name.into(), data.into());
    }
}

impl ImageSet for MemoryImages {
    fn names(&self) -> Vec<Vec<u8>> {
        self.0.keys().map(|name| name.as_bytes().to_vec()).collect()
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, ckx_archive::Error> {
        Ok(self.0.get(name).cloned())
    }
}

/// Numbers in the names of images of these kinds (`KIND-NUMBER.img`), each once and sorted.
pub(crate) fn numbers_in_names(images: &dyn ImageSet, kinds: &[&str]) -> Vec<u64> {
    let number = |name: &Vec<u8>| {
        let (kind, number) = std::str::from_utf8(name).ok()?.strip_suffix(".img")?.rsplit_once('-')?;
        kinds.contains(&kind).then(|| number.parse().ok())?
    };
    let mut numbers: Vec<u64> = images.names().iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
