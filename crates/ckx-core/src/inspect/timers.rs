//! `timers`: interval timers and POSIX timers.

use ckx_criu::typed::messages::{ItimerEntry, PosixTimerEntry, TaskTimersEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::subject::{Subject, living};
use crate::kernel::{CLOCKS, SIGEV, signal_name, word};
use crate::load::Loader;
use crate::model::Process;
use crate::outline::{Cell, Outline, Table};
use crate::{Address, Checkpoint, Issue};

/// Timers, by process. Those with a descriptor are among the files.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Timers {
    /// Processes that have timers.
    pub processes: Vec<ProcessTimers>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Timers of a process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessTimers {
    /// The process.
    #[serde(flatten)]
    pub process: Subject,
    /// Timers of setitimer(2) that are set.
    pub interval: Vec<IntervalTimer>,
    /// Timers of timer_create(2).
    pub posix: Vec<PosixTimer>,
}

/// A timer of setitimer(2).
#[derive(Debug, Serialize, JsonSchema)]
pub struct IntervalTimer {
    /// `ITIMER_REAL`, `ITIMER_VIRTUAL`, `ITIMER_PROF`.
    pub timer: &'static str,
    /// Time left when it was dumped.
    pub value_us: u64,
    /// Interval at which it repeats; 0 for once.
    pub interval_us: u64,
}

/// A timer of timer_create(2).
#[derive(Debug, Serialize, JsonSchema)]
pub struct PosixTimer {
    /// Its number.
    pub it_id: u32,
    /// Clock: `REALTIME`, `MONOTONIC`, or a number.
    pub clock: String,
    /// Time left when it was dumped; 0 for one that is not armed.
    pub value_ns: u64,
    /// Interval at which it repeats; 0 for once.
    pub interval_ns: u64,
    /// How it tells: `SIGNAL`, `NONE`, `THREAD`, `THREAD_ID`.
    pub notify: String,
    /// Signal that it sends.
    pub signal: String,
    /// Value that goes with the signal.
    pub sival_ptr: Address,
    /// Expirations that the program has not heard of.
    pub overrun: u32,
    /// Thread that gets the signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_thread_id: Option<i32>,
}

impl Collect for Timers {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let processes = living(checkpoint)
            .map(|process| read(&mut loader, process))
            .filter(|process| !process.interval.is_empty() || !process.posix.is_empty())
            .collect();
        let mut issues = checkpoint.processes().issues_of(&[]);
        issues.extend(loader.into_issues());
        Self { processes, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for process in &self.processes {
            let mut table = Table::new(&["TIMER", "LEFT", "EVERY", "CLOCK", "TELLS BY"]);
            for timer in &process.interval {
                let clock = if timer.timer == "ITIMER_REAL" { "REALTIME" } else { "cpu time" };
                let signal = match timer.timer {
                    "ITIMER_REAL" => "SIGALRM",
                    "ITIMER_VIRTUAL" => "SIGVTALRM",
                    _ => "SIGPROF",
                };
                table.row(vec![
                    Cell::from(timer.timer),
                    span(timer.value_us, "not armed"),
                    span(timer.interval_us, "once"),
                    Cell::from(clock),
                    Cell::from(signal),
                ]);
            }
            for timer in &process.posix {
                let tells = match (timer.notify.as_str(), timer.notify_thread_id) {
                    ("NONE", _) => "nothing".to_owned(),
                    (_, Some(tid)) if tid > 0 => format!("{} to thread {tid}", timer.signal),
                    _ => timer.signal.clone(),
                };
                table.row(vec![
                    Cell::from(format!("posix {}", timer.it_id)),
                    span(timer.value_ns / 1000, "not armed"),
                    span(timer.interval_ns / 1000, "once"),
                    Cell::from(&timer.clock),
                    Cell::from(tells),
                ]);
            }
            let mut inner = Outline::new();
            inner.table(table);
            outline.group(process.process.line(), inner);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

fn span(micros: u64, zero: &str) -> Cell {
    if micros == 0 { Cell::Faint(zero.to_owned()) } else { Cell::Micros(micros) }
}

fn read(loader: &mut Loader<'_>, process: &Process) -> ProcessTimers {
    let in_core = process.task().and_then(|task| task.timers.as_ref());
    let (interval, posix) = match in_core {
        Some(TaskTimersEntry { real, virt, prof, posix }) => (vec![*real, *virt, *prof], posix.clone()),
        None => old(loader, process.pid),
    };
    let names = ["ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"];
    let interval = names.into_iter().zip(&interval).map(|(timer, entry)| IntervalTimer {
        timer,
        value_us: sum(entry.vsec, 1_000_000, entry.vusec),
        interval_us: sum(entry.isec, 1_000_000, entry.iusec),
    });
    ProcessTimers {
        process: process.into(),
        interval: interval.filter(|timer| timer.value_us > 0 || timer.interval_us > 0).collect(),
        posix: posix.iter().map(|timer| posix_timer(timer, process)).collect(),
    }
}

/// CRIU up to 1.2 had timers in images of their own.
fn old(loader: &mut Loader<'_>, pid: u32) -> (Vec<ItimerEntry>, Vec<PosixTimerEntry>) {
    let interval = loader.records_if_any::<ItimerEntry>(&format!("itimers-{pid}.img"));
    let posix = loader.records_if_any::<PosixTimerEntry>(&format!("posix-timers-{pid}.img"));
    let interval = interval.map(|records| records.entries).unwrap_or_default();
    (interval, posix.map(|records| records.entries).unwrap_or_default())
}

fn posix_timer(timer: &PosixTimerEntry, process: &Process) -> PosixTimer {
    PosixTimer {
        it_id: timer.it_id,
        clock: word(timer.clock_id.into(), CLOCKS),
        value_ns: sum(timer.vsec, 1_000_000_000, timer.vnsec),
        interval_ns: sum(timer.isec, 1_000_000_000, timer.insec),
        notify: word(timer.it_sigev_notify.into(), SIGEV),
        signal: signal_name(timer.si_signo.into(), process.machine),
        sival_ptr: Address(timer.sival_ptr),
        overrun: timer.overrun,
        notify_thread_id: timer.notify_thread_id,
    }
}

fn sum(seconds: u64, unit: u64, parts: u64) -> u64 {
    seconds.saturating_mul(unit).saturating_add(parts)
}
