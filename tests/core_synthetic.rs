//! Core files of checkpoints that the tests make: a program compiled here with values chosen here, memory that
//! is missing, processes that cannot be debugged, more mappings than the header of an ELF file counts.

#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::{Command, Output};

use ckx_testkit::presets::Layout;
use ckx_testkit::{Arch, Regs, SynthCheckpoint};

fn is_there(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok();
    if !there {
        println!("skipped: there is no {tool}");
    }
    there
}

fn ckx(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ckx")).arg("core").args(arguments).output().expect("ckx runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What gdb says. Nothing in it may be a complaint.
fn gdb(program: Option<&Path>, core: &Path, commands: &[&str]) -> String {
    let mut run = Command::new("gdb");
    run.args(["-nx", "-batch", "-iex", "set width 0"]);
    run.args(program).arg("-c").arg(core);
    run.args(commands.iter().flat_map(|command| ["-ex", command]));
    let output = run.env("DEBUGINFOD_URLS", "").output().expect("gdb runs");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.to_lowercase().contains("warning"), "{said}");
    said
}

/// Tools that read ELF files find nothing to complain of.
fn is_sound(core: &Path) {
    for (tool, arguments) in [("readelf", &["-a", "-W"][..]), ("eu-readelf", &["-h", "-l", "-n"])] {
        if is_there(tool) {
            let output = Command::new(tool).args(arguments).arg(core).output().expect("it runs");
            let said = text(&output.stderr);
            // The number of many segments stands in the info field of the first section, as the format has it;
            // readelf wonders at it also in core files of the kernel.
            let faults = said.lines().filter(|line| !line.is_empty() && !line.contains("in info field"));
            assert!(output.status.success() && faults.count() == 0, "{tool}: {said}");
        }
    }
}

