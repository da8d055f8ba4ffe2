//! The registry of Debian takes what is pushed, serves it to skopeo, and stands cut connections.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::Checkpoint;
use ckx_oci::compress::Method;
use ckx_oci::plan::Keeping;
use ckx_oci::registry::{Pulled, Settings};
use ckx_oci::repack::{Options, repack};

use ckx_testkit::registry::Served;

use crate::support::{FIXTURES, fixture, open, plain, tree_of_tar};
use crate::tools::{has, run};

fn options(method: Method, registry: Settings) -> Options {
    Options { method: Some(method), registry, ..Options::default() }
}

#[test]
fn the_registry_takes_and_serves_images() {
    let root = tempfile::tempdir().unwrap();
    let Some(served) = Served::start(root.path()) else { return };
    let place = tempfile::tempdir().unwrap();
    for method in [Method::None, Method::Gzip(6), Method::Zstd(3)] {
        let small = Settings { chunk_bytes: 1 << 20, kept_bytes: 0, ..Settings::default() };
        for (way, registry) in [Settings::default(), small].into_iter().enumerate() {
            let name = format!("{}/web:{}-{way}", served.address(), method.name());
            let target = format!("docker://{name}").parse().unwrap();
            let options = options(method, registry);
            let report = repack(&open(&fixture(FIXTURES[0])), &target, &options).unwrap();
            let again = repack(&open(&fixture(FIXTURES[0])), &target, &options).unwrap();
            let [first, again] = [report, again].map(|report| report.image.unwrap());
            assert_eq!(first.digest, again.digest);
            assert!(again.layers.iter().all(|layer| layer.reused));
            let remote = Pulled::open(&name, Settings::default()).unwrap();
            let options = ArchiveOptions { remote: Some(Arc::new(remote)), ..ArchiveOptions::default() };
            let archive = Archive::open(Path::new(&name), &mut Keeping::of_large(1 << 30), options).unwrap();
            assert_eq!(archive.faults(), []);
            assert_eq!(archive.oci().unwrap().manifest_digest, first.digest.to_string());
            let checkpoint = Checkpoint::from_archive(archive, ckx_core::Options::default());
            let back = place.path().join(format!("{}-{way}.tar", method.name()));
            repack(&checkpoint, &format!("tar:{}", back.display()).parse().unwrap(), &Options::default())
                .unwrap();
            let direct = place.path().join(format!("{}-{way}-direct.tar", method.name()));
            let target = format!("tar:{}", direct.display()).parse().unwrap();
            repack(&open(&fixture(FIXTURES[0])), &target, &Options::default()).unwrap();
            assert!(std::fs::read(back).unwrap() == std::fs::read(direct).unwrap(), "there and back");
        }
    }
}

#[test]
fn skopeo_inspects_and_copies_what_was_pushed() {
    let root = tempfile::tempdir().unwrap();
    let Some(served) = Served::start(root.path()) else { return };
    if !has("skopeo") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let image = format!("docker://{}/team/web:v1", served.address());
    let pushed = repack(
        &open(&fixture(FIXTURES[1])),
        &image.parse().unwrap(),
        &options(Method::Zstd(3), Settings::default()),
    );
    let digest = pushed.unwrap().image.unwrap().digest.to_string();
    let text = run("skopeo", &["inspect", "--tls-verify=false", &image]);
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["Digest"], *digest);
    let layout = format!("oci:{}:v1", place.path().join("layout").display());
    run("skopeo", &["copy", "--src-tls-verify=false", &image, &layout]);
    // And what skopeo pushes is read.
    let other = format!("docker://{}/other:v2", served.address());
    run("skopeo", &["copy", "--dest-tls-verify=false", &layout, &other]);
    let remote = Pulled::of_source(&other, Settings::default()).unwrap().unwrap();
    let options = ArchiveOptions { remote: Some(Arc::new(remote)), ..ArchiveOptions::default() };
    let archive = Archive::open(Path::new(&other), &mut Keeping::of_large(1 << 30), options).unwrap();
    let expected = tree_of_tar(&plain(&std::fs::read(fixture(FIXTURES[1])).unwrap()));
    for (name, content) in expected {
        let member = archive.get(name.as_bytes()).unwrap_or_else(|| panic!("{name} is missing"));
        if let Some(content) = content {
            assert!(archive.read(member).unwrap() == content, "{name}");
        }
    }
}

/// Passes connections on to an address, and cuts some of them after so many bytes.
fn cutting_proxy(target: SocketAddr, cuts: Vec<usize>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    std::thread::spawn(move || {
        let mut cuts = cuts.into_iter();
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(target) else { return };
            let mut left = cuts.next().unwrap_or(usize::MAX);
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let count = Arc::clone(&count);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = from.read(&mut buffer) {
                    let part = read.min(left);
                    if to.write_all(&buffer[..part]).is_err() || part < read {
                        count.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    left -= part;
                }
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
            std::thread::spawn(move || {
                let (mut client, mut server) = (client, server);
                let _ = std::io::copy(&mut server, &mut client);
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    (address, done)
}

#[test]
fn a_push_through_a_bad_line_arrives() {
    let root = tempfile::tempdir().unwrap();
    let Some(served) = Served::start(root.path()) else { return };
    // Some bytes go through before each cut, so that the registry has part of a chunk.
    for kept_bytes in [0, 32 << 20] {
        let cuts = vec![700_000, 350_000, 200, 90_000, 1_200_000];
        let (proxy, done) = cutting_proxy(served.address(), cuts);
        let registry = Settings {
            chunk_bytes: 256 << 10,
            kept_bytes,
            first_wait: Duration::from_millis(50),
            ..Settings::default()
        };
        let target = format!("docker://{proxy}/web-{kept_bytes}:v1").parse().unwrap();
        let report = repack(&open(&fixture(FIXTURES[0])), &target, &options(Method::None, registry)).unwrap();
        assert!(done.load(Ordering::Relaxed) >= 4, "the line was not bad");
        let name = format!("{}/web-{kept_bytes}:v1", served.address());
        let remote = Pulled::open(&name, Settings::default()).unwrap();
        let options = ArchiveOptions { remote: Some(Arc::new(remote)), ..ArchiveOptions::default() };
        let archive = Archive::open(Path::new(&name), &mut Keeping::of_large(1 << 30), options).unwrap();
        assert_eq!(archive.faults(), []);
        assert_eq!(archive.oci().unwrap().manifest_digest, report.image.unwrap().digest.to_string());
    }
}
