//! Kinds of images: the one table of everything CRIU and its plugins put into an image directory,
//! and how a file is recognised as one of them.

use crate::bytes::ByteOrder;
use crate::extra::ExtraRule;
use crate::raw::RawFormat;
use crate::schema::MessageDesc;

pub use crate::kinds::{ImageKind, KINDS};

/// First word of an ordinary image since CRIU 1.6.
pub const IMG_COMMON_MAGIC: u32 = 0x5456_4319;
/// First word of a service image: one that belongs to the work, not to the checkpoint.
pub const IMG_SERVICE_MAGIC: u32 = 0x5510_5940;

/// One row of [`KINDS`].
#[derive(Debug)]
pub struct KindSpec {
    /// The kind.
    pub kind: ImageKind,
    /// Name: crit's name of the magic, or for raw images a name in the same style.
    pub name: &'static str,
    /// Own magic; `None` for files without one.
    pub magic: Option<u32>,
    /// How the file begins when current CRIU writes it.
    pub header: Header,
    /// File name, with `%u` (decimal), `%x` (hexadecimal) or `%s` (text) where a number stands.
    pub pattern: &'static str,
    /// What the number in the name counts.
    pub number: NameNumber,
    /// How the content is framed.
    pub framing: Framing,
    /// One line on what the image holds.
    pub about: &'static str,
}

/// How a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Header {
    /// Own magic only: the inventory in every version, and every image of CRIU 1.5 and older.
    Own,
    /// [`IMG_COMMON_MAGIC`], then the own magic.
    Common,
    /// [`IMG_SERVICE_MAGIC`], then the own magic.
    Service,
    /// Nothing: content from the first byte on.
    None,
}

impl Header {
    /// Bytes that the header takes.
    pub fn len(self) -> usize {
        match self {
            Self::Own => 4,
            Self::Common | Self::Service => 8,
            Self::None => 0,
        }
    }

    /// Whether there is no header.
    pub fn is_empty(self) -> bool {
        self == Self::None
    }

    /// Name in JSON (`@layout`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Common => "common",
            Self::Service => "service",
            Self::None => "none",
        }
    }

    /// The header with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Own, Self::Common, Self::Service, Self::None].into_iter().find(|header| header.name() == name)
    }

    /// The bytes of a header.
    pub fn bytes(self, magic: u32, order: ByteOrder) -> Vec<u8> {
        let words: &[u32] = match self {
            Self::Own => &[magic],
            Self::Common => &[IMG_COMMON_MAGIC, magic],
            Self::Service => &[IMG_SERVICE_MAGIC, magic],
            Self::None => &[],
        };
        words.iter().flat_map(|word| order.word_bytes(*word)).collect()
    }
}

/// What the number in a file name counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameNumber {
    /// There is none.
    None,
    /// Process id inside the dumped pid namespace.
    Pid,
    /// Thread id.
    Tid,
    /// `files_id` of a descriptor table, from the `ids` image.
    FilesId,
    /// `pages_id` from the head of a page map.
    PagesId,
    /// Id of a shared memory object: inode number or SysV id.
    ShmId,
    /// Namespace id, from the `ids` image.
    NamespaceId,
    /// Inode number of a socket.
    SocketInode,
    /// Number of a ghost file.
    GhostId,
    /// Device number of a filesystem.
    Device,
    /// Mount id.
    MountId,
    /// Id of an external file.
    ExtFileId,
    /// A word (`dump`, `restore`).
    Word,
}

