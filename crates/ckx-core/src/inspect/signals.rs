//! `signals`: handlers, pending and blocked signals.

use ckx_criu::typed::messages::core_entry::March;
use ckx_criu::typed::messages::{SaEntry, SiginfoEntry, SignalQueueEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::subject::{Subject, Told, living};
use crate::kernel::{Flag, SigInfo, Signals, flags, signal_name};
use crate::load::Loader;
use crate::model::Process;
use crate::outline::{Cell, Outline, Table};
use crate::{Address, Checkpoint, Issue};

/// Signals, by process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SignalsReport {
    /// Living processes.
    pub processes: Vec<ProcessSignals>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Signals of a process. What threads have for themselves is among the threads.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessSignals {
    /// The process.
    #[serde(flatten)]
    pub process: Subject,
    /// Signals that are not handled as by default.
    pub sigactions: Vec<Sigaction>,
    /// Signals that wait for the process as a whole, in order of delivery.
    pub pending: Vec<SigInfo>,
    /// Signals that its leading thread blocks.
    pub blocked: Signals,
}

/// How a signal is handled.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sigaction {
    /// The signal.
    pub signal: String,
    /// `ignore` or `handler`; `default` where only flags or a mask were set.
    pub action: &'static str,
    /// Address of the handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<Address>,
    /// `SA_*` flags.
    pub flags: Vec<String>,
    /// Code that returns from the handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restorer: Option<Address>,
    /// Signals that are blocked meanwhile.
    pub mask: Signals,
    /// Whether 32-bit code set it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compat: bool,
}

