//! Output does not depend on the number of threads.

use std::process::Command;

/// What a run with this many threads wrote.
fn output(threads: &str, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ckx"));
    command.args(arguments).env("RAYON_NUM_THREADS", threads);
    command.output().expect("ckx runs").stdout
}

#[test]
fn comparisons_are_the_same_with_any_number_of_threads() {
    let [a, b] = ["1", "2"].map(|number| format!("fixtures/checkpoints/nginx-crio-{number}.tar.zst"));
    for format in ["text", "json", "jsonl"] {
        let arguments = ["diff", "--with-dump", "--bytes", "--show-unchanged", "--format", format, &a, &b];
        let one = output("1", &arguments);
        assert!(one.len() > 5000, "{format}: {} bytes", one.len());
        for threads in ["2", "5"] {
            assert!(output(threads, &arguments) == one, "{format} with {threads} threads");
        }
    }
}
