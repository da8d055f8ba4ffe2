//! `cgroups`: which control groups processes were in, and what limits these had.

use std::collections::BTreeMap;

use ckx_criu::typed::messages::{CgSetEntry, CgroupDirEntry, CgroupEntry, InventoryEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::subject::living;
use crate::load::{Gap, Loader};
use crate::model::Process;
use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue, Name};

const CGROUP: &str = "cgroup.img";

/// Control groups of the dump.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cgroups {
    /// Combinations of groups that tasks were in.
    pub sets: Vec<Set>,
    /// Hierarchies with the groups that were dumped.
    pub hierarchies: Vec<Hierarchy>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A combination of groups, one per hierarchy.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Set {
    /// Its number in the dump.
    pub id: u32,
    /// Whether CRIU itself was in it; its groups are then not in the dump.
    pub is_criu: bool,
    /// Processes in it.
    pub processes: Vec<u32>,
    /// Threads in it whose process is in another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<u32>,
    /// Its groups.
    pub groups: Vec<Member>,
}

/// Place of a set in a hierarchy.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Member {
    /// The hierarchy: empty for version 2, else its controllers or `name=`.
    pub name: Name,
    /// Path of the group in the hierarchy.
    pub path: Name,
    /// Length of the front part that the cgroup namespace hides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgns_prefix: Option<u32>,
    /// The path as processes inside the namespace see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner_path: Option<Name>,
}

/// A hierarchy.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Hierarchy {
    /// Its controllers; one empty name for version 2.
    pub controllers: Vec<Name>,
    /// Whether threads of a process may be in different groups.
    pub is_threaded: bool,
    /// Its groups, each before those below it.
    pub directories: Vec<Directory>,
}

/// A group.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Directory {
    /// Path from the root of the hierarchy.
    pub path: Name,
    /// Mode bits of the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Its control files.
    pub properties: Vec<Property>,
}

/// A control file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Property {
    /// Its name, such as `memory.max`.
    pub name: Name,
    /// Its text, without the line feed at the end.
    pub value: Name,
    /// What the text limits, where it is a limit that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

/// A limit in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// No limit.
    Unlimited,
    /// Bytes of memory.
    Bytes(u64),
    /// Processes and threads.
    Tasks(u64),
    /// Processor time in a period of time.
    Cpu {
        /// Time that may be used.
        quota_us: u64,
        /// In a period of this length.
        period_us: u64,
    },
    /// A time of the processor limit, of version 1.
    TimeUs(u64),
}

