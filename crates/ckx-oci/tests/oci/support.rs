//! Checkpoints to repack, and a reader of layouts that shares no code with the writer.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::Checkpoint;
use ckx_oci::plan::Keeping;
use serde_json::Value;

/// Content of files, `None` for directories, by name.
pub type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// Opens a checkpoint as the command does.
pub fn open(path: &Path) -> Checkpoint {
    let options = ArchiveOptions { budget_bytes: u64::MAX, ..ArchiveOptions::default() };
    let archive = Archive::open(path, &mut Keeping::of_large(8 << 20), options)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Checkpoint::from_archive(archive, ckx_core::Options::default())
}

/// A shipped checkpoint.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/checkpoints").join(name)
}

/// All shipped checkpoints.
pub const FIXTURES: [&str; 4] =
    ["nginx-crio-1.tar.zst", "nginx-containerd-1.tar.zst", "nginx-tcp-est.tar.zst", "bash-counter.tar.gz"];

/// Archives of the corpus, unpacked into `place`; none, and a word about it, without a corpus.
pub fn corpus(place: &Path) -> Vec<PathBuf> {
    let Some(corpus) = std::env::var_os("CKX_CORPUS").map(PathBuf::from) else {
        println!("skipped: CKX_CORPUS names no corpus");
        return Vec::new();
    };
    let mut found = Vec::new();
    for bundle in ["podman", "crio", "containerd"] {
        let file = fs::File::open(corpus.join("archives").join(format!("{bundle}.tar.zst"))).unwrap();
        let mut tar = tar::Archive::new(zstd::stream::read::Decoder::new(file).unwrap());
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().file_name().unwrap().to_owned();
            if name.to_string_lossy().ends_with(".tar") {
                let path = place.join(name);
                std::io::copy(&mut entry, &mut fs::File::create(&path).unwrap()).unwrap();
                found.push(path);
            }
        }
    }
    assert!(found.len() >= 10, "only {} archives", found.len());
    found
}

/// Undoes the compression of a file, told by its first bytes.
pub fn plain(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match data {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(data).read_to_end(&mut out).unwrap(),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            zstd::stream::read::Decoder::new(data).unwrap().read_to_end(&mut out).unwrap()
        }
        _ => return data.to_vec(),
    };
    out
}

/// The members of a tar. Of several with one name the last counts.
pub fn tree_of_tar(data: &[u8]) -> Tree {
    let mut tree = Tree::new();
    let mut tar = tar::Archive::new(data);
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let name = name.trim_start_matches("./").trim_end_matches('/').to_owned();
        let content = match entry.header().entry_type() {
            tar::EntryType::Directory => None,
            tar::EntryType::Symlink => Some([b"-> ", &*entry.link_name_bytes().unwrap()].concat()),
            _ => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                Some(content)
            }
        };
        if !name.is_empty() {
            tree.insert(name, content);
        }
    }
    tree
}

/// A layout that is read.
pub struct ReadLayout {
    root: PathBuf,
}

impl ReadLayout {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub fn index(&self) -> Value {
        serde_json::from_slice(&fs::read(self.root.join("index.json")).unwrap()).unwrap()
    }

    /// A blob, after a look at its digest by the program of the system.
    pub fn blob(&self, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap();
        let path = self.root.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
        let data = fs::read(&path).unwrap();
        assert_eq!(data.len() as u64, descriptor["size"].as_u64().unwrap());
        assert_eq!(sha256sum(&data), digest);
        data
    }

    pub fn manifest(&self, tag: &str) -> Value {
        let index = self.index();
        let entries = index["manifests"].as_array().unwrap();
        let named = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == tag;
        let entry = entries.iter().find(named).unwrap_or_else(|| panic!("no tag {tag}"));
        serde_json::from_slice(&self.blob(entry)).unwrap()
    }

    /// The union of the layers. Their digests, and those of the tars in them, are checked.
    pub fn tree(&self, tag: &str) -> Tree {
        let manifest = self.manifest(tag);
        let config: Value = serde_json::from_slice(&self.blob(&manifest["config"])).unwrap();
        let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(diff_ids.len(), layers.len());
        assert_eq!(config["history"].as_array().unwrap().len(), layers.len());
        let mut tree = Tree::new();
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            let tar = plain(&self.blob(layer));
            assert_eq!(sha256sum(&tar), diff_id.as_str().unwrap());
            tree.extend(tree_of_tar(&tar));
        }
        tree
    }
}

/// A digest, computed by the program that every machine has, so that a fault of ours would show.
pub fn sha256sum(data: &[u8]) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(data).unwrap());
        let output = child.wait_with_output().unwrap();
        format!("sha256:{}", String::from_utf8_lossy(&output.stdout[..64]))
    })
}
