//! Base64 as crit writes it, in lines, without a copy of the whole text.

use std::fmt;

use ::base64::Engine as _;
use ::base64::alphabet::STANDARD;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes that fill a line of 76 characters.
const LINE: usize = 57;

/// Shows bytes in lines of 76 characters, each with a line feed at its end.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a>(pub &'a [u8]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = [0; LINE.div_ceil(3) * 4];
        for chunk in self.0.chunks(LINE) {
            f.write_str(text(chunk, &mut line))?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}

/// Shows bytes in one line.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a>(pub &'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = [0; LINE.div_ceil(3) * 4];
        self.0.chunks(LINE).try_for_each(|chunk| f.write_str(text(chunk, &mut line)))
    }
}

fn text<'a>(chunk: &[u8], line: &'a mut [u8]) -> &'a str {
    // The buffer holds any chunk of a line, and base64 is ASCII.
    let len = ENGINE.encode_slice(chunk, line).unwrap_or_default();
    line.get(..len).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

/// Reads base64, in lines or not, with or without padding at the end. `None` for anything else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        return ENGINE.decode(text).ok();
    }
    let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    ENGINE.decode(packed).ok()
}
