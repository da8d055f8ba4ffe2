//! `mems`: mappings of each process.

use std::collections::HashMap;
use std::io::{self, Write};

use ckx_criu::typed::messages::core_entry::March as Machine;
use ckx_criu::typed::messages::{MmEntry, VmaEntry};
use serde::{Serialize, Serializer};

use crate::explore::files::Files;
use crate::explore::mm::{self, status};
use crate::explore::tasks::{Process, Task};
use crate::load::Loader;
use crate::{Address, ImageSet, Issue, Name};

/// Mappings, by process.
#[derive(Debug, Serialize)]
pub struct MemsReport {
    /// Processes, in the order of the tree's image.
    pub processes: Vec<ProcessMems>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Mappings of one process.
#[derive(Debug, Serialize)]
pub struct ProcessMems {
    /// The process.
    #[serde(flatten)]
    pub process: Process,
    /// The program it runs.
    pub exe: Option<Name>,
    /// Its mappings, in the order of the image: by address, and guard areas last.
    pub mappings: Vec<Mapping>,
}

/// One mapping.
#[derive(Debug, Serialize)]
pub struct Mapping {
    /// First address.
    pub start: Address,
    /// Address behind the last.
    pub end: Address,
    /// `rwx`.
    #[serde(rename = "protection")]
    pub prot: Protection,
    /// What kind of area it is.
    pub area: Area,
    /// Path of the file, or crit's word for the area.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Where in the file it begins, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_offset_bytes: Option<u64>,
    /// Whether writes go to the file, or to other processes.
    pub shared: bool,
    /// Whether the restored process gets it from the images; others come from the kernel.
    pub regular: bool,
}

/// Kinds of areas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// A mapped file.
    File,
    /// A memory file, or shared memory that CRIU stores as one.
    Memfd,
    /// System V shared memory.
    SysvShm,
    /// Shared memory without a file.
    SharedAnonymous,
    /// The ring of a packet socket.
    PacketRing,
    /// The stack of the leading thread.
    Stack,
    /// The page of old system calls.
    Vsyscall,
    /// The kernel's code in the process.
    Vdso,
    /// The kernel's data in the process.
    Vvar,
    /// The heap.
    Heap,
    /// The ring of asynchronous input and output.
    AioRing,
    /// A shadow stack.
    ShadowStack,
    /// Guard pages inside another area.
    Guard,
    /// The kernel's page for user probes.
    Uprobes,
    /// Private memory.
    Anonymous,
}

/// What may be done with an area: bits of `PROT_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection(pub u32);

impl Protection {
    /// As three letters, `-` for what may not be done.
    pub fn text(self) -> [char; 3] {
        let letter = |bit, letter| if self.0 & bit == 0 { '-' } else { letter };
        [letter(1, 'r'), letter(2, 'w'), letter(4, 'x')]
    }
}

impl Serialize for Protection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.text().iter().collect::<String>())
    }
}

const MAP_SHARED: u32 = 1;

/// The flag of areas that grow downwards: what the main stack is known by.
fn map_growsdown(task: &Task) -> u32 {
    match task.machine {
        Some(Machine::Mips) => 0x1000,
        _ => 0x100,
    }
}

/// Reads the mappings of all processes.
pub fn collect(images: &dyn ImageSet) -> MemsReport {
    let mut loader = Loader::new(images);
    let tasks = Task::read_all(&mut loader);
    let mut collector = Collector { files: Files::read(&mut loader), numbers: HashMap::new() };
    let processes = tasks.iter().map(|task| collector.process(&mut loader, task)).collect();
    collector.files.tell_unknown(&mut loader);
    MemsReport { processes, issues: loader.into_issues() }
}

struct Collector {
    files: Files,
    /// crit's numbers of shared objects: one count for all kinds and processes.
    numbers: HashMap<u64, usize>,
}

