//! Pushing to registries and pulling from them, in one of our own in which things go wrong, and in that of
//! Debian.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::Checkpoint;
use ckx_oci::compress::Method;
use ckx_oci::plan::Keeping;
use ckx_oci::registry::{Pulled, Settings};
use ckx_oci::repack::{Options, Report, repack};
use ckx_testkit::registry::{CREDENTIALS, Login, Registry, Wrong};
use serde_json::Value;

use crate::support::{FIXTURES, Tree, fixture, open, plain, sha256sum, tree_of_tar};

/// Settings that wait for nothing. Every blob is made twice, and sent in small chunks.
fn streamed() -> Settings {
    Settings {
        first_wait: Duration::from_millis(1),
        chunk_bytes: 20_000,
        kept_bytes: 0,
        ..Settings::default()
    }
}

/// The usual ones, without waiting.
fn kept() -> Settings {
    Settings { first_wait: Duration::from_millis(1), ..Settings::default() }
}

fn push(image: &str, name: &str, registry: Settings) -> Result<Report, String> {
    let method = Some(Method::Gzip(6));
    let options = Options { method, registry, ..Options::default() };
    repack(&open(&fixture(name)), &image.parse()?, &options).map_err(|error| {
        let hint = error.hint().unwrap_or_default().to_owned();
        format!("{error}; {hint}")
    })
}

/// The union of the layers of an image that a registry holds, by other readers than ours.
fn held(registry: &Registry, repository: &str, tag: &str) -> Tree {
    let state = registry.state();
    let (kind, manifest) = &state.manifests[&(repository.to_owned(), tag.to_owned())];
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    assert_eq!(manifest["mediaType"], **kind);
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().to_owned();
        let blob = &state.blobs[&(repository.to_owned(), digest.clone())];
        assert_eq!((sha256sum(blob), blob.len() as u64), (digest, descriptor["size"].as_u64().unwrap()));
        blob.clone()
    };
    let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
    assert_eq!(config["os"], "linux");
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.flat_map(|layer| tree_of_tar(&plain(&blob(layer)))).collect()
}

fn expected(name: &str) -> Tree {
    let mut tree = tree_of_tar(&plain(&std::fs::read(fixture(name)).unwrap()));
    // Directories that the archive has no entry for are added.
    let names: Vec<String> = tree.keys().cloned().collect();
    for name in names {
        for (at, _) in name.match_indices('/') {
            tree.entry(name[..at].to_owned()).or_insert(None);
        }
    }
    tree
}

fn pulled(image: &str, settings: Settings) -> Result<Archive, String> {
    let remote = Pulled::of_source(image, settings)
        .map_err(|error| format!("{error}; {}", error.hint().unwrap_or_default()))?;
    let options = ArchiveOptions {
        budget_bytes: u64::MAX,
        remote: Some(Arc::new(remote.expect("an image of a registry"))),
        ..ArchiveOptions::default()
    };
    Archive::open(Path::new(image), &mut Keeping::of_large(u64::MAX), options)
        .map_err(|error| error.to_string())
}

fn tree_of(archive: &Archive) -> Tree {
    let content = |member| archive.read(member).ok().map(|bytes| bytes.to_vec());
    archive
        .current()
        .map(|member| {
            let is_directory = member.kind == ckx_archive::tarball::EntryKind::Directory;
            let name = String::from_utf8(member.name.to_vec()).unwrap();
            (name, if is_directory { None } else { content(member) })
        })
        .collect()
}

#[test]
fn images_arrive_and_come_back() {
    let registry = Registry::start();
    for (index, name) in FIXTURES.into_iter().enumerate() {
        for (way, settings) in [kept(), streamed()].into_iter().enumerate() {
            let repository = format!("team/web-{index}-{way}");
            let image = registry.image(&format!("{repository}:v1"));
            let report = push(&image, name, settings).unwrap();
            assert_eq!(report.destination, image);
            assert!(report.image.unwrap().layers.iter().all(|layer| !layer.reused));
            assert_eq!(held(&registry, &repository, "v1"), expected(name), "{name}");
            let archive = pulled(&image, kept()).unwrap();
            assert_eq!(archive.faults(), []);
            assert_eq!(tree_of(&archive), expected(name), "{name}");
        }
    }
    assert!(registry.state().uploads.is_empty());
}

