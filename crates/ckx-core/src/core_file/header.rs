//! The headers of a core file.

use ckx_criu::ByteOrder;
use object::write::elf::{FileHeader, ProgramHeader, Writer};
use object::{Endianness, elf};

use super::machine::Machine;
use super::segments::Segment;

/// Where the headers with so many segments and notes end, in bytes; `None` if ELF does not allow so many.
pub(super) fn end(machine: &Machine, segments: usize, notes: usize) -> Option<u64> {
    let mut none = Vec::new();
    let mut writer = Writer::new(endianness(machine), machine.wide, &mut none);
    let places = reserve(&mut writer, u32::try_from(segments).ok()?, notes as u64)?;
    Some(places.end)
}

/// Where the parts of the headers lie.
struct Places {
    notes: u64,
    end: u64,
}

/// File header, program headers, notes; of very many segments the number is in a section.
fn reserve(writer: &mut Writer<'_>, segments: u32, notes: u64) -> Option<Places> {
    let count = segments.checked_add(1)?;
    writer.reserve_file_header();
    writer.reserve_program_headers(count);
    if count >= u32::from(elf::PN_XNUM) {
        writer.reserve_null_section_index();
        writer.reserve_section_headers();
    }
    let at = writer.reserve(notes, 4);
    Some(Places { notes: at, end: writer.reserved_len() })
}

/// The headers and the notes.
pub(super) fn write(
    machine: &Machine,
    segments: &[Segment],
    notes: &[u8],
    page_size: u64,
) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut writer = Writer::new(endianness(machine), machine.wide, &mut out);
    let places = reserve(&mut writer, u32::try_from(segments.len()).ok()?, notes.len() as u64)?;
    writer
        .write_file_header(&FileHeader {
            os_abi: elf::ELFOSABI_NONE,
            abi_version: 0,
            e_type: elf::ET_CORE,
            e_machine: machine.elf,
            e_entry: 0,
            e_flags: elf::FileFlags(machine.flags),
        })
        .ok()?;
    writer.write_align_program_headers();
    writer.write_program_header(&ProgramHeader {
        p_type: elf::PT_NOTE,
        p_flags: elf::ProgramFlags(0),
        p_offset: places.notes,
        p_vaddr: 0,
        p_paddr: 0,
        p_filesz: notes.len() as u64,
        p_memsz: 0,
        p_align: 4,
    });
    for segment in segments {
        writer.write_program_header(&ProgramHeader {
            p_type: elf::PT_LOAD,
            p_flags: elf::ProgramFlags(segment.flags),
            p_offset: segment.offset_bytes,
            p_vaddr: segment.start,
            p_paddr: 0,
            p_filesz: segment.stored_bytes,
            p_memsz: if segment.is_known { segment.end - segment.start } else { 0 },
            p_align: page_size,
        });
    }
    writer.write_null_section_header();
    writer.write_align(4);
    writer.write(notes);
    Some(out)
}

fn endianness(machine: &Machine) -> Endianness {
    match machine.order {
        ByteOrder::Little => Endianness::Little,
        ByteOrder::Big => Endianness::Big,
    }
}
