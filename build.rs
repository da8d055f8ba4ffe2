//! Makes the program start fast, and makes it one file that needs no library of the machine: for a small
//! image, starting is most of what `ckx` does, and the machine where a checkpoint lies is seldom the one
//! where the program was built.
//!
//! - The C library and the unwinder are linked into it. Loading and binding them takes a quarter of the
//!   time at each start.
//! - It is linked to a fixed address. Otherwise the addresses of some twenty thousand vtables, names and
//!   places of panics are written at each start, which copies a hundred pages and takes another quarter.
//!   Heap, stack and mappings are placed at random all the same.
//!
//! `CKX_DYNAMIC=1` while building loads the C library, `CKX_PIE=1` loads it too and has the program placed
//! at random. Where the C compiler has no archive of the C library, it is loaded in any case.
//!
//! The target feature `crt-static` would do the first part, but it is set for all crates or none, from
//! outside, and fails to link where the archive is missing.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The shared libraries that the compiler asks for, and the archives that take their place.
const LIBRARIES: [(&str, &[&str]); 3] =
    [("libc.so", &["libc.a", UNWINDER, "libgcc.a"]), ("libgcc_s.so", &[UNWINDER]), ("libm.so", &["libm.a"])];

const UNWINDER: &str = "libgcc_eh.a";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for variable in ["CKX_DYNAMIC", "CKX_PIE"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let target = |key: &str| env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    let native = env::var("HOST") == env::var("TARGET");
    if !native || target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    let wants = |variable: &str| env::var_os(variable).is_some_and(|value| value != "0");
    if wants("CKX_PIE") {
        return link_unwinder();
    }
    println!("cargo:rustc-link-arg-bins=-no-pie");
    match stand_ins() {
        Some(folder) if !wants("CKX_DYNAMIC") => {
            println!("cargo:rustc-link-arg-bins=-L{}", folder.display());
            println!("cargo:rustc-link-arg-bins=-static");
        }
        _ => link_unwinder(),
    }
}

/// Links the unwinder alone, where there is an archive of it. Otherwise `libgcc_s.so` is loaded at each start.
fn link_unwinder() {
    if let Some(folder) = archive(UNWINDER).as_deref().and_then(Path::parent) {
        println!("cargo:rustc-link-search=native={}", folder.display());
        println!("cargo:rustc-link-lib=static:-bundle,+verbatim={UNWINDER}");
    }
}

/// A folder with linker scripts under the names of shared libraries that lead to the archives. The compiler
/// asks for these libraries whatever we say; what is found first is taken. `None` if an archive is missing.
fn stand_ins() -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("OUT_DIR")?).join("static");
    fs::create_dir_all(&folder).ok()?;
    for (library, archives) in LIBRARIES {
        let mut script = String::from("GROUP (");
        for name in archives {
            write!(script, " \"{}\"", archive(name)?.display()).ok()?;
        }
        fs::write(folder.join(library), script + " )\n").ok()?;
    }
    Some(folder)
}

/// Where the C compiler keeps an archive. It answers with the bare name if it has none.
fn archive(name: &str) -> Option<PathBuf> {
    let output = Command::new("cc").arg(format!("-print-file-name={name}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    (path.is_absolute() && path.exists()).then_some(path)
}
