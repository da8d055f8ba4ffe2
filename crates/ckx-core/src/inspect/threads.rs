//! `threads`: where each thread stood, and what belongs to it alone.

use ckx_criu::typed::messages::{CoreEntry, ThreadCoreEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::explore::TaskState;
use crate::inspect::Collect;
use crate::inspect::signals::pending;
use crate::inspect::subject::{Subject, living};
use crate::kernel::{Flag, SigInfo, Signals, flags, signal_name, word};
use crate::load::Loader;
use crate::model::registers::{Register, Registers};
use crate::model::{Process, Thread};
use crate::outline::{Cell, Outline, Table};
use crate::{Address, Checkpoint, Issue, Name};

/// Threads, by process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Threads {
    /// Living processes.
    pub processes: Vec<ProcessThreads>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Threads of a process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessThreads {
    /// The process.
    #[serde(flatten)]
    pub process: Subject,
    /// Its threads, the leading one first.
    pub threads: Vec<ThreadReport>,
}

/// A thread.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ThreadReport {
    /// Thread id.
    pub tid: u32,
    /// Its name.
    pub comm: Option<Name>,
    /// State of its process.
    pub state: Option<TaskState>,
    /// Whether its image is missing or cannot be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    /// Its registers.
    pub registers: Option<ThreadRegisters>,
    /// Scheduling.
    pub sched: Option<Sched>,
    /// Signal that it gets when its parent dies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pdeath_signal: Option<String>,
    /// Signals that it blocks.
    pub blocked: Signals,
    /// Signals that wait for it alone, in order of delivery.
    pub pending: Vec<SigInfo>,
    /// Alternate signal stack; `None` if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigaltstack: Option<SigAltStack>,
    /// Head of its list of robust locks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robust_list: Option<Address>,
    /// Word that is cleared when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_tid_addr: Option<Address>,
    /// Registration of restartable sequences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rseq: Option<Rseq>,
    /// How its system calls are restricted: `disabled`, `strict`, `filter`; `None` where the image does
    /// not say. CRIU notes only that they are restricted, and old ones not even that.
    pub seccomp: Option<String>,
}

/// Registers of a thread.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ThreadRegisters {
    /// Machine, as `uname -m` has it; `i386` for 32-bit code on x86_64.
    pub machine: &'static str,
    /// Instruction pointer.
    pub ip: Option<Address>,
    /// Stack pointer.
    pub sp: Option<Address>,
    /// Thread pointer.
    pub tp: Option<Address>,
    /// General registers by name.
    pub general: Vec<Register>,
}

/// How a thread is scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sched {
    /// Policy: `OTHER`, `FIFO`, `RR`, `BATCH`, `IDLE`, or a number.
    pub policy: String,
    /// Priority of the policies for real time.
    pub priority: u32,
    /// Niceness: -20 to 19.
    pub nice: i32,
}

/// An alternate signal stack.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SigAltStack {
    /// Its lowest address.
    pub ss_sp: Address,
    /// Its size.
    pub ss_size_bytes: u64,
    /// `SS_*` flags.
    pub ss_flags: Vec<String>,
}

/// A registration of restartable sequences.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Rseq {
    /// Its area.
    pub rseq_abi_pointer: Address,
    /// Size of the area.
    pub rseq_abi_size_bytes: u32,
    /// Word in front of abort handlers.
    pub signature: Address,
    /// The sequence that the thread was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rseq_cs_pointer: Option<Address>,
}

const SCHED_POLICIES: &[Flag] =
    &[(0, "OTHER"), (1, "FIFO"), (2, "RR"), (3, "BATCH"), (5, "IDLE"), (6, "DEADLINE"), (7, "EXT")];

const SS_FLAGS: &[Flag] = &[(1, "SS_ONSTACK"), (2, "SS_DISABLE"), (1 << 31, "SS_AUTODISARM")];

