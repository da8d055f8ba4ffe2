//! General registers of all machines in one form.

use ckx_criu::typed::messages::{
    CoreEntry, ThreadInfoAarch64, ThreadInfoArm, ThreadInfoLoongarch64, ThreadInfoMips, ThreadInfoPpc64,
    ThreadInfoRiscv64, ThreadInfoS390, ThreadInfoX86,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::Address;

/// A register and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Register {
    /// Its name, as in CRIU's images; numbered ones have the machine's letter before the number.
    pub name: String,
    /// Its value.
    pub value: Address,
}

/// Registers of a thread.
#[derive(Debug, Clone)]
pub struct Registers {
    /// Machine, as `uname -m` has it; `i386` for 32-bit code on x86_64.
    pub machine: &'static str,
    /// Instruction pointer.
    pub ip: Option<u64>,
    /// Stack pointer.
    pub sp: Option<u64>,
    /// Thread pointer.
    pub tp: Option<u64>,
    /// Address of the word that is cleared when the thread ends.
    pub clear_tid_addr: u64,
    /// General registers.
    pub general: Vec<Register>,
}

/// Registers that a machine cannot have more of: images may claim any number.
const MAX_NUMBERED: usize = 32;

impl Registers {
    /// The registers in a core; `None` if it has none, as that of a zombie.
    pub fn of(core: &CoreEntry) -> Option<Self> {
        None.or_else(|| core.thread_info.as_ref().map(x86))
            .or_else(|| core.ti_aarch64.as_ref().map(aarch64))
            .or_else(|| core.ti_arm.as_ref().map(arm))
            .or_else(|| core.ti_ppc64.as_ref().map(ppc64))
            .or_else(|| core.ti_s390.as_ref().map(s390))
            .or_else(|| core.ti_mips.as_ref().map(mips))
            .or_else(|| core.ti_loongarch64.as_ref().map(loongarch64))
            .or_else(|| core.ti_riscv64.as_ref().map(riscv64))
    }
}

fn named<T: Into<u64> + Copy>(registers: &[(&str, T)]) -> Vec<Register> {
    let register =
        |(name, value): &(&str, T)| Register { name: (*name).to_owned(), value: Address((*value).into()) };
    registers.iter().map(register).collect()
}

/// Registers that have a letter and a number.
fn numbered<T: Into<u64> + Copy>(letter: &str, values: &[T]) -> Vec<Register> {
    let register = |(number, value): (usize, &T)| Register {
        name: format!("{letter}{number}"),
        value: Address((*value).into()),
    };
    values.iter().take(MAX_NUMBERED).enumerate().map(register).collect()
}

/// Makes pairs of names and values of fields.
macro_rules! fields {
    ($of:expr, $($field:ident)*) => { named(&[$((stringify!($field), $of.$field)),*]) };
}

fn x86(info: &ThreadInfoX86) -> Registers {
    let regs = &info.gpregs;
    let compat = regs.mode == Some(2);
    let general = if compat {
        fields!(regs, bp bx ax cx dx si di orig_ax ip cs flags sp ss ds es fs gs)
    } else {
        fields!(regs, r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss
            fs_base gs_base ds es fs gs)
    };
    Registers {
        machine: if compat { "i386" } else { "x86_64" },
        ip: Some(regs.ip),
        sp: Some(regs.sp),
        // Of 32-bit code it is in a segment.
        tp: if compat { compat_tls(info) } else { Some(regs.fs_base) },
        clear_tid_addr: info.clear_tid_addr,
        general,
    }
}

/// Base of the segment that `gs` selects.
fn compat_tls(info: &ThreadInfoX86) -> Option<u64> {
    let entry = u32::try_from(info.gpregs.gs >> 3).ok()?;
    let segment =
        info.tls.iter().find(|segment| segment.entry_number == entry && !segment.seg_not_present)?;
    Some(segment.base_addr.into())
}

fn aarch64(info: &ThreadInfoAarch64) -> Registers {
    let regs = &info.gpregs;
    let mut general = numbered("x", &regs.regs);
    general.extend(fields!(regs, sp pc pstate));
    Registers {
        machine: "aarch64",
        ip: Some(regs.pc),
        sp: Some(regs.sp),
        tp: Some(info.tls),
        clear_tid_addr: info.clear_tid_addr,
        general,
    }
}

fn arm(info: &ThreadInfoArm) -> Registers {
    let regs = &info.gpregs;
    Registers {
        machine: "arm",
        ip: Some(regs.pc.into()),
        sp: Some(regs.sp.into()),
        tp: Some(info.tls.into()),
        clear_tid_addr: info.clear_tid_addr,
        general: fields!(regs, r0 r1 r2 r3 r4 r5 r6 r7 r8 r9 r10 fp ip sp lr pc cpsr orig_r0),
    }
}

fn ppc64(info: &ThreadInfoPpc64) -> Registers {
    let regs = &info.gpregs;
    let mut general = numbered("gpr", &regs.gpr);
    general.extend(fields!(regs, nip msr orig_gpr3 ctr link xer ccr trap));
    Registers {
        machine: "ppc64",
        ip: Some(regs.nip),
        sp: regs.gpr.get(1).copied(),
        tp: regs.gpr.get(13).copied(),
        clear_tid_addr: info.clear_tid_addr,
        general,
    }
}

fn s390(info: &ThreadInfoS390) -> Registers {
    let regs = &info.gpregs;
    let mut general = fields!(regs, psw_mask psw_addr);
    general.extend(numbered("gpr", &regs.gprs));
    general.extend(numbered("acr", &regs.acrs));
    general.extend(named(&[("orig_gpr2", regs.orig_gpr2), ("system_call", regs.system_call.into())]));
    let tp = match regs.acrs.as_slice() {
        [high, low, ..] => Some(u64::from(*high) << 32 | u64::from(*low)),
        _ => None,
    };
    Registers {
        machine: "s390x",
        ip: Some(regs.psw_addr),
        sp: regs.gprs.get(15).copied(),
        tp,
        clear_tid_addr: info.clear_tid_addr,
        general,
    }
}

fn mips(info: &ThreadInfoMips) -> Registers {
    let regs = &info.gpregs;
    Registers {
        machine: "mips64",
        ip: Some(regs.cp0_epc),
        sp: Some(regs.r29),
        tp: Some(info.tls),
        clear_tid_addr: info.clear_tid_addr,
        general: fields!(regs, r0 r1 r2 r3 r4 r5 r6 r7 r8 r9 r10 r11 r12 r13 r14 r15 r16 r17 r18 r19 r20
            r21 r22 r23 r24 r25 r26 r27 r28 r29 r30 r31 lo hi cp0_epc cp0_badvaddr cp0_status cp0_cause),
    }
}

fn loongarch64(info: &ThreadInfoLoongarch64) -> Registers {
    let regs = &info.gpregs;
    let mut general = numbered("r", &regs.regs);
    general.extend(fields!(regs, pc));
    Registers {
        machine: "loongarch64",
        ip: Some(regs.pc),
        sp: regs.regs.get(3).copied(),
        tp: Some(info.tls),
        clear_tid_addr: info.clear_tid_addr,
        general,
    }
}

fn riscv64(info: &ThreadInfoRiscv64) -> Registers {
    let regs = &info.gpregs;
    Registers {
        machine: "riscv64",
        ip: Some(regs.pc),
        sp: Some(regs.sp),
        tp: Some(regs.tp),
        clear_tid_addr: info.clear_tid_addr,
        general: fields!(regs, pc ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9
            s10 s11 t3 t4 t5 t6),
    }
}
