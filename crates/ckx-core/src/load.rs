//! Images of a set, decoded whole, with a list of everything that could not be read.

use bytes::Bytes;
use ckx_criu::typed::Record;
use ckx_criu::{ByteOrder, Entry, Image};

use crate::{ImageSet, Issue};

/// Reads images of a set. Faults become issues, and what is good beside them is given out.
pub(crate) struct Loader<'a> {
    images: &'a dyn ImageSet,
    issues: Vec<Issue>,
}

/// The records of one image.
pub(crate) struct Records<M> {
    /// Those that could be decoded, in file order.
    pub entries: Vec<M>,
    /// Byte order of the image.
    pub order: ByteOrder,
    /// Whether that is all that the image holds.
    pub whole: bool,
}

/// Why there is nothing of an image at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// It is not in the set.
    Missing,
    /// It is there and of no use.
    Unreadable,
}

impl<'a> Loader<'a> {
    /// Reads from `images`.
    pub fn new(images: &'a dyn ImageSet) -> Self {
        Self { images, issues: Vec::new() }
    }

    /// Everything that was wrong.
    pub fn into_issues(self) -> Vec<Issue> {
        self.issues
    }

    /// Tells of something that is wrong.
    pub fn tell(&mut self, issue: Issue) {
        self.issues.push(issue);
    }

    /// The bytes of an image that ought to be there.
    pub fn bytes(&mut self, name: &str) -> Result<Bytes, Gap> {
        let bytes = self.bytes_if_any(name);
        if let Err(Gap::Missing) = bytes {
            self.tell(Issue::missing(name));
        }
        bytes
    }

    /// The bytes of an image that need not be there.
    pub fn bytes_if_any(&mut self, name: &str) -> Result<Bytes, Gap> {
        match self.images.get(name) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Gap::Missing),
            Err(error) => {
                self.tell(Issue::unreadable(name, &error));
                Err(Gap::Unreadable)
            }
        }
    }

    /// The records of an image that ought to be there.
    pub fn records<M: Record>(&mut self, name: &str) -> Result<Records<M>, Gap> {
        let bytes = self.bytes(name)?;
        self.decode(name, &bytes)
    }

    /// The records of an image that need not be there.
    pub fn records_if_any<M: Record>(&mut self, name: &str) -> Result<Records<M>, Gap> {
        let bytes = self.bytes_if_any(name)?;
        self.decode(name, &bytes)
    }

    /// The first record of an image that ought to be there and to have one.
    pub fn first<M: Record>(&mut self, name: &str) -> Result<M, Gap> {
        let records = self.records(name)?;
        self.only(name, records)
    }

    /// As [`Loader::first`]; `order` becomes the byte order of the image, if it is one.
    pub fn first_ordered<M: Record>(&mut self, name: &str, order: &mut ByteOrder) -> Result<M, Gap> {
        let records = self.records(name)?;
        *order = records.order;
        self.only(name, records)
    }

    fn only<M>(&mut self, name: &str, records: Records<M>) -> Result<M, Gap> {
        if records.whole && records.entries.is_empty() {
            self.tell(Issue::new(name, "no-record", "the image has no record"));
        }
        records.entries.into_iter().next().ok_or(Gap::Unreadable)
    }

    fn decode<M: Record>(&mut self, name: &str, bytes: &Bytes) -> Result<Records<M>, Gap> {
        let image = self.image(name, bytes)?;
        let mut entries = Vec::new();
        let mut faults = Faults::default();
        for entry in image.entries() {
            match entry.and_then(|entry: Entry<'_>| entry.decode()) {
                Ok(entry) => entries.push(entry),
                Err(error) => faults.add(&error),
            }
        }
        let whole = faults.tell(self);
        Ok(Records { entries, order: image.identity().order, whole })
    }

    /// Recognises bytes as an image.
    pub fn image<'b>(&mut self, name: &'b str, bytes: &'b Bytes) -> Result<Image<'b>, Gap> {
        Image::parse(name.as_bytes(), bytes).map_err(|error| {
            self.tell(Issue::from(&error));
            Gap::Unreadable
        })
    }
}

/// Faults of one image: the first is told, the others are counted.
#[derive(Default)]
pub(crate) struct Faults {
    first: Option<Issue>,
    more: u64,
}

impl Faults {
    /// Adds one.
    pub fn add(&mut self, error: &ckx_criu::Error) {
        match self.first {
            Some(_) => self.more += 1,
            None => self.first = Some(error.into()),
        }
    }

    /// Tells of them. Whether there were none.
    pub fn tell(self, loader: &mut Loader<'_>) -> bool {
        let Some(mut issue) = self.first else { return true };
        match self.more {
            0 => {}
            1 => issue.reason.push_str(" (and another fault)"),
            more => issue.reason = format!("{} (and {more} more faults)", issue.reason),
        }
        loader.tell(issue);
        false
    }
}
