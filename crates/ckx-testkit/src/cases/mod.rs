//! Valid images of every kind, with what a reader has to find in them.

mod core;
mod files;
mod memory;
mod namespaces;
mod other;
mod payloads;
mod process;
mod raw;

use crate::image::{Header, ImageBuilder, Order};
use crate::wire::Msg;

/// A valid image file.
#[derive(Debug, Clone)]
pub struct Case {
    /// File name.
    pub name: String,
    /// Its kind: name of the row in [`crate::ROWS`].
    pub row: &'static str,
    /// What is special about it.
    pub about: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// How many entries its JSON form has; `None` for raw files, which have no such form.
    pub entries: Option<usize>,
}

impl Case {
    /// An image with records.
    fn new(row: &'static str, name: &str, about: &'static str, image: ImageBuilder, entries: usize) -> Self {
        Self { name: name.to_owned(), row, about, bytes: image.build(), entries: Some(entries) }
    }

    /// A raw file.
    fn raw(row: &'static str, name: &str, about: &'static str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), row, about, bytes, entries: None }
    }

    /// An image of one record.
    fn one(row: &'static str, name: &str, about: &'static str, record: Msg) -> Self {
        Self::list(row, name, about, [record])
    }

    /// An image of records without anything behind them.
    fn list(
        row: &'static str,
        name: &str,
        about: &'static str,
        records: impl IntoIterator<Item = Msg>,
    ) -> Self {
        let records: Vec<_> = records.into_iter().collect();
        let entries = records.len();
        Self::new(row, name, about, ImageBuilder::of(row).records(records), entries)
    }

    /// An image from each sort of host.
    fn both(
        row: &'static str,
        name: &str,
        about: &'static str,
        image: ImageBuilder,
        entries: usize,
    ) -> [Self; 2] {
        let orders = [Order::Little, Order::Big];
        orders.map(|order| Self::new(row, name, about, image.clone().order(order), entries))
    }
}

/// Kinds that ended before CRIU 1.6: real ones have only their own magic.
const OLD: &[&str] = &[
    "EVENTPOLL_TFD",
    "INOTIFY_WD",
    "FANOTIFY_MARK",
    "VMAS",
    "RLIMIT",
    "ITIMERS",
    "POSIX_TIMERS",
    "SIGNAL",
    "PSIGNAL",
];

/// Valid images: at least one for each kind of [`crate::ROWS`]. Several may have the same name;
/// [`Case::about`] tells them apart. All are encoded as CRIU does it, so that a writer has to
/// give the same bytes.
pub fn cases() -> Vec<Case> {
    let families = [
        process::cases(),
        core::cases(),
        memory::cases(),
        files::cases(),
        payloads::cases(),
        namespaces::cases(),
        other::cases(),
        raw::cases(),
    ];
    let mut cases: Vec<_> = families.into_iter().flatten().collect();
    let old: Vec<_> = cases.iter().filter(|case| OLD.contains(&case.row)).map(first_layout).collect();
    cases.extend(old);
    cases
}

/// The same image in the layout of CRIU 1.5 and older.
fn first_layout(case: &Case) -> Case {
    let (magic, _) = crate::row(case.row);
    let bytes = ImageBuilder::new(magic).header(Header::Own).payload(&case.bytes[8..]).build();
    Case { about: "own magic only", bytes, ..case.clone() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::cases;

    #[test]
    fn every_row_has_a_case() {
        let covered: BTreeSet<_> = cases().iter().map(|case| case.row).collect();
        let rows: BTreeSet<_> = crate::ROWS.iter().map(|(key, ..)| *key).collect();
        assert_eq!(covered, rows);
    }

    #[test]
    fn no_two_cases_are_alike() {
        let mut seen = BTreeSet::new();
        for case in cases() {
            assert!(seen.insert((case.name.clone(), case.bytes)), "{}: {}", case.name, case.about);
        }
    }
}
