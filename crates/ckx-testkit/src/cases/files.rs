//! Images of open files: `files.img`, `fdinfo`, and one image per type as up to CRIU 3.3.

use super::Case;
use crate::files::{self as f, FdType, fdinfo, file_entry};
use crate::image::Order;
use crate::parts::{fh, fown_of, sk_opts_full};
use crate::wire::Msg;

pub(super) fn cases() -> Vec<Case> {
    let mut id = 0;
    let every_type =
        FdType::ALL.into_iter().flat_map(|kind| of_type(kind).into_iter().map(move |msg| (kind, msg)));
    let every_type: Vec<_> = every_type
        .map(|(kind, message)| {
            id += 1;
            file_entry(kind, id, message(id))
        })
        .collect();
    let image = |row, name: &str, about, kind: FdType| {
        Case::list(row, name, about, (1..).zip(of_type(kind)).map(|(id, message)| message(id)))
    };
    vec![
        Case::list("FILES", "files.img", "every type", every_type),
        Case::list(
            "FDINFO",
            "fdinfo-2.img",
            "every type",
            FdType::ALL.map(|kind| fdinfo(kind as u64, 0, kind, 3 + kind as u64)),
        ),
        Case::list("FDINFO", "fdinfo-3.img", "one file at two numbers, close-on-exec, SELinux", fdinfos()),
        Case::list("FDINFO", "fdinfo-4.img", "no descriptor", []),
        image("REG_FILES", "reg-files.img", "plain, deleted, external, not UTF-8", FdType::Reg),
        image("NS_FILES", "ns-files.img", "every sort of namespace", FdType::Ns),
        image("EXT_FILES", "ext-files.img", "one", FdType::Ext),
        image("EVENTFD_FILE", "eventfd.img", "least and greatest counter", FdType::Eventfd),
        image("EVENTPOLL_FILE", "eventpoll.img", "members of two generations", FdType::Eventpoll),
        image("SIGNALFD", "signalfd.img", "all signals", FdType::Signalfd),
        image("TIMERFD", "timerfd.img", "two clocks", FdType::Timerfd),
        image("INOTIFY_FILE", "inotify.img", "watches, none", FdType::Inotify),
        image("FANOTIFY_FILE", "fanotify.img", "marks of both sorts", FdType::Fanotify),
        image("PIPES", "pipes.img", "both ends", FdType::Pipe),
        image("FIFO", "fifo.img", "with and without path", FdType::Fifo),
        image("UNIXSK", "unixsk.img", "names of every sort", FdType::Unixsk),
        image("INETSK", "inetsk.img", "both families, every state", FdType::Inetsk),
        image("PACKETSK", "packetsk.img", "plain, rings and lists", FdType::Packetsk),
        image("NETLINK_SK", "netlinksk.img", "with and without groups", FdType::Netlinksk),
        image("TTY_FILES", "tty.img", "with and without path", FdType::Tty),
        image("TUNFILE", "tunfile.img", "attached and fresh", FdType::Tunf),
        image("BPFMAP_FILE", "bpfmap-file.img", "hash, frozen array", FdType::Bpfmap),
        image("PIDFD", "pidfd.img", "alive, dead", FdType::Pidfd),
        Case::list(
            "EVENTPOLL_TFD",
            "eventpoll-tfd.img",
            "two members",
            [f::eventpoll_tfd(1, 5, 0x19, 5), f::eventpoll_tfd(1, 6, 0x8000_001d, u64::MAX)],
        ),
        Case::list("INOTIFY_WD", "inotify-wd.img", "two watches", watches(1)),
        Case::list("FANOTIFY_MARK", "fanotify-mark.img", "both sorts", marks(1)),
    ]
}

fn fdinfos() -> [Msg; 3] {
    let label = "system_u:system_r:container_t:s0";
    [
        fdinfo(5, 0, FdType::Reg, 0),
        fdinfo(5, 0, FdType::Reg, 2),
        fdinfo(6, 1, FdType::Unixsk, 1_048_575).text(5, label),
    ]
}

/// A message that waits for its file id.
type Entry = Box<dyn FnOnce(u64) -> Msg>;

/// Messages of a type of file.
fn of_type(kind: FdType) -> Vec<Entry> {
    match kind {
        FdType::Reg => regs(),
        FdType::Inetsk => inets(),
        FdType::Unixsk => unixes(),
        FdType::Netlinksk | FdType::Packetsk | FdType::Tunf => links(kind),
        _ => small(kind),
    }
}

fn entries<const N: usize>(entries: [fn(u64) -> Msg; N]) -> Vec<Entry> {
    entries.into_iter().map(|entry| Box::new(entry) as Entry).collect()
}

