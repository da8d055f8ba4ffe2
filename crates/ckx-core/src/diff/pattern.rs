//! Patterns of paths: which differences a reader does not want to see.

use std::fmt;

/// A pattern of paths. `*` stands for any characters; a pattern holds for what is below it too:
/// `proc[*].env` for `proc[7].env.PATH`. A pattern without dots and brackets is also the name of a
/// field anywhere: `mtime_s`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// The pattern that a text is.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether it holds for a path.
    pub fn matches(&self, path: &str) -> bool {
        let pattern = self.0.as_bytes();
        let bytes = path.as_bytes();
        let ends =
            (0..bytes.len()).filter(|at| matches!(bytes.get(*at), Some(b'.' | b'['))).chain([bytes.len()]);
        let mut heads = ends.filter_map(|end| bytes.get(..end));
        heads.any(|head| glob(pattern, head)) || self.is_field(path)
    }

    fn is_field(&self, path: &str) -> bool {
        let plain = !self.0.is_empty() && !self.0.contains(['.', '[', '*']);
        plain && path.split(['.', '[', ']']).any(|part| part == self.0)
    }
}

/// Whether a pattern with `*` is the whole of a text. Goes back to the last star only, which is enough
/// for stars, so it takes at most the product of the lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if text.get(t) == Some(byte) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_hold_for_what_is_below() {
        let holds = |pattern: &str, path: &str| Pattern::new(pattern).matches(path);
        for pattern in [
            "proc[7].fd[9].offset_bytes",
            "proc[7].fd",
            "proc[7]",
            "proc",
            "proc[*].fd[*].offset_bytes",
            "*.offset_bytes",
            "*",
            "offset_bytes",
            "proc[7].fd[9]",
        ] {
            assert!(holds(pattern, "proc[7].fd[9].offset_bytes"), "{pattern}");
        }
        for pattern in ["", "proc[7].f", "proc[8]", "offset", "*.fd[8]*", "proc[7].fd[9].offset_bytes.x"] {
            assert!(!holds(pattern, "proc[7].fd[9].offset_bytes"), "{pattern}");
        }
        assert!(!holds(&"*a".repeat(40), &"ab".repeat(4000)), "and takes no exponential time");
    }
}
