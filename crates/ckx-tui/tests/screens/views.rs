//! The views of their own, over real checkpoints.

use std::path::PathBuf;

use crate::driver::{Driver, fixture, pictures};

const NGINX: &str = "nginx-crio-1.tar.zst";

#[test]
fn mappings_with_their_pages() {
    pictures("maps", &[NGINX], ":memory<Enter><Enter>jj");
}

#[test]
fn bytes_of_memory() {
    pictures("hex", &[NGINX], ":memory<Enter>x:goto heap<Enter>");
}

#[test]
fn bytes_on_the_whole_screen() {
    pictures("hex-zoomed", &[NGINX], ":memory<Enter>xzgstack<Enter>n");
}

#[test]
fn an_image_unfolds() {
    pictures("image", &[NGINX], ":raw<Enter>/inventory<Enter><Enter>");
}

#[test]
fn entries_of_an_image() {
    pictures("image-files", &[NGINX], ":raw<Enter>/files.img<Enter><Enter>jj<Enter>j");
}

#[test]
fn members_and_those_of_a_tar_in_the_source() {
    pictures("members", &[NGINX], ":members<Enter>/rootfs<Enter>");
    pictures("inner", &[NGINX], ":members<Enter>/rootfs<Enter><Enter>");
}

#[test]
fn a_log_with_a_filter() {
    pictures("log", &[NGINX], ":logs<Enter>/dump.log<Enter><Enter>/pagemap<Enter>");
}

#[test]
fn a_search_and_where_it_leads() {
    pictures("search", &[NGINX], "sworker process<Enter>");
    pictures("search-hex", &[NGINX], "sworker process<Enter><Enter>");
}

#[test]
fn two_checkpoints() {
    let two = [NGINX, "nginx-crio-2.tar.zst"];
    pictures("diff", &two, "<Tab>n");
    pictures("diff-hex", &two, "<Tab>/memory[<Enter>jj<Enter>");
}

#[test]
fn the_readme_shows_real_screens() {
    let readme = std::fs::read_to_string("../../README.md").expect("it is there");
    let two = [NGINX, "nginx-crio-2.tar.zst"];
    let walks: [(&[&str], &str); 2] =
        [(&two[..1], ":memory<Enter><Enter>jj"), (&two, "<Tab>/memory[<Enter>jj<Enter>")];
    for (sources, keys) in walks {
        let paths: Vec<PathBuf> = sources.iter().map(|name| fixture(name)).collect();
        let screen = Driver::open(&paths, (80, 24)).press(keys).screen();
        assert!(readme.contains(&format!("```text\n{screen}```")), "README.md lacks\n{screen}");
    }
}

#[test]
fn differences_are_walked_hidden_and_written() {
    let two = [fixture(NGINX), fixture("nginx-crio-2.tar.zst")];
    let mut driver = Driver::open(&two, (80, 24));
    assert!(driver.screen().contains("+0 -0 ~29"), "as `ckx diff --stat` counts: {}", driver.screen());
    driver.press("<Tab>c");
    assert!(driver.screen().contains("all differences are hidden"), "{}", driver.screen());
    driver.press("d");
    assert!(driver.screen().contains("all differences are hidden"), "{}", driver.screen());
    driver.press("c");
    assert!(
        driver.screen().contains("(of the dump)") || driver.press("G").screen().contains("(of the dump)")
    );
    driver.press("d/memory[<Enter>n");
    let before = driver.screen();
    driver.press("nn<Enter>");
    assert!(driver.screen().contains("in both") && !driver.screen().contains("┌ ckx"), "{}", driver.screen());
    let first = address(&mut driver);
    driver.press("n");
    assert_ne!(address(&mut driver), first);
    driver.press("N");
    assert_eq!(address(&mut driver), first);
    driver.press("<Esc>");
    assert!(driver.screen().contains("┌ ckx") && before.contains("┌ ckx"), "{}", driver.screen());

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("json");
    driver.press(&format!("e<C-u>{}<Enter>", path.display()));
    let value: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("it was written")).expect("JSON");
    assert_eq!(value.pointer("/same"), Some(&false.into()));
}

fn nginx(size: (u16, u16)) -> Driver {
    Driver::open(&[fixture(NGINX)], size)
}

/// The status line says where the cursor is.
fn address(driver: &mut Driver) -> String {
    let screen = driver.screen();
    let status = screen.lines().rev().nth(1).unwrap_or_default();
    status.split_whitespace().find(|word| word.starts_with("0x")).unwrap_or_default().to_owned()
}

#[test]
fn the_hex_view_travels() {
    let mut driver = nginx((140, 40));
    driver.press(":memory<Enter>x");
    let first = address(&mut driver);
    driver.press("gheap<Enter>");
    let heap = address(&mut driver);
    assert_ne!(first, heap);
    driver.press("g+18<Enter>");
    let inside = address(&mut driver);
    assert_ne!(heap, inside);
    driver.press("<C-o>");
    assert_eq!(address(&mut driver), heap);
    driver.press("<");
    assert_eq!(address(&mut driver), first);
    driver.press(">");
    assert_eq!(address(&mut driver), heap);
    driver.press(">");
    assert_eq!(address(&mut driver), inside);
    driver.press("GgG[]]]nNNhjkl");
    driver.press("gno such place<Enter>");
    assert!(driver.screen().contains("is no address"), "{}", driver.screen());
}

