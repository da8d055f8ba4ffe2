//! Byte order and words: the small vocabulary of headers and payloads.

/// Byte order of the host that wrote an image: little-endian everywhere but on s390x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum ByteOrder {
    /// Least significant byte first.
    #[default]
    Little,
    /// Most significant byte first.
    Big,
}

impl ByteOrder {
    /// `little` or `big`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Little => "little",
            Self::Big => "big",
        }
    }

    /// Four bytes as a word.
    pub fn word(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// A word as four bytes.
    pub fn word_bytes(self, word: u32) -> [u8; 4] {
        match self {
            Self::Little => word.to_le_bytes(),
            Self::Big => word.to_be_bytes(),
        }
    }

    /// Two bytes as a half word.
    pub fn half(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    /// A half word as two bytes.
    pub fn half_bytes(self, half: u16) -> [u8; 2] {
        match self {
            Self::Little => half.to_le_bytes(),
            Self::Big => half.to_be_bytes(),
        }
    }
}

/// The four bytes at `offset`, where they are there.
pub(crate) fn word_at(bytes: &[u8], offset: usize) -> Option<[u8; 4]> {
    bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()
}

/// `n` rounded up to a multiple of `unit`, a power of two.
///
/// Lengths that are multiples already stay as they are. go-criu adds a whole unit to those and so
/// reads too far; CRIU's own rule is this one.
pub fn round_up(n: u64, unit: u64) -> Option<u64> {
    n.checked_add(unit - 1).map(|n| n & !(unit - 1))
}

#[cfg(test)]
mod tests {
    use super::round_up;

    #[test]
    fn aligned_lengths_stay() {
        assert_eq!(round_up(0, 8), Some(0));
        assert_eq!(round_up(15, 8), Some(16));
        assert_eq!(round_up(16, 8), Some(16));
        assert_eq!(round_up(u64::MAX, 8), None);
    }
}
