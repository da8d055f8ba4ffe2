//! Images of namespaces and mounts.

use super::Case;
use crate::parts::{sysctl, sysctl_text};
use crate::wire::Msg;

pub(super) fn cases() -> Vec<Case> {
    let misc = "BINFMT_MISC";
    vec![
        Case::one("NETNS", "netns-10.img", "sysctls and ids", netns()),
        Case::one("NETNS", "netns-11.img", "external", Msg::new().text(8, "extRootNetNS")),
        Case::one("NETNS", "netns-12.img", "of an old release", netns_old()),
        Case::list("NETDEV", "netdev-10.img", "every type", netdevs()),
        Case::one("UTSNS", "utsns-12.img", "names", Msg::new().text(1, "web-1").text(2, "(none)")),
        Case::one("UTSNS", "utsns-13.img", "not UTF-8", Msg::new().bytes(1, b"w\xebb").text(2, "")),
        Case::one("IPC_VAR", "ipcns-var-11.img", "current", ipc_var(true)),
        Case::one("IPC_VAR", "ipcns-var-12.img", "of an old release", ipc_var(false)),
        Case::list("MNTS", "mountpoints-14.img", "children before parents", mounts()),
        Case::one("USERNS", "userns-15.img", "two ranges", userns()),
        Case::one("USERNS", "userns-16.img", "no map", Msg::new()),
        Case::one("TIMENS", "timens-0.img", "host", timens(9_505_243, 3_457_243)),
        Case::one("TIMENS", "timens-13.img", "own", timens(0, u64::MAX)),
        Case::one("PIDNS", "pidns-9.img", "external", Msg::new().text(1, "extRootPidNS")),
        Case::one("PIDNS", "pidns-8.img", "nothing said", Msg::new()),
        Case::one("AUTOFS", "autofs-55.img", "daemon inside", autofs(true)),
        Case::one("AUTOFS", "autofs-56.img", "daemon gone", autofs(false)),
        Case::list(misc, "binfmt-misc.img", "by magic and by extension", formats()),
        Case::list("BINFMT_MISC_OLD", "binfmt-misc-57.img", "by magic and by extension", formats()),
    ]
}

/// Sysctls by place: numbers, some absent.
fn sysctls(count: i64) -> impl Iterator<Item = Msg> {
    (0..count).map(|index| match index % 7 {
        3 => Msg::new().uint(1, 6),
        5 => sysctl(-1),
        _ => sysctl(index % 2),
    })
}

/// IPv6 ones, with the one text among them.
fn sysctls6() -> impl Iterator<Item = Msg> {
    sysctls(42).enumerate().map(|(index, each)| if index == 35 { sysctl_text("2001:db8::1") } else { each })
}

fn netns() -> Msg {
    let ids = [Msg::new().uint(1, 11).int(2, 0), Msg::new().uint(1, 2).int(2, -1)];
    let netns = Msg::new().msgs(3, sysctls(30)).msgs(4, sysctls(30)).msgs(5, sysctls6()).msgs(6, sysctls6());
    netns.msgs(7, ids).msg(9, sysctl(512)).msg(10, sysctl_text("1\t0"))
}

fn netns_old() -> Msg {
    let conf = [1, 0, -1, 0, i64::from(i32::MIN), i64::from(i32::MAX)];
    let add = |msg: Msg, field| conf.iter().fold(msg, |msg, value| msg.int(field, *value));
    add(add(Msg::new(), 1), 2)
}

fn netdevs() -> Vec<Msg> {
    let device = |kind: u64, index: u64, mtu: u64, flags: u64, name: &str| {
        Msg::new().seq(1, [kind, index, mtu, flags]).text(5, name)
    };
    let mac = |last: u8| [0x02, 0x42, 0xac, 0x11, 0x00, last];
    let tun = |owner| Msg::new().uint(1, 0x1002).int(2, owner).int(3, owner).seq(4, [12, 0x7fff_ffff]);
    let sit = Msg::new().uint(1, 2).uint(2, 0x0100_007f).uint(3, 0x0200_000a).seq(4, [64, 0, 1, 41, 0]);
    let sit = sit.seq(9, [0, 0, 0, 0, 16]).uints(14, [0x0220, 0, 0, 0]).uint(15, 8).uint(16, 10);
    vec![
        device(1, 1, 65536, 0x1_0049, "lo").msgs(9, sysctls(30)).msgs(10, sysctls6()),
        device(2, 2, 1500, 0x1_1043, "eth0")
            .bytes(7, mac(2))
            .msgs(9, sysctls(30))
            .msgs(10, sysctls6())
            .seq(12, [7, 0, 6]),
        device(3, 3, 1500, 0x1091, "tun0").msg(6, tun(-1)).bytes(7, []),
        device(3, 4, 1500, 0x1003, "tap0").msg(6, tun(1000)).bytes(7, mac(4)),
        device(4, 5, 1500, 0x1003, "ext0").bytes(7, mac(5)),
        device(5, 8, 1500, 0x1003, "venet0"),
        device(6, 6, 1500, 0x1_1043, "br0").bytes(7, mac(6)),
        device(7, 9, 1500, 0x1_1043, "macvlan0").bytes(7, mac(9)).msg(11, Msg::new().seq(1, [4, 1])),
        device(8, 10, 1480, 0x80, "sit0").bytes(7, [127, 0, 0, 1]).msg(15, sit),
        device(2, 11, 1500, 0x1003, "old0").bytes(7, mac(11)).int(8, 1).int(8, -1),
    ]
}

