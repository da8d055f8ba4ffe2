//! Layers of an image, united as an overlay: later ones win, whiteouts hide what lies below.
//!
//! Only names in the layers are whiteouts. Those inside a tar that is a member of a layer (the changes
//! of a root file system) are data.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::archive::Member;
use crate::tarball::EntryKind;

/// The members that are visible, each with its place in the order of layers.
#[derive(Default)]
pub(super) struct Union {
    /// By name. Several of one name in one layer stay: that is the archive's fault to tell.
    visible: BTreeMap<Box<[u8]>, Vec<(u64, Member)>>,
    order: u64,
}

/// What a whiteout hides.
enum Whiteout<'n> {
    /// This name in this directory.
    Name(&'n [u8], &'n [u8]),
    /// Everything in this directory.
    Opaque(&'n [u8]),
    /// Nothing: book-keeping of a file system, or a name that is none.
    Nothing,
}

impl Union {
    /// Puts a layer on top.
    pub fn add(&mut self, layer: impl IntoIterator<Item = Member>) {
        let mut members = Vec::new();
        for member in layer {
            // Whiteouts hide what lies below this layer, wherever they stand in it.
            match whiteout(&member.name) {
                Some(Whiteout::Name(directory, name)) => self.hide(&crate::archive::joined(directory, name)),
                Some(Whiteout::Opaque(directory)) => self.hide_below(directory),
                Some(Whiteout::Nothing) => {}
                None => members.push(from_the_root(member)),
            }
        }
        if self.order > 0 {
            // A file in the place of a directory hides what was in that.
            for member in members.iter().filter(|member| member.kind != EntryKind::Directory) {
                self.hide_below(&member.name);
            }
        }
        let first = self.order;
        for member in members {
            let same = self.visible.entry(member.name.clone()).or_default();
            same.retain(|(order, _)| *order >= first);
            same.push((self.order, member));
            self.order += 1;
        }
    }

    /// All that is visible, in the order of layers and of members in them.
    pub fn members(self) -> Vec<Member> {
        let mut all: Vec<(u64, Member)> = self.visible.into_values().flatten().collect();
        all.sort_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, member)| member).collect()
    }

    fn hide(&mut self, name: &[u8]) {
        self.visible.remove(name);
        self.hide_below(name);
    }

    fn hide_below(&mut self, directory: &[u8]) {
        if directory.is_empty() {
            self.visible.clear();
            return;
        }
        let start: Box<[u8]> = [directory, b"/"].concat().into();
        let below = self.visible.range::<[u8], _>((Bound::Included(&*start), Bound::Unbounded));
        let names: Vec<Box<[u8]>> =
            below.take_while(|(name, _)| name.starts_with(&start)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.visible.remove(&name);
        }
    }
}

/// Layers are unpacked at the root of a file system, so a leading slash means nothing.
fn from_the_root(mut member: Member) -> Member {
    let slashes = member.name.iter().take_while(|byte| **byte == b'/').count();
    if slashes > 0 {
        member.name = member.name[slashes..].into();
    }
    member
}

fn whiteout(name: &[u8]) -> Option<Whiteout<'_>> {
    let (directory, last) = match name.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (&b""[..], name),
    };
    let hidden = last.strip_prefix(b".wh.")?;
    let directory = directory.strip_prefix(b"/").unwrap_or(directory);
    Some(match hidden {
        b".wh..opq" => Whiteout::Opaque(directory),
        // `.wh..wh.aufs` and its like; `.wh.` alone hides nothing that could be there.
        hidden if hidden.is_empty() || hidden.starts_with(b".wh.") => Whiteout::Nothing,
        hidden => Whiteout::Name(directory, hidden),
    })
}
