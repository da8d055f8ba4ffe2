//! Searching bytes that come in pieces.

use std::collections::VecDeque;

use ckx_archive::tarball::Step;
use rayon::prelude::*;

use super::pattern::Pattern;

/// Bytes that one thread searches at once. The results do not depend on it.
const CHUNK: usize = 1 << 20;

/// Chunks that are searched before their results are told.
const BATCH: usize = 16;

/// Bytes of a match that are told; the rest is only counted.
pub const MAX_TOLD: usize = 4 << 10;

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Address of the first byte.
    pub address: u64,
    /// Length in bytes.
    pub len: usize,
    /// The bytes, up to [`MAX_TOLD`]; none if they were not asked for.
    pub bytes: Vec<u8>,
    /// Bytes before it.
    pub before: Vec<u8>,
    /// Bytes behind it.
    pub after: Vec<u8>,
}

/// What is told of a match besides its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Around {
    /// Whether its bytes are.
    pub bytes: bool,
    /// Bytes before it.
    pub before: usize,
    /// Bytes behind it.
    pub after: usize,
}

/// Searches pieces with rising addresses, also across the borders of those that follow each other.
pub(super) struct Scanner<'p> {
    pattern: &'p Pattern,
    around: Around,
    /// The last bytes before [`Self::next`].
    carry: Vec<u8>,
    /// Address behind the last byte that came.
    next: u64,
    /// Up to here everything was told.
    done: u64,
    /// Found, and waiting for the bytes behind it.
    waiting: VecDeque<Hit>,
}

/// Gets what was found, in the order of addresses.
pub(super) type Tell<'t> = &'t mut dyn FnMut(Hit) -> Step;

impl<'p> Scanner<'p> {
    pub fn new(pattern: &'p Pattern, around: Around) -> Self {
        Self { pattern, around, carry: Vec::new(), next: 0, done: 0, waiting: VecDeque::new() }
    }

    /// Searches the next piece.
    pub fn piece(&mut self, address: u64, bytes: &[u8], tell: Tell<'_>) -> Step {
        if address != self.next || self.carry.is_empty() {
            if self.end(tell) == Step::Stop {
                return Step::Stop;
            }
            self.done = address;
        } else if self.more(bytes, tell) == Step::Stop
            || self.seam(address, bytes, tell) == Step::Stop
            // What was found across the border wants bytes of this piece behind it.
            || self.more(bytes, tell) == Step::Stop
        {
            return Step::Stop;
        }
        let step = self.inside(address, bytes, tell);
        self.keep(bytes);
        self.next = address.saturating_add(bytes.len() as u64);
        step
    }

    /// Nothing follows that touches what came.
    pub fn end(&mut self, tell: Tell<'_>) -> Step {
        let carry = std::mem::take(&mut self.carry);
        // A match that might have been another one with more bytes is told now.
        if self.pattern.may_grow() && !carry.is_empty() {
            let base = self.next.saturating_sub(carry.len() as u64);
            let mut at = offset(self.done, base).max(carry.len().saturating_sub(self.pattern.window()));
            while let Some((start, end)) = self.pattern.find(&carry, at) {
                if self.found(base, &carry, start, end, tell) == Step::Stop {
                    return Step::Stop;
                }
                at = end;
            }
        }
        while let Some(hit) = self.waiting.pop_front() {
            if tell(hit) == Step::Stop {
                return Step::Stop;
            }
        }
        self.done = 0;
        Step::Next
    }

    /// Keeps the end of a piece for what may follow.
    fn keep(&mut self, bytes: &[u8]) {
        // One more for what an expression wants to know of the byte before.
        let room = self.pattern.window() + self.around.before.max(1);
        if bytes.len() < room {
            let spare = (self.carry.len() + bytes.len()).saturating_sub(room);
            self.carry.drain(..spare.min(self.carry.len()));
            self.carry.extend_from_slice(bytes);
        } else {
            self.carry.clear();
            self.carry.extend_from_slice(bytes.get(bytes.len() - room..).unwrap_or_default());
        }
    }

    /// What begins before the border and may go on behind it.
    fn seam(&mut self, address: u64, bytes: &[u8], tell: Tell<'_>) -> Step {
        let border = self.carry.len();
        let mut both = std::mem::take(&mut self.carry);
        both.extend_from_slice(bytes.get(..self.pattern.window().min(bytes.len())).unwrap_or_default());
        let base = address.saturating_sub(border as u64);
        // Those before were told, and an expression wants to see the byte before.
        let from = border.saturating_sub(self.pattern.window());
        let mut at = offset(self.done, base).max(from);
        let mut step = Step::Next;
        while let Some((start, end)) = self.pattern.find(&both, at) {
            // Of an expression those that begin at the border too: it sees what is before.
            if start > border || start == border && !self.pattern.may_grow() {
                break;
            }
            if self.is_open(start, border + bytes.len()) {
                break;
            }
            step = self.found(base, &both, start, end, tell);
            at = end;
            if step == Step::Stop {
                break;
            }
        }
        both.truncate(border);
        self.carry = both;
        step
    }

