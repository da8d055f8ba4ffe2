//! `ipc`: System V shared memory, semaphores and message queues, with the limits of their namespaces.

use ckx_criu::typed::messages::{IpcDescEntry, IpcMsg, IpcMsgEntry, IpcSemEntry, IpcShmEntry, IpcVarEntry};
use ckx_criu::{Extra, typed::Record};
use schemars::JsonSchema;
use serde::Serialize;

use crate::images::numbers_in_names;
use crate::inspect::Collect;
use crate::load::Loader;
use crate::outline::{Cell, Outline, Table};
use crate::{Address, Checkpoint, Issue};

/// IPC namespaces with what is in them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ipc {
    /// Namespaces, by number.
    pub namespaces: Vec<Namespace>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// An IPC namespace.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Namespace {
    /// Number of the namespace, as in the names of its images.
    pub id: u64,
    /// Shared memory.
    pub shared_memory: Vec<SharedMemory>,
    /// Sets of semaphores.
    pub semaphores: Vec<Semaphores>,
    /// Message queues.
    pub message_queues: Vec<MessageQueue>,
    /// Limits; absent when their image is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// Whose an object is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Object {
    /// Its id.
    pub id: u32,
    /// Its key.
    pub key: Address,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Creator.
    pub cuid: u32,
    /// Group of the creator.
    pub cgid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// A segment of shared memory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SharedMemory {
    /// Whose it is.
    #[serde(flatten)]
    pub object: Object,
    /// Size.
    pub size_bytes: u64,
    /// Whether its content is in page maps, as that of other shared memory; otherwise it is in the image.
    pub in_pagemaps: bool,
}

/// A set of semaphores.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Semaphores {
    /// Whose it is.
    #[serde(flatten)]
    pub object: Object,
    /// Values.
    pub values: Vec<u16>,
}

/// A message queue.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MessageQueue {
    /// Whose it is.
    #[serde(flatten)]
    pub object: Object,
    /// How many bytes it can hold.
    pub qbytes: u32,
    /// Messages in it, the oldest first.
    pub messages: Vec<Message>,
}

/// A message.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Message {
    /// Type that its sender gave it; absent when its record cannot be read.
    #[serde(rename = "type")]
    pub kind: Option<u64>,
    /// Size of its text.
    pub size_bytes: u64,
}

/// Limits of a namespace, in the words of `/proc/sys`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Limits {
    /// `kernel.sem`: per set, in all, operations, sets.
    pub sem: Vec<u32>,
    /// `kernel.msgmax`.
    pub msgmax_bytes: u32,
    /// `kernel.msgmnb`.
    pub msgmnb_bytes: u32,
    /// `kernel.msgmni`.
    pub msgmni: u32,
    /// `kernel.shmmax`.
    pub shmmax_bytes: u64,
    /// `kernel.shmall`, in pages.
    pub shmall_pages: u64,
    /// `kernel.shmmni`.
    pub shmmni: u32,
    /// `kernel.shm_rmid_forced`.
    pub shm_rmid_forced: u32,
    /// `fs.mqueue.queues_max`.
    pub mqueue_queues_max: u32,
    /// `fs.mqueue.msg_max`.
    pub mqueue_msg_max: u32,
    /// `fs.mqueue.msgsize_max`.
    pub mqueue_msgsize_max_bytes: u32,
}

/// Images of an IPC namespace, whose names end with its number.
const KINDS: &[&str] = &["ipcns-shm", "ipcns-sem", "ipcns-msg", "ipcns-var"];

