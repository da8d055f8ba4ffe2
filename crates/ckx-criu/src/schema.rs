//! The schema of `proto/` as static tables: every message, field and enum, with its display options.
//!
//! The tables are made from the compiled descriptors when the crate is built. They cost nothing at
//! start-up, unlike a descriptor pool, which takes milliseconds to load: more than decoding an image.

/// A message of the schema.
#[derive(Debug)]
pub struct MessageDesc {
    /// Name as in `proto/`, nested ones with dots.
    pub name: &'static str,
    /// File in `proto/` that declares it.
    pub file: &'static str,
    /// What it is, from the comment in `proto/`.
    pub about: &'static str,
    /// Fields by number.
    pub fields: &'static [FieldDesc],
}

/// A field of a message.
#[derive(Debug)]
pub struct FieldDesc {
    /// Name as in `proto/`.
    pub name: &'static str,
    /// Field number.
    pub number: u32,
    /// Required, optional or repeated.
    pub label: Label,
    /// Type of (each) value.
    pub ty: Type,
    /// Whether the schema asks for packed encoding. Readers accept both.
    pub packed: bool,
    /// Row of `DEFAULTS`, and of `DISPLAYS`. Numbers keep rows small, and with them the part of the
    /// program that has to be relocated at each start.
    default: u8,
    display: u8,
}

impl FieldDesc {
    /// Default value as written in the schema.
    pub fn default(&self) -> Option<&'static str> {
        DEFAULTS.get(usize::from(self.default)).copied().flatten()
    }

    /// How crit's pretty form shows it.
    pub fn display(&self) -> &'static Display {
        DISPLAYS.get(usize::from(self.display)).unwrap_or(&Display::PLAIN)
    }
}

/// Label of a proto2 field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// CRIU refuses a record without it.
    Required,
    /// May be absent.
    Optional,
    /// Any number of values.
    Repeated,
}

/// Type of a field.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Type {
    Bool,
    Int32,
    Int64,
    Sint32,
    Sint64,
    Uint32,
    Uint64,
    Fixed32,
    Fixed64,
    /// `string` in the schema; holds whatever bytes Linux had, UTF-8 or not.
    Text,
    Bytes,
    Enum(&'static EnumDesc),
    Message(&'static MessageDesc),
}

/// An enum of the schema.
#[derive(Debug)]
pub struct EnumDesc {
    /// Name as in `proto/`, nested ones with dots.
    pub name: &'static str,
    /// Value names with their numbers, in the order of the schema.
    pub values: &'static [(&'static str, i32)],
}

/// Display options: what the `(criu)` option of a field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Display {
    /// Integers in hexadecimal; on a message, all integers below it.
    pub hex: bool,
    /// Words that form an IP address.
    pub ipadd: bool,
    /// Device number in the kernel's encoding, unless `odev`.
    pub dev: bool,
    /// Device number in the C library's encoding.
    pub odev: bool,
    /// Name of the flag map, e.g. `mmap.prot`.
    pub flags: Option<&'static str>,
    /// Name of the dictionary group, e.g. `sk`.
    pub dict: Option<&'static str>,
    /// Conversion of bytes to text, e.g. `unix_name`.
    pub conv: Option<&'static str>,
}

impl Display {
    /// No option.
    pub const PLAIN: Self =
        Self { hex: false, ipadd: false, dev: false, odev: false, flags: None, dict: None, conv: None };
}

impl MessageDesc {
    /// Place in `fields` of the field with this number.
    #[inline]
    pub fn index(&self, number: u32) -> Option<usize> {
        // Numbers are dense in most messages, so the field is where its number says.
        let guess = number.wrapping_sub(1) as usize;
        if self.fields.get(guess).is_some_and(|field| field.number == number) {
            return Some(guess);
        }
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }

    /// The field with this number.
    #[inline]
    pub fn field(&self, number: u32) -> Option<&'static FieldDesc> {
        self.fields.get(self.index(number)?)
    }

    /// The field with this name.
    pub fn field_named(&self, name: &str) -> Option<&'static FieldDesc> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl EnumDesc {
    /// Name of a value; of several names for one number the first.
    pub fn name_of(&self, number: i32) -> Option<&'static str> {
        self.values.iter().find(|(_, value)| *value == number).map(|(name, _)| *name)
    }

    /// Number of a name.
    pub fn number_of(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|(each, _)| *each == name).map(|(_, number)| *number)
    }
}

/// The message with this name, e.g. `core_entry`.
pub fn message(name: &str) -> Option<&'static MessageDesc> {
    let at = MESSAGES.binary_search_by(|each| each.name.cmp(name)).ok()?;
    MESSAGES.get(at).copied()
}

/// The compiled `proto/` as an encoded `google.protobuf.FileDescriptorSet`, display options included.
///
/// For readers in other languages and for reflection; nothing in this crate needs it at run time.
pub static DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

include!(concat!(env!("OUT_DIR"), "/schema.rs"));
