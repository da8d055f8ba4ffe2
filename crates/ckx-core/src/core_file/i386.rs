//! Registers of 32-bit code on 64-bit x86.

use ckx_criu::typed::messages::{CoreEntry, ThreadInfoX86, UserDescT, UserX86FpregsEntry};
use object::elf;

use super::machine::{CORE, LINUX, Machine, Note, ThreadRegisters};
use super::x86_64::{extended, legacy_area};

/// Whether a thread ran 32-bit code.
pub(super) fn is_compat(core: &CoreEntry) -> bool {
    core.thread_info.as_ref().is_some_and(|info| info.gpregs.mode == Some(2))
}

pub(super) fn registers(core: &CoreEntry, machine: &Machine) -> Option<ThreadRegisters> {
    let info = core.thread_info.as_ref()?;
    let r = &info.gpregs;
    let general = machine.record().words(&[
        r.bx, r.cx, r.dx, r.si, r.di, r.bp, r.ax, r.ds, r.es, r.fs, r.gs, r.orig_ax, r.ip, r.cs, r.flags,
        r.sp, r.ss,
    ]);
    let mut notes = vec![
        Note::new(CORE, elf::NT_PRFPREG, x87(info, machine)),
        Note::new(LINUX, elf::NT_PRXFPREG, legacy_area(&info.fpregs, machine).done()),
    ];
    notes.extend(extended(&info.fpregs, machine));
    let segments = info.tls.iter().take(3).fold(machine.record(), |record, segment| {
        record.u32(segment.entry_number).u32(segment.base_addr).u32(segment.limit).u32(bits(segment))
    });
    if segments.len() > 0 {
        notes.push(Note::new(LINUX, elf::NT_386_TLS, segments.done()));
    }
    Some(ThreadRegisters { general: general.done(), notes })
}

/// `user_i387_ia32_struct`: the state as FSAVE has it.
fn x87(info: &ThreadInfoX86, machine: &Machine) -> Vec<u8> {
    let fp = &info.fpregs;
    let low = |address: u64| (address & u64::from(u32::MAX)) as u32;
    let segment = |register: u64| (register & 0xffff) as u32;
    let high = 0xffff_0000;
    let record = machine.record().u32(fp.cwd | high).u32(fp.swd | high).u32(tags(fp) | high);
    let record = record.u32(low(fp.rip)).u32(fp.fop << 16 | segment(info.gpregs.cs));
    let mut record = record.u32(low(fp.rdp)).u32(segment(info.gpregs.ds) | high);
    for register in stack(fp) {
        record = record.u32(register[0]).u32(register[1]).u16(register[2]);
    }
    record.done()
}

/// The eight registers of the stack, the top one first.
fn stack(fp: &UserX86FpregsEntry) -> [[u32; 4]; 8] {
    let mut registers = [[0; 4]; 8];
    for (register, words) in registers.iter_mut().zip(fp.st_space.as_chunks::<4>().0) {
        *register = *words;
    }
    registers
}

/// The tag word with two bits for each register: images have the short form of one.
fn tags(fp: &UserX86FpregsEntry) -> u32 {
    let top = fp.swd >> 11 & 7;
    let stack = stack(fp);
    (0..8_u32).fold(0, |tags, physical| {
        let [low, high, exponent, _] =
            stack.get(((physical + 8 - top) & 7) as usize).copied().unwrap_or_default();
        let tag = match exponent & 0x7fff {
            _ if fp.twd >> physical & 1 == 0 => 3,
            0 if low == 0 && high == 0 => 1,
            0 | 0x7fff => 2,
            _ if high >> 31 == 0 => 2,
            _ => 0,
        };
        tags | tag << (2 * physical)
    })
}

/// The bit fields of `user_desc`.
fn bits(segment: &UserDescT) -> u32 {
    let bits = [
        segment.seg_32bit,
        segment.contents_l,
        segment.contents_h,
        segment.read_exec_only,
        segment.limit_in_pages,
        segment.seg_not_present,
        segment.usable,
    ];
    bits.iter().rev().fold(0, |all, bit| all << 1 | u32::from(*bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_what_registers_hold() {
        let mut fp = UserX86FpregsEntry { swd: 6 << 11, twd: 0b1110_0000, ..Default::default() };
        // st0 is physical 6: a number; st1 is 7: zero; st7 is 5: not a number.
        fp.st_space = vec![0; 32];
        fp.st_space[1] = 0x8000_0000;
        fp.st_space[2] = 0x3fff;
        fp.st_space[30] = 0x7fff;
        assert_eq!(tags(&fp), 0b01_00_10_11_11_11_11_11);
    }
}
