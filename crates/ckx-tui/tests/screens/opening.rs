//! A source that is decoded is browsed before its end has come.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::mpsc::channel;

use ckx_testkit::tarball::{Member, tar};
use ckx_testkit::{Arch, presets};

use crate::driver::Driver;

/// Large enough for what came before it to be shown meanwhile.
const LARGE: usize = 2 << 20;

#[test]
fn what_came_is_shown_while_the_rest_is_decoded() {
    let place = tempfile::tempdir().expect("a directory");
    let pipe = place.path().join("checkpoint.tar");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let files = presets::web(Arch::X86_64).build().files;
    let (late, early): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| name == "files.img");
    let named = |(name, bytes): &&(String, Vec<u8>)| (format!("checkpoint/{name}"), bytes.clone());
    let mut members: Vec<(String, Vec<u8>)> = early.iter().map(named).collect();
    let before = members.len();
    members.push(("checkpoint/pages-99.img".to_owned(), vec![0; LARGE]));
    members.extend(late.iter().map(named));
    let list: Vec<(&str, Member<'_>)> =
        members.iter().map(|(name, bytes)| (name.as_str(), Member::File(bytes))).collect();
    let whole = tar(&list);
    // Up to the middle of the large member.
    let half = tar(&list[..before]).len() - 1024 + 512 + LARGE / 2;
    let (go_on, may_go_on) = channel::<()>();
    let path = pipe.clone();
    let writer = std::thread::spawn(move || {
        let mut pipe = File::options().write(true).open(path).expect("it is read");
        pipe.write_all(&whole[..half]).expect("it is read");
        may_go_on.recv().expect("the test goes on");
        pipe.write_all(&whole[half..]).expect("it is read");
    });

    let mut driver = Driver::begin(&[pipe], (80, 24), "dark", false);
    driver.wait_for("what came so far");
    driver.type_only(":processes<Enter>").wait_for("1 web");
    assert!(!driver.type_only(":files<Enter>").screen().contains("/var/log/web.log"));
    driver.type_only(":warnings<Enter>").wait_for("nothing of this so far");
    driver.type_only(":files<Enter>");
    go_on.send(()).expect("it waits");
    writer.join().expect("it wrote everything");
    driver.settle();
    let screen = driver.screen();
    assert!(!screen.contains("what came so far"), "{screen}");
    // Where one is does not change when the rest has come.
    assert!(screen.contains("/var/log/web.log"), "{screen}");
    let screen = driver.press(":processes<Enter>").screen();
    assert!(screen.contains("1 web"), "{screen}");
}
