//! The dump before a dump.

use ckx_archive::tarball::EntryKind;

use crate::Checkpoint;
use crate::checkpoint::joined;

/// The previous dump: in the source, or what was given for it.
pub(super) fn previous<'c>(
    checkpoint: &'c Checkpoint,
    directory: &[u8],
) -> Option<(&'c Checkpoint, Vec<u8>)> {
    match parent_directory(checkpoint, directory).filter(|directory| has(checkpoint, directory)) {
        Some(directory) => Some((checkpoint, directory)),
        None => checkpoint.previous().map(|previous| (previous, previous.images_directory().to_vec())),
    }
}

/// Whether a directory is in the source, with an entry of its own or without.
fn has(checkpoint: &Checkpoint, directory: &[u8]) -> bool {
    let is_below = |name: &[u8]| matches!(name.strip_prefix(directory), Some([] | [b'/', ..]));
    directory.is_empty() || checkpoint.archive().members().iter().any(|member| is_below(&member.name))
}

/// Directory of the previous dump: `parent` beside the images, or what a link of that name leads to.
fn parent_directory(checkpoint: &Checkpoint, directory: &[u8]) -> Option<Vec<u8>> {
    let parent = joined(directory, b"parent");
    let link = match checkpoint.archive().get(&parent) {
        Some(member) if member.kind == EntryKind::Symlink => member.link.as_deref()?,
        _ => return Some(parent),
    };
    if link.starts_with(b"/") {
        return None;
    }
    let mut parts: Vec<&[u8]> =
        directory.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    for part in link.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}
