//! Searching memory.

mod classes;
mod members;
mod pattern;
mod scanner;
mod strings;

use std::sync::Arc;

use ckx_archive::tarball::Step;

pub use members::{InMember, Which, in_members};
pub use pattern::{BadPattern, Encoding, MAX_ACROSS, Pattern, Query, Syntax};
use scanner::Scanner;
pub use scanner::{Around, Hit, MAX_TOLD};
pub use strings::{MAX_TEXT, Strings, Text, Texts, Width};

use super::area::Area;
use super::sweep::Sink;

/// Searches what is shown to it.
pub struct Searcher<'p, F> {
    scanner: Scanner<'p>,
    area: Option<Arc<Area>>,
    found: F,
}

impl<'p, F: FnMut(&Arc<Area>, Hit) -> Step> Searcher<'p, F> {
    /// Calls `found` for each match. Those of an area come in the order of their addresses.
    pub fn new(pattern: &'p Pattern, around: Around, found: F) -> Self {
        Self { scanner: Scanner::new(pattern, around), area: None, found }
    }
}

impl<F: FnMut(&Arc<Area>, Hit) -> Step> Sink for Searcher<'_, F> {
    fn area(&mut self, area: &Arc<Area>) {
        self.area = Some(Arc::clone(area));
    }

    fn bytes(&mut self, address: u64, bytes: &[u8]) -> Step {
        let Some(area) = &self.area else { return Step::Next };
        self.scanner.piece(address, bytes, &mut |hit| (self.found)(area, hit))
    }

    fn end(&mut self) -> Step {
        let Some(area) = self.area.take() else { return Step::Next };
        self.scanner.end(&mut |hit| (self.found)(&area, hit))
    }
}

/// Searches bytes that are no memory: a queue, a file. Addresses are offsets.
pub fn in_bytes(pattern: &Pattern, around: Around, bytes: &[u8], found: &mut dyn FnMut(Hit) -> Step) -> Step {
    let mut scanner = Scanner::new(pattern, around);
    match scanner.piece(0, bytes, found) {
        Step::Next => scanner.end(found),
        Step::Stop => Step::Stop,
    }
}

#[cfg(test)]
mod testing {
    use std::sync::Arc;

    use crate::memory::area::Area;
    use crate::memory::chain::Chain;

    /// An area of nothing.
    pub fn area() -> Arc<Area> {
        Arc::new(Area::of_object(1, Arc::new(Chain::default()), &[]))
    }
}
