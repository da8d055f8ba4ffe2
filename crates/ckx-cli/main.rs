//! `ckx`: see the crate `ckx-cli`.

fn main() -> std::process::ExitCode {
    ckx_cli::main()
}