fn ipc_var(current: bool) -> Msg {
    let var = Msg::new().uints(1, [32000, 1_024_000_000, 500, 32000]);
    let var = var.seq(
        2,
        [
            8192,
            16384,
            32000,
            1,
            18_446_744_073_692_774_399,
            18_446_744_073_692_774_399,
            4096,
            0,
            256,
            10,
            8192,
        ],
    );
    if current { var.seq(13, [10, 8192, 0xffff_ffff, 0xffff_ffff, 5]) } else { var }
}

fn mounts() -> Vec<Msg> {
    let mount =
        |kind: u64, ids: [u64; 3], flags: u64, root: &[u8], point: &[u8], source: &[u8], options: &[u8]| {
            Msg::new()
                .uint(1, kind)
                .seq(2, ids)
                .uint(5, flags)
                .bytes(6, root)
                .bytes(7, point)
                .bytes(8, source)
                .bytes(9, options)
        };
    vec![
        mount(0, [41, 0x0080_0001, 29], 0x20_0000, b"/srv/data", b"/data", b"/dev/vda1", b"")
            .seq(10, [1, 2])
            .bool(12, false)
            .bool(16, false)
            .uint(17, 0)
            .text(18, "/data"),
        mount(5, [40, 55, 30], 0xe, b"/", b"/dev/shm", b"shm", b"size=65536k")
            .seq(10, [0, 0])
            .uint(17, 0x1_0000),
        mount(6, [39, 56, 30], 0xa, b"/", b"/dev/pts", b"devpts", b"gid=5,mode=620,ptmxmode=666"),
        mount(5, [30, 54, 29], 0x100_0002, b"/", b"/dev", b"tmpfs", b"size=65536k,mode=755"),
        mount(1, [31, 57, 29], 0xe, b"/", b"/proc", b"proc", b"").bool(12, true),
        mount(16, [32, 58, 29], 0x1, b"/", b"/caf\xe9 \t", b"\xff", b"lower=a:b")
            .text(14, "ext9")
            .bool(15, true)
            .bool(16, true),
        mount(17, [29, 53, 28], 0x20_0000, b"/", b"/", b"overlay", b"lowerdir=/l,upperdir=/u,workdir=/w"),
        mount(23, [33, 59, 31], 0xf, b"/../..", b"/sys/fs/cgroup", b"cgroup", b"").bool(13, true),
    ]
}

fn userns() -> Msg {
    let range = |first: u64, lower: u64, count: u64| Msg::new().seq(1, [first, lower, count]);
    Msg::new().msgs(1, [range(0, 1000, 1), range(1, 100_000, 65536)]).msg(2, range(0, 0, 0xffff_ffff))
}

fn timens(monotonic: u64, boottime: u64) -> Msg {
    let time = |seconds| Msg::new().uint(1, seconds).uint(2, 467_844_229);
    Msg::new().msg(1, time(monotonic)).msg(2, time(boottime))
}

fn autofs(inside: bool) -> Msg {
    let numbers = if inside { [5, 66, 300, 5, 5, 2] } else { [-1, 66, 0, 5, 5, 1] };
    let autofs = (1..).zip(numbers).fold(Msg::new(), |msg, (field, value)| msg.int(field, value));
    if inside { autofs.int(7, 1000).int(8, -1).int(9, 4) } else { autofs }
}

fn formats() -> [Msg; 2] {
    let format = |name: &str, interpreter: &str| Msg::new().text(1, name).bool(2, true).text(3, interpreter);
    [
        format("qemu-arm", "/usr/bin/qemu-arm-static")
            .text(4, "OCF")
            .text(6, "7f454c4601010100")
            .text(7, "ffffffffffffff00")
            .int(8, 0),
        Msg::new().text(1, "old").bool(2, false).bytes(3, b"/usr/bin/\xff").text(5, "exe"),
    ]
}
