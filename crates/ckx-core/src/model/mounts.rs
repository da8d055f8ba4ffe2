//! Mounts as they really were when the processes were dumped.

use std::collections::{BTreeSet, HashMap, HashSet};

use ckx_criu::display::split_dev;
use ckx_criu::typed::messages::{Fstype, InventoryEntry, MntEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::load::Loader;
use crate::{Checkpoint, ImageSet, Issue, Name};

/// The mounts of one mount namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MountNamespace {
    /// Number of the namespace, as in the name of its image.
    pub id: u64,
    /// Mounts: each below its parent, and mounts of one parent by their place.
    pub mounts: Vec<Mount>,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mount {
    /// Its id in the kernel.
    pub mnt_id: u32,
    /// Id of the mount that it lies in.
    pub parent_mnt_id: u32,
    /// Levels above it.
    pub depth: u32,
    /// Where it is mounted.
    pub mountpoint: Name,
    /// Type of the file system; `None` where CRIU does not dump it, as of external mounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fstype: Option<Name>,
    /// Device or other source.
    pub source: Name,
    /// Directory of the file system that is mounted here.
    pub root: Name,
    /// Device number of the file system, `MAJOR:MINOR`.
    pub root_dev: String,
    /// Flags, in the words of `/proc/self/mountinfo`.
    pub flags: Vec<String>,
    /// Flags of the file system itself.
    pub sb_flags: Vec<String>,
    /// Options of the file system.
    pub options: Name,
    /// Peer group that it shares mounts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_id: Option<u32>,
    /// Peer group that it gets mounts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_id: Option<u32>,
    /// Whether it comes from outside: its content is not in the checkpoint.
    pub is_external: bool,
    /// Key under which the engine gives it again at the restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext_key: Option<Name>,
    /// Whether the mounted directory had been deleted.
    pub is_deleted: bool,
    /// The number of the device as it stands in the image.
    #[serde(skip)]
    pub device: u32,
}

/// Flags of mounts, and their words.
const FLAGS: &[(u32, &str)] = &[
    (1 << 1, "nosuid"),
    (1 << 2, "nodev"),
    (1 << 3, "noexec"),
    (1 << 4, "sync"),
    (1 << 6, "mand"),
    (1 << 7, "dirsync"),
    (1 << 8, "nosymfollow"),
    (1 << 10, "noatime"),
    (1 << 11, "nodiratime"),
    (1 << 12, "bind"),
    (1 << 17, "unbindable"),
    (1 << 18, "private"),
    (1 << 19, "slave"),
    (1 << 20, "shared"),
    (1 << 21, "relatime"),
    (1 << 24, "strictatime"),
    (1 << 25, "lazytime"),
];

/// Flags as words; what has no word as a number.
fn flags(bits: u32) -> Vec<String> {
    let mut words = vec![if bits & 1 == 0 { "rw" } else { "ro" }.to_owned()];
    words.extend(FLAGS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| (*word).to_owned()));
    let rest = FLAGS.iter().fold(bits & !1, |rest, (bit, _)| rest & !bit);
    if rest != 0 {
        words.push(format!("{rest:#x}"));
    }
    words
}

/// The type of a file system in the kernel's words.
fn fstype(entry: &MntEntry) -> Option<Name> {
    let number = i32::try_from(entry.fstype).unwrap_or(-1);
    Some(Name::from(match Fstype::try_from(number) {
        Ok(Fstype::Unsupported) => return None,
        Ok(Fstype::Auto) => match entry.fsname.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => return Some(Name::from(name)),
            None => "auto".to_owned(),
        },
        Ok(Fstype::Overlayfs) => "overlay".to_owned(),
        Ok(Fstype::BinfmtMisc) => "binfmt_misc".to_owned(),
        Ok(known) => format!("{known:?}").to_lowercase(),
        Err(_) => entry.fstype.to_string(),
    }))
}

impl Mount {
    fn of(entry: MntEntry, depth: u32) -> Self {
        let (major, minor) = split_dev(entry.root_dev.into());
        let some = |id: Option<u32>| id.filter(|id| *id != 0);
        Self {
            mnt_id: entry.mnt_id,
            parent_mnt_id: entry.parent_mnt_id,
            depth,
            fstype: fstype(&entry),
            root_dev: format!("{major}:{minor}"),
            device: entry.root_dev,
            flags: flags(entry.flags),
            sb_flags: entry.sb_flags.map(flags).unwrap_or_default(),
            shared_id: some(entry.shared_id),
            master_id: some(entry.master_id),
            is_external: entry.ext_mount == Some(true) || entry.ext_key.is_some(),
            ext_key: entry.ext_key.map(Name::from),
            is_deleted: entry.deleted == Some(true),
            mountpoint: entry.mountpoint.into(),
            source: entry.source.into(),
            root: entry.root.into(),
            options: entry.options.into(),
        }
    }
}