impl Collector {
    fn process(&mut self, loader: &mut Loader<'_>, task: &Task) -> ProcessMems {
        let mut found = ProcessMems { process: task.into(), exe: None, mappings: Vec::new() };
        if !task.is_zombie()
            && let Some(MmEntry { exe_file_id, vmas, .. }) = mm::read(loader, &mut found.process)
        {
            found.exe = Some(self.files.mapped(exe_file_id));
            let growsdown = map_growsdown(task);
            found.mappings = vmas.iter().map(|vma| self.mapping(vma, growsdown)).collect();
        }
        found
    }

    fn mapping(&mut self, vma: &VmaEntry, growsdown: u32) -> Mapping {
        let area = area(vma, growsdown, &self.files);
        let name = match area {
            Area::File | Area::Memfd => Some(mapped_name(&mut self.files, vma)),
            Area::SysvShm => Some(self.numbered("ips", vma.shmid)),
            Area::SharedAnonymous => Some(self.numbered("shmem", vma.shmid)),
            Area::PacketRing => Some(self.numbered("packet", vma.shmid)),
            Area::Stack if vma.status & status::STACK == 0 => Some(Name::from("[stack?]")),
            Area::Stack => Some(Name::from("[stack]")),
            Area::Vsyscall => Some(Name::from("[vsyscall]")),
            Area::Vdso => Some(Name::from("[vdso]")),
            _ => None,
        };
        let is_file = matches!(area, Area::File | Area::Memfd);
        Mapping {
            start: Address(vma.start),
            end: Address(vma.end),
            prot: Protection(vma.prot),
            area,
            name,
            file_offset_bytes: is_file.then_some(vma.pgoff),
            shared: if is_file { vma.status & status::FILE_SHARED != 0 } else { vma.flags & MAP_SHARED != 0 },
            regular: vma.status & status::REGULAR != 0,
        }
    }

    fn numbered(&mut self, kind: &str, shmid: u64) -> Name {
        let next = self.numbers.len() + 1;
        let number = self.numbers.entry(shmid).or_insert(next);
        Name::from(format!("{kind}[{number:x}]"))
    }
}

/// The name of the file that an area maps.
pub(super) fn mapped_name(files: &mut Files, vma: &VmaEntry) -> Name {
    // File ids have 32 bits; the field has more for the other kinds of areas.
    files.mapped(u32::try_from(vma.shmid).unwrap_or(u32::MAX))
}

/// The kind of an area. The first that fits counts; what crit has a name for comes first.
fn area(vma: &VmaEntry, growsdown: u32, files: &Files) -> Area {
    let is_memfd = || u32::try_from(vma.shmid).is_ok_and(|id| files.is_memfd(id));
    let has = |bit| vma.status & bit != 0;
    match () {
        () if has(status::SYSVIPC) => Area::SysvShm,
        () if has(status::ANON_SHARED) => Area::SharedAnonymous,
        () if has(status::SOCKET) => Area::PacketRing,
        () if has(status::FILE) && is_memfd() => Area::Memfd,
        () if has(status::FILE) => Area::File,
        () if has(status::STACK) => Area::Stack,
        () if has(status::VSYSCALL) => Area::Vsyscall,
        () if has(status::VDSO) => Area::Vdso,
        () if vma.flags & growsdown != 0 => Area::Stack,
        () if has(status::HEAP) => Area::Heap,
        () if has(status::VVAR) => Area::Vvar,
        () if has(status::AIORING) => Area::AioRing,
        () if has(status::SHSTK) => Area::ShadowStack,
        () if has(status::GUARD) => Area::Guard,
        () if has(status::UPROBES) => Area::Uprobes,
        () => Area::Anonymous,
    }
}

impl MemsReport {
    /// Writes crit's `mems`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for each in &self.processes {
            each.process.write_line(out)?;
            if let Some(exe) = &each.exe {
                writeln!(out, "\t{:<36}    {exe}", "exe")?;
            }
            for mapping in &each.mappings {
                mapping.write_line(out)?;
            }
        }
        Ok(())
    }
}

