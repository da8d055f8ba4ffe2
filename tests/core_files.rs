//! Core files beside what gdb reads of them: registers that the programs are known to have held, threads,
//! texts, mappings. Without the corpus or gdb the tests say so.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Place of the corpus and a gdb that knows all machines; `None` says which is missing.
fn tools() -> Option<(PathBuf, &'static str)> {
    let Some(corpus) = std::env::var_os("CKX_CORPUS").map(PathBuf::from) else {
        println!("skipped: CKX_CORPUS names no corpus");
        return None;
    };
    let is_there = |gdb: &&str| Command::new(gdb).arg("--version").output().is_ok();
    let gdb = ["gdb-multiarch"].into_iter().find(is_there);
    if gdb.is_none() {
        println!("skipped: there is no gdb-multiarch");
    }
    Some((corpus, gdb?))
}

/// Unpacks the members of a bundle whose names begin so.
fn unpack(bundle: &Path, prefixes: &[&str], to: &Path) {
    let file = std::fs::File::open(bundle).expect("the bundle is there");
    let mut tar = tar::Archive::new(zstd::Decoder::new(file).expect("zstd"));
    for entry in tar.entries().expect("a tar") {
        let mut entry = entry.expect("a member");
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let name = name.trim_start_matches("./").to_owned();
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            entry.unpack_in(to).expect("room");
        }
    }
}

/// Writes the core file of the first process, or of this one.
fn core(source: &Path, pid: Option<u32>) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("room");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ckx"));
    command.arg("core").arg(source).arg("-o").arg(file.path());
    if let Some(pid) = pid {
        command.args(["--pid", &pid.to_string()]);
    }
    let output = command.output().expect("ckx runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*told), (Some(0), ""), "{}", source.display());
    file
}

/// What gdb says to these commands. It complains of nothing but files that are not on this machine.
fn gdb(gdb: &str, core: &Path, commands: &[&str]) -> String {
    let mut run = Command::new(gdb);
    run.args(["-nx", "-batch", "-ex", "set pagination off", "-ex", "set width 0"]);
    run.arg("-ex").arg(format!("core-file {}", core.display()));
    for command in commands {
        run.args(["-ex", command]);
    }
    let output = run.env("DEBUGINFOD_URLS", "").output().expect("gdb runs");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    let is_fault = |line: &&str| {
        let line = line.to_lowercase();
        (line.contains("warning") || line.contains("error")) && !line.contains("can't open file")
    };
    assert_eq!(text.lines().filter(is_fault).collect::<Vec<_>>(), [] as [&str; 0], "{text}");
    text
}

/// Values that gdb prints for expressions in hexadecimal, in each thread.
fn values(text: &str) -> Vec<u64> {
    let value = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        name.starts_with('$')
            .then(|| u64::from_str_radix(value.strip_prefix("0x").unwrap_or(value), 16).ok())?
    };
    text.lines().filter_map(value).collect()
}

/// Evaluates expressions in a thread, by its number in the dump.
fn registers(debugger: &str, core: &Path, lwp: u32, names: &[String]) -> Vec<u64> {
    let threads = gdb(debugger, core, &["info threads"]);
    let thread =
        threads.lines().find(|line| line.contains(&format!("LWP {lwp} ")) && !line.contains("New LWP"));
    let number = thread.and_then(|line| line.trim_start_matches(['*', ' ']).split_whitespace().next());
    let select = format!("thread {}", number.unwrap_or_else(|| panic!("no thread {lwp}: {threads}")));
    let mut commands = vec![select];
    commands.extend(names.iter().map(|name| format!("p/x {name}")));
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let found = values(&gdb(debugger, core, &commands));
    assert_eq!(found.len(), names.len(), "{names:?}");
    found
}

/// A name of a register with its value.
type Known = (String, u64);

fn check(debugger: &str, core: &Path, lwp: u32, known: &[Known]) {
    let names: Vec<String> = known.iter().map(|(name, _)| format!("${name}")).collect();
    let found = registers(debugger, core, lwp, &names);
    for ((name, expected), found) in known.iter().zip(found) {
        assert_eq!(found, *expected, "thread {lwp} {name}: {found:#x} and not {expected:#x}");
    }
}

