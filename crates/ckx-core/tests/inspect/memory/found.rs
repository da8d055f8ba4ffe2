//! Searching real memory: known texts are found as often as they are there, at the right addresses, in
//! every form of the source.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ckx_archive::tarball::Step;
use ckx_core::memory::search::{
    Around, Pattern, Query, Searcher, Strings, Syntax, Text, Texts, Which, Width, in_members,
};
use ckx_core::memory::usage::{Contents, Usage};
use ckx_core::memory::{Area, Memory, Owner, areas, open_and_sweep, sweep};
use ckx_core::{Checkpoint, Options};
use serde_json::Value;

use super::lines;
use crate::bundle::{checkpoint, directories};
use crate::corpus::{archives, corpus, open_bytes};

fn fixed(text: &str) -> Pattern {
    Query { patterns: vec![text.to_owned()], syntax: Syntax::Fixed, ..Query::default() }.compile().unwrap()
}

/// Who has it, and where.
type Found = Vec<(String, u64, Vec<u8>)>;

fn owner(area: &Area) -> String {
    match &area.owner {
        Owner::Process { pid, .. } => pid.to_string(),
        Owner::Object { shmid } => format!("object {shmid}"),
    }
}

const AROUND: Around = Around { bytes: true, before: 20, after: 30 };

fn searched(checkpoint: &Checkpoint, pattern: &Pattern) -> (Found, Vec<String>) {
    let mut found = Found::new();
    let mut searcher = Searcher::new(pattern, AROUND, |area: &Arc<Area>, hit| {
        found.push((owner(area), hit.address, [hit.before, hit.bytes, hit.after].concat()));
        Step::Next
    });
    let memory = Memory::at_hand(checkpoint);
    let issues = sweep(&areas(&memory), &mut searcher);
    (found, lines(&issues))
}

#[test]
fn known_texts_as_often_as_recorded() {
    let Some(place) = corpus() else { return };
    let text = std::fs::read(place.join("truth/secrets.json")).expect("it is there");
    let truth: BTreeMap<String, BTreeMap<String, BTreeMap<String, usize>>> =
        serde_json::from_slice(&text).expect("JSON");
    let archives: BTreeMap<String, Bytes> = archives(&place).into_iter().collect();
    let mut counted = 0;
    for (name, texts) in &truth {
        let name = name.rsplit('/').next().expect("a name");
        // The one that lies by itself has another name.
        let data = archives.get(name).or_else(|| archives.get(&format!("{name}.zst"))).expect(name);
        let checkpoint = open_bytes(name, data.clone(), Options::default());
        for (text, members) in texts {
            let pattern = fixed(text);
            let (found, issues) = searched(&checkpoint, &pattern);
            if !name.contains("incr") {
                assert_eq!(issues, [] as [&str; 0], "{name}");
            }
            let in_pages: usize =
                members.iter().filter(|(member, _)| member.contains("/pages-")).map(|(_, count)| count).sum();
            assert_eq!(found.len(), in_pages, "{name} {text}: {found:#?}");
            counted += found.len();
            // Each is where it is said to be.
            let memory = Memory::at_hand(&checkpoint);
            for (owner, address, _) in &found {
                let Ok(pid) = owner.parse() else { continue };
                let space = memory.space(checkpoint.processes().get(pid).expect("it is there"));
                let mut bytes = vec![0; text.len()];
                assert_eq!(space.copy(*address, &mut bytes), (text.len(), None));
                assert_eq!(bytes, text.as_bytes(), "{name} {address:#x}");
                assert!(space.mapping_at(*address).is_some(), "{name} {address:#x}");
            }
            let mut others = BTreeMap::new();
            let told = in_members(&checkpoint, Which::All, &pattern, Around::default(), &mut |place, _| {
                *others.entry(place.member.to_string()).or_insert(0) += 1;
                Step::Next
            });
            assert_eq!(lines(&told), [] as [&str; 0], "{name}");
            for (member, count) in members.iter().filter(|(member, _)| !member.contains("/pages-")) {
                assert_eq!(others.get(member), Some(count), "{name} {text} {member}");
            }
        }
    }
    assert!(counted > 40, "only {counted}");
}

/// What a source gives while it is decoded.
fn passed(name: &str, path: &Path, pattern: &Pattern) -> (Found, Vec<String>) {
    let mut found = Found::new();
    let mut searcher = Searcher::new(pattern, AROUND, |area: &Arc<Area>, hit| {
        found.push((owner(area), hit.address, [hit.before, hit.bytes, hit.after].concat()));
        Step::Next
    });
    let swept = open_and_sweep(path, Options::default(), None, &mut searcher);
    let swept = swept.unwrap_or_else(|error| panic!("{name}: {error}"));
    (found, lines(&swept.issues))
}

