//! Bytes of an image as text that is safe to print.

use std::fmt::{self, Write as _};

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
            for character in chunk.valid().chars() {
                if character.is_control() || is_invisible(character) {
                    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                } else {
                    f.write_char(character)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
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
