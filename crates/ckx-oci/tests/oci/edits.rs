//! Changes on the way: each is told, nothing else differs, and a translated checkpoint has what the other
//! engine wrote of the same pod itself.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ckx_oci::Edits;
use ckx_oci::facts::Engine;
use ckx_oci::repack::{Input, Options, Report, repack};
use ckx_testkit::{ImageBuilder, Msg};
use serde_json::{Value, json};

use crate::support::{FIXTURES, Tree, fixture, open, plain, tree_of_tar};

const CRIO: &str = FIXTURES[0];
const CONTAINERD: &str = FIXTURES[1];
const PODMAN: &str = FIXTURES[2];

fn edited(source: &Path, out: &Path, edits: Edits) -> Result<(Report, Tree), String> {
    let target = format!("tar:{}", out.display()).parse().unwrap();
    let options = Options { edits, ..Options::default() };
    let report = repack(&open(source), &target, &options).map_err(|error| error.to_string())?;
    Ok((report, tree(out)))
}

fn tree(path: &Path) -> Tree {
    tree_of_tar(&plain(&fs::read(path).unwrap()))
}

fn to(engine: Engine) -> Edits {
    Edits { engine: Some(engine), ..Edits::default() }
}

fn json_of(tree: &Tree, name: &str) -> Value {
    serde_json::from_slice(tree[name].as_ref().unwrap()).unwrap()
}

/// Members that differ between two trees, of which directories are not told.
fn differing(before: &Tree, after: &Tree) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    let mut names: Vec<String> =
        names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| before.get(name).or(after.get(name)).is_some_and(Option::is_some));
    names
}

