//! Dumps of other machines beside what the kernel said of the same processes just before.

use std::collections::BTreeMap;

use bytes::Bytes;
use ckx_core::inspect::Collect as _;
use ckx_core::inspect::auxv::Auxv;
use ckx_core::inspect::credentials::{Credentials, Creds};
use ckx_core::inspect::descriptors::Descriptors;
use ckx_core::inspect::environment::Environment;
use ckx_core::inspect::limits::Limits;
use ckx_core::inspect::maps::Maps;
use ckx_core::inspect::processes::Processes;
use ckx_core::inspect::signals::SignalsReport;
use ckx_core::inspect::threads::Threads;
use ckx_core::inspect::timers::Timers;
use ckx_core::{Checkpoint, Options};

use crate::bundle::{Directories, checkpoint, directories};
use crate::corpus::corpus;

/// What `/proc/PID` held.
struct Proc<'a>(&'a BTreeMap<String, Bytes>);

impl Proc<'_> {
    fn bytes(&self, name: &str) -> Option<&Bytes> {
        self.0.get(name).filter(|bytes| !bytes.is_empty())
    }

    fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.bytes(name)?).ok()
    }

    /// A line of a status file.
    fn status<'s>(&'s self, name: &str, key: &str) -> Option<&'s str> {
        let line = |line: &'s str| line.strip_prefix(key)?.strip_prefix(':');
        self.text(name)?.lines().find_map(line).map(str::trim)
    }

    fn mask(&self, name: &str, key: &str) -> Option<u64> {
        u64::from_str_radix(self.status(name, key)?, 16).ok()
    }
}

/// A dump: its name, its files, and the truth of its processes.
type Dump<'a> = (String, &'a BTreeMap<String, Bytes>, BTreeMap<u32, Proc<'a>>);

/// Dumps with the truth of each of their processes.
fn dumps(all: &Directories) -> Vec<Dump<'_>> {
    let mut found = Vec::new();
    for (name, files) in all.iter().filter(|(_, files)| files.contains_key("pstree.img")) {
        let mut truths = BTreeMap::new();
        for (below, files) in all.range(format!("{name}/truth")..) {
            let Some(rest) = below.strip_prefix(&format!("{name}/truth")) else { break };
            let truth = Proc(files);
            let pid = match rest.strip_prefix('/') {
                Some(pid) => pid.parse().ok(),
                None => truth.status("status", "Pid").and_then(|pid| pid.parse().ok()),
            };
            if let Some(pid) = pid {
                truths.insert(pid, truth);
            }
        }
        if !truths.is_empty() {
            found.push((name.clone(), files, truths));
        }
    }
    found
}

