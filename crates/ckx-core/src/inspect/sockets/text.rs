//! What people see of sockets.

use super::{HeldSocket, Socket, Sockets};
use crate::Name;
use crate::outline::{Cell, Outline, Table};

pub(super) fn outline(sockets: &Sockets) -> Outline {
    let mut outline = Outline::new();
    let mut table =
        Table::new(&["PROTO", "STATE", "RECV-Q", "SEND-Q", "LOCAL ADDRESS", "PEER ADDRESS", "PID/FD"]);
    for held in &sockets.sockets {
        let socket = &held.socket;
        table.row(vec![
            Cell::from(socket.protocol_word()),
            Cell::or_dash(socket.state.as_ref()),
            Cell::or_dash(socket.receive_queue_bytes.or(socket.pending_connections)),
            Cell::or_dash(socket.send_queue_bytes.or(socket.backlog.map(u64::from))),
            Cell::Name(socket.local()),
            Cell::or_dash(socket.peer()),
            holders(held),
        ]);
    }
    outline.table(table);
    for held in sockets.sockets.iter().filter(|held| held.socket.has_connection()) {
        if let Some(line) = connection(&held.socket) {
            outline.line(line);
        }
    }
    outline
}

/// The first descriptor, and how many more there are.
fn holders(held: &HeldSocket) -> Cell {
    let more = held.held_by.len().saturating_sub(1);
    match (held.held_by.first(), held.in_flight_to) {
        (Some(holder), _) if more > 0 => Cell::from(format!("{}/{} +{more}", holder.pid, holder.fd)),
        (Some(holder), _) => Cell::from(format!("{}/{}", holder.pid, holder.fd)),
        (None, Some(_)) => Cell::Faint("in flight".to_owned()),
        (None, None) => Cell::Faint("-".to_owned()),
    }
}

/// A line about an established TCP connection.
fn connection(socket: &Socket) -> Option<Cell> {
    let tcp = socket.tcp.as_ref()?;
    let connection = tcp.connection.as_ref()?;
    // The scale is told with its values below, if there is one.
    let mut words: Vec<_> = connection.negotiated.iter().filter(|word| **word != "wscale").cloned().collect();
    words.push(format!("mss:{}", connection.mss_clamp_bytes));
    if connection.negotiated.iter().any(|word| *word == "wscale") {
        let scale = connection.rcv_wscale.map_or_else(String::new, |scale| format!(",{scale}"));
        words.push(format!("wscale:{}{scale}", connection.snd_wscale));
    }
    if let Some(window) = connection.snd_wnd {
        words.push(format!("snd_wnd:{window}"));
    }
    if let Some(window) = connection.rcv_wnd {
        words.push(format!("rcv_wnd:{window}"));
    }
    words.extend(connection.unsent_bytes.filter(|bytes| *bytes > 0).map(|bytes| format!("unsent:{bytes}")));
    words.extend(tcp.on.iter().map(|word| (*word).to_owned()));
    if socket.options.on.contains(&"keepalive") {
        words.push("keepalive".to_owned());
    }
    let ends = [Cell::Name(socket.local()), Cell::Faint("->".to_owned()), Cell::Name(socket.peer()?)];
    Some(Cell::Line(ends.into_iter().chain(words.into_iter().map(Cell::Faint)).collect()))
}

impl Socket {
    /// What `ss` calls the kind of a socket: `tcp`, `udp`, `u_str`, `nl`, …
    pub fn protocol_word(&self) -> String {
        let kind = self.kind.as_deref().unwrap_or_default();
        let protocol = self.protocol.as_deref().unwrap_or_default();
        match (self.family.as_str(), kind) {
            ("unix", "stream") => "u_str".to_owned(),
            ("unix", "dgram") => "u_dgr".to_owned(),
            ("unix", "seqpacket") => "u_seq".to_owned(),
            ("unix", other) => format!("unix {other}"),
            ("netlink", _) => "nl".to_owned(),
            ("packet", "raw") => "p_raw".to_owned(),
            ("packet", _) => "p_dgr".to_owned(),
            (_, "raw") => "raw".to_owned(),
            _ => protocol.to_owned(),
        }
    }

    fn has_connection(&self) -> bool {
        self.tcp.as_ref().is_some_and(|tcp| tcp.connection.is_some())
    }

    /// The own end in the form of `ss`.
    pub fn local(&self) -> Name {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        match self.family.as_str() {
            "netlink" => {
                let portid = self.netlink.as_ref().map_or(0, |netlink| netlink.portid);
                format!("{protocol}:{portid}").into()
            }
            "packet" => match self.packet.as_ref().map_or(0, |packet| packet.ifindex) {
                0 => format!("{protocol}:*").into(),
                index => format!("{protocol}:if{index}").into(),
            },
            "unix" => self.local_address.clone().unwrap_or_else(|| {
                self.inode.map_or_else(|| Name::from("*"), |inode| format!("* {inode}").into())
            }),
            _ => {
                // A raw socket has its protocol where others have a port.
                let port = self.local_port.map_or_else(|| protocol.to_owned(), port);
                endpoint(self.local_address.as_ref(), &port)
            }
        }
    }

    /// The other end in the form of `ss`, if there is one.
    pub fn peer(&self) -> Option<Name> {
        match &self.unix {
            Some(unix) if unix.peer_inode == 0 => None,
            Some(unix) => {
                let nameless = || Name::from(format!("* {}", unix.peer_inode));
                Some(self.peer_address.clone().unwrap_or_else(nameless))
            }
            None => {
                let address = self.peer_address.as_ref()?;
                Some(endpoint(Some(address), &self.peer_port.map_or_else(|| "*".to_owned(), port)))
            }
        }
    }

    /// The socket in one line, such as `tcp ESTAB 10.0.0.1:80 -> 10.0.0.2:4711`.
    pub fn summary(&self) -> Name {
        let mut words = self.protocol_word().into_bytes();
        for word in [self.state.as_deref(), self.shutdown.as_ref().map(|_| "shut down")].into_iter().flatten()
        {
            words.extend([b" ", word.as_bytes()].concat());
        }
        words.extend([b" ", self.local().as_bytes()].concat());
        if let Some(peer) = self.peer() {
            words.extend([b" -> ", peer.as_bytes()].concat());
        }
        words.into()
    }
}

fn port(number: u32) -> String {
    if number == 0 { "*".to_owned() } else { number.to_string() }
}

fn endpoint(address: Option<&Name>, port: &str) -> Name {
    let Some(address) = address else { return format!("?:{port}").into() };
    let bytes = address.as_bytes();
    if bytes.contains(&b':') {
        [&b"["[..], bytes, b"]:", port.as_bytes()].concat().into()
    } else {
        [bytes, b":", port.as_bytes()].concat().into()
    }
}
