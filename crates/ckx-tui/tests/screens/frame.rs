//! The frame: tree, view, keys, filter, help, sizes.

use ckx_core::inspect::SECTIONS;

use crate::driver::{Driver, SIZES, assert_screen, fixture, pictures};

const NGINX: &str = "nginx-crio-1.tar.zst";

#[test]
fn overview() {
    pictures("overview", &[NGINX], "");
}

#[test]
fn processes_and_what_is_below() {
    pictures("processes", &[NGINX], "2<Right><Tab>j");
}

#[test]
fn descriptors_folded() {
    pictures("descriptors", &[NGINX], "4<Tab>jj<Space>");
}

#[test]
fn a_filter_follows_what_is_typed() {
    pictures("filter", &[NGINX], "5/80");
}

#[test]
fn help() {
    pictures("help", &[NGINX], "?");
}

#[test]
fn warnings() {
    pictures("warnings", &["bash-counter.tar.gz"], ":warnings<Enter>");
}

#[test]
fn memory_of_the_processes() {
    pictures("memory", &[NGINX], "3<Enter>j");
}

/// Every line of the tree with the view that it leads to.
#[test]
fn the_whole_tree() {
    for (width, height) in SIZES {
        let mut driver = Driver::open(&[fixture(NGINX)], (width, height));
        driver.press("Z");
        for line in 1.. {
            let screen = driver.screen();
            let title = screen.lines().next().and_then(|line| line.rsplit_once("┌ ")).expect("a title").1;
            let name = title.trim_matches(['─', '┐', ' ']).replace(' ', "-");
            assert_screen!(format!("tree-{line:02}-{name}-{width}x{height}"), driver);
            if driver.press("j").screen() == screen {
                break;
            }
        }
    }
}

#[test]
fn sections_are_found_by_their_names() {
    let mut driver = Driver::open(&[fixture(NGINX)], (100, 30));
    for section in SECTIONS {
        let screen = driver.press(&format!(":{}<Enter>", section.name)).screen();
        let title = screen.lines().next().unwrap_or_default();
        assert!(title.contains(&format!(" {} ", section.name)), "{} in {title}", section.name);
    }
}

#[test]
fn every_section_is_shown() {
    let mut driver = Driver::open(&[fixture(NGINX)], (100, 30));
    driver.press("Z");
    let mut titles = Vec::new();
    for _ in 0..SECTIONS.len() + 10 {
        let screen = driver.screen();
        let title = screen.lines().next().unwrap_or_default().to_owned();
        titles.push(title);
        driver.press("j");
    }
    for section in SECTIONS {
        let found = titles.iter().any(|title| title.contains(&format!(" {} ", section.name)));
        assert!(found, "{} in {titles:#?}", section.name);
    }
}

#[test]
fn the_first_picture_needs_no_source() {
    let mut driver = Driver::begin(&[fixture(NGINX)], (80, 24), "dark", false);
    let screen = driver.screen();
    assert!(screen.contains("opening") && screen.contains("processes"), "{screen}");
    // Keys that come before anything is open are no fault.
    driver.type_only("jk/a<Esc>2<Tab>jy1");
    driver.settle();
    assert!(driver.screen().contains("container "), "{}", driver.screen());
}

#[test]
fn a_source_that_is_none_says_why() {
    let mut driver = Driver::open(&["Cargo.toml".into()], (80, 24));
    assert_screen!("no-checkpoint", driver);
    driver.press("jkG/x<Enter>yezs1<Tab>");
    assert!(!driver.has_quit);
    driver.press("q");
    assert!(driver.has_quit);
}

#[test]
fn small_screens_are_told() {
    let mut driver = Driver::open(&[fixture(NGINX)], (140, 40));
    let whole = driver.screen();
    driver.resize(79, 24);
    assert!(driver.screen().contains("needs 80x24; this is 79x24"));
    for (width, height) in [(1, 1), (0, 0), (3, 2), (80, 3), (10, 24)] {
        driver.resize(width, height).press("jk<Tab>?q");
    }
    driver.resize(140, 40).press("<Tab>");
    assert_eq!(driver.screen().lines().next(), whole.lines().next());
}

#[test]
fn ascii_and_no_colour() {
    let mut driver = Driver::begin(&[fixture(NGINX)], (80, 24), "mono", true);
    driver.settle();
    driver.press("2<Tab>");
    assert_screen!("ascii", driver);
    assert!(driver.screen().is_ascii());
    assert!(!driver.has_colour());
    let mut coloured = Driver::open(&[fixture(NGINX)], (80, 24));
    assert!(coloured.has_colour(), "the test tells colours");
}

#[test]
fn rows_are_read_in_full_copied_and_written() {
    let mut driver = Driver::open(&[fixture(NGINX)], (80, 24));
    driver.press("6<Tab>jj<Enter>");
    assert_screen!("row", driver);
    driver.press("<Esc>y");
    let copied = driver.copied.take().expect("a row");
    assert!(copied.contains('/'), "{copied}");
    driver.press("Y");
    let json: serde_json::Value = serde_json::from_str(&driver.copied.take().expect("a row")).expect("JSON");
    assert!(json.is_object());

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("mounts.json");
    driver.press("e<C-u>");
    driver.press(&format!("{}<Enter>", path.display()));
    assert!(driver.screen().contains("wrote JSON"), "{}", driver.screen());
    let written = std::fs::read(&path).expect("it was written");
    let value: serde_json::Value = serde_json::from_slice(&written).expect("JSON");
    assert!(value.get("issues").is_some());

    // What is there stays.
    driver.press(&format!("e<C-u>{}<Enter>", path.display()));
    assert!(driver.screen().contains("that file exists"), "{}", driver.screen());
}
