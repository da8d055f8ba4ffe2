//! The steps of `docs/move.md` and `docs/deltas.md`, run as they stand there, against a registry on this machine.

use std::path::Path;
use std::process::Command;

use ckx_testkit::registry::{Registry, Served};

/// A command of the document, with what it prints.
struct Step {
    command: String,
    expected: Vec<String>,
}

/// The commands in blocks of a console.
fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_inside = false;
    for line in document.lines() {
        if line.starts_with("```") {
            is_inside = line == "```console";
        } else if let (true, Some(command)) = (is_inside, line.strip_prefix("$ ")) {
            steps.push(Step { command: command.to_owned(), expected: Vec::new() });
        } else if let (true, Some(step)) = (is_inside, steps.last_mut()) {
            step.expected.push(line.to_owned());
        }
    }
    steps
}

/// A document, and the archives that its reader has: names in a directory, of fixtures.
type Walk = (&'static str, &'static [(&'static str, &'static str)]);

const WALKS: [Walk; 2] = [
    ("docs/move.md", &[("checkpoint-web_default-nginx-2026-11-23T17:01:05Z.tar", "nginx-crio-1.tar.zst")]),
    ("docs/deltas.md", &[("web-1.tar", "nginx-crio-1.tar.zst"), ("web-2.tar", "nginx-crio-2.tar.zst")]),
];

/// The directory and the registry of the documents.
const NAMES: [&str; 2] = ["/var/lib/kubelet/checkpoints", "registry.example"];

fn walk((document, archives): Walk, host: &str) {
    let place = tempfile::tempdir().expect("a directory");
    for (name, fixture) in archives {
        let packed = std::fs::read(Path::new("fixtures/checkpoints").join(fixture)).expect("a fixture");
        let archive = zstd::decode_all(packed.as_slice()).expect("zstd");
        std::fs::write(place.path().join(name), archive).expect("written");
    }
    let real = [place.path().display().to_string(), host.to_owned()];
    let document = std::fs::read_to_string(document).expect("the document");
    let steps = steps(&document);
    assert!(
        steps.iter().filter(|step| step.command.starts_with("ckx ")).count() >= 3,
        "steps were not found"
    );
    let folder = Path::new(env!("CARGO_BIN_EXE_ckx")).parent().expect("a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    for step in steps {
        let command =
            NAMES.iter().zip(&real).fold(step.command.clone(), |text, (name, real)| text.replace(name, real));
        let output = Command::new("sh")
            .args(["-c", &format!("{command} 2>&1")])
            .current_dir(place.path())
            .env("PATH", &path)
            .env("REGISTRY_AUTH_FILE", "/dev/null")
            .output()
            .expect("a shell");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let text = NAMES.iter().zip(&real).fold(text, |text, (name, real)| text.replace(real, name));
        // As of diff, 1 means that there are differences.
        let good: &[i32] = if command.starts_with("ckx diff") { &[0, 1] } else { &[0] };
        assert!(output.status.code().is_some_and(|code| good.contains(&code)), "{}\n{text}", step.command);
        compare(&step, &text);
    }
}

/// Lines of dots stand for any lines.
fn compare(step: &Step, text: &str) {
    let mut lines = text.lines();
    let mut is_open = false;
    for expected in &step.expected {
        if expected == "..." {
            is_open = true;
        } else {
            let found = if is_open { lines.find(|line| line == expected) } else { lines.next() };
            assert_eq!(found, Some(expected.as_str()), "{}\nprints\n{text}", step.command);
            is_open = false;
        }
    }
    assert!(is_open || lines.next().is_none(), "{}\nprints more:\n{text}", step.command);
}

#[test]
fn each_step_does_what_the_documents_say() {
    for each in WALKS {
        walk(each, &Registry::start().host());
    }
}

#[test]
fn each_step_works_with_the_registry_of_debian() {
    for each in WALKS {
        let place = tempfile::tempdir().expect("a directory");
        if let Some(served) = Served::start(place.path()) {
            walk(each, &served.address().to_string());
        }
    }
}
