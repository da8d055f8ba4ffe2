//! Earlier dumps in a plan: each in a directory `parent` of the one after it.

use ckx_archive::tarball::EntryKind;
use ckx_core::Name;

use crate::Error;
use crate::plan::Plan;

/// Deepest chain of dumps that is taken.
pub(crate) const MAX_PARENTS: usize = 64;

/// What was done to have the earlier dumps of a plan one below the other.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// Where the dump before the last one would be. There may be a link that leads out of the source.
    pub end: Vec<u8>,
    /// Links, and the directories that are in their places now.
    moved: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Plan {
    /// Moves the images of earlier dumps to where the links to them stand. Podman has them beside the
    /// images and a link; no engine but Podman looks there, and containerd refuses links.
    ///
    /// # Errors
    /// [`Error::Refused`] for a link that leads to nothing in the plan.
    pub(super) fn move_parents(&mut self, images: &[u8]) -> Result<(), Error> {
        let gathered = self.gather_parents(images)?;
        if self.get(&gathered.end).is_some_and(|entry| entry.kind == EntryKind::Symlink) {
            return Err(Error::refused(format!(
                "the earlier dump that `{}` leads to is not in the source",
                Name::from(&gathered.end)
            ))
            .hinted("pages of memory are in it: name the archive that has it with --parent"));
        }
        self.note_moved(&gathered);
        Ok(())
    }

    /// The same, without a word about it and with a link that leads to nothing left as it is.
    ///
    /// # Errors
    /// [`Error::Refused`] for links that lead to themselves.
    pub(crate) fn gather_parents(&mut self, images: &[u8]) -> Result<Gathered, Error> {
        let mut moved = Vec::new();
        // A link is to be read where it was.
        let (mut original, mut directory) = (images.to_vec(), images.to_vec());
        for _ in 0..MAX_PARENTS {
            let end = joined(&directory, b"parent");
            let Some(entry) = self.get(&end) else { return Ok(Gathered { end, moved }) };
            match entry.kind {
                EntryKind::Directory => original = joined(&original, b"parent"),
                EntryKind::Symlink => {
                    let target = resolve(&original, &entry.link);
                    let members = target.as_deref().map(|target| self.below(target)).unwrap_or_default();
                    let Some(target) = target.filter(|_| !members.is_empty()) else {
                        return Ok(Gathered { end, moved });
                    };
                    if is_below(&end, &target) {
                        return Err(Error::refused(format!(
                            "the earlier dump that `{}` leads to has the link in it",
                            Name::from(&end)
                        ))
                        .hinted("no engine writes such links: do not trust this archive"));
                    }
                    self.rename(&members, &target, &end);
                    moved.push((end.clone(), target.clone()));
                    original = target;
                }
                _ => return Ok(Gathered { end, moved }),
            }
            directory = end;
        }
        Err(Error::refused(format!("the checkpoint stands on more than {MAX_PARENTS} earlier dumps")))
    }

    /// Notes what was moved.
    pub(crate) fn note_moved(&mut self, gathered: &Gathered) {
        for (link, target) in &gathered.moved {
            let detail = format!("from {}: engines find an earlier dump only here", Name::from(target));
            self.note(link, "renamed", detail);
        }
    }

    fn rename(&mut self, members: &[Box<[u8]>], from: &[u8], to: &[u8]) {
        self.remove(to);
        for name in members {
            let Some(entry) = self.remove(name) else { continue };
            let rest = name.strip_prefix(from).unwrap_or_default();
            self.put([to, rest].concat(), entry);
        }
        self.add_directories();
    }
}

/// Whether a path is another one, or below it. All are below the empty path.
pub(super) fn is_below(path: &[u8], other: &[u8]) -> bool {
    other.is_empty() || matches!(path.strip_prefix(other), Some([] | [b'/', ..]))
}

/// A path in an archive that a link in `directory` leads to; `None` when it leads out of it.
fn resolve(directory: &[u8], link: &[u8]) -> Option<Vec<u8>> {
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

pub(crate) fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
