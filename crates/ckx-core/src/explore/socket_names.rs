//! Names of the numbers that sockets are described by.

use ckx_criu::ByteOrder;

/// Numbers and their names.
pub(super) type Names = &'static [(u32, &'static str)];

/// Address families.
pub(super) const FAMILIES: Names =
    &[(1, "UNIX"), (2, "INET"), (10, "INET6"), (16, "NETLINK"), (17, "PACKET")];

/// Socket types.
pub(super) const TYPES: Names =
    &[(1, "STREAM"), (2, "DGRAM"), (3, "RAW"), (4, "RDM"), (5, "SEQPACKET"), (10, "PACKET")];

/// States: those of TCP, which CRIU stores for all sockets.
pub(super) const STATES: Names = &[
    (1, "ESTABLISHED"),
    (2, "SYN_SENT"),
    (3, "SYN_RECV"),
    (4, "FIN_WAIT1"),
    (5, "FIN_WAIT2"),
    (6, "TIME_WAIT"),
    (7, "CLOSE"),
    (8, "CLOSE_WAIT"),
    (9, "LAST_ACK"),
    (10, "LISTEN"),
    (11, "CLOSING"),
    (12, "NEW_SYN_RECV"),
];

/// Protocols over IP.
pub(super) const PROTOCOLS: Names = &[
    (0, "IP"),
    (1, "ICMP"),
    (2, "IGMP"),
    (6, "TCP"),
    (17, "UDP"),
    (58, "ICMPV6"),
    (136, "UDPLITE"),
    (255, "RAW"),
    (262, "MPTCP"),
];

/// Netlink protocols.
pub(super) const NETLINK_PROTOCOLS: Names = &[
    (0, "ROUTE"),
    (2, "USERSOCK"),
    (4, "SOCK_DIAG"),
    (5, "NFLOG"),
    (6, "XFRM"),
    (7, "SELINUX"),
    (9, "AUDIT"),
    (10, "FIB_LOOKUP"),
    (11, "CONNECTOR"),
    (12, "NETFILTER"),
    (15, "KOBJECT_UEVENT"),
    (16, "GENERIC"),
    (21, "CRYPTO"),
];

/// Protocols over Ethernet.
const ETHER_PROTOCOLS: Names =
    &[(0x0003, "ALL"), (0x0800, "IP"), (0x0806, "ARP"), (0x86dd, "IPV6"), (0x88cc, "LLDP")];

/// The name of a number, or its digits.
pub(super) fn name_of(names: Names, number: u32) -> String {
    let found = names.iter().find(|(each, _)| *each == number);
    found.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// The name of an Ethernet protocol, which is stored in network order.
pub(super) fn ether_protocol(stored: u32, order: ByteOrder) -> String {
    let number = match (order, u16::try_from(stored)) {
        (ByteOrder::Little, Ok(short)) => u32::from(short.swap_bytes()),
        _ => stored,
    };
    let found = ETHER_PROTOCOLS.iter().find(|(each, _)| *each == number);
    found.map_or_else(|| format!("{number:#06x}"), |(_, name)| (*name).to_owned())
}
