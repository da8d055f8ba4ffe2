//! `rss`: resident memory of each process.

use std::io::{self, Write};

use ckx_criu::pages::{PE_LAZY, PE_PARENT, PE_PRESENT, PageEntries, PageEntry, page_size_of};
use ckx_criu::typed::messages::{MmEntry, VmaEntry};
use serde::Serialize;

use crate::explore::files::Files;
use crate::explore::mems::mapped_name;
use crate::explore::mm::{self, status};
use crate::explore::tasks::{Process, Task};
use crate::load::{Faults, Gap, Loader};
use crate::{Address, ImageSet, Issue, Name};

/// Resident memory, by process.
#[derive(Debug, Serialize)]
pub struct RssReport {
    /// Processes, in the order of the tree's image.
    pub processes: Vec<ProcessRss>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Resident memory of one process.
#[derive(Debug, Serialize)]
pub struct ProcessRss {
    /// The process.
    #[serde(flatten)]
    pub process: Process,
    /// Page size of the dumping host, in bytes.
    pub page_size_bytes: Option<u64>,
    /// Runs of pages, in the order of the page map.
    pub entries: Vec<RssEntry>,
}

/// One run of pages.
#[derive(Debug, Serialize)]
pub struct RssEntry {
    /// Address of the first page.
    pub start: Address,
    /// Number of pages.
    pub pages: u64,
    /// Where the pages are.
    pub residency: Residency,
    /// Mappings that the run touches.
    pub vmas: Vec<RssVma>,
}

/// Where pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Residency {
    /// In the pages image.
    Present,
    /// In the previous dump.
    Parent,
    /// Left on the dumping host.
    Lazy,
    /// Nowhere.
    None,
}

/// A mapping that a run touches.
#[derive(Debug, Serialize)]
pub struct RssVma {
    /// First address.
    pub start: Address,
    /// Its size in pages.
    pub pages: u64,
    /// Path of the file that it maps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Whether a run before this one touched it too; the text form then has a tilde.
    pub again: bool,
}

/// The page size where nothing tells it.
const USUAL_PAGE_SIZE: u64 = 4096;

/// Reads the page maps of all processes.
pub fn collect(images: &dyn ImageSet) -> RssReport {
    let mut loader = Loader::new(images);
    let tasks = Task::read_all(&mut loader);
    let mut files = Files::read(&mut loader);
    let processes = tasks.iter().map(|task| read(&mut loader, &mut files, task)).collect();
    files.tell_unknown(&mut loader);
    RssReport { processes, issues: loader.into_issues() }
}

fn read(loader: &mut Loader<'_>, files: &mut Files, task: &Task) -> ProcessRss {
    let mut found = ProcessRss { process: task.into(), page_size_bytes: None, entries: Vec::new() };
    if task.is_zombie() {
        return found;
    }
    let mm = mm::read(loader, &mut found.process);
    let page_size = page_size(loader, mm.as_ref(), task.pid);
    found.page_size_bytes = Some(page_size);
    let mut walk = Walk::new(mm.map(|mm| mm.vmas).unwrap_or_default(), page_size);
    let image = format!("pagemap-{}.img", task.pid);
    let entries = &mut found.entries;
    match each_entry(loader, &image, |entry| entries.push(walk.entry(files, &entry))) {
        Ok(whole) => found.process.has(&image, whole),
        Err(gap) => found.process.lacks(&image, gap),
    }
    if walk.unsorted > 0 {
        let reason =
            format!("{} entries are not in address order: their mappings are not shown", walk.unsorted);
        loader.tell(Issue::new(&image, "unsorted", reason));
    }
    found
}

fn page_size(loader: &mut Loader<'_>, mm: Option<&MmEntry>, pid: u32) -> u64 {
    if let Some(size) = mm.and_then(|mm| page_size_of(&mm.mm_saved_auxv)) {
        return size;
    }
    if mm.is_some() {
        let reason = "the auxiliary vector tells no page size: 4096 bytes are assumed";
        loader.tell(Issue::new(&format!("mm-{pid}.img"), "no-page-size", reason));
    }
    USUAL_PAGE_SIZE
}

