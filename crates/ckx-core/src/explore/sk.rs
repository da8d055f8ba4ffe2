//! `sk`: sockets of each process. A question of go-criu's; crit has none.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ckx_criu::ByteOrder;
use ckx_criu::typed::messages::{
    FdTypes, FdinfoEntry, FileEntry, InetSkEntry, NetlinkSkEntry, PacketSockEntry, SkOptsEntry, UnixSkEntry,
};
use serde::Serialize;

use crate::explore::files::{Files, quoted_line, type_name};
use crate::explore::socket_names::{
    FAMILIES, NETLINK_PROTOCOLS, PROTOCOLS, STATES, TYPES, ether_protocol, name_of,
};
use crate::explore::tables::{Tables, shared};
use crate::explore::tasks::{Process, Task};
use crate::load::Loader;
use crate::{ImageSet, Issue, Name};

/// Sockets, by process.
#[derive(Debug, Serialize)]
pub struct SkReport {
    /// Processes that have sockets, and those of which that cannot be told, in the order of the
    /// tree's image.
    pub processes: Vec<ProcessSk>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Sockets of one process.
#[derive(Debug, Serialize)]
pub struct ProcessSk {
    /// The process.
    #[serde(flatten)]
    pub process: Process,
    /// Its sockets, in the order of the descriptor table. One list for all that share the table.
    #[serde(serialize_with = "shared")]
    pub sockets: Arc<[Socket]>,
}

/// One socket. Numbers that have no name are given as numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Socket {
    /// Descriptor number.
    pub fd: u32,
    /// Type of the file, in CRIU's words (`INETSK`, `UNIXSK`, …).
    pub fd_type: String,
    /// File id: descriptors with the same one share one socket.
    pub file_id: u32,
    /// What is known of it; `None` when its file entry is not there.
    #[serde(flatten)]
    pub details: Option<Details>,
}

/// What is known of a socket. What its kind does not have is absent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Details {
    /// Address family (`INET`, `UNIX`, …).
    pub family: String,
    /// Socket type (`STREAM`, `DGRAM`, …). Netlink sockets: not stored.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Protocol (`TCP`, `UDP`, `ROUTE`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// State, in the words of TCP for all protocols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Own address: IP address, or name of a unix socket in quoted-printable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_addr: Option<String>,
    /// Own port; of a raw socket its protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_port: Option<u32>,
    /// Address of the other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst_addr: Option<String>,
    /// Port of the other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst_port: Option<u32>,
    /// Device of a link-local address, or that the socket is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Name>,
    /// Number of the device that a packet socket is bound to; 0 for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifindex: Option<u32>,
    /// Inode number; unix sockets refer to each other by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ino: Option<u32>,
    /// Inode number of the other end of a unix socket; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_ino: Option<u32>,
    /// Own address of a netlink socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portid: Option<u32>,
    /// Multicast groups of a netlink socket: words of a bit set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
    /// Length of the queue of a socket that listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u32>,
    /// Size of the send buffer, as the kernel tells it.
    pub send_buf_bytes: u32,
    /// Size of the receive buffer, as the kernel tells it.
    pub recv_buf_bytes: u32,
}

const LISTEN: u32 = 10;

/// Reads the sockets of all processes.
pub fn collect(images: &dyn ImageSet) -> SkReport {
    let mut loader = Loader::new(images);
    let tasks = Task::read_all(&mut loader);
    let mut files = Files::read(&mut loader);
    let mut tables = Tables::default();
    let mut lists: HashMap<u32, Arc<[Socket]>> = HashMap::new();
    let mut processes = Vec::new();
    for task in tasks.iter().filter(|task| !task.is_zombie()) {
        let mut process = Process::from(task);
        let sockets = match tables.of(&mut loader, task, &mut process) {
            Some(table) => Arc::clone(lists.entry(table.files_id).or_insert_with(|| {
                table.entries.iter().filter_map(|entry| socket(&mut files, entry)).collect()
            })),
            None => Arc::default(),
        };
        if !sockets.is_empty() || process.note.is_some() {
            processes.push(ProcessSk { process, sockets });
        }
    }
    files.tell_unknown(&mut loader);
    SkReport { processes, issues: loader.into_issues() }
}

