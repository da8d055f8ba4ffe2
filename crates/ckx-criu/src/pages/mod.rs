//! Page maps: which page of a process is where.
//!
//! A `pagemap-*.img` is a head with the number of a pages file, then entries, each a run of pages
//! with flags. The pages file has no structure of its own: its content is the pages of all
//! `PE_PRESENT` entries in map order. So the place of a page is a sum over the entries before it.
//!
//! Three generations differ in their fields and are the same here: images without flags (an entry
//! is present unless `in_parent`), with flags and a 32-bit count, and those of CRIU 4.2 with a
//! 64-bit count beside a zero in the old field. Newer ones may store pages in compressed blocks.
//!
//! # Folklore
//!
//! * `PE_LAZY` beside `PE_PRESENT` says only that the page *may* be fetched on demand: plain dumps
//!   have it on all private anonymous memory. Without `PE_PRESENT` it means the page is not here.
//! * CRIU writes runs of at most 256 pages, because of its pipes. Nothing may rely on it.
//! * The page size is not stored. [`page_size_of`] takes it from the auxiliary vector of the
//!   process and [`page_size_from_file`] checks it against the size of the pages file.

mod blocks;
mod entry;
mod map;

pub use blocks::{Block, BlockEncoding, Blocks};
pub use entry::{PE_LAZY, PE_PARENT, PE_PAYLOAD_ALIGNED, PE_PRESENT, PageEntries, PageEntry};
pub use map::{PageIndex, PageMap, PagePlace, PageRun, PageTotals, Residency};

/// `AT_PAGESZ`: page size of the process, in the auxiliary vector.
const AT_PAGESZ: u64 = 6;

/// Page size in bytes from the auxiliary vector of an `mm` image (`mm_saved_auxv`: types and
/// values in turn). `None` when it has none or one that no machine has.
///
/// The vector of a 32-bit process of a 64-bit host has both in one word, the type in the low half.
pub fn page_size_of(mm_saved_auxv: &[u64]) -> Option<u64> {
    let pairs = mm_saved_auxv.as_chunks::<2>().0.iter().map(|[kind, value]| (*kind, *value));
    let halves = mm_saved_auxv.iter().map(|word| (word & u64::from(u32::MAX), word >> 32));
    page_size_in(pairs).or_else(|| page_size_in(halves))
}

fn page_size_in(vector: impl Iterator<Item = (u64, u64)>) -> Option<u64> {
    vector
        .take_while(|(kind, _)| *kind != 0)
        .find(|(kind, _)| *kind == AT_PAGESZ)
        .map(|(_, size)| size)
        .filter(|size| is_page_size(*size))
}

/// Page size in bytes by which `present_pages` pages fill a pages file of `file_bytes` bytes.
pub fn page_size_from_file(present_pages: u64, file_bytes: u64) -> Option<u64> {
    let size = file_bytes.checked_div(present_pages)?;
    (size.checked_mul(present_pages) == Some(file_bytes) && is_page_size(size)).then_some(size)
}

/// Whether a machine that CRIU runs on may have this page size: powers of two, 4 KiB to 64 KiB.
fn is_page_size(size: u64) -> bool {
    size.is_power_of_two() && (4096..=65536).contains(&size)
}

#[cfg(test)]
mod tests {
    use super::page_size_of;

    #[test]
    fn page_size_of_wide_and_narrow_processes() {
        assert_eq!(page_size_of(&[33, 0x7fff_0000_1000, 6, 65536, 17, 100]), Some(65536));
        assert_eq!(page_size_of(&[32 | 0xf7f0_0000 << 32, 6 | 4096 << 32, 0]), Some(4096));
        assert_eq!(page_size_of(&[33, 1, 0, 0, 6, 4096]), None, "the vector ends at type 0");
        assert_eq!(page_size_of(&[6, 4095]), None);
        assert_eq!(page_size_of(&[]), None);
    }
}
