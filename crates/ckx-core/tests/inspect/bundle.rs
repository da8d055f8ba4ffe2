//! Image directories of the corpus, which lie together in large archives.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use ckx_archive::archive::{Interest, KeepAll};
use ckx_archive::tarball::{EntryKind, TarMember};
use ckx_archive::{Archive, Interests, Kept, Options as ArchiveOptions};
use ckx_core::{Checkpoint, Options};

/// Directories with their files: images and what was recorded beside them.
pub type Directories = BTreeMap<String, BTreeMap<String, Bytes>>;

/// Keeps what a name speaks for.
struct Chosen(fn(&str) -> bool);

impl Interests for Chosen {
    fn of(&mut self, member: &TarMember, _: &Kept<'_>) -> Interest {
        let is_chosen = std::str::from_utf8(&member.name).is_ok_and(self.0);
        if is_chosen { Interest::Keep } else { Interest::Skip }
    }
}

/// Directories of a bundle of the corpus, with the files that `choose` wants by path.
pub fn directories(place: &Path, bundle: &str, choose: Option<fn(&str) -> bool>) -> Directories {
    let path = place.join(bundle);
    let file = fs::File::open(&path).expect("the bundle is there");
    let options = ArchiveOptions { budget_bytes: 1 << 30, ..ArchiveOptions::default() };
    let archive = match choose {
        Some(choose) => Archive::from_stream(&path, file, &mut Chosen(choose), options),
        None => Archive::from_stream(&path, file, &mut KeepAll, options),
    };
    let archive = archive.expect("a bundle");
    let mut found = Directories::new();
    for member in archive.current().filter(|member| member.kind == EntryKind::File) {
        let name = String::from_utf8_lossy(&member.name).into_owned();
        let Some((directory, file)) = name.rsplit_once('/') else { continue };
        if let Ok(data) = archive.read(member) {
            found.entry(directory.to_owned()).or_default().insert(file.to_owned(), data);
        }
    }
    found
}

/// The images of a directory as a checkpoint.
pub fn checkpoint(name: &str, files: &BTreeMap<String, Bytes>, options: Options) -> Checkpoint {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".img")) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, name, &bytes[..]).expect("writing to memory");
    }
    crate::corpus::open_bytes(name, tar.into_inner().expect("writing to memory"), options)
}
