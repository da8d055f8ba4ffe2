//! What is searched for.

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::HirKind;

/// Bytes of a match that may lie on one side of a border between pages that are stored apart. Matches of
/// expressions without an upper length may be longer and are cut there.
pub const MAX_ACROSS: usize = 16 << 10;

/// Memory that a compiled expression may take.
const MAX_COMPILED: usize = 32 << 20;

/// How a pattern is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// A regular expression over bytes.
    #[default]
    Regex,
    /// The text as it stands.
    Fixed,
    /// Bytes in hexadecimal; `?` stands for any digit.
    Hex,
}

/// How text is stored that a pattern matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As UTF-8.
    #[default]
    Utf8,
    /// As UTF-16, little-endian.
    Utf16Le,
    /// As UTF-16, big-endian.
    Utf16Be,
}

/// What is searched for.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Patterns, of which any may match.
    pub patterns: Vec<String>,
    /// How they are written.
    pub syntax: Syntax,
    /// How the text is stored. Other than UTF-8 is for text that stands as it is.
    pub encoding: Encoding,
    /// Whether upper and lower case are the same.
    pub ignore_case: bool,
}

/// A pattern that cannot be searched for.
#[derive(Debug, thiserror::Error)]
#[error("`{pattern}`: {reason}")]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A pattern that is ready.
#[derive(Debug, Clone)]
pub struct Pattern {
    engine: Engine,
    window: usize,
}

#[derive(Debug, Clone)]
enum Engine {
    Literal(Box<Finder<'static>>),
    Regex(Regex),
}

impl Query {
    /// Makes it ready for searching.
    ///
    /// # Errors
    /// When a pattern is no expression, no hexadecimal, or matches nothing but the empty text.
    pub fn compile(&self) -> Result<Pattern, BadPattern> {
        if let [pattern] = self.patterns.as_slice()
            && let Some(literal) = self.literal(pattern)?
        {
            return Pattern::literal(pattern, &literal);
        }
        let mut parts = Vec::new();
        for pattern in &self.patterns {
            parts.push(format!("(?:{})", self.expression(pattern)?));
        }
        let whole = parts.join("|");
        let shown = self.patterns.join("|");
        Pattern::regex(&shown, &whole, self.ignore_case && self.syntax != Syntax::Hex)
    }

    /// The bytes that a pattern stands for, if it is nothing but bytes.
    fn literal(&self, pattern: &str) -> Result<Option<Vec<u8>>, BadPattern> {
        if self.syntax == Syntax::Hex {
            let digits = hex_digits(pattern)?;
            let bytes = digits.iter().map(|pair| Some(pair[0]? << 4 | pair[1]?));
            return Ok(bytes.collect());
        }
        if self.ignore_case {
            return Ok(None);
        }
        let is_fixed = self.syntax == Syntax::Fixed || self.encoding != Encoding::Utf8;
        Ok(is_fixed.then(|| self.encoding.encode(pattern)))
    }

    /// The pattern as an expression over bytes.
    fn expression(&self, pattern: &str) -> Result<String, BadPattern> {
        if self.syntax == Syntax::Hex {
            return Ok(hex_digits(pattern)?.iter().map(hex_class).collect());
        }
        if self.encoding == Encoding::Utf8 {
            return Ok(match self.syntax {
                Syntax::Fixed => regex_syntax::escape(pattern),
                _ => pattern.to_owned(),
            });
        }
        let mut out = String::new();
        for char in pattern.chars() {
            let cases: Vec<char> = match self.ignore_case {
                true => char.to_lowercase().chain(char.to_uppercase()).collect(),
                false => vec![char],
            };
            let encoded = cases.iter().map(|char| escaped(&self.encoding.encode(&char.to_string())));
            out.push_str(&format!("(?-ui:{})", encoded.collect::<Vec<_>>().join("|")));
        }
        Ok(out)
    }
}

impl Encoding {
    fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }
}

/// Bytes as an expression that matches them.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

type HexPair = [Option<u8>; 2];