fn regs() -> Vec<Entry> {
    entries([
        |id| {
            f::reg(id, 0o100_000, 4096, "/usr/bin/python3.11")
                .sint(7, 29)
                .uint(8, 6_757_320)
                .uint(10, 0o100_755)
                .uints(11, [1_231_464_665, 2_769_513_448, 0x55])
        },
        |id| {
            f::reg(id, 0o102_001, 17, "/srv/www/blob.bin (deleted)")
                .sint(7, -1)
                .uint(8, 17)
                .uint(10, 0o100_600)
        },
        |id| f::reg(id, 0o2, 0, "file[1f:2a]").bool(9, true).uint(10, 0o100_644),
        |id| f::reg(id, 0o101, u64::MAX, "/dev/kmsg").sint(7, 0x7fff_ffff).uint(10, 0o020_644),
        |id| f::reg(id, 0o0, 0, b"/srv/\xff\xfe caf\xe9/da\"ta\\\n\t\x01\x7f"),
        |id| f::reg(id, 0o0, 0, "/srv/größe/文/😀\u{2028}").sint(7, -2_147_483_648),
        |id| f::directory(id, "/"),
        |id| {
            Msg::new()
                .seq(1, [id, 0o20_2000, 0])
                .msg(5, fown_of(1000, 29, 66))
                .text(6, "")
                .seq(12, [0xdead_beef, 1, 1024])
        },
    ])
}

fn inets() -> Vec<Entry> {
    const ANY6: &[u64] = &[0; 4];
    const LINK_LOCAL: &[u64] = &[0x80fe, 0, 0xff01_0203, 0x0506_07fe];
    const LOCALHOST: &[u64] = &[0x0100_007f];
    let mut all = entries([
        |id| {
            f::inet(id, 0x1a2b, [2, 1, 6, 1], (8080, LOCALHOST), (40_000, LOCALHOST))
                .uint(18, 10)
                .uint(19, 0)
                .msg(20, Msg::new().bool(1, false).bool(2, true).seq(3, [9, 7200, 75]))
        },
        |id| {
            f::inet(id, 0x1a2f, [10, 1, 6, 10], (443, ANY6), (0, ANY6))
                .bool(15, true)
                .msg(16, ip_opts(false))
                .uint(18, 10)
        },
        |id| {
            f::inet(id, 0x1a30, [10, 2, 17, 7], (546, LINK_LOCAL), (0, ANY6))
                .bool(15, false)
                .msg(16, ip_opts(true))
                .text(17, "eth0")
        },
        |id| f::inet(id, 0x1a31, [2, 3, 1, 7], (1, &[0]), (0, &[0])).uint(19, 3),
        |id| {
            f::inet(
                id,
                0x1a32,
                [10, 2, 58, 1],
                (7, &[0, 0, 0, 0x0100_0000]),
                (0, &[0xb80d_0120, 0, 0, 0x0100_0000]),
            )
        },
        |id| f::inet(id, 0x1a33, [2, 1, 999, 99], (0, &[]), (65535, &[1, 2, 3])),
        |id| {
            Msg::new()
                .seq(1, [id, 0x1a34, 2, 2, 136, 7, 0, 0, 0o4002, 0])
                .uints(11, [0])
                .uints(12, [0])
                .msg(13, fown_of(0, 0, 0))
                .msg(14, sk_opts_full(Order::Little))
        },
    ]);
    for state in 1..=11 {
        all.push(Box::new(move |id| {
            f::inet(id, 0x1b00 + state, [2, 1, 6, state], (80, &[0x0a0a_0a0a]), (1024, &[0xfe0a_0a0a]))
        }));
    }
    all
}

fn ip_opts(raw: bool) -> Msg {
    let opts = Msg::new().bool(1, true);
    let filter = Msg::new().bool(1, true).bool(2, false).bool(3, true).uints(4, [0xffff_fffe, 1]);
    let opts = if raw { opts.msg(4, filter) } else { opts };
    opts.bool(5, true).uint(6, 0x10).uint(7, 64)
}

fn unixes() -> Vec<Entry> {
    const NAMES: [&[u8]; 12] = [
        b"",
        b"/run/nginx-admin.sock\0",
        b"\0/tmp/.X11-unix/X0",
        b"\0abstract=\0with\0NUL\0",
        b"\0\xff\xfe\x01\x7f",
        b"relative.sock\0",
        b"/run/a name with = and \n newline\t\0",
        b"\0=00=3D",
        b"\0trailing blank ",
        b"\0exactly as long as a line of quoted-printable may be, which is seventy-six .",
        b"/run/user/1000/a/rather/long/path/that/does/not/fit/into/one/line/of/seventy-six/columns/sock\0",
        b"\0caf\xc3\xa9 \xe6\x96\x87 ...............................................................................",
    ];
    let mut all: Vec<Entry> = Vec::new();
    for (index, name) in (0..).zip(NAMES) {
        let state = [1, 10, 7][index as usize % 3];
        all.push(Box::new(move |id| f::unix(id, 1_541_947 + index, [1, state], 0, name).uint(16, 10)));
    }
    all.extend(entries([
        |id| f::unix(id, 1_541_990, [5, 1], 1_541_991, b"").uint(12, 3),
        |id| {
            f::unix(id, 1_541_991, [2, 7], 1_541_990, b"log\0")
                .uint(12, 0)
                .msg(13, Msg::new().seq(1, [0o140_755, 1000, 100]))
                .bytes(14, b"/srv/\xff")
                .bool(15, true)
                .uint(16, 10)
                .sint(17, -1)
        },
        |id| {
            Msg::new()
                .seq(1, [id, 1_541_992, 1, 1, 0o4002, 0xf, 0, 4])
                .msg(9, fown_of(1000, 29, 66))
                .msg(10, sk_opts_full(Order::Little))
                .bytes(11, b"")
        },
    ]));
    all
}

