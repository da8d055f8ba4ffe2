//! The corpus of real checkpoints, read from its archives in memory.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use rayon::prelude::*;

/// All files of the corpus by path.
pub struct Corpus {
    files: HashMap<String, Vec<u8>>,
}

impl Corpus {
    /// Reads the archives below `CKX_CORPUS`; `None`, and a word on standard output, without it.
    pub fn load() -> Option<Self> {
        let Some(place) = std::env::var_os("CKX_CORPUS") else {
            println!("skipped: CKX_CORPUS does not name the corpus of real checkpoints");
            return None;
        };
        let place = Path::new(&place);
        let mut files = HashMap::new();
        let mut archives = vec![place.join("images.tar.zst"), place.join("qemu.tar.zst")];
        let others = std::fs::read_dir(place.join("archives")).expect("the corpus has archives/");
        archives.extend(others.map(|entry| entry.expect("readable").path()));
        archives.retain(|path| path.extension().is_some_and(|ext| ext == "zst"));
        for archive in archives {
            let prefix = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let bytes = std::fs::read(&archive).expect("the corpus is readable");
            read_tar(&decompress(&bytes), &prefix, &mut files);
        }
        Some(Self { files })
    }

    /// The real dumps that the project ships.
    pub fn fixtures() -> Self {
        let mut files = HashMap::new();
        let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images")];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).expect("readable");
                open.extend(entries.map(|entry| entry.expect("readable").path()));
            } else {
                files.insert(path.to_string_lossy().into_owned(), std::fs::read(&path).expect("readable"));
            }
        }
        Self { files }
    }

    /// A file by path.
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }
}

fn decompress(bytes: &[u8]) -> Vec<u8> {
    let mut decoder = zstd::Decoder::new(bytes).expect("a zstd frame");
    decoder.window_log_max(31).expect("a window");
    let mut out = Vec::new();
    decoder.read_to_end(&mut out).expect("a whole zstd frame");
    out
}

fn read_tar(bytes: &[u8], prefix: &str, files: &mut HashMap<String, Vec<u8>>) {
    let mut archive = tar::Archive::new(bytes);
    for member in archive.entries().expect("a tar") {
        let mut member = member.expect("a whole tar");
        if !member.header().entry_type().is_file() {
            continue;
        }
        let path = format!("{prefix}/{}", String::from_utf8_lossy(&member.path_bytes()));
        let mut data = Vec::new();
        member.read_to_end(&mut data).expect("a whole member");
        if path.ends_with(".tar") && !path.contains("rootfs") {
            read_tar(&data, &path, files);
        } else {
            files.insert(path, data);
        }
    }
}

/// Visits every file that may be an image, in parallel; gives the joined results and how many.
pub fn each_image<T: Send>(
    corpus: &Corpus,
    new: impl Fn() -> T + Sync + Send,
    join: impl Fn(T, T) -> T + Sync + Send,
    visit: impl Fn(&mut T, &str, &[u8]) + Sync + Send,
) -> (T, usize) {
    let images: Vec<(&String, &Vec<u8>)> = corpus
        .files
        .iter()
        .filter(|(path, _)| ckx_criu::kind::spec_by_file_name(name(path)).is_some())
        .collect();
    let result = images
        .par_iter()
        .fold(&new, |mut state, (path, data)| {
            visit(&mut state, path, data);
            state
        })
        .reduce(&new, &join);
    (result, images.len())
}

fn name(path: &str) -> &[u8] {
    path.rsplit('/').next().unwrap_or_default().as_bytes()
}
