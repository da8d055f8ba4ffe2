//! Registers of 32-bit ARM.

use ckx_criu::typed::messages::CoreEntry;
use object::elf;

use super::machine::{LINUX, Machine, Note, ThreadRegisters};

pub(super) fn registers(core: &CoreEntry, machine: &Machine) -> Option<ThreadRegisters> {
    let info = core.ti_arm.as_ref()?;
    let r = &info.gpregs;
    let general = machine.record().u32s(
        &[
            r.r0, r.r1, r.r2, r.r3, r.r4, r.r5, r.r6, r.r7, r.r8, r.r9, r.r10, r.fp, r.ip, r.sp, r.lr, r.pc,
            r.cpsr, r.orig_r0,
        ],
        18,
    );
    let vectors = machine.record().u64s(&info.fpstate.vfp_regs, 32).u32(info.fpstate.fpscr);
    let notes = vec![Note::new(LINUX, elf::NT_ARM_VFP, vectors.done())];
    Some(ThreadRegisters { general: general.done(), notes })
}
