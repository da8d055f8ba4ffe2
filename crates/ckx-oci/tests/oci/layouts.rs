//! The union of the layers is the source, and the same input gives the same digests.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ckx_oci::compress::Method;
use ckx_oci::destination::Target;
use ckx_oci::layer::Split;
use ckx_oci::repack::{Options, Report, repack};
use serde_json::Value;

use crate::support::{FIXTURES, ReadLayout, Tree, corpus, fixture, open, plain, tree_of_tar};

fn write(source: &Path, target: &str, options: &Options) -> Report {
    let target: Target = target.parse().unwrap();
    repack(&open(source), &target, options).unwrap_or_else(|error| panic!("{}: {error}", source.display()))
}

fn options(split: Split, method: Method, threads: usize) -> Options {
    Options { split, method: Some(method), threads, ..Options::default() }
}

fn with_directories(mut tree: Tree) -> Tree {
    let names: Vec<String> = tree.keys().cloned().collect();
    for name in names {
        for (at, _) in name.match_indices('/') {
            tree.entry(name[..at].to_owned()).or_insert(None);
        }
    }
    tree
}

/// What Podman has beside the images and a link to it is moved to where the link is; nothing else differs.
fn with_parent_moved(tree: Tree) -> Tree {
    if tree.get("checkpoint/parent").is_none_or(Option::is_none) {
        return tree;
    }
    tree.into_iter()
        .filter(|(name, _)| name != "checkpoint/parent")
        .map(|(name, content)| match name.strip_prefix("pre-checkpoint") {
            Some(rest) => (format!("checkpoint/parent{rest}"), content),
            None => (name, content),
        })
        .collect()
}

fn check_union(source: &Path, method: Method, split: Split) {
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let report = write(source, &format!("oci:{}:x", layout.display()), &options(split, method, 2));
    let is_unreadable = |code| ["unreadable-image", "pages-size"].contains(&code);
    assert!(!report.warnings.iter().any(|warning| is_unreadable(warning.code)), "{:?}", report.warnings);
    let expected = with_parent_moved(with_directories(tree_of_tar(&plain(&fs::read(source).unwrap()))));
    let found = ReadLayout::new(&layout).tree("x");
    let names = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "{}", source.display());
    for (name, content) in &expected {
        assert!(found[name] == *content, "{}: {name} differs ({method}, {split:?})", source.display());
    }
}

#[test]
fn the_union_of_layers_is_the_source() {
    for name in FIXTURES {
        for method in [Method::None, Method::Gzip(6), Method::Zstd(3)] {
            for split in [Split::Single, Split::Kind] {
                check_union(&fixture(name), method, split);
            }
        }
    }
}

#[test]
fn the_union_of_layers_is_the_source_in_the_corpus() {
    let place = tempfile::tempdir().unwrap();
    for (at, path) in corpus(place.path()).iter().enumerate() {
        // Its earlier dump lies in another archive: half a memory is no image.
        if path.ends_with("nginx-incr.tar") {
            let target = format!("oci:{}", place.path().join("refused").display()).parse().unwrap();
            let error = repack(&open(path), &target, &Options::default()).unwrap_err();
            assert!(error.to_string().contains("is not in the source"), "{error}");
            continue;
        }
        // Each archive meets each compression and layering with one of its neighbours.
        let method = [Method::None, Method::Gzip(1), Method::Zstd(1)][at % 3];
        check_union(path, method, if at % 2 == 0 { Split::Kind } else { Split::Single });
    }
}

#[test]
fn an_image_of_an_archive_of_an_image_is_the_same_image() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    for name in FIXTURES {
        let image = |source: &Path, tag: &str| {
            let target = format!("oci:{}:{tag}", at(name).display());
            write(source, &target, &options(Split::Kind, Method::Zstd(3), 2)).image.unwrap().digest
        };
        let first = image(&fixture(name), "first");
        for form in ["tar", "tar.gz", "tar.zst"] {
            let archive = at(&format!("{name}.again.{form}"));
            write(&fixture(name), &format!("tar:{}", archive.display()), &Options::default());
            assert_eq!(image(&archive, form), first, "{name}.{form}");
        }
        let directory = at(&format!("{name}.directory"));
        write(&fixture(name), &format!("dir:{}", directory.display()), &Options::default());
        assert_eq!(image(&directory, "directory"), first, "{name}");
        // And back from the image itself.
        let single = at(&format!("{name}.single"));
        let target = format!("oci:{}:x", single.display());
        write(&fixture(name), &target, &options(Split::Kind, Method::Gzip(6), 2));
        let archive = at(&format!("{name}.back.tar"));
        write(&single, &format!("tar:{}", archive.display()), &Options::default());
        assert_eq!(image(&archive, "back"), first, "{name}");
        assert_eq!(image(&single, "image"), first, "{name}");
    }
}