impl Mapping {
    fn write_line(&self, out: &mut dyn Write) -> io::Result<()> {
        let range = format!("{:08x}-{:08x}", self.start, self.end);
        let [read, write, execute] = self.prot.text();
        write!(out, "\t{range:<36}{read}{write}{execute}")?;
        if let Some(name) = &self.name {
            write!(out, " {name}")?;
        }
        if let Some(offset) = self.file_offset_bytes {
            if offset != 0 {
                write!(out, " + {offset:#x}")?;
            }
            if self.shared {
                write!(out, " (s)")?;
            }
        }
        writeln!(out, "{}", if self.regular { "" } else { " *" })
    }
}

#[cfg(test)]
mod tests {
    use ckx_testkit::{Arch, ImageBuilder, Msg, SynthCheckpoint, files, presets};

    use super::*;
    use crate::explore::testing::{images, issues, json, text};

    #[test]
    fn the_text_is_that_of_crit_with_names_of_memory_files() {
        let report = collect(&images(presets::web(Arch::X86_64)));
        let expected = "1
\texe                                     /usr/bin/web
\t558120000000-558120010000           r-x /usr/bin/web
\t558120010000-558120020000           rw- /usr/bin/web + 0x10000
\t558130000000-558130020000           rw-
\t7f3a10000000-7f3a10040000           rw-
\t7f3a10100000-7f3a10110000           r--
\t7f3a10110000-7f3a10120000           r-x [vdso]
\t7f3a10200000-7f3a10220000           rw- /dev/zero (deleted) (s)
\t7ffc00000000-7ffc00020000           rw- [stack?]
7
";
        assert!(text(&report).starts_with(expected), "{}", text(&report));
        assert!(text(&report).ends_with("[stack?]\n9 (zombie)\n"));
        assert!(report.issues.is_empty());
        let mapping = "{\"start\": \"0x558120010000\", \"end\": \"0x558120020000\", \"protection\": \"rw-\", \"area\": \"file\", \"name\": \"/usr/bin/web\", \"file_offset_bytes\": 65536, \"shared\": false, \"regular\": true}";
        assert!(json(&report).contains(mapping), "{}", json(&report));
    }

    /// Areas by flags and status, and how they are shown.
    #[test]
    fn kinds_of_areas() {
        let cases = [
            (0x21, 0x501, " ips[1]", Area::SysvShm),
            (0x21, 0x101, " shmem[1]", Area::SharedAnonymous),
            (0x1, 0x801, " packet[1]", Area::PacketRing),
            (0x122, 0x203, " [stack]", Area::Stack),
            (0x122, 0x201, " [stack?]", Area::Stack),
            (0x22, 0x204, " [vsyscall] *", Area::Vsyscall),
            (0x22, 0x209, " [vdso]", Area::Vdso),
            (0x22, 0x1201, "", Area::Vvar),
            (0x22, 0x221, "", Area::Heap),
            (0x1, 0x2000, " *", Area::AioRing),
            (0x22, 0x8201, "", Area::ShadowStack),
            (0x22, 0x2_0001, "", Area::Uprobes),
            (0, 0x1_0000, " *", Area::Guard),
            (0x22, 0x201, "", Area::Anonymous),
        ];
        for (flags, status, shown, area) in cases {
            let set =
                SynthCheckpoint::new().process(1, 0, |process| process.vma(0x1000, 0x3000, 1, flags, status));
            let report = collect(&images(set));
            let line = text(&report).lines().last().map(str::to_owned);
            assert_eq!(line, Some(format!("\t{:<36}r--{shown}", "00001000-00003000")), "{status:#x}");
            assert_eq!(report.processes[0].mappings[0].area, area);
        }
    }

