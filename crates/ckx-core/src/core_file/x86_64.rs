//! Registers of 64-bit x86.

use ckx_criu::typed::messages::{CoreEntry, UserX86FpregsEntry, UserX86XsaveEntry};
use object::elf;

use super::machine::{CORE, LINUX, Machine, Note, ThreadRegisters};
use super::record::Record;
use crate::kernel::xsave;
use crate::model::Process;

pub(super) fn registers(core: &CoreEntry, machine: &Machine) -> Option<ThreadRegisters> {
    let info = core.thread_info.as_ref()?;
    let r = &info.gpregs;
    let general = machine.record().words(&[
        r.r15, r.r14, r.r13, r.r12, r.bp, r.bx, r.r11, r.r10, r.r9, r.r8, r.ax, r.cx, r.dx, r.si, r.di,
        r.orig_ax, r.ip, r.cs, r.flags, r.sp, r.ss, r.fs_base, r.gs_base, r.ds, r.es, r.fs, r.gs,
    ]);
    let mut notes = vec![Note::new(CORE, elf::NT_PRFPREG, legacy_area(&info.fpregs, machine).done())];
    notes.extend(extended(&info.fpregs, machine));
    Some(ThreadRegisters { general: general.done(), notes })
}

/// Parts of the XSAVE area that any thread has. They must be the same for all threads of a core file:
/// debuggers take the registers that there are from the first.
pub(super) fn features(process: &Process) -> u64 {
    let cores = process.threads.iter().filter_map(|thread| process.core_of(thread));
    let areas = cores.filter_map(|core| core.thread_info.as_ref()?.fpregs.xsave.as_ref());
    areas.map(parts).fold(0, |all, parts| all | parts)
}

fn parts(area: &UserX86XsaveEntry) -> u64 {
    let mut parts = xsave::LEGACY;
    if !area.opmask_reg.is_empty() || !area.zmm_upper.is_empty() || !area.hi16_zmm.is_empty() {
        parts |= xsave::AVX512 | xsave::YMM;
    }
    if !area.ymmh_space.is_empty() {
        parts |= xsave::YMM;
    }
    if !area.bndreg_state.is_empty() || !area.bndcsr_state.is_empty() {
        parts |= xsave::MPX;
    }
    if !area.pkru.is_empty() {
        parts |= xsave::PKRU;
    }
    parts
}

/// The 512 bytes of FXSAVE.
pub(super) fn legacy_area(fp: &UserX86FpregsEntry, machine: &Machine) -> Record {
    let area = machine.record().u16(fp.cwd).u16(fp.swd).u16(fp.twd).u16(fp.fop).u64(fp.rip).u64(fp.rdp);
    let area = area.u32(fp.mxcsr).u32(fp.mxcsr_mask).u32s(&fp.st_space, 32).u32s(&fp.xmm_space, 64);
    area.up_to(xsave::LEGACY_SIZE)
}

/// The whole XSAVE area, and what is saved beside it.
pub(super) fn extended(fp: &UserX86FpregsEntry, machine: &Machine) -> Vec<Note> {
    let features = machine.features;
    if features == 0 {
        return Vec::new();
    }
    let none = UserX86XsaveEntry::default();
    // A thread without an area has its legacy part alone in use.
    let (area, used) = fp.xsave.as_ref().map_or((&none, xsave::LEGACY), |area| (area, area.xstate_bv));
    let mut bytes = legacy_area(fp, machine).done();
    bytes.truncate(xsave::FEATURES_AT);
    let mut record = machine.record().raw(&bytes).u64(features).up_to(xsave::LEGACY_SIZE);
    record = record.u64(used & features).up_to(xsave::HEADER_END);
    let size = xsave::area_size(features);
    if features & xsave::YMM != 0 {
        record = record.up_to(xsave::YMM_AT).u32s(&area.ymmh_space, 64);
    }
    if features & xsave::MPX != 0 {
        record = record.up_to(xsave::BNDREGS_AT).u64s(&area.bndreg_state, 8);
        record = record.up_to(xsave::BNDCSR_AT).u64s(&area.bndcsr_state, 8);
    }
    if features & xsave::AVX512 != 0 {
        record = record.up_to(xsave::OPMASK_AT).u64s(&area.opmask_reg, 8);
        record = record.up_to(xsave::ZMM_UPPER_AT).u64s(&area.zmm_upper, 64);
        record = record.up_to(xsave::HI16_ZMM_AT).u64s(&area.hi16_zmm, 128);
    }
    if features & xsave::PKRU != 0 {
        record = record.up_to(xsave::PKRU_AT).u32s(&area.pkru, 2);
    }
    let mut notes = vec![Note::new(LINUX, elf::NT_X86_XSTATE, record.up_to(size).done())];
    if let Some(cet) = area.cet.as_ref().filter(|cet| cet.ssp != 0) {
        notes.push(Note::new(LINUX, NT_X86_SHSTK, machine.record().u64(cet.ssp).done()));
    }
    notes
}

/// The shadow stack pointer.
const NT_X86_SHSTK: elf::NoteType = elf::NoteType(0x204);