/// Threads of a core in the order of their numbers.
fn threads(text: &str) -> Vec<u32> {
    let lwp = |line: &str| line.strip_prefix("[New LWP ")?.strip_suffix(']')?.parse().ok();
    let mut all: Vec<u32> = text.lines().filter_map(lwp).collect();
    all.sort_unstable();
    all
}

/// INDEX.md of x86_64: the registers of three threads.
#[test]
fn x86_64_registers_are_those_that_the_program_loaded() {
    let Some((corpus, debugger)) = tools() else { return };
    let place = tempfile::tempdir().expect("a directory");
    unpack(&corpus.join("qemu.tar.zst"), &["qemu/x86_64/kv/"], place.path());
    let core = core(&place.path().join("qemu/x86_64/kv"), None);
    let all = threads(&gdb(debugger, core.path(), &[]));
    assert_eq!(all.len(), 3);
    for (who, lwp) in (1u64..).zip(&all) {
        let base = 0x1111_0000_0000_0000 | who << 32;
        let mut known: Vec<Known> = [
            ("rbx", 0x0b),
            ("rdx", 0x0d),
            ("rsi", 0x51),
            ("rdi", 0xd1),
            ("rbp", 0xb9),
            ("r8", 8),
            ("r9", 9),
            ("r10", 0x10),
            ("r12", 0x12),
            ("r13", 0x13),
            ("r14", 0x14),
            ("r15", 0x15),
        ]
        .map(|(name, offset)| (name.to_owned(), base + offset))
        .into();
        known.push(("mxcsr".to_owned(), 0x1fa0));
        for register in 0..16u64 {
            for lane in 0..4 {
                let value = 0xf000_0000_0000_0000 | who << 48 | register << 8 | lane;
                known.push((format!("ymm{register}.v4_int64[{lane}]"), value));
            }
        }
        check(debugger, core.path(), *lwp, &known);
    }
    let text =
        gdb(debugger, core.path(), &["p $st0", "p $st1", "x/s 0x4bf110", "info proc mappings", "info auxv"]);
    assert!(text.contains("2.718281828459045") && text.contains("1234.5"), "{text}");
    assert!(text.contains("\"DATA-STRING-NOT-REAL\""), "{text}");
    assert!(text.contains("/usr/local/bin/kv") && text.contains("AT_PAGESZ"), "{text}");
}

/// INDEX.md of aarch64.
#[test]
fn aarch64_registers_are_those_that_the_program_loaded() {
    let Some((corpus, debugger)) = tools() else { return };
    let place = tempfile::tempdir().expect("a directory");
    unpack(&corpus.join("qemu.tar.zst"), &["qemu/aarch64/kv/"], place.path());
    let core = core(&place.path().join("qemu/aarch64/kv"), None);
    let all = threads(&gdb(debugger, core.path(), &[]));
    assert_eq!(all.len(), 3);
    for (who, lwp) in (1u64..).zip(&all) {
        let base = 0x1111_0000_0000_0000 | who << 32;
        let general = if who == 3 {
            (0..31).collect()
        } else {
            [5u64, 6, 7].into_iter().chain(9..31).collect::<Vec<u64>>()
        };
        let mut known: Vec<Known> =
            general.iter().map(|number| (format!("x{number}"), base + number)).collect();
        known.extend([("fpsr".to_owned(), 0x11), ("fpcr".to_owned(), 0x00c0_0000)]);
        for register in 0..32u64 {
            let low = 0xf000_0000_0000_0000 | who << 48 | register << 8;
            known.extend([(format!("v{register}.d.u[0]"), low), (format!("v{register}.d.u[1]"), low | 1)]);
        }
        check(debugger, core.path(), *lwp, &known);
    }
}

