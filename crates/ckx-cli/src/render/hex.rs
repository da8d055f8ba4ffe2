//! Rows of bytes as `xxd` writes them.

use std::io::{self, Write};

/// Bytes of a row.
pub const ROW: usize = 16;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Both digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// What stands for each byte in the text column.
const SHOWN: [u8; 256] = {
    let mut shown = [b'.'; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        shown[byte] = byte as u8;
        byte += 1;
    }
    shown
};

/// Digits of an address.
const ADDRESS: usize = 16;

/// Bytes of a whole line: address, colon, space, eight groups of four digits with a space before each but
/// the first, two spaces, text, line end.
const LINE: usize = ADDRESS + 2 + 8 * 4 + 7 + 2 + ROW + 1;

/// Writes rows, and `*` for rows that are equal to the one before.
pub struct Rows<'o> {
    out: &'o mut dyn Write,
    buffer: Vec<u8>,
    before: Option<[u8; ROW]>,
    is_starred: bool,
}

/// Bytes of text that are written at once.
const BUFFER: usize = 256 << 10;

impl<'o> Rows<'o> {
    pub fn new(out: &'o mut dyn Write) -> Self {
        Self { out, buffer: Vec::with_capacity(BUFFER + 2 * LINE), before: None, is_starred: false }
    }

    /// A line that is no row. The next row is written whatever it holds.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.before = None;
        self.is_starred = false;
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(b'\n');
        self.spill()
    }

    /// Rows of bytes. The address of all but the first is a multiple of the length of a row.
    pub fn bytes(&mut self, mut address: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = ROW - (address % ROW as u64) as usize;
            let (row, rest) = bytes.split_at(room.min(bytes.len()));
            self.row(address, row)?;
            address = address.wrapping_add(row.len() as u64);
            bytes = rest;
        }
        Ok(())
    }

    /// Rows of zeros, of which only the first is written.
    pub fn zeros(&mut self, start: u64, end: u64) -> io::Result<()> {
        let zeros = [0; ROW];
        let mut at = start;
        // The first may be a part of a row, and the second whole.
        for _ in 0..3 {
            let to = (at - at % ROW as u64).saturating_add(ROW as u64).min(end);
            if at < to {
                self.row(at, zeros.get(..(to - at) as usize).unwrap_or_default())?;
                at = to;
            }
        }
        if at < end {
            let last = end - end % ROW as u64;
            if last < end && last >= at {
                self.row(last, zeros.get(..(end - last) as usize).unwrap_or_default())?;
            }
        }
        Ok(())
    }

    fn row(&mut self, address: u64, row: &[u8]) -> io::Result<()> {
        let whole: Option<[u8; ROW]> = row.try_into().ok();
        if whole.is_some() && whole == self.before {
            if !self.is_starred {
                self.buffer.extend_from_slice(b"*\n");
                self.is_starred = true;
            }
            return Ok(());
        }
        self.before = whole;
        self.is_starred = false;
        let mut line = [b' '; LINE];
        for (at, digits) in address.to_be_bytes().iter().zip(line.as_chunks_mut::<2>().0) {
            *digits = PAIRS[usize::from(*at)];
        }
        line[ADDRESS] = b':';
        let text = LINE - 1 - ROW;
        for (at, byte) in row.iter().enumerate() {
            let place = ADDRESS + 2 + at * 2 + at / 2;
            line[place..place + 2].copy_from_slice(&PAIRS[usize::from(*byte)]);
            line[text + at] = SHOWN[usize::from(*byte)];
        }
        line[text + row.len()] = b'\n';
        self.buffer.extend_from_slice(&line[..=text + row.len()]);
        self.spill()
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn end(self) -> io::Result<()> {
        self.out.write_all(&self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Rows<'_>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        let mut rows = Rows::new(&mut out);
        write(&mut rows).unwrap();
        rows.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_equal_rows_are_left_out() {
        // The text column is the same, the bytes are not.
        let bytes: Vec<u8> = [[1; 16], [2; 16], [2; 16], [2; 16], [3; 16]].concat();
        let expected = "\
0000000000001000: 0101 0101 0101 0101 0101 0101 0101 0101  ................
0000000000001010: 0202 0202 0202 0202 0202 0202 0202 0202  ................
*
0000000000001040: 0303 0303 0303 0303 0303 0303 0303 0303  ................
";
        assert_eq!(text(|rows| rows.bytes(0x1000, &bytes)), expected);
        assert_eq!(
            text(|rows| rows.bytes(0x100e, b"a key")),
            "000000000000100e: 6120                                     a \n\
             0000000000001010: 6b65 79                                  key\n"
        );
    }

    #[test]
    fn zeros_are_as_if_they_were_written() {
        for (start, end) in
            [(0x1000, 0x3000), (0x1001, 0x1002), (0x1005, 0x1035), (0x1000, 0x1010), (0x1000, 0x1021)]
        {
            let zeros = vec![0; (end - start) as usize];
            assert_eq!(
                text(|rows| rows.zeros(start, end)),
                text(|rows| rows.bytes(start, &zeros)),
                "{start:x}"
            );
        }
    }
}
