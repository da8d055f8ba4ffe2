//! `namespaces`: which namespaces there were, who was in them, and what the small ones hold.

use std::collections::BTreeMap;

use ckx_criu::typed::Record;
use ckx_criu::typed::messages::{
    InventoryEntry, PidnsEntry, TaskKobjIdsEntry, TimensEntry, Timespec, UidGidExtent, UsernsEntry,
    UtsnsEntry,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::subject::living;
use crate::load::{Gap, Loader};
use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue, Name};

/// Namespaces of the dump.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Namespaces {
    /// Namespaces by kind and number.
    pub namespaces: Vec<Namespace>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A namespace.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Namespace {
    /// Kind, as in `/proc/PID/ns`: `mnt`, `net`, `pid`, …
    pub kind: Kind,
    /// Its number in the dump, which names of images have.
    pub id: u32,
    /// Whether it is another than CRIU's own; `None` when the inventory does not tell.
    pub is_own: Option<bool>,
    /// Processes in it.
    pub processes: Vec<u32>,
    /// Host name of a `uts` namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodename: Option<Name>,
    /// Domain name of a `uts` namespace; `None` if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<Name>,
    /// Users of a `user` namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uid_map: Vec<IdRange>,
    /// Groups of a `user` namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gid_map: Vec<IdRange>,
    /// What the clocks of a `time` namespace showed at the dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clocks: Option<Clocks>,
    /// Name under which whoever restores provides a `pid` namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext_key: Option<Name>,
}

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Process ids.
    Pid,
    /// Mounts.
    Mnt,
    /// Network.
    Net,
    /// System V objects and message queues.
    Ipc,
    /// Host name.
    Uts,
    /// Users and groups.
    User,
    /// Control groups.
    Cgroup,
    /// Clocks.
    Time,
}

/// A range of mapped ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IdRange {
    /// First id inside.
    pub first: u32,
    /// The id outside that it is.
    pub lower_first: u32,
    /// How many.
    pub count: u32,
}

/// Readings of clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Clocks {
    /// `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// `CLOCK_BOOTTIME`.
    pub boottime_ns: u64,
}

impl Kind {
    const ALL: [Self; 8] =
        [Self::Pid, Self::Mnt, Self::Net, Self::Ipc, Self::Uts, Self::User, Self::Cgroup, Self::Time];

    fn id(self, ids: &TaskKobjIdsEntry) -> Option<u32> {
        match self {
            Self::Pid => ids.pid_ns_id,
            Self::Mnt => ids.mnt_ns_id,
            Self::Net => ids.net_ns_id,
            Self::Ipc => ids.ipc_ns_id,
            Self::Uts => ids.uts_ns_id,
            Self::User => ids.user_ns_id,
            Self::Cgroup => ids.cgroup_ns_id,
            Self::Time => ids.time_ns_id,
        }
    }

    /// Its word in `/proc/PID/ns`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Mnt => "mnt",
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }
}

