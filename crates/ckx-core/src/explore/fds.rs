//! `fds`: open files of each process.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use ckx_criu::typed::messages::{FdinfoEntry, FsEntry};
use serde::Serialize;

use crate::explore::files::{Files, type_name};
use crate::explore::tables::{Tables, shared};
use crate::explore::tasks::{Process, Task};
use crate::load::Loader;
use crate::{ImageSet, Issue, Name};

/// Open files, by process.
#[derive(Debug, Serialize)]
pub struct FdsReport {
    /// Processes, in the order of the tree's image.
    pub processes: Vec<ProcessFds>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Open files of one process.
#[derive(Debug, Serialize)]
pub struct ProcessFds {
    /// The process.
    #[serde(flatten)]
    pub process: Process,
    /// Number of its descriptor table: processes with the same one share it.
    pub files_id: Option<u32>,
    /// Its descriptors, in the order of the table's image. One list for all that share the table.
    #[serde(serialize_with = "shared")]
    pub descriptors: Arc<[Descriptor]>,
    /// Working directory.
    pub cwd: Option<Name>,
    /// Root directory.
    pub root: Option<Name>,
}

/// One descriptor.
#[derive(Debug, Serialize)]
pub struct Descriptor {
    /// Its number.
    pub fd: u32,
    /// Type of the file, in CRIU's words (`REG`, `PIPE`, …).
    #[serde(rename = "type")]
    pub kind: String,
    /// File id: descriptors with the same one share one open file.
    pub file_id: u32,
    /// Path of a regular file; of others what crit calls them.
    pub name: Name,
    /// Whether it is closed when another program is run.
    pub close_on_exec: bool,
}

const FD_CLOEXEC: u32 = 1;

/// Reads the descriptors of all processes.
pub fn collect(images: &dyn ImageSet) -> FdsReport {
    let mut loader = Loader::new(images);
    let tasks = Task::read_all(&mut loader);
    let mut collector =
        Collector { files: Files::read(&mut loader), tables: Tables::default(), lists: HashMap::new() };
    let processes = tasks.iter().map(|task| collector.process(&mut loader, task)).collect();
    collector.files.tell_unknown(&mut loader);
    FdsReport { processes, issues: loader.into_issues() }
}

struct Collector {
    files: Files,
    tables: Tables,
    lists: HashMap<u32, Arc<[Descriptor]>>,
}

impl Collector {
    fn process(&mut self, loader: &mut Loader<'_>, task: &Task) -> ProcessFds {
        let mut found = ProcessFds {
            process: task.into(),
            files_id: None,
            descriptors: Arc::default(),
            cwd: None,
            root: None,
        };
        if task.is_zombie() {
            return found;
        }
        if let Some(table) = self.tables.of(loader, task, &mut found.process) {
            let files = &mut self.files;
            let list = self
                .lists
                .entry(table.files_id)
                .or_insert_with(|| table.entries.iter().map(|entry| descriptor(files, entry)).collect());
            found.descriptors = Arc::clone(list);
            found.files_id = Some(table.files_id);
            if !table.has_image {
                found.process.add_note(format!("no descriptors: fdinfo-{}.img is not there", table.files_id));
            }
        }
        let image = format!("fs-{}.img", task.pid);
        match loader.first::<FsEntry>(&image) {
            Ok(fs) => {
                found.cwd = Some(self.files.regular(fs.cwd_id));
                found.root = Some(self.files.regular(fs.root_id));
            }
            Err(gap) => found.process.lacks(&image, gap),
        }
        found
    }
}

fn descriptor(files: &mut Files, entry: &FdinfoEntry) -> Descriptor {
    Descriptor {
        fd: entry.fd,
        kind: type_name(entry.r#type),
        file_id: entry.id,
        name: files.descriptor(entry.r#type, entry.id),
        close_on_exec: entry.flags & FD_CLOEXEC != 0,
    }
}

impl FdsReport {
    /// Writes crit's `fds`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for each in &self.processes {
            each.process.write_line(out)?;
            for descriptor in each.descriptors.iter() {
                writeln!(out, "\t{:>7}: {}", descriptor.fd, descriptor.name)?;
            }
            for (what, path) in [("cwd", &each.cwd), ("root", &each.root)] {
                if let Some(path) = path {
                    writeln!(out, "\t{what:>7}: {path}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ckx_testkit::{Arch, Fd, FdType, ImageBuilder, SynthCheckpoint, files, presets};

    use super::*;
    use crate::explore::testing::{images, issues, json, text};

    #[test]
    fn the_text_is_that_of_crit() {
        let report = collect(&images(presets::web(Arch::X86_64)));
        let expected = "1
\t      0: /dev/null
\t      1: pipe[1541946]
\t      2: /var/log/web.log
\t      3: INETSK.6
\t      4: INETSK.7
\t      5: unix[4242 (4243)]
\t      6: unix[4244 (0) /run/web.sock=00]
\t      7: EVENTFD.10
\t      8: EVENTPOLL.11
\t    cwd: /srv
\t   root: /
7
\t      0: pipe[1541946]
\t      2: /var/log/web.log
\t      5: unix[4243 (4242)]
\t      6: MEMFD.16
\t      7: FIFO.18
\t    cwd: /
\t   root: /
9 (zombie)
";
        assert_eq!(text(&report), expected);
        assert!(report.issues.is_empty());
        let descriptor = "{\"fd\": 3, \"type\": \"INETSK\", \"file_id\": 6, \"name\": \"INETSK.6\", \"close_on_exec\": true}";
        assert!(json(&report).contains(descriptor), "{}", json(&report));
        assert_eq!(text(&collect(&images(presets::s390x()))), expected);
    }

    #[test]
    fn a_shared_table_is_shown_for_both() {
        let set = SynthCheckpoint::new().process(1, 0, |process| process.fd(4, Fd::reg("/a", 0))).process(
            2,
            1,
            |process| process.files_of(1),
        );
        let report = collect(&images(set));
        assert_eq!(text(&report).matches("\t      4: /a\n").count(), 2);
        let [first, second] = &report.processes[..] else { panic!("two processes") };
        assert!(Arc::ptr_eq(&first.descriptors, &second.descriptors));
    }

    #[test]
    fn what_is_missing_is_told_and_the_rest_shown() {
        let base = || SynthCheckpoint::new().process(1, 0, |process| process.fd(0, Fd::reg("/a", 0)));
        let cases: [(&str, &str, &[&str]); 4] = [
            ("fs-1.img", "1 (fs-1.img is missing)\n\t      0: /a\n", &["fs-1.img: the image is missing"]),
            (
                "ids-1.img",
                "1 (ids-1.img is missing)\n\t    cwd: /\n\t   root: /\n",
                &["ids-1.img: the image is missing"],
            ),
            // A table without descriptors has no image, so that is no fault.
            (
                "fdinfo-2.img",
                "1 (no descriptors: fdinfo-2.img is not there)\n\t    cwd: /\n\t   root: /\n",
                &[],
            ),
            (
                "files.img",
                "1\n\t      0: unknown path\n\t    cwd: unknown path\n\t   root: unknown path\n",
                &["files.img: the image is missing"],
            ),
        ];
        for (image, expected, said) in cases {
            let report = collect(&images(base().without(image)));
            assert_eq!(text(&report), expected, "{image}");
            assert_eq!(issues(&report), said, "{image}");
        }
    }

    #[test]
    fn broken_images_give_what_is_before_the_fault() {
        let table = [files::fdinfo(1, 0, FdType::Reg, 0), files::fdinfo(70, 0, FdType::Pipe, 1)];
        let table = ImageBuilder::of("FDINFO").records(table).record(files::fdinfo(1, 0, FdType::Reg, 0));
        let set = SynthCheckpoint::new()
            .process(1, 0, |process| process.exe("/bin/a"))
            .file("fdinfo-2.img", table.payload(&[1, 0]).build())
            .file("fs-1.img", b"none".to_vec());
        let report = collect(&images(set));
        let expected = "1 (fdinfo-2.img is broken, fs-1.img cannot be read)
\t      0: /bin/a
\t      1: pipe[?]
\t      0: /bin/a
";
        assert_eq!(text(&report), expected);
        let said = issues(&report);
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(said.iter().any(|said| said == "fdinfo-2.img: descriptors that occur more than once: 0"));
        assert!(
            said.iter().any(|said| said == "files.img: files that are referred to and not there, by id: 70")
        );
    }

    #[test]
    fn names_stay_on_their_line() {
        let name = [b"/run/".as_slice(), &[b'x'; 90], b"\ny\r\n\0"].concat();
        let set = SynthCheckpoint::new().process(1, 0, |process| {
            process
                .cwd(b"/a\n\x1b]0;b\x07")
                .fd(0, Fd::unix(1, 2, name))
                .fd(1, Fd::unix(3, 4, b"\0abstract"))
                .fd(2, Fd::reg("", 0))
        });
        let text = text(&collect(&images(set)));
        let long = format!("\t      0: unix[1 (2) /run/{}=0Ay=0D=0A=00]\n", "x".repeat(90));
        assert!(text.contains(&long), "{text}");
        assert!(text.contains("\t      1: unix[3 (4) =00abstract]\n"), "{text}");
        assert!(text.contains("\t      2: unknown path\n"), "{text}");
        assert!(text.contains("\t    cwd: /a\\x0a\\x1b]0;b\\x07\n"), "{text}");
        assert_eq!(text.lines().count(), 6);
    }

    #[test]
    fn the_first_of_several_entries_counts() {
        let entries = [("/first", 3), ("/second", 3), ("/third", 4)];
        let entries =
            entries.map(|(path, id)| files::file_entry(FdType::Reg, id, files::reg(id, 0, 0, path)));
        let table = files::fdinfo(3, 0, FdType::Reg, 0);
        let set = SynthCheckpoint::new()
            .process(1, 0, |process| process)
            .file("files.img", ImageBuilder::of("FILES").records(entries).build())
            .file("fdinfo-2.img", ImageBuilder::of("FDINFO").record(table).build())
            .file("fs-1.img", ImageBuilder::of("FS").build());
        let report = collect(&images(set));
        assert_eq!(text(&report), "1 (fs-1.img cannot be read)\n\t      0: /first\n");
        assert_eq!(issues(&report), ["fs-1.img: the image has no record"]);
    }

    #[test]
    fn images_per_type_of_old_versions() {
        let table = [(1, FdType::Reg), (1, FdType::Pipe), (2, FdType::Unixsk), (3, FdType::Tty)];
        let table = (0..).zip(table).map(|(fd, (id, kind))| files::fdinfo(id, 0, kind, fd));
        let image = |row: &str, record| ImageBuilder::of(row).record(record).build();
        let set = SynthCheckpoint::new()
            .process(1, 0, |process| process)
            .without("files.img")
            .file("fdinfo-2.img", ImageBuilder::of("FDINFO").records(table).build())
            .file("reg-files.img", image("REG_FILES", files::reg(1, 0, 0, "/old")))
            .file("pipes.img", image("PIPES", files::pipe(1, 55, 0)))
            .file("unixsk.img", image("UNIXSK", files::unix(2, 8, [1, 1], 9, "")));
        let report = collect(&images(set));
        let lines = "\t      0: /old\n\t      1: pipe[55]\n\t      2: unix[8 (9)]\n\t      3: TTY.3\n";
        assert!(text(&report).contains(lines), "{}", text(&report));
    }
}