/// Visits the entries of a page map. Whether it was read to its end.
fn each_entry(
    loader: &mut Loader<'_>,
    image: &str,
    mut visit: impl FnMut(PageEntry<'_>),
) -> Result<bool, Gap> {
    let bytes = loader.bytes(image)?;
    let entries = PageEntries::new(loader.image(image, &bytes)?);
    let mut faults = Faults::default();
    let gap = match entries {
        Ok(entries) => {
            for entry in entries {
                match entry {
                    Ok(entry) => visit(entry),
                    Err(error) => faults.add(&error),
                }
            }
            None
        }
        Err(error) => {
            faults.add(&error);
            Some(Gap::Unreadable)
        }
    };
    let whole = faults.tell(loader);
    gap.map_or(Ok(whole), Err)
}

/// Walks mappings and page runs side by side, both by address.
struct Walk {
    vmas: Vec<VmaEntry>,
    page_size: u64,
    /// The first mapping that a run may touch.
    at: usize,
    /// Mappings before this one were shown.
    shown: usize,
    last: u64,
    unsorted: u64,
}

impl Walk {
    fn new(mut vmas: Vec<VmaEntry>, page_size: u64) -> Self {
        // Guard areas lie in other mappings, and come behind all of them.
        vmas.retain(|vma| vma.status & status::GUARD == 0);
        vmas.sort_by_key(|vma| vma.start);
        Self { vmas, page_size, at: 0, shown: 0, last: 0, unsorted: 0 }
    }

    fn entry(&mut self, files: &mut Files, entry: &PageEntry<'_>) -> RssEntry {
        let sorted = self.last <= entry.vaddr;
        self.unsorted += u64::from(!sorted);
        RssEntry {
            start: Address(entry.vaddr),
            pages: entry.pages,
            residency: residency(entry.flags),
            vmas: if sorted { self.touched(files, entry) } else { Vec::new() },
        }
    }

    fn touched(&mut self, files: &mut Files, entry: &PageEntry<'_>) -> Vec<RssVma> {
        self.last = entry.vaddr;
        let end = entry.vaddr.saturating_add(entry.pages.saturating_mul(self.page_size));
        while self.vmas.get(self.at).is_some_and(|vma| vma.end <= entry.vaddr) {
            self.at += 1;
        }
        let mut touched = Vec::new();
        let mut next = self.at;
        while let Some(vma) = self.vmas.get(next).filter(|vma| vma.start < end) {
            touched.push(RssVma {
                start: Address(vma.start),
                pages: vma.end.saturating_sub(vma.start) / self.page_size,
                name: (vma.status & status::FILE != 0).then(|| mapped_name(files, vma)),
                again: next < self.shown,
            });
            next += 1;
            // The next run may go on in the last mapping that this one touched, but in none before.
            self.at = next - 1;
            self.shown = self.shown.max(next);
        }
        touched
    }
}

fn residency(flags: u32) -> Residency {
    match flags {
        flags if flags & PE_PRESENT != 0 => Residency::Present,
        flags if flags & PE_PARENT != 0 => Residency::Parent,
        flags if flags & PE_LAZY != 0 => Residency::Lazy,
        _ => Residency::None,
    }
}

impl RssReport {
    /// Writes crit's `rss`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for each in &self.processes {
            each.process.write_line(out)?;
            for entry in &each.entries {
                entry.write_lines(out)?;
            }
        }
        Ok(())
    }
}

