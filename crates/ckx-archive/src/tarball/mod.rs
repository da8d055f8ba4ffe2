//! Tar: members of a mapped file as windows, members of a stream as they come.
//!
//! Both ways give the same [`TarMember`]s. A tar has no index; of a mapped one only the headers are
//! touched, so listing it costs its number of members and not its size.

mod index;
mod member;
mod sparse;
mod stream;

pub use index::{TarIndex, content, index};
pub use member::{EntryKind, TarMember, normal_name};
pub use sparse::Segment;
pub use stream::{Step, stream};

use std::fmt;

/// Where and why a tar could not be read further. What comes before is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarFault {
    /// Offset in the tar, in bytes, of the header that could not be read, or of what follows the
    /// last good member.
    pub offset: u64,
    /// Why.
    pub reason: String,
}

impl fmt::Display for TarFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tar cannot be read from offset {:#x} on: {}", self.offset, self.reason)
    }
}

impl std::error::Error for TarFault {}

/// Whether a file begins like a tar: its first header has the mark of POSIX or GNU.
pub fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}