impl Collect for Threads {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let processes = living(checkpoint)
            .map(|process| ProcessThreads {
                process: process.into(),
                threads: process.threads.iter().map(|thread| read(&mut loader, process, thread)).collect(),
            })
            .collect();
        let mut issues = checkpoint.processes().issues_of(&[]);
        issues.extend(loader.into_issues());
        Self { processes, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for process in &self.processes {
            let mut inner = Outline::new();
            let mut table = Table::new(&["TID", "COMM", "SCHED", "NICE", "IP", "SP"]);
            for thread in &process.threads {
                table.row(row(thread));
            }
            inner.table(table);
            for thread in &process.threads {
                let own = thread.outline();
                if !own.is_empty() {
                    inner.group(vec![Cell::from("thread"), Cell::from(thread.tid)], own);
                }
            }
            outline.group(process.process.line(), inner);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

fn row(thread: &ThreadReport) -> Vec<Cell> {
    let address = |of: fn(&ThreadRegisters) -> Option<Address>| {
        let address = thread.registers.as_ref().and_then(of);
        address.map_or_else(|| Cell::Faint("-".to_owned()), |address| Cell::Address(address.0))
    };
    let policy = thread.sched.as_ref().map(|sched| match sched.priority {
        0 => sched.policy.clone(),
        priority => format!("{} {priority}", sched.policy),
    });
    vec![
        Cell::from(thread.tid),
        if thread.absent { Cell::Absent("no image".to_owned()) } else { Cell::or_dash(thread.comm.as_ref()) },
        Cell::or_dash(policy),
        Cell::or_dash(thread.sched.as_ref().map(|sched| sched.nice.to_string())),
        address(|registers| registers.ip),
        address(|registers| registers.sp),
    ]
}

impl ThreadReport {
    /// What is unusual about it.
    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for pending in &self.pending {
            outline.field("pending", Cell::Marked(pending.words()));
        }
        if !self.blocked.0.is_empty() {
            outline.field("blocked", self.blocked.words());
        }
        outline.field_if("at death of parent", self.pdeath_signal.as_ref());
        if let Some(mode) = self.seccomp.as_ref().filter(|mode| *mode != "disabled") {
            outline.field("seccomp", mode);
        }
        if let Some(stack) = &self.sigaltstack {
            let cells = vec![Cell::Address(stack.ss_sp.0), Cell::Bytes(stack.ss_size_bytes)];
            outline.field("signal stack", Cell::Line(cells));
        }
        outline
    }
}

fn read(loader: &mut Loader<'_>, process: &Process, thread: &Thread) -> ThreadReport {
    let tid = thread.tid;
    let core = process.core_of(thread);
    let own = core.and_then(|core| core.thread_core.as_ref());
    let is_leader = tid == process.pid;
    let comm = own
        .and_then(|own| own.comm.as_ref())
        .map(Name::from)
        .or_else(|| is_leader.then(|| process.comm()).flatten());
    let registers = core.and_then(Registers::of);
    let task = process.task().filter(|_| is_leader);
    let blocked = own
        .and_then(|own| Some((own.blk_sigset?, own.blk_sigset_extended)))
        .or_else(|| task.map(|task| (task.blk_sigset, task.blk_sigset_extended)))
        .unwrap_or_default();
    ThreadReport {
        tid,
        comm,
        state: process.state,
        absent: core.is_none(),
        clear_tid_addr: address(registers.as_ref().map(|registers| registers.clear_tid_addr)),
        registers: registers.map(ThreadRegisters::from),
        sched: own.and_then(sched),
        pdeath_signal: own
            .and_then(|own| own.pdeath_sig)
            .filter(|number| *number != 0)
            .map(|number| signal_name(number.into(), process.machine)),
        blocked: Signals::of(blocked.0, blocked.1, process.machine),
        pending: match own {
            Some(own) => pending(loader, own.signals_p.as_ref(), "signal-p", tid, process),
            None => Vec::new(),
        },
        sigaltstack: own.and_then(stack),
        robust_list: address(own.map(|own| own.futex_rla)),
        rseq: own.and_then(rseq),
        seccomp: core.and_then(|core| seccomp_mode(core, process)),
    }
}

fn address(value: Option<u64>) -> Option<Address> {
    value.filter(|value| *value != 0).map(Address)
}

fn sched(own: &ThreadCoreEntry) -> Option<Sched> {
    let policy = word(own.sched_policy?.into(), SCHED_POLICIES);
    Some(Sched {
        policy,
        priority: own.sched_prio.unwrap_or_default(),
        nice: own.sched_nice.unwrap_or_default(),
    })
}

fn stack(own: &ThreadCoreEntry) -> Option<SigAltStack> {
    let stack = own.sas.as_ref().filter(|stack| stack.ss_flags & 2 == 0)?;
    Some(SigAltStack {
        ss_sp: Address(stack.ss_sp),
        ss_size_bytes: stack.ss_size,
        ss_flags: flags(stack.ss_flags.into(), SS_FLAGS),
    })
}

fn rseq(own: &ThreadCoreEntry) -> Option<Rseq> {
    let rseq = own.rseq_entry.as_ref().filter(|rseq| rseq.rseq_abi_pointer != 0)?;
    Some(Rseq {
        rseq_abi_pointer: Address(rseq.rseq_abi_pointer),
        rseq_abi_size_bytes: rseq.rseq_abi_size,
        signature: Address(rseq.signature.into()),
        rseq_cs_pointer: address(rseq.rseq_cs_pointer),
    })
}

/// Mode of a thread; before CRIU 3.10 all threads of a process had one.
pub(crate) fn seccomp_mode(core: &CoreEntry, process: &Process) -> Option<String> {
    let of_thread = core.thread_core.as_ref().and_then(|own| own.seccomp_mode);
    let of_process = || process.task().and_then(|task| task.old_seccomp_mode);
    let mode = of_thread.or_else(of_process)?;
    let number = u64::try_from(mode).unwrap_or(u64::MAX);
    Some(word(number, &[(0, "disabled"), (1, "strict"), (2, "filter")]))
}

impl From<Registers> for ThreadRegisters {
    fn from(registers: Registers) -> Self {
        let Registers { machine, ip, sp, tp, general, .. } = registers;
        Self { machine, ip: ip.map(Address), sp: sp.map(Address), tp: tp.map(Address), general }
    }
}
