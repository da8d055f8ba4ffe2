//! Messages of open files: what `files.img` holds.
//!
//! Each function gives the message with its required fields and those that CRIU always writes;
//! the caller adds further ones behind them, in the order of their numbers.

use crate::parts::{fown, sk_opts};
use crate::wire::Msg;

/// `fd_types`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FdType {
    Reg = 1,
    Pipe,
    Fifo,
    Inetsk,
    Unixsk,
    Eventfd,
    Eventpoll,
    Inotify,
    Signalfd,
    Packetsk,
    Tty,
    Fanotify,
    Netlinksk,
    Ns,
    Tunf,
    Ext,
    Timerfd,
    Memfd,
    Bpfmap,
    Pidfd,
}

impl FdType {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::Reg,
        Self::Pipe,
        Self::Fifo,
        Self::Inetsk,
        Self::Unixsk,
        Self::Eventfd,
        Self::Eventpoll,
        Self::Inotify,
        Self::Signalfd,
        Self::Packetsk,
        Self::Tty,
        Self::Fanotify,
        Self::Netlinksk,
        Self::Ns,
        Self::Tunf,
        Self::Ext,
        Self::Timerfd,
        Self::Memfd,
        Self::Bpfmap,
        Self::Pidfd,
    ];

    /// Field of `file_entry` that holds the message.
    pub fn field(self) -> u32 {
        [3, 18, 17, 4, 16, 8, 9, 13, 10, 6, 19, 14, 7, 5, 11, 15, 12, 20, 21, 22][self as usize - 1]
    }
}

/// `file_entry`.
pub fn file_entry(kind: FdType, id: u64, message: Msg) -> Msg {
    Msg::new().uint(1, kind as u64).uint(2, id).msg(kind.field(), message)
}

/// `fdinfo_entry`.
pub fn fdinfo(id: u64, flags: u64, kind: FdType, fd: u64) -> Msg {
    Msg::new().seq(1, [id, flags, kind as u64, fd])
}

/// `reg_file_entry` without `mnt_id` (7), `size` (8) and `mode` (10).
pub fn reg(id: u64, flags: u64, pos: u64, name: impl AsRef<[u8]>) -> Msg {
    Msg::new().seq(1, [id, flags, pos]).msg(5, fown()).bytes(6, name)
}

/// `reg_file_entry` of a directory.
pub fn directory(id: u64, name: impl AsRef<[u8]>) -> Msg {
    reg(id, 0o200_000, 0, name).uint(10, 0o040_755)
}

/// `pipe_entry`.
pub fn pipe(id: u64, pipe_id: u64, flags: u64) -> Msg {
    Msg::new().seq(1, [id, pipe_id, flags]).msg(4, fown())
}

/// `fifo_entry`; `regf_id` is the file id of its path.
pub fn fifo(id: u64, pipe_id: u64, regf_id: u64) -> Msg {
    Msg::new().seq(1, [id, pipe_id, regf_id])
}

/// `inet_sk_entry` up to `opts`: family, type, protocol and state, then port and address words of
/// both ends. `backlog` is 0 unless the state is 10 (listening).
pub fn inet(id: u64, ino: u64, numbers: [u64; 4], src: (u64, &[u64]), dst: (u64, &[u64])) -> Msg {
    let backlog = if numbers[3] == 10 { 128 } else { 0 };
    let ports = [src.0, dst.0, 0o2, backlog];
    let socket = Msg::new().seq(1, [id, ino]).seq(3, numbers).seq(7, ports);
    socket
        .uints(11, src.1.iter().copied())
        .uints(12, dst.1.iter().copied())
        .msg(13, fown())
        .msg(14, sk_opts())
}

/// `unix_sk_entry` up to `name`: type and state, inode of the other end.
pub fn unix(id: u64, ino: u64, numbers: [u64; 2], peer: u64, name: impl AsRef<[u8]>) -> Msg {
    let backlog = if numbers[1] == 10 { 128 } else { 0 };
    let socket = Msg::new().seq(1, [id, ino]).seq(3, numbers).seq(5, [0o2, 0, backlog, peer]);
    socket.msg(9, fown()).msg(10, sk_opts()).bytes(11, name)
}

/// `netlink_sk_entry` with these words of the group bitmap.
pub fn netlink(id: u64, ino: u64, protocol: u64, groups: &[u64]) -> Msg {
    let socket = Msg::new().seq(1, [id, ino, protocol, 7]).seq(6, [0o2, 4711]);
    let socket = socket.uints(8, groups.iter().copied()).seq(9, [0, 0]);
    socket.msg(11, fown()).msg(12, sk_opts()).uint(13, 10)
}

