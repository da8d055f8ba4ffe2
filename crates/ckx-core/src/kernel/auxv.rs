//! The auxiliary vector.

/// What a value of the auxiliary vector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuxKind {
    /// A plain number.
    Number,
    /// An address, or bits.
    Hex,
    /// The address of a text.
    Text,
    /// The address of 16 random bytes.
    Random,
}

use AuxKind::{Hex, Number, Random, Text};

/// Entries by number.
const ENTRIES: &[(u64, &str, AuxKind)] = &[
    (0, "AT_NULL", Number),
    (1, "AT_IGNORE", Number),
    (2, "AT_EXECFD", Number),
    (3, "AT_PHDR", Hex),
    (4, "AT_PHENT", Number),
    (5, "AT_PHNUM", Number),
    (6, "AT_PAGESZ", Number),
    (7, "AT_BASE", Hex),
    (8, "AT_FLAGS", Hex),
    (9, "AT_ENTRY", Hex),
    (10, "AT_NOTELF", Number),
    (11, "AT_UID", Number),
    (12, "AT_EUID", Number),
    (13, "AT_GID", Number),
    (14, "AT_EGID", Number),
    (15, "AT_PLATFORM", Text),
    (16, "AT_HWCAP", Hex),
    (17, "AT_CLKTCK", Number),
    (18, "AT_FPUCW", Hex),
    (19, "AT_DCACHEBSIZE", Number),
    (20, "AT_ICACHEBSIZE", Number),
    (21, "AT_UCACHEBSIZE", Number),
    (22, "AT_IGNOREPPC", Number),
    (23, "AT_SECURE", Number),
    (24, "AT_BASE_PLATFORM", Text),
    (25, "AT_RANDOM", Random),
    (26, "AT_HWCAP2", Hex),
    (27, "AT_RSEQ_FEATURE_SIZE", Number),
    (28, "AT_RSEQ_ALIGN", Number),
    (29, "AT_HWCAP3", Hex),
    (30, "AT_HWCAP4", Hex),
    (31, "AT_EXECFN", Text),
    (32, "AT_SYSINFO", Hex),
    (33, "AT_SYSINFO_EHDR", Hex),
    (34, "AT_L1I_CACHESHAPE", Hex),
    (35, "AT_L1D_CACHESHAPE", Hex),
    (36, "AT_L2_CACHESHAPE", Hex),
    (37, "AT_L3_CACHESHAPE", Hex),
    (40, "AT_L1I_CACHESIZE", Number),
    (41, "AT_L1I_CACHEGEOMETRY", Hex),
    (42, "AT_L1D_CACHESIZE", Number),
    (43, "AT_L1D_CACHEGEOMETRY", Hex),
    (44, "AT_L2_CACHESIZE", Number),
    (45, "AT_L2_CACHEGEOMETRY", Hex),
    (46, "AT_L3_CACHESIZE", Number),
    (47, "AT_L3_CACHEGEOMETRY", Hex),
    (51, "AT_MINSIGSTKSZ", Number),
];

/// Name and kind of an entry.
pub(crate) fn aux_entry(number: u64) -> Option<(&'static str, AuxKind)> {
    let at = ENTRIES.binary_search_by_key(&number, |(known, ..)| *known).ok()?;
    ENTRIES.get(at).map(|(_, name, kind)| (*name, *kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found() {
        assert!(ENTRIES.is_sorted_by_key(|(number, ..)| *number));
        assert_eq!(aux_entry(6), Some(("AT_PAGESZ", Number)));
        assert_eq!(aux_entry(38), None);
    }
}
