//! Registers of x86.

use super::Regs;
use crate::wire::Msg;

/// `orig_ax` of a thread that is in no system call.
const NO_CALL: u64 = u64::MAX;

pub(super) fn thread_info(regs: &Regs) -> Msg {
    let info = Msg::new().uint(1, regs.clear_tid).msg(2, general(regs)).msg(3, floating(regs));
    info.msgs(4, (12..15).map(|number| descriptor(regs, number)))
}

/// `user_x86_regs_entry`.
fn general(regs: &Regs) -> Msg {
    let mut values: Vec<u64> = regs.values(0, 27).collect();
    let (cs, ss, data, fs_base, gs) =
        if regs.compat { (0x23, 0x2b, 0x2b, 0, 0x63) } else { (0x33, 0x2b, 0, regs.tls, 0) };
    if regs.compat {
        values.iter_mut().for_each(|value| *value &= 0xffff_ffff);
        values[..4].fill(0);
        values[6..10].fill(0);
    }
    values[15] = NO_CALL;
    values[16..].copy_from_slice(&[regs.pc, cs, 0x246, regs.sp, ss, fs_base, 0, data, data, 0, gs]);
    Msg::new().seq(1, values).uint(28, if regs.compat { 2 } else { 1 })
}

/// `user_x86_fpregs_entry`.
fn floating(regs: &Regs) -> Msg {
    let control = Msg::new().seq(1, [0x37f, 0, 0, 0, 0, 0, 0x1f80, 0xffff]);
    let legacy = control.uints(9, regs.words(1, 32)).uints(10, regs.words(2, 64));
    let components = if regs.extras { 0xaff } else { 7 };
    let xsave = Msg::new().uint(1, components).uints(2, regs.words(3, 64));
    if !regs.extras {
        return legacy.msg(13, xsave);
    }
    let legacy = legacy.uints(11, regs.words(9, 24));
    let xsave = xsave.uints(3, regs.values(4, 8)).uints(4, regs.values(5, 8)).uints(5, regs.values(6, 8));
    let xsave = xsave.uints(6, regs.values(7, 64)).uints(7, regs.values(8, 128)).uints(8, [0x5555_5554, 0]);
    legacy.msg(13, xsave.msg(9, Msg::new().uint(1, 1).uint(2, regs.tls - 0x1000)))
}

/// `user_desc_t`: an entry of the descriptor table. 32-bit code has its thread pointer in the first.
fn descriptor(regs: &Regs, number: u64) -> Msg {
    let used = regs.compat && number == 12;
    let (base, limit) = if used { (regs.tls, 0xf_ffff) } else { (0, 0) };
    let head = Msg::new().seq(1, [number, base, limit]).bool(4, used).bool(5, false).bool(6, false);
    head.bool(7, !used).bool(8, used).bool(9, !used).bool(10, used)
}
