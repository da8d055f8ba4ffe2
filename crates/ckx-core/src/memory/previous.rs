//! The dump before a dump.

use ckx_archive::tarball::EntryKind;

use crate::Checkpoint;
use crate::checkpoint::joined;

/// The previous dump: in the source, or what was given for it.
pub(super) fn previous<'c>(
    checkpoint: &'c Checkpoint,
    directory: &[u8],
) -> Option<(&'c Checkpoint, Vec<u8>)> {
    let is_there = |directory: &Vec<u8>| {
        let inventory = joined(directory, b"inventory.img");
        [directory, &inventory].iter().any(|name| checkpoint.archive().get(name).is_some())
    };
    match parent_directory(checkpoint, directory).filter(is_there) {
        Some(directory) => Some((checkpoint, directory)),
        None => checkpoint.previous().map(|previous| (previous, previous.images_directory().to_vec())),
    }
}

/// Directory of the previous dump: what `parent` beside the images names, if that is in the source.
fn parent_directory(checkpoint: &Checkpoint, directory: &[u8]) -> Option<Vec<u8>> {
    let link = checkpoint.archive().get(&joined(directory, b"parent"))?;
    if link.kind == EntryKind::Directory {
        return Some(link.name.to_vec());
    }
    let mut parts: Vec<&[u8]> =
        directory.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    for part in link.link.as_deref()?.split(|byte| *byte == b'/') {
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