    #[test]
    fn the_stack_of_other_machines() {
        for arch in [Arch::Mips, Arch::S390, Arch::Aarch64] {
            let text = text(&collect(&images(presets::web(arch))));
            assert_eq!(text.matches("rw- [stack?]\n").count(), 2, "{arch:?}: {text}");
        }
    }

    fn vma(start: u64, id: u64, status: u64) -> Msg {
        Msg::new().seq(1, [start, start + 0x1000, 0, id, 3, 1, status]).sint(8, -1)
    }

    fn with_vmas(vmas: Vec<Msg>) -> SynthCheckpoint {
        let mm = Msg::new().seq(1, [0; 12]).msgs(14, vmas);
        SynthCheckpoint::new()
            .process(1, 0, |process| process)
            .file("mm-1.img", ImageBuilder::of("MM").record(mm).build())
    }

    #[test]
    fn shared_objects_are_numbered_through_all_kinds() {
        let vmas = vec![vma(0x1000, 77, 0x501), vma(0x2000, 78, 0x101), vma(0x3000, 77, 0x101)];
        let text = text(&collect(&images(with_vmas(vmas))));
        let names: Vec<&str> = text.lines().skip(2).filter_map(|line| line.split("rw- ").nth(1)).collect();
        assert_eq!(names, ["ips[1]", "shmem[2]", "shmem[1]"]);
    }

    #[test]
    fn memory_files_are_named_as_in_the_kernel() {
        let names: [&[u8]; 4] = [b"buffer", b"/dev/zero", b"/anon_hugepage", b"a\nb"];
        let numbered = || (1..).zip(names);
        let inodes = numbered().map(|(id, name)| files::memfd_inode(name, 0x1000, id, id));
        let entries =
            (1..=5).map(|id| files::file_entry(ckx_testkit::FdType::Memfd, id, files::memfd(id, 0, id)));
        let vmas = (1..=6).map(|id| vma(id << 12, id, if id == 1 { 0x4041 } else { 0x4081 }));
        let set = with_vmas(vmas.collect())
            .file("memfd.img", ImageBuilder::of("MEMFD_INODE").records(inodes).build())
            .file("files.img", ImageBuilder::of("FILES").records(entries).build());
        let report = collect(&images(set));
        let text = text(&report);
        let shown: Vec<&str> = text.lines().skip(2).filter_map(|line| line.split("rw- ").nth(1)).collect();
        let expected = [
            "/memfd:buffer (deleted)",
            "/dev/zero (deleted) (s)",
            "/anon_hugepage (deleted) (s)",
            "/memfd:a\\x0ab (deleted) (s)",
            "unknown path (s)",
            "unknown path (s)",
        ];
        assert_eq!(shown, expected);
        let said = issues(&report);
        // The program of this process has no entry either.
        assert_eq!(
            said,
            [
                "files.img: files that are referred to and not there, by id: 0, 6",
                "memfd.img: memory files that are not there, by file id: 5",
            ]
        );
    }

    #[test]
    fn mappings_in_an_image_of_their_own() {
        let set = with_vmas(Vec::new())
            .file("vmas-1.img", ImageBuilder::of("VMAS").record(vma(0x40_0000, 0, 0x201)).build());
        let text = text(&collect(&images(set)));
        assert!(text.ends_with("\t00400000-00401000                   rw-\n"), "{text}");
    }

    #[test]
    fn a_missing_address_space_is_told() {
        let report = collect(&images(presets::web(Arch::X86_64).without("mm-7.img")));
        assert!(text(&report).ends_with("\n7 (mm-7.img is missing)\n9 (zombie)\n"));
        assert_eq!(issues(&report), ["mm-7.img: the image is missing"]);
    }

    #[test]
    fn very_many_mappings() {
        const COUNT: u64 = 100_000;
        let vmas = (0..COUNT).map(|at| vma(at << 12, at, 0x101)).collect();
        let report = collect(&images(with_vmas(vmas)));
        assert!(text(&report).ends_with(&format!("shmem[{COUNT:x}]\n")));
    }
}
