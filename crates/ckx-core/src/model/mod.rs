//! The typed model: what the images say together.

pub mod arguments;
pub mod contents;
pub mod descriptors;
pub mod files;
pub mod process;
pub mod registers;

pub use contents::Contents;
pub use descriptors::DescriptorTables;
pub use files::FileTable;
pub use process::{Process, Processes, Thread};