impl Collect for Namespaces {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let inventory: Option<InventoryEntry> = loader.first("inventory.img").ok();
        let own = inventory.as_ref().and_then(|inventory| inventory.root_ids.as_ref());
        let mut found: BTreeMap<(Kind, u32), Vec<u32>> = BTreeMap::new();
        for process in living(checkpoint) {
            let Some(ids) = &process.ids else { continue };
            for kind in Kind::ALL {
                if let Some(id) = kind.id(ids).filter(|id| *id != 0) {
                    found.entry((kind, id)).or_default().push(process.pid);
                }
            }
        }
        // Before there were numbers of namespaces, images had that of the root process.
        let root = checkpoint.processes().list.first().map(|process| process.pid);
        let by_pid = inventory.as_ref().is_some_and(|inventory| !inventory.ns_per_id.unwrap_or_default());
        let namespaces = found
            .into_iter()
            .map(|((kind, id), processes)| {
                let is_own = own.and_then(|own| kind.id(own)).map(|criu| criu != id);
                let number = root.filter(|_| by_pid).unwrap_or(id);
                let mut namespace = Namespace::new(kind, id, is_own, processes);
                namespace.read(&mut loader, number);
                namespace
            })
            .collect();
        let mut issues = checkpoint.processes().issues_of(&["ids-"]);
        issues.extend(loader.into_issues());
        Self { namespaces, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let mut table = Table::new(&["KIND", "ID", "WHOSE", "PROCESSES", "WHAT"]);
        let most = self.namespaces.iter().map(|namespace| namespace.processes.len()).max().unwrap_or(0);
        for namespace in &self.namespaces {
            let whose = match namespace.is_own {
                Some(true) => Cell::from("own"),
                Some(false) => Cell::Faint("host".to_owned()),
                None => Cell::Faint("?".to_owned()),
            };
            let processes = match namespace.processes.len() {
                count if count == most => Cell::from("all"),
                count if count > MAX_LISTED => Cell::from(format!("{count} of them")),
                _ => Cell::from(joined(namespace.processes.iter())),
            };
            let what = namespace.what();
            table.row(vec![
                Cell::from(namespace.kind.word()),
                Cell::from(namespace.id),
                whose,
                processes,
                what,
            ]);
        }
        outline.table(table);
        for namespace in self.namespaces.iter().filter(|namespace| !namespace.uid_map.is_empty()) {
            let mut table = Table::new(&["MAP", "INSIDE", "OUTSIDE", "COUNT"]);
            let maps = [("uid", &namespace.uid_map), ("gid", &namespace.gid_map)];
            for (name, range) in
                maps.iter().flat_map(|(name, map)| map.iter().map(move |range| (*name, range)))
            {
                let numbers = [range.first, range.lower_first, range.count].map(Cell::from);
                table.row([Cell::from(name)].into_iter().chain(numbers).collect());
            }
            let mut inner = Outline::new();
            inner.table(table);
            outline.group(vec![Cell::from("user namespace"), Cell::from(namespace.id)], inner);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// Processes that a row of text lists.
const MAX_LISTED: usize = 6;

fn joined<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

impl Namespace {
    fn new(kind: Kind, id: u32, is_own: Option<bool>, processes: Vec<u32>) -> Self {
        Self {
            kind,
            id,
            is_own,
            processes,
            nodename: None,
            domainname: None,
            uid_map: Vec::new(),
            gid_map: Vec::new(),
            clocks: None,
            ext_key: None,
        }
    }

    /// Reads its image. That of a namespace which is not its own need not be there.
    fn read(&mut self, loader: &mut Loader<'_>, number: u32) {
        match self.kind {
            Kind::Uts => {
                let Some(uts) = self.image::<UtsnsEntry>(loader, "utsns", number) else { return };
                self.nodename = Some(Name::from(&uts.nodename));
                let is_set = !uts.domainname.is_empty() && uts.domainname != b"(none)";
                self.domainname = is_set.then(|| Name::from(&uts.domainname));
            }
            Kind::User => {
                let Some(user) = self.image::<UsernsEntry>(loader, "userns", number) else { return };
                self.uid_map = user.uid_map.iter().map(IdRange::from).collect();
                self.gid_map = user.gid_map.iter().map(IdRange::from).collect();
            }
            Kind::Time => {
                // Tasks without a time namespace of their own have the image with the number 0.
                let number = if self.is_own == Some(false) { 0 } else { number };
                let Some(time) = self.image::<TimensEntry>(loader, "timens", number) else { return };
                self.clocks = Some(Clocks {
                    monotonic_ns: nanoseconds(&time.monotonic),
                    boottime_ns: nanoseconds(&time.boottime),
                });
            }
            Kind::Pid => {
                let Ok(pid) = loader.records_if_any::<PidnsEntry>(&format!("pidns-{number}.img")) else {
                    return;
                };
                let external = pid.entries.into_iter().find_map(|entry| entry.ext_key);
                self.ext_key = external.map(Name::from);
            }
            _ => {}
        }
    }

    fn image<M: Record>(&self, loader: &mut Loader<'_>, kind: &str, number: u32) -> Option<M> {
        let name = format!("{kind}-{number}.img");
        match loader.records_if_any::<M>(&name) {
            Ok(records) => records.entries.into_iter().next(),
            Err(gap) => {
                if gap == Gap::Missing && self.is_own == Some(true) {
                    loader.tell(Issue::missing(&name));
                }
                None
            }
        }
    }

    /// What it holds, in a line.
    fn what(&self) -> Cell {
        if let Some(nodename) = &self.nodename {
            let mut cells = vec![Cell::from(nodename)];
            cells.extend(self.domainname.as_ref().map(Cell::from));
            return Cell::Line(cells);
        }
        if let Some(clocks) = &self.clocks {
            let uptime = vec![Cell::from("up"), Cell::Micros(clocks.boottime_ns / 1000)];
            return Cell::Line(uptime);
        }
        match &self.ext_key {
            Some(key) => Cell::Line(vec![Cell::from("external"), Cell::from(key)]),
            None => Cell::from(""),
        }
    }
}

fn nanoseconds(time: &Timespec) -> u64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

impl From<&UidGidExtent> for IdRange {
    fn from(extent: &UidGidExtent) -> Self {
        Self { first: extent.first, lower_first: extent.lower_first, count: extent.count }
    }
}