/// The mounts of all mount namespaces, and what is wrong with their images.
pub fn mounts(checkpoint: &Checkpoint) -> (Vec<MountNamespace>, Vec<Issue>) {
    let mut loader = Loader::new(checkpoint);
    let mut namespaces = Vec::new();
    for name in checkpoint.names() {
        let Ok(name) = String::from_utf8(name) else { continue };
        let id = name.strip_prefix("mountpoints-").and_then(|rest| rest.strip_suffix(".img"));
        let Some(id) = id.and_then(|id| id.parse().ok()) else { continue };
        if let Ok(records) = loader.records::<MntEntry>(&name) {
            namespaces.push(MountNamespace { id, mounts: in_tree(records.entries) });
        }
    }
    namespaces.sort_by_key(|namespace| namespace.id);
    for name in unlisted(checkpoint, &mut loader) {
        loader.tell(Issue::missing(&name));
    }
    (namespaces, loader.into_issues())
}

/// Images that ought to be there: those of mount namespaces that are not CRIU's own. Before namespaces had
/// numbers one could not tell which these are.
fn unlisted(checkpoint: &Checkpoint, loader: &mut Loader<'_>) -> Vec<String> {
    let Ok(inventory) = loader.records_if_any::<InventoryEntry>("inventory.img") else { return Vec::new() };
    let inventory = inventory.entries.into_iter().next().filter(|each| each.ns_per_id == Some(true));
    let own = inventory.and_then(|inventory| inventory.root_ids?.mnt_ns_id);
    let living = checkpoint.processes().list.iter().filter(|process| !process.is_zombie());
    let others = living.filter_map(|process| process.ids.as_ref()?.mnt_ns_id.filter(|id| *id != 0));
    let others: BTreeSet<u32> = others.filter(|id| own.is_some_and(|own| own != *id)).collect();
    let names = others.into_iter().map(|id| format!("mountpoints-{id}.img"));
    names.filter(|name| checkpoint.image_member(name.as_bytes()).is_none()).collect()
}

/// Entries in the order of the tree. Parents may be missing, or be each other's.
fn in_tree(entries: Vec<MntEntry>) -> Vec<Mount> {
    let ids: HashSet<u32> = entries.iter().map(|entry| entry.mnt_id).collect();
    let mut children: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut roots = Vec::new();
    // The image has the newest mount first.
    for (at, entry) in entries.iter().enumerate() {
        if entry.parent_mnt_id == entry.mnt_id || !ids.contains(&entry.parent_mnt_id) {
            roots.push(at);
        } else {
            children.entry(entry.parent_mnt_id).or_default().push(at);
        }
    }
    let mut seen = vec![false; entries.len()];
    let mut order: Vec<(usize, u32)> = Vec::with_capacity(entries.len());
    let place = |at: &usize| entries.get(*at).map(|entry| entry.mountpoint.as_slice());
    roots.sort_by(|a, b| place(b).cmp(&place(a)));
    let mut open: Vec<(usize, u32)> = roots.into_iter().map(|at| (at, 0)).collect();
    let mut next = 0;
    loop {
        while let Some((at, depth)) = open.pop() {
            let Some(entry) = entries.get(at) else { continue };
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            order.push((at, depth));
            let mut below = children.remove(&entry.mnt_id).unwrap_or_default();
            below.sort_by(|a, b| place(b).cmp(&place(a)));
            open.extend(below.into_iter().map(|at| (at, depth.saturating_add(1))));
        }
        // What no root leads to is in a circle.
        match seen.iter().skip(next).position(|seen| !seen) {
            Some(at) => {
                next += at;
                open.push((next, 0));
            }
            None => break,
        }
    }
    let mut entries: Vec<Option<MntEntry>> = entries.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(at, depth)| Some(Mount::of(entries.get_mut(at)?.take()?, depth))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mnt_id: u32, parent_mnt_id: u32, mountpoint: &str) -> MntEntry {
        MntEntry { mnt_id, parent_mnt_id, mountpoint: mountpoint.into(), ..MntEntry::default() }
    }

    #[test]
    fn circles_and_orphans_are_listed_once() {
        let entries = vec![
            entry(5, 6, "/circle/a"),
            entry(6, 5, "/circle/b"),
            entry(3, 2, "/proc/sys"),
            entry(2, 1, "/proc"),
            entry(1, 99, "/"),
            entry(7, 7, "/self"),
        ];
        let mounts = in_tree(entries);
        let told: Vec<(String, u32)> =
            mounts.iter().map(|mount| (mount.mountpoint.to_string(), mount.depth)).collect();
        let expected =
            [("/", 0), ("/proc", 1), ("/proc/sys", 2), ("/self", 0), ("/circle/a", 0), ("/circle/b", 1)];
        assert_eq!(told, expected.map(|(name, depth)| (name.to_owned(), depth)));
    }

    #[test]
    fn flags_are_words_and_the_rest_a_number() {
        assert_eq!(flags(0x20_0001).join(","), "ro,relatime");
        assert_eq!(flags(0x4000_000e).join(","), "rw,nosuid,nodev,noexec,0x40000000");
    }
}