impl RssEntry {
    fn write_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        let run = format!("\t{:x} / {:<8}", self.start, self.pages);
        write!(out, "{run:<24}")?;
        for vma in &self.vmas {
            if vma.again {
                write!(out, " ~")?;
            } else {
                write!(out, " {:08x} / {:<8}", vma.start, vma.pages)?;
                if let Some(name) = &vma.name {
                    write!(out, " {name}")?;
                }
            }
            write!(out, "\n\t{:23}", "")?;
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use ckx_testkit::{Arch, ImageBuilder, Msg, PagemapStyle, SynthCheckpoint, presets};

    use super::*;
    use crate::explore::testing::{images, issues, json, text};

    /// Three mappings, of which a run touches two, and guard pages in the first.
    fn small() -> SynthCheckpoint {
        SynthCheckpoint::new().process(1, 0, |process| {
            process
                .file_vma(0x40_0000, 0x40_4000, 5, "/bin/a", 0)
                .vma(0x40_4000, 0x40_8000, 3, 0x22, 0x201)
                .vma(0x7fff_0000, 0x7fff_8000, 3, 0x122, 0x201)
                .vma(0x40_1000, 0x40_2000, 0, 0, 0x1_0000)
                .pages(0x40_0000, &[1; 0x1000])
                .pages(0x40_3000, &[1; 0x3000])
                .in_parent(0x40_7000, 1)
                .lazy(0x7fff_4000, 2)
        })
    }

    const BLANKS: &str = "\n\t                       ";

    fn expected() -> String {
        format!(
            "1
\t400000 / 1              00400000 / 4        /bin/a{BLANKS}
\t403000 / 3              ~{BLANKS} 00404000 / 4       {BLANKS}
\t407000 / 1              ~{BLANKS}
\t7fff4000 / 2            7fff0000 / 8       {BLANKS}
"
        )
    }

    #[test]
    fn the_text_is_that_of_crit_without_guards() {
        let report = collect(&images(small()));
        assert_eq!(text(&report), expected());
        assert!(report.issues.is_empty());
        let residencies: Vec<_> = report.processes[0].entries.iter().map(|entry| entry.residency).collect();
        use Residency::{Lazy, Parent, Present};
        assert_eq!(residencies, [Present, Present, Parent, Lazy]);
        let run = "{\"start\": \"0x407000\", \"pages\": 1, \"residency\": \"parent\", \"vmas\": [{\"start\": \"0x404000\", \"pages\": 4, \"again\": true}]}";
        assert!(json(&report).contains(run), "{}", json(&report));
    }

    #[test]
    fn page_counts_of_older_images() {
        assert_eq!(text(&collect(&images(small().pagemap_style(PagemapStyle::Flags)))), expected());
    }

    #[test]
    fn the_page_size_is_that_of_the_host() {
        for (arch, size) in [(Arch::X86_64, 4096), (Arch::Aarch64, 65536), (Arch::S390, 4096)] {
            let report = collect(&images(presets::web(arch).page_size(size)));
            let web = &report.processes[0];
            assert_eq!(web.page_size_bytes, Some(size));
            // The data of the program: one page of a mapping of 64 KiB.
            let data = &web.entries[0];
            assert_eq!((data.pages, data.vmas[0].pages), (1, 0x1_0000 / size), "{arch:?}");
            assert!(web.entries.iter().all(|entry| entry.vmas.len() == 1), "{arch:?}");
            assert!(report.issues.is_empty(), "{arch:?}: {:?}", issues(&report));
        }
    }

    #[test]
    fn a_32_bit_process() {
        let report = collect(&images(presets::compat()));
        assert!(report.processes.iter().all(|each| matches!(each.page_size_bytes, None | Some(4096))));
        assert!(report.issues.is_empty(), "{:?}", issues(&report));
    }

    #[test]
    fn what_is_missing_is_told() {
        let report = collect(&images(small().without("pagemap-1.img")));
        assert_eq!(text(&report), "1 (pagemap-1.img is missing)\n");
        assert_eq!(issues(&report), ["pagemap-1.img: the image is missing"]);
        let report = collect(&images(small().without("mm-1.img")));
        assert!(text(&report).starts_with("1 (mm-1.img is missing)\n\t400000 / 1             \n"));
        let mm = ImageBuilder::of("MM").record(Msg::new().seq(1, [0; 12])).build();
        let report = collect(&images(small().file("mm-1.img", mm)));
        let said = "mm-1.img: the auxiliary vector tells no page size: 4096 bytes are assumed";
        assert_eq!(issues(&report), [said]);
    }

    fn pagemap(entries: &[(u64, u64)]) -> Vec<u8> {
        let entries =
            entries.iter().map(|(at, pages)| Msg::new().seq(1, [*at, 0]).uint(4, 4).uint(5, *pages));
        ImageBuilder::of("PAGEMAP").record(Msg::new().uint(1, 1)).records(entries).build()
    }

    #[test]
    fn runs_outside_of_mappings_and_out_of_order() {
        let runs = [(0x1000, 1), (0x40_0000, u64::MAX), (0x7fff_8000, 3), (0x40_0000, 1)];
        let report = collect(&images(small().file("pagemap-1.img", pagemap(&runs))));
        let touched: Vec<usize> = report.processes[0].entries.iter().map(|entry| entry.vmas.len()).collect();
        assert_eq!(touched, [0, 3, 0, 0]);
        let said = "pagemap-1.img: 1 entries are not in address order: their mappings are not shown";
        assert_eq!(issues(&report), [said]);
    }

    #[test]
    fn overlapping_runs_do_not_multiply() {
        const COUNT: u64 = 2000;
        let set = SynthCheckpoint::new().process(1, 0, |process| {
            (0..COUNT).fold(process, |process, at| {
                let start = 0x40_0000 + (at << 13);
                process.vma(start, start + 0x1000, 3, 0x22, 0x201)
            })
        });
        let runs = vec![(0x40_0000, u64::MAX); COUNT as usize];
        let report = collect(&images(set.file("pagemap-1.img", pagemap(&runs))));
        let touched: usize = report.processes[0].entries.iter().map(|entry| entry.vmas.len()).sum();
        assert!(touched < 3 * COUNT as usize, "{touched}");
    }

    #[test]
    fn a_page_map_that_is_cut_short() {
        let mut map = pagemap(&[(0x40_0000, 1), (0x40_4000, 1)]);
        map.pop();
        let report = collect(&images(small().file("pagemap-1.img", map)));
        assert_eq!(report.processes[0].entries.len(), 1);
        assert_eq!(report.processes[0].process.note.as_deref(), Some("pagemap-1.img is broken"));
    }
}
