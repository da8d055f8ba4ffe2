//! `network`: what is in the network namespaces: links, addresses, routes, rules, firewalls, connections.

mod netlink;

use ckx_criu::ByteOrder;
use ckx_criu::raw::NetlinkMessages;
use ckx_criu::typed::messages::{NdType, NetDeviceEntry, NetnsEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::images::numbers_in_names;
use crate::inspect::Collect;
use crate::inspect::flags::{Bits, names};
use crate::load::Loader;
use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue, Name};

pub use netlink::{IfAddress, Route, Rule, Tuple};

/// Network namespaces.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NetworkReport {
    /// Namespaces, by number.
    pub namespaces: Vec<Namespace>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A network namespace.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Namespace {
    /// Number of the namespace, as in the names of its images.
    pub id: u64,
    /// Key under which the engine gives the namespace again at the restore. Of such a namespace CRIU
    /// dumps nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext_key: Option<Name>,
    /// Links.
    pub links: Vec<Link>,
    /// Addresses of links.
    pub addresses: Vec<IfAddress>,
    /// Routes of both families.
    pub routes: Vec<Route>,
    /// Rules that choose routing tables.
    pub rules: Vec<Rule>,
    /// Tables of `iptables-save`, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iptables: Option<Firewall>,
    /// Tables of `ip6tables-save`, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip6tables: Option<Firewall>,
    /// The rule set of nftables, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nftables: Option<Firewall>,
    /// Connections that the kernel tracked.
    pub conntrack: Vec<Tuple>,
    /// Connections that it expected.
    pub expectations: u64,
}

/// Text of a firewall.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Firewall {
    /// Its lines.
    pub lines: Vec<Name>,
}

/// A link.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Link {
    /// Its number.
    pub ifindex: u32,
    /// Its name.
    pub name: Name,
    /// `loopback`, `veth`, `tun`, `extlink`, `venet`, `bridge`, `macvlan`, `sit`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Flags, in the words of `ip link`.
    pub flags: Vec<String>,
    /// The largest packet.
    pub mtu_bytes: u32,
    /// Hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Number of the link at the other end, of veth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_ifindex: Option<u32>,
    /// Number of the bridge that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<u32>,
}

const FLAGS: Bits = &[
    (1, "UP"),
    (2, "BROADCAST"),
    (4, "DEBUG"),
    (8, "LOOPBACK"),
    (0x10, "POINTOPOINT"),
    (0x20, "NOTRAILERS"),
    (0x40, "RUNNING"),
    (0x80, "NOARP"),
    (0x100, "PROMISC"),
    (0x200, "ALLMULTI"),
    (0x400, "MASTER"),
    (0x800, "SLAVE"),
    (0x1000, "MULTICAST"),
    (0x2000, "PORTSEL"),
    (0x4000, "AUTOMEDIA"),
    (0x8000, "DYNAMIC"),
    (0x1_0000, "LOWER_UP"),
    (0x2_0000, "DORMANT"),
    (0x4_0000, "ECHO"),
];

/// Images of a network namespace, whose names end with its number.
const KINDS: &[&str] =
    &["netns", "netdev", "ifaddr", "route", "route6", "rule", "iptables", "ip6tables", "nftables"];

