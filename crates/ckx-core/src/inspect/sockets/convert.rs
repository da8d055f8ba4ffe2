//! From records to sockets.

use std::net::{Ipv4Addr, Ipv6Addr};

use ckx_criu::ByteOrder;
use ckx_criu::typed::messages::{
    FdTypes, FileEntry, InetSkEntry, IpOptsEntry, NetlinkSkEntry, PacketRing, PacketSockEntry, SkOptsEntry,
    TcpStreamEntry, UnixSkEntry,
};

use super::socket::{Connection, IpOptions, Membership, Netlink, Options, Packet, Ring, Socket, Tcp, Unix};
use super::words::{ETHERNET, FAMILIES, LISTEN, MEMBERSHIPS, NETLINK, PROTOCOLS, SHUTDOWN, STATES, TYPES};
use crate::inspect::flags::{Bits, name_of, names};
use crate::{Checkpoint, Name};

pub(super) const TCP: u32 = 6;
const RAW: u32 = 3;

const NEGOTIATED: Bits = &[(1, "timestamps"), (2, "sack"), (4, "wscale"), (8, "ecn")];

/// What CRIU marks unix sockets with.
const UFLAGS: Bits = &[(1, "external"), (2, "service"), (4, "callback"), (8, "inherited")];

/// The socket of a file entry; `None` when it holds none of this type.
pub(crate) fn socket(checkpoint: &Checkpoint, kind: FdTypes, entry: &FileEntry) -> Option<Socket> {
    let order = checkpoint.files().order();
    match kind {
        FdTypes::Inetsk => entry.isk.as_ref().map(|socket| inet(checkpoint, socket, order)),
        FdTypes::Unixsk => entry.usk.as_ref().map(|socket| unix(checkpoint, socket, order)),
        FdTypes::Packetsk => entry.psk.as_ref().map(|socket| packet(socket, order)),
        FdTypes::Netlinksk => entry.nlsk.as_ref().map(|socket| netlink(socket, order)),
        _ => None,
    }
}

fn inet(checkpoint: &Checkpoint, socket: &InetSkEntry, order: ByteOrder) -> Socket {
    let is_tcp = socket.proto == TCP;
    let stream = if is_tcp { checkpoint.contents().stream(socket.ino) } else { None };
    let address = |words: &[u32]| ip_address(words, socket.ifname.as_deref(), order);
    // The protocol of a raw socket stands where others have their port.
    let port = |number| (socket.r#type != RAW).then_some(number);
    let is_connected = socket.dst_port != 0 || socket.dst_addr.iter().any(|word| *word != 0);
    Socket {
        file_id: socket.id,
        family: name_of(FAMILIES, socket.family),
        kind: Some(name_of(TYPES, socket.r#type)),
        protocol: Some(name_of(PROTOCOLS, socket.proto)),
        state: state(socket.state),
        inode: Some(socket.ino),
        net_namespace: socket.ns_id,
        local_address: address(&socket.src_addr),
        local_port: port(socket.src_port),
        peer_address: if is_connected { address(&socket.dst_addr) } else { None },
        peer_port: if is_connected { port(socket.dst_port) } else { None },
        device: device(&socket.opts),
        receive_queue_bytes: stream.map(|stream| stream.inq_len.into()),
        send_queue_bytes: stream.map(|stream| stream.outq_len.into()),
        backlog: (socket.state == LISTEN).then_some(socket.backlog),
        shutdown: shutdown(socket.shutdown),
        options: options(&socket.opts, order),
        ip: ip_options(socket.ip_opts.as_ref(), socket.v6only == Some(true)),
        tcp: is_tcp.then(|| tcp(socket, stream)),
        ..Socket::default()
    }
}

/// An address in the usual text. Its words hold its bytes as they lay in the host's memory.
fn ip_address(words: &[u32], device: Option<&[u8]>, order: ByteOrder) -> Option<Name> {
    let bytes: Vec<u8> = words.iter().take(5).flat_map(|word| order.word_bytes(*word)).collect();
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(bytes).to_string().into());
    }
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
    let text = address.to_string().into_bytes();
    Some(match device {
        Some(device) if address.is_unicast_link_local() => [&text, &b"%"[..], device].concat().into(),
        _ => text.into(),
    })
}

fn ip_options(entry: Option<&IpOptsEntry>, v6only: bool) -> Option<IpOptions> {
    let mut options = IpOptions::default();
    let mut is_any = v6only;
    options.on.extend(v6only.then_some("v6only"));
    if let Some(entry) = entry {
        let raw = entry.raw.as_ref();
        let is_on = |raw: Option<Option<bool>>| raw.flatten() == Some(true);
        let on = [
            ("freebind", entry.freebind == Some(true)),
            ("pktinfo", entry.pktinfo == Some(true)),
            ("hdrincl", is_on(raw.map(|raw| raw.hdrincl))),
            ("nodefrag", is_on(raw.map(|raw| raw.nodefrag))),
            ("checksum", is_on(raw.map(|raw| raw.checksum))),
        ];
        options.on.extend(on.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name));
        options.tos = entry.tos;
        options.ttl = entry.ttl;
        options.icmp_filter = raw.map(|raw| raw.icmpv_filter.clone()).unwrap_or_default();
        is_any = true;
    }
    is_any.then_some(options)
}