fn texts(path: &Path) -> Vec<(String, u64, Width, String)> {
    let mut found = Vec::new();
    let texts = Texts { min: 6, ascii: true, utf16: true };
    let make = |area: &Arc<Area>, texts: &mut dyn Iterator<Item = Text<'_>>| -> Vec<_> {
        let text = |text: Text<'_>| String::from_utf8(text.characters().collect()).expect("ASCII");
        texts.map(|each| (owner(area), each.address, each.width, text(each))).collect()
    };
    let mut strings = Strings::new(texts, make, |some: Vec<_>| {
        found.extend(some);
        Step::Next
    });
    open_and_sweep(path, Options::default(), None, &mut strings).expect("it opens");
    found
}

fn usage(path: &Path) -> Value {
    let mut contents = Contents::default();
    let swept = open_and_sweep(path, Options::default(), None, &mut contents).expect("it opens");
    serde_json::to_value(Usage::new(&swept.checkpoint, &contents, swept.issues)).expect("JSON")
}

#[test]
fn every_form_gives_the_same() {
    let Some(place) = corpus() else { return };
    let temporary = tempfile::tempdir().expect("a directory");
    let pattern = Query { patterns: vec!["[a-z]+-not-real|GET /[a-z]*".to_owned()], ..Query::default() }
        .compile()
        .unwrap();
    for name in ["python-1.tar", "nginx-crio-1.tar", "nginx-tcp-est.tar"] {
        let (_, data) = archives(&place).into_iter().find(|(other, _)| other == name).expect(name);
        let tar = temporary.path().join(name);
        std::fs::write(&tar, &data).expect("room");
        let zst = temporary.path().join("x.tar.zst");
        std::fs::write(&zst, zstd::encode_all(&data[..], 1).expect("zstd")).expect("room");
        let directory = temporary.path().join(format!("{name}.d"));
        tar::Archive::new(&data[..]).unpack(&directory).expect("it unpacks");
        let expected = passed(name, &tar, &pattern);
        assert!(!expected.0.is_empty() && expected.1.is_empty(), "{name}: {expected:?}");
        let (all_texts, numbers) = (texts(&tar), usage(&tar));
        assert!(all_texts.len() > 1000, "{name}");
        for form in [&zst, &directory] {
            assert_eq!(passed(name, form, &pattern), expected, "{name} {}", form.display());
            assert!(texts(form) == all_texts, "{name} {}", form.display());
            assert_eq!(usage(form), numbers, "{name} {}", form.display());
        }
    }
}

/// INDEX.md of x86_64 says what waits in the pipe, the sockets and the fifo of this program, and what lies in
/// its memory.
#[test]
fn queues_and_memory_of_a_known_program() {
    let Some(place) = corpus() else { return };
    let all = directories(&place, "qemu.tar.zst", Some(|name| name.starts_with("qemu/x86_64/kv/")));
    let kv = checkpoint("kv", &all["qemu/x86_64/kv"], Options::default());
    let members = |text: &str| {
        let mut found = Vec::new();
        let issues = in_members(&kv, Which::Queues, &fixed(text), Around::default(), &mut |place, _| {
            found.push(place.member.to_string());
            Step::Next
        });
        assert_eq!(lines(&issues), [] as [&str; 0]);
        found
    };
    assert_eq!(members("PIPE-DATA-NOT-REAL"), ["pipes-data.img"]);
    assert!(!members("NOT-REAL").iter().any(|member| member.starts_with("pages-")));
    for queue in ["fifo-data.img", "sk-queues.img", "tcp-stream-"] {
        assert!(members("NOT-REAL").iter().any(|member| member.starts_with(queue)), "{queue}");
    }
    let pid = kv.processes().list[0].pid.to_string();
    for page in [0, 2, 4, 6] {
        let (found, issues) = searched(&kv, &fixed(&format!("PRIVATE-ANON-PAGE-{page}-NOT-REAL")));
        assert_eq!((found.len(), issues.len()), (1, 0), "{page}");
        assert_eq!(found[0].0, pid);
    }
    let (found, _) = searched(&kv, &fixed("SHARED-ANON-PAGE-3-NOT-REAL"));
    assert!(found.len() == 1 && found[0].0.starts_with("object ") && found[0].1 == 3 * 4096, "{found:?}");
}