impl Collect for Ipc {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let ids = numbers_in_names(checkpoint, KINDS);
        let namespaces = ids.into_iter().map(|id| Namespace::read(&mut loader, id)).collect();
        Self { namespaces, issues: loader.into_issues() }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for namespace in &self.namespaces {
            let mut below = Outline::new();
            namespace.objects(&mut below);
            // Limits are told where there is something that they limit; JSON has them always.
            if !below.is_empty() {
                outline.group(vec![Cell::from("namespace"), Cell::Count(namespace.id)], below);
            }
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// Records that may be read of one image. What is behind them is not told.
const MAX_RECORDS: usize = 1 << 16;

/// The records of an image with what is behind them.
fn each<M: Record>(loader: &mut Loader<'_>, name: &str, mut tell: impl FnMut(M, &Extra<'_>)) {
    let Ok(bytes) = loader.bytes_if_any(name) else { return };
    let Ok(image) = loader.image(name, &bytes) else { return };
    let mut faults = crate::load::Faults::default();
    for entry in image.entries().take(MAX_RECORDS) {
        match entry.and_then(|entry| Ok((entry.decode()?, *entry.extra()))) {
            Ok((record, extra)) => tell(record, &extra),
            Err(error) => faults.add(&error),
        }
    }
    faults.tell(loader);
}

impl Namespace {
    fn read(loader: &mut Loader<'_>, id: u64) -> Self {
        let mut namespace = Self { id, ..Self::default() };
        each(loader, &format!("ipcns-shm-{id}.img"), |entry: IpcShmEntry, _| {
            namespace.shared_memory.push(SharedMemory {
                object: entry.desc.into(),
                size_bytes: entry.size,
                in_pagemaps: entry.in_pagemaps.unwrap_or(false),
            });
        });
        each(loader, &format!("ipcns-sem-{id}.img"), |entry: IpcSemEntry, extra| {
            let values = if let Extra::Sems(sems) = extra { sems.iter().collect() } else { Vec::new() };
            namespace.semaphores.push(Semaphores { object: entry.desc.into(), values });
        });
        each(loader, &format!("ipcns-msg-{id}.img"), |entry: IpcMsgEntry, extra| {
            let mut messages = Vec::new();
            if let Extra::Messages(all) = extra {
                messages.extend(all.iter().map(|message| Message {
                    kind: IpcMsg::of_bytes(message.body).map(|head| head.mtype),
                    size_bytes: message.data.len() as u64,
                }));
            }
            namespace.message_queues.push(MessageQueue {
                object: entry.desc.into(),
                qbytes: entry.qbytes,
                messages,
            });
        });
        if let Ok(records) = loader.records_if_any::<IpcVarEntry>(&format!("ipcns-var-{id}.img")) {
            namespace.limits = records.entries.into_iter().next().map(Limits::from);
        }
        namespace
    }

    fn objects(&self, outline: &mut Outline) {
        let columns = |last: [&'static str; 2]| Table::new(&["ID", "KEY", "OWNER", "MODE", last[0], last[1]]);
        let mut memory = columns(["SHARED MEMORY", "CONTENT"]);
        for each in &self.shared_memory {
            let content = if each.in_pagemaps { "in page maps" } else { "in the image" };
            memory.row(each.object.cells([Cell::Bytes(each.size_bytes), Cell::from(content)]));
        }
        let mut semaphores = columns(["SEMAPHORES", "VALUES"]);
        for each in &self.semaphores {
            let shown: Vec<String> = each.values.iter().take(16).map(u16::to_string).collect();
            let more = if each.values.len() > 16 { " …" } else { "" };
            let count = Cell::Count(each.values.len() as u64);
            semaphores.row(each.object.cells([count, Cell::from(format!("{}{more}", shown.join(" ")))]));
        }
        let mut queues = columns(["MESSAGES", "BYTES"]);
        for each in &self.message_queues {
            let bytes = each.messages.iter().map(|message| message.size_bytes).sum();
            let count = Cell::Count(each.messages.len() as u64);
            queues.row(each.object.cells([count, Cell::Bytes(bytes)]));
        }
        outline.table(memory);
        outline.table(semaphores);
        outline.table(queues);
    }
}

impl Object {
    fn cells(&self, last: [Cell; 2]) -> Vec<Cell> {
        let first = [
            Cell::from(self.id),
            Cell::Address(self.key.0),
            Cell::from(format!("{}:{}", self.uid, self.gid)),
            Cell::from(format!("{:04o}", self.mode)),
        ];
        first.into_iter().chain(last).collect()
    }
}

impl From<IpcDescEntry> for Object {
    fn from(entry: IpcDescEntry) -> Self {
        let IpcDescEntry { key, uid, gid, cuid, cgid, mode, id } = entry;
        Self { id, key: Address(key.into()), uid, gid, cuid, cgid, mode }
    }
}

impl From<IpcVarEntry> for Limits {
    fn from(entry: IpcVarEntry) -> Self {
        Self {
            sem: entry.sem_ctls,
            msgmax_bytes: entry.msg_ctlmax,
            msgmnb_bytes: entry.msg_ctlmnb,
            msgmni: entry.msg_ctlmni,
            shmmax_bytes: entry.shm_ctlmax,
            shmall_pages: entry.shm_ctlall,
            shmmni: entry.shm_ctlmni,
            shm_rmid_forced: entry.shm_rmid_forced,
            mqueue_queues_max: entry.mq_queues_max,
            mqueue_msg_max: entry.mq_msg_max,
            mqueue_msgsize_max_bytes: entry.mq_msgsize_max,
        }
    }
}
