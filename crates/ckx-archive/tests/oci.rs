//! OCI layouts, made here and by the tools of the trade: in directories, in tars, in compressed tars.

#![allow(clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ckx_archive::archive::{Backing, Form, KeepAll};
use ckx_archive::{Archive, Compression, Error, Options};
use ckx_testkit::tarball::{Member, gzip, tar};
use sha2::{Digest as _, Sha256};

/// A layout in the making.
#[derive(Default)]
struct Layout {
    files: BTreeMap<String, Vec<u8>>,
    entries: Vec<String>,
}

fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    format!("sha256:{hex}")
}

impl Layout {
    /// Stores a blob; returns its descriptor.
    fn blob(&mut self, kind: &str, bytes: Vec<u8>, more: &str) -> String {
        let digest = digest(&bytes);
        let text = format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}{more}}}"#, bytes.len());
        self.files.insert(format!("blobs/{}", digest.replace(':', "/")), bytes);
        text
    }

    /// Adds an image of these layers; returns the descriptor of its manifest.
    fn image(&mut self, name: &str, layers: &[Vec<u8>]) -> String {
        let config = r#"{"architecture":"amd64","os":"linux","config":{"Labels":{"made-by":"hand"}}}"#;
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.into(), "");
        let layers: Vec<String> = layers
            .iter()
            .map(|layer| self.blob("application/vnd.oci.image.layer.v1.tar", layer.clone(), ""))
            .collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{config},"layers":[{}],"annotations":{{"key":"{name}"}}}}"#,
            layers.join(",")
        );
        let more = format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}"}}"#);
        let entry = self.blob("application/vnd.oci.image.manifest.v1+json", manifest.into(), &more);
        self.entries.push(entry.clone());
        entry
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.files.clone();
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, self.entries.join(","));
        files.insert("index.json".to_owned(), index.into());
        files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        files
    }

    fn write(&self, place: &Path) -> PathBuf {
        for (name, bytes) in self.files() {
            let path = place.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        place.to_owned()
    }

    /// As a tar, with names in alphabetical order: the index comes behind the blobs.
    fn tar(&self) -> Vec<u8> {
        let files = self.files();
        tar(&files.iter().map(|(name, bytes)| (name.as_str(), Member::File(bytes))).collect::<Vec<_>>())
    }
}

fn open(path: &Path) -> Result<Archive, Error> {
    Archive::open(path, &mut KeepAll, Options::default())
}

fn of_bytes(data: Vec<u8>) -> Result<Archive, Error> {
    Archive::from_bytes(Path::new("made"), data.into(), &mut KeepAll, Options::default())
}

fn of_stream(data: &[u8]) -> Result<Archive, Error> {
    Archive::from_stream(Path::new("-"), data, &mut KeepAll, Options::default())
}

/// Names with content as text.
fn content(archive: &Archive) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let each = |member: &ckx_archive::Member| {
        (
            text(&member.name),
            archive.read(member).map_or_else(|error| error.to_string(), |bytes| text(&bytes)),
        )
    };
    archive.members().iter().map(each).collect()
}

fn files(layer: &[(&str, &str)]) -> Vec<u8> {
    tar(&layer.iter().map(|(name, text)| (*name, Member::File(text.as_bytes()))).collect::<Vec<_>>())
}

