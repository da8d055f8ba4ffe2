//! Images of the whole dump, of terminals, locks and limits, and of plugins.

use super::Case;
use crate::image::{ImageBuilder, Order};
use crate::parts::{ROOT_NAMESPACES, kobj_ids, sock_filter};
use crate::wire::Msg;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::one("INVENTORY", "inventory.img", "of CRIU 4.2", inventory(2)),
        Case::one(
            "INVENTORY",
            "inventory.img",
            "of a directory with compressed pages",
            inventory(3).seq(15, [1, 262_144]),
        ),
        Case::one("INVENTORY", "inventory.img", "of the first layout", Msg::new().uint(1, 1)),
        Case::one("INVENTORY", "inventory.img", "of a pre-dump", inventory_pre_dump()),
        Case::one("CGROUP", "cgroup.img", "two hierarchies", cgroup()),
        Case::one("SECCOMP", "seccomp.img", "no filter", Msg::new()),
        Case::one("SECCOMP", "seccomp.img", "a chain of filters", seccomp(Order::Little)),
        Case::one("APPARMOR", "apparmor.img", "namespaces inside namespaces", apparmor()),
        Case::list("TTY_INFO", "tty-info.img", "every sort", ttys()),
        Case::list("FILE_LOCKS", "filelocks.img", "every sort", locks()),
        Case::one("CPUINFO", "cpuinfo.img", "x86", cpu_x86()),
        Case::one(
            "CPUINFO",
            "cpuinfo.img",
            "POWER",
            Msg::new().msg(2, Msg::new().uint(1, 1).uints(2, [0xdc00_7347, 0xae00_0000])),
        ),
        Case::one("CPUINFO", "cpuinfo.img", "s390", Msg::new().msg(3, Msg::new().uints(2, [0x37fff, 0]))),
        Case::one("STATS", "stats-dump", "of a dump", Msg::new().msg(1, stats_dump())),
        Case::one(
            "STATS",
            "stats-dump",
            "of a dump without newer counters",
            Msg::new().msg(1, Msg::new().seq(1, [1, 2, 3, 4, 5, 6, 7]).uint(9, 0)),
        ),
        Case::one(
            "STATS",
            "stats-restore",
            "of a restore",
            Msg::new().msg(2, Msg::new().seq(1, [0, 0, 1200, 35_000, 60])),
        ),
        Case::list("IRMAP_CACHE", "irmap-cache", "two paths", irmap()),
        Case::list("IRMAP_CACHE", "irmap-cache", "header only", []),
        bare("(amdgpu kfd)", "amdgpu-kfd-3.img", "a CPU and a GPU", kfd()),
        bare("(amdgpu render)", "amdgpu-renderD-4.img", "two objects", render_node()),
        bare("(amdgpu dmabuf)", "amdgpu-dmabuf_5.img", "one", Msg::new().uint(1, 7)),
    ];
    let big = ImageBuilder::of("SECCOMP").order(Order::Big).record(seccomp(Order::Big));
    cases.push(Case::new("SECCOMP", "seccomp.img", "a chain of filters, big-endian", big, 1));
    let big = ImageBuilder::of("INVENTORY").order(Order::Big).record(inventory(2));
    cases.push(Case::new("INVENTORY", "inventory.img", "big-endian", big, 1));
    cases
}

fn bare(row: &'static str, name: &str, about: &'static str, message: Msg) -> Case {
    Case::new(row, name, about, ImageBuilder::raw().bare(message), 1)
}

fn inventory(version: u64) -> Msg {
    let inventory =
        Msg::new().uint(1, version).bool(2, true).msg(3, kobj_ids(1, 1, ROOT_NAMESPACES)).bool(4, true);
    let plugins = Msg::new().text(12, "amdgpu_plugin").text(12, "cuda_plugin");
    let inventory = inventory.seq(5, [1, 2]).bool(10, true).uint(11, 1).msg(12, plugins);
    inventory.text(13, "bfaed9e5-cb21-4ea0-95ad-2b3f2e5c53f0").bool(14, false)
}

/// CRIU leaves the version at 0 there.
fn inventory_pre_dump() -> Msg {
    Msg::new().uint(1, 0).uint(8, 9_505_243_467_844).uint(9, 2).msg(12, Msg::new())
}

fn cgroup() -> Msg {
    let member = |name: &str, path: &[u8]| Msg::new().text(1, name).bytes(2, path);
    let perms = |mode: u64| Msg::new().seq(1, [mode, 0, 1000]);
    let property = |name: &str, value: &str| Msg::new().text(1, name).text(2, value);
    let directory = |name: &[u8], children: Vec<Msg>| Msg::new().bytes(1, name).msgs(2, children);
    let sets = [
        Msg::new()
            .uint(1, 2)
            .msg(2, member("", b"/machine.slice/pod-1").uint(3, 14))
            .msg(2, member("name=systemd", b"/")),
        Msg::new().uint(1, 3).msg(2, member("", b"/machine.slice/pod-1/caf\xe9")),
        Msg::new().uint(1, 4),
    ];
    let leaf =
        directory(b"caf\xe9", Vec::new()).msg(3, property("cgroup.type", "threaded\n")).msg(4, perms(0o755));
    let limit = property("memory.max", "9223372036854771712").msg(3, perms(0o644));
    let middle =
        directory(b"pod-1", vec![leaf, directory(b"empty", Vec::new())]).msg(3, limit).msg(4, perms(0o755));
    let top = directory(b"", vec![directory(b"machine.slice", vec![middle])]);
    let unified = Msg::new().text(1, "").msg(2, top).bool(3, true);
    let combined = Msg::new().text(1, "cpu").text(1, "cpuacct").msg(2, directory(b"/", Vec::new()));
    Msg::new().msgs(1, sets).msgs(2, [unified, combined])
}