impl Collect for SignalsReport {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let processes = living(checkpoint)
            .filter(|process| process.core.is_some())
            .map(|process| read(&mut loader, process))
            .collect();
        let mut issues = checkpoint.processes().issues_of(&[]);
        issues.extend(loader.into_issues());
        Self { processes, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let mut told = Told::default();
        for process in &self.processes {
            let mut inner = Outline::new();
            for pending in &process.pending {
                inner.field("pending", Cell::Marked(pending.words()));
            }
            if !process.blocked.0.is_empty() {
                inner.field("blocked", process.blocked.words());
            }
            let ignored: Vec<&str> = process
                .sigactions
                .iter()
                .filter(|action| action.action == "ignore")
                .map(|action| action.signal.strip_prefix("SIG").unwrap_or(&action.signal))
                .collect();
            if !ignored.is_empty() {
                inner.field("ignored", ignored.join(" "));
            }
            let mut table = Table::new(&["SIGNAL", "HANDLER", "FLAGS", "BLOCKS"]);
            for action in &process.sigactions {
                let Some(handler) = action.handler else { continue };
                table.row(vec![
                    Cell::from(&action.signal),
                    Cell::Address(handler.0),
                    Cell::from(short(&action.flags)),
                    Cell::from(action.mask.words()),
                ]);
            }
            inner.table(table);
            if !inner.is_empty() {
                told.add(&process.process, inner, &mut outline);
            }
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

fn read(loader: &mut Loader<'_>, process: &Process) -> ProcessSignals {
    let task = process.task();
    let mut actions = task.map(|task| task.sigactions.clone()).unwrap_or_default();
    if actions.is_empty() {
        // CRIU up to 3.0 had them in an image of their own.
        let old = loader.records_if_any::<SaEntry>(&format!("sigacts-{}.img", process.pid));
        actions = old.map(|records| records.entries).unwrap_or_default();
    }
    let sigactions = numbers(process.machine)
        .zip(&actions)
        .filter(|(_, action)| action.sigaction != 0 || action.flags != 0 || action.mask != 0)
        .map(|(number, action)| sigaction(number, action, process.machine))
        .collect();
    let blocked = process
        .leader()
        .and_then(|thread| Some((thread.blk_sigset?, thread.blk_sigset_extended)))
        .or_else(|| task.map(|task| (task.blk_sigset, task.blk_sigset_extended)));
    let (mask, extended) = blocked.unwrap_or_default();
    ProcessSignals {
        process: process.into(),
        sigactions,
        pending: pending(
            loader,
            task.and_then(|task| task.signals_s.as_ref()),
            "signal-s",
            process.pid,
            process,
        ),
        blocked: Signals::of(mask, extended, process.machine),
    }
}

/// Signals in the order of the image: all that a program can handle.
fn numbers(machine: Option<March>) -> impl Iterator<Item = u64> {
    let (stop, last) = if machine == Some(March::Mips) { (23, 128) } else { (19, 64) };
    (1..=last).filter(move |number| *number != 9 && *number != stop)
}

const SA_FLAGS: &[Flag] = &[
    (0x1, "SA_NOCLDSTOP"),
    (0x2, "SA_NOCLDWAIT"),
    (0x4, "SA_SIGINFO"),
    (0x400, "SA_UNSUPPORTED"),
    (0x800, "SA_EXPOSE_TAGBITS"),
    (0x0400_0000, "SA_RESTORER"),
    (0x0800_0000, "SA_ONSTACK"),
    (0x1000_0000, "SA_RESTART"),
    (0x4000_0000, "SA_NODEFER"),
    (0x8000_0000, "SA_RESETHAND"),
];

const MIPS_SA_FLAGS: &[Flag] = &[
    (0x1, "SA_NOCLDSTOP"),
    (0x8, "SA_SIGINFO"),
    (0x1_0000, "SA_NOCLDWAIT"),
    (0x0800_0000, "SA_ONSTACK"),
    (0x1000_0000, "SA_RESTART"),
    (0x4000_0000, "SA_NODEFER"),
    (0x8000_0000, "SA_RESETHAND"),
];

fn sigaction(number: u64, entry: &SaEntry, machine: Option<March>) -> Sigaction {
    let (action, handler) = match entry.sigaction {
        0 => ("default", None),
        1 => ("ignore", None),
        address => ("handler", Some(Address(address))),
    };
    let table = if machine == Some(March::Mips) { MIPS_SA_FLAGS } else { SA_FLAGS };
    Sigaction {
        signal: signal_name(number, machine),
        action,
        handler,
        flags: flags(entry.flags, table),
        restorer: (entry.restorer != 0).then_some(Address(entry.restorer)),
        mask: Signals::of(entry.mask, entry.mask_extended, machine),
        compat: entry.compat_sigaction.unwrap_or_default(),
    }
}

/// Signals that wait, from the core or from the images that CRIU up to 1.2 had.
pub(crate) fn pending(
    loader: &mut Loader<'_>,
    queue: Option<&SignalQueueEntry>,
    old: &str,
    id: u32,
    process: &Process,
) -> Vec<SigInfo> {
    let old_name = format!("{old}-{id}.img");
    let mut all = queue.map(|queue| queue.signals.clone()).unwrap_or_default();
    if queue.is_none() {
        let old = loader.records_if_any::<SiginfoEntry>(&old_name);
        all = old.map(|records| records.entries).unwrap_or_default();
    }
    let parsed = all.iter().map(|entry| SigInfo::parse(&entry.siginfo, process.order, process.machine));
    let short = parsed.clone().filter(Option::is_none).count();
    if short > 0 {
        let image = if queue.is_some() { format!("core-{id}.img") } else { old_name };
        let reason = format!("{short} of the pending signals are too short to be read");
        loader.tell(Issue::new(&image, "short-siginfo", reason));
    }
    parsed.flatten().collect()
}

/// Flags in few words. That there is code to return with says nothing.
fn short(flags: &[String]) -> String {
    let words = flags.iter().filter(|flag| *flag != "SA_RESTORER");
    words
        .map(|flag| flag.strip_prefix("SA_").unwrap_or(flag).to_ascii_lowercase())
        .collect::<Vec<_>>()
        .join(" ")
}