fn links(kind: FdType) -> Vec<Entry> {
    match kind {
        FdType::Netlinksk => entries([
            |id| f::netlink(id, 4242, 0, &[]),
            |id| f::netlink(id, 4243, 15, &[1]),
            |id| f::netlink(id, 4244, 16, &[0x8000_0000, 0, 1]),
        ]),
        FdType::Packetsk => entries([
            |id| f::packet(id, [3, 0x0300], 0),
            |id| {
                let ring = |timeout: u64| Msg::new().seq(1, [4096, 4, 2048, 8, timeout, 0, 0]);
                let list = Msg::new().seq(1, [2, 0]).bytes(3, b"\x01\x00\x5e\x00\x00\xfb");
                let socket = f::packet(id, [2, 0x0008], 2).msg(16, list).uint(17, 0x0001_0007);
                socket.msg(18, ring(10)).msg(19, ring(0)).uint(20, 10)
            },
        ]),
        _ => entries([
            |id| f::tun(id, "tun0"),
            |id| f::tun(id, ""),
            |id| Msg::new().uint(1, id),
            |id| Msg::new().uint(1, id).text(2, "tap0").bool(3, true),
        ]),
    }
}

fn small(kind: FdType) -> Vec<Entry> {
    match kind {
        FdType::Pipe => entries([|id| f::pipe(id, 1_541_946, 0), |id| f::pipe(id, 1_541_946, 0o4001)]),
        FdType::Fifo => entries([|id| f::fifo(id, 77, 7), |id| Msg::new().uint(1, id).uint(2, 78)]),
        FdType::Eventfd => entries([|id| f::eventfd(id, 0), |id| f::eventfd(id, u64::MAX - 1)]),
        FdType::Eventpoll => entries([
            |id| f::eventpoll(id, []),
            |id| {
                f::eventpoll(
                    id,
                    [
                        f::eventpoll_tfd(0, 5, 0x19, 5),
                        f::eventpoll_tfd(0, 6, 0x8000_2011, u64::MAX).seq(5, [0x0080_0001, 5_377_021, 9]),
                    ],
                )
            },
        ]),
        FdType::Inotify => entries([|id| f::inotify(id, watches(id)), |id| f::inotify(id, [])]),
        FdType::Signalfd => entries([|id| f::signalfd(id, 1 << 9), |id| f::signalfd(id, u64::MAX)]),
        FdType::Tty => entries([|id| f::tty(id, 1, Some(7)), |id| f::tty(id, 2004, None)]),
        FdType::Fanotify => entries([|id| f::fanotify(id, marks(id))]),
        FdType::Ns => {
            let flags =
                [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x80];
            let entry =
                |flag: u64| Box::new(move |id| f::ns(id, 9 + flag.trailing_zeros() as u64, flag)) as Entry;
            flags.into_iter().map(entry).collect()
        }
        FdType::Ext => entries([f::ext]),
        FdType::Timerfd => entries([|id| f::timerfd(id, 0), |id| f::timerfd(id, 7)]),
        FdType::Memfd => entries([|id| f::memfd(id, 0o100_002, 2), |id| f::memfd(id, 0, 1)]),
        FdType::Bpfmap => entries([
            |id| f::bpfmap(id, 7, "hash_map"),
            |id| {
                let map = Msg::new()
                    .seq(1, [id, 0o2, 0])
                    .msg(4, fown_of(0, 0, 0))
                    .seq(5, [2, 4, 1, 8, 1, 0x80, 4096]);
                map.bool(12, true).text(13, "").uint(14, 0).sint(15, -1).uint(16, 0)
            },
        ]),
        FdType::Pidfd => entries([|id| f::pidfd(id, 1234, 66), |id| f::pidfd(id, 1235, -1)]),
        _ => Vec::new(),
    }
}

fn watches(id: u64) -> [Msg; 2] {
    [
        f::inotify_wd(id, 1, 5_377_021).msg(7, fh(None)),
        f::inotify_wd(id, 2, 5_377_022).msg(7, fh(Some(b"/tmp/\xe9t\xe9"))),
    ]
}

fn marks(id: u64) -> [Msg; 3] {
    let mount = |path: Option<&str>| Msg::new().uint(1, 29).maybe(path, |mark, path| mark.text(2, path));
    [
        f::fanotify_mark(id, 1).msg(7, Msg::new().uint(1, 5_377_021).msg(2, fh(Some(b"/tmp/x")))),
        f::fanotify_mark(id, 2).msg(8, mount(Some("/mnt"))),
        f::fanotify_mark(id, 2).msg(8, mount(None)),
    ]
}
