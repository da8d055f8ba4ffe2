//! Quoted-printable, in the very form that crit gives the names of unix sockets.
//!
//! The rules are those of RFC 2045 as Python applies them to text: lines of at most 76 characters,
//! blanks quoted at the end of a line, a dot quoted when it is alone on a line, line feeds kept.
//! That last rule cannot be undone for every name, so where it would lose something, line feeds and
//! carriage returns are quoted as well.

const MAX_LINE: usize = 76;

/// Shows a name.
pub fn encode(name: &[u8]) -> String {
    let text = encode_text(name, true);
    if decode(&text).as_deref() == Some(name) { text } else { encode_text(name, false) }
}

fn encode_text(name: &[u8], keep_lines: bool) -> String {
    let mut out = Vec::with_capacity(name.len() + 8);
    let crlf = name
        .iter()
        .position(|byte| *byte == b'\n')
        .is_some_and(|at| at > 0 && name.get(at - 1) == Some(&b'\r'));
    let mut line = 0;
    let mut rest = name;
    while let Some((&byte, behind)) = rest.split_first() {
        let next = behind.first().copied();
        if needs_quoting(byte, next, line, keep_lines) {
            if line + 3 >= MAX_LINE {
                soft_break(&mut out, crlf, &mut line);
            }
            quote(byte, &mut out);
            line += 3;
            rest = behind;
        } else if keep_lines && (byte == b'\n' || (byte == b'\r' && next == Some(b'\n'))) {
            if let Some(&blank @ (b' ' | b'\t')) = out.last() {
                out.pop();
                quote(blank, &mut out);
            }
            out.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
            line = 0;
            rest = if byte == b'\r' { behind.get(1..).unwrap_or_default() } else { behind };
        } else {
            if next.is_some_and(|next| next != b'\n') && line + 1 >= MAX_LINE {
                soft_break(&mut out, crlf, &mut line);
            }
            out.push(byte);
            line += 1;
            rest = behind;
        }
    }
    // Everything above 126 was quoted.
    String::from_utf8(out).unwrap_or_default()
}

fn needs_quoting(byte: u8, next: Option<u8>, line: usize, keep_lines: bool) -> bool {
    match byte {
        b'=' | 127.. => true,
        b'.' => line == 0 && matches!(next, None | Some(b'\n' | b'\r' | 0)),
        b'\r' | b'\n' => !keep_lines,
        b'\t' | b' ' => next.is_none(),
        ..33 => true,
        _ => false,
    }
}

fn soft_break(out: &mut Vec<u8>, crlf: bool, line: &mut usize) {
    out.extend_from_slice(if crlf { b"=\r\n" } else { b"=\n" });
    *line = 0;
}

fn quote(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    out.extend_from_slice(&[b'=', digit(byte >> 4), digit(byte & 15)]);
}

/// Reads a name back. `None` when an equals sign is followed by neither a byte nor a line end.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'=' {
            out.push(byte);
            rest = behind;
            continue;
        }
        rest = match behind {
            [b'\n', behind @ ..] | [b'\r', b'\n', behind @ ..] => behind,
            [high, low, behind @ ..] => {
                out.push(nibble(*high)? << 4 | nibble(*low)?);
                behind
            }
            _ => return None,
        };
    }
    Some(out)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
