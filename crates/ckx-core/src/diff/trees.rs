//! `rootfs`, `tmpfs`, `volumes`: files, one by one, out of the tars in which they are.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::{BufReader, Cursor, Read};

use ckx_archive::archive::Absent;
use ckx_archive::tarball::{EntryKind, Step, TarMember, stream};
use ckx_archive::{Archive, Compression, Error, MAGIC_BYTES, Member};
use ckx_criu::typed::messages::MntEntry;
use serde_json::{Map, Value};
use twox_hash::XxHash3_128;

use crate::diff::change::Change;
use crate::diff::{Comparison, Pair, Side};
use crate::load::Loader;
use crate::{Checkpoint, ImageSet, Issue, Name};

/// A tree of files in both checkpoints: what it is called, and the names of its tars.
type Tree = (String, [Option<Vec<u8>>; 2]);

/// Changes of the root file system.
pub(super) fn rootfs(pair: &Pair<'_>) -> Comparison {
    let name = b"rootfs-diff.tar".to_vec();
    let mut found = trees(pair, vec![("rootfs".to_owned(), [Some(name.clone()), Some(name)])]);
    deleted(pair, &mut found);
    found
}

/// File systems in memory, by the place where they are mounted.
pub(super) fn tmpfs(pair: &Pair<'_>) -> Comparison {
    let mut found = Comparison::default();
    let mut all = by_name([mounted(pair, Side::Before, &mut found), mounted(pair, Side::After, &mut found)]);
    let shm = b"devshm-checkpoint.tar".to_vec();
    all.push(("tmpfs /dev/shm".to_owned(), [Some(shm.clone()), Some(shm)]));
    let trees = trees(pair, all);
    found.changes.extend(trees.changes);
    found.issues.extend(trees.issues);
    found.same += trees.same;
    found
}

/// Volumes, by name.
pub(super) fn volumes(pair: &Pair<'_>) -> Comparison {
    let of = |checkpoint: &Checkpoint| -> BTreeMap<String, Vec<u8>> {
        let members = checkpoint.archive().current().filter(|member| member.kind == EntryKind::File);
        let volumes = members.filter_map(|member| {
            let name = member.name.strip_prefix(b"volumes/")?.strip_suffix(b".tar")?;
            Some((format!("volume {}", Name::from(name)), member.name.to_vec()))
        });
        volumes.collect()
    };
    trees(pair, by_name([of(pair.before), of(pair.after)]))
}

/// Lines up tars by what they are called.
fn by_name([before, after]: [BTreeMap<String, Vec<u8>>; 2]) -> Vec<Tree> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let both = |name: &&String| ((*name).clone(), [before.get(*name).cloned(), after.get(*name).cloned()]);
    names.iter().map(both).collect()
}

/// Images of file systems in memory: they are named by a number of the device, which the table of mounts
/// knows.
fn mounted(pair: &Pair<'_>, side: Side, found: &mut Comparison) -> BTreeMap<String, Vec<u8>> {
    let checkpoint = pair.side(side);
    let mut loader = Loader::new(checkpoint);
    let mut mounts: BTreeMap<u64, Name> = BTreeMap::new();
    for image in checkpoint.names().iter().filter(|name| name.starts_with(b"mountpoints-")) {
        let Ok(records) = loader.records::<MntEntry>(&Name::from(image).to_string()) else { continue };
        for mount in records.entries.iter().filter(|mount| mount.root == b"/") {
            mounts.entry(mount.root_dev.into()).or_insert_with(|| Name::from(&mount.mountpoint));
        }
    }
    found.issues.extend(loader.into_issues().into_iter().map(|issue| (side, issue)));
    let images = checkpoint.image_members().filter_map(|(name, member)| {
        let device = crate::interest::number_in(name, b"tmpfs-dev-", b".tar.gz.img")
            .or_else(|| crate::interest::number_in(name, b"tmpfs-", b".tar.gz.img"))?;
        let place = mounts.get(&device).map_or_else(|| format!("device {device}"), Name::to_string);
        Some((format!("tmpfs {}", place.strip_prefix('.').unwrap_or(&place)), member.name.to_vec()))
    });
    images.collect()
}

