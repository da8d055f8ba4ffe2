//! The `ckx` command: arguments, output, exit codes. A library, so that all of it can be tested
//! without a process.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | done, and the answer is "different" or "not found" |
//! | 2 | wrong usage, or an input that cannot be read at all |
//! | 3 | done as far as damaged input allows; what is missing was said |

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cmd;
mod complete;
mod error;
mod inputs;
mod members;
mod output;
mod progress;
mod range;
mod registry;
mod render;
mod restore_yaml;
mod source;
mod ui;

use std::process::ExitCode;

pub use cmd::command;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let mut ui = ui::Ui::from_process();
    let code = cmd::run(std::env::args_os(), &mut ui);
    ExitCode::from(code)
}
