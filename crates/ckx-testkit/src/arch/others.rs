//! Registers of all machines but x86.

use super::Regs;
use crate::wire::Msg;

pub(super) fn arm(regs: &Regs) -> Msg {
    let mut general: Vec<u64> = regs.words(0, 18).collect();
    general[13] = regs.sp;
    general[15..].copy_from_slice(&[regs.pc, 0x6000_0010, 0xffff_ffff]);
    let vfp = Msg::new().uints(1, regs.values(1, 32)).seq(2, [0x10, 0x4000_0000, 0, 0]);
    Msg::new().uint(1, regs.clear_tid).uint(2, regs.tls).msg(3, Msg::new().seq(1, general)).msg(4, vfp)
}

pub(super) fn aarch64(regs: &Regs) -> Msg {
    let general = Msg::new().uints(1, regs.values(0, 31)).seq(2, [regs.sp, regs.pc, 0x6000_0000]);
    let vector = Msg::new().uints(1, regs.values(1, 64)).seq(2, [0x10, 0]);
    let info = Msg::new().uint(1, regs.clear_tid).uint(2, regs.tls).msg(3, general).msg(4, vector);
    if !regs.extras {
        return info;
    }
    let address = Msg::new().seq(1, regs.values(2, 8)).uint(9, 0xf);
    let pac = Msg::new().msg(6, address).msg(7, Msg::new().seq(1, regs.values(3, 2)));
    info.msg(5, pac).msg(6, Msg::new().uint(1, regs.tls - 0x1000).uint(2, 1))
}

pub(super) fn ppc64(regs: &Regs) -> Msg {
    let [general, float, vector, vsx] = ppc64_set(regs, 0);
    let info = Msg::new().uint(1, regs.clear_tid).msg(2, general).msg(3, float).msg(4, vector).msg(5, vsx);
    if !regs.extras {
        return info;
    }
    // The state before the transaction.
    let [general, float, vector, vsx] = ppc64_set(regs, 8);
    info.msg(6, Msg::new().msg(1, general).msg(2, float).msg(3, vector).msg(4, vsx))
}

fn ppc64_set(regs: &Regs, group: u64) -> [Msg; 4] {
    let general = regs.with(group, 32, &[(1, regs.sp), (13, regs.tls)]);
    let msr = 0x8000_0000_0280_f033;
    let general =
        Msg::new().uints(1, general).seq(2, [regs.pc, msr, 0, 0, regs.pc + 4, 0, 0x2400_0422, 0xc00]);
    let general =
        if regs.extras { general.seq(10, [0x8000_0000_0400_0001, regs.pc, regs.pc]) } else { general };
    let float = Msg::new().uints(1, regs.values(group + 1, 32)).uint(1, 0xfff8_0000_8202_4000);
    let vector = Msg::new().uints(1, regs.values(group + 2, 66)).uint(2, 0xffff_ffff);
    [general, float, vector, Msg::new().uints(1, regs.values(group + 3, 32))]
}

pub(super) fn s390(regs: &Regs) -> Msg {
    let access = [regs.tls >> 32, regs.tls & 0xffff_ffff].into_iter().chain([0; 14]);
    let general = Msg::new().uint(1, 0x0705_0001_8000_0000).uint(2, regs.pc);
    let general = general.uints(3, regs.with(0, 16, &[(15, regs.sp)])).uints(4, access).seq(5, [0, 0]);
    let float = Msg::new().uint(1, 0x8_0000).uints(2, regs.values(1, 16));
    let info = Msg::new().uint(1, regs.clear_tid).msg(2, general).msg(3, float);
    let info =
        info.msg(4, Msg::new().uints(1, regs.values(2, 16))).msg(5, Msg::new().uints(1, regs.values(3, 32)));
    if !regs.extras {
        return info;
    }
    let block = |group| Msg::new().uints(1, regs.values(group, 4));
    info.msg(6, block(4)).msg(7, block(5)).msg(8, Msg::new().uint(1, 1).uints(2, regs.values(6, 8)))
}

pub(super) fn mips(regs: &Regs) -> Msg {
    let general = regs.with(0, 38, &[(0, 0), (29, regs.sp), (34, regs.pc), (36, 0x400_84f3), (37, 0x20)]);
    let float = Msg::new().seq(1, regs.values(1, 34)).seq(35, [0x1000, 0x73_0000]);
    Msg::new().uint(1, regs.clear_tid).uint(2, regs.tls).msg(3, Msg::new().seq(1, general)).msg(4, float)
}

pub(super) fn loongarch64(regs: &Regs) -> Msg {
    let general = regs.with(0, 32, &[(0, 0), (2, regs.tls), (3, regs.sp)]);
    let general = Msg::new().uints(1, general).uint(2, regs.pc);
    let float = Msg::new().uints(1, regs.values(1, 32)).seq(2, [0x0001_0000_0001, 0x10]);
    Msg::new().uint(1, regs.clear_tid).uint(2, regs.tls).msg(3, general).msg(4, float)
}

pub(super) fn riscv64(regs: &Regs) -> Msg {
    let general = regs.with(0, 32, &[(0, regs.pc), (2, regs.sp), (4, regs.tls)]);
    let float = Msg::new().uints(1, regs.values(1, 32)).uint(2, 0);
    Msg::new().uint(1, regs.clear_tid).uint(2, regs.tls).msg(3, Msg::new().seq(1, general)).msg(4, float)
}