fn trees(pair: &Pair<'_>, all: Vec<Tree>) -> Comparison {
    let mut found = Comparison::default();
    for (called, names) in all {
        let mut read = |side: Side, name: &Option<Vec<u8>>| match name {
            Some(name) => Files::read(pair.side(side), name).unwrap_or_else(|issue| {
                found.issues.push((side, issue));
                Files { is_lost: true, ..Files::default() }
            }),
            None => Files::default(),
        };
        let (before, after) = (read(Side::Before, &names[0]), read(Side::After, &names[1]));
        for (side, files, name) in [(Side::Before, &before, &names[0]), (Side::After, &after, &names[1])] {
            let image = name.as_ref().map_or_else(String::new, |name| Name::from(name).to_string());
            let count = files.unknown();
            if count > 0 && !files.is_lost {
                let reason = format!(
                    "contents of {count} files were not compared, only sizes and times: {}",
                    Absent::NotKept.reason()
                );
                found.issues.push((side, Issue::new(&image, "not-compared", reason)));
            }
        }
        if !before.is_lost && !after.is_lost {
            compare(&called, &before, &after, pair.options.keep_same, &mut found);
        }
    }
    found
}

/// Files of a tree that are compared. A compressed tar of a few megabytes can hold any number.
const MAX_FILES: usize = 1 << 20;

/// The files of a tar.
#[derive(Default)]
struct Files {
    by_path: BTreeMap<Vec<u8>, File>,
    is_lost: bool,
}

/// A file, as far as two of one path can differ.
struct File {
    fields: Map<String, Value>,
    /// Hash of its content; `None` where that is not at hand.
    content: Option<u128>,
    is_directory: bool,
}

impl Files {
    /// Reads a tar, if there is one. Contents are hashed as they go by.
    fn read(checkpoint: &Checkpoint, name: &[u8]) -> Result<Self, Issue> {
        let Some(member) = checkpoint.archive().get(name) else { return Ok(Self::default()) };
        let image = Name::from(name).to_string();
        let fail = |reason: String| Issue::new(&image, "unreadable", reason);
        if let Some(listed) = member.listed() {
            return match Self::passing(checkpoint.archive(), member) {
                Ok(read) => read.map_err(fail),
                // What came once is known by its list.
                Err(_) => Ok(Self::listed(listed)),
            };
        }
        let (data, cut) =
            checkpoint.archive().read_partial(member).map_err(|error| Issue::unreadable(&image, &error))?;
        let files = Self::parse(data.as_ref()).map_err(fail)?;
        cut.map_or(Ok(files), |reason| Err(fail(reason)))
    }

    /// Reads the files of a tar in any compression. A fault is told in words.
    fn parse(mut tar: impl Read) -> Result<Self, String> {
        let mut head = Vec::with_capacity(MAGIC_BYTES);
        tar.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut head).map_err(|error| error.to_string())?;
        let compression = Compression::of(&head);
        let all = BufReader::new(Cursor::new(head).chain(tar));
        let plain = compression.decode(all).map_err(|error| error.to_string())?;
        let mut files = Self::default();
        let end = stream(plain, |head, content| {
            if files.by_path.len() >= MAX_FILES {
                return Ok::<_, Infallible>(Step::Stop);
            }
            let hash = (head.kind == EntryKind::File).then(|| hash(content));
            files.by_path.insert(head.name.to_vec(), File::of(head, hash.flatten()));
            Ok(Step::Next)
        });
        if files.by_path.len() >= MAX_FILES {
            return Err(format!("it has {MAX_FILES} files or more, which are not compared"));
        }
        match end {
            Ok(Err(fault)) => Err(fault.to_string()),
            _ => Ok(files),
        }
    }

    /// Reads a tar in a source that is decoded once, in another pass over that: one thread decodes, another
    /// reads the tar. The outer error says that there is no other pass.
    fn passing(archive: &Archive, member: &Member) -> Result<Result<Self, String>, ()> {
        let (mut output, mut input) = std::io::pipe().map_err(drop)?;
        std::thread::scope(|scope| {
            let decoder = scope.spawn(move || archive.write_to(member, &mut input));
            let files = Self::parse(&mut output);
            // A reader that ends too soon would be an error of the writer.
            let _ = std::io::copy(&mut output, &mut std::io::sink());
            match decoder.join() {
                Ok(Ok(_)) => Ok(files),
                Ok(Err(Error::ReadOnce { .. })) | Err(_) => Err(()),
                Ok(Err(error)) => Ok(Err(error.to_string())),
            }
        })
    }

    /// Files whose contents went by, and are not known.
    fn listed(list: &[Member]) -> Self {
        let by_path = list.iter().map(|inner| (inner.name.to_vec(), File::listed(inner))).collect();
        Self { by_path, ..Self::default() }
    }

    /// How many files have a content that is not known.
    fn unknown(&self) -> usize {
        let is_file = |file: &&File| file.fields.get("type") == Some(&Value::from("file"));
        self.by_path.values().filter(|file| file.content.is_none()).filter(is_file).count()
    }
}