#[test]
fn layers_are_united_and_whiteouts_hide_what_lies_below() {
    let mut layout = Layout::default();
    layout.image(
        "latest",
        &[
            files(&[
                ("checkpoint/core-1.img", "old"),
                ("checkpoint/gone.img", "x"),
                ("tree/a/deep", "x"),
                ("tree-like", "stays"),
                ("opaque/old", "x"),
                ("opaque/sub/old", "x"),
                ("was-directory/file", "x"),
                ("config.dump", "{}"),
            ]),
            gzip(&files(&[
                ("checkpoint/core-1.img", "new"),
                ("checkpoint/.wh.gone.img", ""),
                (".wh.tree", ""),
                ("opaque/new", "stays"),
                ("opaque/.wh..wh..opq", ""),
                ("was-directory", "a file now"),
                // A whiteout acts on the layers below it only.
                ("./same-layer", "stays"),
                (".wh.same-layer", ""),
                (".wh..wh.aufs", ""),
            ])),
            files(&[("/tree/again", "back")]),
        ],
    );
    let expected: Vec<(String, String)> = [
        ("tree-like", "stays"),
        ("config.dump", "{}"),
        ("checkpoint/core-1.img", "new"),
        ("opaque/new", "stays"),
        ("was-directory", "a file now"),
        ("same-layer", "stays"),
        ("tree/again", "back"),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .to_vec();
    let place = tempfile::tempdir().unwrap();
    let directory = open(&layout.write(place.path())).unwrap();
    assert_eq!(directory.source().form, Form::OciLayout);
    // One layer is compressed.
    assert_eq!(directory.source().backing, Backing::Streamed);
    let mapped = of_bytes(layout.tar()).unwrap();
    let compressed = of_bytes(gzip(&layout.tar())).unwrap();
    let stream = of_stream(&layout.tar()).unwrap();
    for archive in [&directory, &mapped, &compressed, &stream] {
        assert_eq!(content(archive), expected, "{:?}", archive.source());
        assert_eq!(archive.faults(), []);
        let image = archive.oci().unwrap();
        assert_eq!(image, directory.oci().unwrap());
        assert_eq!(image.names, ["latest"]);
        assert_eq!(image.annotations["key"], "latest");
        assert_eq!(image.labels["made-by"], "hand");
        let compressions: Vec<_> = image.layers.iter().map(|layer| layer.compression).collect();
        assert_eq!(compressions, [Some(Compression::None), Some(Compression::Gzip), Some(Compression::None)]);
    }
    for archive in [&mapped, &compressed, &stream] {
        assert_eq!(archive.source().form, Form::OciArchive);
    }
}

#[test]
fn an_image_is_chosen_by_tag_name_or_digest() {
    let mut layout = Layout::default();
    layout.image("v1", &[files(&[("which", "one")])]);
    let second = layout.image("registry.example/app:v2", &[files(&[("which", "two")])]);
    let place = tempfile::tempdir().unwrap();
    let at = layout.write(&place.path().join("layout"));
    let archive = place.path().join("archive.tar");
    fs::write(&archive, layout.tar()).unwrap();
    let error = open(&at).unwrap_err().to_string();
    assert!(error.ends_with("it holds several images: v1, registry.example/app:v2"), "{error}");
    let which = |written: String| open(Path::new(&written)).map(|archive| content(&archive)[0].1.clone());
    assert_eq!(which(format!("oci:{}:v1", at.display())).unwrap(), "one");
    assert_eq!(which(format!("oci:{}:v2", at.display())).unwrap(), "two");
    assert_eq!(which(format!("oci-archive:{}:registry.example/app:v2", archive.display())).unwrap(), "two");
    let digest = second.split(r#""digest":""#).nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(which(format!("oci:{}@{digest}", at.display())).unwrap(), "two");
    let error = which(format!("oci:{}:v3", at.display())).unwrap_err().to_string();
    assert!(error.ends_with("it has no image `v3`; it has v1, registry.example/app:v2"), "{error}");
    // What is written must be what is there.
    let error = which(format!("oci:{}", archive.display())).unwrap_err().to_string();
    assert!(error.contains("several images") || error.contains("it is no OCI layout"), "{error}");
    let plain = place.path().join("plain.tar");
    fs::write(&plain, files(&[("x", "y")])).unwrap();
    let error = which(format!("oci-archive:{}", plain.display())).unwrap_err().to_string();
    assert!(error.ends_with("it is no OCI archive but a tar"), "{error}");
}

#[test]
fn an_index_may_name_an_index_and_attestations_are_no_images() {
    let mut layout = Layout::default();
    let image = layout.image("inner", &[files(&[("which", "one")])]);
    let attestation = layout.image("inner", &[]).replace(
        r#""annotations":{"#,
        r#""platform":{"architecture":"unknown","os":"unknown"},"annotations":{"#,
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{image},{attestation}],"annotations":{{"on-index":"yes"}}}}"#
    );
    let more = r#","annotations":{"org.opencontainers.image.ref.name":"outer"}"#;
    let entry = layout.blob("application/vnd.oci.image.index.v1+json", index.into(), more);
    layout.entries = vec![entry];
    let archive = of_bytes(layout.tar()).unwrap();
    assert_eq!(content(&archive), [("which".to_owned(), "one".to_owned())]);
    let found = archive.oci().unwrap();
    assert_eq!(found.names, ["inner", "outer"]);
    assert_eq!(found.index_annotations["on-index"], "yes");
}

