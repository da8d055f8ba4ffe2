//! Links the unwinder into the program, where the toolchain has it as an archive.
//!
//! Otherwise `libgcc_s.so` is loaded at each start, which takes a fifth of the time that `ckx` needs
//! for a small image. Without the archive the program is the same and starts a little later.

use std::env;
use std::path::Path;
use std::process::Command;

const ARCHIVE: &str = "libgcc_eh.a";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |key: &str| env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    let native = env::var("HOST") == env::var("TARGET");
    if native
        && target("OS") == "linux"
        && target("ENV") == "gnu"
        && let Some(folder) = folder_of_archive()
    {
        println!("cargo:rustc-link-search=native={folder}");
        println!("cargo:rustc-link-lib=static:-bundle,+verbatim={ARCHIVE}");
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