fn tcp(socket: &InetSkEntry, stream: Option<&TcpStreamEntry>) -> Tcp {
    // What is in `tcp_opts` now was elsewhere before.
    let opts = socket.tcp_opts.as_ref();
    let cork = opts.and_then(|opts| opts.cork).or_else(|| stream?.cork);
    let nodelay = opts.and_then(|opts| opts.nodelay).or_else(|| stream?.nodelay);
    let on = [("cork", cork), ("nodelay", nodelay)];
    Tcp {
        on: on.into_iter().filter(|(_, is_on)| *is_on == Some(true)).map(|(name, _)| name).collect(),
        keepcnt: opts.and_then(|opts| opts.keepcnt).or(socket.opts.tcp_keepcnt),
        keepidle_s: opts.and_then(|opts| opts.keepidle).or(socket.opts.tcp_keepidle),
        keepintvl_s: opts.and_then(|opts| opts.keepintvl).or(socket.opts.tcp_keepintvl),
        connection: stream.map(|stream| Connection {
            inq_bytes: stream.inq_len,
            inq_seq: stream.inq_seq,
            outq_bytes: stream.outq_len,
            outq_seq: stream.outq_seq,
            unsent_bytes: stream.unsq_len,
            negotiated: names(NEGOTIATED, stream.opt_mask.into()),
            mss_clamp_bytes: stream.mss_clamp,
            snd_wscale: stream.snd_wscale,
            rcv_wscale: stream.rcv_wscale,
            timestamp: stream.timestamp,
            snd_wnd: stream.snd_wnd,
            snd_wl1: stream.snd_wl1,
            max_window: stream.max_window,
            rcv_wnd: stream.rcv_wnd,
            rcv_wup: stream.rcv_wup,
        }),
    }
}

