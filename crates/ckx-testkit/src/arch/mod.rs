//! Machines: their numbers, and registers as each stores them.

mod others;
mod x86;

use crate::image::Order;
use crate::wire::Msg;

/// A machine that CRIU runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arch {
    /// x86, 64 bit and its 32-bit processes.
    X86_64,
    /// 32-bit ARM.
    Arm,
    /// 64-bit ARM.
    Aarch64,
    /// 64-bit POWER, little endian.
    Ppc64,
    /// s390x, the only big-endian one.
    S390,
    /// 64-bit MIPS, little endian.
    Mips,
    /// 64-bit LoongArch.
    LoongArch64,
    /// 64-bit RISC-V.
    RiscV64,
}

/// What the registers of a thread hold. All others hold numbers made from `seed`.
#[derive(Debug, Clone, Copy)]
pub struct Regs {
    /// Program counter.
    pub pc: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Thread pointer.
    pub tls: u64,
    /// Address that is cleared when the thread ends.
    pub clear_tid: u64,
    /// Different numbers give different registers.
    pub seed: u64,
    /// Whether the optional parts are there: transactions, guarded stacks, rare vector units.
    pub extras: bool,
    /// Whether it is 32-bit code on a 64-bit machine (x86 only).
    pub compat: bool,
}

impl Regs {
    /// Registers of a thread that stands at `pc`.
    pub fn new(pc: u64, sp: u64, tls: u64) -> Self {
        Self { pc, sp, tls, clear_tid: tls + 0x2d0, seed: 1, extras: false, compat: false }
    }

    /// The number in register `index` of the group `group`.
    fn value(&self, group: u64, index: u64) -> u64 {
        self.seed << 48 | group << 32 | index << 16 | 0xabcd
    }

    /// The numbers in `count` registers of a group.
    fn values(&self, group: u64, count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(move |index| self.value(group, index))
    }

    /// As [`Regs::values`] for registers of 32 bits.
    fn words(&self, group: u64, count: u64) -> impl Iterator<Item = u64> {
        let seed = self.seed & 0xff;
        (0..count).map(move |index| seed << 24 | group << 16 | index)
    }

    /// As [`Regs::values`] with some of them replaced.
    fn with(&self, group: u64, count: u64, fixed: &[(usize, u64)]) -> Vec<u64> {
        let mut values: Vec<_> = self.values(group, count).collect();
        fixed.iter().for_each(|(index, value)| values[*index] = *value);
        values
    }
}

impl Arch {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::X86_64,
        Self::Arm,
        Self::Aarch64,
        Self::Ppc64,
        Self::S390,
        Self::Mips,
        Self::LoongArch64,
        Self::RiscV64,
    ];

    /// `core_entry.mtype`.
    pub fn mtype(self) -> u64 {
        1 + self as u64
    }

    /// Field of `core_entry` that holds the registers.
    pub fn field(self) -> u32 {
        [2, 6, 8, 9, 10, 11, 12, 13][self as usize]
    }

    /// Usual byte order.
    pub fn order(self) -> Order {
        if self == Self::S390 { Order::Big } else { Order::Little }
    }

    /// Usual page size.
    pub fn page_size(self) -> u64 {
        match self {
            Self::Ppc64 => 65536,
            Self::LoongArch64 => 16384,
            _ => 4096,
        }
    }

    /// `MAP_ANONYMOUS`.
    pub fn map_anonymous(self) -> u64 {
        if self == Self::Mips { 0x800 } else { 0x20 }
    }

    /// `MAP_GROWSDOWN`.
    pub fn map_growsdown(self) -> u64 {
        if self == Self::Mips { 0x1000 } else { 0x100 }
    }

    /// `AT_PLATFORM` of the kernel, a text.
    pub fn platform(self) -> &'static str {
        ["x86_64", "v7l", "aarch64", "power9", "z14", "mips64", "loongarch", "riscv64"][self as usize]
    }

    /// The machine part of `core_entry` with all registers.
    pub fn thread_info(self, regs: &Regs) -> Msg {
        match self {
            Self::X86_64 => x86::thread_info(regs),
            Self::Arm => others::arm(regs),
            Self::Aarch64 => others::aarch64(regs),
            Self::Ppc64 => others::ppc64(regs),
            Self::S390 => others::s390(regs),
            Self::Mips => others::mips(regs),
            Self::LoongArch64 => others::loongarch64(regs),
            Self::RiscV64 => others::riscv64(regs),
        }
    }
}