#[test]
fn what_is_there_is_not_sent_again() {
    let registry = Registry::start();
    for settings in [kept(), streamed()] {
        registry.state().blobs.clear();
        let image = registry.image("web:v1");
        let first = push(&image, FIXTURES[0], settings.clone()).unwrap();
        let (before, manifest) = (registry.asked("POST", ""), registry.asked("PUT", "/manifests/"));
        let second = push(&image, FIXTURES[0], settings).unwrap();
        assert!(second.image.as_ref().unwrap().layers.iter().all(|layer| layer.reused));
        assert_eq!((second.written_bytes, first.image.unwrap().digest), (0, second.image.unwrap().digest));
        assert_eq!(registry.asked("POST", ""), before, "an upload was begun");
        assert_eq!(registry.asked("PUT", "/manifests/"), manifest + 1);
    }
}

#[test]
fn large_blobs_go_to_a_new_repository_while_they_are_made() {
    let registry = Registry::start();
    for (name, wrong) in [
        ("new", None),
        ("cut", Some(Wrong::CutBody(7_000))),
        ("lost", Some(Wrong::Forget(500))),
        ("busy", Some(Wrong::Status(503, None))),
        ("slow", Some(Wrong::Status(429, Some(0)))),
        ("forgotten", Some(Wrong::Status(404, None))),
    ] {
        let asked = registry.asked("HEAD", "/blobs/");
        if let Some(wrong) = wrong {
            registry.fail("PATCH", "/uploads/", 1, wrong);
        }
        let report = push(&registry.image(&format!("{name}:v1")), FIXTURES[0], streamed()).unwrap();
        assert!(report.image.unwrap().layers.iter().all(|layer| !layer.reused));
        assert_eq!(held(&registry, name, "v1"), expected(FIXTURES[0]), "{name}");
        // Of all blobs only the configuration is looked for before it is sent.
        assert_eq!(registry.asked("HEAD", "/blobs/"), asked + 1, "{name}");
    }
    assert_eq!(registry.asked("GET", "/tags/list"), 6);
    // A registry that does not tell may have something.
    registry.fail("GET", "/tags/list", 1, Wrong::Status(403, None));
    let asked = registry.asked("HEAD", "/blobs/");
    let report = push(&registry.image("silent:v1"), FIXTURES[0], streamed()).unwrap();
    assert_eq!(registry.asked("HEAD", "/blobs/"), asked + report.image.unwrap().layers.len() + 1);
}

#[test]
fn what_a_failed_push_left_is_not_sent_again() {
    let registry = Registry::start();
    let image = registry.image("web:v1");
    // Memory is too large to be kept, other layers are not.
    let settings = Settings { kept_bytes: 100_000, ..kept() };
    registry.fail("PUT", "/manifests/", 1, Wrong::Status(403, None));
    push(&image, FIXTURES[0], settings.clone()).unwrap_err();
    let sent = registry.asked("PUT", "/blobs/uploads/");
    let report = push(&image, FIXTURES[0], settings).unwrap();
    assert!(report.image.unwrap().layers.iter().all(|layer| layer.reused));
    assert_eq!(registry.asked("PUT", "/blobs/uploads/"), sent);
    assert_eq!(held(&registry, "web", "v1"), expected(FIXTURES[0]));
}

#[test]
fn blobs_of_other_repositories_are_mounted() {
    let registry = Registry::start();
    push(&registry.image("web:v1"), FIXTURES[0], kept()).unwrap();
    for mut settings in [kept(), streamed()] {
        let count = registry.asked("PUT", "/blobs/uploads/");
        settings.mount_from = vec!["absent".to_owned(), "web".to_owned()];
        let name = format!("other-{}", settings.kept_bytes);
        let report = push(&registry.image(&format!("{name}:v2")), FIXTURES[0], settings).unwrap();
        assert!(report.image.unwrap().layers.iter().all(|layer| layer.reused));
        assert_eq!(registry.asked("PUT", "/blobs/uploads/"), count, "a blob was sent");
        assert_eq!(held(&registry, &name, "v2"), expected(FIXTURES[0]));
    }
    assert!(registry.state().uploads.is_empty(), "uploads that nobody needs are given up");
}