fn told(report: &Report) -> Vec<String> {
    let mut names: Vec<String> = report
        .changes
        .iter()
        .flat_map(|change| {
            let old = change.detail.strip_prefix("from ").filter(|_| change.action == "renamed");
            [Some(change.member.to_string()), old.map(str::to_owned)].into_iter().flatten()
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Lists a tar, compressed or not, by the program of the system.
fn listed(data: &[u8], place: &Path) -> Vec<String> {
    let path = place.join("listed");
    fs::write(&path, data).unwrap();
    let output = Command::new("tar").arg("-tf").arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_checkpoint_of_crio_becomes_one_of_containerd() {
    let place = tempfile::tempdir().unwrap();
    let (report, after) =
        edited(&fixture(CRIO), &place.path().join("x.tar"), to(Engine::Containerd)).unwrap();
    let before = tree(&fixture(CRIO));
    assert_eq!(differing(&before, &after), told(&report));
    assert_eq!(report.warnings, []);
    // What containerd wrote of the same pod.
    let real = tree(&fixture(CONTAINERD));
    let (status, expected) = (json_of(&after, "status.dump"), json_of(&real, "status.dump"));
    for key in ["metadata", "state", "image", "labels", "annotations", "image_id"] {
        assert_eq!(status[key], expected[key], "{key}");
    }
    for key in ["id", "log_path"] {
        assert!(status[key].is_string(), "{key}");
    }
    // `date -d 2026-11-23T17:00:50.519399622Z +%s%N`
    assert_eq!(status["created_at"], json!(1_795_453_250_519_399_622_u64));
    let reference =
        "localhost/corpus-nginx@sha256:f3271440ec7a6918785b07ead9144aa59743be9997c5b449b191cd874cb90ed3";
    assert_eq!(json_of(&after, "config.dump")["rootfsImageRef"], reference);
    let annotations = &json_of(&after, "spec.dump")["annotations"];
    let expected = json_of(&real, "spec.dump");
    let names = expected["annotations"].as_object().unwrap().iter();
    for (key, value) in names.filter(|(key, _)| !key.contains("container-type") && !key.ends_with("-id")) {
        assert_eq!(annotations[key], *value, "{key}");
    }
    let changes = |tree: &Tree| listed(tree["rootfs-diff.tar"].as_ref().unwrap(), place.path());
    let whiteouts =
        |list: Vec<String>| list.into_iter().filter(|name| name.contains(".wh.")).collect::<Vec<_>>();
    assert_eq!(whiteouts(changes(&after)), whiteouts(changes(&real)));
    assert_eq!(changes(&after)[1..], changes(&before));
    assert!(after.contains_key("container.log") && !after.contains_key("deleted.files"));
}

#[test]
fn a_checkpoint_of_containerd_becomes_one_of_crio() {
    let place = tempfile::tempdir().unwrap();
    let (report, after) =
        edited(&fixture(CONTAINERD), &place.path().join("x.tar"), to(Engine::CriO)).unwrap();
    let before = tree(&fixture(CONTAINERD));
    assert_eq!(differing(&before, &after), told(&report));
    assert_eq!(report.warnings, []);
    // What CRI-O wrote of the same pod.
    let real = tree(&fixture(CRIO));
    assert_eq!(json_of(&after, "deleted.files"), json_of(&real, "deleted.files"));
    let reference = |tree: &Tree| json_of(tree, "config.dump")["rootfsImageRef"].clone();
    assert_eq!(reference(&after), reference(&real));
    let (annotations, expected) = (json_of(&after, "spec.dump"), json_of(&real, "spec.dump"));
    for key in ["Annotations", "Labels", "Metadata"] {
        let document = |spec: &Value| -> Value {
            let text = &spec["annotations"][format!("io.kubernetes.cri-o.{key}")];
            serde_json::from_str(text.as_str().unwrap()).unwrap()
        };
        assert_eq!(document(&annotations), document(&expected), "{key}");
    }
    for key in ["io.container.manager", "io.kubernetes.pod.name", "io.kubernetes.cri-o.ImageRef"] {
        assert_eq!(annotations["annotations"][key], expected["annotations"][key], "{key}");
    }
    let changes = |tree: &Tree| listed(tree["rootfs-diff.tar"].as_ref().unwrap(), place.path());
    let mut kept = changes(&before);
    kept.retain(|name| !name.contains(".wh."));
    assert_eq!(changes(&after), kept);
    assert!(after.contains_key("io.kubernetes.cri-o.LogPath"));
}

#[test]
fn there_and_back_is_the_same_file_system() {
    let place = tempfile::tempdir().unwrap();
    let there = place.path().join("there.tar");
    edited(&fixture(CRIO), &there, to(Engine::Containerd)).unwrap();
    let (_, back) = edited(&there, &place.path().join("back.tar"), to(Engine::CriO)).unwrap();
    let before = tree(&fixture(CRIO));
    assert!(back["rootfs-diff.tar"] == before["rootfs-diff.tar"]);
    assert_eq!(json_of(&back, "deleted.files"), json_of(&before, "deleted.files"));
    assert_eq!(json_of(&back, "config.dump"), json_of(&before, "config.dump"));
    let left = differing(&before, &back);
    assert_eq!(left, ["config.dump", "deleted.files", "spec.dump", "status.dump"], "as JSON or as added");
}

#[test]
fn an_image_for_an_engine_has_what_it_needs() {
    let place = tempfile::tempdir().unwrap();
    let target = format!("oci:{}:x", place.path().join("layout").display()).parse().unwrap();
    let options = Options { edits: to(Engine::Containerd), ..Options::default() };
    let report = repack(&open(&fixture(CRIO)), &target, &options).unwrap();
    let image = report.image.unwrap();
    assert_eq!(image.annotations["org.criu.checkpoint.engine.name"], "containerd");
    assert_eq!(image.annotations["org.criu.checkpoint.container.name"], "nginx");
}

#[test]
fn what_cannot_be_translated_is_refused_with_the_reason() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("x.tar");
    let refused = |source: &str, engine| edited(&fixture(source), &out, to(engine)).unwrap_err();
    let cases = [
        (CRIO, Engine::Podman, "Podman restores only its own"),
        (CONTAINERD, Engine::Podman, "config.dump has to be Podman's whole configuration"),
        (PODMAN, Engine::CriO, "the images hold the mounts and cgroups that Podman set up"),
        (PODMAN, Engine::Containerd, "no pod is described"),
        ("../images/v2.12-tcp", Engine::CriO, "restores only containers"),
    ];
    for (source, engine, reason) in cases {
        let error = refused(source, engine);
        assert!(error.contains(reason), "{source}: {error}");
    }
    let based = |engine, base: &str| {
        let edits = Edits { base_image: Some(base.to_owned()), ..to(engine) };
        edited(&fixture(CRIO), &out, edits)
    };
    assert!(based(Engine::Containerd, "name:tag").unwrap_err().contains("cannot pull"));
    assert!(based(Engine::CriO, "name:tag").unwrap_err().contains("no id of an image"));
    assert!(!out.exists(), "nothing is written");
    let id = "a".repeat(64);
    let reference = format!("quay.io/x/y@sha256:{id}");
    let found = |engine, base: &str| {
        json_of(&based(engine, base).unwrap().1, "config.dump")["rootfsImageRef"].clone()
    };
    assert_eq!(found(Engine::Containerd, &reference), reference);
    assert_eq!(found(Engine::CriO, &format!("sha256:{id}")), id);
}

/// A checkpoint in a directory, to be changed there.
fn unpacked(source: &str, place: &Path) -> PathBuf {
    let path = place.join("source");
    let target = format!("dir:{}", path.display()).parse().unwrap();
    repack(&open(&fixture(source)), &target, &Options::default()).unwrap();
    path
}

/// A tar of empty files, by the program of the system.
fn tar_of(names: &[&str], place: &Path) -> Vec<u8> {
    let root = place.join("tree");
    let _ = fs::remove_dir_all(&root);
    for name in names {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let output = Command::new("tar").arg("-C").arg(&root).arg("-cf-").args(names).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn whiteouts_that_say_too_much_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let source = unpacked(CONTAINERD, place.path());
    let cases: [(&[&str], &str); 4] = [
        (&["a/.wh..wh..opq"], "hides a whole directory"),
        (&["a/.wh."], "deletes nothing"),
        (&["a/.wh.b", "a/b"], "deleted and made again"),
        (&["a/.wh.b/c"], ""),
    ];
    for (names, reason) in cases {
        fs::write(source.join("rootfs-diff.tar"), tar_of(names, place.path())).unwrap();
        let result = edited(&source, &place.path().join("x.tar"), to(Engine::CriO));
        match result {
            Ok(_) => assert_eq!(reason, ""),
            Err(error) => assert!(!reason.is_empty() && error.contains(reason), "{names:?}: {error}"),
        }
    }
    fs::write(source.join("rootfs-diff.tar"), "no tar").unwrap();
    let error = edited(&source, &place.path().join("x.tar"), to(Engine::CriO)).unwrap_err();
    assert!(error.contains("rootfs-diff.tar cannot be read"), "{error}");
}

#[test]
fn deleted_files_become_whiteouts_in_any_compression() {
    let place = tempfile::tempdir().unwrap();
    let source = unpacked(CRIO, place.path());
    let deleted = r#"["/d/e","/d","/top","d.x/y"]"#;
    fs::write(source.join("deleted.files"), deleted).unwrap();
    let expected = [".wh.d", "d.x/.wh.y", ".wh.top", "a/b"];
    for program in ["cat", "gzip", "zstd"] {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&tar_of(&["a/b"], place.path())).unwrap();
        fs::write(source.join("rootfs-diff.tar"), child.wait_with_output().unwrap().stdout).unwrap();
        let out = place.path().join("x.tar");
        let (_, after) = edited(&source, &out, to(Engine::Containerd)).unwrap();
        assert_eq!(listed(after["rootfs-diff.tar"].as_ref().unwrap(), place.path()), expected, "{program}");
    }
    fs::remove_file(source.join("rootfs-diff.tar")).unwrap();
    let (_, after) = edited(&source, &place.path().join("x.tar"), to(Engine::Containerd)).unwrap();
    assert_eq!(listed(after["rootfs-diff.tar"].as_ref().unwrap(), place.path()), expected[..3]);
}

#[test]
fn deleted_files_that_mean_something_else_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let source = unpacked(CRIO, place.path());
    let refused = |deleted: &str, names: &[&str]| {
        fs::write(source.join("deleted.files"), deleted).unwrap();
        fs::write(source.join("rootfs-diff.tar"), tar_of(names, place.path())).unwrap();
        edited(&source, &place.path().join("x.tar"), to(Engine::Containerd)).unwrap_err()
    };
    assert!(refused(r#"["/a/../../b"]"#, &["x"]).contains("leads out of the container"));
    assert!(refused(r#"{"a":1}"#, &["x"]).contains("no list of paths"));
    assert!(refused("[]", &["a/.wh.b"]).contains("would take `a/.wh.b` for a deleted file"));
    assert!(refused(r#"["/a"]"#, &["a"]).contains("among the deleted files too"));
}

#[test]
fn members_are_left_out_if_the_rest_can_be_restored() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("x.tar");
    let dropped = |names: &[&str]| {
        let drop = names.iter().map(|name| (*name).to_owned()).collect();
        edited(&fixture(PODMAN), &out, Edits { drop, ..Edits::default() })
    };
    let (report, after) = dropped(&["ctr.log", "./artifacts/"]).unwrap();
    assert_eq!(differing(&tree(&fixture(PODMAN)), &after), ["ctr.log"]);
    assert!(!after.contains_key("artifacts"));
    assert_eq!(told(&report), ["artifacts", "ctr.log"]);
    for name in ["spec.dump", "checkpoint", "checkpoint/pages-1.img", "checkpoint/inventory.img"] {
        let error = dropped(&[name]).unwrap_err();
        assert!(error.contains("cannot be left out"), "{name}: {error}");
    }
    assert!(dropped(&["absent"]).unwrap_err().contains("there is no member `absent`"));
    assert!(dropped(&[""]).is_err());
}

#[test]
fn containers_get_other_names_and_variables() {
    let place = tempfile::tempdir().unwrap();
    for source in [CRIO, CONTAINERD, PODMAN] {
        let env = vec![("APP_ENV".to_owned(), "other".to_owned()), ("NEW".to_owned(), "a=b".to_owned())];
        let edits = Edits { rename: Some("second".to_owned()), env, ..Edits::default() };
        let (report, after) = edited(&fixture(source), &place.path().join("x.tar"), edits).unwrap();
        let before = tree(&fixture(source));
        assert_eq!(differing(&before, &after), told(&report), "{source}");
        let env = |tree: &Tree| json_of(tree, "spec.dump")["process"]["env"].as_array().unwrap().clone();
        let mut expected = env(&before);
        match expected.iter_mut().find(|line| line.as_str().unwrap().starts_with("APP_ENV=")) {
            Some(line) => *line = json!("APP_ENV=other"),
            None => expected.push(json!("APP_ENV=other")),
        }
        expected.push(json!("NEW=a=b"));
        assert_eq!(env(&after), expected, "{source}");
        // What people see of it.
        let checkpoint = open(&place.path().join("x.tar"));
        let target = format!("oci:{}", place.path().join(source).display()).parse().unwrap();
        let image = repack(&checkpoint, &target, &Options::default()).unwrap().image.unwrap();
        assert_eq!(image.annotations["org.criu.checkpoint.container.name"], "second", "{source}");
        let config = json_of(&after, "config.dump")["name"].as_str().unwrap().to_owned();
        assert!(config.contains("second"), "{source}: {config}");
    }
    let rename = |name: &str| {
        let edits = Edits { rename: Some(name.to_owned()), ..Edits::default() };
        edited(&fixture(CRIO), &place.path().join("x.tar"), edits)
    };
    for bad in ["", "-x", "a/b", "a b", "a\u{1b}"] {
        assert!(rename(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn pages_files_of_another_size_than_their_maps_tell_are_told() {
    let place = tempfile::tempdir().unwrap();
    let source = unpacked(CRIO, place.path());
    let pages = source.join("checkpoint/pages-1.img");
    let file = fs::OpenOptions::new().write(true).open(&pages).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(size - 4096).unwrap();
    let target = format!("oci:{}", place.path().join("layout").display()).parse().unwrap();
    let report = repack(&open(&source), &target, &Options::default()).unwrap();
    let found: Vec<_> = report.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(found, ["pages-size"]);
    assert!(report.warnings[0].reason.contains("checkpoint/pages-1.img"), "{}", report.warnings[0].reason);
}

#[test]
fn images_that_cannot_be_read_are_told() {
    let place = tempfile::tempdir().unwrap();
    let source = unpacked(CRIO, place.path());
    let path = |name: &str| source.join("checkpoint").join(name);
    let files = fs::read(path("files.img")).unwrap();
    fs::write(path("files.img"), &files[..files.len() - 3]).unwrap();
    let mut map = fs::read(path("pagemap-1.img")).unwrap();
    map[20..40].fill(0xff);
    fs::write(path("pagemap-1.img"), map).unwrap();
    // Well-formed, with pages behind the last address.
    let beyond = Msg::new().seq(1, [u64::MAX - 0xfff, 0]).uint(4, 4).uint(5, 2);
    let map = ImageBuilder::of("PAGEMAP").record(Msg::new().uint(1, 7)).record(beyond).build();
    fs::write(path("pagemap-7.img"), map).unwrap();
    let target = format!("oci:{}", place.path().join("layout").display()).parse().unwrap();
    let report = repack(&open(&source), &target, &Options::default()).unwrap();
    let told: Vec<_> = report.warnings.iter().map(|warning| (warning.code, &*warning.reason)).collect();
    for (name, (code, reason)) in ["files.img", "pagemap-1.img", "pagemap-7.img"].iter().zip(&told) {
        assert_eq!(*code, "unreadable-image");
        assert!(reason.starts_with(&format!("`checkpoint/{name}` cannot be read at offset 0x")), "{reason}");
    }
    assert_eq!(told.len(), 3, "{told:?}");
    // Nothing can stand on it: CRIU reads the maps of an earlier dump too.
    let (later, base) = (open(&fixture(CRIO)), open(&source));
    let error =
        repack(Input { checkpoint: &later, base: Some(&base) }, &target, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("the base does not fit: `pagemap-1.img` cannot be read"), "{error}");
}
