//! A small protobuf encoder that writes what it is told, in the order in which it is told.
//!
//! It knows no schema: field numbers and types are the caller's. CRIU writes fields in the order
//! of their numbers, repeated numbers one key each, and so do callers that want an image as CRIU
//! writes it. The last group of methods writes what no sane writer would.

/// A message under construction, already encoded.
///
/// ```
/// use ckx_testkit::Msg;
///
/// // The record of a real `fs-66.img`: cwd_id 8, root_id 9, umask 18.
/// assert_eq!(Msg::new().uint(1, 8).uint(2, 9).uint(3, 18).as_bytes(), b"\x08\x08\x10\x09\x18\x12");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Msg(Vec<u8>);

/// Wire type of varints.
const VARINT: u8 = 0;
/// Wire type of eight bytes.
const FIXED64: u8 = 1;
/// Wire type of everything with a length.
const BYTES: u8 = 2;
/// Wire types of the begin and the end of a group.
const GROUP: (u8, u8) = (3, 4);
/// Wire type of four bytes.
const FIXED32: u8 = 5;

impl Msg {
    /// A message without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// A field of type uint32, uint64, bool or enum.
    pub fn uint(self, field: u32, value: u64) -> Self {
        self.key(field, VARINT).varint(value)
    }

    /// A field of type bool.
    pub fn bool(self, field: u32, value: bool) -> Self {
        self.uint(field, value.into())
    }

    /// A field of type int32 or int64: ten bytes when negative.
    pub fn int(self, field: u32, value: i64) -> Self {
        self.uint(field, value as u64)
    }

    /// A field of type sint32 or sint64: sign in the lowest bit.
    pub fn sint(self, field: u32, value: i64) -> Self {
        self.uint(field, ((value << 1) ^ (value >> 63)) as u64)
    }

    /// A field of type fixed64.
    pub fn fixed64(self, field: u32, value: u64) -> Self {
        self.key(field, FIXED64).raw(&value.to_le_bytes())
    }

    /// A field of type fixed32.
    pub fn fixed32(self, field: u32, value: u32) -> Self {
        self.key(field, FIXED32).raw(&value.to_le_bytes())
    }

    /// A field of type bytes.
    pub fn bytes(self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.key(field, BYTES).varint(value.len() as u64).raw(value)
    }

    /// A field of type string.
    pub fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value)
    }

    /// A field that is a message.
    pub fn msg(self, field: u32, value: Msg) -> Self {
        self.bytes(field, value.0)
    }

    /// A repeated number as proto2 writes it: one key for each.
    pub fn uints(self, field: u32, values: impl IntoIterator<Item = u64>) -> Self {
        values.into_iter().fold(self, |msg, value| msg.uint(field, value))
    }

    /// A repeated message.
    pub fn msgs(self, field: u32, values: impl IntoIterator<Item = Msg>) -> Self {
        values.into_iter().fold(self, |msg, value| msg.msg(field, value))
    }

    /// Numbers in fields that follow each other, from `first` on.
    pub fn seq(self, first: u32, values: impl IntoIterator<Item = u64>) -> Self {
        (first..).zip(values).fold(self, |msg, (field, value)| msg.uint(field, value))
    }

    /// A repeated number in packed form: one key for all.
    pub fn packed(self, field: u32, values: impl IntoIterator<Item = u64>) -> Self {
        let packed = values.into_iter().fold(Msg::new(), Msg::varint);
        self.bytes(field, packed.0)
    }

    /// What `more` adds, if there is a value.
    pub fn maybe<T>(self, value: Option<T>, more: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => more(self, value),
            None => self,
        }
    }

    /// These bytes, whatever they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// What no sane writer writes.
impl Msg {
    /// A key and nothing behind it. Wire types 6 and 7 do not exist.
    pub fn key(self, field: u32, wire_type: u8) -> Self {
        self.varint(u64::from(field) << 3 | u64::from(wire_type))
    }

    /// A number without a key, in as few bytes as it needs.
    pub fn varint(self, value: u64) -> Self {
        self.long_varint(value, 1)
    }