fn hash(content: &mut dyn Read) -> Option<u128> {
    let mut hasher = XxHash3_128::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Some(hasher.finish_128()),
            Ok(read) => hasher.write(buffer.get(..read)?),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

impl File {
    fn of(head: &TarMember, content: Option<u128>) -> Self {
        let numbers = [head.size_bytes, head.mode.into(), head.uid, head.gid, head.mtime_s];
        Self::new(head.kind, head.link.as_deref(), numbers, content)
    }

    fn listed(member: &Member) -> Self {
        let numbers = [member.size_bytes, member.mode.into(), member.uid, member.gid, member.mtime_s];
        Self::new(member.kind, member.link.as_deref(), numbers, None)
    }

    fn new(kind: EntryKind, link: Option<&[u8]>, numbers: [u64; 5], content: Option<u128>) -> Self {
        let [size, mode, uid, gid, mtime] = numbers;
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| _ = fields.insert(name.to_owned(), value);
        put("type", word(kind).into());
        if kind == EntryKind::File {
            put("size_bytes", size.into());
        }
        put("mode", format!("{mode:04o}").into());
        put("uid", uid.into());
        put("gid", gid.into());
        // That of a directory says that something in it came or went, which is told itself; that of a link
        // or a device only when it was made.
        if kind == EntryKind::File {
            put("mtime_s", mtime.into());
        }
        if let Some(link) = link {
            put("target", Name::from(link).to_string().into());
        }
        Self { fields, content, is_directory: kind == EntryKind::Directory }
    }

    fn value(&self) -> Value {
        Value::Object(self.fields.clone())
    }
}

fn word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink => "symlink",
        EntryKind::Hardlink => "hardlink",
        EntryKind::CharDevice => "char",
        EntryKind::BlockDevice => "block",
        EntryKind::Fifo => "fifo",
    }
}

fn compare(called: &str, before: &Files, after: &Files, keep_same: bool, found: &mut Comparison) {
    let paths: BTreeSet<&Vec<u8>> = before.by_path.keys().chain(after.by_path.keys()).collect();
    for path in paths {
        // The top of the tree has no name.
        let shown = format!("{called}[/{}]", Name::from(path.strip_prefix(b"/").unwrap_or(path)));
        let change = match (before.by_path.get(path), after.by_path.get(path)) {
            (Some(a), Some(b)) => match differing(a, b) {
                Some((a, b)) => Change::new(shown, Some(a), Some(b)),
                None => {
                    found.same += 1;
                    found.changes.extend(keep_same.then(|| Change::same(shown)));
                    continue;
                }
            },
            (a, b) => Change::new(shown, a.map(File::value), b.map(File::value)),
        };
        found.changes.push(change);
    }
}

/// The fields that differ, of both.
fn differing(a: &File, b: &File) -> Option<(Value, Value)> {
    let (mut before, mut after) = (Map::new(), Map::new());
    for name in a.fields.keys().chain(b.fields.keys()) {
        let (old, new) = (a.fields.get(name), b.fields.get(name));
        if old != new {
            before.insert(name.clone(), old.cloned().unwrap_or(Value::Null));
            after.insert(name.clone(), new.cloned().unwrap_or(Value::Null));
        }
    }
    if let (Some(old), Some(new)) = (a.content, b.content)
        && old != new
        && !(a.is_directory || b.is_directory)
    {
        before.insert("content_xxh3".to_owned(), format!("{old:032x}").into());
        after.insert("content_xxh3".to_owned(), format!("{new:032x}").into());
    }
    (!before.is_empty()).then_some((Value::Object(before), Value::Object(after)))
}

/// Files of the image that were deleted: Podman and CRI-O list them beside the tar.
fn deleted(pair: &Pair<'_>, found: &mut Comparison) {
    let mut read = |side: Side| match pair.side(side).json("deleted.files") {
        Ok(Some(Value::Array(list))) => Some(list.iter().map(plain).collect::<BTreeSet<String>>()),
        Ok(_) => Some(BTreeSet::new()),
        Err(issue) => {
            found.issues.push((side, issue));
            None
        }
    };
    let (Some(before), Some(after)) = (read(Side::Before), read(Side::After)) else { return };
    found.same += before.intersection(&after).count() as u64;
    let path = |name: &String| format!("rootfs.deleted[{name}]");
    let told = || Some(Value::from("deleted"));
    found.changes.extend(before.difference(&after).map(|name| Change::new(path(name), told(), None)));
    found.changes.extend(after.difference(&before).map(|name| Change::new(path(name), None, told())));
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
