//! Members named on the command line.

use ckx_archive::tarball::EntryKind;
use ckx_archive::{Archive, Member};
use ckx_core::Name;

use crate::error::CliError;

/// What a path names in an archive.
pub enum Place<'a, 'p> {
    /// These members: one, or what lies below a directory.
    Members(Vec<&'a Member>),
    /// Something in a member that is a tar, by its path there; empty for all of it.
    Inner(&'a Member, &'p [u8]),
    /// Nothing.
    Missing,
}

/// Finds what a path names. A member that is a tar is looked into, unless nothing else is meant.
pub fn place<'a, 'p>(archive: &'a Archive, path: &'p [u8]) -> Place<'a, 'p> {
    if path.is_empty() {
        return Place::Members(archive.members().iter().collect());
    }
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for end in ends.chain([path.len()]) {
        let (name, rest) = path.split_at_checked(end).unwrap_or((path, b""));
        let member = archive.get(name).filter(|member| member.kind == EntryKind::File);
        if let Some(member) = member
            && archive.inner(member, None).is_ok()
        {
            return Place::Inner(member, rest.strip_prefix(b"/").unwrap_or(rest));
        }
    }
    match below(archive, path) {
        members if members.is_empty() => Place::Missing,
        members => Place::Members(members),
    }
}

/// The members at a path and below it; all of them for an empty path.
pub fn below<'a>(archive: &'a Archive, path: &[u8]) -> Vec<&'a Member> {
    let is_below = |member: &&Member| {
        path.is_empty() || member.name.strip_prefix(path).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    };
    archive.members().iter().filter(is_below).collect()
}

/// The error for a path that names nothing, with the names that may be meant.
pub fn missing(archive: &Archive, path: &[u8]) -> CliError {
    missing_in(archive, path, path)
}

/// The same for a path in a member that is a tar: `whole` is the path as it was asked for.
pub fn missing_in(archive: &Archive, path: &[u8], whole: &[u8]) -> CliError {
    let error =
        CliError::new(format!("`{}` has no member `{}`", archive.source().path.display(), Name::from(whole)));
    let holder = whole.strip_suffix(path).unwrap_or_default();
    match nearest(archive, path) {
        Some(member) => {
            error.hinted(format!("did you mean `{}`?", Name::from([holder, &*member.name].concat())))
        }
        None => error.hinted("`ckx ls` lists the members"),
    }
}

/// The member that may be meant: one of the same file name, or of one that is nearly the same.
fn nearest<'a>(archive: &'a Archive, path: &[u8]) -> Option<&'a Member> {
    let last = |name: &[u8]| {
        String::from_utf8_lossy(name.rsplit(|byte| *byte == b'/').next().unwrap_or_default()).into_owned()
    };
    let wanted = last(path);
    let likeness = |member: &&Member| (strsim::jaro_winkler(&last(&member.name), &wanted) * 1000.0) as u32;
    let best = archive.members().iter().take(MAX_COMPARED).max_by_key(likeness)?;
    (likeness(&best) > 900).then_some(best)
}

/// Members that a name is compared with. A hostile archive has any number of them.
const MAX_COMPARED: usize = 10_000;

/// Seconds since 1970 as RFC 3339 text.
pub fn time(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| format!("@{seconds}"), |time| time.to_string())
}