    /// A number without a key in at least `len` bytes, filled up with zeros that mean nothing.
    pub fn long_varint(mut self, mut value: u64, len: usize) -> Self {
        let end = self.0.len() + len;
        while value >= 0x80 || self.0.len() + 1 < end {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// A number of `len` bytes, more than it needs.
    pub fn overlong(self, field: u32, value: u64, len: usize) -> Self {
        self.key(field, VARINT).long_varint(value, len)
    }

    /// A number behind a key of `len` bytes, more than it needs.
    pub fn overlong_key(self, field: u32, value: u64, len: usize) -> Self {
        self.long_varint(u64::from(field) << 3 | u64::from(VARINT), len).varint(value)
    }

    /// Bytes with a length of `len` bytes, more than it needs.
    pub fn overlong_len(self, field: u32, value: &[u8], len: usize) -> Self {
        self.key(field, BYTES).long_varint(value.len() as u64, len).raw(value)
    }

    /// Bytes that announce another length than they have.
    pub fn wrong_len(self, field: u32, announced: u64, value: &[u8]) -> Self {
        self.key(field, BYTES).varint(announced).raw(value)
    }

    /// A message in the retired form between two keys. Leave out `end` by [`Msg::key`].
    pub fn group(self, field: u32, value: Msg) -> Self {
        self.key(field, GROUP.0).raw(&value.0).key(field, GROUP.1)
    }
}

/// The result.
impl Msg {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Msg;

    fn hex(msg: Msg) -> String {
        msg.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn numbers() {
        assert_eq!(hex(Msg::new().uint(1, 0)), "0800");
        assert_eq!(hex(Msg::new().uint(1, 300)), "08ac02");
        assert_eq!(hex(Msg::new().uint(16, 1)), "800101");
        assert_eq!(hex(Msg::new().uint(1, u64::MAX)), "08ffffffffffffffffff01");
        assert_eq!(hex(Msg::new().int(2, -3)), "10fdffffffffffffffff01");
        assert_eq!(hex(Msg::new().sint(7, -1).sint(7, 1).sint(7, 0)), "380138023800");
        assert_eq!(hex(Msg::new().sint(8, i64::MIN)), "40ffffffffffffffffff01");
        assert_eq!(hex(Msg::new().bool(3, true)), "1801");
        assert_eq!(hex(Msg::new().fixed64(16, 0x0807_0605_0403_0201)), "81010102030405060708");
        assert_eq!(hex(Msg::new().fixed32(1, 0x0403_0201)), "0d01020304");
    }

    #[test]
    fn lengths() {
        assert_eq!(hex(Msg::new().bytes(3, b"ab").text(4, "c")), "1a0261622201".to_owned() + "63");
        assert_eq!(hex(Msg::new().msg(4, Msg::new().uint(1, 1))), "22020801");
        assert_eq!(hex(Msg::new().uints(5, [66, 67])), "28422843");
        assert_eq!(hex(Msg::new().packed(1, [1, 300])), "0a0301ac02");
        assert_eq!(hex(Msg::new().seq(1, [7, 8])), "08071008");
        assert_eq!(
            hex(Msg::new().maybe(Some(1), |m, v| m.uint(1, v)).maybe(None::<u64>, |m, v| m.uint(2, v))),
            "0801"
        );
        let long = Msg::new().bytes(1, [b'x'; 200]);
        assert_eq!(long.len(), 203);
        assert!(long.as_bytes().starts_with(b"\x0a\xc8\x01xx"));
    }

    #[test]
    fn odd_forms() {
        assert_eq!(hex(Msg::new().overlong(1, 5, 3)), "08858000");
        assert_eq!(hex(Msg::new().overlong(1, 300, 1)), "08ac02");
        assert_eq!(hex(Msg::new().overlong_key(1, 5, 2)), "880005");
        assert_eq!(hex(Msg::new().overlong_len(1, b"a", 2)), "0a810061");
        assert_eq!(hex(Msg::new().wrong_len(1, 9, b"a")), "0a0961");
        assert_eq!(hex(Msg::new().group(1, Msg::new().uint(1, 5))), "0b08050c");
        assert_eq!(hex(Msg::new().key(1, 7)), "0f");
    }

    #[test]
    fn the_record_of_a_real_queue_image() {
        let scm = Msg::new().uint(1, 1).uint(2, 14);
        assert_eq!(hex(Msg::new().uint(1, 13).uint(2, 1).msg(4, scm)), "080d100122040801100e");
    }
}
