//! Other tools read the images. A tool that is not installed is told and skipped.

use std::path::Path;
use std::process::Command;

use ckx_oci::compress::Method;
use ckx_oci::repack::{Options, repack};

use crate::support::{FIXTURES, fixture, open, plain, tree_of_tar};

/// Whether a program can be run.
pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn layout(place: &Path, name: &str, method: Method) -> String {
    let target = format!("oci:{}:{}", place.join("layout").display(), method.name());
    let options = Options { method: Some(method), ..Options::default() };
    repack(&open(&fixture(name)), &target.parse().unwrap(), &options).unwrap();
    target
}

const METHODS: [Method; 3] = [Method::None, Method::Gzip(6), Method::Zstd(3)];

#[test]
fn skopeo_inspects_and_copies() {
    if !has("skopeo") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    for method in METHODS {
        let source = layout(place.path(), FIXTURES[0], method);
        let text = run("skopeo", &["inspect", "--raw", &source]);
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(manifest["annotations"]["io.kubernetes.cri-o.annotations.checkpoint.name"], "nginx");
        run("skopeo", &["inspect", &source]);
        let copy = place.path().join(method.name());
        run("skopeo", &["copy", &source, &format!("dir:{}", copy.display())]);
    }
    let file = place.path().join("archive.tar");
    let target = format!("oci-archive:{}:x", file.display());
    repack(&open(&fixture(FIXTURES[1])), &target.parse().unwrap(), &Options::default()).unwrap();
    run("skopeo", &["copy", &target, &format!("dir:{}", place.path().join("copy").display())]);
}

#[test]
fn umoci_unpacks() {
    if !has("umoci") {
        return;
    }
    for (name, method) in [(FIXTURES[0], Method::None), (FIXTURES[2], Method::Gzip(6))] {
        let place = tempfile::tempdir().unwrap();
        let source = layout(place.path(), name, method);
        let image = source.strip_prefix("oci:").unwrap();
        let bundle = place.path().join("bundle");
        run("umoci", &["unpack", "--rootless", "--image", image, &bundle.display().to_string()]);
        let expected = tree_of_tar(&plain(&std::fs::read(fixture(name)).unwrap()));
        for (member, content) in expected {
            let path = bundle.join("rootfs").join(&member);
            match content {
                Some(content) => assert!(std::fs::read(&path).unwrap() == content, "{member}"),
                None => assert!(path.is_dir(), "{member}"),
            }
        }
    }
}

#[test]
fn buildah_pulls() {
    if !has("buildah") {
        return;
    }
    for method in METHODS {
        // buildah of 2022 takes no upper-case letters in the path of a layout.
        let prefix = format!("ckx-buildah-{}-{}", std::process::id(), method.name());
        let place = tempfile::Builder::new().prefix(&prefix).rand_bytes(0).tempdir().unwrap();
        let source = layout(place.path(), FIXTURES[0], method);
        let at = |name: &str| place.path().join(name).display().to_string();
        let (root, run_root) = (at("root"), at("run"));
        let store = ["--root", &root, "--runroot", &run_root, "--storage-driver", "vfs"];
        let pulled = Command::new("buildah").args(store).args(["pull", &source]).output().unwrap();
        let text = String::from_utf8_lossy(&pulled.stderr);
        if text.contains("operation not permitted") || text.contains("newuidmap") {
            println!("skipped: buildah is not allowed to work here: {text}");
            return;
        }
        assert!(pulled.status.success(), "{text}");
    }
}