/// INDEX.md of the three other machines: one thread holds doubles, another vectors; general registers are told by
/// thread, and some are taken by the system call.
#[test]
fn other_machines_have_their_known_registers() {
    let Some((corpus, debugger)) = tools() else { return };
    let place = tempfile::tempdir().expect("a directory");
    let dumps = ["s390x", "ppc64el", "armhf"].map(|machine| format!("qemu/{machine}/basic-1/"));
    unpack(&corpus.join("qemu.tar.zst"), &dumps.each_ref().map(|dump| dump.as_str()), place.path());
    for (machine, general, double) in [("s390x", "r", "f"), ("ppc64el", "r", "f"), ("armhf", "r", "d")] {
        let core = core(&place.path().join(format!("qemu/{machine}/basic-1")), None);
        let all = threads(&gdb(debugger, core.path(), &[]));
        assert_eq!(all.len(), 3, "{machine}");
        // regs-fp: doubles from 1000.5 on.
        let text = gdb(debugger, core.path(), &["thread apply all info all-registers"]);
        let has_double = |number: u32| {
            let value = format!("{}.5", 1000 + number);
            text.lines().any(|line| line.starts_with(&format!("{double}{number} ")) && line.contains(&value))
        };
        let found = (0..16).filter(|number| has_double(*number)).count();
        assert!(found >= 12, "{machine}: {found} doubles");
        // GPR i = 0xA500000000000000 | (t+1)<<48 | 0x112233440000 | i, of 32 bits the low half.
        for thread in [0u64, 1] {
            let holds = |number: u64| {
                let whole = 0xa500_0000_0000_0000 | (thread + 1) << 48 | 0x1122_3344_0000 | number;
                let value = if machine == "armhf" { whole & 0xffff_ffff } else { whole };
                let value = format!("{value:#x}");
                text.lines()
                    .any(|line| line.starts_with(&format!("{general}{number} ")) && line.contains(&value))
            };
            let found = (2..14).filter(|number| holds(*number)).count();
            assert!(found >= 5, "{machine}: {found} general registers");
        }
    }
}

/// What a container's Python held: the same values as in the images, and the texts that are known to be there.
#[test]
fn containers_open_with_threads_texts_and_environment() {
    let Some((corpus, debugger)) = tools() else { return };
    let place = tempfile::tempdir().expect("a directory");
    unpack(&corpus.join("archives/podman.tar.zst"), &["python-1.tar"], place.path());
    let source = place.path().join("python-1.tar");
    let core_file = core(&source, Some(1));
    let found = Command::new(env!("CARGO_BIN_EXE_ckx"))
        .args(["grep", "-F", "--json", "--pid", "1", "hunter2-not-real"])
        .arg(&source)
        .output()
        .expect("ckx runs");
    let found = String::from_utf8(found.stdout).expect("JSON");
    let addresses: Vec<u64> = found
        .lines()
        .filter_map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let address = event["places"][0]["address"].as_str()?.strip_prefix("0x")?.to_owned();
            u64::from_str_radix(&address, 16).ok()
        })
        .collect();
    assert!(addresses.len() >= 4, "{found}");
    let commands: Vec<String> = addresses.iter().map(|address| format!("x/s {address:#x}")).collect();
    let mut commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    commands.extend(["info threads", "info proc mappings"]);
    let text = gdb(debugger, core_file.path(), &commands);
    assert_eq!(text.matches("hunter2-not-real").count(), addresses.len(), "{text}");
    assert_eq!(threads(&text).len(), 6);
    assert!(text.contains("/usr/bin/python3.11"), "{text}");
    assert!(text.contains("Core was generated by `/usr/bin/python3 /app/app.py'"), "{text}");
    // A compressed source gives the same bytes.
    let packed = place.path().join("python-1.tar.zst");
    let data = std::fs::read(&source).expect("it is there");
    std::fs::write(&packed, zstd::encode_all(&data[..], 1).expect("zstd")).expect("room");
    let again = core(&packed, Some(1));
    assert!(
        std::fs::read(again.path()).expect("it is there")
            == std::fs::read(core_file.path()).expect("it is there")
    );
}

#[test]
fn redis_opens_with_its_threads() {
    let Some((corpus, debugger)) = tools() else { return };
    let place = tempfile::tempdir().expect("a directory");
    unpack(&corpus.join("qemu.tar.zst"), &["qemu/x86_64/redis/", "qemu/aarch64/redis/"], place.path());
    for machine in ["x86_64", "aarch64"] {
        let core = core(&place.path().join(format!("qemu/{machine}/redis")), None);
        let text = gdb(debugger, core.path(), &["info threads", "thread apply all p/x $sp"]);
        assert_eq!(threads(&text).len(), 5, "{machine}");
        assert!(text.contains("Core was generated by `redis-server"), "{text}");
        assert_eq!(values(&text).iter().filter(|sp| **sp > 0x1000).count(), 5, "{text}");
    }
}
