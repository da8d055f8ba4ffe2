//! The typed model: what the images say together.

pub mod arguments;
pub mod files;
pub mod process;

pub use files::FileTable;
pub use process::{Process, Processes, Thread};
