//! Texts in memory.

use std::sync::Arc;

use ckx_archive::tarball::Step;
use rayon::prelude::*;

use super::classes::{BLOCK, Classes, is_printable, rows};
use crate::memory::area::Area;
use crate::memory::sweep::Sink;

/// Bytes that one thread looks at. The results do not depend on it.
const CHUNK: usize = 1 << 20;

/// Chunks that are looked at before their results are told.
const BATCH: usize = 16;

/// Bytes after which a text is told in parts.
pub const MAX_TEXT: usize = 1 << 20;

/// Bytes of a text that may lie before a border.
const MAX_HELD: usize = MAX_TEXT;

/// A text that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'t> {
    /// Address of the first byte.
    pub address: u64,
    /// Bytes of a character.
    pub width: Width,
    /// The bytes as they are stored.
    pub stored: &'t [u8],
}

impl Text<'_> {
    /// Its characters, all of which are printable ASCII or tabs.
    pub fn characters(&self) -> impl Iterator<Item = u8> + '_ {
        self.stored.iter().copied().step_by(self.width.bytes())
    }
}

/// How the characters of a text are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// One byte each.
    Ascii,
    /// Two bytes each, the second of which is zero: UTF-16, little-endian.
    Utf16,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::Ascii => 1,
            Self::Utf16 => 2,
        }
    }
}

/// Which texts are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Texts {
    /// Characters that a text has at least. Less than 2 is taken for 2.
    pub min: usize,
    /// Those of one byte a character.
    pub ascii: bool,
    /// Those of two.
    pub utf16: bool,
}

/// A text in a piece: where it begins, where it ends, how it is stored.
type Span = (usize, usize, Width);

impl Texts {
    fn min(self) -> usize {
        self.min.max(2)
    }

    /// Texts that begin in a chunk, by place. They may end behind it.
    ///
    /// The bits of a block say where rows of enough characters begin, and mostly where they end; bytes are
    /// looked at one by one only in texts that are longer than a block.
    fn in_chunk(self, bytes: &[u8], start: usize, limit: usize) -> Vec<Span> {
        let mut found = InChunk { bytes, min: self.min(), limit, spans: Vec::new() };
        let counts = [found.min.min(BLOCK), found.min.min(BLOCK / 2)];
        // What began before the chunk is told there.
        let mut before = [0, 0];
        before[0] = u64::from(start > 0 && bytes.get(start - 1).copied().is_some_and(is_printable));
        for back in [1, 2] {
            let is_pair = start.checked_sub(back).is_some_and(|at| is_pair(bytes, at));
            before[1] |= u64::from(is_pair) << (2 - back);
        }
        let mut classes = Classes::at(bytes, start);
        for block in (start..limit).step_by(BLOCK) {
            let next = Classes::at(bytes, block + BLOCK);
            let printable = u128::from(classes.printable) | u128::from(next.printable) << BLOCK;
            let zero = u128::from(classes.zero) | u128::from(next.zero) << BLOCK;
            let is_empty = classes.printable == 0;
            classes = next;
            if is_empty {
                before = [0, 0];
                continue;
            }
            if self.ascii {
                let rows = rows(printable, counts[0], 1);
                let begins = rows & !(rows << 1 | before[0]);
                before[0] = rows >> (BLOCK - 1);
                found.ascii(block, begins, printable);
            }
            if self.utf16 {
                let pairs = printable & zero >> 1;
                let rows = if pairs == 0 { 0 } else { rows(pairs, counts[1], 2) };
                let begins = rows & !(rows << 2 | before[1]);
                before[1] = rows >> (BLOCK - 2);
                found.utf16(block, begins);
            }
        }
        if self.ascii && self.utf16 {
            found.spans.sort_unstable();
        }
        found.spans
    }
}

/// Texts of a chunk.
struct InChunk<'b> {
    bytes: &'b [u8],
    min: usize,
    limit: usize,
    spans: Vec<Span>,
}

impl InChunk<'_> {
    fn ascii(&mut self, block: usize, mut begins: u64, printable: u128) {
        while begins != 0 {
            let bit = begins.trailing_zeros();
            begins &= begins - 1;
            let first = block + bit as usize;
            if first >= self.limit {
                return;
            }
            let len = (printable >> bit).trailing_ones();
            let mut end = first + len as usize;
            if bit + len == u128::BITS {
                end += run_length(self.bytes.get(end..).unwrap_or_default());
            }
            if end - first >= self.min {
                self.spans.push((first, end, Width::Ascii));
            }
        }
    }

    /// Texts of pairs may begin at even and at odd addresses.
    fn utf16(&mut self, block: usize, mut begins: u64) {
        while begins != 0 {
            let first = block + begins.trailing_zeros() as usize;
            begins &= begins - 1;
            if first >= self.limit {
                return;
            }
            let mut end = first;
            while is_pair(self.bytes, end) {
                end += 2;
            }
            if (end - first) / 2 >= self.min {
                self.spans.push((first, end, Width::Utf16));
            }
        }
    }
}

