//! Words for the numbers of sockets, as `ss` and `ip` have them.

/// Numbers and their names.
pub(super) type Names = &'static [(u32, &'static str)];

pub(super) const FAMILIES: Names =
    &[(1, "unix"), (2, "inet"), (10, "inet6"), (16, "netlink"), (17, "packet")];

pub(super) const TYPES: Names =
    &[(1, "stream"), (2, "dgram"), (3, "raw"), (4, "rdm"), (5, "seqpacket"), (10, "packet")];

/// States of TCP, which CRIU stores for all sockets.
pub(super) const STATES: Names = &[
    (1, "ESTAB"),
    (2, "SYN-SENT"),
    (3, "SYN-RECV"),
    (4, "FIN-WAIT-1"),
    (5, "FIN-WAIT-2"),
    (6, "TIME-WAIT"),
    (7, "UNCONN"),
    (8, "CLOSE-WAIT"),
    (9, "LAST-ACK"),
    (10, "LISTEN"),
    (11, "CLOSING"),
    (12, "SYN-RECV"),
];

pub(super) const ESTABLISHED: u32 = 1;
pub(super) const LISTEN: u32 = 10;

/// States of connections whose sequence numbers and queues are dumped.
pub(super) const CONNECTED: &[u32] = &[ESTABLISHED, 4, 5, 8, 9, 11];

pub(super) const PROTOCOLS: Names = &[
    (0, "ip"),
    (1, "icmp"),
    (2, "igmp"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (47, "gre"),
    (58, "icmpv6"),
    (89, "ospf"),
    (132, "sctp"),
    (136, "udplite"),
    (255, "raw"),
    (262, "mptcp"),
];

pub(super) const NETLINK: Names = &[
    (0, "route"),
    (2, "usersock"),
    (3, "firewall"),
    (4, "sock_diag"),
    (5, "nflog"),
    (6, "xfrm"),
    (7, "selinux"),
    (8, "iscsi"),
    (9, "audit"),
    (10, "fib_lookup"),
    (11, "connector"),
    (12, "netfilter"),
    (14, "dnrtmsg"),
    (15, "kobject_uevent"),
    (16, "generic"),
    (18, "scsitransport"),
    (19, "ecryptfs"),
    (20, "rdma"),
    (21, "crypto"),
    (22, "smc"),
];

pub(super) const ETHERNET: Names = &[
    (0x0003, "all"),
    (0x0800, "ip"),
    (0x0806, "arp"),
    (0x8100, "802.1q"),
    (0x86dd, "ipv6"),
    (0x888e, "pae"),
    (0x88cc, "lldp"),
];

pub(super) const MEMBERSHIPS: Names = &[(0, "multicast"), (1, "promisc"), (2, "allmulti"), (3, "unicast")];

pub(super) const SHUTDOWN: Names = &[(1, "read"), (2, "write"), (3, "both")];
