//! Registers of s390x.

use ckx_criu::typed::messages::CoreEntry;
use object::elf;

use super::machine::{CORE, LINUX, Machine, Note, ThreadRegisters};

pub(super) fn registers(core: &CoreEntry, machine: &Machine) -> Option<ThreadRegisters> {
    let info = core.ti_s390.as_ref()?;
    let r = &info.gpregs;
    let general = machine.record().words(&[r.psw_mask, r.psw_addr]).u64s(&r.gprs, 16).u32s(&r.acrs, 16);
    let floating = machine.record().u32(info.fpregs.fpc).u32(0).u64s(&info.fpregs.fprs, 16);
    let mut notes = vec![
        Note::new(CORE, elf::NT_PRFPREG, floating.done()),
        Note::new(LINUX, elf::NT_S390_SYSTEM_CALL, machine.record().u32(r.system_call).done()),
    ];
    let parts = [
        (elf::NT_S390_VXRS_LOW, info.vxrs_low.as_ref().map(|part| &part.regs), 16),
        (elf::NT_S390_VXRS_HIGH, info.vxrs_high.as_ref().map(|part| &part.regs), 32),
        (elf::NT_S390_GS_CB, info.gs_cb.as_ref().map(|part| &part.regs), 4),
        (elf::NT_S390_GS_BC, info.gs_bc.as_ref().map(|part| &part.regs), 4),
        (elf::NT_S390_RI_CB, info.ri_cb.as_ref().map(|part| &part.regs), 8),
    ];
    for (kind, values, count) in parts {
        let Some(values) = values else { continue };
        notes.push(Note::new(LINUX, kind, machine.record().u64s(values, count).done()));
    }
    Some(ThreadRegisters { general: general.word(r.orig_gpr2).done(), notes })
}