fn compare(mut check: impl FnMut(&str, &Checkpoint, &BTreeMap<u32, Proc<'_>>) -> usize, least: usize) {
    let Some(place) = corpus() else { return };
    let choose = |name: &str| name.ends_with(".img") || name.contains("/truth");
    let all = directories(&place, "qemu.tar.zst", Some(choose));
    let mut compared = 0;
    for (name, files, truths) in dumps(&all) {
        let options = Options { reveal: true, ..Options::default() };
        compared += check(&name, &checkpoint(&name, files, options), &truths);
    }
    assert!(compared >= least, "only {compared} compared");
}

/// Chains lie in several directories, and each is opened for itself here.
fn is_in_a_previous_dump(name: &str, absent: Option<&str>) -> bool {
    (name.contains("/incr/") || name.contains("chain"))
        && absent.is_some_and(|why| why.contains("previous dump"))
}

#[test]
fn processes_and_their_arguments() {
    compare(
        |name, checkpoint, truths| {
            let report = Processes::collect(checkpoint);
            assert_eq!(report.issues, [], "{name}");
            for process in &report.processes {
                let Some(truth) = truths.get(&process.pid) else { continue };
                let at = format!("{name} {}", process.pid);
                let comm = process.comm.as_ref().map(ToString::to_string);
                assert_eq!(comm.as_deref(), truth.status("status", "Name"), "{at}");
                let state = serde_json::to_value(process.state).expect("JSON");
                let expected = match &truth.status("status", "State").expect("a state")[..1] {
                    "Z" => "zombie",
                    "T" => "stopped",
                    _ => "alive",
                };
                assert_eq!(state, expected, "{at}");
                if expected != "zombie" {
                    assert_eq!(
                        Some(process.threads.len().to_string().as_str()),
                        truth.status("status", "Threads"),
                        "{at}"
                    );
                    let umask = process.umask.map(|umask| format!("{umask:04o}"));
                    assert_eq!(umask.as_deref(), truth.status("status", "Umask"), "{at}");
                }
                let Some(expected) = truth.bytes("cmdline") else { continue };
                if is_in_a_previous_dump(name, process.cmdline_absent.as_deref()) {
                    continue;
                }
                let mut shown = Vec::new();
                for word in
                    process.cmdline.as_ref().unwrap_or_else(|| panic!("{at}: {:?}", process.cmdline_absent))
                {
                    shown.extend(word.as_bytes());
                    shown.push(0);
                }
                assert_eq!(&shown[..], &expected[..], "{at}");
            }
            report.processes.len()
        },
        30,
    );
}

#[test]
fn environments() {
    compare(
        |name, checkpoint, truths| {
            let report = Environment::collect(checkpoint);
            for process in &report.processes {
                let Some(expected) =
                    truths.get(&process.process.pid).and_then(|truth| truth.bytes("environ"))
                else {
                    continue;
                };
                if is_in_a_previous_dump(name, process.absent.as_deref()) {
                    continue;
                }
                let mut shown = Vec::new();
                for variable in
                    process.variables.as_ref().unwrap_or_else(|| panic!("{name}: {:?}", process.absent))
                {
                    if let Some(name) = &variable.name {
                        shown.extend(name.as_bytes());
                        shown.push(b'=');
                    }
                    shown.extend(variable.value.as_ref().expect("revealed").as_bytes());
                    shown.push(0);
                }
                assert_eq!(&shown[..], &expected[..], "{name} {}", process.process.pid);
            }
            report.processes.len()
        },
        30,
    );
}

fn same_creds(at: &str, creds: &Creds, truth: &Proc<'_>) {
    let ids = |ids: [u32; 4]| ids.map(|id| id.to_string()).join("\t");
    let shown = ids([creds.uid, creds.euid, creds.suid, creds.fsuid]);
    assert_eq!(Some(shown.as_str()), truth.status("status", "Uid"), "{at}");
    let shown = ids([creds.gid, creds.egid, creds.sgid, creds.fsgid]);
    assert_eq!(Some(shown.as_str()), truth.status("status", "Gid"), "{at}");
    let groups: Vec<String> = creds.groups.iter().map(ToString::to_string).collect();
    assert_eq!(Some(groups.join(" ").as_str()), truth.status("status", "Groups"), "{at}");
    for (key, set) in [
        ("CapInh", &creds.cap_inh),
        ("CapPrm", &creds.cap_prm),
        ("CapEff", &creds.cap_eff),
        ("CapBnd", &creds.cap_bnd),
    ] {
        let count = truth.mask("status", key).expect("a set").count_ones() as usize;
        assert_eq!(set.len(), count, "{at} {key}: {set:?}");
    }
}

#[test]
fn credentials() {
    compare(
        |name, checkpoint, truths| {
            let report = Credentials::collect(checkpoint);
            for process in &report.processes {
                let Some(truth) = truths.get(&process.process.pid) else { continue };
                let creds = process.credentials.as_ref().expect("a living process has some");
                same_creds(&format!("{name} {}", process.process.pid), creds, truth);
            }
            report.processes.len()
        },
        30,
    );
}

#[test]
fn limits() {
    compare(
        |name, checkpoint, truths| {
            let report = Limits::collect(checkpoint);
            for process in &report.processes {
                let Some(expected) = truths.get(&process.process.pid).and_then(|truth| truth.text("limits"))
                else {
                    continue;
                };
                let value = |value: Option<u64>| {
                    value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string())
                };
                let shown: Vec<String> = process
                    .limits
                    .iter()
                    .map(|limit| {
                        format!(
                            "{:<25} {:<20} {:<20} {:<10}",
                            limit.name,
                            value(limit.soft),
                            value(limit.hard),
                            limit.unit
                        )
                    })
                    .collect();
                let lines: Vec<&str> = expected.lines().skip(1).collect();
                assert_eq!(shown.len(), lines.len(), "{name}");
                for (shown, line) in shown.iter().zip(lines) {
                    assert_eq!(shown.trim_end(), line.trim_end(), "{name} {}", process.process.pid);
                }
            }
            report.processes.len()
        },
        30,
    );
}