impl Collect for Cgroups {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let inventory: Option<InventoryEntry> = loader.first("inventory.img").ok();
        let own = inventory.and_then(|inventory| inventory.root_cg_set).filter(|set| *set != 0);
        let entry = match loader.records_if_any::<CgroupEntry>(CGROUP) {
            Ok(records) => records.entries.into_iter().next().ok_or(Gap::Unreadable),
            Err(gap) => Err(gap),
        };
        let sets = sets(checkpoint, entry.as_ref().ok(), own);
        let lost = |set: &&Set| set.groups.is_empty() && !set.is_criu;
        let lost: Vec<u32> = sets.iter().filter(lost).map(|set| set.id).collect();
        if entry.is_ok() && !lost.is_empty() {
            let reason = "sets that tasks are in and the image has not";
            loader.tell(Issue::listing(CGROUP, "missing-set", reason, lost.into_iter()));
        } else if matches!(entry, Err(Gap::Missing)) && !lost.is_empty() {
            // CRIU writes none when it does not manage cgroups; then tasks are in no set either.
            loader.tell(Issue::missing(CGROUP));
        }
        let controllers = entry.iter().flat_map(|entry| &entry.controllers);
        let hierarchies = controllers
            .map(|controller| Hierarchy {
                controllers: controller.cnames.iter().map(Name::from).collect(),
                is_threaded: controller.is_threaded.unwrap_or_default(),
                directories: directories(&controller.dirs),
            })
            .collect();
        let mut issues = checkpoint.processes().issues_of(&[]);
        issues.extend(loader.into_issues());
        Self { sets, hierarchies, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for set in &self.sets {
            let mut inner = Outline::new();
            let mut table = Table::new(&["HIERARCHY", "PATH"]);
            for group in &set.groups {
                let path = match &group.inner_path {
                    Some(inner) => {
                        let remark = Cell::Faint(format!("({inner} inside)"));
                        Cell::Line(vec![Cell::from(&group.path), remark])
                    }
                    None => Cell::from(&group.path),
                };
                table.row(vec![version(&group.name), path]);
            }
            inner.table(table);
            if set.is_criu && set.groups.is_empty() {
                inner.line(Cell::Faint("the groups of CRIU itself, which are not dumped".to_owned()));
            } else if set.groups.is_empty() {
                inner.line(Cell::Absent("the groups were not dumped".to_owned()));
            }
            outline.group(vec![Cell::from(format!("set {}:", set.id)), members(set)], inner);
        }
        let mut table = Table::new(&["LIMIT", "VALUE", "GROUP"]);
        for directory in self.hierarchies.iter().flat_map(|hierarchy| &hierarchy.directories) {
            for property in &directory.properties {
                if let Some(value) = property.limit.and_then(Limit::cell) {
                    table.row(vec![Cell::from(&property.name), value, Cell::from(&directory.path)]);
                }
            }
        }
        outline.table(table);
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// Members of a set that text lists.
const MAX_LISTED: usize = 12;

fn members(set: &Set) -> Cell {
    let list = |ids: &[u32]| {
        let listed: Vec<String> = ids.iter().take(MAX_LISTED).map(u32::to_string).collect();
        let more = if ids.len() > MAX_LISTED {
            format!(" and {} more", ids.len() - MAX_LISTED)
        } else {
            String::new()
        };
        format!("{}{more}", listed.join(" "))
    };
    let mut cells = Vec::new();
    if !set.processes.is_empty() {
        cells.push(Cell::from(format!("processes {}", list(&set.processes))));
    }
    if !set.threads.is_empty() {
        cells.push(Cell::from(format!("threads {}", list(&set.threads))));
    }
    if cells.is_empty() { Cell::Faint("nobody".to_owned()) } else { Cell::Line(cells) }
}

fn version(name: &Name) -> Cell {
    if name.as_bytes().is_empty() { Cell::from("v2") } else { Cell::from(name) }
}

fn sets(checkpoint: &Checkpoint, entry: Option<&CgroupEntry>, own: Option<u32>) -> Vec<Set> {
    let mut found: BTreeMap<u32, Set> = BTreeMap::new();
    let new =
        |id: u32| Set { id, is_criu: own == Some(id), processes: vec![], threads: vec![], groups: vec![] };
    for set in entry.iter().flat_map(|entry| &entry.sets) {
        let Set { groups, .. } = found.entry(set.id).or_insert_with(|| new(set.id));
        *groups = groups_of(set);
    }
    for process in living(checkpoint) {
        let of_process = set_of(process);
        if let Some(id) = of_process {
            found.entry(id).or_insert_with(|| new(id)).processes.push(process.pid);
        }
        for thread in process.threads.iter().filter(|thread| thread.tid != process.pid) {
            let own = thread.core.as_ref().and_then(|core| core.thread_core.as_ref()?.cg_set);
            if let Some(id) = own.filter(|id| *id != 0 && Some(*id) != of_process) {
                found.entry(id).or_insert_with(|| new(id)).threads.push(thread.tid);
            }
        }
    }
    found.into_values().collect()
}

fn set_of(process: &Process) -> Option<u32> {
    let of_thread = process.leader().and_then(|thread| thread.cg_set);
    of_thread.or_else(|| process.task().and_then(|task| task.cg_set)).filter(|set| *set != 0)
}

fn groups_of(set: &CgSetEntry) -> Vec<Member> {
    set.ctls
        .iter()
        .map(|member| {
            let hidden = member.cgns_prefix.filter(|length| *length > 0);
            let inner = hidden.and_then(|length| member.path.get(length as usize..));
            let inner = inner.map(|path| if path.is_empty() { Name::from("/") } else { Name::from(path) });
            Member {
                name: Name::from(&member.name),
                path: Name::from(&member.path),
                cgns_prefix: member.cgns_prefix,
                inner_path: inner,
            }
        })
        .collect()
}

/// Longest path of a group: the kernel has no longer ones.
const MAX_PATH: usize = 4096;

/// A tree of groups as a list. The depth is bounded by the reader of the image.
fn directories(tops: &[CgroupDirEntry]) -> Vec<Directory> {
    let mut out = Vec::new();
    let mut open: Vec<(Vec<u8>, &CgroupDirEntry)> = tops.iter().rev().map(|top| (Vec::new(), top)).collect();
    while let Some((above, entry)) = open.pop() {
        let mut path = above;
        if !entry.dir_name.starts_with(b"/") {
            path.push(b'/');
        }
        path.extend(&entry.dir_name);
        if path.ends_with(b"/") && path.len() > 1 {
            path.pop();
        }
        path.truncate(MAX_PATH);
        let perms = entry.dir_perms.as_ref();
        out.push(Directory {
            path: Name::from(&path),
            mode: perms.map(|perms| perms.mode),
            uid: perms.map(|perms| perms.uid),
            gid: perms.map(|perms| perms.gid),
            properties: entry.properties.iter().map(|each| Property::of(&each.name, &each.value)).collect(),
        });
        let below = if path == b"/" { Vec::new() } else { path };
        open.extend(entry.children.iter().rev().map(|child| (below.clone(), child)));
    }
    out
}

/// From here on version 1 means that there is no limit: the largest multiple of a page.
const V1_UNLIMITED: u64 = i64::MAX as u64 & !0xffff;

impl Property {
    fn of(name: &[u8], value: &[u8]) -> Self {
        let value = value.trim_ascii_end();
        let limit = std::str::from_utf8(name).ok().zip(std::str::from_utf8(value).ok());
        Self {
            name: Name::from(name),
            value: Name::from(value),
            limit: limit.and_then(|(name, value)| Limit::parse(name, value)),
        }
    }
}

impl Limit {
    fn parse(name: &str, value: &str) -> Option<Self> {
        let number = || value.parse::<u64>().ok();
        match name {
            "memory.max" | "memory.high" | "memory.swap.max" | "memory.zswap.max" | "pids.max"
                if value == "max" =>
            {
                Some(Self::Unlimited)
            }
            "memory.max" | "memory.high" | "memory.swap.max" | "memory.zswap.max" | "memory.min"
            | "memory.low" => number().map(Self::Bytes),
            "memory.limit_in_bytes"
            | "memory.soft_limit_in_bytes"
            | "memory.memsw.limit_in_bytes"
            | "memory.kmem.limit_in_bytes"
            | "memory.kmem.tcp.limit_in_bytes" => {
                let bytes = number()?;
                Some(if bytes >= V1_UNLIMITED { Self::Unlimited } else { Self::Bytes(bytes) })
            }
            "pids.max" => number().map(Self::Tasks),
            "cpu.max" => {
                let (quota, period) = value.split_once(' ')?;
                if quota == "max" {
                    return Some(Self::Unlimited);
                }
                Some(Self::Cpu { quota_us: quota.parse().ok()?, period_us: period.parse().ok()? })
            }
            "cpu.cfs_quota_us" if value == "-1" => Some(Self::Unlimited),
            "cpu.cfs_quota_us" | "cpu.cfs_period_us" => number().map(Self::TimeUs),
            _ => None,
        }
    }

    /// What text shows; nothing where there is no limit.
    fn cell(self) -> Option<Cell> {
        Some(match self {
            // Version 2 has 0 in files that protect memory.
            Self::Unlimited | Self::Bytes(0) => return None,
            Self::Bytes(bytes) => Cell::Bytes(bytes),
            Self::Tasks(tasks) => Cell::Count(tasks),
            Self::Cpu { quota_us, period_us } => {
                Cell::Line(vec![Cell::Micros(quota_us), Cell::from("in"), Cell::Micros(period_us)])
            }
            Self::TimeUs(micros) => Cell::Micros(micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_versions() {
        let parse = Limit::parse;
        assert_eq!(parse("memory.max", "536870912"), Some(Limit::Bytes(536_870_912)));
        assert_eq!(parse("memory.max", "max"), Some(Limit::Unlimited));
        assert_eq!(parse("memory.limit_in_bytes", "9223372036854771712"), Some(Limit::Unlimited));
        assert_eq!(
            parse("cpu.max", "50000 100000"),
            Some(Limit::Cpu { quota_us: 50_000, period_us: 100_000 })
        );
        assert_eq!(parse("cpu.max", "max 100000"), Some(Limit::Unlimited));
        assert_eq!(parse("cpu.cfs_quota_us", "-1"), Some(Limit::Unlimited));
        assert_eq!(parse("pids.max", "max"), Some(Limit::Unlimited));
        assert_eq!(parse("pids.max", "2048"), Some(Limit::Tasks(2048)));
        assert_eq!(parse("memory.max", "many"), None);
        assert_eq!(parse("cgroup.procs", "1"), None);
    }
}
