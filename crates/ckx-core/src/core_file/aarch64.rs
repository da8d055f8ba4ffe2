//! Registers of 64-bit ARM.

use ckx_criu::typed::messages::{CoreEntry, PacKeys};
use object::elf;

use super::machine::{CORE, LINUX, Machine, Note, ThreadRegisters};

/// Keys that sign addresses.
const NT_ARM_PACA_KEYS: elf::NoteType = elf::NoteType(0x407);
/// The key that signs data.
const NT_ARM_PACG_KEYS: elf::NoteType = elf::NoteType(0x408);
/// Which keys are in use.
const NT_ARM_PAC_ENABLED_KEYS: elf::NoteType = elf::NoteType(0x40a);

pub(super) fn registers(core: &CoreEntry, machine: &Machine) -> Option<ThreadRegisters> {
    let info = core.ti_aarch64.as_ref()?;
    let r = &info.gpregs;
    let general = machine.record().u64s(&r.regs, 31).words(&[r.sp, r.pc, r.pstate]);
    let vectors = machine.record().u64s(&info.fpsimd.vregs, 64).u32(info.fpsimd.fpsr).u32(info.fpsimd.fpcr);
    let mut notes = vec![
        Note::new(CORE, elf::NT_PRFPREG, vectors.up_to(528).done()),
        Note::new(LINUX, elf::NT_ARM_TLS, machine.record().u64(info.tls).done()),
    ];
    notes.extend(info.pac_keys.iter().flat_map(|keys| pointer_keys(keys, machine)));
    Some(ThreadRegisters { general: general.done(), notes })
}

/// Keys of pointer authentication.
fn pointer_keys(keys: &PacKeys, machine: &Machine) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(k) = &keys.pac_address_keys {
        let halves = [
            k.apiakey_lo,
            k.apiakey_hi,
            k.apibkey_lo,
            k.apibkey_hi,
            k.apdakey_lo,
            k.apdakey_hi,
            k.apdbkey_lo,
            k.apdbkey_hi,
        ];
        notes.push(Note::new(LINUX, NT_ARM_PACA_KEYS, machine.record().words(&halves).done()));
        let enabled = machine.record().u64(k.pac_enabled_key).done();
        notes.push(Note::new(LINUX, NT_ARM_PAC_ENABLED_KEYS, enabled));
    }
    if let Some(k) = &keys.pac_generic_keys {
        let halves = [k.apgakey_lo, k.apgakey_hi];
        notes.push(Note::new(LINUX, NT_ARM_PACG_KEYS, machine.record().words(&halves).done()));
    }
    notes
}
