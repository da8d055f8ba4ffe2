//! Bounds on what is followed, each with its reason.
//!
//! There is deliberately no bound on the size of a record, an image or a count: CRIU has none, and
//! nothing here allocates by a length that was not first compared with the bytes that are there.

/// How deep messages may nest before a record counts as unreadable.
///
/// protobuf libraries stop at 100; the deepest real tree (cgroup directories) is below 20.
pub const MAX_MESSAGE_DEPTH: usize = 100;

/// How deep wire-format groups may nest inside an unknown field. CRIU's schema has none at all.
pub const MAX_GROUP_DEPTH: usize = 32;

/// How many entries of a page map lie between two marks of its index.
///
/// A look-up walks at most this many entries after a binary search over the marks; one mark is 32
/// bytes, so the index of a map is about a fiftieth of its size.
pub const PAGEMAP_STRIDE: usize = 64;

/// The largest block that compressed page maps may use (4 MiB), as CRIU limits it.
pub const MAX_BLOCK_BYTES: u64 = 4 << 20;
