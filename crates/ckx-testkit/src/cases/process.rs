//! Images of processes, but for `core`.

use super::Case;
use crate::image::{ImageBuilder, Order};
use crate::parts::{self, ROOT_NAMESPACES, itimer, kobj_ids, pending, posix_timer};
use crate::wire::Msg;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(Case::both("PSTREE", "pstree.img", "two processes, three threads, a zombie", pstree(), 3));
    cases.extend([
        Case::one("IDS", "ids-66.img", "own namespaces", kobj_ids(2, 2, [9, 10, 11, 12, 14, 15, 8, 13])),
        Case::one(
            "IDS",
            "ids-67.img",
            "descriptor table of another process",
            kobj_ids(3, 2, ROOT_NAMESPACES),
        ),
        Case::one("IDS", "ids-68.img", "without namespaces", Msg::new().seq(1, [4, 4, 4, 4])),
        Case::one("MM", "mm-66.img", "every sort of mapping", mm(every_vma(), true)),
        Case::one("MM", "mm-67.img", "a 32-bit process", mm_compat()),
        Case::one("MM", "mm-68.img", "without mappings", mm([], false)),
        Case::one("FS", "fs-66.img", "with umask", Msg::new().seq(1, [8, 9, 0o22])),
        Case::one("FS", "fs-67.img", "without umask", Msg::new().seq(1, [8, 9])),
        Case::one("CREDS", "creds-66.img", "root", parts::creds(0, None)),
        Case::one("CREDS", "creds-67.img", "user with SELinux context", creds_lsm()),
    ]);
    cases.extend(retired());
    cases
}

fn pstree() -> ImageBuilder {
    ImageBuilder::of("PSTREE").records([
        Msg::new().seq(1, [66, 0, 66, 66]).uints(5, [66, 70, 71]),
        Msg::new().seq(1, [67, 66, 66, 66]).uint(5, 67),
        // A zombie: its thread list holds what lay in memory.
        Msg::new().seq(1, [68, 66, 68, 66]).uint(5, 1_841_759_280),
    ])
}

fn creds_lsm() -> Msg {
    let creds = Msg::new().seq(1, [1000, 100, 1000, 100, 1001, 101, 1000, 100]);
    let creds =
        creds.uints(9, [0, 0]).uints(10, [0x400, 0]).uints(11, [0x400, 0]).uints(12, [0xa80c_25fb, 0]);
    let creds = creds.uint(13, 0x2f).uints(14, [4, 24, 27, 1_000_000]);
    let creds =
        creds.text(15, "system_u:system_r:container_t:s0:c1,c2").text(16, "unconfined_u:object_r:tmp_t:s0");
    creds.bytes(17, b"\0policy\xff").uint(18, 1).uints(19, [0x400, 0])
}

/// `vma_entry`: range, offset, id, protection, flags and status.
pub(super) fn vma(range: [u64; 2], pgoff: u64, shmid: u64, numbers: [u64; 3]) -> Msg {
    Msg::new().seq(1, range).seq(3, [pgoff, shmid]).seq(5, numbers).sint(8, -1)
}

fn every_vma() -> Vec<Msg> {
    const BASE: u64 = 0x7f3a_1000_0000;
    // Pages, protection, flags, status, id, offset.
    const MAPPINGS: &[(u64, u64, u64, u64, u64, u64)] = &[
        (2, 1, 0x2, 0x41, 1, 0),
        (4, 5, 0x2, 0x41, 1, 0x2000),
        (1, 3, 0x22, 0x221, 0, 0),
        (3, 3, 0x22, 0x201, 0, 0),
        (1, 0, 0x22, 0x201, 0, 0),
        (16, 3, 0x1, 0x81, 21, 0x1_0000_0000),
        (4, 3, 0x1, 0x4081, 22, 0),
        (4, 1, 0x2, 0x4041, 22, 0x1000),
        (2, 3, 0x1, 0x501, 32_769, 0),
        (2, 3, 0x21, 0x101, 1_541_946, 0),
        (8, 3, 0x1, 0x801, 23, 0),
        (2, 3, 0x1, 0x2000, 0, 0),
        (512, 3, 0x5404_0022, 0x201, 0, 0),
        (1, 3, 0x8, 0x201, 0, 0),
        (8, 3, 0x22, 0x8201, 0, 0),
        (4, 3, 0x1, 0x0800_0081, 25, 0),
        (6, 1, 0x22, 0x1201, 0, 0),
        (2, 5, 0x22, 0x209, 0, 0),
        (33, 3, 0x122, 0x201, 0, 0),
    ];
    let mut start = BASE;
    let mut vmas = Vec::new();
    for (index, (pages, prot, flags, status, id, pgoff)) in MAPPINGS.iter().copied().enumerate() {
        let end = start + pages * 0x1000;
        let mapping = vma([start, end], pgoff, id, [prot, flags, status]);
        // Advice on anonymous memory, open flags on files.
        let advice = (status & 0x200 != 0).then(|| 1 << [10, 12, 14, 16, 18][index % 5]);
        let mapping = mapping.maybe(advice, |vma, advice| vma.uint(9, advice));
        vmas.push(mapping.maybe((id != 0).then_some(2), |vma, flags| vma.uint(10, flags)));
        start = end + 0x1000;
    }
    vmas.push(vma([0xffff_ffff_ff60_0000, 0xffff_ffff_ff60_1000], 0, 0, [4, 0x22, 0x204]));
    // A guard inside the first large mapping, behind the sorted list.
    vmas.push(vma([BASE + 0x3000, BASE + 0x4000], 0, 0, [0, 0, 0x1_0000]));
    vmas
}

