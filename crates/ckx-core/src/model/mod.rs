//! The typed model: what the images say together.

pub mod process;

pub use process::{Process, Processes, Thread};
