//! The typed model: what the images say together.

pub mod arguments;
pub mod container;
pub mod contents;
pub mod descriptors;
mod dump_log;
pub mod files;
pub mod mappings;
mod mounts;
pub mod process;
pub mod registers;
mod sizes;

pub use container::Container;
pub use contents::Contents;
pub use descriptors::DescriptorTables;
pub use dump_log::{DumpLog, Gap, LogLine};
pub use files::FileTable;
pub use mounts::{Mount, MountNamespace, mounts};
pub use process::{Process, Processes, Thread};
pub use sizes::{Purpose, Size, images_bytes, sizes};