    /// Whether a match that begins here may be another one with bytes that are still to come.
    fn is_open(&self, start: usize, len: usize) -> bool {
        self.pattern.may_grow() && len - start < self.pattern.window()
    }

    /// What lies in a piece.
    fn inside(&mut self, address: u64, bytes: &[u8], tell: Tell<'_>) -> Step {
        let pattern = self.pattern;
        let behind_border = usize::from(pattern.may_grow() && !self.carry.is_empty());
        let first = offset(self.done, address).max(behind_border);
        let chunks: Vec<usize> = (0..bytes.len()).step_by(CHUNK).collect();
        let mut at = first;
        for batch in chunks.chunks(BATCH) {
            let search = |start: &usize| in_chunk(pattern, bytes, *start, first);
            let found: Vec<Vec<(usize, usize)>> = match batch {
                [start] => vec![search(start)],
                _ => batch.par_iter().map(search).collect(),
            };
            for (start, found) in batch.iter().zip(found) {
                let limit = start.saturating_add(CHUNK).min(bytes.len());
                let joined = Joined { pattern, bytes, found: &found, at, limit, next: 0 };
                for (start, end) in joined {
                    if self.is_open(start, bytes.len()) {
                        return Step::Next;
                    }
                    if self.found(address, bytes, start, end, tell) == Step::Stop {
                        return Step::Stop;
                    }
                    at = end;
                }
            }
        }
        Step::Next
    }

    /// Tells of a match as soon as the bytes behind it are there.
    fn found(&mut self, base: u64, bytes: &[u8], start: usize, end: usize, tell: Tell<'_>) -> Step {
        let address = base.saturating_add(start as u64);
        self.done = base.saturating_add(end as u64);
        let mut hit =
            Hit { address, len: end - start, bytes: Vec::new(), before: Vec::new(), after: Vec::new() };
        if self.around.bytes {
            hit.bytes = bytes.get(start..end.min(start + MAX_TOLD)).unwrap_or_default().to_vec();
        }
        if self.around.before > 0 {
            let here = bytes.get(start.saturating_sub(self.around.before)..start).unwrap_or_default();
            let missing = self.around.before - here.len();
            let carried = self.carry.get(self.carry.len().saturating_sub(missing)..).unwrap_or_default();
            hit.before = [if here.len() == start { carried } else { &[] }, here].concat();
        }
        let more = bytes.get(end..).unwrap_or_default();
        hit.after = more.get(..self.around.after.min(more.len())).unwrap_or_default().to_vec();
        if self.waiting.is_empty() && hit.after.len() == self.around.after {
            return tell(hit);
        }
        self.waiting.push_back(hit);
        Step::Next
    }

    /// Gives those that wait the bytes behind them.
    fn more(&mut self, bytes: &[u8], tell: Tell<'_>) -> Step {
        for hit in &mut self.waiting {
            let end = hit.address.saturating_add(hit.len as u64).saturating_add(hit.after.len() as u64);
            // What a seam found reaches into this piece already.
            let from = offset(end, self.next);
            let missing = self.around.after.saturating_sub(hit.after.len());
            let rest = bytes.get(from..).unwrap_or_default();
            hit.after.extend_from_slice(rest.get(..missing.min(rest.len())).unwrap_or_default());
        }
        while self.waiting.front().is_some_and(|hit| hit.after.len() >= self.around.after) {
            if let Some(hit) = self.waiting.pop_front()
                && tell(hit) == Step::Stop
            {
                return Step::Stop;
            }
        }
        Step::Next
    }
}

/// How far an address lies behind another; 0 if it does not.
fn offset(address: u64, base: u64) -> usize {
    usize::try_from(address.saturating_sub(base)).unwrap_or(usize::MAX)
}

/// Matches that begin in the chunk at `start`, not before `first`.
fn in_chunk(pattern: &Pattern, bytes: &[u8], start: usize, first: usize) -> Vec<(usize, usize)> {
    let limit = start.saturating_add(CHUNK);
    let seen = bytes.get(..limit.saturating_add(pattern.window()).min(bytes.len())).unwrap_or_default();
    let mut found = Vec::new();
    let mut at = start.max(first);
    while let Some((start, end)) = pattern.find(seen, at).filter(|(start, _)| *start < limit) {
        found.push((start, end));
        at = end;
    }
    found
}

