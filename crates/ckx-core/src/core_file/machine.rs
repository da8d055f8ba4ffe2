//! What machines have in common in core files.

use ckx_criu::ByteOrder;
use ckx_criu::typed::messages::CoreEntry;
use ckx_criu::typed::messages::core_entry::March;
use object::elf;

use super::record::Record;
use super::{Refusal, aarch64, arm, i386, ppc64, s390, x86_64};
use crate::model::Process;

/// A note about a thread or a process.
#[derive(Debug)]
pub(super) struct Note {
    pub owner: &'static str,
    pub kind: u32,
    pub bytes: Vec<u8>,
}

/// Owner of notes that all systems have.
pub(super) const CORE: &str = "CORE";
/// Owner of notes that only Linux has.
pub(super) const LINUX: &str = "LINUX";

impl Note {
    pub fn new(owner: &'static str, kind: elf::NoteType, bytes: Vec<u8>) -> Self {
        Self { owner, kind: kind.0, bytes }
    }
}

/// Registers of a thread as notes have them.
#[derive(Debug)]
pub(super) struct ThreadRegisters {
    /// `pr_reg` of `elf_prstatus`.
    pub general: Vec<u8>,
    /// Notes that follow: floating point, vectors, thread pointer.
    pub notes: Vec<Note>,
}

/// How core files of a machine are laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    pub elf: elf::Machine,
    pub flags: u32,
    pub order: ByteOrder,
    /// Whether words have eight bytes.
    pub wide: bool,
    /// Parts of the XSAVE area that threads have; x86 only.
    pub features: u64,
    registers: fn(&CoreEntry, &Self) -> Option<ThreadRegisters>,
}

impl Machine {
    /// The machine of a process.
    pub fn of(process: &Process) -> Result<Self, Refusal> {
        let order = process.order;
        let machine = |elf, wide, registers| Self { elf, flags: 0, order, wide, features: 0, registers };
        Ok(match process.machine.ok_or(Refusal::NoCore)? {
            March::X8664 => {
                let is_compat = process.core.as_ref().is_some_and(i386::is_compat);
                let features = x86_64::features(process);
                let machine = match is_compat {
                    true => machine(elf::EM_386, false, i386::registers),
                    false => machine(elf::EM_X86_64, true, x86_64::registers),
                };
                Self { features, ..machine }
            }
            March::Aarch64 => machine(elf::EM_AARCH64, true, aarch64::registers),
            March::Arm => machine(elf::EM_ARM, false, arm::registers),
            March::S390 => machine(elf::EM_S390, true, s390::registers),
            March::Ppc64 => Self {
                // Little-endian programs use the second version of the ABI.
                flags: if order == ByteOrder::Little { 2 } else { 1 },
                ..machine(elf::EM_PPC64, true, ppc64::registers)
            },
            other => return Err(Refusal::Machine(other.as_str_name().to_ascii_lowercase())),
        })
    }

    /// A structure of this machine.
    pub fn record(&self) -> Record {
        Record::new(self.order, self.wide)
    }

    /// Registers of a thread; `None` if its core has none of this machine.
    pub fn registers(&self, core: &CoreEntry) -> Option<ThreadRegisters> {
        (self.registers)(core, self)
    }
}
