//! Checkpoints that were made to hurt.

use std::path::PathBuf;

use ckx_testkit::{Fd, SynthCheckpoint};

use crate::driver::Driver;

fn written(checkpoint: SynthCheckpoint) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("images");
    checkpoint.build().write_to(&path).expect("it can be written");
    (directory, path)
}

#[test]
fn text_of_the_checkpoint_cannot_move_the_cursor() {
    let bad = "x\x1b[2J\u{202e}\u{9b}1m\r\n";
    let checkpoint = SynthCheckpoint::new().process(1, 0, |process| {
        let process = process.usual_memory().comm("a\x1b]0;b\x07").exe(bad).args(&[bad]).cwd(bad);
        process.fd(0, Fd::reg(bad, 2))
    });
    let (_directory, path) = written(checkpoint.file("dump.log", bad));
    let mut driver = Driver::open(&[path], (120, 40));
    driver.press("Z");
    let mut seen = String::new();
    for _ in 0..45 {
        seen.push_str(&driver.press("j").screen());
    }
    assert!(seen.contains("\\x1b[2J"), "the text is there");
    let harmless =
        |char: char| char == '\n' || !char.is_control() && !('\u{2000}'..='\u{206f}').contains(&char);
    let bad: Vec<char> =
        seen.chars().filter(|char| !harmless(*char) && *char != '…' && *char != '›').collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn a_tree_of_very_many_processes_is_walked() {
    let mut checkpoint = SynthCheckpoint::new();
    for pid in 1..=20_000 {
        checkpoint = checkpoint.process(pid, pid / 2, |process| process.zombie(0));
    }
    let (_directory, path) = written(checkpoint);
    let mut driver = Driver::open(&[path], (80, 24));
    driver.press("2<Tab>G");
    assert!(driver.screen().contains("20000/20000"), "{}", driver.screen());
    driver.press("g/12345");
    assert!(driver.screen().contains("12345"), "{}", driver.screen());
    driver.press("<Esc>Z");
    assert!(driver.screen().contains("1/1"), "{}", driver.screen());
}

#[test]
fn broken_images_hide_nothing() {
    let checkpoint = SynthCheckpoint::new()
        .process(1, 0, |process| process.usual_memory().comm("web"))
        .file("core-1.img", b"broken".to_vec())
        .file("files.img", b"\xff\xff\xff\xff".to_vec())
        .without("mm-1.img");
    let (_directory, path) = written(checkpoint);
    let mut driver = Driver::open(&[path], (120, 40));
    driver.press(":warnings<Enter>");
    let screen = driver.screen();
    assert!(screen.contains("core-1.img") && screen.contains("mm-1.img"), "{screen}");
    for _ in 0..40 {
        driver.press("<Tab>jx<Tab>");
    }
}

#[test]
fn very_many_mappings_are_walked() {
    let base = 0x1000_0000u64;
    let checkpoint = SynthCheckpoint::new().process(1, 0, |process| {
        (0..100_000).fold(process.comm("web"), |process, at| {
            let start = base + at * 0x2000;
            process.vma(start, start + 0x1000, 3, 0x22, 0x201)
        })
    });
    let (_directory, path) = written(checkpoint);
    let mut driver = Driver::open(&[path], (80, 24));
    driver.press(":memory<Enter><Enter>G");
    assert!(driver.screen().contains("100000/100000"), "{}", driver.screen());
    // To the last mapping, and back to one in the middle.
    driver.press("xG");
    assert!(driver.screen().contains("0x40d3efff"), "{}", driver.screen());
    driver.press("g0x20000000<Enter>]");
    assert!(driver.screen().contains("0x20002000"), "{}", driver.screen());
    // In the image they are one field, in groups.
    driver.press(":raw<Enter>/mm-1<Enter><Enter>/<Esc>");
    let fields = driver.press("G").screen();
    assert!(fields.contains("vmas") && fields.contains("[100000]"), "{fields}");
    let field = |line: &str| line.contains("_") || line.contains("vmas") || line.contains("dumpable");
    let below =
        fields.lines().skip_while(|line| !line.contains("vmas")).filter(|line| field(line)).count() - 1;
    driver.press(&"k".repeat(below)).press("<Enter>jj<Enter>j");
    assert!(
        driver.screen().contains("1000 to 1999") && driver.screen().contains("1000  start 0x107d0000"),
        "{}",
        driver.screen()
    );
}
