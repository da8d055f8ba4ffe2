//! The sections of `inspect`: questions about a checkpoint, one file each, in one table.
//!
//! A section is a type that is collected from a [`Checkpoint`], goes to JSON as it is and can be drawn
//! as an [`Outline`]. Adding one is adding its file and its row; the command line, the JSON document,
//! its schema and the browser take it from the row.

pub mod auxv;
mod bpf;
pub mod cgroups;
pub mod container;
pub mod credentials;
pub mod descriptors;
pub mod dump_log;
pub mod environment;
mod flags;
pub mod images;
pub mod ipc;
pub mod limits;
pub mod locks;
pub mod logs;
pub mod maps;
pub mod mounts;
pub mod namespaces;
pub mod network;
pub mod overview;
pub mod processes;
pub mod seccomp;
pub mod shared_memory;
pub mod signals;
pub mod sockets;
pub mod stats;
pub mod storage;
mod subject;
pub mod threads;
pub mod timers;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::outline::Outline;
use crate::{Checkpoint, Issue};
pub use subject::Subject;

/// The answer of a section.
pub trait Collect: Serialize + JsonSchema + Send + Sync + Sized + 'static {
    /// Collects it. What is missing or broken becomes an issue.
    fn collect(checkpoint: &Checkpoint) -> Self;

    /// What people see.
    fn outline(&self) -> Outline;

    /// What was missing or broken.
    fn issues(&self) -> &[Issue];
}

/// An answer whose type is not known: what renderers work with.
pub trait Report: erased_serde::Serialize + Send + Sync {
    /// What people see.
    fn outline(&self) -> Outline;

    /// What was missing or broken.
    fn issues(&self) -> &[Issue];
}

erased_serde::serialize_trait_object!(Report);

impl<T: Collect> Report for T {
    fn outline(&self) -> Outline {
        Collect::outline(self)
    }

    fn issues(&self) -> &[Issue] {
        Collect::issues(self)
    }
}

/// A row of [`SECTIONS`].
#[derive(Debug)]
pub struct Section {
    /// Its word on the command line and its key in JSON.
    pub name: &'static str,
    /// What it tells, in a line.
    pub about: &'static str,
    /// Whether it is shown when nothing is asked for.
    pub is_default: bool,
    /// Collects its answer.
    pub collect: fn(&Checkpoint) -> Box<dyn Report>,
    /// The JSON schema of its answer.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Section {
    /// A section that is shown when it is asked for.
    const fn of<T: Collect>(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            is_default: false,
            collect: |checkpoint| Box::new(T::collect(checkpoint)),
            schema: |generator| generator.subschema_for::<T>(),
        }
    }

    /// The same, shown also when nothing is asked for.
    const fn by_default(mut self) -> Self {
        self.is_default = true;
        self
    }
}

/// All sections. Their order is the order on the screen.
pub const SECTIONS: &[Section] = &[
    Section::of::<overview::Overview>("overview", "Container, image, engine, machine, times and sizes")
        .by_default(),
    Section::of::<container::Container>(
        "container",
        "How the container was declared: command, mounts, limits",
    ),
    Section::of::<processes::Processes>("processes", "Processes as a tree, with arguments and memory")
        .by_default(),
    Section::of::<threads::Threads>("threads", "Threads, with scheduling, registers and their own signals"),
    Section::of::<credentials::Credentials>("credentials", "Users, groups, capabilities, security labels"),
    Section::of::<environment::Environment>("environment", "Environment variables, by process"),
    Section::of::<auxv::Auxv>("auxv", "Auxiliary vectors, by process"),
    Section::of::<signals::SignalsReport>("signals", "Signal handlers, pending and blocked signals"),
    Section::of::<timers::Timers>("timers", "Interval and POSIX timers, by process"),
    Section::of::<limits::Limits>("limits", "Resource limits, by process"),
    Section::of::<seccomp::Seccomp>("seccomp", "Restrictions of system calls, and the filters"),
    Section::of::<namespaces::Namespaces>("namespaces", "Namespaces, their members and what they hold"),
    Section::of::<cgroups::Cgroups>("cgroups", "Control groups, their members and limits"),
    Section::of::<descriptors::Descriptors>("descriptors", "What each process has open"),
    Section::of::<sockets::Sockets>("sockets", "Sockets with addresses, states and queues").by_default(),
    Section::of::<maps::Maps>("maps", "Mappings of each process, with their pages"),
    Section::of::<shared_memory::SharedMemory>(
        "shared-memory",
        "Memory that processes share: who maps it, who has it open",
    ),
    Section::of::<locks::Locks>("locks", "Locks and leases on files"),
    Section::of::<ipc::Ipc>("ipc", "System V shared memory, semaphores and message queues"),
    Section::of::<network::NetworkReport>(
        "network",
        "Links, addresses, routes, rules and firewalls of network namespaces",
    ),
    Section::of::<mounts::Mounts>("mounts", "Mounts as they were, by namespace"),
    Section::of::<storage::rootfs_diff::RootfsDiff>("rootfs-diff", "Changes of the root file system"),
    Section::of::<storage::tmpfs::Tmpfs>("tmpfs", "Files in tmpfs mounts and /dev/shm"),
    Section::of::<storage::volumes::Volumes>("volumes", "Files in named volumes"),
    Section::of::<logs::Logs>("logs", "What the container wrote"),
    Section::of::<dump_log::DumpLog>("dump-log", "What CRIU said while it dumped"),
    Section::of::<stats::Stats>("stats", "How long the dump took, and how much it wrote"),
    Section::of::<images::Images>("images", "Image files of CRIU, by kind and size"),
];

/// The section with this name.
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// Collects sections, in parallel and in the order given.
pub fn collect(checkpoint: &Checkpoint, sections: &[&'static Section]) -> Vec<Box<dyn Report>> {
    use rayon::prelude::*;
    // One thread suffices for little, and starting more takes longer than the work.
    if checkpoint.archive().members().len() < PARALLEL_ABOVE {
        return sections.iter().map(|section| (section.collect)(checkpoint)).collect();
    }
    sections.par_iter().map(|section| (section.collect)(checkpoint)).collect()
}

/// Members of an archive above which sections are collected in parallel.
const PARALLEL_ABOVE: usize = 200;
