//! The protobuf wire format, read and written against the tables of [`crate::schema`].
//!
//! Three questions are answered here without building a tree: is a record well-formed and
//! canonical ([`inspect`]), which fields does it have ([`Fields`]), and what would an ordinary
//! protobuf writer have produced for the same content ([`normalize`]).

use std::borrow::Cow;

use crate::error::{WireError, WireReason};
use crate::limits::{MAX_GROUP_DEPTH, MAX_MESSAGE_DEPTH};
use crate::schema::{FieldDesc, Label, MessageDesc, Type};
pub use crate::varint::{put_varint, read_varint};

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;
const GROUP_START: u32 = 3;
const GROUP_END: u32 = 4;
const FIXED32: u32 = 5;

const MAX_FIELD_NUMBER: u64 = (1 << 29) - 1;

/// A value as it stands on the wire, before a type is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireValue<'a> {
    /// A number of variable width.
    Varint(u64),
    /// Eight bytes, little-endian in protobuf whatever the host was.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
    /// Length and bytes: text, bytes, a message or packed values.
    Bytes(&'a [u8]),
    /// What stands between the two keys of a group (proto2's retired form of nesting).
    Group(&'a [u8]),
}

/// One field as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub struct WireField<'a> {
    /// Field number.
    pub number: u32,
    /// Its value.
    pub value: WireValue<'a>,
    /// Position of the key, from the start of the message.
    pub start: usize,
    /// Position of the value's first byte (behind a length, where there is one).
    pub value_start: usize,
    /// Whether key, length and number take as few bytes as possible.
    pub minimal: bool,
}

/// Walks the fields of a message in wire order. Ends after the first fault.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Fields<'a> {
    /// The fields of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    #[cold]
    fn fail(&mut self, reason: WireReason, position: usize) -> WireError {
        self.position = self.bytes.len();
        WireError { reason, position }
    }

    #[inline]
    fn varint(&mut self) -> Result<(u64, bool), WireReason> {
        // Most keys, lengths and numbers take one byte.
        if let Some(&byte @ ..0x80) = self.bytes.get(self.position) {
            self.position += 1;
            return Ok((byte.into(), true));
        }
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let (value, len) = read_varint(rest)?;
        self.position += len;
        // A last byte of zero adds nothing; of the tenth byte only one bit counts, others would not be
        // written again.
        let last = rest.get(len - 1).copied().unwrap_or_default();
        Ok((value, last != 0 && (len < 10 || last == 1)))
    }

    #[inline]
    fn take(&mut self, len: u64) -> Result<&'a [u8], WireReason> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let len = usize::try_from(len).map_err(|_| WireReason::ValueTruncated)?;
        let value = rest.get(..len).ok_or(WireReason::ValueTruncated)?;
        self.position += len;
        Ok(value)
    }

    #[inline]
    fn key(&mut self) -> Result<(u32, u32, bool), WireReason> {
        let (key, minimal) = self.varint()?;
        let number = key >> 3;
        if number == 0 || number > MAX_FIELD_NUMBER {
            return Err(WireReason::BadFieldNumber);
        }
        Ok((number as u32, (key & 7) as u32, minimal))
    }

    #[inline]
    fn value(&mut self, number: u32, wire_type: u32) -> Result<(WireValue<'a>, usize, bool), WireReason> {
        match wire_type {
            VARINT => {
                let start = self.position;
                self.varint().map(|(value, minimal)| (WireValue::Varint(value), start, minimal))
            }
            FIXED64 => {
                let start = self.position;
                let bytes = self.take(8)?;
                Ok((WireValue::Fixed64(little_endian(bytes)), start, true))
            }
            FIXED32 => {
                let start = self.position;
                let bytes = self.take(4)?;
                Ok((WireValue::Fixed32(little_endian(bytes) as u32), start, true))
            }
            DELIMITED => {
                let (len, minimal) = self.varint()?;
                let start = self.position;
                self.take(len).map(|bytes| (WireValue::Bytes(bytes), start, minimal))
            }
            GROUP_START => {
                let start = self.position;
                let (bytes, minimal) = self.group(number)?;
                Ok((WireValue::Group(bytes), start, minimal))
            }
            GROUP_END => Err(WireReason::BadGroup),
            _ => Err(WireReason::BadWireType),
        }
    }

    #[cold]
    /// Skips a group; returns what is inside and whether its end key is minimal.
    fn group(&mut self, number: u32) -> Result<(&'a [u8], bool), WireReason> {
        let start = self.position;
        let mut open = vec![number];
        loop {
            let before = self.position;
            let (number, wire_type, minimal) = match self.key() {
                Err(WireReason::VarintTruncated) => return Err(WireReason::BadGroup),
                other => other?,
            };
            match wire_type {
                GROUP_START if open.len() >= MAX_GROUP_DEPTH => return Err(WireReason::TooDeep),
                GROUP_START => open.push(number),
                GROUP_END => {
                    if open.pop() != Some(number) {
                        return Err(WireReason::BadGroup);
                    }
                    if open.is_empty() {
                        return Ok((self.bytes.get(start..before).unwrap_or_default(), minimal));
                    }
                }
                _ => {
                    self.value(number, wire_type)?;
                }
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<WireField<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let start = self.position;
        if start >= self.bytes.len() {
            return None;
        }
        let (number, wire_type, key_minimal) = match self.key() {
            Ok(key) => key,
            Err(reason) => return Some(Err(self.fail(reason, start))),
        };
        Some(match self.value(number, wire_type) {
            Ok((value, value_start, minimal)) => {
                Ok(WireField { number, value, start, value_start, minimal: minimal && key_minimal })
            }
            Err(reason) => Err(self.fail(reason, start)),
        })
    }
}

fn put_key(number: u32, wire_type: u32, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | u64::from(wire_type), out);
}