const PROGRAM: &str = "
int counter = 1;
char *word = \"of the file\";
__attribute__((noinline)) void waits_here(void) { for (;;) __asm__ volatile(\"\" : \"+m\"(counter)); }
void _start(void) { waits_here(); }
";

/// Address of a symbol.
fn symbol(program: &Path, name: &str) -> u64 {
    let output = Command::new("nm").arg(program).output().expect("nm runs");
    let listed = text(&output.stdout);
    let line = listed.lines().find(|line| line.ends_with(&format!(" {name}"))).expect("the symbol is there");
    u64::from_str_radix(line.split(' ').next().expect("an address"), 16).expect("hexadecimal")
}

#[test]
fn a_program_that_was_compiled_here_holds_what_the_dump_says() {
    if cfg!(not(target_arch = "x86_64")) || !["gdb", "cc", "nm"].into_iter().all(is_there) {
        return;
    }
    let place = tempfile::tempdir().expect("room");
    let (source, program) = (place.path().join("prog.c"), place.path().join("prog"));
    std::fs::write(&source, PROGRAM).expect("room");
    let mut cc = Command::new("cc");
    cc.args(["-g", "-static", "-nostdlib", "-no-pie", "-o"]).arg(&program).arg(&source);
    assert!(cc.status().expect("cc runs").success());
    let (counter, code) = (symbol(&program, "counter"), symbol(&program, "waits_here"));
    let (data, stack) = (counter & !0xfff, 0x7ffc_0000_0000);
    let mut page = vec![0; 4096];
    page[(counter - data) as usize..][..4].copy_from_slice(&424_242_u32.to_le_bytes());
    let path = program.to_str().expect("text").to_owned();
    let checkpoint = SynthCheckpoint::new()
        .process(7, 1, |process| {
            process
                .comm("prog")
                .exe(&path)
                .regs(Regs::new(code, stack + 0x800, 0x1234_5000))
                .thread(8)
                .file_vma(code & !0xfff, (code & !0xfff) + 0x1000, 5, &path, 0x1000)
                .file_vma(data, data + 0x1000, 3, &path, 0x3000)
                .vma(stack, stack + 0x1000, 3, 0x122, 0x201)
                .pages(data, &page)
                .pages(stack, b"text on the stack")
        })
        .build();
    let images = place.path().join("images");
    checkpoint.write_to(&images).expect("room");
    let core = place.path().join("core");
    let written = ckx(&[images.to_str().expect("text"), "-o", core.to_str().expect("text")]);
    assert_eq!((written.status.code(), text(&written.stderr)), (Some(0), String::new()));
    is_sound(&core);
    let said = gdb(
        Some(&program),
        &core,
        &[
            "info threads",
            "thread 1",
            "bt",
            "p counter",
            "p word",
            "p/x $pc",
            "p/x $sp",
            "p/x $fs_base",
            "p/x $r15",
            "x/s 0x7ffc00000000",
            "thread 2",
            "p/x $r15",
        ],
    );
    // Registers that are not chosen hold the thread's id in their upper part.
    for expected in [
        "LWP 8",
        "waits_here () at ",
        "$1 = 424242",
        &format!("$3 = {code:#x}"),
        "$4 = 0x7ffc00000800",
        "$5 = 0x12345000",
        "$6 = 0x700000000abcd",
        "0x7ffc00000000:\t\"text on the stack\"",
        "$7 = 0x800000000abcd",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn memory_that_is_missing_is_told_and_reads_as_missing() {
    let place = tempfile::tempdir().expect("room");
    let at = 0x7000_0000_0000;
    let checkpoint = SynthCheckpoint::new()
        .process(7, 1, |process| {
            process
                .vma(at, at + 0x8000, 3, 0x22, 0x201)
                .pages(at, b"here")
                .lazy(at + 0x1000, 2)
                .in_parent(at + 0x4000, 1)
        })
        .build();
    checkpoint.write_to(place.path()).expect("room");
    let core = place.path().join("core");
    let written = ckx(&[place.path().to_str().expect("text"), "-o", core.to_str().expect("text")]);
    assert_eq!(written.status.code(), Some(3));
    let told = text(&written.stderr);
    assert!(
        told.contains("2 pages in 1 parts from 0x700000001000 on") && told.contains("--parent"),
        "{told}"
    );
    is_sound(&core);
    if is_there("gdb") {
        let show = ["x/s 0x700000000000", "x/gx 0x700000003000", "x/gx 0x700000001000"];
        let said = gdb(None, &core, &show);
        assert!(said.contains("\"here\"") && said.contains("0x700000003000:\t0x0000000000000000"), "{said}");
        assert!(said.contains("Cannot access memory at address 0x700000001000"), "{said}");
        let said = gdb(None, &core, &["x/gx 0x700000004000"]);
        assert!(said.contains("Cannot access memory at address 0x700000004000"), "{said}");
    }
}

#[test]
fn processes_without_memory_or_known_machine_are_refused() {
    for (arch, reason) in [
        (Arch::RiscV64, "it ran on riscv64, of which no core files are made"),
        (Arch::Mips, "it ran on mips, of which no core files are made"),
        (Arch::LoongArch64, "it ran on loongarch64, of which no core files are made"),
        (Arch::X86_64, "it had ended: a zombie has no memory and no registers"),
    ] {
        let place = tempfile::tempdir().expect("room");
        let checkpoint = SynthCheckpoint::new().arch(arch).process(1, 0, |process| {
            if arch == Arch::X86_64 { process.zombie(0) } else { process.usual_memory() }
        });
        checkpoint.build().write_to(place.path()).expect("room");
        let core = place.path().join("core");
        let arguments =
            ["--pid", "1", place.path().to_str().expect("text"), "-o", core.to_str().expect("text")];
        let refused = ckx(&arguments);
        assert_eq!(refused.status.code(), Some(2), "{arch:?}");
        assert!(text(&refused.stderr).contains(reason), "{arch:?}: {}", text(&refused.stderr));
        assert!(!core.exists(), "{arch:?}");
    }
}

/// 32-bit code on a 64-bit machine, and a thread with the widest registers beside one without.
#[test]
fn other_states_of_x86_open_without_a_complaint() {
    for (compat, extras) in [(true, false), (true, true), (false, true)] {
        let place = tempfile::tempdir().expect("room");
        let at = Layout::new(Arch::X86_64, compat);
        let regs = Regs { extras, ..Regs::new(at.text + 0x10, at.stack_end - 0x100, at.anon + 0x740) };
        let checkpoint = SynthCheckpoint::new().process(7, 1, |process| {
            let process = process.usual_memory().regs(regs).thread(8);
            if compat { process.compat() } else { process }
        });
        checkpoint.build().write_to(place.path()).expect("room");
        let core = place.path().join("core");
        let written = ckx(&[place.path().to_str().expect("text"), "-o", core.to_str().expect("text")]);
        assert_eq!((written.status.code(), text(&written.stderr)), (Some(0), String::new()));
        is_sound(&core);
        if is_there("gdb") {
            // The program is nowhere: what it mapped is found nowhere, and that is all there is to say.
            let sysroot = place.path().join("root/usr/bin");
            std::fs::create_dir_all(&sysroot).expect("room");
            std::fs::write(sysroot.join("app"), b"any").expect("room");
            let root = format!("set sysroot {}", place.path().join("root").display());
            let mut run = Command::new("gdb");
            run.args(["-nx", "-batch", "-iex", &root, "-c"]).arg(&core);
            run.args(["-ex", "thread apply all p/x $pc", "-ex", "thread apply all p/x $sp"]);
            let output = run.env("DEBUGINFOD_URLS", "").output().expect("gdb runs");
            let said = text(&output.stdout) + &text(&output.stderr);
            assert!(!said.to_lowercase().contains("warning"), "{said}");
            for value in [at.text + 0x10, at.stack_end - 0x100] {
                assert!(said.contains(&format!(" = {value:#x}")), "{value:#x}: {said}");
            }
        }
    }
}

#[test]
fn more_mappings_than_the_header_counts_are_all_there() {
    let place = tempfile::tempdir().expect("room");
    let count = 70_000_u64;
    let start = 0x10_0000_0000_u64;
    let checkpoint = SynthCheckpoint::new().process(7, 1, |process| {
        (0..count).fold(process, |process, number| {
            let at = start + number * 0x2000;
            process.vma(at, at + 0x1000, 3, 0x22, 0x201)
        })
    });
    checkpoint.build().write_to(place.path()).expect("room");
    let core = place.path().join("core");
    let written = ckx(&[place.path().to_str().expect("text"), "-o", core.to_str().expect("text")]);
    assert_eq!((written.status.code(), text(&written.stderr)), (Some(0), String::new()));
    if is_there("eu-readelf") {
        let output = Command::new("eu-readelf").args(["-h", "-l"]).arg(&core).output().expect("it runs");
        let loads = text(&output.stdout).lines().filter(|line| line.trim_start().starts_with("LOAD")).count();
        assert_eq!((loads as u64, text(&output.stderr)), (count, String::new()));
    }
    if is_there("readelf") {
        // The number is in the section that is there for it, which readelf wonders at with other options.
        let output = Command::new("readelf").args(["-h"]).arg(&core).output().expect("it runs");
        let said = text(&output.stdout);
        // One more for the notes.
        assert!(said.contains(&format!("65535 ({})", count + 1)), "{said}");
    }
}

/// The name that a process's file gets can be that of the source.
#[test]
fn the_source_is_never_written_over() {
    let place = tempfile::tempdir().expect("room");
    let source = place.path().join("web.1");
    std::fs::copy("fixtures/checkpoints/nginx-crio-1.tar.zst", &source).expect("room");
    let before = std::fs::read(&source).expect("it is there");
    let output = place.path().join("web");
    let arguments = ["--all", source.to_str().expect("text"), "-o", output.to_str().expect("text")];
    let refused = ckx(&arguments);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("is an input and will not be overwritten"));
    assert!(std::fs::read(&source).expect("it is there") == before);
}
