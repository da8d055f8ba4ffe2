//! The explorers: the questions of `crit x DIR WHAT`, answered without printing.
//!
//! Each explorer is one file with a report struct, a function `collect` and a text form, which is
//! crit's wherever crit is right. Reports are typed and go to JSON as they are. What is missing or
//! broken becomes an [`Issue`] of the report, and the rest is shown.
//!
//! # Where reports differ from crit's output
//!
//! * Zombies have no images but their core: they are told as such, where crit fails.
//! * A process without descriptors has no `fdinfo` image: it is shown with none, where crit fails.
//! * A process whose images are missing or broken is told as such; the others are shown.
//! * Orphans and cycles of parents are shown in `ps`, as roots; crit fails, or shows one tree only.
//! * Mappings of memory files, and programs run from them, have names as in the kernel's lists
//!   (`/memfd:NAME (deleted)`, `/dev/zero (deleted)`), where crit has "unknown path".
//! * The main stack is known on MIPS too, whose flag for areas that grow has another number.
//! * Big-endian images are read on any host, and images of older versions that had the mappings, or
//!   the number of the descriptor table, in other places.
//! * `rss` counts pages of the size that the dumping host had, reads the page counts of CRIU before
//!   4.2, and is not misled by guard areas, which stand out of order at the end of the list.
//! * Control characters in names are escaped, and names of unix sockets stay on one line.

pub mod fds;
mod files;
pub mod mems;
pub(crate) mod mm;
pub mod ps;
pub mod rss;
pub mod sk;
mod socket_names;
mod tables;
mod tasks;
#[cfg(test)]
mod testing;

use std::io::{self, Write};

use ckx_criu::json::{Style, to_writer};

use crate::{ImageSet, Issue};

pub use tasks::{Process, Task, TaskState};

use fds::FdsReport;
use mems::MemsReport;
use ps::PsReport;
use rss::RssReport;
use sk::SkReport;

/// One question, as a row of [`EXPLORERS`].
pub struct Explorer {
    /// Its word on the command line, which is crit's.
    pub name: &'static str,
    /// Other words for it, which are go-criu's.
    pub aliases: &'static [&'static str],
    /// What it tells, in one line.
    pub about: &'static str,
    /// Asks it.
    pub run: fn(&dyn ImageSet) -> Box<dyn Report>,
}

/// What an explorer found out.
pub trait Report {
    /// What is missing or broken.
    fn issues(&self) -> &[Issue];

    /// Writes the text form.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Writes the JSON form, without a line feed behind it.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_json(&self, out: &mut dyn Write, style: Style) -> io::Result<()>;
}

/// Makes a [`Report`] of a struct with `issues`, `write_text` and `Serialize`.
macro_rules! report {
    ($($name:ident)*) => {$(
        impl Report for $name {
            fn issues(&self) -> &[Issue] {
                &self.issues
            }

            fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
                $name::write_text(self, out)
            }

            fn write_json(&self, out: &mut dyn Write, style: Style) -> io::Result<()> {
                to_writer(out, self, style)
            }
        }
    )*};
}

report! { PsReport FdsReport MemsReport RssReport SkReport }

/// All explorers, in the order in which help shows them.
pub const EXPLORERS: &[Explorer] = &[
    Explorer {
        name: "ps",
        aliases: &[],
        about: "the process tree",
        run: |images| Box::new(ps::collect(images)),
    },
    Explorer {
        name: "fds",
        aliases: &["fd"],
        about: "open files of each process, with its working and root directory",
        run: |images| Box::new(fds::collect(images)),
    },
    Explorer {
        name: "mems",
        aliases: &["mem"],
        about: "mappings of each process",
        run: |images| Box::new(mems::collect(images)),
    },
    Explorer {
        name: "rss",
        aliases: &[],
        about: "resident memory of each process: runs of pages and the mappings they lie in",
        run: |images| Box::new(rss::collect(images)),
    },
    Explorer {
        name: "sk",
        aliases: &[],
        about: "sockets of each process",
        run: |images| Box::new(sk::collect(images)),
    },
];

/// The explorer with this name or alias.
pub fn explorer(word: &str) -> Option<&'static Explorer> {
    EXPLORERS.iter().find(|explorer| explorer.name == word || explorer.aliases.contains(&word))
}

#[cfg(test)]
mod tests {
    use ckx_testkit::{Arch, Rng, mutate, presets};

    use super::*;
    use crate::MemoryImages;
    use crate::explore::testing::{images, issues, json, text};

    #[test]
    fn words_are_unique() {
        let words = || EXPLORERS.iter().flat_map(|each| each.aliases.iter().chain([&each.name]));
        for word in words() {
            assert_eq!(words().filter(|other| *other == word).count(), 1, "{word}");
            let found = explorer(word).expect("a row");
            assert!(found.name == *word || found.aliases.contains(word));
        }
        assert!(explorer("core").is_none());
    }

    #[test]
    fn an_empty_set_is_told_and_not_a_failure() {
        for each in EXPLORERS {
            let report = (each.run)(&MemoryImages::default());
            let said = issues(&*report);
            assert_eq!(said.first().map(String::as_str), Some("pstree.img: the image is missing"));
            let header = if each.name == "ps" { "    PID   PGID    SID   COMM\n" } else { "" };
            assert_eq!(text(&*report), header, "{}", each.name);
            assert!(json(&*report).starts_with("{\"processes\": [], \"issues\": [{"), "{}", each.name);
        }
    }

    /// Damage anywhere: no panic, no endless loop, and text that a terminal can take.
    #[test]
    fn damaged_images() {
        let mut rng = Rng::new(1);
        for _ in 0..300 {
            let mut set = images(presets::web(Arch::X86_64));
            for _ in 0..3 {
                let names = set.names();
                let name = String::from_utf8(rng.pick(&names).clone()).expect("names are text");
                let bytes = set.get(&name).expect("memory can be read").expect("it is there");
                let mut bytes = bytes.to_vec();
                mutate(&mut bytes, &mut rng);
                set.insert(name, bytes);
            }
            for each in EXPLORERS {
                let report = (each.run)(&set);
                let text = text(&*report);
                assert!(text.chars().all(|each| !each.is_control() || "\n\t".contains(each)), "{text}");
                assert!(json(&*report).is_ascii());
                assert!(issues(&*report).iter().all(|issue| !issue.contains('\n')));
            }
        }
    }
}