/// How the bytes behind the header are framed.
#[derive(Debug, Clone, Copy)]
pub enum Framing {
    /// One record and the bytes that belong to it.
    Single(&'static MessageDesc, ExtraRule),
    /// Records of one message.
    Stream(&'static MessageDesc, ExtraRule),
    /// One record of the first message, all others of the second.
    HeadThenStream(&'static MessageDesc, &'static MessageDesc),
    /// A ghost file: a head, then either its content or chunk records with theirs.
    Ghost(&'static MessageDesc, &'static MessageDesc),
    /// One message without size word, to the end of the file.
    Bare(&'static MessageDesc),
    /// No records.
    Raw(RawFormat),
}

/// The row of a kind.
pub fn spec(kind: ImageKind) -> Option<&'static KindSpec> {
    KINDS.iter().find(|spec| spec.kind == kind)
}

/// The rows that an own magic can mean: several kinds share one.
pub fn specs_by_magic(magic: u32) -> impl Iterator<Item = &'static KindSpec> {
    KINDS.iter().filter(move |spec| spec.magic == Some(magic))
}

/// The row with this name (crit's name of the magic). Names that stand for several rows give the
/// first, which is the one that current CRIU writes.
pub fn spec_by_name(name: &str) -> Option<&'static KindSpec> {
    KINDS.iter().find(|spec| spec.name == name)
}

/// The row whose file-name pattern fits, with the number in the name.
///
/// `name` is the file name without its directory.
pub fn spec_by_file_name(name: &[u8]) -> Option<(&'static KindSpec, Option<u64>)> {
    KINDS.iter().find_map(|spec| Some((spec, match_pattern(spec.pattern, name)?)))
}

/// Matches a file name against a pattern. `Some(number)` when it fits; the number is that of the
/// last placeholder, `None` where there is no placeholder or its number does not fit 64 bits.
fn match_pattern(pattern: &str, name: &[u8]) -> Option<Option<u64>> {
    let mut pattern = pattern.as_bytes();
    let mut name = name;
    let mut number = None;
    while let Some((&first, rest)) = pattern.split_first() {
        if first != b'%' {
            name = name.strip_prefix(&[first])?;
            pattern = rest;
            continue;
        }
        let (&conversion, rest) = rest.split_first()?;
        // CRIU before 3.7 printed some unsigned numbers as signed ones.
        let sign = usize::from(conversion == b'u' && name.first() == Some(&b'-'));
        let digits = name.iter().skip(sign).take_while(|byte| belongs(conversion, **byte)).count();
        let len = if digits == 0 { 0 } else { sign + digits };
        let (digits, behind) = name.split_at_checked(len).filter(|(digits, _)| !digits.is_empty())?;
        number = parse_digits(conversion, digits);
        (pattern, name) = (rest, behind);
    }
    name.is_empty().then_some(number)
}

fn belongs(conversion: u8, byte: u8) -> bool {
    match conversion {
        b'u' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        _ => byte.is_ascii_lowercase(),
    }
}

fn parse_digits(conversion: u8, digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    match conversion {
        b'u' => digits.parse().ok().or_else(|| Some(u64::from(digits.parse::<i32>().ok()? as u32))),
        b'x' => u64::from_str_radix(digits, 16).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let kind = |name: &str| {
            spec_by_file_name(name.as_bytes()).map(|(spec, number)| (spec.name, spec.pattern, number))
        };
        assert_eq!(kind("core-17.img"), Some(("CORE", "core-%u.img", Some(17))));
        assert_eq!(kind("tcp-stream-1a2b.img"), Some(("TCP_STREAM", "tcp-stream-%x.img", Some(0x1a2b))));
        assert_eq!(kind("pagemap-5.img"), Some(("PAGEMAP", "pagemap-%u.img", Some(5))));
        assert_eq!(kind("pagemap-shmem-5.img"), Some(("PAGEMAP", "pagemap-shmem-%u.img", Some(5))));
        assert_eq!(kind("stats-dump"), Some(("STATS", "stats-%s", None)));
        assert_eq!(kind("core--1.img").map(|(_, _, number)| number), Some(Some(u64::from(u32::MAX))));
        assert_eq!(
            kind("amdgpu-pages-7-001f.img").map(|(name, _, number)| (name, number)),
            Some(("AMDGPU_PAGES", Some(31)))
        );
        assert_eq!(kind("core-.img"), None);
        assert_eq!(kind("core--.img"), None);
        assert_eq!(kind("score-1.img"), None);
        assert_eq!(kind("core-1.img.bak"), None);
        // The number is too large for any pid: the name still says what the file is.
        assert_eq!(kind("core-99999999999999999999999.img").map(|(_, _, n)| n), Some(None));
    }
}