/// Indexes that name each other end.
#[test]
fn indexes_in_a_circle_are_no_images() {
    let mut layout = Layout::default();
    let name = format!("sha256:{}", "ab".repeat(32));
    let text = format!(
        r#"{{"manifests":[{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{name}","size":1}}]}}"#
    );
    layout.files.insert(format!("blobs/{}", name.replace(':', "/")), text.clone().into());
    let mut files = layout.files();
    files.insert("index.json".to_owned(), text.into());
    let data =
        tar(&files.iter().map(|(name, bytes)| (name.as_str(), Member::File(bytes))).collect::<Vec<_>>());
    assert!(matches!(of_bytes(data), Err(Error::Oci { .. })));
}

#[test]
fn a_blob_that_is_not_what_its_name_says_is_told() {
    let mut layout = Layout::default();
    let layer = files(&[("file", "content")]);
    layout.image("latest", std::slice::from_ref(&layer));
    let name = format!("blobs/{}", digest(&layer).replace(':', "/"));
    let mut other = files(&[("file", "CONTENT")]);
    layout.files.insert(name.clone(), other.clone());
    let verify = Options { verify: true, ..Options::default() };
    let path = Path::new("made");
    for (data, is_stream) in [(layout.tar(), false), (gzip(&layout.tar()), true)] {
        // The size is right, and nobody asked for more.
        assert_eq!(of_bytes(data.clone()).unwrap().faults(), [], "streamed: {is_stream}");
        let archive = Archive::from_bytes(path, data.into(), &mut KeepAll, verify.clone()).unwrap();
        let codes: Vec<_> = archive.faults().iter().map(|fault| fault.code).collect();
        assert_eq!(codes, ["digest-mismatch"], "streamed: {is_stream}");
        assert_eq!(&*archive.faults()[0].member, name.as_bytes());
        assert_eq!(content(&archive)[0].1, "CONTENT");
    }
    other.extend([0; 512]);
    layout.files.insert(name.clone(), other);
    for data in [layout.tar(), gzip(&layout.tar())] {
        let archive = of_bytes(data).unwrap();
        assert_eq!(archive.faults()[0].code, "blob-size");
        assert_eq!(content(&archive).len(), 1);
    }
    layout.files.remove(&name);
    let archive = of_bytes(layout.tar()).unwrap();
    assert_eq!(archive.faults()[0].code, "missing-layer");
    assert_eq!(archive.members().len(), 0);
}

#[test]
fn digests_that_are_paths_are_refused() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("secret"), r#"{"layers":[]}"#).unwrap();
    let entries = vec![r#"{"digest":"sha256:../../../secret","size":13}"#.to_owned()];
    let layout = Layout { entries, ..Layout::default() };
    let at = layout.write(&place.path().join("layout"));
    let error = open(&at).unwrap_err().to_string();
    assert!(error.ends_with("`sha256:../../../secret` is no digest"), "{error}");
}

