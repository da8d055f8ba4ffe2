//! What lay in file systems, logs and documents of the shipped checkpoints. How they were made is told in
//! `fixtures/README.md`.

use ckx_core::inspect::container::Container;
use ckx_core::inspect::logs::Logs;
use ckx_core::inspect::overview::Overview;
use ckx_core::inspect::storage::rootfs_diff::RootfsDiff;
use ckx_core::inspect::storage::tmpfs::Tmpfs;
use ckx_core::inspect::{Collect, SECTIONS};
use ckx_core::model::container::Engine;
use ckx_core::{Name, Options};
use serde_json::Value;

use crate::corpus::{archives, corpus, fixture, open_bytes, truth};

const CRIO: &str = "nginx-crio-1.tar.zst";
const CONTAINERD: &str = "nginx-containerd-1.tar.zst";

/// One engine keeps a list of what was deleted, the other marks it in a compressed tar.
#[test]
fn changes_of_the_root_file_system() {
    for (name, index_changed) in [(CRIO, false), (CONTAINERD, true)] {
        let report = RootfsDiff::collect(&fixture(name));
        assert_eq!(report.issues, [], "{name}");
        assert_eq!(report.deleted, [Name::from("/srv/www/blob.bin")], "{name}");
        let has = |path: &str| report.changed.iter().any(|file| file.path == Name::from(path));
        assert!(has("srv/www/added.txt") && has("run/nginx.pid"), "{name}");
        assert_eq!(has("srv/www/index.html"), index_changed, "{name}");
        assert!(!report.changed.iter().any(|file| file.path.to_string().contains(".wh.")), "{name}");
    }
}

#[test]
fn file_systems_in_memory_have_their_places() {
    let report = Tmpfs::collect(&fixture(CRIO));
    assert_eq!(report.issues, []);
    let places: Vec<String> =
        report.filesystems.iter().filter_map(|each| Some(each.mountpoint.as_ref()?.to_string())).collect();
    assert_eq!(places, ["/sys/fs/cgroup", "/dev"]);
    let dev = report.filesystems[1].content.files.as_ref().expect("readable");
    let of = |path: &str| dev.iter().find(|file| file.path == Name::from(path)).expect("it is there");
    assert_eq!(of("null").kind, "char");
    assert_eq!(of("stdin").target, Some(Name::from("/proc/self/fd/0")));
}

#[test]
fn logs_of_engines() {
    let report = Logs::collect(&fixture("bash-counter.tar.gz"));
    let [log] = report.logs.as_slice() else { panic!("{report:?}") };
    assert_eq!((log.member.to_string().as_str(), log.lines), ("ctr.log", 98));
    let last = log.last.last().expect("a line");
    assert_eq!((last.stream, last.text.to_string().as_str()), (Some("stdout"), "count 98"));
}

#[test]
fn declarations_hide_what_may_be_secret() {
    let report = Container::collect(&fixture(CRIO));
    let args: Vec<String> = report.args.iter().map(Name::to_string).collect();
    assert_eq!(args, ["/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf"]);
    assert_eq!(report.resources["memory.limit"], 536_870_912);
    assert_eq!(report.mounts.len(), 10);
    let token = |report: &Container| {
        let name = Name::from("NGINX_DEMO_TOKEN");
        report.environment.iter().find(|each| each.name.as_ref() == Some(&name)).expect("it is set").clone()
    };
    assert!(token(&report).redacted && token(&report).value.is_none());
    let text = serde_json::to_string(&report).expect("JSON");
    assert!(!text.contains("tok-FAKE-1234567890-not-real"), "{text}");
}

#[test]
fn overviews_of_each_engine() {
    let overview = |name: &str| Overview::collect(&fixture(name));
    let crio = overview(CRIO).container;
    assert_eq!(crio.engine, Engine::CriO);
    let pod = crio.pod.expect("a pod");
    assert_eq!((pod.name.as_deref(), pod.namespace.as_deref()), (Some("web"), Some("default")));
    assert_eq!(crio.machine.criu_version.as_deref(), Some("4.2"));
    assert_eq!(overview(CONTAINERD).container.engine, Engine::Containerd);
    let podman = overview("nginx-tcp-est.tar.zst").container;
    assert_eq!((podman.engine, podman.name.as_deref()), (Engine::Podman, Some("ngx")));
    assert_eq!(podman.addresses().collect::<Vec<_>>(), ["10.88.0.2"]);
}

/// Nothing is missing in archives that engines wrote, and the sizes add up.
#[test]
fn archives_of_the_corpus_have_no_faults() {
    let Some(place) = corpus() else { return };
    let mut compared = 0;
    for (name, data) in archives(&place) {
        let checkpoint = open_bytes(&name, data, Options::default());
        if truth(&place, &name).is_none() || name == "nginx-incr.tar" {
            continue;
        }
        for section in SECTIONS {
            let report = (section.collect)(&checkpoint);
            assert_eq!(report.issues(), [], "{name}: {}", section.name);
            let json: Value = serde_json::to_value(&report).expect("JSON");
            assert!(json["issues"].as_array().is_some_and(Vec::is_empty), "{name}: {}", section.name);
        }
        let overview = Overview::collect(&checkpoint);
        let all: u64 = overview.sizes.iter().map(|size| size.size_bytes).sum();
        let members: u64 = checkpoint.archive().current().map(|member| member.size_bytes).sum();
        assert_eq!(all, members, "{name}");
        compared += 1;
    }
    assert!(compared >= 9, "only {compared}");
}
