//! What the program file itself promises.

#![allow(clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// The part of an ELF file that names its loader.
const PT_INTERP: u32 = 3;

/// Types of the program headers of a 64-bit little-endian ELF file.
fn program_headers(file: &[u8]) -> Vec<u32> {
    let number = |at: usize, len: usize| {
        file[at..at + len].iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    assert_eq!(&file[..6], b"\x7fELF\x02\x01");
    let (start, size, count) = (number(32, 8) as usize, number(54, 2) as usize, number(56, 2) as usize);
    (0..count).map(|index| number(start + index * size, 4) as u32).collect()
}

/// It can be copied to the machine where a checkpoint lies.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64", target_endian = "little"))]
fn no_library_is_loaded() {
    let archive = |name: &str| {
        let output = Command::new("cc").arg(format!("-print-file-name={name}")).output().unwrap();
        Path::new(String::from_utf8(output.stdout).unwrap().trim()).is_absolute()
    };
    let may_be_static = ["libc.a", "libm.a", "libgcc_eh.a", "libgcc.a"].into_iter().all(archive);
    let was_asked = ["CKX_DYNAMIC", "CKX_PIE"].iter().any(|name| std::env::var_os(name).is_some());
    if was_asked || !may_be_static {
        println!("skipped: the program is not built without libraries here");
        return;
    }
    let headers = program_headers(&fs::read(env!("CARGO_BIN_EXE_ckx")).unwrap());
    assert!(!headers.contains(&PT_INTERP), "{headers:?}");
}
