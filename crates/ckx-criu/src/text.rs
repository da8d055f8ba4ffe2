//! Bytes of an image as text that is safe to print.

use std::fmt;

/// Shows bytes as text: UTF-8 stays; control characters, those that turn the direction of writing, and
/// other bytes become `\xNN`.
pub fn escaped(bytes: &[u8]) -> Escaped<'_> {
    Escaped(bytes)
}

/// See [`escaped`].
#[derive(Clone, Copy)]
pub struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            // Text is written in runs: nearly all of it is as it should be.
            let mut rest = chunk.valid();
            while let Some((at, odd)) = rest.char_indices().find(|(_, character)| is_odd(*character)) {
                let (plain, from) = rest.split_at(at);
                f.write_str(plain)?;
                let (odd, behind) = from.split_at(odd.len_utf8());
                odd.bytes().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
                rest = behind;
            }
            f.write_str(rest)?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Whether a character must not reach a terminal.
fn is_odd(character: char) -> bool {
    match u32::from(character) {
        0x20..0x7f => false,
        0..0xa0 => true,
        _ => is_invisible(character),
    }
}

/// Characters that change what others look like and are not seen: marks, embeddings, overrides and
/// isolates of writing direction, and breaks of lines. With them a name reads as another.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn control_and_foreign_bytes_are_escaped() {
        assert_eq!(escaped(b"a\x1b[2J").to_string(), "a\\x1b[2J");
        assert_eq!(escaped("caf\u{e9}".as_bytes()).to_string(), "caf\u{e9}");
        assert_eq!(escaped(b"\xff\xfe").to_string(), "\\xff\\xfe");
        // With U+202E "gpj.exe" would read as "exe.jpg".
        assert_eq!(escaped("\u{202e}gpj".as_bytes()).to_string(), "\\xe2\\x80\\xaegpj");
        // U+009B is a one-character escape sequence introducer.
        assert_eq!(escaped("\u{9b}".as_bytes()).to_string(), "\\xc2\\x9b");
    }
}