#[test]
fn a_cut_upload_goes_on_where_it_was() {
    let registry = Registry::start();
    // In the middle of a chunk, before its first byte, and twice in a row.
    for bytes in [7_000, 0] {
        registry.state().blobs.clear();
        registry.fail("PATCH", "/uploads/", 2, Wrong::CutBody(bytes));
        push(&registry.image("web:v1"), FIXTURES[0], streamed()).unwrap();
        assert_eq!(held(&registry, "web", "v1"), expected(FIXTURES[0]));
    }
    assert_eq!(registry.asked("GET", "/blobs/uploads/"), 4, "the registry is asked how far it came");
}

#[test]
fn a_lost_upload_begins_again() {
    let registry = Registry::start();
    let again = [("PATCH", streamed()), ("PUT", streamed()), ("PUT", kept())];
    for (method, settings) in again {
        for wrong in [Wrong::Forget(500), Wrong::Status(404, None)] {
            registry.state().blobs.clear();
            registry.fail(method, "/uploads/", 1, wrong);
            let begun = registry.asked("POST", "/uploads/");
            let report = push(&registry.image("web:v1"), FIXTURES[0], settings.clone()).unwrap();
            assert_eq!(held(&registry, "web", "v1"), expected(FIXTURES[0]));
            let blobs = report.image.unwrap().layers.len() + 1;
            assert_eq!(registry.asked("POST", "/uploads/"), begun + blobs + 1, "{method}");
        }
    }
}

#[test]
fn what_passes_is_waited_for() {
    let registry = Registry::start();
    let places =
        [("GET", "/v2/"), ("HEAD", "/blobs/"), ("POST", "/uploads/"), ("PATCH", "/uploads/"), ("PUT", "/")];
    for status in [429, 500, 502, 503, 504] {
        registry.state().blobs.clear();
        for (method, path) in places {
            registry.fail(method, path, 2, Wrong::Status(status, (status == 429).then_some(0)));
        }
        push(&registry.image("web:v1"), FIXTURES[2], streamed()).unwrap();
        assert_eq!(held(&registry, "web", "v1"), expected(FIXTURES[2]));
        assert!(registry.state().faults.iter().all(|fault| fault.times == 0), "{status}: not all was met");
    }
}

#[test]
fn what_does_not_pass_is_told() {
    let registry = Registry::start();
    let cases = [
        (429, "429 Too Many Requests: told to", "run the command again"),
        (500, "500 Internal Server Error: told to", "run the command again"),
        (403, "403 Forbidden: told to", "may not do this"),
        (404, "404 Not Found: told to", "makes none"),
    ];
    for (status, reason, hint) in cases {
        registry.state().faults.clear();
        registry.fail("POST", "/uploads/", usize::MAX, Wrong::Status(status, None));
        let before = registry.asked("POST", "");
        let error = push(&registry.image("web:v1"), FIXTURES[0], kept()).unwrap_err();
        assert!(error.contains(reason) && error.contains(hint) && error.contains("push to"), "{error}");
        let attempts = if [429, 500].contains(&status) { 5 } else { 1 };
        assert_eq!(registry.asked("POST", ""), before + attempts, "{status}");
        assert!(registry.state().manifests.is_empty(), "the image became known");
    }
    registry.state().faults.clear();
    registry.fail("PATCH", "/uploads/", usize::MAX, Wrong::CutBody(0));
    let error = push(&registry.image("web:v1"), FIXTURES[0], streamed()).unwrap_err();
    assert!(error.contains("the connection was cut"), "{error}");
    assert!(registry.state().manifests.is_empty());
}

#[test]
fn a_registry_that_is_not_there_is_told_at_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("docker://{}/web:v1", free.local_addr().unwrap());
    drop(free);
    for error in [push(&image, FIXTURES[0], kept()).unwrap_err(), pulled(&image, kept()).unwrap_err()] {
        assert!(
            error.contains("the connection is refused") && error.contains("is a registry running"),
            "{error}"
        );
    }
}