/// Whether a character and a zero are there.
fn is_pair(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at..at + 2), Some([char, 0]) if is_printable(*char))
}

/// Printable bytes at the beginning.
fn run_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_printable(*byte)).unwrap_or(bytes.len())
}

/// Finds texts in what is shown to it.
///
/// What is made of the texts of a part is made where they are found, on several threads; then it is taken in
/// the order of their addresses.
pub struct Strings<M, T> {
    texts: Texts,
    area: Option<Arc<Area>>,
    /// What reached the end of the piece before, and may go on.
    held: Vec<u8>,
    /// Address of the first byte of it.
    held_at: u64,
    next: u64,
    make: M,
    take: T,
}

impl<M, R, T> Strings<M, T>
where
    M: Fn(&Arc<Area>, &mut dyn Iterator<Item = Text<'_>>) -> R + Sync,
    R: Send,
    T: FnMut(R) -> Step,
{
    /// Calls `make` for the texts of each part of an area, and `take` with what it made of them.
    pub fn new(texts: Texts, make: M, take: T) -> Self {
        Self { texts, area: None, held: Vec::new(), held_at: 0, next: 0, make, take }
    }

    /// Tells what was held, as nothing goes on from there.
    fn flush(&mut self) -> Step {
        let mut held = std::mem::take(&mut self.held);
        let Some(area) = self.area.as_ref().filter(|_| !held.is_empty()) else { return Step::Next };
        let spans = self.texts.in_chunk(&held, 0, held.len());
        let made = (self.make)(area, &mut parts(self.held_at, &held, &spans));
        // Its room is used again.
        held.clear();
        self.held = held;
        (self.take)(made)
    }

    /// What lies in a piece that no text goes over the ends of.
    fn inside(&mut self, address: u64, bytes: &[u8]) -> Step {
        let Some(area) = &self.area else { return Step::Next };
        let chunks: Vec<usize> = (0..bytes.len()).step_by(CHUNK).collect();
        let (texts, make) = (self.texts, &self.make);
        for batch in chunks.chunks(BATCH) {
            let look = |start: &usize| {
                let spans = texts.in_chunk(bytes, *start, (start + CHUNK).min(bytes.len()));
                make(area, &mut parts(address, bytes, &spans))
            };
            let made: Vec<R> = match batch {
                [start] => vec![look(start)],
                _ => batch.par_iter().map(look).collect(),
            };
            for made in made {
                if (self.take)(made) == Step::Stop {
                    return Step::Stop;
                }
            }
        }
        Step::Next
    }
}

/// Texts at their addresses; those that are endless in parts.
fn parts<'b>(address: u64, bytes: &'b [u8], spans: &'b [Span]) -> impl Iterator<Item = Text<'b>> {
    spans.iter().flat_map(move |(start, end, width)| {
        (*start..*end).step_by(MAX_TEXT).map(move |at| Text {
            address: address.saturating_add(at as u64),
            width: *width,
            stored: bytes.get(at..(at + MAX_TEXT).min(*end)).unwrap_or_default(),
        })
    })
}

/// Whether a byte can be in a text, behind this one: no text goes on over one that cannot.
fn goes_on(before: u8, byte: u8) -> bool {
    is_printable(byte) || byte == 0 && is_printable(before)
}

/// Bytes at the end that a text may be of that goes on in the next piece.
fn open(bytes: &[u8]) -> usize {
    let start = bytes.len() - bytes.len().min(MAX_HELD);
    let tail = bytes.get(start..).unwrap_or_default();
    let pairs = tail.array_windows::<2>();
    let broken = pairs.rev().position(|[before, byte]| !goes_on(*before, *byte));
    match (broken, tail.first()) {
        (Some(behind), _) => {
            // The byte behind the break begins a text only if it is printable.
            let is_begun = tail.get(tail.len() - 1 - behind).copied().is_some_and(is_printable);
            behind + usize::from(is_begun)
        }
        (None, Some(first)) => tail.len() - usize::from(!is_printable(*first)),
        (None, None) => 0,
    }
}

/// Bytes at the beginning that a text may go on in whose last byte is this.
fn joined(last: u8, bytes: &[u8]) -> usize {
    let mut before = last;
    let mut goes_on = |byte: &&u8| {
        let goes_on = goes_on(before, **byte);
        before = **byte;
        goes_on
    };
    bytes.iter().take(MAX_HELD).take_while(&mut goes_on).count()
}

impl<M, R, T> Sink for Strings<M, T>
where
    M: Fn(&Arc<Area>, &mut dyn Iterator<Item = Text<'_>>) -> R + Sync,
    R: Send,
    T: FnMut(R) -> Step,
{
    fn area(&mut self, area: &Arc<Area>) {
        self.area = Some(Arc::clone(area));
    }

    fn bytes(&mut self, address: u64, bytes: &[u8]) -> Step {
        let mut from = 0;
        if address != self.next && self.flush() == Step::Stop {
            return Step::Stop;
        }
        self.next = address.saturating_add(bytes.len() as u64);
        if let Some(last) = self.held.last() {
            from = joined(*last, bytes);
            self.held.extend_from_slice(bytes.get(..from).unwrap_or_default());
            if from == bytes.len() && self.held.len() < MAX_TEXT {
                return Step::Next;
            }
            if self.flush() == Step::Stop {
                return Step::Stop;
            }
        }
        let open = open(bytes.get(from..).unwrap_or_default());
        let end = bytes.len() - open;
        let inside = bytes.get(from..end).unwrap_or_default();
        if self.inside(address.saturating_add(from as u64), inside) == Step::Stop {
            return Step::Stop;
        }
        self.held.extend_from_slice(bytes.get(end..).unwrap_or_default());
        self.held_at = address.saturating_add(end as u64);
        Step::Next
    }

    fn end(&mut self) -> Step {
        let step = self.flush();
        self.next = 0;
        self.area = None;
        step
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::search::testing::area;

    type Found = Vec<(u64, Width, Vec<u8>)>;

    fn found(texts: Texts, bytes: &[u8], cuts: &[usize]) -> Found {
        let mut all = Found::new();
        let make = |_: &Arc<Area>, texts: &mut dyn Iterator<Item = Text<'_>>| -> Found {
            texts.map(|text| (text.address, text.width, text.characters().collect())).collect()
        };
        let mut strings = Strings::new(texts, make, |found: Found| {
            all.extend(found);
            Step::Next
        });
        strings.area(&area());
        let mut at = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            if cut > at {
                strings.bytes(at as u64, &bytes[at..cut]);
                at = cut;
            }
        }
        strings.end();
        all
    }

    /// The plain definition: longest rows of printable characters.
    fn expected(texts: Texts, bytes: &[u8]) -> Found {
        let mut all = Found::new();
        let mut rows = |width: Width, is_char: &dyn Fn(usize) -> bool| {
            let mut at = 0;
            while at < bytes.len() {
                let mut end = at;
                while is_char(end) {
                    end += width.bytes();
                }
                if (end - at) / width.bytes() >= texts.min {
                    let stored = Text { address: 0, width, stored: &bytes[at..end] };
                    all.push((at as u64, width, stored.characters().collect()));
                }
                at = end.max(at + 1);
            }
        };
        rows(Width::Ascii, &|at| bytes.get(at).copied().is_some_and(is_printable));
        rows(Width::Utf16, &|at| matches!(bytes.get(at..at + 2), Some([char, 0]) if is_printable(*char)));
        all.sort();
        all
    }

    proptest! {
        #[test]
        fn all_texts_are_found_however_the_bytes_are_cut(
            bytes in prop::collection::vec(prop::sample::select(vec![0u8, 0, b'a', b'b', b'c', 7]), 0..80),
            mut cuts in prop::collection::vec(0usize..80, 0..6),
            min in 2usize..5,
        ) {
            let texts = Texts { min, ascii: true, utf16: true };
            cuts.retain(|cut| *cut < bytes.len());
            cuts.sort_unstable();
            let mut all = found(texts, &bytes, &cuts);
            all.sort();
            prop_assert_eq!(all, expected(texts, &bytes));
        }
    }

    #[test]
    fn chunks_change_nothing() {
        let texts = Texts { min: 4, ascii: true, utf16: true };
        let mut bytes = vec![0; 3 * CHUNK];
        bytes[CHUNK - 3..CHUNK + 4].copy_from_slice(b"at last");
        bytes[2 * CHUNK - 5..2 * CHUNK + 5].copy_from_slice(b"w\0i\0d\0e\0r\0");
        assert_eq!(found(texts, &bytes, &[]), expected(texts, &bytes));
        bytes.fill(b'x');
        let all = found(texts, &bytes, &[]);
        assert_eq!(all.iter().map(|text| text.2.len()).sum::<usize>(), bytes.len());
    }
}
