//! Raw images: files of an image directory that hold no records. They are told by name and
//! described here, so that nobody meets "unknown magic" for a pages file.

use std::collections::BTreeMap;

use crate::bytes::{ByteOrder, word_at};

/// First word of `ip addr save` output.
pub const IFADDR_DUMP_MAGIC: u32 = 0x4736_1222;
/// First word of `ip route save` output, IPv4 and IPv6.
pub const ROUTE_DUMP_MAGIC: u32 = 0x4531_1224;
/// First word of `ip rule save` output.
pub const RULE_DUMP_MAGIC: u32 = 0x7170_6986;

/// What a raw image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawFormat {
    /// Memory pages back to back; which page is which stands in the page map.
    Pages,
    /// Pairs of an address and a page, behind the page map magic (CRIU 0.4 and older).
    OldPages,
    /// Netlink messages back to back, behind this word if there is one.
    Netlink(Option<u32>),
    /// Text of a firewall tool.
    Text,
    /// A gzip-compressed tar.
    Tarball,
    /// Content of GPU buffers.
    GpuMemory,
    /// A JSON document.
    Json,
    /// A C structure of the host.
    Struct,
    /// A symbolic link, not a file.
    Link,
    /// Not known.
    Foreign,
}

impl RawFormat {
    /// What it is, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pages => "memory pages",
            Self::OldPages => "addresses with memory pages",
            Self::Netlink(_) => "netlink messages",
            Self::Text => "text",
            Self::Tarball => "gzip-compressed tar",
            Self::GpuMemory => "GPU memory",
            Self::Json => "JSON",
            Self::Struct => "host structure",
            Self::Link => "symbolic link",
            Self::Foreign => "not a CRIU image",
        }
    }
}

/// A raw image with what can be said of it at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSummary {
    /// What it holds.
    pub format: RawFormat,
    /// Size of the file in bytes.
    pub size_bytes: u64,
    /// What is in it.
    pub content: RawContent,
    /// What is wrong with it, if something is.
    pub problem: Option<String>,
}

/// What is in a raw image.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawContent {
    /// Nothing more to say.
    Opaque,
    /// Netlink messages.
    Netlink {
        /// How many.
        messages: u64,
        /// How many of each type, in order of first appearance.
        types: Vec<(u16, u64)>,
    },
    /// Lines of text.
    Text {
        /// How many.
        lines: u64,
        /// The first 64 firewall tables they declare, in order.
        tables: Vec<String>,
    },
}

/// One netlink message of a raw image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetlinkMessage<'a> {
    /// Offset of its header from the start of the file.
    pub offset: u64,
    /// `nlmsg_type`, e.g. 20 for `RTM_NEWADDR`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// Everything behind the 16-byte header.
    pub payload: &'a [u8],
}

/// The netlink messages of a dump. Ends at the first message that does not fit; the rest is
/// [`NetlinkMessages::rest`].
#[derive(Debug, Clone)]
pub struct NetlinkMessages<'a> {
    data: &'a [u8],
    position: usize,
    order: ByteOrder,
}

impl<'a> NetlinkMessages<'a> {
    /// The messages of a raw image, whose first word is `magic` where the format has one.
    ///
    /// Byte order is told by that word, or by the plausibility of the first length.
    pub fn new(data: &'a [u8], magic: Option<u32>) -> Self {
        let first = word_at(data, 0).unwrap_or_default();
        let fits = |order: ByteOrder| match magic {
            Some(magic) => order.word(first) == magic,
            None => (16..=data.len() as u64).contains(&u64::from(order.word(first))),
        };
        let order =
            if !fits(ByteOrder::Little) && fits(ByteOrder::Big) { ByteOrder::Big } else { ByteOrder::Little };
        let position = if magic.is_some_and(|magic| order.word(first) == magic) { 4 } else { 0 };
        Self { data, position, order }
    }

    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.data.get(self.position..).unwrap_or_default()
    }
}

impl<'a> Iterator for NetlinkMessages<'a> {
    type Item = NetlinkMessage<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest();
        let len = self.order.word(word_at(rest, 0)?) as usize;
        let message = rest.get(..len)?;
        let half = |offset: usize| Some(self.order.half(message.get(offset..offset + 2)?.try_into().ok()?));
        let (kind, flags, payload) = (half(4)?, half(6)?, message.get(16..)?);
        let offset = self.position as u64;
        self.position += len.next_multiple_of(4).min(rest.len());
        Some(NetlinkMessage { offset, kind, flags, payload })
    }
}

/// Describes a raw image.
pub fn summarize(format: RawFormat, data: &[u8]) -> RawSummary {
    let (content, problem) = match format {
        RawFormat::Netlink(magic) => netlink(data, magic),
        RawFormat::Text => (text(data), None),
        RawFormat::Tarball if !data.starts_with(&[0x1f, 0x8b]) => {
            (RawContent::Opaque, Some("does not begin like a gzip file".into()))
        }
        _ => (RawContent::Opaque, None),
    };
    RawSummary { format, size_bytes: data.len() as u64, content, problem }
}

fn netlink(data: &[u8], magic: Option<u32>) -> (RawContent, Option<String>) {
    let mut messages = NetlinkMessages::new(data, magic);
    let mut problem = None;
    if magic.is_some() && messages.position == 0 && !data.is_empty() {
        problem = Some("does not begin with the word that the saving tool writes".into());
    }
    let mut seen: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    let mut count = 0;
    for message in &mut messages {
        seen.entry(message.kind).or_insert((count, 0)).1 += 1;
        count += 1;
    }
    let mut types: Vec<_> = seen.into_iter().collect();
    types.sort_by_key(|(_, (first, _))| *first);
    let types = types.into_iter().map(|(kind, (_, count))| (kind, count)).collect();
    if !messages.rest().is_empty() {
        problem = Some(format!(
            "{} bytes from offset {:#x} on are no netlink messages",
            messages.rest().len(),
            messages.position
        ));
    }
    (RawContent::Netlink { messages: count, types }, problem)
}

/// Real rule sets have a handful; the bound keeps a hostile file from growing the summary.
const MAX_TABLES: usize = 64;

fn text(data: &[u8]) -> RawContent {
    let lines = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut count, mut tables) = (0, Vec::new());
    for line in lines {
        count += 1;
        // `*nat` in iptables-save, `table ip nat {` in nftables.
        let table = line.strip_prefix(b"*").or_else(|| line.strip_prefix(b"table "));
        if let Some(table) = table.filter(|_| tables.len() < MAX_TABLES) {
            let name = table.strip_suffix(b" {").unwrap_or(table);
            tables.push(crate::text::escaped(name).to_string());
        }
    }
    RawContent::Text { lines: count, tables }
}

/// Name of a netlink message type that the dumps of CRIU hold.
pub fn netlink_type_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        3 => "NLMSG_DONE",
        16 => "RTM_NEWLINK",
        20 => "RTM_NEWADDR",
        24 => "RTM_NEWROUTE",
        32 => "RTM_NEWRULE",
        0x0100 => "IPCTNL_MSG_CT_NEW",
        0x0200 => "IPCTNL_MSG_EXP_NEW",
        _ => return None,
    })
}