#[test]
fn who_we_are_is_told_to_whom_it_concerns() {
    let place = tempfile::tempdir().unwrap();
    for login in [Login::Basic, Login::Bearer] {
        let registry = Registry::start();
        registry.state().login = login;
        let image = registry.image("team/web:v1");
        let file = |name: &str, credentials: &str| {
            let path = place.path().join(name);
            let text = format!(r#"{{"auths":{{"{}":{{"auth":"{credentials}"}}}}}}"#, registry.host());
            std::fs::write(&path, text).unwrap();
            Settings { auth_file: Some(path), ..streamed() }
        };
        let error = push(&image, FIXTURES[0], file("wrong", "dXNlcjp3cm9uZw==")).unwrap_err();
        assert!(error.contains("401 Unauthorized") && error.contains("log in again"), "{login:?}: {error}");
        let none = place.path().join("none");
        std::fs::write(&none, "{}").unwrap();
        let none = Settings { auth_file: Some(none), ..streamed() };
        let error = push(&image, FIXTURES[0], none.clone()).unwrap_err();
        assert!(error.contains("no credentials were found"), "{login:?}: {error}");
        let right = file("right", CREDENTIALS);
        push(&image, FIXTURES[0], right.clone()).unwrap();
        assert_eq!(held(&registry, "team/web", "v1"), expected(FIXTURES[0]));
        assert_eq!(tree_of(&pulled(&image, right).unwrap()), expected(FIXTURES[0]));
        let error = pulled(&image, none).unwrap_err();
        assert!(error.contains("401 Unauthorized"), "{login:?}: {error}");
    }
}

#[test]
fn a_token_that_is_too_old_is_fetched_again() {
    let place = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    registry.state().login = Login::Bearer;
    let path = place.path().join("auth.json");
    std::fs::write(&path, format!(r#"{{"auths":{{"{}":{{"auth":"{CREDENTIALS}"}}}}}}"#, registry.host()))
        .unwrap();
    registry.fail("PATCH", "/uploads/", 1, Wrong::Status(401, None));
    let settings = Settings { auth_file: Some(path), ..streamed() };
    push(&registry.image("web:v1"), FIXTURES[0], settings).unwrap();
    assert_eq!(held(&registry, "web", "v1"), expected(FIXTURES[0]));
}

#[test]
fn a_cut_download_goes_on_where_it_was() {
    let registry = Registry::start();
    let image = registry.image("web:v1");
    push(&image, FIXTURES[0], kept()).unwrap();
    registry.fail("GET", "/blobs/", 3, Wrong::CutAnswer(1_000));
    let archive = pulled(&image, kept()).unwrap();
    assert_eq!(archive.faults(), []);
    assert_eq!(tree_of(&archive), expected(FIXTURES[0]));
    registry.fail("GET", "/blobs/", usize::MAX, Wrong::CutAnswer(0));
    let archive = pulled(&image, kept()).unwrap();
    assert!(archive.faults().iter().any(|fault| fault.reason.contains("the connection was cut")));
}

#[test]
fn a_blob_that_changed_on_the_way_is_told() {
    let registry = Registry::start();
    let image = registry.image("web:v1");
    push(&image, FIXTURES[0], kept()).unwrap();
    registry.fail("GET", "/blobs/", usize::MAX, Wrong::Flip);
    let archive = pulled(&image, kept()).unwrap();
    let mismatches = archive.faults().iter().filter(|fault| fault.code == "digest-mismatch").count();
    assert!(mismatches > 1, "{:?}", archive.faults());
    let checkpoint = Checkpoint::from_archive(archive, ckx_core::Options::default());
    let place = tempfile::tempdir().unwrap();
    let target = format!("tar:{}", place.path().join("x.tar").display());
    let error = repack(&checkpoint, &target.parse().unwrap(), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[test]
fn an_image_that_is_not_there_is_told() {
    let registry = Registry::start();
    let error = pulled(&registry.image("web:v1"), kept()).unwrap_err();
    assert!(error.contains("404 Not Found: no such image") && error.contains("cannot read"), "{error}");
}

#[test]
fn large_members_of_a_pulled_image_are_pulled_again() {
    let registry = Registry::start();
    let image = registry.image("web:v1");
    push(&image, FIXTURES[0], kept()).unwrap();
    let remote = Pulled::of_source(&image, kept()).unwrap().map(|pulled| Arc::new(pulled) as Arc<_>);
    let options = ArchiveOptions { budget_bytes: 0, remote, ..ArchiveOptions::default() };
    let archive = Archive::open(Path::new(&image), &mut Keeping::of_large(0), options).unwrap();
    let expected = expected(FIXTURES[0]);
    let pages = archive.get(b"checkpoint/pages-1.img").unwrap();
    let mut content = Vec::new();
    archive.write_to(pages, &mut content).unwrap();
    assert!(Some(content) == expected["checkpoint/pages-1.img"]);
}