#[test]
fn digests_are_pinned() {
    // Other digests than these mean that images of the same checkpoint differ between releases of ckx:
    // nothing in a registry would be found again.
    let expected = [
        (Method::None, "sha256:ab201097b26119c2af139bbd3948a45943927d8626a9e710c644df3786412661"),
        (Method::Gzip(6), "sha256:a3393b7dedb81ca3551e8e1240c2da5466a4fe508926c647610d6fe299fb2555"),
        (Method::Zstd(3), "sha256:c0ba4d75a8c9f581af584fb4c61c5d7a240f42a0f60becb533492131847a1327"),
    ];
    for (method, digest) in expected {
        for threads in [1, 3] {
            let place = tempfile::tempdir().unwrap();
            let target = format!("oci-archive:{}:x", place.path().join("a.tar").display());
            let report = write(&fixture(FIXTURES[0]), &target, &options(Split::Kind, method, threads));
            assert_eq!(report.image.unwrap().digest.to_string(), digest, "{method} {threads}");
        }
    }
}

#[test]
fn only_layers_of_memory_are_tuned_for_memory() {
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    for name in FIXTURES {
        write(
            &fixture(name),
            &format!("oci:{}:{name}", layout.display()),
            &options(Split::Kind, Method::Zstd(3), 2),
        );
        let reader = ReadLayout::new(&layout);
        for layer in reader.manifest(name)["layers"].as_array().unwrap() {
            let blob = reader.blob(layer);
            let tar = plain(&blob);
            assert!(tar.len() < 8 << 20, "one frame, so that it can be compared with one");
            let usual = zstd::bulk::compress(&tar, 3).unwrap();
            let kind = layer["annotations"]["io.ckx.layer.kind"].as_str().unwrap();
            if kind == "memory" {
                assert!(!blob.starts_with(&usual), "{name}");
                assert!(blob.len() < usual.len() * 105 / 100, "{name}: {} of {}", blob.len(), usual.len());
            } else {
                assert!(blob.starts_with(&usual), "{name}: {kind}");
            }
        }
    }
}

#[test]
fn a_layout_keeps_its_other_images() {
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let target = |tag: &str| format!("oci:{}:{tag}", layout.display());
    let set = |value: &str| Options {
        set_annotations: [("com.example.note".to_owned(), value.to_owned())].into(),
        ..Options::default()
    };
    write(&fixture(FIXTURES[0]), &target("a"), &Options::default());
    let reader = ReadLayout::new(&layout);
    let recognition = "io.kubernetes.cri-o.annotations.checkpoint.name";
    assert_eq!(reader.index()["annotations"][recognition], "nginx");
    let first = reader.manifest("a");
    write(&fixture(FIXTURES[1]), &target("b"), &Options::default());
    assert_eq!(reader.manifest("a"), first);
    assert_eq!(reader.index()["annotations"], Value::Null, "what stands there holds for all images");
    // The same tag is replaced, and layers that are the same are not written again.
    let report = write(&fixture(FIXTURES[0]), &target("a"), &set("x"));
    let image = report.image.unwrap();
    assert!(image.layers.iter().all(|layer| layer.reused));
    assert_eq!(report.written_bytes, 0);
    let second = reader.manifest("a");
    assert_eq!(second["annotations"]["com.example.note"], "x");
    assert_ne!(second["config"]["digest"], first["config"]["digest"], "the image id is another");
    assert_eq!(second["layers"], first["layers"]);
    assert_eq!(reader.index()["manifests"].as_array().unwrap().len(), 2);
    let left: Vec<_> = fs::read_dir(&layout).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "only the layout is there: {left:?}");
}

