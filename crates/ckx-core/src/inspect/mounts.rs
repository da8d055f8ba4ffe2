//! `mounts`: the mounts as they were, and how they differ from what the container was declared with.

use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::model::{self, MountNamespace};
use crate::outline::{Cell, Node, Outline};
use crate::{Checkpoint, Issue, Name};

/// The mounts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Mounts {
    /// Mounts by mount namespace.
    pub namespaces: Vec<Namespace>,
    /// Mounts that the specification declares and that were not there.
    pub missing: Vec<String>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A mount namespace.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Namespace {
    /// Number of the namespace, as in the name of its image.
    pub id: u64,
    /// Mounts: each below its parent.
    pub mounts: Vec<Mount>,
}

/// A mount, and why it is there.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Mount {
    /// The mount.
    #[serde(flatten)]
    pub mount: model::Mount,
    /// What declares it; absent without a specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declared>,
}

/// What declares a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Declared {
    /// It is the root file system.
    Root,
    /// The list of mounts.
    Mounts,
    /// It lies below a declared mount and of the same source: runtimes mount cgroups one by one.
    Below,
    /// The list of paths that are hidden from the container.
    MaskedPaths,
    /// The list of paths that it may only read.
    ReadonlyPaths,
    /// Nothing: it was made after the container was started, or by its processes.
    Nothing,
}

impl Collect for Mounts {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let (namespaces, issues) = model::mounts(checkpoint);
        let spec = &checkpoint.container().documents.spec;
        let declared = Spec::read(checkpoint).filter(|_| spec.is_there());
        let there: HashSet<&[u8]> = namespaces
            .iter()
            .flat_map(|namespace| &namespace.mounts)
            .map(|mount| mount.mountpoint.as_bytes())
            .collect();
        let missing = match &declared {
            Some(spec) if !namespaces.is_empty() => {
                let listed = spec.mounts.iter().filter(|(path, _)| !there.contains(path.as_bytes()));
                let mut missing: Vec<String> = listed.map(|(path, _)| path.clone()).collect();
                missing.sort();
                missing
            }
            _ => Vec::new(),
        };
        let namespaces = namespaces.into_iter().map(|each| Namespace::of(each, declared.as_ref())).collect();
        Self { namespaces, missing, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for namespace in &self.namespaces {
            let mut inner = Outline { nodes: tree(&namespace.mounts, 0) };
            if self.namespaces.len() > 1 {
                let line = vec![
                    Cell::Text(format!("namespace {}", namespace.id)),
                    Cell::Faint(format!("{} mounts", namespace.mounts.len())),
                ];
                outline.group(line, inner);
            } else {
                outline.nodes.append(&mut inner.nodes);
            }
        }
        for path in &self.missing {
            outline.line(Cell::Line(vec![
                Cell::Marked("declared, and not there:".to_owned()),
                Cell::from(path),
            ]));
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// What the specification declares.
struct Spec {
    /// Mounts with their sources, by destination.
    mounts: HashMap<String, String>,
    masked: HashSet<String>,
    readonly: HashSet<String>,
}

impl Spec {
    fn read(checkpoint: &Checkpoint) -> Option<Self> {
        let spec = &checkpoint.container().documents.spec;
        let mounts = spec.at(&["mounts"])?.as_array()?.iter().filter_map(|mount| {
            let text = |key: &str| Some(mount.get(key)?.as_str()?.to_owned());
            Some((normal(&text("destination")?), text("source").unwrap_or_default()))
        });
        Some(Self {
            mounts: mounts.collect(),
            masked: spec.texts(&["linux", "maskedPaths"]).into_iter().collect(),
            readonly: spec.texts(&["linux", "readonlyPaths"]).into_iter().collect(),
        })
    }

    fn declares(&self, mount: &model::Mount) -> Declared {
        let path = mount.mountpoint.to_string();
        let source = mount.source.to_string();
        let is_below = |(above, from): (&String, &String)| {
            *from == source && path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
        };
        if path == "/" {
            Declared::Root
        } else if self.mounts.contains_key(&path) {
            Declared::Mounts
        } else if self.masked.contains(&path) {
            Declared::MaskedPaths
        } else if self.readonly.contains(&path) {
            Declared::ReadonlyPaths
        } else if self.mounts.iter().any(is_below) {
            Declared::Below
        } else {
            Declared::Nothing
        }
    }
}

/// Some specifications end a directory in a slash.
fn normal(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

impl Namespace {
    fn of(namespace: MountNamespace, spec: Option<&Spec>) -> Self {
        let mounts = namespace.mounts.into_iter().map(|mount| {
            let declared = spec.map(|spec| spec.declares(&mount));
            Mount { mount, declared }
        });
        Self { id: namespace.id, mounts: mounts.collect() }
    }
}

/// Levels that are drawn as a tree. Deeper ones stand side by side: a hostile image has any number.
const MAX_DEPTH: u32 = 32;

fn tree(mounts: &[Mount], depth: u32) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut rest = mounts;
    while let Some((mount, after)) = rest.split_first() {
        let below = after.iter().take_while(|other| other.mount.depth > depth && depth < MAX_DEPTH).count();
        let (children, others) = after.split_at_checked(below).unwrap_or((after, &[]));
        nodes.push(Node::Group(mount.line(), tree(children, depth + 1)));
        rest = others;
    }
    nodes
}

impl Mount {
    fn line(&self) -> Vec<Cell> {
        let mount = &self.mount;
        let faint = |text: &str| Cell::Faint(text.to_owned());
        let mut line = vec![Cell::from(&mount.mountpoint)];
        match &mount.fstype {
            Some(fstype) => line.push(fstype.into()),
            None if mount.is_external => {}
            None => line.push(faint("unknown type")),
        }
        line.push(Cell::Faint(self.words().join(",")));
        match self.declared {
            Some(Declared::Nothing) => line.push(Cell::Marked("not declared".to_owned())),
            Some(Declared::MaskedPaths) => line.push(faint("masked")),
            _ => {}
        }
        if mount.is_deleted {
            line.push(Cell::Marked("deleted".to_owned()));
        }
        let is_part = mount.root.as_bytes() != b"/";
        if mount.is_external {
            line.push(faint("external"));
        }
        if is_part
            && self.declared != Some(Declared::MaskedPaths)
            && self.declared != Some(Declared::ReadonlyPaths)
        {
            line.extend([faint("from"), Cell::from(&mount.root)]);
        }
        line
    }

    /// Flags and propagation; what nearly all mounts have is left out.
    fn words(&self) -> Vec<String> {
        let mount = &self.mount;
        let usual = |word: &&String| !matches!(word.as_str(), "relatime" | "private" | "bind");
        let mut words: Vec<String> = mount.flags.iter().filter(usual).cloned().collect();
        if mount.sb_flags.iter().any(|word| word == "ro") && words.first().is_some_and(|word| word == "rw") {
            words.push("filesystem ro".to_owned());
        }
        words.extend(mount.shared_id.map(|id| format!("shared:{id}")));
        words.extend(mount.master_id.map(|id| format!("master:{id}")));
        words
    }
}

/// Where a file system with this device number is mounted: the first mount of all of it.
pub(crate) fn mountpoint_of(
    namespaces: &[MountNamespace],
    is: impl Fn(&model::Mount) -> bool,
) -> Option<Name> {
    let all = || namespaces.iter().flat_map(|namespace| &namespace.mounts).filter(|mount| is(mount));
    let whole = all().find(|mount| mount.root.as_bytes() == b"/");
    whole.or_else(|| all().next()).map(|mount| mount.mountpoint.clone())
}
