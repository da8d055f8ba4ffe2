//! Makes a checkpoint with very many processes, or a process with very many mappings. For measuring.
//!
//! `cargo run --release -p ckx-testkit --example crowd -- processes 100000 DIR`, or `mappings 1000000 DIR`.

#![allow(clippy::print_stderr)]

use std::io;
use std::path::Path;

use ckx_testkit::SynthCheckpoint;

const PAGE: u64 = 4096;
const START: u64 = 0x1000_0000;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, what, count, place] = args.as_slice() else {
        eprintln!("usage: crowd processes|mappings COUNT DIR");
        std::process::exit(2);
    };
    let count: u64 = count.parse().map_err(io::Error::other)?;
    let made = match what.as_str() {
        "processes" => (1..=count).fold(SynthCheckpoint::new(), |made, pid| {
            made.process(pid, pid / 2, |process| process.comm("crowd").usual_memory())
        }),
        _ => SynthCheckpoint::new().process(1, 0, |process| {
            (0..count).fold(process.comm("crowd"), |process, at| {
                let start = START + at * 2 * PAGE;
                process.file_vma(start, start + PAGE, 5, format!("/lib/{at}.so").as_bytes(), 0)
            })
        }),
    };
    made.build().write_to(Path::new(place))
}
