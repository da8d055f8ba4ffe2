//! Where the parts of an XSAVE area of x86 lie.
//!
//! A CPU tells the places by `CPUID`, and images do not keep them. These are those of Intel's CPUs, which
//! debuggers take for granted in an area of this size.

/// x87 and SSE: what every area has.
pub(crate) const LEGACY: u64 = 0x3;
/// Upper halves of the YMM registers.
pub(crate) const YMM: u64 = 0x4;
/// Bounds, and their configuration: CPUs have both or none.
pub(crate) const MPX: u64 = 0x18;
/// Masks, upper halves of the first sixteen ZMM registers, the others whole.
pub(crate) const AVX512: u64 = 0xe0;
/// Protection keys.
pub(crate) const PKRU: u64 = 0x200;

/// Bytes of the legacy area.
pub(crate) const LEGACY_SIZE: usize = 512;
/// Where the legacy area tells which parts there are: bytes that the CPU leaves to software.
pub(crate) const FEATURES_AT: usize = 464;
/// End of the header behind the legacy area.
pub(crate) const HEADER_END: usize = 576;

/// Offsets of the parts.
pub(crate) const YMM_AT: usize = 576;
pub(crate) const BNDREGS_AT: usize = 960;
pub(crate) const BNDCSR_AT: usize = 1024;
pub(crate) const OPMASK_AT: usize = 1088;
pub(crate) const ZMM_UPPER_AT: usize = 1152;
pub(crate) const HI16_ZMM_AT: usize = 1664;
pub(crate) const PKRU_AT: usize = 2688;

/// Size of an area with these parts, in bytes.
pub(crate) fn area_size(features: u64) -> usize {
    let ends = [(YMM, 832), (MPX, OPMASK_AT), (AVX512, PKRU_AT), (PKRU, PKRU_AT + 8)];
    let present = ends.iter().filter(|(bits, _)| features & bits != 0);
    present.map(|(_, end)| *end).max().unwrap_or(HEADER_END)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_cpus() {
        // As `cpuid` and the notes of the kernel have them on such CPUs.
        let sizes = [LEGACY, LEGACY | YMM, 0x1f, 0xe7, 0xff, 0x207, 0x2ff].map(area_size);
        assert_eq!(sizes, [576, 832, 1088, 2688, 2688, 2696, 2696]);
    }
}