fn unix(checkpoint: &Checkpoint, socket: &UnixSkEntry, order: ByteOrder) -> Socket {
    let queue = checkpoint.contents().queue(socket.id);
    let is_listening = socket.state == LISTEN;
    let perms = socket.file_perms.as_ref();
    Socket {
        file_id: socket.id,
        family: "unix".to_owned(),
        kind: Some(name_of(TYPES, socket.r#type)),
        state: state(socket.state),
        inode: Some(socket.ino),
        net_namespace: socket.ns_id,
        local_address: unix_name(&socket.name),
        device: device(&socket.opts),
        receive_queue_bytes: (!is_listening).then(|| queue.map_or(0, |queue| queue.bytes)),
        receive_queue_packets: (!is_listening).then(|| queue.map_or(0, |queue| queue.packets)),
        backlog: is_listening.then_some(socket.backlog),
        shutdown: shutdown(socket.shutdown),
        options: options(&socket.opts, order),
        unix: Some(Unix {
            peer_inode: socket.peer,
            uflags: names(UFLAGS, socket.uflags.into()),
            name_dir: socket.name_dir.as_ref().filter(|dir| !dir.is_empty()).map(Name::from),
            is_deleted: socket.deleted == Some(true),
            mode: perms.map(|perms| perms.mode),
            uid: perms.map(|perms| perms.uid),
            gid: perms.map(|perms| perms.gid),
            files_in_flight: queue.map(|queue| queue.files.clone()).unwrap_or_default(),
        }),
        ..Socket::default()
    }
}

/// A path without its closing NUL, or an abstract name as `/proc/net/unix` shows it.
pub(super) fn unix_name(name: &[u8]) -> Option<Name> {
    match name {
        [] => None,
        [0, ..] => {
            Some(name.iter().map(|byte| if *byte == 0 { b'@' } else { *byte }).collect::<Vec<_>>().into())
        }
        _ => Some(name.strip_suffix(&[0]).unwrap_or(name).into()),
    }
}

fn netlink(socket: &NetlinkSkEntry, order: ByteOrder) -> Socket {
    let groups = socket.groups.iter().zip(0u32..).flat_map(|(word, at)| {
        (0..32u32).filter(move |bit| word >> bit & 1 != 0).map(move |bit| at.saturating_mul(32) + bit + 1)
    });
    Socket {
        file_id: socket.id,
        family: "netlink".to_owned(),
        protocol: Some(name_of(NETLINK, socket.protocol)),
        state: state(socket.state),
        inode: Some(socket.ino),
        net_namespace: socket.ns_id,
        device: device(&socket.opts),
        options: options(&socket.opts, order),
        netlink: Some(Netlink {
            portid: socket.portid,
            groups: groups.collect(),
            dst_portid: socket.dst_portid,
            dst_group: socket.dst_group,
        }),
        ..Socket::default()
    }
}

fn packet(socket: &PacketSockEntry, order: ByteOrder) -> Socket {
    let on = [
        ("auxdata", socket.aux_data),
        ("origdev", socket.orig_dev),
        ("vnet_hdr", socket.vnet_hdr),
        ("loss", socket.loss),
    ];
    Socket {
        file_id: socket.id,
        family: "packet".to_owned(),
        kind: Some(name_of(TYPES, socket.r#type)),
        protocol: Some(ether_protocol(socket.protocol, order)),
        net_namespace: socket.ns_id,
        device: device(&socket.opts),
        options: options(&socket.opts, order),
        packet: Some(Packet {
            ifindex: socket.ifindex,
            version: socket.version,
            on: on.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name).collect(),
            reserve_bytes: socket.reserve,
            timestamp: socket.timestamp,
            copy_thresh: socket.copy_thresh,
            memberships: socket
                .mclist
                .iter()
                .map(|each| Membership {
                    ifindex: each.index,
                    kind: name_of(MEMBERSHIPS, each.r#type),
                    address: hardware_address(&each.addr),
                })
                .collect(),
            fanout: socket.fanout.filter(|fanout| *fanout != u32::MAX),
            rx_ring: socket.rx_ring.as_ref().map(ring),
            tx_ring: socket.tx_ring.as_ref().map(ring),
        }),
        ..Socket::default()
    }
}

fn ring(ring: &PacketRing) -> Ring {
    Ring {
        block_size_bytes: ring.block_size,
        block_nr: ring.block_nr,
        frame_size_bytes: ring.frame_size,
        frame_nr: ring.frame_nr,
        retire_tmo_ms: ring.retire_tmo,
        sizeof_priv_bytes: ring.sizeof_priv,
        features: ring.features,
    }
}

/// The name of an Ethernet protocol, which is stored in network order.
fn ether_protocol(stored: u32, order: ByteOrder) -> String {
    let number = match (order, u16::try_from(stored)) {
        (ByteOrder::Little, Ok(short)) => u32::from(short.swap_bytes()),
        _ => stored,
    };
    let found = ETHERNET.iter().find(|(each, _)| *each == number);
    found.map_or_else(|| format!("{number:#06x}"), |(_, name)| (*name).to_owned())
}

/// A hardware address: bytes in hexadecimal with colons between them.
fn hardware_address(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

/// The word for a state; 0 is none.
fn state(number: u32) -> Option<String> {
    (number != 0).then(|| name_of(STATES, number))
}

fn shutdown(number: Option<i32>) -> Option<String> {
    number.filter(|number| *number != 0).map(|number| name_of(SHUTDOWN, number.cast_unsigned()))
}

fn device(opts: &SkOptsEntry) -> Option<Name> {
    opts.so_bound_dev.as_ref().filter(|name| !name.is_empty()).map(Name::from)
}

fn options(opts: &SkOptsEntry, order: ByteOrder) -> Options {
    let microseconds = |seconds: u64, rest: u64| seconds.saturating_mul(1_000_000).saturating_add(rest);
    let locked = opts.so_buf_lock.unwrap_or_default();
    let on = [
        ("reuseaddr", opts.reuseaddr == Some(true)),
        ("reuseport", opts.so_reuseport == Some(true)),
        ("keepalive", opts.so_keepalive == Some(true)),
        ("broadcast", opts.so_broadcast == Some(true)),
        ("passcred", opts.so_passcred == Some(true)),
        ("passsec", opts.so_passsec == Some(true)),
        ("dontroute", opts.so_dontroute == Some(true)),
        ("no_check", opts.so_no_check == Some(true)),
        ("oobinline", opts.so_oobinline.is_some_and(|value| value != 0)),
        ("sndbuf_lock", locked & 1 != 0),
        ("rcvbuf_lock", locked & 2 != 0),
    ];
    Options {
        so_sndbuf_bytes: opts.so_sndbuf,
        so_rcvbuf_bytes: opts.so_rcvbuf,
        so_snd_timeout_us: microseconds(opts.so_snd_tmo_sec, opts.so_snd_tmo_usec),
        so_rcv_timeout_us: microseconds(opts.so_rcv_tmo_sec, opts.so_rcv_tmo_usec),
        on: on.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name).collect(),
        so_priority: opts.so_priority.filter(|value| *value != 0),
        so_rcvlowat: opts.so_rcvlowat.filter(|value| *value != 1),
        so_mark: opts.so_mark.filter(|value| *value != 0),
        so_linger_s: opts.so_linger,
        so_filter: opts.so_filter.iter().map(|word| instruction(*word, order)).collect(),
    }
}

/// An instruction of classic BPF, whose number is its memory.
fn instruction(word: u64, order: ByteOrder) -> String {
    let (code, jt, jf, k) = match order {
        ByteOrder::Little => (word & 0xffff, word >> 16 & 0xff, word >> 24 & 0xff, word >> 32),
        ByteOrder::Big => (word >> 48, word >> 40 & 0xff, word >> 32 & 0xff, word & 0xffff_ffff),
    };
    format!("{code:#x} {jt} {jf} {k:#x}")
}
