//! Opening the sources, with what one can see meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ckx_archive::tarball::{Step, TarMember};
use ckx_archive::{Archive, Interest, Interests, Kept, Progress};
use ckx_core::{Checkpoint, Options, Wanted};

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

/// A member of this size takes so long that what came before it is shown meanwhile.
const LARGE: u64 = 1 << 20;

/// Time between two such sights.
const SIGHTS: Duration = Duration::from_secs(1);

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
                let mut watched = Watched::new(&path, &options, work);
                let archive = Archive::open(&path, &mut watched, options.archive.clone());
                archive.map(|archive| Checkpoint::from_archive(archive, options))
            };
            let checkpoint = checkpoint.map_err(|error| spelled(&error))?;
            open.push(ready(checkpoint));
        }
        let mut open = open.into_iter();
        let checkpoint = open.next().ok_or("there is no source")?;
        Ok(Box::new(Loaded { checkpoint, other: open.next(), spaces: Spaces::default(), is_partial: false }))
    })
}

/// What nearly every view needs is read here and not by the first of them.
fn ready(checkpoint: Checkpoint) -> Arc<Checkpoint> {
    checkpoint.processes();
    Arc::new(checkpoint)
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

/// Keeps what inspecting wants, tells what goes by, and shows what there is of it.
struct Watched<'a> {
    wanted: Wanted,
    path: &'a Path,
    options: &'a Options,
    seen: Seen,
    told: Option<Instant>,
    shown: Option<(Instant, u64)>,
    work: &'a Work,
}

impl<'a> Watched<'a> {
    fn new(path: &'a Path, options: &'a Options, work: &'a Work) -> Self {
        let (wanted, seen) = (Wanted::default(), Seen::default());
        Self { wanted, path, options, seen, told: None, shown: None, work }
    }

    fn tell(&mut self, member: &TarMember) {
        self.seen.members += 1;
        if self.seen.last.len() == LAST {
            self.seen.last.remove(0);
        }
        self.seen.last.push(safe(&member.name));
        if self.told.is_none_or(|told| told.elapsed() >= INTERVAL) {
            self.told = Some(Instant::now());
            self.work.send(Box::new(self.seen.clone()));
        }
    }

    /// Sends a sight of what there is, if there is more than at the last one.
    fn show(&mut self, kept: &Kept<'_>) {
        let is_due =
            self.shown.is_none_or(|(at, members)| at.elapsed() >= SIGHTS && members < self.seen.members);
        let is_image = |name: &[u8]| name.ends_with(b".img") || name == b"config.dump";
        if !is_due || !kept.members().iter().any(|member| is_image(&member.name)) {
            return;
        }
        self.shown = Some((Instant::now(), self.seen.members));
        let checkpoint = ready(Checkpoint::from_archive(kept.archive_at(self.path), self.options.clone()));
        let sight = Loaded { checkpoint, other: None, spaces: Spaces::default(), is_partial: true };
        self.work.send(Box::new(sight));
    }
}

impl Interests for Watched<'_> {
    fn of(&mut self, member: &TarMember, kept: &Kept<'_>) -> Interest {
        if member.size_bytes >= LARGE {
            self.show(kept);
        }
        self.tell(member);
        self.wanted.of(member, kept)
    }

    fn visit(&mut self, member: &TarMember, offset: u64, chunk: &[u8]) -> Step {
        self.wanted.visit(member, offset, chunk)
    }
}
