//! Dumps before an incremental one that are in sources of their own.

use ckx_core::memory::{Chain, Content as Memory, Why};
use ckx_core::{Checkpoint, Name};

use super::base::{check_facts, files, is_map};
use crate::Error;
use crate::facts::Facts;
use crate::plan::{Content, Entry, MAX_PARENTS, Plan, joined};

/// Looks whether the dumps that were given are those that a checkpoint stands on.
///
/// # Errors
/// [`Error::Refused`] when it stands on none, one is of another container or machine, or has not the pages.
pub(super) fn check<'c>(
    checkpoint: &Checkpoint,
    chains: impl Iterator<Item = (&'c str, Chain)>,
) -> Result<(), Error> {
    let mut previous = checkpoint.previous();
    while let Some(earlier) = previous {
        check_facts(&Facts::of(checkpoint), &Facts::of(earlier), &other)?;
        previous = earlier.previous();
    }
    let mut stands = false;
    for (name, chain) in chains {
        stands |= chain.has_parent();
        for run in chain.runs(0, u64::MAX) {
            // Pages left on the host are nowhere; what went by is written when it goes by once more.
            if let Memory::Absent(why) = run.content
                && !matches!(why, Why::Lazy | Why::NotKept)
            {
                let reason = chain.reason(why);
                return Err(other(&format!("{}, at {:#x}: {reason}", Name::from(name), run.start)));
            }
        }
    }
    if stands {
        return Ok(());
    }
    Err(Error::refused("the checkpoint has all its pages: it stands on no earlier dump")
        .hinted("leave --parent out; --base makes a delta against an earlier checkpoint"))
}

fn other(reason: &str) -> Error {
    Error::refused(format!("the parent does not fit: {reason}")).hinted(
        "--parent takes the dump that the checkpoint was taken after, and those before it, the nearest first",
    )
}

/// Puts the dumps where CRIU looks for them: each in a directory `parent` of the one after it. The source may
/// have the nearest ones itself; what was given stands below them.
///
/// # Errors
/// [`Error::Refused`] for dumps that cannot be read again, and for links that lead to themselves.
pub(super) fn put(plan: &mut Plan, checkpoint: &Checkpoint) -> Result<(), Error> {
    let images = checkpoint.images_directory();
    let gathered = plan.gather_parents(images)?;
    plan.note_moved(&gathered);
    let mut place = gathered.end;
    let mut previous = checkpoint.previous();
    for _ in 0..MAX_PARENTS {
        let Some(earlier) = previous else { break };
        let files = files(earlier)?;
        let count = files.len();
        plan.remove(&place);
        for (name, entry) in files {
            if matches!(entry.content, Content::Streamed(_)) {
                return Err(Error::refused(format!(
                    "`{}` of the parent is too large to be held, and is compressed",
                    Name::from(name.as_slice())
                ))
                .hinted("decompress the parent first; a plain tar or a directory can be read anywhere"));
            }
            plan.put(joined(&place, &name), entry);
        }
        plan.add_directories();
        plan.note(&place, "added", format!("{count} files of the dump before"));
        // Behind those that it has itself.
        place = plan.gather_parents(&place)?.end;
        previous = earlier.previous();
    }
    if let Some(directory) = plan.get_mut(images) {
        directory.mode = Entry::directory().mode;
    }
    Ok(())
}

/// The page maps of a checkpoint.
pub(super) fn maps(checkpoint: &Checkpoint) -> Vec<String> {
    let names = checkpoint.image_members().map(|(name, _)| name).filter(|name| is_map(name));
    let mut names: Vec<String> =
        names.filter_map(|name| std::str::from_utf8(name).ok().map(str::to_owned)).collect();
    names.sort_unstable();
    names
}
