//! Makes the program start fast: for a small image, starting is most of what `ckx` does.
//!
//! - The unwinder is linked into it, where the toolchain has it as an archive. Otherwise `libgcc_s.so`
//!   is loaded at each start.
//! - It is linked to a fixed address. Otherwise the loader writes the addresses of some twenty thousand
//!   vtables, names and places of panics at each start, which copies a hundred pages and takes a quarter
//!   of the time. Libraries, heap, stack and mappings are placed at random all the same. Who wants the
//!   program itself to be placed at random too builds with `CKX_PIE=1`.

use std::env;
use std::path::Path;
use std::process::Command;

const ARCHIVE: &str = "libgcc_eh.a";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CKX_PIE");
    let target = |key: &str| env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    let native = env::var("HOST") == env::var("TARGET");
    if !native || target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    if let Some(folder) = folder_of_archive() {
        println!("cargo:rustc-link-search=native={folder}");
        println!("cargo:rustc-link-lib=static:-bundle,+verbatim={ARCHIVE}");
    }
    let wants_pie = env::var_os("CKX_PIE").is_some_and(|value| value != "0");
    if !wants_pie {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}

/// Where the C compiler keeps the archive. It answers with the bare name if it has none.
fn folder_of_archive() -> Option<String> {
    let output = Command::new("cc").arg(format!("-print-file-name={ARCHIVE}")).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    let path = Path::new(answer.trim());
    let folder = path.parent().filter(|_| path.is_absolute() && path.exists())?;
    Some(folder.to_str()?.to_owned())
}
