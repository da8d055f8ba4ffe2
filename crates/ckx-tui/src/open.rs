//! Opening the sources, with what one can see meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ckx_archive::tarball::{Step, TarMember};
use ckx_archive::{Archive, Interest, Interests, Kept, Progress};
use ckx_core::{Checkpoint, Wanted};

use crate::app::Sources;
use crate::job::{Job, Work};
use crate::space::Spaces;
use crate::text::safe;
use crate::view::Loaded;

/// What went by of a source that is decoded.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Members so far.
    pub members: u64,
    /// The newest of them.
    pub last: Vec<String>,
}

/// Names that are shown while a source is read.
const LAST: usize = 12;

/// Time between two messages about it.
const INTERVAL: Duration = Duration::from_millis(50);

/// Opens all sources.
pub fn job(sources: Sources, progress: Vec<Arc<Progress>>) -> Job {
    Box::new(move |work| {
        let two = sources.list.len() > 1;
        let mut open = Vec::new();
        for ((path, options), progress) in sources.list.into_iter().zip(progress) {
            let mut options = options;
            options.archive.progress = Some(progress);
            let checkpoint = if two {
                ckx_core::diff::open(&path, options)
            } else {
                let mut watched =
                    Watched { wanted: Wanted::default(), seen: Seen::default(), told: None, work };
                let archive = Archive::open(&path, &mut watched, options.archive.clone());
                archive.map(|archive| Checkpoint::from_archive(archive, options))
            };
            let checkpoint = checkpoint.map_err(|error| spelled(&error))?;
            // What nearly every view needs is read here and not by the first of them.
            checkpoint.processes();
            open.push(Arc::new(checkpoint));
        }
        let mut open = open.into_iter();
        let checkpoint = open.next().ok_or("there is no source")?;
        Ok(Box::new(Loaded { checkpoint, other: open.next(), spaces: Spaces::default() }))
    })
}

fn spelled(error: &ckx_archive::Error) -> String {
    let mut text = safe(error.to_string());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {}", safe(error.to_string()));
        cause = error.source();
    }
    text
}

/// Keeps what inspecting wants, and tells what goes by.
struct Watched<'a> {
    wanted: Wanted,
    seen: Seen,
    told: Option<Instant>,
    work: &'a Work,
}

impl Interests for Watched<'_> {
    fn of(&mut self, member: &TarMember, kept: &Kept<'_>) -> Interest {
        self.seen.members += 1;
        if self.seen.last.len() == LAST {
            self.seen.last.remove(0);
        }
        self.seen.last.push(safe(&member.name));
        if self.told.is_none_or(|told| told.elapsed() >= INTERVAL) {
            self.told = Some(Instant::now());
            self.work.send(Box::new(self.seen.clone()));
        }
        self.wanted.of(member, kept)
    }

    fn visit(&mut self, member: &TarMember, offset: u64, chunk: &[u8]) -> Step {
        self.wanted.visit(member, offset, chunk)
    }
}
