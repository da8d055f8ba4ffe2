//! `descriptors` and `sockets` beside what CRIU's own library read from the same archives.

use ckx_core::inspect::Collect as _;
use ckx_core::inspect::descriptors::{Descriptors, Details, ProcessDescriptors};
use ckx_core::inspect::sockets::{HeldSocket, Sockets};
use ckx_core::{Checkpoint, Options};
use serde_json::Value;

use crate::corpus::{archives, corpus, fixture, open_bytes, truth};

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Number, type and path of each descriptor as the truth files have them: paths of regular files only.
fn told(descriptors: &Descriptors, process: &ProcessDescriptors) -> Vec<(u64, String, String)> {
    let path = |file_id: u32| {
        let file =
            descriptors.files.iter().find(|file| file.file_id == file_id).expect("each file is listed");
        match &file.details {
            Some(Details::Reg(regular)) => regular.path.to_string(),
            _ => String::new(),
        }
    };
    let list = process.descriptors.iter();
    list.map(|each| (each.fd.into(), each.kind.clone(), path(each.file_id))).collect()
}

/// Family, type, state and ends of each socket as the truth files have them.
fn told_sockets(sockets: &[HeldSocket]) -> Vec<String> {
    let line = |held: &HeldSocket| {
        let socket = &held.socket;
        let name = |name: &Option<ckx_core::Name>| name.as_ref().map_or(String::new(), ToString::to_string);
        let kind = socket.kind.clone().unwrap_or_default();
        let state = socket.state.clone().unwrap_or_default();
        match socket.family.as_str() {
            "unix" => format!("unix {kind} {state} {}", name(&socket.local_address)),
            _ => {
                let peer = match &socket.peer_address {
                    Some(peer) => format!("{peer}:{}", socket.peer_port.unwrap_or_default()),
                    None => "0.0.0.0:0".to_owned(),
                };
                let local = name(&socket.local_address);
                let protocol = socket.protocol.clone().unwrap_or_default();
                format!("{protocol} {kind} {state} {local}:{} {peer}", socket.local_port.unwrap_or_default())
            }
        }
    };
    let mut lines: Vec<String> = sockets.iter().map(line).collect();
    lines.sort();
    lines
}

fn true_sockets(truth: &Value) -> Vec<String> {
    let word = |number: &Value, words: &[(u64, &str)]| {
        let number = number.as_u64().expect("a number");
        words.iter().find(|(each, _)| *each == number).map(|(_, word)| (*word).to_owned()).expect("a word")
    };
    let line = |socket: &Value| {
        let kind = word(&socket["type"], &[(1, "stream"), (2, "dgram"), (3, "raw"), (5, "seqpacket")]);
        let state = word(&socket["state"], &[(1, "ESTAB"), (7, "UNCONN"), (10, "LISTEN"), (8, "CLOSE-WAIT")]);
        match text(&socket["family"]).as_str() {
            "unix" => format!("unix {kind} {state} {}", text(&socket["name"]).replace("=00", "")),
            _ => {
                let protocol = word(&socket["proto"], &[(6, "tcp"), (17, "udp")]);
                format!("{protocol} {kind} {state} {} {}", text(&socket["src"]), text(&socket["dst"]))
            }
        }
    };
    let mut lines: Vec<String> = truth["sockets"].as_array().expect("a list").iter().map(line).collect();
    lines.sort();
    lines
}

fn compare(name: &str, checkpoint: &Checkpoint, truth: &Value) {
    let descriptors = Descriptors::collect(checkpoint);
    assert_eq!(descriptors.issues, [], "{name}");
    let processes = truth["processes"].as_array().expect("a list");
    assert_eq!(descriptors.processes.len(), processes.len(), "{name}");
    for (process, expected) in descriptors.processes.iter().zip(processes) {
        assert_eq!(u64::from(process.pid), expected["pid"].as_u64().expect("a pid"), "{name}");
        let fds = expected["fds"].as_array().expect("a list").iter();
        let expected: Vec<_> = fds
            .map(|fd| (fd["fd"].as_u64().expect("a number"), text(&fd["type"]), text(&fd["path"])))
            .collect();
        assert_eq!(told(&descriptors, process), expected, "{name}: {}", process.pid);
    }
    assert_eq!(told_sockets(&Sockets::collect(checkpoint).sockets), true_sockets(truth), "{name}");
}

#[test]
fn archives_of_the_corpus_tell_the_truth() {
    let Some(place) = corpus() else { return };
    let mut compared = 0;
    for (name, data) in archives(&place) {
        let Some(truth) = truth(&place, &name) else { continue };
        compare(&name, &open_bytes(&name, data, Options::default()), &truth);
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} archives");
}

#[test]
fn connections_of_a_shipped_checkpoint() {
    let checkpoint = fixture("nginx-tcp-est.tar.zst");
    let sockets = Sockets::collect(&checkpoint);
    assert_eq!(sockets.issues, []);
    let connected: Vec<&HeldSocket> = sockets
        .sockets
        .iter()
        .filter(|held| held.socket.state.as_deref() == Some("ESTAB") && held.socket.family == "inet")
        .collect();
    assert_eq!(connected.len(), 2);
    for held in connected {
        assert_eq!(held.socket.local().to_string(), "10.88.0.2:8080");
        assert_eq!(held.held_by.len(), 1);
        let tcp = held.socket.tcp.as_ref().and_then(|tcp| tcp.connection.as_ref()).expect("a stream");
        assert_eq!(tcp.mss_clamp_bytes, 1460);
        assert_eq!(tcp.negotiated, ["timestamps", "sack", "wscale"]);
    }
    let listening: Vec<String> = sockets
        .sockets
        .iter()
        .filter(|held| held.socket.state.as_deref() == Some("LISTEN"))
        .map(|held| held.socket.local().to_string())
        .collect();
    assert_eq!(listening, ["0.0.0.0:8080", "127.0.0.1:8081", "/run/nginx-admin.sock"]);
}

#[test]
fn only_what_is_asked_for() {
    let Some(place) = corpus() else { return };
    let (name, data) =
        archives(&place).into_iter().find(|(name, _)| name == "python-2.tar").expect("it is there");
    let options = Options { pids: Some(vec![9]), ..Options::default() };
    let checkpoint = open_bytes(&name, data, options);
    let descriptors = Descriptors::collect(&checkpoint);
    assert_eq!(descriptors.processes.len(), 1);
    assert_eq!(descriptors.processes[0].descriptors.len(), 3);
    assert_eq!(descriptors.files.len(), 3, "the rest is of other processes");
    assert!(Sockets::collect(&checkpoint).sockets.is_empty());
}
