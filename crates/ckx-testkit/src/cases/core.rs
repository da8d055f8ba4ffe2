//! `core` images: one per thread.

use super::Case;
use crate::arch::{Arch, Regs};
use crate::image::{ImageBuilder, Order};
use crate::parts::{self, ROOT_NAMESPACES, itimer, kobj_ids, pending, posix_timer};
use crate::wire::Msg;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for arch in Arch::ALL {
        let image = |core| ImageBuilder::of("CORE").order(arch.order()).record(core);
        let (leader, thread) = (leader(arch), thread(arch));
        cases.push(Case::new("CORE", "core-66.img", "leader, everything set", image(leader), 1));
        cases.push(Case::new("CORE", "core-70.img", "another thread", image(thread), 1));
    }
    cases.extend([
        Case::one("CORE", "core-67.img", "a 32-bit process", compat()),
        Case::one("CORE", "core-68.img", "a zombie", dead(0x100, b"sh")),
        Case::one("CORE", "core-69.img", "a zombie that dumped core", dead(0x8b, b"caf\xe9\xff")),
        Case::one("CORE", "core-72.img", "stopped", stopped()),
        Case::one("CORE", "core-1.img", "of an old release", old()),
    ]);
    cases
}

fn regs(arch: Arch) -> Regs {
    let regs = match arch {
        Arch::Arm => Regs::new(0x0001_05d0, 0xbe9f_f5d8, 0xb6f8_e4c0),
        _ => Regs::new(0x5581_2000_11a8, 0x7ffc_0001_d0d8, 0x7f3a_1004_0740),
    };
    Regs { extras: true, ..regs }
}

fn leader(arch: Arch) -> Msg {
    let core = Msg::new().uint(1, arch.mtype());
    let (task, thread) = (task_full(arch), thread_full(arch));
    if arch == Arch::X86_64 {
        return core.msg(2, arch.thread_info(&regs(arch))).msg(3, task).msg(5, thread);
    }
    core.msg(3, task).msg(5, thread).msg(arch.field(), arch.thread_info(&regs(arch)))
}

fn thread(arch: Arch) -> Msg {
    let info = arch.thread_info(&Regs { extras: false, seed: 2, ..regs(arch) });
    let core = Msg::new().uint(1, arch.mtype());
    let thread = thread_plain(b"worker-1");
    if arch == Arch::X86_64 {
        return core.msg(2, info).msg(5, thread);
    }
    core.msg(5, thread).msg(arch.field(), info)
}

fn compat() -> Msg {
    let regs = Regs { compat: true, ..Regs::new(0xf7f0_4549, 0xffc1_ec9c, 0xf7ef_f100) };
    let task = task(1, 0, b"hello32").msg(8, limits());
    Msg::new()
        .uint(1, 1)
        .msg(2, Arch::X86_64.thread_info(&regs))
        .msg(3, task)
        .msg(5, thread_plain(b"hello32"))
}

fn dead(exit_code: u64, comm: &[u8]) -> Msg {
    Msg::new().uint(1, 1).msg(3, task(2, exit_code, comm))
}

fn stopped() -> Msg {
    let regs = regs(Arch::X86_64);
    let task = task(3, 0, b"vi").msg(8, limits()).uint(21, 20);
    Msg::new().uint(1, 1).msg(2, Arch::X86_64.thread_info(&regs)).msg(3, task).msg(5, thread_plain(b"vi"))
}

/// Kobj ids inside, seccomp in the task, cgroup set in the task.
fn old() -> Msg {
    let regs = regs(Arch::X86_64);
    let task =
        task(1, 0, b"init").msg(8, limits()).uint(9, 2).seq(11, [2, 0]).uint(13, 0xffff_ffff).int(14, -1000);
    let core = Msg::new().uint(1, 1).msg(2, Arch::X86_64.thread_info(&regs)).msg(3, task);
    core.msg(4, kobj_ids(2, 2, ROOT_NAMESPACES)).msg(5, Msg::new().uint(1, 0x7f3a_1004_0a20).uint(2, 24))
}

/// `task_core_entry`, the required fields.
fn task(state: u64, exit_code: u64, comm: &[u8]) -> Msg {
    Msg::new().seq(1, [state, exit_code, 0, 0x40_0040, 0]).bytes(6, comm)
}

fn limits() -> Msg {
    Msg::new().msgs(1, parts::rlimits())
}

fn task_full(arch: Arch) -> Msg {
    let order = arch.order();
    let timers = Msg::new()
        .msg(1, itimer(1, 0, 0, 250_000))
        .msg(2, itimer(0, 0, 0, 0))
        .msg(3, itimer(0, 10_000, 0, 1));
    let timers = timers.msgs(4, [posix_timer(0, None), posix_timer(1, Some(70))]);
    let queue = Msg::new().msgs(1, [pending(order, 10), siginfo_child(order, arch)]);
    let mips = arch == Arch::Mips;
    let actions = parts::sigactions().map(|action| if mips { action.uint(6, 1) } else { action });
    let task = Msg::new().seq(1, [1, 0, 0x0004_0000, 0x40_0140, 1 << 9]).text(6, "fifteen letters");
    let task = task.msg(7, timers).msg(8, limits()).msg(10, queue).uint(13, 1000).int(14, -999);
    let task = task.msgs(15, actions).bool(18, true);
    let task = if mips { task.uint(20, 0x8000_0000_0000_0000) } else { task };
    task.uint(22, 0x3f)
}

/// A child that ended with status 1. MIPS has code and error number the other way round.
fn siginfo_child(order: Order, arch: Arch) -> Msg {
    let words = if arch == Arch::Mips { [17, 1, 0] } else { [17, 0, 1] };
    Msg::new().bytes(1, parts::siginfo(order, words, 68, 1000))
}

/// `thread_core_entry` as every thread has it.
fn thread_plain(comm: &[u8]) -> Msg {
    let thread = Msg::new().seq(1, [0x7f3a_1004_0a20, 24]).sint(3, 0).uint(4, 0).uint(6, 0);
    let thread =
        thread.msg(7, Msg::new().seq(1, [0, 0, 2])).msg(9, Msg::new()).msg(10, parts::creds(1000, None));
    let rseq = Msg::new().seq(1, [0x7f3a_1004_10a0, 32, 0x5305_3053]);
    thread.bytes(13, comm).msg(15, rseq).uint(16, 1)
}

fn thread_full(arch: Arch) -> Msg {
    let thread =
        Msg::new().seq(1, [0x7f3a_1004_0a20, 24]).sint(3, -20).seq(4, [2, 99]).uint(6, 0xffff_fffe_7ffb_feff);
    let stack = Msg::new().seq(1, [0x7f3a_1000_7000, 8192, 0x8000_0001]);
    let thread = thread.msg(7, stack).uint(8, 15).msg(9, Msg::new().msg(1, pending(arch.order(), 64)));
    let thread =
        thread.msg(10, parts::creds(0, Some("docker-default (enforce)"))).seq(11, [2, 1]).text(13, "main");
    let thread = if arch == Arch::Mips { thread.uint(14, 1) } else { thread };
    let rseq = Msg::new().seq(1, [0x7f3a_1004_10a0, 32, 0x5305_3053, 0x7f3a_1004_10c0]);
    thread.msg(15, rseq).uint(16, 3)
}
