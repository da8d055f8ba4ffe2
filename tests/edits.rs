//! Changes on the way: what people are told, and what `ckx` itself finds in the result.

use ckx_testkit::Ckx;
use serde_json::Value;

const CRIO: &str = "fixtures/checkpoints/nginx-crio-1.tar.zst";

/// Runs `ckx` in a directory; the fixture is named from the top of the repository.
fn run(place: &tempfile::TempDir, arguments: &[&str]) -> ckx_testkit::Output {
    let source = ckx_testkit::repository().join(CRIO);
    let named = arguments.iter().map(|word| if *word == CRIO { source.to_str().unwrap() } else { word });
    Ckx::new(env!("CARGO_BIN_EXE_ckx")).directory(place.path()).args(named).run()
}

fn overview(place: &tempfile::TempDir, archive: &str) -> Value {
    let output = run(place, &["inspect", "--json", "--section", "overview", archive]);
    let report: Value = serde_json::from_slice(&output.quiet_success()).unwrap();
    report["sections"]["overview"].clone()
}

#[test]
fn a_checkpoint_goes_from_engine_to_engine_and_back() {
    let place = tempfile::tempdir().unwrap();
    let there = run(&place, &["repack", "--target", "containerd", CRIO, "-o", "tar:containerd.tar"]);
    assert_eq!(
        there.stdout(),
        "\
wrote containerd.tar
  added status.dump: from the annotations that CRI-O wrote in spec.dump
  rewritten spec.dump: annotations of containerd
  rewritten rootfs-diff.tar: with 1 whiteout, from deleted.files
  dropped deleted.files: containerd does not read it: there are whiteouts in rootfs-diff.tar
  renamed container.log: from io.kubernetes.cri-o.LogPath
  rewritten config.dump: rootfsImageRef is localhost/corpus-nginx@sha256:f3271440ec7a6918785b07ead9144aa59743be9997c5b449b191cd874cb90ed3, 2bcb9c8173cef7021a7ad7aa627d7e9e891aef6b68bb9ad8e5608f3b9b14becd before
"
    );
    let back = run(&place, &["repack", "--target", "crio", "containerd.tar", "-o", "tar:crio.tar"]);
    assert_eq!(
        back.stdout(),
        "\
wrote crio.tar
  rewritten spec.dump: annotations of CRI-O, from status.dump
  rewritten rootfs-diff.tar: without 1 whiteout: CRI-O takes them for files
  added deleted.files: with what whiteouts deleted: 1 path
  renamed io.kubernetes.cri-o.LogPath: from container.log
  rewritten config.dump: rootfsImageRef is 2bcb9c8173cef7021a7ad7aa627d7e9e891aef6b68bb9ad8e5608f3b9b14becd, localhost/corpus-nginx@sha256:f3271440ec7a6918785b07ead9144aa59743be9997c5b449b191cd874cb90ed3 before
"
    );
    let engine = |archive| overview(&place, archive)["engine"].clone();
    assert_eq!([engine("containerd.tar"), engine("crio.tar")], ["containerd", "cri-o"]);
    for archive in ["containerd.tar", "crio.tar"] {
        let same = run(&place, &["diff", "--only", "memory", CRIO, archive]);
        assert_eq!(same.code, Some(0), "{}", same.stdout());
    }
}

#[test]
fn names_environments_and_members_change_and_it_is_told() {
    let place = tempfile::tempdir().unwrap();
    let changed = run(
        &place,
        &[
            "repack",
            "--rename",
            "web-2",
            "--set-env",
            "LEVEL=debug",
            "--drop",
            "stats-dump",
            CRIO,
            "-o",
            "tar:x.tar",
        ],
    );
    assert_eq!(
        changed.stdout(),
        "\
wrote x.tar
  dropped stats-dump: nothing reads how long the dump took
  rewritten spec.dump: environment variable LEVEL, for what is started after the restore; processes that run keep what is in their memory
  rewritten config.dump: name of the container, k8s_nginx_web_default_11111111-2222-3333-4444-555555555555_0 before
  rewritten spec.dump: name of the container, nginx before
"
    );
    assert_eq!(overview(&place, "x.tar")["name"], "web-2");
    let spec = run(&place, &["cat", "x.tar", "spec.dump"]).quiet_success();
    let spec: Value = serde_json::from_slice(&spec).unwrap();
    let env = spec["process"]["env"].as_array().unwrap();
    assert_eq!(env.last().unwrap(), "LEVEL=debug");
    let members = run(&place, &["ls", "x.tar"]);
    assert!(!members.stdout().contains("stats-dump"), "{}", members.stdout());
}
