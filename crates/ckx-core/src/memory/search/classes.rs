//! Which bytes of a block are printable, and which are zero, as bits.

/// Bytes of a block: one for each bit.
pub(super) const BLOCK: usize = 64;

/// What the bytes of a block are; the lowest bit is for the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Classes {
    pub printable: u64,
    pub zero: u64,
}

/// Printable, as `strings` has it: ASCII from the space to the tilde, and tabs.
pub(super) const fn is_printable(byte: u8) -> bool {
    byte.wrapping_sub(0x20) < 0x5f || byte == b'\t'
}

impl Classes {
    /// Of the block at an offset. What lies behind the end is neither.
    pub fn at(bytes: &[u8], offset: usize) -> Self {
        let rest = bytes.get(offset..).unwrap_or_default();
        match rest.first_chunk::<BLOCK>() {
            Some(block) => Self::of(block),
            None => {
                let mut block = [0xff; BLOCK];
                for (byte, other) in block.iter_mut().zip(rest) {
                    *byte = *other;
                }
                Self::of(&block)
            }
        }
    }

    // Plain loops over arrays: the compiler makes vector instructions of them.
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut printable = [0; BLOCK];
        let mut zero = [0; BLOCK];
        for ((byte, printable), zero) in block.iter().zip(&mut printable).zip(&mut zero) {
            *printable = u8::from(byte.wrapping_sub(0x20) < 0x5f) | u8::from(*byte == b'\t');
            *zero = u8::from(*byte == 0);
        }
        Self { printable: bits(&printable), zero: bits(&zero) }
    }
}

/// Bytes that are 0 or 1 as bits.
fn bits(bytes: &[u8; BLOCK]) -> u64 {
    let mut all = 0;
    for (at, eight) in bytes.as_chunks::<8>().0.iter().enumerate() {
        // The product brings the lowest bits of the eight bytes together in its highest byte.
        let packed = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        all |= packed << (8 * at);
    }
    all
}

/// Bits behind which, `step` bits apart, `count` are set in a row, the bit itself being the first.
pub(super) fn rows(mask: u128, count: usize, step: usize) -> u64 {
    let mut rows = mask;
    let mut have = 1;
    while have < count {
        let more = have.min(count - have);
        rows &= rows >> (more * step);
        have += more;
    }
    rows as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_say_what_bytes_are() {
        let bytes: Vec<u8> = (0..=255).collect();
        for offset in [0, 1, 63, 200, 255, 300] {
            let classes = Classes::at(&bytes, offset);
            for bit in 0..BLOCK {
                let byte = bytes.get(offset + bit).copied();
                assert_eq!(
                    classes.printable >> bit & 1 == 1,
                    byte.is_some_and(is_printable),
                    "{offset} {bit}"
                );
                assert_eq!(classes.zero >> bit & 1 == 1, byte == Some(0), "{offset} {bit}");
            }
        }
    }

    #[test]
    fn rows_of_any_length() {
        for count in 1..=32usize {
            let mask = ((1u128 << count) - 1) << 40;
            assert_eq!(rows(mask, count, 1), 1 << 40, "{count}");
            assert_eq!(rows(mask, count + 1, 1), 0, "{count}");
        }
        assert_eq!(rows(0b1_0101_0100, 4, 2), 0b100);
        assert_eq!(rows(0b1_0101_0100, 5, 2), 0);
    }
}
