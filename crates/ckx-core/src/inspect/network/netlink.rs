//! Netlink messages, as the kernel gives them to `ip addr save`, `ip route save` and `conntrack`.
//!
//! A message has a fixed head and then attributes: a length and a type in two bytes each, and the value,
//! aligned to four. Numbers are in the order of the host, addresses in that of the network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ckx_criu::ByteOrder;
use ckx_criu::raw::NetlinkMessages;
use schemars::JsonSchema;
use serde::Serialize;

use crate::load::Loader;
use crate::{Issue, Name};

/// Messages that are told of one image.
const MAX_MESSAGES: usize = 1 << 16;

/// Reads a dump. What does not end with its last message is told.
pub(super) fn dump<T>(
    loader: &mut Loader<'_>,
    image: &str,
    magic: u32,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Vec<T> {
    let Ok(bytes) = loader.bytes_if_any(image) else { return Vec::new() };
    let mut messages = NetlinkMessages::new(&bytes, Some(magic));
    let all: Vec<T> =
        messages.by_ref().take(MAX_MESSAGES).filter_map(|message| read(message.payload)).collect();
    if !messages.rest().is_empty() {
        let reason = format!("{} bytes behind the last message are no message", messages.rest().len());
        loader.tell(Issue::new(image, "trailing-bytes", reason));
    }
    all
}

/// The attributes behind a head.
struct Attributes<'a> {
    rest: &'a [u8],
    order: ByteOrder,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let half = |at: usize| Some(self.order.half(self.rest.get(at..at + 2)?.try_into().ok()?));
        let (len, kind) = (usize::from(half(0)?), half(2)?);
        let value = self.rest.get(4..len)?;
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        // The two highest bits say that the value is nested, or in the order of the network.
        Some((kind & 0x3fff, value))
    }
}

fn attribute(rest: Option<&[u8]>, order: ByteOrder, kind: u16) -> Option<&[u8]> {
    let attributes = Attributes { rest: rest?, order };
    attributes.into_iter().find(|(each, _)| *each == kind).map(|(_, value)| value)
}

fn number(value: &[u8], order: ByteOrder) -> Option<u32> {
    Some(order.word(value.get(..4)?.try_into().ok()?))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
        _ => None,
    }
}

/// Names of scopes, as `ip` has them.
fn scope(number: u8) -> String {
    match number {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        255 => "nowhere".to_owned(),
        other => other.to_string(),
    }
}

/// Names of routing tables.
fn table(number: u32) -> String {
    match number {
        253 => "default".to_owned(),
        254 => "main".to_owned(),
        255 => "local".to_owned(),
        other => other.to_string(),
    }
}

fn family(number: u8) -> &'static str {
    match number {
        2 => "inet",
        10 => "inet6",
        _ => "other",
    }
}

/// An address of a link: `struct ifaddrmsg`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IfAddress {
    /// Address with the length of its prefix.
    pub address: String,
    /// `global`, `link`, `host`, …
    pub scope: String,
    /// Number of the link.
    pub ifindex: u32,
    /// Name of the link; absent when its record is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Name>,
}

impl IfAddress {
    pub(super) fn of(
        message: &[u8],
        order: ByteOrder,
        name_of: &impl Fn(u32) -> Option<Name>,
    ) -> Option<Self> {
        let [_, prefix, _, scope_number] = *message.first_chunk::<4>()?;
        let ifindex = number(message.get(4..)?, order)?;
        let find = |kind| attribute(message.get(8..), order, kind).and_then(address);
        // The local end of a link between two points comes before the other one.
        let address = find(2).or_else(|| find(1))?;
        let address = format!("{address}/{prefix}");
        Some(Self { address, scope: scope(scope_number), ifindex, link: name_of(ifindex) })
    }
}

/// A route: `struct rtmsg`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Route {
    /// Where to: an address with the length of its prefix, or `default`.
    pub destination: String,
    /// Over which router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Over which link; a number when its record is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Name>,
    /// Address that packets are sent from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Routing table: `main`, `local`, `default` or a number.
    pub table: String,
    /// `unicast`, `local`, `broadcast`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Priority: the lowest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
}