/// Appends a field with a length.
pub fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_key(number, DELIMITED, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends any field in its shortest form.
pub fn put_wire(number: u32, value: WireValue<'_>, out: &mut Vec<u8>) {
    match value {
        WireValue::Varint(value) => {
            put_key(number, VARINT, out);
            put_varint(value, out);
        }
        WireValue::Fixed64(value) => {
            put_key(number, FIXED64, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        WireValue::Fixed32(value) => {
            put_key(number, FIXED32, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        WireValue::Bytes(bytes) => put_bytes(number, bytes, out),
        WireValue::Group(bytes) => {
            put_key(number, GROUP_START, out);
            out.extend_from_slice(bytes);
            put_key(number, GROUP_END, out);
        }
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// A scalar value with its type applied: cut to width and sign as protobuf readers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// `bool`.
    Bool(bool),
    /// Signed integers and enum values.
    Signed(i64),
    /// Unsigned integers.
    Unsigned(u64),
}

/// Applies an integer type to a wire value; `None` when they do not fit together.
#[inline]
pub fn scalar(ty: Type, value: WireValue<'_>) -> Option<Scalar> {
    Some(match (ty, value) {
        (Type::Bool, WireValue::Varint(value)) => Scalar::Bool(value != 0),
        (Type::Int32 | Type::Enum(_), WireValue::Varint(value)) => Scalar::Signed((value as i32).into()),
        (Type::Int64, WireValue::Varint(value)) => Scalar::Signed(value as i64),
        (Type::Sint32, WireValue::Varint(value)) => {
            Scalar::Signed((((value as u32) >> 1) as i32 ^ -((value & 1) as i32)).into())
        }
        (Type::Sint64, WireValue::Varint(value)) => {
            Scalar::Signed((value >> 1) as i64 ^ -((value & 1) as i64))
        }
        (Type::Uint32, WireValue::Varint(value)) => Scalar::Unsigned(u64::from(value as u32)),
        (Type::Uint64, WireValue::Varint(value)) => Scalar::Unsigned(value),
        (Type::Fixed64, WireValue::Fixed64(value)) => Scalar::Unsigned(value),
        (Type::Fixed32, WireValue::Fixed32(value)) => Scalar::Unsigned(value.into()),
        _ => return None,
    })
}

/// The wire value that an ordinary writer gives a scalar.
pub fn wire_scalar(ty: Type, scalar: Scalar) -> WireValue<'static> {
    let raw = match scalar {
        Scalar::Bool(value) => u64::from(value),
        Scalar::Signed(value) => value as u64,
        Scalar::Unsigned(value) => value,
    };
    match ty {
        Type::Sint32 | Type::Sint64 => {
            let value = raw as i64;
            WireValue::Varint((value << 1 ^ value >> 63) as u64)
        }
        Type::Fixed64 => WireValue::Fixed64(raw),
        Type::Fixed32 => WireValue::Fixed32(raw as u32),
        _ => WireValue::Varint(raw),
    }
}

fn is_integer(ty: Type) -> bool {
    !matches!(ty, Type::Text | Type::Bytes | Type::Message(_))
}

/// Whether a wire value can be a value (or packed values) of a field; if not, it is an unknown field.
pub fn fits(field: &FieldDesc, value: WireValue<'_>) -> bool {
    match value {
        WireValue::Varint(_) => !matches!(field.ty, Type::Fixed32 | Type::Fixed64) && is_integer(field.ty),
        WireValue::Bytes(bytes) if is_integer(field.ty) => {
            field.label == Label::Repeated && Packed::new(field.ty, bytes).all(|value| value.is_some())
        }
        WireValue::Bytes(_) => !is_integer(field.ty),
        other => scalar(field.ty, other).is_some(),
    }
}

/// Walks packed values. Gives `None` once for a value that is cut off, then ends.
#[derive(Debug, Clone)]
pub struct Packed<'a> {
    ty: Type,
    rest: &'a [u8],
}

impl<'a> Packed<'a> {
    /// The values of type `ty` in `bytes`.
    pub fn new(ty: Type, bytes: &'a [u8]) -> Self {
        Self { ty, rest: bytes }
    }
}

impl Iterator for Packed<'_> {
    type Item = Option<Scalar>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (value, len) = match self.ty {
            Type::Fixed64 => (self.rest.get(..8).map(|b| WireValue::Fixed64(little_endian(b))), 8),
            Type::Fixed32 => (self.rest.get(..4).map(|b| WireValue::Fixed32(little_endian(b) as u32)), 4),
            _ => match read_varint(self.rest) {
                Ok((value, len)) => (Some(WireValue::Varint(value)), len),
                Err(_) => (None, 0),
            },
        };
        self.rest = if value.is_some() { self.rest.get(len..).unwrap_or_default() } else { &[] };
        Some(value.and_then(|value| scalar(self.ty, value)))
    }
}

/// What [`inspect`] found out about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Encoding the content again gives the same bytes.
    pub canonical: bool,
    /// There are fields the schema does not have.
    pub unknown: bool,
    /// The first required field that is not there: message and field.
    pub missing: Option<(&'static str, &'static str)>,
}

/// Checks a record against the schema: well-formed at every level, canonical, complete.
///
/// # Errors
/// The first fault of the wire format, with its position from the start of `bytes`.
pub fn inspect(desc: &'static MessageDesc, bytes: &[u8]) -> Result<Shape, WireError> {
    let mut shape = Shape { canonical: true, unknown: false, missing: None };
    inspect_into(desc, bytes, 0, 0, &mut shape)?;
    Ok(shape)
}

fn inspect_into(
    desc: &'static MessageDesc,
    bytes: &[u8],
    base: usize,
    depth: usize,
    shape: &mut Shape,
) -> Result<(), WireError> {
    if depth >= MAX_MESSAGE_DEPTH {
        return Err(WireError { reason: WireReason::TooDeep, position: base });
    }
    let mut last = (0, false);
    // One bit per field of the message; the widest message of the schema has 40.
    let mut seen = 0u128;
    for field in Fields::new(bytes) {
        let field = field.map_err(|mut error| {
            error.position += base;
            error
        })?;
        shape.canonical &= field.minimal;
        let index = desc.index(field.number).unwrap_or(usize::MAX);
        let known = desc.fields.get(index).filter(|known| fits(known, field.value));
        let place = (field.number, known.is_none());
        shape.canonical &= place >= last;
        let Some(known) = known else {
            shape.unknown = true;
            last = place;
            continue;
        };
        // A second value replaces the first, and packed runs of one field are joined.
        shape.canonical &= last != place || (known.label == Label::Repeated && !known.packed);
        last = place;
        seen |= 1u128.checked_shl(index as u32).unwrap_or(0);
        match (known.ty, field.value) {
            (Type::Message(inner), WireValue::Bytes(value)) => {
                inspect_into(inner, value, base + field.value_start, depth + 1, shape)?;
            }
            (ty, WireValue::Bytes(value)) if is_integer(ty) => {
                shape.canonical &= known.packed && !value.is_empty() && packed_is_canonical(ty, value);
            }
            (_, WireValue::Bytes(_)) => {}
            (ty, value) => {
                shape.canonical &=
                    !known.packed && scalar(ty, value).is_some_and(|typed| wire_scalar(ty, typed) == value);
            }
        }
    }
    if shape.missing.is_none() {
        shape.missing = desc
            .fields
            .iter()
            .enumerate()
            .find(|(index, field)| field.label == Label::Required && seen >> index & 1 == 0)
            .map(|(_, field)| (desc.name, field.name));
    }
    Ok(())
}

fn packed_is_canonical(ty: Type, bytes: &[u8]) -> bool {
    let mut again = Vec::with_capacity(bytes.len());
    for value in Packed::new(ty, bytes).flatten() {
        put_packed(ty, value, &mut again);
    }
    again == bytes
}

/// Appends a packed value (no key).
pub fn put_packed(ty: Type, value: Scalar, out: &mut Vec<u8>) {
    match wire_scalar(ty, value) {
        WireValue::Fixed64(value) => out.extend_from_slice(&value.to_le_bytes()),
        WireValue::Fixed32(value) => out.extend_from_slice(&value.to_le_bytes()),
        WireValue::Varint(value) => put_varint(value, out),
        WireValue::Bytes(_) | WireValue::Group(_) => {}
    }
}

/// The fields of a well-formed message, sorted: by number, known ones before unknown ones of the
/// same number, else in wire order. Faulty bytes give the fields before the fault.
pub fn sorted_fields<'a>(
    desc: &'static MessageDesc,
    bytes: &'a [u8],
) -> Vec<(Option<&'static FieldDesc>, WireField<'a>)> {
    // A field takes two bytes at least, and few messages have more than a handful.
    let mut fields = Vec::with_capacity((bytes.len() / 2).min(16));
    fields.extend(
        Fields::new(bytes)
            .map_while(Result::ok)
            .map(|field| (desc.field(field.number).filter(|known| fits(known, field.value)), field)),
    );
    let key = |(known, field): &(Option<&FieldDesc>, WireField<'_>)| (field.number, known.is_none());
    if !fields.is_sorted_by_key(key) {
        fields.sort_by_key(key);
    }
    fields
}

/// The bytes that an ordinary protobuf writer produces for the same content: fields by number,
/// numbers in their shortest form, the last of several values of a singular field, messages
/// merged, repeated integers packed or not as the schema says. Unknown fields stay.
///
/// `bytes` must have passed [`inspect`].
pub fn normalize(desc: &'static MessageDesc, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    normalize_into(desc, bytes, 0, &mut out);
    out
}

fn normalize_into(desc: &'static MessageDesc, bytes: &[u8], depth: usize, out: &mut Vec<u8>) {
    if depth >= MAX_MESSAGE_DEPTH {
        return;
    }
    let fields = sorted_fields(desc, bytes);
    for run in fields.chunk_by(|(a, x), (b, y)| x.number == y.number && a.is_some() == b.is_some()) {
        let Some((first, _)) = run.first() else { continue };
        let Some(known) = first else {
            run.iter().for_each(|(_, field)| put_wire(field.number, field.value, out));
            continue;
        };
        if let Type::Message(inner) = known.ty {
            message_values(known, run, |value| {
                let mut message = Vec::with_capacity(value.len());
                normalize_into(inner, &value, depth + 1, &mut message);
                put_bytes(known.number, &message, out);
            });
        } else if is_integer(known.ty) {
            normalize_integers(known, run, out);
        } else {
            let skip = if known.label == Label::Repeated { 0 } else { run.len() - 1 };
            run.iter().skip(skip).for_each(|(_, field)| put_wire(known.number, field.value, out));
        }
    }
}

fn normalize_integers(
    known: &FieldDesc,
    run: &[(Option<&'static FieldDesc>, WireField<'_>)],
    out: &mut Vec<u8>,
) {
    let mut packed = Vec::new();
    integers(known, run, |value| {
        if known.packed {
            put_packed(known.ty, value, &mut packed);
        } else {
            put_wire(known.number, wire_scalar(known.ty, value), out);
        }
    });
    if !packed.is_empty() {
        put_bytes(known.number, &packed, out);
    }
}

/// Visits the integer values of one field: all of a repeated one, the last of a singular one.
pub fn integers(
    known: &FieldDesc,
    run: &[(Option<&'static FieldDesc>, WireField<'_>)],
    mut visit: impl FnMut(Scalar),
) {
    let skip = if known.label == Label::Repeated { 0 } else { run.len().saturating_sub(1) };
    for (_, field) in run.iter().skip(skip) {
        match field.value {
            WireValue::Bytes(bytes) => Packed::new(known.ty, bytes).flatten().for_each(&mut visit),
            value => scalar(known.ty, value).into_iter().for_each(&mut visit),
        }
    }
}

/// Visits the message values of one field: all of a repeated one; several values of a singular one
/// are one message whose fields follow each other, which is how protobuf merges.
pub fn message_values<'a>(
    known: &FieldDesc,
    run: &[(Option<&'static FieldDesc>, WireField<'a>)],
    mut visit: impl FnMut(Cow<'a, [u8]>),
) {
    let values = run.iter().filter_map(|(_, field)| match field.value {
        WireValue::Bytes(bytes) => Some(bytes),
        _ => None,
    });
    if known.label == Label::Repeated || run.len() == 1 {
        values.for_each(|value| visit(Cow::Borrowed(value)));
    } else {
        visit(Cow::Owned(values.collect::<Vec<_>>().concat()));
    }
}

/// Last value of an unsigned or enum field, without decoding the rest of the message.
///
/// # Errors
/// A fault of the wire format anywhere in the message.
pub fn uint_field(bytes: &[u8], number: u32) -> Result<Option<u64>, WireError> {
    let mut found = None;
    for field in Fields::new(bytes) {
        let field = field?;
        if field.number == number
            && let WireValue::Varint(value) = field.value
        {
            found = Some(value);
        }
    }
    Ok(found)
}