#[test]
fn pointers_are_followed() {
    let mut driver = nginx((140, 40));
    // The stack is full of pointers: walk it until one is under the cursor.
    driver.press(":memory<Enter>xgstack<Enter>n");
    let mut found = false;
    for _ in 0..4000 {
        let screen = driver.type_only("llllllll").screen();
        let status = screen.lines().rev().nth(1).unwrap_or_default();
        if let Some((_, pointer)) = status.split_once("-> ") {
            let pointer = pointer.split_whitespace().next().unwrap_or_default().to_owned();
            driver.press("<Enter>");
            assert_eq!(address(&mut driver), format!("0x{pointer}"));
            found = true;
            break;
        }
    }
    assert!(found, "{}", driver.screen());
}

#[test]
fn what_is_written_is_what_is_in_the_pages() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("page");
    let mut driver = nginx((140, 40));
    driver.press("sworker process<Enter><Enter>");
    driver.press(&format!("e<Tab><C-u>{}<Enter>", path.display()));
    assert!(driver.screen().contains("wrote bytes of the page"), "{}", driver.screen());
    let page = std::fs::read(&path).expect("it was written");
    assert_eq!(page.len(), 4096);
    assert!(page.windows(14).any(|window| window == b"worker process"));
}

#[test]
fn a_core_file_of_the_selected_process_is_written() {
    use ckx_core::memory::{HELD_BYTES, Memory};
    let directory = tempfile::tempdir().expect("a directory");
    let expected = |pid: u32| {
        let checkpoint =
            ckx_core::Checkpoint::open(&fixture(NGINX), ckx_core::Options::default()).expect("it opens");
        let process = checkpoint.processes().get(pid).expect("the process");
        let memory = Memory::held(&checkpoint, HELD_BYTES, &[process]);
        let mut bytes = Vec::new();
        ckx_core::core_file::CoreFile::of(&memory, process)
            .expect("a core file")
            .write_to(&mut ckx_core::core_file::Stream::new(&mut bytes))
            .expect("it is written");
        bytes
    };
    // The tree of processes has JSON and text first; mappings and bytes have those of memory.
    let ways = [(":processes<Enter>", 2), (":memory<Enter><Enter>", 3), (":memory<Enter>x", 2)];
    for (number, (way, others)) in ways.into_iter().enumerate() {
        let path = directory.path().join(number.to_string());
        let mut driver = nginx((140, 40));
        driver.press(way).press("e").press(&"<Tab>".repeat(others));
        let screen = driver.screen();
        assert!(screen.contains("core file") && screen.contains("core.1"), "{way}: {screen}");
        driver.press(&format!("<C-u>{}<Enter>", path.display()));
        assert!(driver.screen().contains("wrote core file"), "{way}: {}", driver.screen());
        let written = std::fs::read(&path).expect("it was written");
        assert!(written == expected(1), "{way}: {} bytes", written.len());
        assert_eq!(written.get(16..18), Some(&4u16.to_le_bytes()[..]), "ET_CORE");
    }
}

#[test]
fn a_search_is_stopped_by_escape_and_listed() {
    let mut driver = nginx((140, 40));
    driver.type_only("snginx<Enter>");
    driver.type_only("<Esc>");
    driver.settle();
    assert!(driver.screen().contains("stopped"), "{}", driver.screen());
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("list");
    driver.press("<Esc>sx:7f454c46<Enter>");
    driver.press(&format!("e<C-u>{}<Enter>", path.display()));
    let list = std::fs::read_to_string(&path).expect("it was written");
    assert!(list.lines().count() > 4 && list.contains("ELF"), "{list}");
    driver.press("s/ngin[xy]/<Enter>");
    assert!(driver.screen().contains("found in"), "{}", driver.screen());
    driver.press("s/(/<Enter>");
    assert!(driver.screen().contains("search: /(/"), "{}", driver.screen());
}

#[test]
fn an_image_is_written_as_crit_shows_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("json");
    let mut driver = nginx((80, 24));
    driver.press(":raw<Enter>/pstree<Enter><Enter>");
    driver.press(&format!("e<C-u>{}<Enter>", path.display()));
    let value: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("it was written")).expect("JSON");
    assert_eq!(value.pointer("/magic"), Some(&"PSTREE".into()));
    assert_eq!(value.pointer("/entries").and_then(|entries| entries.as_array()).map(Vec::len), Some(5));
    driver.press("Y");
    let entry: serde_json::Value =
        serde_json::from_str(&driver.copied.take().expect("an entry")).expect("JSON");
    assert_eq!(entry.pointer("/pid"), Some(&1.into()));
    driver.press("/pid 9<Enter>");
    assert!(driver.screen().contains("1/1"), "{}", driver.screen());
}

#[test]
fn every_view_takes_every_key() {
    let walks = [
        ":memory<Enter><Enter>",
        ":memory<Enter>x",
        ":raw<Enter><Enter>",
        ":members<Enter>",
        "sx<Enter>",
        "1<Tab>",
    ];
    let two: Vec<PathBuf> = vec![fixture(NGINX), fixture("nginx-crio-2.tar.zst")];
    for walk in walks {
        let mut driver = Driver::open(&two, (80, 24));
        driver.press(walk);
        for key in [
            "j", "k", "h", "l", "g", "<Esc>", "G", "<C-d>", "<C-u>", "<PgDn>", " ", "Z", "[", "]", "n", "N",
            "a", "r", "c", "d", "y", "Y", "m", "<Esc>", "x", "<Esc>", "<Enter>", "z", "z", "<", ">", "<C-o>",
            "e", "<Esc>", "/", "x", "<Enter>", "<Esc>",
        ] {
            driver.press(key);
            driver.screen();
            driver.resize(100, 30).screen();
            driver.resize(80, 24).screen();
        }
        assert!(!driver.has_quit);
    }
}