impl Route {
    pub(super) fn of(
        message: &[u8],
        order: ByteOrder,
        name_of: &impl Fn(u32) -> Option<Name>,
    ) -> Option<Self> {
        const TYPES: [&str; 12] = [
            "unspec",
            "unicast",
            "local",
            "broadcast",
            "anycast",
            "multicast",
            "blackhole",
            "unreachable",
            "prohibit",
            "throw",
            "nat",
            "xresolve",
        ];
        let [family, prefix, _, _, short_table, _, _, kind] = *message.first_chunk::<8>()?;
        let find = |kind| attribute(message.get(12..), order, kind);
        let any = if family == 10 { "::" } else { "0.0.0.0" };
        let destination = match find(1).and_then(address) {
            Some(address) => format!("{address}/{prefix}"),
            None if prefix == 0 => "default".to_owned(),
            None => format!("{any}/{prefix}"),
        };
        let link = find(4).and_then(|value| number(value, order));
        Some(Self {
            destination,
            gateway: find(5).and_then(address).map(|address| address.to_string()),
            link: link.map(|index| name_of(index).unwrap_or_else(|| Name::from(index.to_string()))),
            source: find(7).and_then(address).map(|address| address.to_string()),
            table: table(find(15).and_then(|value| number(value, order)).unwrap_or(short_table.into())),
            kind: TYPES.get(usize::from(kind)).map_or_else(|| kind.to_string(), |name| (*name).to_owned()),
            metric: find(6).and_then(|value| number(value, order)),
        })
    }
}

/// A rule that chooses a routing table: `struct fib_rule_hdr`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Rule {
    /// Rules are tried in this order.
    pub priority: u32,
    /// `inet` or `inet6`.
    pub family: &'static str,
    /// From where: a prefix or `all`.
    pub from: String,
    /// Where to: a prefix or `all`.
    pub to: String,
    /// The table to look into.
    pub table: String,
}

impl Rule {
    pub(super) fn of(message: &[u8], order: ByteOrder) -> Option<Self> {
        let [family_number, to, from, _, short_table] = *message.first_chunk::<5>()?;
        let find = |kind| attribute(message.get(12..), order, kind);
        let prefix = |kind, len: u8| {
            find(kind)
                .and_then(address)
                .map_or_else(|| "all".to_owned(), |address| format!("{address}/{len}"))
        };
        Some(Self {
            priority: find(6).and_then(|value| number(value, order)).unwrap_or(0),
            family: family(family_number),
            from: prefix(2, from),
            to: prefix(1, to),
            table: table(find(15).and_then(|value| number(value, order)).unwrap_or(short_table.into())),
        })
    }
}

/// A connection that the kernel tracked: the direction that it was opened in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tuple {
    /// `tcp`, `udp`, `icmp`, or the number of the protocol.
    pub protocol: String,
    /// Where it came from.
    pub source: String,
    /// Port, of protocols that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// Where it went.
    pub destination: String,
    /// Port there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
}

impl Tuple {
    /// Reads a message of ctnetlink. Its attributes are nested: tuple, addresses and protocol.
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        // Lengths and types are in the order of the host, which the first length tells.
        let first = message.get(4..6)?;
        let order = if first.first() == Some(&0) && first.get(1) != Some(&0) {
            ByteOrder::Big
        } else {
            ByteOrder::Little
        };
        let tuple = attribute(message.get(4..), order, 1)?;
        let addresses = attribute(Some(tuple), order, 1)?;
        let protocol = attribute(Some(tuple), order, 2)?;
        let end = |v4, v6| {
            attribute(Some(addresses), order, v4)
                .or_else(|| attribute(Some(addresses), order, v6))
                .and_then(address)
        };
        let port = |kind| {
            let value = attribute(Some(protocol), order, kind)?;
            Some(u16::from_be_bytes(value.get(..2)?.try_into().ok()?))
        };
        let name = match attribute(Some(protocol), order, 1)?.first()? {
            1 => "icmp".to_owned(),
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            58 => "icmpv6".to_owned(),
            132 => "sctp".to_owned(),
            other => other.to_string(),
        };
        Some(Self {
            protocol: name,
            source: end(1, 3)?.to_string(),
            source_port: port(2),
            destination: end(2, 4)?.to_string(),
            destination_port: port(3),
        })
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |address: &str, port: Option<u16>| match port {
            Some(port) if address.contains(':') => format!("[{address}]:{port}"),
            Some(port) => format!("{address}:{port}"),
            None => address.to_owned(),
        };
        write!(
            f,
            "{} {} to {}",
            self.protocol,
            end(&self.source, self.source_port),
            end(&self.destination, self.destination_port)
        )
    }
}
