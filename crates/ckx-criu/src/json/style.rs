//! JSON text in the form that Python's `json` module gives it, all ASCII.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Bytes of JSON text that are collected before they are written.
const BUFFER: usize = 8 << 10;

/// Layout of JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// One line, with a space after commas and colons.
    #[default]
    Line,
    /// One value a line, indented by four spaces.
    Indented,
}

/// Writes a value as JSON text. Characters outside ASCII, and DEL, are escaped, so that no control
/// sequence of an image can reach a terminal.
///
/// # Errors
/// Those of `writer`.
pub fn to_writer(writer: &mut dyn Write, value: &impl Serialize, style: Style) -> io::Result<()> {
    let formatter = Ascii { indented: style == Style::Indented, depth: 0, has_value: false };
    // Brackets, commas and names come one by one: a buffer of a known type takes them without a call.
    let mut buffer = BufWriter::with_capacity(BUFFER, writer);
    value.serialize(&mut Serializer::with_formatter(&mut buffer, formatter))?;
    // Not `flush`, which would flush the writer as well.
    buffer.into_inner().map(drop).map_err(io::IntoInnerError::into_error)
}

struct Ascii {
    indented: bool,
    depth: usize,
    has_value: bool,
}

impl Ascii {
    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"    "))
    }

    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if self.indented && self.has_value {
            self.line(writer)?;
        }
        writer.write_all(bracket)
    }

    fn item<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match (self.indented, first) {
            (true, true) => self.line(writer),
            (true, false) => writer.write_all(b",").and_then(|()| self.line(writer)),
            (false, true) => Ok(()),
            (false, false) => writer.write_all(b", "),
        }
    }
}

impl Formatter for Ascii {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Without an early end, which would keep it from taking many bytes at once.
        if !fragment.bytes().fold(false, |odd, byte| odd | (byte >= 0x7f)) {
            return writer.write_all(fragment.as_bytes());
        }
        for character in fragment.chars() {
            if character.is_ascii() && character != '\x7f' {
                writer.write_all(&[character as u8])?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}