#[test]
fn a_damaged_layer_at_the_destination_is_told() {
    // Also one that is large enough to be compared with instead of being written.
    for (method, kind) in [
        (Method::None, "rootfs"),
        (Method::Gzip(6), "rootfs"),
        (Method::Zstd(3), "rootfs"),
        (Method::None, "memory"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let layout = place.path().join("layout");
        let target = |tag: &str| format!("oci:{}:{tag}", layout.display());
        let options = options(Split::Kind, method, 2);
        let report = write(&fixture(FIXTURES[0]), &target("a"), &options);
        let layers = report.image.unwrap().layers;
        let layer = layers.iter().find(|layer| layer.kind == kind).unwrap().digest.hex();
        let blob = layout.join("blobs/sha256").join(layer);
        let mut data = fs::read(&blob).unwrap();
        let middle = data.len() / 2;
        data[middle] ^= 1;
        fs::write(&blob, data).unwrap();
        // Its size is right: it would be taken for the layer that is to be written.
        let target: Target = target("b").parse().unwrap();
        let error = repack(&open(&fixture(FIXTURES[0])), &target, &options).unwrap_err();
        assert!(matches!(error, ckx_oci::Error::Unsound(_)), "{method}: {error}");
        let manifests = ReadLayout::new(&layout).index()["manifests"].as_array().unwrap().len();
        assert_eq!(manifests, 1, "the image is not made known");
    }
}

#[test]
fn a_layer_that_is_there_is_not_written_again() {
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let target = |tag: &str| format!("oci:{}:{tag}", layout.display());
    let options = options(Split::Kind, Method::None, 2);
    let memory = |report: Report| {
        report.image.unwrap().layers.into_iter().find(|layer| layer.kind == "memory").unwrap()
    };
    let first = memory(write(&fixture(FIXTURES[0]), &target("a"), &options));
    let blobs = layout.join("blobs/sha256");
    let blob = blobs.join(first.digest.hex());
    let made = |path: &Path| (path.metadata().unwrap().ino(), path.metadata().unwrap().mtime_nsec());
    let before = made(&blob);
    let again = memory(write(&fixture(FIXTURES[0]), &target("b"), &options));
    assert!(again.reused && again.digest == first.digest);
    assert_eq!(made(&blob), before);
    // Another one begins like it, and a blob under a false name is like the one that is written.
    let other = memory(write(&fixture("nginx-crio-2.tar.zst"), &target("c"), &options));
    assert!(!other.reused);
    fs::rename(&blob, blobs.join("0".repeat(64))).unwrap();
    let third = memory(write(&fixture(FIXTURES[0]), &target("d"), &options));
    assert!(!third.reused && third.digest == first.digest);
    let expected = with_directories(tree_of_tar(&plain(&fs::read(fixture(FIXTURES[0])).unwrap())));
    for tag in ["a", "b", "d"] {
        assert!(ReadLayout::new(&layout).tree(tag) == expected, "{tag}");
    }
}

#[test]
fn files_that_engines_require_are_missed() {
    let place = tempfile::tempdir().unwrap();
    let missed = |name: &str| {
        let target = format!("oci:{}", place.path().join("layout").display());
        let report = write(&fixture(name), &target, &Options::default());
        report.warnings.into_iter().map(|warning| warning.reason).collect::<Vec<_>>()
    };
    for name in FIXTURES {
        // The image that was checkpointed in containerd had never been in a registry.
        let expected: &[&str] = if name.contains("containerd") {
            &[
                "config.dump names the base image only by its id: containerd restores it only where that image is already",
            ]
        } else {
            &[]
        };
        assert_eq!(missed(name), expected, "{name}");
    }
    // Images of CRIU without an engine.
    let expected = [
        "there is no spec.dump: no engine restores it",
        "there is no config.dump: no engine restores it",
        "there is no checkpoint/inventory.img: CRIU restores nothing",
        "`pages-1.img` is not there, and its page map tells of 2215936 bytes: CRIU restores other memory, or nothing",
        "`pages-2.img` is not there, and its page map tells of 2211840 bytes: CRIU restores other memory, or nothing",
        "`pages-3.img` is not there, and its page map tells of 303104 bytes: CRIU restores other memory, or nothing",
    ];
    assert_eq!(missed("../images/v2.12-tcp"), expected);
}

#[test]
fn annotations_are_those_that_are_known() {
    let place = tempfile::tempdir().unwrap();
    let cases = [(FIXTURES[0], "CRI-O"), (FIXTURES[1], "containerd"), (FIXTURES[2], "Podman")];
    for (name, engine) in cases {
        let layout = place.path().join(name);
        write(&fixture(name), &format!("oci:{}:x", layout.display()), &Options::default());
        let manifest = ReadLayout::new(&layout).manifest("x");
        let annotations = manifest["annotations"].as_object().unwrap();
        assert_eq!(annotations["org.criu.checkpoint.engine.name"], engine);
        assert_eq!(annotations["io.podman.annotations.checkpoint.runtime.name"], "runc");
        assert!(annotations.values().all(|value| value != ""), "{name}");
        assert_eq!(annotations["org.criu.checkpoint.host.arch"], "amd64");
    }
}

#[test]
fn what_cannot_be_written_leaves_everything_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let checkpoint = open(&fixture(FIXTURES[0]));
    let refused = |target: &str| {
        let target: Target = target.parse().unwrap();
        repack(&checkpoint, &target, &Options::default()).unwrap_err()
    };
    fs::write(place.path().join("file"), "kept").unwrap();
    let error = refused(&format!("oci:{}", place.path().display()));
    assert!(error.to_string().contains("not empty and no OCI image layout"), "{error}");
    let error = refused(&format!("dir:{}", place.path().display()));
    assert!(error.to_string().contains("not empty"), "{error}");
    refused(&format!("tar:{}/absent/x.tar", place.path().display()));
    refused(&format!("oci-archive:{}/file/x.tar", place.path().display()));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(place.path().join("file")).unwrap(), "kept");
}