/// `packet_sock_entry` up to `copy_thresh`.
pub fn packet(id: u64, numbers: [u64; 2], ifindex: u64) -> Msg {
    let socket = Msg::new().uint(1, id).seq(2, numbers).seq(4, [0o2, ifindex]);
    socket.msg(6, fown()).msg(7, sk_opts()).seq(8, [2, 0, 1, 0, 0, 0, 0, 0])
}

/// `eventfd_file_entry`.
pub fn eventfd(id: u64, counter: u64) -> Msg {
    Msg::new().seq(1, [id, 0o4002]).msg(3, fown()).uint(4, counter)
}

/// `eventpoll_file_entry` with its members.
pub fn eventpoll(id: u64, members: impl IntoIterator<Item = Msg>) -> Msg {
    Msg::new().seq(1, [id, 0o2]).msg(3, fown()).msgs(4, members)
}

/// `eventpoll_tfd_entry`; `id` is 0 inside the epoll file.
pub fn eventpoll_tfd(id: u64, fd: u64, events: u64, data: u64) -> Msg {
    Msg::new().seq(1, [id, fd, events, data])
}

/// `signalfd_entry`.
pub fn signalfd(id: u64, sigmask: u64) -> Msg {
    Msg::new().seq(1, [id, 0o4002]).msg(3, fown()).uint(4, sigmask)
}

/// `timerfd_entry` of a clock: three seconds and a bit left, every 10 seconds.
pub fn timerfd(id: u64, clock: u64) -> Msg {
    let timer = Msg::new().seq(1, [id, 0o4002]).msg(3, fown()).uint(4, clock);
    timer.seq(5, [2, 1, 3, 999_999_999, 10, 0])
}

/// `inotify_file_entry` with its watches.
pub fn inotify(id: u64, watches: impl IntoIterator<Item = Msg>) -> Msg {
    Msg::new().seq(1, [id, 0o4000]).msg(4, fown()).msgs(5, watches)
}

/// `inotify_wd_entry` without its handle (7); `id` is that of the instance.
pub fn inotify_wd(id: u64, wd: u64, ino: u64) -> Msg {
    Msg::new().seq(1, [id, ino, 0x3c2, 0, 0x0080_0001, wd])
}

/// `fanotify_file_entry` with its marks.
pub fn fanotify(id: u64, marks: impl IntoIterator<Item = Msg>) -> Msg {
    Msg::new().seq(1, [id, 0o4002]).msg(3, fown()).seq(4, [0x3, 0x8000]).msgs(6, marks)
}

/// `fanotify_mark_entry` without its target (7 or 8); `kind` is 1 for a file, 2 for a mount.
pub fn fanotify_mark(id: u64, kind: u64) -> Msg {
    let flags = if kind == 2 { 0x10 } else { 0x40 };
    Msg::new().seq(1, [id, kind, flags, 0x0800_003b, 0x2, 0x0080_0001])
}

/// `tty_file_entry`; `regf_id` is the file id of its path.
pub fn tty(id: u64, info: u64, regf_id: Option<u64>) -> Msg {
    let tty = Msg::new().seq(1, [id, info, 0o102]).msg(4, fown());
    tty.maybe(regf_id, |tty, regf| tty.uint(6, regf))
}

/// `ns_file_entry`; `flag` is the `CLONE_NEW*` flag of its kind.
pub fn ns(id: u64, ns_id: u64, flag: u64) -> Msg {
    Msg::new().seq(1, [id, ns_id, flag, 0])
}

/// `tunfile_entry`.
pub fn tun(id: u64, device: &str) -> Msg {
    Msg::new().uint(1, id).text(2, device).bool(3, false).uint(4, 10)
}

/// `ext_file_entry`.
pub fn ext(id: u64) -> Msg {
    Msg::new().uint(1, id).msg(5, fown())
}

/// `memfd_file_entry`.
pub fn memfd(id: u64, flags: u64, inode_id: u64) -> Msg {
    Msg::new().seq(1, [id, flags, 0]).msg(4, fown()).uint(5, inode_id)
}

/// `memfd_inode_entry`: content is in the page map of `shmid`.
pub fn memfd_inode(name: impl AsRef<[u8]>, size: u64, shmid: u64, inode_id: u64) -> Msg {
    Msg::new().bytes(1, name).seq(2, [0, 0, size, shmid, 1, inode_id])
}

/// `bpfmap_file_entry` of a hash map with keys of 4 and values of 8 bytes.
pub fn bpfmap(id: u64, map_id: u64, name: &str) -> Msg {
    let map = Msg::new().seq(1, [id, 0o2, 0]).msg(4, fown()).seq(5, [1, 4, 8, map_id, 16, 0, 4096]);
    map.bool(12, false).text(13, name).uint(14, 0)
}

/// `pidfd_entry`; `pid` is -1 when the process is dead.
pub fn pidfd(id: u64, ino: u64, pid: i64) -> Msg {
    Msg::new().seq(1, [id, ino, 0o2]).int(4, pid).msg(5, fown())
}
