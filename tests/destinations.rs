//! Destinations that cannot be written: what people are told, and that nothing is lost or left behind.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use ckx_testkit::Ckx;

const CRIO: &str = "fixtures/checkpoints/nginx-crio-1.tar.zst";
/// Every form of destination that is a place in the file system.
const FORMS: [&str; 4] = ["tar:", "oci-archive:", "oci:", "dir:"];

fn repack(place: &Path, source: &Path, destination: &str) -> ckx_testkit::Output {
    let arguments = ["repack".as_ref(), source.as_os_str(), "-o".as_ref(), destination.as_ref()];
    Ckx::new(env!("CARGO_BIN_EXE_ckx")).directory(place).args(arguments).run()
}

/// All files below a directory with what is in them; directories have nothing.
fn tree(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(name, None);
                left.push(path);
            } else {
                found.insert(name, Some(fs::read(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn a_place_that_cannot_be_written_is_told_and_nothing_is_left_there() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), "kept").unwrap();
    let source = ckx_testkit::repository().join(CRIO);
    for form in FORMS {
        let failed = repack(place.path(), &source, &format!("{form}file/x"));
        assert_eq!(failed.code, Some(2), "{form}");
        for words in ["`file", "Not a directory", "hint: a file stands where a directory is needed"] {
            assert!(failed.stderr().contains(words), "{form}: {}", failed.stderr());
        }
        let left = tree(place.path());
        assert_eq!(left.into_iter().collect::<Vec<_>>(), [("file".to_owned(), Some(b"kept".to_vec()))]);
    }
    for form in ["tar:", "dir:"] {
        let failed = repack(place.path(), &source, &format!("{form}nowhere/x"));
        assert_eq!(failed.code, Some(2), "{form}");
        assert!(failed.stderr().contains("hint: make that directory first"), "{}", failed.stderr());
    }
}

/// Runs a repack that may write 50 KiB at most to each file, which is less than a layer takes.
fn cut_off(place: &Path, destination: &str) -> (Option<i32>, String) {
    // Without the signal, the system says that the file is too large: a fault like that of a full disk.
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" repack --compress none \"$1\" -o \"$2\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_ckx")])
        .arg(ckx_testkit::repository().join(CRIO))
        .arg(destination)
        .current_dir(place)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_full_disk_leaves_what_was_there_and_nothing_else() {
    let source = ckx_testkit::repository().join(CRIO);
    let other = ckx_testkit::repository().join("fixtures/checkpoints/nginx-crio-2.tar.zst");
    for form in FORMS {
        let place = tempfile::tempdir().unwrap();
        let destination = format!("{form}x");
        let (code, told) = cut_off(place.path(), &destination);
        assert_eq!(code, Some(2), "{form}: {told}");
        assert!(told.contains("`x"), "{form}: {told}");
        assert!(told.contains("hint: what was there before is untouched"), "{form}: {told}");
        assert_eq!(tree(place.path()), BTreeMap::new(), "{form}: nothing was there before");
        if form == "dir:" {
            continue; // A directory that is there is refused.
        }
        repack(place.path(), &other, &destination).quiet_success();
        let before = tree(place.path());
        assert_eq!(cut_off(place.path(), &destination).0, Some(2), "{form}");
        let mut after = tree(place.path());
        // Whole blobs that no image names may stay in a layout: the next run uses them.
        after.retain(|name, _| form != "oci:" || before.contains_key(name) || !name.starts_with("x/blobs/"));
        assert!(before == after, "{form}: {:?}", after.keys());
        repack(place.path(), &source, &destination).quiet_success();
        assert!(before != tree(place.path()), "{form}: it can be written again");
    }
}

/// Names of files that are underway.
fn parts(place: &Path) -> Vec<String> {
    tree(place).into_keys().filter(|name| name.ends_with(".part")).collect()
}

#[test]
fn a_run_that_is_killed_leaves_the_old_file_whole_and_the_next_one_cleans_up() {
    let place = tempfile::tempdir().unwrap();
    let source = ckx_testkit::repository().join(CRIO);
    let other = ckx_testkit::repository().join("fixtures/checkpoints/nginx-crio-2.tar.zst");
    let path = place.path().join("x.tar.zst");
    repack(place.path(), &source, "tar:x.tar.zst").quiet_success();
    let new = fs::read(&path).unwrap();
    repack(place.path(), &other, "tar:x.tar.zst").quiet_success();
    let old = fs::read(&path).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ckx"))
        .args(["repack".as_ref(), source.as_os_str(), "-o".as_ref(), "tar:x.tar.zst".as_ref()])
        .current_dir(place.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while parts(place.path()).is_empty() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // It may have been faster than the signal, but never between the two.
    let now = fs::read(&path).unwrap();
    assert!(now == old || now == new);
    // No process has this number: it is above what Linux gives out.
    fs::write(place.path().join(".ckx-4194305-0.part"), "half").unwrap();
    repack(place.path(), &source, "tar:x.tar.zst").quiet_success();
    assert_eq!(parts(place.path()), [""; 0]);
    assert!(fs::read(&path).unwrap() == new, "and two runs give the same bytes");
}

#[test]
fn inputs_and_devices_are_not_replaced() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("evidence.tar.zst");
    fs::copy(ckx_testkit::repository().join(CRIO), &source).unwrap();
    let content = fs::read(&source).unwrap();
    fs::hard_link(&source, place.path().join("linked")).unwrap();
    symlink("evidence.tar.zst", place.path().join("named")).unwrap();
    for name in ["evidence.tar.zst", "linked", "named"] {
        for form in ["tar:", "oci-archive:"] {
            let refused = repack(place.path(), &source, &format!("{form}{name}"));
            assert_eq!(refused.code, Some(2));
            assert!(refused.stderr().contains("is an input and will not be overwritten"), "{name}");
        }
    }
    assert!(fs::read(&source).unwrap() == content);
    assert!(Command::new("mkfifo").arg(place.path().join("pipe")).status().unwrap().success());
    for form in ["tar:", "oci-archive:"] {
        let refused = repack(place.path(), &source, &format!("{form}pipe"));
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr().contains("`pipe` is no regular file"), "{}", refused.stderr());
    }
    assert!(fs::symlink_metadata(place.path().join("pipe")).unwrap().file_type().is_fifo());
}