fn mm(vmas: impl IntoIterator<Item = Msg>, full: bool) -> Msg {
    const AUXV: [u64; 20] = [
        33,
        0x7f3a_1030_0000,
        6,
        4096,
        17,
        100,
        3,
        0x5581_2000_0040,
        4,
        56,
        5,
        13,
        9,
        0x5581_2000_10a0,
        23,
        0,
        25,
        0x7ffc_0001_e019,
        31,
        0x7ffc_0001_ffe8,
    ];
    let code = [0x5581_2000_1000, 0x5581_2000_5000, 0x5581_2000_7db8, 0x5581_2000_8010];
    let stack = [0x7ffc_0001_d000, 0x5581_3000_0000, 0x5581_3002_1000];
    let text = [0x7ffc_0001_e100, 0x7ffc_0001_e120, 0x7ffc_0001_e120, 0x7ffc_0001_ffe8];
    let mm = Msg::new().seq(1, code).seq(5, stack).seq(8, text).uint(12, 1);
    if !full {
        return mm;
    }
    let rings =
        [Msg::new().seq(1, [0x7f3a_1003_9000, 128, 8192]), Msg::new().seq(1, [0x7f3a_1003_f000, 1, 4096])];
    mm.uints(13, AUXV).msgs(14, vmas).int(15, 1).msgs(16, rings).bool(17, true)
}

fn mm_compat() -> Msg {
    let numbers = [
        0x0804_9000,
        0x0804_a000,
        0x0804_bf08,
        0x0804_c020,
        0xffc0_1000,
        0x0914_2000,
        0x0916_4000,
        0xffc1_ee00,
        0xffc1_ee10,
        0xffc1_ee10,
        0xffc1_ffee,
        1,
    ];
    let vmas = [
        vma([0x0804_9000, 0x0804_a000], 0x1000, 1, [5, 0x2, 0x41]).uint(10, 0),
        vma([0x0914_2000, 0x0916_4000], 0, 0, [3, 0x22, 0x221]),
        vma([0xf7f0_0000, 0xf7f0_4000], 0, 0, [1, 0x22, 0x1201]),
        vma([0xf7f0_4000, 0xf7f0_6000], 0, 0, [5, 0x22, 0x209]),
        vma([0xffc0_0000, 0xffc2_0000], 0, 0, [3, 0x122, 0x201]),
    ];
    Msg::new()
        .seq(1, numbers)
        .uints(13, parts::auxv(&[32, 0xf7f0_4560, 33, 0xf7f0_4000, 6, 4096], true))
        .msgs(14, vmas)
        .int(15, 0)
}

/// What became part of `core` and `mm`.
fn retired() -> [Case; 9] {
    let mips = parts::sigactions().map(|action| action.uint(6, 0x8000_0000_0000_0001));
    let signals = [pending(Order::Little, 10), pending(Order::Little, 40)];
    let timers = [posix_timer(0, None), posix_timer(1, Some(70)), posix_timer(2, Some(-1))];
    [
        Case::list("SIGACT", "sigacts-66.img", "62 signals", parts::sigactions()),
        Case::list("SIGACT", "sigacts-67.img", "62 signals with the masks of MIPS", mips),
        Case::list("VMAS", "vmas-66.img", "every sort of mapping", every_vma()),
        Case::list("RLIMIT", "rlimit-66.img", "16 limits", parts::rlimits()),
        Case::list(
            "ITIMERS",
            "itimers-66.img",
            "three timers",
            [itimer(1, 2, 3, 4), itimer(0, 0, 0, 0), itimer(0, 0, 9, 999_999)],
        ),
        Case::list("POSIX_TIMERS", "posix-timers-66.img", "to a process, a thread, nobody", timers),
        Case::list("SIGNAL", "signal-s-66.img", "two signals", signals),
        Case::list("PSIGNAL", "signal-p-66.img", "none", []),
        Case::one("PSIGNAL", "signal-p-70.img", "one signal", pending(Order::Little, 12)),
    ]
}