impl Collect for NetworkReport {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let ids = numbers_in_names(checkpoint, KINDS);
        let namespaces = ids.into_iter().map(|id| Namespace::read(&mut loader, id)).collect();
        Self { namespaces, issues: loader.into_issues() }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for namespace in &self.namespaces {
            let mut line = vec![Cell::from("namespace"), Cell::Count(namespace.id)];
            if let Some(key) = &namespace.ext_key {
                line.extend([Cell::Faint("external, given by".to_owned()), Cell::from(key)]);
            }
            outline.group(line, namespace.outline());
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

impl Namespace {
    fn read(loader: &mut Loader<'_>, id: u64) -> Self {
        let mut found = Self { id, ..Self::default() };
        let mut order = None;
        if let Ok(records) = loader.records_if_any::<NetnsEntry>(&format!("netns-{id}.img")) {
            order = Some(records.order);
            found.ext_key =
                records.entries.into_iter().next().and_then(|entry| entry.ext_key).map(Name::from);
        }
        if let Ok(records) = loader.records_if_any::<NetDeviceEntry>(&format!("netdev-{id}.img")) {
            order = Some(records.order);
            found.links = records.entries.iter().map(Link::from).collect();
        }
        let order = order.unwrap_or(ByteOrder::Little);
        let links = &found.links;
        let name_of =
            |index: u32| links.iter().find(|link| link.ifindex == index).map(|link| link.name.clone());
        let file = |kind: &str| format!("{kind}-{id}.img");
        found.addresses = netlink::dump(loader, &file("ifaddr"), 0x4736_1222, |message| {
            IfAddress::of(message, order, &name_of)
        });
        for kind in ["route", "route6"] {
            let some = netlink::dump(loader, &file(kind), 0x4531_1224, |it| Route::of(it, order, &name_of));
            found.routes.extend(some);
        }
        found.rules = netlink::dump(loader, &file("rule"), 0x7170_6986, |message| Rule::of(message, order));
        found.iptables = firewall(loader, &file("iptables"));
        found.ip6tables = firewall(loader, &file("ip6tables"));
        found.nftables = firewall(loader, &file("nftables"));
        if let Ok(bytes) = loader.bytes_if_any(&file("netns-ct")) {
            found.conntrack =
                NetlinkMessages::new(&bytes, None).filter_map(|it| Tuple::of(it.payload)).collect();
        }
        if let Ok(bytes) = loader.bytes_if_any(&file("netns-exp")) {
            found.expectations = NetlinkMessages::new(&bytes, None).count() as u64;
        }
        found
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let mut table = Table::new(&["LINK", "TYPE", "MTU", "ADDRESS", "FLAGS"]);
        for link in &self.links {
            table.row(vec![
                Cell::Line(vec![Cell::from(link.ifindex), Cell::from(&link.name)]),
                Cell::from(&link.kind),
                Cell::from(link.mtu_bytes),
                Cell::or_dash(link.address.as_ref()),
                Cell::from(link.flags.join(" ")),
            ]);
        }
        outline.table(table);
        let mut table = Table::new(&["ADDRESS", "SCOPE", "LINK"]);
        for address in &self.addresses {
            let link = address.link.as_ref().map_or_else(|| Cell::from(address.ifindex), Cell::from);
            table.row(vec![Cell::from(&address.address), Cell::from(&address.scope), link]);
        }
        outline.table(table);
        let mut table = Table::new(&["ROUTE", "GATEWAY", "LINK", "SOURCE", "TABLE", "TYPE"]);
        for route in &self.routes {
            table.row(vec![
                Cell::from(&route.destination),
                Cell::or_dash(route.gateway.as_ref()),
                Cell::or_dash(route.link.as_ref()),
                Cell::or_dash(route.source.as_ref()),
                Cell::from(&route.table),
                Cell::from(&route.kind),
            ]);
        }
        outline.table(table);
        self.filters(&mut outline);
        outline
    }

    fn filters(&self, outline: &mut Outline) {
        let mut table = Table::new(&["RULE", "FROM", "TO", "TABLE", "FAMILY"]);
        for rule in &self.rules {
            table.row(vec![
                Cell::from(rule.priority),
                Cell::from(&rule.from),
                Cell::from(&rule.to),
                Cell::from(&rule.table),
                Cell::from(rule.family),
            ]);
        }
        outline.table(table);
        let firewalls =
            [("iptables", &self.iptables), ("ip6tables", &self.ip6tables), ("nftables", &self.nftables)];
        for (name, firewall) in firewalls {
            let mut below = Outline::new();
            let lines = firewall.iter().flat_map(|firewall| &firewall.lines);
            // Rules are indented by tabs, which are control characters.
            lines.for_each(|line| below.line(Name::from(spaced(line))));
            if !below.is_empty() {
                outline.group(vec![Cell::from(name)], below);
            }
        }
        let mut below = Outline::new();
        self.conntrack.iter().for_each(|tuple| below.line(tuple.to_string()));
        if !below.is_empty() {
            outline.group(vec![Cell::from("tracked connections")], below);
        }
    }
}

/// A line with spaces instead of tabs.
fn spaced(line: &Name) -> Vec<u8> {
    let parts: Vec<&[u8]> = line.as_bytes().split(|byte| *byte == b'\t').collect();
    parts.join(&b"    "[..])
}

/// Text of a firewall; `None` if it is empty or not there.
fn firewall(loader: &mut Loader<'_>, image: &str) -> Option<Firewall> {
    let bytes = loader.bytes_if_any(image).ok().filter(|bytes| !bytes.is_empty())?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Some(Firewall { lines: text.split(|byte| *byte == b'\n').map(Name::from).collect() })
}

impl From<&NetDeviceEntry> for Link {
    fn from(entry: &NetDeviceEntry) -> Self {
        let kind = NdType::try_from(entry.r#type)
            .map_or_else(|_| entry.r#type.to_string(), |kind| kind.as_str_name().to_ascii_lowercase());
        let hex = |address: &Vec<u8>| {
            address.iter().take(32).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
        };
        Self {
            ifindex: entry.ifindex,
            name: Name::from(&entry.name),
            kind,
            flags: names(FLAGS, entry.flags.into()),
            mtu_bytes: entry.mtu,
            address: entry.address.as_ref().filter(|address| !address.is_empty()).map(hex),
            peer_ifindex: entry.peer_ifindex,
            master: entry.master,
        }
    }
}
