//! A socket.

use schemars::JsonSchema;
use serde::Serialize;

use crate::Name;

/// A socket. What its kind does not have, or CRIU does not store, is absent.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Socket {
    /// File id; counts in this dump only.
    pub file_id: u32,
    /// Address family: `unix`, `inet`, `inet6`, `netlink`, `packet`, or a number.
    pub family: String,
    /// `stream`, `dgram`, `raw`, `seqpacket`, … Not stored of netlink sockets.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `tcp`, `udp`, `icmp`, …; of netlink `route`, `kobject_uevent`, …; of packet sockets `all`, `ip`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// State in the words of `ss`: `LISTEN`, `ESTAB`, `UNCONN`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Inode number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<u32>,
    /// Network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_namespace: Option<u32>,
    /// Own address. IPv6 addresses of one link have its device behind a `%`; abstract names of unix
    /// sockets begin with `@`, and have `@` for each NUL byte.
    pub local_address: Option<Name>,
    /// Own port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_port: Option<u32>,
    /// Address of the other end.
    pub peer_address: Option<Name>,
    /// Port of the other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_port: Option<u32>,
    /// Device that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Name>,
    /// Bytes received and not read. `None` when that is not stored.
    pub receive_queue_bytes: Option<u64>,
    /// Packets received and not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_queue_packets: Option<u64>,
    /// Bytes written and not acknowledged.
    pub send_queue_bytes: Option<u64>,
    /// Connections that wait to be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_connections: Option<u64>,
    /// How many connections may wait to be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u32>,
    /// Directions that were shut down: `read`, `write`, `both`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<String>,
    /// Options of all sockets.
    pub options: Options,
    /// Options of IP sockets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpOptions>,
    /// A TCP socket's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Tcp>,
    /// A unix socket's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix: Option<Unix>,
    /// A netlink socket's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netlink: Option<Netlink>,
    /// A packet socket's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet: Option<Packet>,
}

/// Options that all sockets have: `SOL_SOCKET`. What is off or usual is absent.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Options {
    /// Size of the send buffer, as `getsockopt` tells it: twice what was set.
    pub so_sndbuf_bytes: u32,
    /// Size of the receive buffer, likewise.
    pub so_rcvbuf_bytes: u32,
    /// Time limit for sending; 0 for none.
    pub so_snd_timeout_us: u64,
    /// Time limit for receiving; 0 for none.
    pub so_rcv_timeout_us: u64,
    /// Options that are on, such as `reuseaddr`.
    pub on: Vec<&'static str>,
    /// Priority of packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub so_priority: Option<u32>,
    /// Bytes that wake a reader up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub so_rcvlowat: Option<u32>,
    /// Mark of packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub so_mark: Option<u32>,
    /// How long closing waits for data to be sent; `None` for not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub so_linger_s: Option<u32>,
    /// Program of classic BPF that packets go through: each instruction as `code jt jf k`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub so_filter: Vec<String>,
}

/// Options of IP sockets.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct IpOptions {
    /// Options that are on: `v6only`, `freebind`, `pktinfo`, `hdrincl`, `nodefrag`, `checksum`.
    pub on: Vec<&'static str>,
    /// Type of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos: Option<u32>,
    /// Time to live of packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// ICMP types that a raw socket does not get: words of a bit set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub icmp_filter: Vec<u32>,
}

/// A TCP socket's own.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Tcp {
    /// Options that are on: `cork`, `nodelay`.
    pub on: Vec<&'static str>,
    /// Probes before an idle connection is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepcnt: Option<u32>,
    /// Idle time before the first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepidle_s: Option<u32>,
    /// Time between probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepintvl_s: Option<u32>,
    /// State of the connection; `None` when it has none, or its image is not there.
    pub connection: Option<Connection>,
}

/// State of a TCP connection.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Connection {
    /// Bytes received and not read.
    pub inq_bytes: u32,
    /// Sequence number behind them: the next to be received.
    pub inq_seq: u32,
    /// Bytes written and not acknowledged, those not sent included.
    pub outq_bytes: u32,
    /// Sequence number behind them: the next to be written.
    pub outq_seq: u32,
    /// Of those the ones that were not sent.
    pub unsent_bytes: Option<u32>,
    /// What both ends agreed on: `timestamps`, `sack`, `wscale`, `ecn`.
    pub negotiated: Vec<String>,
    /// Largest segment.
    pub mss_clamp_bytes: u32,
    /// Window scale of the other end, a shift.
    pub snd_wscale: u32,
    /// Own window scale, a shift.
    pub rcv_wscale: Option<u32>,
    /// Clock of the timestamps.
    pub timestamp: Option<u32>,
    /// Window to send.
    pub snd_wnd: Option<u32>,
    /// Sequence number of the last change of the window.
    pub snd_wl1: Option<u32>,
    /// Largest window that was ever offered.
    pub max_window: Option<u32>,
    /// Window to receive.
    pub rcv_wnd: Option<u32>,
    /// Sequence number when it was last told.
    pub rcv_wup: Option<u32>,
}

/// A unix socket's own.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Unix {
    /// Inode number of the other end; 0 for none. Of a connection not yet accepted that of the listener.
    pub peer_inode: u32,
    /// What CRIU did with it: `external`, `service`, `callback`, `inherited`.
    pub uflags: Vec<String>,
    /// Directory that the name starts from, when the socket was bound by a relative one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_dir: Option<Name>,
    /// Whether the socket's file was deleted.
    pub is_deleted: bool,
    /// Type and permissions of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Owner of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// File ids of descriptors that were sent to it and not received.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files_in_flight: Vec<u32>,
}

/// A netlink socket's own.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Netlink {
    /// Own address.
    pub portid: u32,
    /// Multicast groups it is in, from 1.
    pub groups: Vec<u32>,
    /// Address it is connected to; 0 is the kernel.
    pub dst_portid: u32,
    /// Groups it is connected to.
    pub dst_group: u32,
}

/// A packet socket's own.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Packet {
    /// Device it is bound to; 0 for all.
    pub ifindex: u32,
    /// Version of the rings, from 0.
    pub version: u32,
    /// Options that are on: `auxdata`, `origdev`, `vnet_hdr`, `loss`.
    pub on: Vec<&'static str>,
    /// Room kept free before each packet.
    pub reserve_bytes: u32,
    /// Where timestamps come from.
    pub timestamp: u32,
    /// Size above which packets are copied.
    pub copy_thresh: u32,
    /// Addresses of others that it receives for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memberships: Vec<Membership>,
    /// Number and kind of the fanout group; `None` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fanout: Option<u32>,
    /// Ring to receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_ring: Option<Ring>,
    /// Ring to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_ring: Option<Ring>,
}

/// An address that a packet socket receives for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Membership {
    /// The device.
    pub ifindex: u32,
    /// `multicast`, `promisc`, `allmulti`, `unicast`, or a number.
    #[serde(rename = "type")]
    pub kind: String,
    /// The hardware address.
    pub address: String,
}

/// A ring that a packet socket shares with its program.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Ring {
    /// Size of a block.
    pub block_size_bytes: u32,
    /// Blocks.
    pub block_nr: u32,
    /// Size of a frame.
    pub frame_size_bytes: u32,
    /// Frames.
    pub frame_nr: u32,
    /// Time after which a block is handed over, full or not.
    pub retire_tmo_ms: u32,
    /// Private data of each block.
    pub sizeof_priv_bytes: u32,
    /// Further features.
    pub features: u32,
}