/// The socket that a descriptor refers to; `None` for files of other types.
fn socket(files: &mut Files, entry: &FdinfoEntry) -> Option<Socket> {
    let kind = FdTypes::try_from(entry.r#type).ok()?;
    let sockets = [FdTypes::Inetsk, FdTypes::Unixsk, FdTypes::Packetsk, FdTypes::Netlinksk];
    sockets.contains(&kind).then(|| {
        let order = files.order();
        let details = files.get(kind, entry.id).and_then(|file| details(kind, file, order));
        Socket { fd: entry.fd, fd_type: type_name(entry.r#type), file_id: entry.id, details }
    })
}

fn details(kind: FdTypes, file: &FileEntry, order: ByteOrder) -> Option<Details> {
    match kind {
        FdTypes::Inetsk => file.isk.as_ref().map(|socket| inet(socket, order)),
        FdTypes::Unixsk => file.usk.as_deref().map(unix),
        FdTypes::Packetsk => file.psk.as_ref().map(|socket| packet(socket, order)),
        FdTypes::Netlinksk => file.nlsk.as_deref().map(netlink),
        _ => None,
    }
}

fn inet(socket: &InetSkEntry, order: ByteOrder) -> Details {
    Details {
        family: name_of(FAMILIES, socket.family),
        kind: Some(name_of(TYPES, socket.r#type)),
        protocol: Some(name_of(PROTOCOLS, socket.proto)),
        state: state(socket.state),
        src_addr: ip_address(&socket.src_addr, order),
        src_port: Some(socket.src_port),
        dst_addr: ip_address(&socket.dst_addr, order),
        dst_port: Some(socket.dst_port),
        interface: socket.ifname.as_ref().map(Name::from).or_else(|| bound_device(&socket.opts)),
        ino: Some(socket.ino),
        backlog: (socket.state == LISTEN).then_some(socket.backlog),
        ..buffers(&socket.opts)
    }
}

fn unix(socket: &UnixSkEntry) -> Details {
    Details {
        family: "UNIX".into(),
        kind: Some(name_of(TYPES, socket.r#type)),
        state: state(socket.state),
        src_addr: (!socket.name.is_empty()).then(|| quoted_line(&socket.name)),
        ino: Some(socket.ino),
        peer_ino: Some(socket.peer),
        backlog: (socket.state == LISTEN).then_some(socket.backlog),
        ..buffers(&socket.opts)
    }
}

fn packet(socket: &PacketSockEntry, order: ByteOrder) -> Details {
    Details {
        family: "PACKET".into(),
        kind: Some(name_of(TYPES, socket.r#type)),
        protocol: Some(ether_protocol(socket.protocol, order)),
        ifindex: Some(socket.ifindex),
        interface: bound_device(&socket.opts),
        ..buffers(&socket.opts)
    }
}

fn netlink(socket: &NetlinkSkEntry) -> Details {
    Details {
        family: "NETLINK".into(),
        protocol: Some(name_of(NETLINK_PROTOCOLS, socket.protocol)),
        state: state(socket.state),
        ino: Some(socket.ino),
        portid: Some(socket.portid),
        groups: socket.groups.clone(),
        ..buffers(&socket.opts)
    }
}

/// The name of a state; 0 is none.
fn state(number: u32) -> Option<String> {
    (number != 0).then(|| name_of(STATES, number))
}

/// An address in the usual text. Its words hold its bytes as they lay in the host's memory.
fn ip_address(words: &[u32], order: ByteOrder) -> Option<String> {
    let bytes: Vec<u8> = words.iter().take(5).flat_map(|word| order.word_bytes(*word)).collect();
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string())
}

fn buffers(opts: &SkOptsEntry) -> Details {
    Details { send_buf_bytes: opts.so_sndbuf, recv_buf_bytes: opts.so_rcvbuf, ..Details::default() }
}

fn bound_device(opts: &SkOptsEntry) -> Option<Name> {
    opts.so_bound_dev.as_ref().filter(|name| !name.is_empty()).map(Name::from)
}

impl SkReport {
    /// Writes a block per process and in it a line per socket.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for each in &self.processes {
            each.process.write_line(out)?;
            for socket in each.sockets.iter() {
                socket.write_line(out)?;
            }
        }
        Ok(())
    }
}

impl Socket {
    fn write_line(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "\t{:>7}: {}", self.fd, self.fd_type)?;
        match &self.details {
            Some(details) => details.write(out)?,
            None => write!(out, ".{}", self.file_id)?,
        }
        writeln!(out)
    }
}

impl Details {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let family = self.src_port.is_some().then_some(&self.family);
        let words = [family, self.kind.as_ref(), self.protocol.as_ref(), self.state.as_ref()];
        for word in words.into_iter().flatten() {
            write!(out, " {word}")?;
        }
        if let (Some(address), Some(port)) = (&self.src_addr, self.src_port) {
            write!(out, " {}", endpoint(address, port))?;
        }
        // A socket without another end has a port of zero there.
        if let (Some(address), Some(port @ 1..)) = (&self.dst_addr, self.dst_port) {
            write!(out, " -> {}", endpoint(address, port))?;
        }
        if let (Some(ino), Some(peer)) = (self.ino, self.peer_ino) {
            write!(out, " {ino} ({peer})")?;
        }
        if let (Some(name), None) = (&self.src_addr, self.src_port) {
            write!(out, " {name}")?;
        }
        for (what, number) in [("portid", self.portid), ("ifindex", self.ifindex), ("backlog", self.backlog)]
        {
            if let Some(number) = number {
                write!(out, " {what} {number}")?;
            }
        }
        for (word, bits) in self.groups.iter().enumerate().filter(|(_, bits)| **bits != 0) {
            write!(out, " groups[{word}] {bits:#x}")?;
        }
        if let Some(interface) = &self.interface {
            write!(out, " interface {interface}")?;
        }
        write!(out, " sndbuf {} rcvbuf {}", self.send_buf_bytes, self.recv_buf_bytes)
    }
}

fn endpoint(address: &str, port: u32) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests {
    use ckx_testkit::{Arch, Fd, FdType, ImageBuilder, SynthCheckpoint, files, presets};

    use super::*;
    use crate::explore::testing::{images, issues, json, text};

    #[test]
    fn sockets_of_a_web_service() {
        let expected = "1
\t      3: INETSK INET STREAM TCP LISTEN 0.0.0.0:8080 backlog 128 sndbuf 212992 rcvbuf 212992
\t      4: INETSK INET STREAM TCP ESTABLISHED 127.0.0.1:8080 -> 127.0.0.1:40000 sndbuf 212992 rcvbuf 212992
\t      5: UNIXSK STREAM ESTABLISHED 4242 (4243) sndbuf 212992 rcvbuf 212992
\t      6: UNIXSK STREAM LISTEN 4244 (0) /run/web.sock=00 backlog 128 sndbuf 212992 rcvbuf 212992
7
\t      5: UNIXSK STREAM ESTABLISHED 4243 (4242) sndbuf 212992 rcvbuf 212992
";
        for arch in [Arch::X86_64, Arch::S390] {
            let report = collect(&images(presets::web(arch)));
            assert_eq!(text(&report), expected, "{arch:?}");
            assert!(report.issues.is_empty());
        }
    }

    #[test]
    fn other_families() {
        let set = SynthCheckpoint::new().process(1, 0, |process| {
            let loopback = [0, 0, 0, u64::from(u32::from_le_bytes([0, 0, 0, 1]))];
            let inet6 = files::inet(0, 5, [10, 2, 17, 7], (53, &loopback), (0, &[0; 4]));
            let inet6 = inet6.text(17, "eth0");
            process
                .fd(3, Fd::new(FdType::Inetsk, inet6))
                .fd(4, Fd::new(FdType::Netlinksk, files::netlink(0, 6, 15, &[0, 2])))
                .fd(5, Fd::new(FdType::Packetsk, files::packet(0, [3, 0x0300], 2)))
                .fd(6, Fd::new(FdType::Packetsk, files::packet(0, [2, 0x1234], 0)))
        });
        let report = collect(&images(set));
        let expected = "1
\t      3: INETSK INET6 DGRAM UDP CLOSE [::1]:53 interface eth0 sndbuf 212992 rcvbuf 212992
\t      4: NETLINKSK KOBJECT_UEVENT CLOSE portid 4711 groups[1] 0x2 sndbuf 212992 rcvbuf 212992
\t      5: PACKETSK RAW ALL ifindex 2 sndbuf 212992 rcvbuf 212992
\t      6: PACKETSK DGRAM 0x3412 ifindex 0 sndbuf 212992 rcvbuf 212992
";
        assert_eq!(text(&report), expected);
        let socket = "{\"fd\": 5, \"fd_type\": \"PACKETSK\", \"file_id\": 4, \"family\": \"PACKET\", \"type\": \"RAW\", \"protocol\": \"ALL\", \"ifindex\": 2, \"send_buf_bytes\": 212992, \"recv_buf_bytes\": 212992}";
        assert!(json(&report).contains(socket), "{}", json(&report));
    }

    #[test]
    fn processes_without_sockets_are_left_out_unless_that_is_not_known() {
        let set = SynthCheckpoint::new()
            .process(1, 0, |process| process.fd(0, Fd::reg("/a", 0)))
            .process(2, 1, |process| process.fd(3, Fd::tcp_listen(7, 80)))
            .process(3, 1, |process| process.zombie(0))
            .without("ids-2.img");
        let report = collect(&images(set));
        assert_eq!(text(&report), "2 (ids-2.img is missing)\n");
        assert_eq!(issues(&report), ["ids-2.img: the image is missing"]);
    }

    #[test]
    fn a_socket_without_its_entry_and_images_per_type() {
        let table = [files::fdinfo(1, 0, FdType::Inetsk, 3), files::fdinfo(2, 0, FdType::Unixsk, 4)];
        let socket = files::inet(1, 5, [2, 1, 6, 10], (80, &[0]), (0, &[0]));
        let set = SynthCheckpoint::new()
            .process(1, 0, |process| process)
            .without("files.img")
            .file("fdinfo-2.img", ImageBuilder::of("FDINFO").records(table).build())
            .file("inetsk.img", ImageBuilder::of("INETSK").record(socket).build());
        let report = collect(&images(set));
        let expected = "1
\t      3: INETSK INET STREAM TCP LISTEN 0.0.0.0:80 backlog 128 sndbuf 212992 rcvbuf 212992
\t      4: UNIXSK.2
";
        assert_eq!(text(&report), expected);
        assert_eq!(issues(&report), ["files.img: files that are referred to and not there, by id: 2"]);
    }
}
