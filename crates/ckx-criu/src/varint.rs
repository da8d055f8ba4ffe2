//! Numbers of variable width: seven bits a byte, the lowest first, the high bit set in all but the last.

use crate::error::WireReason;

/// Reads a number of variable width; returns it and the bytes it takes.
///
/// Bits above the 64th are dropped, as protobuf readers do.
#[inline]
pub fn read_varint(bytes: &[u8]) -> Result<(u64, usize), WireReason> {
    // Addresses take six or seven bytes: eight are looked at together.
    if let Some(word) = bytes.first_chunk() {
        let word = u64::from_le_bytes(*word);
        let ends = !word & 0x8080_8080_8080_8080;
        if ends != 0 {
            let end = ends.trailing_zeros();
            return Ok((gather(word & (u64::MAX >> (63 - end))), (end / 8 + 1) as usize));
        }
    }
    read_varint_bytewise(bytes)
}

/// Joins the seven low bits of each byte of a word.
#[inline]
fn gather(word: u64) -> u64 {
    let pairs = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4
}

fn read_varint_bytewise(bytes: &[u8]) -> Result<(u64, usize), WireReason> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).wrapping_shl(7 * index as u32);
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    Err(if bytes.len() < 10 { WireReason::VarintTruncated } else { WireReason::VarintTooLong })
}

/// Appends a number in its shortest form.
pub fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers around every width, and some between.
    fn numbers() -> impl Iterator<Item = u64> {
        (0..64).flat_map(|bits| {
            let power = 1u64 << bits;
            [power - 1, power, power + 1, power | 0x5555_5555_5555_5555 >> (63 - bits), u64::MAX >> bits]
        })
    }

    #[test]
    fn words_and_bytes_give_the_same() {
        for number in numbers() {
            let mut bytes = Vec::new();
            put_varint(number, &mut bytes);
            let len = bytes.len();
            for following in [0, 0x7f, 0x80, 0xff] {
                // At the end of the bytes, and far from it.
                for count in [0, 1, 7, 8, 9] {
                    bytes.truncate(len);
                    bytes.resize(len + count, following);
                    assert_eq!(read_varint(&bytes).unwrap(), (number, len), "{bytes:x?}");
                    assert_eq!(read_varint_bytewise(&bytes).unwrap(), (number, len), "{bytes:x?}");
                }
            }
        }
    }

    #[test]
    fn needless_zeros_are_read() {
        for zeros in 1..9 {
            let mut bytes = vec![0xd2];
            bytes.resize(zeros, 0x80);
            bytes.push(0);
            bytes.extend([0xff; 8]);
            assert_eq!(read_varint(&bytes).unwrap(), (0x52, zeros + 1));
        }
    }

    #[test]
    fn ends_are_found() {
        for len in 0..10 {
            assert_eq!(read_varint(&vec![0x80; len]), Err(WireReason::VarintTruncated));
        }
        for len in 10..20 {
            assert_eq!(read_varint(&vec![0xff; len]), Err(WireReason::VarintTooLong));
        }
    }
}