#[test]
fn auxiliary_vectors() {
    compare(
        |name, checkpoint, truths| {
            let report = Auxv::collect(checkpoint);
            for process in &report.processes {
                let Some(expected) = truths.get(&process.process.pid).and_then(|truth| truth.bytes("auxv"))
                else {
                    continue;
                };
                let is_big = name.contains("s390x");
                let number = |bytes: &[u8]| {
                    let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
                    if is_big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
                };
                let width = if name.contains("armhf") { 4 } else { 8 };
                let words: Vec<u64> = expected.chunks(width).map(number).collect();
                let expected: Vec<(u64, u64)> =
                    words.chunks(2).map(|pair| (pair[0], pair[1])).take_while(|pair| pair.0 != 0).collect();
                let shown: Vec<(u64, u64)> =
                    process.auxv.iter().map(|entry| (entry.r#type, entry.value.0)).collect();
                assert_eq!(shown, expected, "{name} {}", process.process.pid);
                assert!(process.auxv.iter().all(|entry| entry.name.is_some()), "{name}: {:?}", process.auxv);
            }
            report.processes.len()
        },
        30,
    );
}

/// A set of signals as a mask, by the numbers of most machines.
fn mask(signals: &[String]) -> u64 {
    const NAMES: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP \
        TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";
    let number = |signal: &String| -> u64 {
        let short = signal.strip_prefix("SIG").unwrap_or(signal);
        if let Some(at) = NAMES.split_whitespace().position(|name| name == short) {
            return at as u64 + 1;
        }
        match short.strip_prefix("RTMIN") {
            Some("") => 34,
            Some(more) => 34 + more[1..].parse::<u64>().expect("a number"),
            None => short.parse().expect("a number"),
        }
    };
    signals.iter().fold(0, |mask, signal| mask | 1 << (number(signal) - 1))
}

/// The bit of SIGSTOP.
const STOP: u64 = 1 << 18;

#[test]
fn signals() {
    compare(
        |name, checkpoint, truths| {
            let report = SignalsReport::collect(checkpoint);
            for process in &report.processes {
                let Some(truth) = truths.get(&process.process.pid) else { continue };
                let at = format!("{name} {}", process.process.pid);
                let of = |action: &str| {
                    let actions = process.sigactions.iter().filter(|each| each.action == action);
                    mask(&actions.map(|each| each.signal.clone()).collect::<Vec<_>>())
                };
                assert_eq!(Some(of("ignore")), truth.mask("status", "SigIgn"), "{at}");
                assert_eq!(Some(of("handler")), truth.mask("status", "SigCgt"), "{at}");
                assert_eq!(Some(mask(&process.blocked.0)), truth.mask("status", "SigBlk"), "{at}");
                let pending: Vec<String> = process.pending.iter().map(|info| info.signal.clone()).collect();
                // A stop that waits becomes the state of the process, and no pending signal.
                let expected = truth.mask("status", "ShdPnd").map(|mask| mask & !STOP);
                assert_eq!(Some(mask(&pending)), expected, "{at}: {pending:?}");
            }
            report.processes.len()
        },
        30,
    );
}

#[test]
fn timers() {
    compare(
        |name, checkpoint, truths| {
            let report = Timers::collect(checkpoint);
            let mut compared = 0;
            for process in &report.processes {
                let Some(text) = truths.get(&process.process.pid).and_then(|truth| truth.text("timers"))
                else {
                    continue;
                };
                let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
                let [timer] = process.posix.as_slice() else { panic!("{name}: {:?}", process.posix) };
                assert_eq!(value("ID: "), timer.it_id.to_string(), "{name}");
                assert!(
                    value("signal: ").starts_with("35/") && timer.signal == "SIGRTMIN+1",
                    "{name}: {timer:?}"
                );
                assert_eq!((value("ClockID: "), timer.clock.as_str()), ("0", "REALTIME"), "{name}");
                assert_eq!(timer.notify, "SIGNAL", "{name}");
                compared += 1;
            }
            compared
        },
        6,
    );
}

#[test]
fn threads() {
    compare(
        |name, checkpoint, truths| {
            let report = Threads::collect(checkpoint);
            let mut compared = 0;
            for process in &report.processes {
                let Some(truth) = truths.get(&process.process.pid) else { continue };
                for thread in &process.threads {
                    let at = format!("{name} {}", thread.tid);
                    let status = format!("task_{}_status", thread.tid);
                    let Some(comm) = truth.status(&status, "Name") else { continue };
                    assert_eq!(thread.comm.as_ref().map(ToString::to_string).as_deref(), Some(comm), "{at}");
                    assert_eq!(Some(mask(&thread.blocked.0)), truth.mask(&status, "SigBlk"), "{at}");
                    let pending: Vec<String> =
                        thread.pending.iter().map(|info| info.signal.clone()).collect();
                    assert_eq!(Some(mask(&pending)), truth.mask(&status, "SigPnd"), "{at}");
                    // Of what is not restricted images do not say so.
                    let mode = match thread.seccomp.as_deref() {
                        None => "0",
                        Some("strict") => "1",
                        Some("filter") => "2",
                        Some(other) => panic!("{at}: {other}"),
                    };
                    assert_eq!(Some(mode), truth.status(&status, "Seccomp"), "{at}");
                    let stat = truth.text(&format!("task_{}_stat", thread.tid)).expect("it is there");
                    let fields: Vec<&str> =
                        stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
                    let sched = thread.sched.as_ref().expect("it is scheduled");
                    assert_eq!(sched.nice.to_string(), fields[16], "{at}");
                    compared += same_place(&at, thread, truth);
                }
            }
            compared
        },
        20,
    );
}

/// Instruction and stack pointer of a thread that waited in a system call.
fn same_place(at: &str, thread: &ckx_core::inspect::threads::ThreadReport, truth: &Proc<'_>) -> usize {
    let registers = thread.registers.as_ref().expect("a living thread has registers");
    let Some(line) = truth.text(&format!("task_{}_syscall", thread.tid)) else { return 0 };
    let words: Vec<&str> = line.split_whitespace().collect();
    let [.., sp, pc] = words[..] else { return 0 };
    // A thread that runs has no such line, and the one that was stopped at its way into a call stands
    // before it.
    if words.len() < 9 {
        return 0;
    }
    let shown = |address: Option<ckx_core::Address>| format!("{:#x}", address.expect("it has one"));
    assert_eq!(shown(registers.sp), sp, "{at}");
    let near = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hex");
    let apart = near(pc).abs_diff(registers.ip.expect("it has one").0);
    assert!(apart <= 4, "{at}: {} and {pc}", shown(registers.ip));
    1
}

/// Descriptors of `fds.txt`: number, target, position.
fn open_files(text: &str) -> Vec<(u32, &str, Option<u64>)> {
    let mut found: Vec<(u32, &str, Option<u64>)> = Vec::new();
    for line in text.lines() {
        if let Some((fd, target)) = line.split_once(" -> ")
            && let Ok(fd) = fd.parse()
        {
            found.push((fd, target, None));
        } else if let (Some(position), Some(last)) = (line.trim().strip_prefix("pos:"), found.last_mut()) {
            last.2 = position.trim().parse().ok();
        }
    }
    found
}

#[test]
fn open_descriptors() {
    compare(
        |name, checkpoint, truths| {
            let report = Descriptors::collect(checkpoint);
            let mut compared = 0;
            for process in &report.processes {
                let Some(text) = truths.get(&process.pid).and_then(|truth| truth.text("fds.txt")) else {
                    continue;
                };
                let at = format!("{name} {}", process.pid);
                let mut expected = open_files(text);
                expected.sort_unstable();
                let mut found: Vec<_> = process.descriptors.iter().collect();
                found.sort_unstable_by_key(|descriptor| descriptor.fd);
                let numbers = |all: &[u32]| format!("{all:?}");
                assert_eq!(
                    numbers(&found.iter().map(|each| each.fd).collect::<Vec<_>>()),
                    numbers(&expected.iter().map(|each| each.0).collect::<Vec<_>>()),
                    "{at}"
                );
                for (descriptor, (fd, target, position)) in found.iter().zip(expected) {
                    let shown = descriptor.name.as_ref().map(ToString::to_string).unwrap_or_default();
                    let file =
                        report.files.iter().find(|file| file.file_id == descriptor.file_id).expect("told");
                    // Of files with a path it is told beside it that they are deleted.
                    let json = serde_json::to_value(file).expect("JSON");
                    let is_removed = json["reg"].get("removed").is_some();
                    let mark = if is_removed { " (deleted)" } else { "" };
                    assert_eq!(format!("{shown}{mark}"), target, "{at} {fd}");
                    if descriptor.kind == "REG" && !target.starts_with("/dev/") {
                        assert_eq!(file.position_bytes, position, "{at} {fd}");
                    }
                    compared += 1;
                }
            }
            compared
        },
        200,
    );
}

/// Lines of `/proc/PID/maps` without device and inode, which are the host's.
#[test]
fn mappings() {
    compare(
        |name, checkpoint, truths| {
            let report = Maps::collect(checkpoint);
            let mut compared = 0;
            for process in &report.processes {
                let pid = process.process.pid;
                let Some(text) = truths.get(&pid).and_then(|truth| truth.text("maps")) else { continue };
                let words = |line: &str| -> String {
                    let mut words = line.split_whitespace();
                    let first: Vec<_> = words.by_ref().take(3).collect();
                    let name: Vec<_> = words.skip(2).collect();
                    [first, name].concat().join(" ")
                };
                let shown = |mapping: &ckx_core::inspect::maps::Mapping| {
                    let offset = mapping.offset_bytes.unwrap_or(0);
                    let name = mapping.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
                    let (start, end) = (mapping.start.0, mapping.end.0);
                    format!("{start:08x}-{end:08x} {} {offset:08x}{name}", mapping.permissions)
                };
                // Images have no mark for the page that 32-bit ARM returns from signal handlers by.
                let expected: Vec<String> =
                    text.lines().map(|line| words(line).replace(" [sigpage]", "")).collect();
                let found: Vec<String> = process.mappings.iter().map(shown).collect();
                assert_eq!(found, expected, "{name} {pid}");
                compared += found.len();
            }
            compared
        },
        200,
    );
}

/// The lines of `/proc/PID/maps`, byte for byte but for device and inode: no dump has inodes, and devices only
/// where it has the mounts.
#[test]
fn lines_of_procfs() {
    compare(
        |name, checkpoint, truths| {
            let report = Maps::collect(checkpoint);
            let mut compared = 0;
            for process in &report.processes {
                let pid = process.process.pid;
                let Some(text) = truths.get(&pid).and_then(|truth| truth.text("maps")) else { continue };
                for (expected, found) in text.lines().zip(process.procfs()) {
                    let found = String::from_utf8(found).expect("names of these dumps are text");
                    // The begin of the line, and of the name; and where that is.
                    let parts = |line: &str| {
                        let name = line.rfind("  ").map_or(line.len(), |at| at + 2);
                        let words: Vec<String> = line.split_whitespace().take(3).map(str::to_owned).collect();
                        (words, name, line.get(name..).map(str::to_owned))
                    };
                    // The page that 32-bit ARM returns from signal handlers by has no mark in images.
                    if !expected.ends_with("[sigpage]") && !expected.contains(" (deleted)") {
                        assert_eq!(parts(&found), parts(expected), "{name} {pid}");
                        compared += 1;
                    }
                }
            }
            compared
        },
        200,
    );
}