/// The matches of a chunk, as they are when those before it are taken into account: a match must not begin
/// inside another.
struct Joined<'j> {
    pattern: &'j Pattern,
    bytes: &'j [u8],
    found: &'j [(usize, usize)],
    at: usize,
    limit: usize,
    next: usize,
}

impl Iterator for Joined<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let planned = self.found.get(self.next)?;
        if planned.0 >= self.at {
            self.next += 1;
            self.at = planned.1;
            return Some(*planned);
        }
        // The one before reaches into this chunk: search on from its end, until both agree again.
        let seen =
            self.bytes.get(..self.limit.saturating_add(self.pattern.window()).min(self.bytes.len()))?;
        let (start, end) = self.pattern.find(seen, self.at).filter(|(start, _)| *start < self.limit)?;
        self.next = self.found.partition_point(|(planned, _)| *planned <= start);
        self.at = end;
        Some((start, end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pattern::{Query, Syntax};
    use super::*;

    fn pattern(text: &str, syntax: Syntax) -> Pattern {
        Query { patterns: vec![text.to_owned()], syntax, ..Query::default() }.compile().unwrap()
    }

    /// All that is found in bytes that are cut at these places.
    fn found(pattern: &Pattern, bytes: &[u8], cuts: &[usize]) -> Vec<Hit> {
        let mut all = Vec::new();
        let mut tell = |hit| {
            all.push(hit);
            Step::Next
        };
        let around = Around { bytes: true, before: 3, after: 5 };
        let mut scanner = Scanner::new(pattern, around);
        let mut at = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            if cut > at {
                scanner.piece(0x1000 + at as u64, &bytes[at..cut], &mut tell);
                at = cut;
            }
        }
        scanner.end(&mut tell);
        all
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            text in "[ab01 ]{0,60}",
            mut cuts in prop::collection::vec(0usize..60, 0..8),
            which in 0usize..9,
        ) {
            let patterns = ["ab", "aa", "a+", "[ab]+1", "a.{0,3}b", "\\bab", "(?:a|ab)(?:0|10)", "b+0*", "\\ba+\\b"];
            let pattern = pattern(patterns[which], Syntax::Regex);
            cuts.retain(|cut| *cut < text.len());
            cuts.sort_unstable();
            prop_assert_eq!(found(&pattern, text.as_bytes(), &cuts), found(&pattern, text.as_bytes(), &[]));
        }
    }

    #[test]
    fn chunks_change_nothing() {
        // Matches that overlap at the borders of chunks: every second place counts.
        let bytes = vec![b'a'; 3 * CHUNK + 5];
        for needle in ["aa", "aaa", "aaaaaaa"] {
            let found = found(&pattern(needle, Syntax::Fixed), &bytes, &[]);
            assert_eq!(found.len(), bytes.len() / needle.len());
            assert!(
                found.iter().enumerate().all(|(n, hit)| hit.address == 0x1000 + (n * needle.len()) as u64)
            );
        }
        let mut bytes = vec![b'.'; 2 * CHUNK];
        bytes[CHUNK - 3..CHUNK + 4].copy_from_slice(b"key=abc");
        let found = found(&pattern("key=[a-z]+", Syntax::Regex), &bytes, &[]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].address, &*found[0].bytes), (0x1000 + CHUNK as u64 - 3, &b"key=abc"[..]));
        assert_eq!((&*found[0].before, &*found[0].after), (&b"..."[..], &b"....."[..]));
    }

    #[test]
    fn hexadecimal_with_any_digits() {
        for (text, expected) in [("6b65", 1), ("6b ?5", 1), ("6? 65 ??", 1), ("6b 66", 0), ("?b65", 1)] {
            assert_eq!(found(&pattern(text, Syntax::Hex), b"a key.", &[3]).len(), expected, "{text}");
        }
        let query =
            |text: &str| Query { patterns: vec![text.to_owned()], syntax: Syntax::Hex, ..Query::default() };
        assert_eq!(query("6").compile().unwrap_err().reason, "an odd number of hexadecimal digits");
        assert!(query("xy").compile().is_err());
        assert!(query("").compile().is_err());
    }

    #[test]
    fn text_in_two_bytes() {
        use super::super::pattern::Encoding;
        let text = "paß Wort";
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let query = |ignore_case, text: &str| Query {
            patterns: vec![text.to_owned()],
            encoding: Encoding::Utf16Le,
            ignore_case,
            ..Query::default()
        };
        assert_eq!(found(&query(false, "Wort").compile().unwrap(), &bytes, &[10]).len(), 1);
        assert_eq!(found(&query(false, "wort").compile().unwrap(), &bytes, &[]).len(), 0);
        assert_eq!(found(&query(true, "wORT").compile().unwrap(), &bytes, &[11]).len(), 1);
    }
}