#[test]
fn links_to_blobs_are_not_followed() {
    let mut layout = Layout::default();
    let layer = files(&[("file", "content")]);
    layout.image("latest", std::slice::from_ref(&layer));
    let place = tempfile::tempdir().unwrap();
    let at = layout.write(&place.path().join("layout"));
    let blob = at.join("blobs").join(digest(&layer).replace(':', "/"));
    fs::rename(&blob, place.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(place.path().join("elsewhere"), &blob).unwrap();
    let archive = open(&at).unwrap();
    assert_eq!(archive.members().len(), 0);
    assert_eq!(archive.faults()[0].code, "missing-layer");
    assert!(archive.faults()[0].reason.contains("symbolic link"), "{}", archive.faults()[0].reason);
}

/// Engines write the index behind the blobs: of an archive that is cut off, blobs are left.
#[test]
fn an_archive_without_its_index_shows_what_is_left() {
    let mut layout = Layout::default();
    let layer = files(&[("a", "first"), ("b", &"second ".repeat(1000))]);
    layout.image("latest", &[gzip(&layer)]);
    let whole = layout.tar();
    for data in [whole.clone(), gzip(&whole)] {
        for cut in (600..data.len()).step_by(97) {
            let Ok(archive) = of_bytes(data[..cut].to_vec()) else { continue };
            let is_whole = archive.oci().is_some_and(|image| image.names == ["latest"]);
            if !is_whole {
                assert_ne!(archive.faults(), [], "cut at {cut}");
            }
        }
    }
    // The index is the last but one.
    let cut = whole.len() - 1024 - 2 * 1024;
    for data in [whole[..cut].to_vec(), gzip(&whole[..cut])] {
        let archive = of_bytes(data).unwrap();
        assert_eq!(content(&archive)[0], ("a".to_owned(), "first".to_owned()));
        assert!(archive.faults().iter().any(|fault| fault.code == "missing-index"), "{:?}", archive.faults());
        assert_eq!(archive.oci().unwrap().annotations["key"], "latest");
    }
}

#[test]
fn what_only_looks_like_blobs_is_a_tar() {
    let name = format!("blobs/sha256/{}", "0".repeat(64));
    let inner = files(&[("inside", "x")]);
    let data = tar(&[(&name, Member::File(&inner)), ("checkpoint/core-1.img", Member::File(b"core"))]);
    for archive in [of_bytes(data.clone()).unwrap(), of_bytes(gzip(&data)).unwrap()] {
        assert_eq!(archive.source().form, Form::Tar);
        assert_eq!(archive.oci(), None);
        let names: Vec<_> =
            archive.members().iter().map(|member| String::from_utf8_lossy(&member.name)).collect();
        assert_eq!(names, [name.as_str(), "checkpoint/core-1.img"]);
        let held = archive.inner(&archive.members()[0], None).unwrap();
        assert_eq!(&*held.members()[0].name, b"inside");
    }
}

#[test]
fn a_part_of_a_later_layer_is_loaded_again() {
    let mut layout = Layout::default();
    let lower = gzip(&files(&[("pages", "old old old")]));
    let upper = gzip(&files(&[("other", "x"), ("pages", "new new new")]));
    layout.image("latest", &[lower, upper]);
    let place = tempfile::tempdir().unwrap();
    let at = layout.write(place.path());
    let small = Options { budget_bytes: 0, ..Options::default() };
    let opened = [
        Archive::open(&at, &mut KeepAll, small.clone()).unwrap(),
        Archive::from_bytes(Path::new("made"), gzip(&layout.tar()).into(), &mut KeepAll, small).unwrap(),
    ];
    for archive in &opened {
        let member = archive.get(b"pages").unwrap();
        let mut out = Vec::new();
        assert_eq!(archive.write_to(member, &mut out).unwrap(), 11, "{:?}", archive.source());
        assert_eq!(out, b"new new new");
    }
}

/// Layouts that buildah, Podman and checkpointctl wrote, beside the archive that they were made of.
#[test]
fn real_layouts_hold_what_the_archive_holds() {
    let Some(corpus) = std::env::var_os("CKX_CORPUS") else {
        eprintln!("skipped: CKX_CORPUS is not set");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let unpack = |name: &str| {
        let file = Path::new(&corpus).join("archives").join(name);
        let status = std::process::Command::new("tar")
            .args(["--zstd", "-xf"])
            .arg(file)
            .arg("-C")
            .arg(place.path())
            .status()
            .unwrap();
        assert!(status.success());
    };
    unpack("crio.tar.zst");
    unpack("podman-oci.tar.zst");
    let files_of = |archive: &Archive| -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        for member in archive.current().filter(|member| member.kind == ckx_archive::tarball::EntryKind::File)
        {
            found.insert(member.name.to_vec(), archive.read(member).ok().map(|bytes| bytes.to_vec()));
        }
        found
    };
    let plain = files_of(&open(&place.path().join("nginx-crio-1.tar")).unwrap());
    assert!(plain.len() > 50);
    for name in ["oci-buildah-crio", "oci-buildah-crio-zstd", "oci-checkpointctl-build"] {
        let options = Options { verify: true, ..Options::default() };
        let archive = Archive::open(&place.path().join(name), &mut KeepAll, options).unwrap();
        assert_eq!(archive.faults(), [], "{name}");
        assert!(files_of(&archive) == plain, "{name}");
        assert_ne!(archive.oci().unwrap().annotations.len(), 0, "{name}");
    }
    for name in ["oci-nginx", "oci-nginx-zstd"] {
        let archive = open(&place.path().join(name)).unwrap();
        assert_eq!(archive.faults(), [], "{name}");
        assert!(archive.get(b"checkpoint/inventory.img").is_some(), "{name}");
        // The same as a tar of it, compressed or not.
        let tar = |flags: &[&str]| {
            let mut command = std::process::Command::new("tar");
            command.args(flags).args(["--sort=name", "-cf", "-", "-C"]);
            let output = command.arg(place.path().join(name)).arg(".").output().unwrap();
            of_bytes(output.stdout).unwrap()
        };
        for flags in [&[][..], &["--zstd"]] {
            let packed = tar(flags);
            assert_eq!(packed.source().form, Form::OciArchive);
            assert!(files_of(&packed) == files_of(&archive), "{name} {flags:?}");
            assert_eq!(packed.oci(), archive.oci());
        }
    }
}