/// Pairs of digits; `None` for any.
fn hex_digits(pattern: &str) -> Result<Vec<HexPair>, BadPattern> {
    let bad = |reason: &str| BadPattern { pattern: pattern.to_owned(), reason: reason.to_owned() };
    let digits: Option<Vec<Option<u8>>> = pattern
        .chars()
        .filter(|char| !char.is_whitespace() && *char != ':')
        .map(|char| match char {
            '?' | '.' => Some(None),
            digit => digit.to_digit(16).map(|digit| u8::try_from(digit).ok()),
        })
        .collect();
    let digits = digits.ok_or_else(|| bad("only hexadecimal digits, and `?` for any digit"))?;
    let (pairs, rest) = digits.as_chunks::<2>();
    match rest {
        [] => Ok(pairs.to_vec()),
        _ => Err(bad("an odd number of hexadecimal digits")),
    }
}

fn hex_class(pair: &HexPair) -> String {
    match *pair {
        [Some(high), Some(low)] => format!("(?-u:\\x{:02x})", high << 4 | low),
        [Some(high), None] => format!("(?-u:[\\x{:02x}-\\x{:02x}])", high << 4, high << 4 | 15),
        [None, Some(low)] => {
            let all: String = (0..16u8).map(|high| format!("\\x{:02x}", high << 4 | low)).collect();
            format!("(?-u:[{all}])")
        }
        [None, None] => "(?s-u:.)".to_owned(),
    }
}

impl Pattern {
    fn literal(shown: &str, bytes: &[u8]) -> Result<Self, BadPattern> {
        if bytes.is_empty() {
            return Err(empty(shown));
        }
        let finder = Finder::new(bytes).into_owned();
        Ok(Self { engine: Engine::Literal(Box::new(finder)), window: bytes.len() - 1 })
    }

    fn regex(shown: &str, expression: &str, ignore_case: bool) -> Result<Self, BadPattern> {
        let bad = |reason: String| BadPattern { pattern: shown.to_owned(), reason };
        // Over bytes searching is faster, but a class of characters may need them whole.
        let parse = |unicode: bool| {
            let mut parser = regex_syntax::ParserBuilder::new();
            parser
                .utf8(false)
                .unicode(unicode)
                .case_insensitive(ignore_case)
                .build()
                .parse(expression)
                .map_err(Box::new)
        };
        let (hir, unicode) = match parse(false) {
            Ok(hir) => (hir, false),
            Err(_) => (parse(true).map_err(|error| bad(reason_of(&error)))?, true),
        };
        if let HirKind::Literal(literal) = hir.kind() {
            return Self::literal(shown, &literal.0);
        }
        let longest = hir.properties().maximum_len();
        if longest == Some(0) {
            return Err(empty(shown));
        }
        let built = RegexBuilder::new(expression)
            .unicode(unicode)
            .case_insensitive(ignore_case)
            .size_limit(MAX_COMPILED)
            .build();
        let regex = built.map_err(|error| bad(error.to_string()))?;
        let window = longest.unwrap_or(usize::MAX).min(MAX_ACROSS);
        Ok(Self { engine: Engine::Regex(regex), window })
    }

    /// Bytes before a border that a match across it may begin in.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Whether a match near the end of the bytes might be another one with more of them.
    pub(super) fn may_grow(&self) -> bool {
        matches!(self.engine, Engine::Regex(_))
    }

    /// The first match that begins at `from` or behind it.
    pub(super) fn find(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        match &self.engine {
            Engine::Literal(finder) => {
                let start = from + finder.find(bytes.get(from..)?)?;
                Some((start, start + finder.needle().len()))
            }
            Engine::Regex(regex) => {
                let mut at = from;
                loop {
                    let found = (at <= bytes.len()).then(|| regex.find_at(bytes, at))??;
                    // Nothing is no find.
                    if !found.is_empty() {
                        return Some((found.start(), found.end()));
                    }
                    at = found.end() + 1;
                }
            }
        }
    }
}

fn empty(shown: &str) -> BadPattern {
    BadPattern { pattern: shown.to_owned(), reason: "it matches nothing but the empty text".to_owned() }
}

/// The last line of the parser's message says what is wrong; those before show where.
fn reason_of(error: &regex_syntax::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