fn seccomp(order: Order) -> Msg {
    let filter = || Msg::new().bytes(1, sock_filter(order));
    Msg::new().msgs(1, [filter().uint(3, 0), filter().uint(2, 0).uint(3, 1), filter().uint(2, 1)])
}

fn apparmor() -> Msg {
    let policy = |name: &str| Msg::new().text(1, name).bytes(2, b"\x04\x08\0version\0\x02\xff");
    let inner = Msg::new().bytes(1, b"in\xffner").msg(2, policy("docker-default"));
    let outer = Msg::new().text(1, "outer").msgs(2, [policy("a"), policy("b//c")]).msg(3, inner);
    Msg::new().msgs(1, [outer, Msg::new().text(1, "empty")])
}

fn ttys() -> Vec<Msg> {
    let info = |id: u64, kind: u64, rdev: u64| Msg::new().seq(1, [id, kind, 0, 0, 0, 66, 66, rdev]);
    let termios = |lflag: u64| {
        let cc = [0x7f1c_0315, 0x0000_1101, 0x0f17_1612, 0xdead_beef].into_iter().chain([0; 15]);
        Msg::new().seq(1, [0x4500, 0x5, 0xbf, lflag, 0, 15, 15]).uints(8, cc)
    };
    let size = Msg::new().seq(1, [24, 80, 0, 0]);
    let pty = |id: u64, index: u64| {
        info(id, 1, 0x8800 | index)
            .msg(9, termios(0x8a3b))
            .msg(10, termios(0))
            .msg(11, size.clone())
            .msg(12, Msg::new().uint(1, index))
    };
    vec![
        pty(0, 0).seq(13, [25, 1000, 5]),
        pty(1, 0),
        info(2004, 2, 1281).msg(9, termios(0)),
        info(2006, 3, 0x401),
        info(2008, 4, 0x500),
        info(2010, 5, 0x8801),
        info(2012, 6, 0x440),
        Msg::new().seq(1, [2014, 0, 1, 1, 1, 0, 0, 0]),
    ]
}

fn locks() -> Vec<Msg> {
    let lock = |flag: u64, kind: u64, pid: i64, fd: i64, start: i64, len: i64| {
        Msg::new().uint(1, flag).uint(2, kind).int(3, pid).int(4, fd).int(5, start).int(6, len)
    };
    vec![
        lock(1, 0, 66, 3, 0, 0),
        lock(1, 1, 66, 4, 100, 50),
        lock(2, 1, 66, 5, 0, 0),
        lock(2, 32 | 64, 67, 5, 0, 0),
        lock(4, 1, -1, 6, i64::MAX, -1),
        lock(8, 4, 66, 7, 0, 0),
        lock(8, 2, 66, -1, i64::MIN, i64::MIN),
    ]
}

fn cpu_x86() -> Msg {
    let words = (0..16).map(|word: u64| 0x1fc9_cbf5 ^ word << 24);
    let cpu = Msg::new().seq(1, [1, 6, 143, 8, 2]).uints(6, words).text(7, "Intel(R) Xeon(R)  CPU\0");
    let amd = Msg::new().seq(1, [2, 25, 1, 1, 1]).uints(6, [0, 0xffff_ffff]);
    Msg::new().msgs(1, [cpu.seq(8, [0x602e7, 2696, 11008]), amd])
}

fn stats_dump() -> Msg {
    Msg::new().seq(1, [52_764, 320_356, 7672, 223, 1 << 33, 0, 60, 0, 0, 13, 13, 1, 0, 1])
}

fn irmap() -> [Msg; 2] {
    let path = |dev: u64, inode: u64, path: &[u8]| Msg::new().uint(1, dev).uint(2, inode).bytes(3, path);
    [path(0x0080_0001, 5_377_021, b"/etc/hosts"), path(0x36, u64::MAX, b"/\xff")]
}

fn kfd() -> Msg {
    let device = |node: u64, gpu: u64, links: &[[u64; 2]]| {
        let sizes = (3..31).map(|field| if gpu == 0 { 0 } else { field * 10 });
        let links = links.iter().map(|link| Msg::new().seq(1, *link));
        Msg::new()
            .seq(1, [node, gpu])
            .seq(3, sizes)
            .uint(31, if gpu == 0 { 0 } else { 1 << 36 })
            .msgs(32, links)
    };
    let buffer = |index: u64| {
        Msg::new().seq(
            1,
            [0x7f3a_2000_0000 + index * 0x20_0000, 0x20_0000, index << 40, 0xd000_0001, 0xb2c4, index],
        )
    };
    let kfd = Msg::new()
        .seq(1, [66, 1, 1])
        .msgs(4, [device(0, 0, &[[2, 1]]), device(1, 0xb2c4, &[[2, 0], [11, 2]])]);
    kfd.uint(5, 2)
        .msgs(6, [buffer(1), buffer(2)])
        .seq(7, [3, 0x1_0000, 0xadad_adad])
        .bytes(10, b"\0private\xff")
}

fn render_node() -> Msg {
    let mapping = |index: u64| Msg::new().seq(1, [0x7f3a_3000_0000 + index * 4096, 4096, 0, 7]);
    let buffer = |handle: u64, mappings: u64| {
        let buffer = Msg::new().seq(1, [0x7f3a_3000_0000, 4096, 0, 1 << 32, 4096, 4, handle, 0, mappings]);
        buffer.msgs(10, (0..mappings).map(mapping))
    };
    Msg::new().seq(1, [0xb2c4, 4, 128, 2]).msgs(5, [buffer(1, 2), buffer(2, 0)])
}
