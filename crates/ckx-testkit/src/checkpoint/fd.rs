//! Open files of synthetic processes.

use crate::files::{self, FdType};
use crate::image::Order;
use crate::wire::Msg;

/// An open file, and what waits in it.
#[derive(Debug, Clone)]
pub struct Fd {
    pub(super) kind: FdType,
    pub(super) form: Form,
    pub(super) close_on_exec: bool,
    pub(super) shared: Option<u64>,
    pub(super) waiting: Waiting,
}

/// How the message comes about.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// It is there, with the file id 0 as first field.
    Whole(Msg),
    /// As `Whole`, and the file id of this path comes behind it in this field.
    WithPath(Msg, u32, Vec<u8>),
    /// A TCP socket: inode, state, address and port of both ends.
    Tcp(u64, u64, [([u8; 4], u64); 2]),
}

/// Bytes that were written and not read.
#[derive(Debug, Clone)]
pub(super) enum Waiting {
    Nothing,
    /// In the pipe with this number.
    Pipe(u64, Vec<u8>),
    /// One packet each.
    Packets(Vec<Vec<u8>>),
    /// Received and not read, written and not acknowledged.
    Tcp(Vec<u8>, Vec<u8>),
}

impl Fd {
    /// Any file: its message with 0 as file id, which has to be its first field.
    pub fn new(kind: FdType, message: Msg) -> Self {
        Self {
            kind,
            form: Form::Whole(message),
            close_on_exec: false,
            shared: None,
            waiting: Waiting::Nothing,
        }
    }

    /// A regular file.
    pub fn reg(path: impl AsRef<[u8]>, flags: u64) -> Self {
        Self::new(FdType::Reg, files::reg(0, flags, 0, path).sint(7, -1).uint(10, 0o100_644))
    }

    /// The end of a pipe that is read from.
    pub fn pipe_reader(pipe_id: u64) -> Self {
        let waiting = Waiting::Pipe(pipe_id, Vec::new());
        Self { waiting, ..Self::new(FdType::Pipe, files::pipe(0, pipe_id, 0)) }
    }

    /// The end of a pipe that is written to.
    pub fn pipe_writer(pipe_id: u64) -> Self {
        Self::new(FdType::Pipe, files::pipe(0, pipe_id, 1))
    }

    /// A named pipe, open for both.
    pub fn fifo(pipe_id: u64, path: impl AsRef<[u8]>) -> Self {
        let message = Msg::new().uint(1, 0).uint(2, pipe_id);
        let form = Form::WithPath(message.clone(), 3, path.as_ref().to_vec());
        Self { form, ..Self::new(FdType::Fifo, message) }
    }

    /// A unix stream socket: connected if `peer` is the inode of another, else listening.
    pub fn unix(ino: u64, peer: u64, name: impl AsRef<[u8]>) -> Self {
        let state = if peer == 0 { 10 } else { 1 };
        Self::new(FdType::Unixsk, files::unix(0, ino, [1, state], peer, name).uint(16, 2))
    }

    /// A TCP socket that listens on all addresses.
    pub fn tcp_listen(ino: u64, port: u64) -> Self {
        Self {
            form: Form::Tcp(ino, 10, [([0; 4], port), ([0; 4], 0)]),
            ..Self::new(FdType::Inetsk, Msg::new())
        }
    }

    /// A TCP connection: address and port of this end and of the other.
    pub fn tcp(ino: u64, here: ([u8; 4], u64), there: ([u8; 4], u64)) -> Self {
        let waiting = Waiting::Tcp(Vec::new(), Vec::new());
        Self { form: Form::Tcp(ino, 1, [here, there]), waiting, ..Self::new(FdType::Inetsk, Msg::new()) }
    }

    /// An eventfd.
    pub fn eventfd(counter: u64) -> Self {
        Self::new(FdType::Eventfd, files::eventfd(0, counter))
    }

    /// An epoll set of descriptor numbers with their event masks.
    pub fn epoll(members: &[(u64, u64)]) -> Self {
        let members = members.iter().map(|(fd, events)| files::eventpoll_tfd(0, *fd, *events, *fd));
        Self::new(FdType::Eventpoll, files::eventpoll(0, members))
    }

    /// The object of [`super::Process::shared_vma`] with this number, as memfd.
    pub fn memfd(shmid: u64) -> Self {
        Self::new(FdType::Memfd, files::memfd(0, 0o100_002, shmid))
    }

    /// A terminal with this record in `tty-info.img`, which the caller adds.
    pub fn tty(info: u64, path: impl AsRef<[u8]>) -> Self {
        let message = files::tty(0, info, None);
        let form = Form::WithPath(message.clone(), 6, path.as_ref().to_vec());
        Self { form, ..Self::new(FdType::Tty, message) }
    }

    /// Closed by `execve`.
    pub fn close_on_exec(self) -> Self {
        Self { close_on_exec: true, ..self }
    }

    /// All descriptors with the same `key`, in all processes, are one open file.
    pub fn shared(self, key: u64) -> Self {
        Self { shared: Some(key), ..self }
    }

    /// Bytes that wait to be read: in a pipe, as one more packet in a unix socket, or received by
    /// a TCP connection.
    ///
    /// # Panics
    /// If nothing can wait in such a file.
    pub fn holding(mut self, bytes: &[u8]) -> Self {
        match (&mut self.waiting, self.kind) {
            (Waiting::Pipe(_, all) | Waiting::Tcp(all, _), _) => all.extend(bytes),
            (Waiting::Packets(packets), _) => packets.push(bytes.to_vec()),
            (nothing, FdType::Unixsk) => *nothing = Waiting::Packets(vec![bytes.to_vec()]),
            _ => panic!("nothing can wait in a file of type {:?}", self.kind),
        }
        self
    }

    /// Bytes that a TCP connection sent, or has to, and the other end has not acknowledged.
    ///
    /// # Panics
    /// If it is none.
    pub fn sending(mut self, bytes: &[u8]) -> Self {
        match &mut self.waiting {
            Waiting::Tcp(_, all) => all.extend(bytes),
            _ => panic!("only TCP connections send"),
        }
        self
    }

    /// The message with this file id. `path_id` gives the file id of a path.
    pub(super) fn message(&self, id: u64, order: Order, path_id: impl FnOnce(&[u8]) -> u64) -> Msg {
        let with_id = |message: &Msg| {
            let rest = message.as_bytes().strip_prefix(&[0x08, 0]).expect("the file id 0 comes first");
            Msg::new().uint(1, id).raw(rest)
        };
        match &self.form {
            Form::Whole(message) => with_id(message),
            Form::WithPath(message, field, path) => with_id(message).uint(*field, path_id(path)),
            Form::Tcp(ino, state, [here, there]) => {
                let word = |address: [u8; 4]| match order {
                    Order::Little => u64::from(u32::from_le_bytes(address)),
                    Order::Big => u64::from(u32::from_be_bytes(address)),
                };
                let (src, dst) = ([word(here.0)], [word(there.0)]);
                files::inet(id, *ino, [2, 1, 6, *state], (here.1, &src), (there.1, &dst)).uint(18, 2)
            }
        }
    }
}
