//! Registers of 64-bit POWER.

use ckx_criu::typed::messages::{
    CoreEntry, UserPpc64FpstateEntry, UserPpc64RegsEntry, UserPpc64VrstateEntry, UserPpc64VsxstateEntry,
};
use object::elf;

use super::machine::{CORE, LINUX, Machine, Note, ThreadRegisters};

/// The notes of one set of registers.
struct Kinds {
    floating: (&'static str, elf::NoteType),
    vectors: elf::NoteType,
    halves: elf::NoteType,
}

const CURRENT: Kinds =
    Kinds { floating: (CORE, elf::NT_PRFPREG), vectors: elf::NT_PPC_VMX, halves: elf::NT_PPC_VSX };

/// What the registers were when a transaction began.
const CHECKPOINTED: Kinds = Kinds {
    floating: (LINUX, elf::NT_PPC_TM_CFPR),
    vectors: elf::NT_PPC_TM_CVMX,
    halves: elf::NT_PPC_TM_CVSX,
};

pub(super) fn registers(core: &CoreEntry, machine: &Machine) -> Option<ThreadRegisters> {
    let info = core.ti_ppc64.as_ref()?;
    let mut notes =
        CURRENT.notes(machine, info.fpstate.as_ref(), info.vrstate.as_ref(), info.vsxstate.as_ref());
    if let Some(tm) = &info.tmstate {
        notes.push(Note::new(LINUX, elf::NT_PPC_TM_CGPR, general(&tm.gpregs, machine)));
        notes.extend(CHECKPOINTED.notes(
            machine,
            tm.fpstate.as_ref(),
            tm.vrstate.as_ref(),
            tm.vsxstate.as_ref(),
        ));
        if let (Some(tfhar), Some(texasr), Some(tfiar)) =
            (info.gpregs.tfhar, info.gpregs.texasr, info.gpregs.tfiar)
        {
            let special = machine.record().words(&[tfhar, texasr, tfiar]).done();
            notes.push(Note::new(LINUX, elf::NT_PPC_TM_SPR, special));
        }
    }
    Some(ThreadRegisters { general: general(&info.gpregs, machine), notes })
}

/// `elf_gregset_t`: 48 words, of which `pt_regs` has 44. Those that images do not keep are zero.
fn general(r: &UserPpc64RegsEntry, machine: &Machine) -> Vec<u8> {
    let record = machine.record().u64s(&r.gpr, 32);
    let soft_enable = 0;
    let record = record.words(&[r.nip, r.msr, r.orig_gpr3, r.ctr, r.link, r.xer, r.ccr, soft_enable, r.trap]);
    record.up_to(48 * 8).done()
}

impl Kinds {
    fn notes(
        &self,
        machine: &Machine,
        floating: Option<&UserPpc64FpstateEntry>,
        vectors: Option<&UserPpc64VrstateEntry>,
        halves: Option<&UserPpc64VsxstateEntry>,
    ) -> Vec<Note> {
        let mut notes = Vec::new();
        if let Some(state) = floating {
            let (owner, kind) = self.floating;
            notes.push(Note::new(owner, kind, machine.record().u64s(&state.fpregs, 33).done()));
        }
        if let Some(state) = vectors {
            let record = machine.record().u64s(&state.vrregs, 66).u32(state.vrsave).up_to(34 * 16);
            notes.push(Note::new(LINUX, self.vectors, record.done()));
        }
        if let Some(state) = halves {
            notes.push(Note::new(LINUX, self.halves, machine.record().u64s(&state.vsxregs, 32).done()));
        }
        notes
    }
}
