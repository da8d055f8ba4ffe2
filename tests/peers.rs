//! Every field that checkpointctl prints is told, and right: beside its recorded output in `tests/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Fixtures, with the names of their recorded output.
const FIXTURES: &[&str] = &[
    "bash-counter.tar.gz",
    "nginx-containerd-1.tar.zst",
    "nginx-crio-1.tar.zst",
    "nginx-crio-2.tar.zst",
    "nginx-tcp-est.tar.zst",
];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn recorded(name: &str) -> String {
    std::fs::read_to_string(here("tests/peers").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn ckx(arguments: &[&str], path: &Path) -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_ckx")).args(arguments).arg(path).output().expect("ckx runs");
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Fields that were compared, and those that differ.
#[derive(Default)]
struct Compared {
    count: usize,
    odd: Vec<String>,
}

impl Compared {
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, theirs: T, ours: T) {
        self.count += 1;
        if theirs != ours {
            self.odd.push(format!("{what}: {theirs:?} and {ours:?}"));
        }
    }

    /// A size that they print with a decimal and a unit.
    fn size(&mut self, what: &str, theirs: &str, ours: u64) {
        let (number, unit) = theirs.split_once(' ').expect("a size");
        let unit = ["B", "K", "M", "G"].iter().position(|first| unit.starts_with(first)).expect("a unit");
        let ours_there = ours as f64 / 1024f64.powi(unit as i32);
        let number: f64 = number.parse().expect("a number");
        let is_close = (number - ours_there).abs() <= 0.051;
        self.same(what, (theirs, true), (theirs, is_close));
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Columns of a row: they are three spaces apart.
fn columns(row: &str) -> Vec<&str> {
    row.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

fn size_of(overview: &Value, purpose: &str) -> u64 {
    let sizes = list(&overview["sizes"]).iter().filter(|size| size["purpose"] == purpose);
    sizes.filter_map(|size| size["size_bytes"].as_u64()).sum()
}

/// A time to the second.
fn second(value: &Value) -> String {
    text(value).chars().take(19).collect()
}

fn container(theirs: &Value, ours: &Value, found: &mut Compared) {
    let overview = &ours["overview"];
    found.same("name", &theirs["container_name"], &overview["name"]);
    found.same("image", &theirs["image"], &overview["image"]["name"]);
    found.same("id", &theirs["id"], &overview["id"]);
    found.same("runtime", &theirs["runtime"], &overview["runtime"]);
    found.same("created", second(&theirs["created"]), second(&overview["created"]));
    found.same("engine", text(&theirs["engine"]).to_lowercase(), text(&overview["engine"]));
    if !theirs["checkpointed"].is_null() {
        found.same("checkpointed", second(&theirs["checkpointed"]), second(&overview["checkpointed"]));
    }
    let networks = list(&overview["networks"]);
    if let Some(address) = theirs["ip"].as_str() {
        let all = networks.iter().flat_map(|network| list(&network["addresses"])).map(text);
        let all: Vec<String> =
            all.map(|each| each.split('/').next().unwrap_or_default().to_owned()).collect();
        found.same("ip", address.to_owned(), all.join(", "));
    }
    if let Some(mac) = theirs["mac"].as_str() {
        let all: Vec<String> = networks.iter().map(|network| text(&network["mac"])).collect();
        found.same("mac", mac.to_owned(), all.join(", "));
    }
    for network in list(&theirs["networks"]) {
        for (interface, each) in network["interfaces"].as_object().expect("an object") {
            let is =
                |ours: &&Value| ours["name"] == network["name"] && ours["interface"] == interface.as_str();
            let ours = networks.iter().find(is).expect("the network");
            let ends = [&ours["addresses"][0], &ours["mac"], &ours["gateways"][0]];
            found.same("network", [&each["ip"], &each["mac"], &each["gateway"]], ends);
        }
    }
    let sizes = &theirs["checkpoint_size"];
    found.same("total_size", &sizes["total_size"], &overview["checkpoint_size_bytes"]);
    let bytes = |name: &str| sizes[name].as_u64().unwrap_or_default();
    found.same("memory_pages_size", bytes("memory_pages_size"), size_of(overview, "memory-pages"));
    found.same("root_fs_diff_size", bytes("root_fs_diff_size"), size_of(overview, "rootfs-diff"));
    for (name, value) in theirs["statistics"].as_object().expect("statistics") {
        let dump = &ours["stats"]["dump"];
        let ours = dump.get(name).or(dump.get(format!("{name}_us"))).unwrap_or(&Value::Null);
        found.same(name, value, ours);
    }
}

fn metadata(theirs: &Value, ours: &Value, found: &mut Compared) {
    let pod = &ours["overview"]["pod"];
    for (name, value) in theirs["metadata"].as_object().expect("metadata") {
        match name.as_str() {
            "pod_name" => found.same(name, value, &pod["name"]),
            "kubernetes_namespace" | "namespace" => found.same(name, value, &pod["namespace"]),
            "annotations" => annotations(value, &ours["container"]["annotations"], found),
            other => found.same(other, value, &Value::Null),
        }
    }
    let declared = list(&ours["container"]["mounts"]);
    for mount in list(&theirs["mounts"]) {
        let ours = declared.iter().find(|ours| ours["destination"] == mount["destination"]);
        let ours = ours.unwrap_or(&Value::Null);
        found.same("mount", [&mount["type"], &mount["source"]], [&ours["type"], &ours["source"]]);
    }
}

/// They decode what is JSON itself; text stays text here.
fn annotations(theirs: &Value, ours: &Value, found: &mut Compared) {
    for (key, value) in theirs.as_object().expect("annotations") {
        let ours = ours[key].get("value").unwrap_or(&ours[key]);
        if value.is_string() {
            found.same(key, value, ours);
            continue;
        }
        let decoded: Value = serde_json::from_str(&text(ours)).unwrap_or_default();
        let is_nothing = |value: &Value| value.is_null() || list(value).is_empty() && value.is_array();
        if !(is_nothing(value) && is_nothing(&decoded)) {
            found.same(key, value, &decoded);
        }
    }
}

fn processes(node: &Value, parent: &Value, ours: &Value, found: &mut Compared) {
    let of = |section: &str| {
        let processes = list(&ours[section]["processes"]).iter();
        processes.clone().find(|each| each["pid"] == node["pid"]).cloned().unwrap_or_default()
    };
    let process = of("processes");
    found.same("command", &node["command"], &process["comm"]);
    found.same("parent", parent, &process["ppid"]);
    found.same("state", text(&node["task_state"]).to_lowercase(), text(&process["state"]));
    if let Some(line) = node["cmdline"].as_str() {
        let words: Vec<String> = list(&process["cmdline"]).iter().map(text).collect();
        found.same("cmdline", line.trim_end().to_owned(), words.join(" "));
    }
    if let Some(variables) = node["environment_variables"].as_object() {
        let environment = of("environment");
        let mut known: Vec<(String, String)> = list(&environment["variables"])
            .iter()
            .map(|each| (text(&each["name"]), text(&each["value"])))
            .collect();
        known.sort();
        let mut all: Vec<_> = variables.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        all.sort();
        found.same("environment", all, known);
    }
    for child in list(&node["children"]) {
        processes(child, &node["pid"], ours, found);
    }
}

fn descriptors(theirs: &Value, ours: &Value, found: &mut Compared) {
    for process in list(&theirs["file_descriptors"]) {
        let all = list(&ours["descriptors"]["processes"]);
        let mine = all.iter().find(|each| each["pid"] == process["pid"]).expect("the process");
        let mut count = 0;
        for file in list(&process["open_files"]) {
            let name = text(&file["fd"]);
            if let "cwd" | "root" = name.as_str() {
                found.same(&name, &file["path"], &mine[name.as_str()]["path"]);
                continue;
            }
            let (kind, fd) = name.split_once(' ').expect("a type and a number");
            let is = |each: &&Value| each["fd"].as_u64() == fd.parse().ok();
            let descriptor = list(&mine["descriptors"]).iter().find(is).unwrap_or(&Value::Null);
            found.same("type", kind.to_owned(), text(&descriptor["type"]));
            let path = text(&file["path"]);
            match kind {
                "REG" => found.same("path", path, text(&descriptor["name"])),
                "PIPE" => found.same("pipe", path.replace("pipe[", "pipe:["), text(&descriptor["name"])),
                _ => {}
            }
            count += 1;
        }
        found.same("descriptors", count, list(&mine["descriptors"]).len());
    }
}

/// Type, state, both ends, sizes of the buffers. Of unix sockets they tell the address alone.
type Socket = [String; 6];

fn sockets(theirs: &Value, ours: &Value, found: &mut Compared) {
    for process in list(&theirs["sockets"]) {
        let holds = |held: &&Value| held["pid"] == process["pid"];
        let mut mine: Vec<Socket> = Vec::new();
        for socket in list(&ours["sockets"]["sockets"]) {
            let count = list(&socket["held_by"]).iter().filter(holds).count();
            mine.extend(std::iter::repeat_n(our_socket(socket), count));
        }
        let open = list(&process["open_sockets"]);
        let mut told: Vec<Socket> = open.iter().map(|socket| their_socket(&socket["data"])).collect();
        told.sort();
        mine.sort();
        found.count += told.len() * 6;
        found.same("sockets", &told, &mine);
    }
}

fn their_socket(data: &Value) -> Socket {
    let word = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let kind = word("type").to_lowercase();
    if kind == "unix" {
        let address = word("address").trim_end_matches('\0').to_owned();
        return [kind, String::new(), address, String::new(), String::new(), String::new()];
    }
    let state = match (kind.as_str(), word("state").as_str()) {
        (_, "ESTABLISHED") => "ESTAB".to_owned(),
        ("udp", "CLOSE") => "UNCONN".to_owned(),
        (_, other) => other.replace('_', "-"),
    };
    let end = |address: &str, port: &str| {
        // Zeros stand for no end at all.
        let address = Some(word(address)).filter(|address| address != "0.0.0.0" && address != "::");
        format!("{}:{}", address.unwrap_or_default(), data[port].as_u64().unwrap_or_default())
    };
    let ends = [end("src", "src_port"), end("dst", "dst_port")];
    let [here, there] = ends;
    [kind, state, here, there, word("send_buf"), word("recv_buf")]
}

fn our_socket(socket: &Value) -> Socket {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if socket["family"] == "unix" {
        let address = word(&socket["local_address"]);
        return ["unix".to_owned(), String::new(), address, String::new(), String::new(), String::new()];
    }
    let end = |side: &str| {
        let address = Some(word(&socket[format!("{side}_address")]));
        let address = address.filter(|address| address != "0.0.0.0" && address != "::").unwrap_or_default();
        format!("{address}:{}", socket[format!("{side}_port")].as_u64().unwrap_or_default())
    };
    let buffer = |name: &str| {
        let bytes = socket["options"][name].as_u64().unwrap_or_default() as f64;
        match bytes {
            0.0..1024.0 => format!("{bytes:.1} B"),
            1024.0..1_048_576.0 => format!("{:.1} KB", bytes / 1024.0),
            _ => format!("{:.1} MB", bytes / 1_048_576.0),
        }
    };
    let buffers = [buffer("so_sndbuf_bytes"), buffer("so_rcvbuf_bytes")];
    let [send, receive] = buffers;
    [word(&socket["protocol"]), word(&socket["state"]), end("local"), end("peer"), send, receive]
}

/// Rows of `memparse`: process, name, size of all its pages, and of its shared mappings.
fn memory(name: &str, ours: &Value, found: &mut Compared) {
    for row in recorded(&format!("{name}.memparse.txt")).lines() {
        let cells = columns(row);
        let of = |section: &str| {
            let all = list(&ours[section]["processes"]).iter();
            all.clone()
                .find(|each| each["pid"].as_u64() == cells[0].parse().ok())
                .cloned()
                .unwrap_or_default()
        };
        let process = of("processes");
        found.same("name", cells[1].to_owned(), text(&process["comm"]));
        let number = |name: &str| process["memory"]["pages"][name].as_u64().unwrap_or_default();
        let pages = number("present_pages") + number("parent_pages") + number("lazy_pages");
        found.size(
            "memory",
            cells[2],
            pages * process["memory"]["page_size_bytes"].as_u64().expect("a size"),
        );
        let address = |value: &Value| {
            let text = text(value);
            u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("an address")
        };
        let maps = of("maps");
        let shared = list(&maps["mappings"]).iter();
        let shared = shared.filter(|map| text(&map["permissions"]).ends_with('s'));
        let size: u64 = shared.map(|map| address(&map["end"]) - address(&map["start"])).sum();
        found.size("shared memory", cells[3], size);
    }
}

/// The row of `show`.
fn show(name: &str, ours: &Value, found: &mut Compared) {
    let row = recorded(&format!("{name}.show.txt"));
    let cells = columns(&row);
    let overview = &ours["overview"];
    let id: String = text(&overview["id"]).chars().take(12).collect();
    let plain = [text(&overview["name"]), text(&overview["image"]["name"]), id, text(&overview["runtime"])];
    for (theirs, ours) in cells.iter().zip(plain) {
        found.same("show", (*theirs).to_owned(), ours);
    }
    found.same("created", second(&cells[4].into()), second(&overview["created"]));
    found.same("engine", cells[5].to_lowercase(), text(&overview["engine"]));
    found.size("size", cells[6], overview["checkpoint_size_bytes"].as_u64().expect("a size"));
    found.size("root fs", cells[7], size_of(overview, "rootfs-diff"));
}

fn compare(name: &str, path: &Path) {
    let theirs: Value = serde_json::from_str(&recorded(&format!("{name}.inspect.json"))).expect("JSON");
    let theirs = &theirs[0];
    let ours = ckx(&["inspect", "--all", "--reveal", "--json"], path);
    let ours = &ours["sections"];
    let mut found = Compared::default();
    container(theirs, ours, &mut found);
    metadata(theirs, ours, &mut found);
    processes(&theirs["process_tree"], &Value::from(0), ours, &mut found);
    descriptors(theirs, ours, &mut found);
    sockets(theirs, ours, &mut found);
    memory(name, ours, &mut found);
    show(name, ours, &mut found);
    assert!(found.odd.is_empty(), "{name}: {} of {} differ: {:#?}", found.odd.len(), found.count, found.odd);
    assert!(found.count > 60, "{name}: only {} fields", found.count);
}

#[test]
fn fields_of_checkpointctl_for_the_fixtures() {
    for file in FIXTURES {
        let name = file.split(".tar").next().expect("a name");
        compare(name, &here("fixtures/checkpoints").join(file));
    }
}

#[test]
#[allow(clippy::print_stdout)]
fn fields_of_checkpointctl_for_the_corpus() {
    let Some(place) = std::env::var_os("CKX_CORPUS").map(PathBuf::from) else {
        println!("skipped: CKX_CORPUS names no corpus");
        return;
    };
    let temporary = tempfile::tempdir().expect("a directory");
    let bundle = std::fs::File::open(place.join("archives/podman.tar.zst")).expect("it is there");
    let mut bundle = tar::Archive::new(zstd::Decoder::new(bundle).expect("zstd"));
    let mut entries = bundle.entries().expect("a tar").map(|entry| entry.expect("an entry"));
    let wanted = |entry: &tar::Entry<'_, _>| entry.path_bytes().ends_with(b"python-2.tar");
    let mut entry = entries.find(wanted).expect("it is in the bundle");
    let path = temporary.path().join("python-2.tar");
    entry.unpack(&path).expect("room");
    compare("python-2", &path);
}

#[test]
fn fields_of_its_list() {
    let row = recorded("list.txt");
    let theirs = columns(&row);
    let document = ckx(&["list", "--json"], &here("fixtures/checkpoints/nginx-crio-1.tar.zst"));
    let ours = &document["checkpoints"][0];
    let plain = ["namespace", "pod", "container"].map(|name| text(&ours[name]));
    assert_eq!(&theirs[..3], plain);
    assert_eq!(theirs[3].to_lowercase(), text(&ours["engine"]));
    // `23 Nov 26 17:01 UTC`, which they take from the name of the file.
    assert_eq!(theirs[4], "23 Nov 26 17:01 UTC");
    assert!(text(&ours["checkpointed"]).starts_with("2026-11-23T17:01:04"));
}
