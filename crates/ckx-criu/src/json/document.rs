//! Images and entries as JSON.

use std::cell::RefCell;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::dynamic::MessageRef;
use crate::error::{Error, ErrorKind};
use crate::extra::Extra;
use crate::frame::{Entry, Image};
use crate::json::base64::Plain;
use crate::json::extra::{ExtraJson, LeftOut, odd_padding};
use crate::json::message::{Context, known, unknown};
use crate::json::value::Shown;
use crate::kind::{Framing, ImageKind};

/// How images are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonOptions {
    /// Show integers by the display options of the schema, as crit's `--pretty` does.
    pub pretty: bool,
    /// What to do with the bytes behind records.
    pub payload: Payload,
}

/// What to do with the bytes behind records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Payload {
    /// Show them.
    #[default]
    Full,
    /// Show their size only. The result cannot be encoded again.
    Size,
}

/// How many faults are kept for [`ImageJson::problems`]; more are counted.
const KEPT_PROBLEMS: usize = 16;

/// An image that serialises to its JSON document, entry by entry, without a tree in memory.
#[derive(Debug)]
pub struct ImageJson<'a> {
    image: Image<'a>,
    options: JsonOptions,
    problems: RefCell<Problems>,
}

#[derive(Debug, Default)]
struct Problems {
    kept: Vec<Error>,
    count: u64,
}

impl<'a> ImageJson<'a> {
    /// A document of an image.
    pub fn new(image: Image<'a>, options: JsonOptions) -> Self {
        Self { image, options, problems: RefCell::default() }
    }

    /// What could not be read while the document was written: the first faults, and how many
    /// there were in all. They are in the document too, each at its place.
    pub fn problems(&self) -> (Vec<Error>, u64) {
        let problems = self.problems.borrow();
        (problems.kept.clone(), problems.count)
    }

    fn problem(&self, error: Error) {
        let mut problems = self.problems.borrow_mut();
        problems.count += 1;
        if problems.kept.len() < KEPT_PROBLEMS {
            problems.kept.push(error);
        }
    }
}

/// Name of an image's magic in JSON: crit's name, or the number where there is none.
pub fn magic_name(image: &Image<'_>) -> String {
    match (image.spec(), image.kind()) {
        (Some(spec), _) => spec.name.to_owned(),
        (None, ImageKind::Unknown(magic)) => format!("{magic:#010x}"),
        (None, _) => "FOREIGN".to_owned(),
    }
}

impl Serialize for ImageJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let identity = self.image.identity();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("magic", &magic_name(&self.image))?;
        let mut rest = Rest { error: None, trailing: &[] };
        // The list is written through a cell because it also learns how the image ends.
        let list = EntryList { document: self, rest: RefCell::new(&mut rest) };
        map.serialize_entry("entries", &list)?;
        let usual = self.image.spec().map_or(crate::kind::Header::Common, |spec| spec.header);
        if identity.header != usual {
            map.serialize_entry("@layout", identity.header.name())?;
        }
        if identity.order != crate::bytes::ByteOrder::Little {
            map.serialize_entry("@byte_order", identity.order.name())?;
        }
        if !rest.trailing.is_empty() {
            map.serialize_entry("@trailing", &Shown(Plain(rest.trailing)))?;
        }
        if let Some(error) = &rest.error {
            map.serialize_entry("@error", &error.to_string())?;
        }
        map.end()
    }
}

struct Rest<'a> {
    error: Option<Error>,
    trailing: &'a [u8],
}

struct EntryList<'d, 'a, 'r> {
    document: &'d ImageJson<'a>,
    rest: RefCell<&'r mut Rest<'a>>,
}

impl Serialize for EntryList<'_, '_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let document = self.document;
        let mut list = serializer.serialize_seq(None)?;
        let mut entries = document.image.entries();
        for entry in entries.by_ref() {
            match entry {
                Ok(entry) => {
                    let json = EntryJson::new(&entry, document.options);
                    if let Some(error) = json.problem() {
                        document.problem(error.clone());
                    }
                    list.serialize_element(&json)?;
                }
                Err(error) => {
                    document.problem(error.clone());
                    self.rest.borrow_mut().error = Some(error);
                }
            }
        }
        if document.image.raw_format().is_none() {
            self.rest.borrow_mut().trailing = entries.trailing();
        }
        list.end()
    }
}

/// An entry that serialises to its JSON object.
#[derive(Debug)]
pub struct EntryJson<'a> {
    entry: Entry<'a>,
    options: JsonOptions,
    has_extra: bool,
    check: Result<crate::wire::Shape, Error>,
}

impl<'a> EntryJson<'a> {
    /// Checks an entry and prepares to show it.
    pub fn new(entry: &Entry<'a>, options: JsonOptions) -> Self {
        Self { entry: *entry, options, has_extra: has_extra(entry), check: entry.check() }
    }

    /// Why the record cannot be read, if so.
    pub fn problem(&self) -> Option<&Error> {
        self.check.as_ref().err()
    }

    /// The first required field that the record lacks, as message and field. CRIU refuses such a
    /// record; older releases wrote them where the field was not required yet.
    pub fn missing(&self) -> Option<(&'static str, &'static str)> {
        self.check.as_ref().ok()?.missing
    }
}

/// Whether the key `extra` belongs into the entry's object.
fn has_extra(entry: &Entry<'_>) -> bool {
    !matches!(entry.extra(), Extra::None)
}

impl Serialize for EntryJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = &self.entry;
        let message = MessageRef::checked(entry.message(), entry.body());
        let fields = message.fields();
        let context = Context { pretty: self.options.pretty, hex: false, order: entry.order() };
        let mut map = serializer.serialize_map(None)?;
        if self.check.is_ok() {
            known(&mut map, &fields, context)?;
        }
        if self.has_extra {
            match self.options.payload {
                Payload::Full => map.serialize_entry("extra", &ExtraJson(entry.extra()))?,
                Payload::Size => {
                    map.serialize_entry("extra", &Shown(LeftOut(entry.extra().content_len())))?;
                }
            }
        }
        if let Some(pad) = odd_padding(entry.extra()) {
            map.serialize_entry("@pad", &Shown(Plain(pad)))?;
        }
        match &self.check {
            Ok(shape) => {
                unknown(&mut map, &fields)?;
                if !shape.canonical {
                    map.serialize_entry("@wire", &Shown(Plain(entry.body())))?;
                }
            }
            Err(error) => {
                map.serialize_entry("@wire", &Shown(Plain(entry.body())))?;
                map.serialize_entry("@error", &error.message())?;
            }
        }
        map.end()
    }
}

/// Whether a file of this kind has records that JSON can show.
///
/// # Errors
/// [`ErrorKind::Raw`] and [`ErrorKind::Foreign`] for those that have not.
pub fn require_records(image: &Image<'_>) -> Result<(), Error> {
    match image.spec().map(|spec| spec.framing) {
        Some(Framing::Raw(format)) => Err(image.error(ErrorKind::Raw { what: format.name() }, None, 0)),
        None if image.kind() == ImageKind::Foreign => Err(image.error(ErrorKind::Foreign, None, 0)),
        _ => Ok(()),
    }
}
