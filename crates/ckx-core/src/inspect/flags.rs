//! Names of bits: the same numbers mean the same everywhere, but for the open flags.

use ckx_criu::typed::messages::core_entry::March;

use crate::{Checkpoint, kernel};

/// Bits with their names. Names of several bits come before those of one.
pub(crate) type Bits = &'static [(u64, &'static str)];

/// Names of the bits that are set; what has no name is told as a number.
pub(crate) fn names(bits: Bits, value: u64) -> Vec<String> {
    kernel::flags(value, bits)
}

/// The name of a number, or its digits.
pub(crate) fn name_of(names: &[(u32, &str)], number: u32) -> String {
    let found = names.iter().find(|(each, _)| *each == number);
    found.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// How the machine of the dump numbers the flags of `open(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenFlags {
    Usual,
    Arm,
    Ppc,
    Mips,
}

const ACCESS: u64 = 3;

/// Which all machines but MIPS have in common.
const COMMON: Bits = &[
    (0o401_0000, "O_SYNC"),
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o1_0000, "O_DSYNC"),
    (0o2_0000, "FASYNC"),
    (0o100_0000, "O_NOATIME"),
    (0o200_0000, "O_CLOEXEC"),
    (0o1000_0000, "O_PATH"),
];

impl OpenFlags {
    /// Those of the machine that the checkpoint was made on.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let cores = checkpoint.processes().list.iter().filter_map(|process| process.core.as_ref());
        match cores.map(|core| March::try_from(core.mtype)).next() {
            Some(Ok(March::Arm | March::Aarch64)) => Self::Arm,
            Some(Ok(March::Ppc64)) => Self::Ppc,
            Some(Ok(March::Mips)) => Self::Mips,
            _ => Self::Usual,
        }
    }

    /// Names of the flags, the access mode first.
    pub fn names(self, flags: u32) -> Vec<String> {
        let flags = u64::from(flags);
        let access = match flags & ACCESS {
            0 => "O_RDONLY",
            1 => "O_WRONLY",
            2 => "O_RDWR",
            _ => "O_ACCMODE",
        };
        let mut found = vec![access.to_owned()];
        found.extend(names(self.bits(), flags & !ACCESS));
        found
    }

    /// Packet mode of pipes.
    pub fn is_direct(self, flags: u32) -> bool {
        self.bits().iter().any(|(bit, name)| *name == "O_DIRECT" && u64::from(flags) & bit != 0)
    }

    fn bits(self) -> Bits {
        match self {
            Self::Usual => USUAL,
            Self::Arm => ARM,
            Self::Ppc => PPC,
            Self::Mips => MIPS,
        }
    }
}

/// A table of the common flags and others, without macros' help in `const` context.
const fn with<const N: usize>(more: [(u64, &'static str); 5]) -> [(u64, &'static str); N] {
    let mut all = [(0, ""); N];
    let mut at = 0;
    while at < more.len() {
        all[at] = more[at];
        at += 1;
    }
    while at < N {
        all[at] = COMMON[at - more.len()];
        at += 1;
    }
    all
}

const ALL: usize = COMMON.len() + 5;

const USUAL: Bits = &with::<ALL>([
    (0o2020_0000, "O_TMPFILE"),
    (0o4_0000, "O_DIRECT"),
    (0o10_0000, "O_LARGEFILE"),
    (0o20_0000, "O_DIRECTORY"),
    (0o40_0000, "O_NOFOLLOW"),
]);

const ARM: Bits = &with::<ALL>([
    (0o2004_0000, "O_TMPFILE"),
    (0o20_0000, "O_DIRECT"),
    (0o40_0000, "O_LARGEFILE"),
    (0o4_0000, "O_DIRECTORY"),
    (0o10_0000, "O_NOFOLLOW"),
]);

const PPC: Bits = &with::<ALL>([
    (0o2004_0000, "O_TMPFILE"),
    (0o40_0000, "O_DIRECT"),
    (0o20_0000, "O_LARGEFILE"),
    (0o4_0000, "O_DIRECTORY"),
    (0o10_0000, "O_NOFOLLOW"),
]);

const MIPS: Bits = &[
    (0o2020_0000, "O_TMPFILE"),
    (0x4010, "O_SYNC"),
    (0x8, "O_APPEND"),
    (0x10, "O_DSYNC"),
    (0x80, "O_NONBLOCK"),
    (0x100, "O_CREAT"),
    (0x200, "O_TRUNC"),
    (0x400, "O_EXCL"),
    (0x800, "O_NOCTTY"),
    (0x1000, "FASYNC"),
    (0x2000, "O_LARGEFILE"),
    (0x8000, "O_DIRECT"),
    (0o20_0000, "O_DIRECTORY"),
    (0o40_0000, "O_NOFOLLOW"),
    (0o100_0000, "O_NOATIME"),
    (0o200_0000, "O_CLOEXEC"),
    (0o1000_0000, "O_PATH"),
];

/// Events of epoll sets.
pub(crate) const EPOLL: Bits = &[
    (0x1, "EPOLLIN"),
    (0x2, "EPOLLPRI"),
    (0x4, "EPOLLOUT"),
    (0x8, "EPOLLERR"),
    (0x10, "EPOLLHUP"),
    (0x20, "EPOLLNVAL"),
    (0x40, "EPOLLRDNORM"),
    (0x80, "EPOLLRDBAND"),
    (0x100, "EPOLLWRNORM"),
    (0x200, "EPOLLWRBAND"),
    (0x400, "EPOLLMSG"),
    (0x2000, "EPOLLRDHUP"),
    (1 << 28, "EPOLLEXCLUSIVE"),
    (1 << 29, "EPOLLWAKEUP"),
    (1 << 30, "EPOLLONESHOT"),
    (1 << 31, "EPOLLET"),
];

/// Events of inotify watches.
pub(crate) const INOTIFY: Bits = &[
    (0xfff, "IN_ALL_EVENTS"),
    (0x1, "IN_ACCESS"),
    (0x2, "IN_MODIFY"),
    (0x4, "IN_ATTRIB"),
    (0x8, "IN_CLOSE_WRITE"),
    (0x10, "IN_CLOSE_NOWRITE"),
    (0x20, "IN_OPEN"),
    (0x40, "IN_MOVED_FROM"),
    (0x80, "IN_MOVED_TO"),
    (0x100, "IN_CREATE"),
    (0x200, "IN_DELETE"),
    (0x400, "IN_DELETE_SELF"),
    (0x800, "IN_MOVE_SELF"),
    (0x2000, "IN_UNMOUNT"),
    (0x4000, "IN_Q_OVERFLOW"),
    (0x8000, "IN_IGNORED"),
    (0x0100_0000, "IN_ONLYDIR"),
    (0x0200_0000, "IN_DONT_FOLLOW"),
    (0x0400_0000, "IN_EXCL_UNLINK"),
    (0x1000_0000, "IN_MASK_CREATE"),
    (0x2000_0000, "IN_MASK_ADD"),
    (0x4000_0000, "IN_ISDIR"),
    (0x8000_0000, "IN_ONESHOT"),
];

/// Events of fanotify marks.
pub(crate) const FANOTIFY: Bits = &[
    (0x1, "FAN_ACCESS"),
    (0x2, "FAN_MODIFY"),
    (0x4, "FAN_ATTRIB"),
    (0x8, "FAN_CLOSE_WRITE"),
    (0x10, "FAN_CLOSE_NOWRITE"),
    (0x20, "FAN_OPEN"),
    (0x40, "FAN_MOVED_FROM"),
    (0x80, "FAN_MOVED_TO"),
    (0x100, "FAN_CREATE"),
    (0x200, "FAN_DELETE"),
    (0x400, "FAN_DELETE_SELF"),
    (0x800, "FAN_MOVE_SELF"),
    (0x1000, "FAN_OPEN_EXEC"),
    (0x4000, "FAN_Q_OVERFLOW"),
    (0x8000, "FAN_FS_ERROR"),
    (0x1_0000, "FAN_OPEN_PERM"),
    (0x2_0000, "FAN_ACCESS_PERM"),
    (0x4_0000, "FAN_OPEN_EXEC_PERM"),
    (0x0800_0000, "FAN_EVENT_ON_CHILD"),
    (0x1000_0000, "FAN_RENAME"),
    (0x4000_0000, "FAN_ONDIR"),
];

/// How a fanotify group was made.
pub(crate) const FANOTIFY_INIT: Bits = &[
    (0x1, "FAN_CLOEXEC"),
    (0x2, "FAN_NONBLOCK"),
    (0x4, "FAN_CLASS_CONTENT"),
    (0x8, "FAN_CLASS_PRE_CONTENT"),
    (0x10, "FAN_UNLIMITED_QUEUE"),
    (0x20, "FAN_UNLIMITED_MARKS"),
    (0x40, "FAN_ENABLE_AUDIT"),
    (0x80, "FAN_REPORT_PIDFD"),
    (0x100, "FAN_REPORT_TID"),
    (0x200, "FAN_REPORT_FID"),
    (0x400, "FAN_REPORT_DIR_FID"),
    (0x800, "FAN_REPORT_NAME"),
    (0x1000, "FAN_REPORT_TARGET_FID"),
];

/// How a fanotify mark was set.
pub(crate) const FANOTIFY_MARK: Bits = &[
    (0x1, "FAN_MARK_ADD"),
    (0x2, "FAN_MARK_REMOVE"),
    (0x4, "FAN_MARK_DONT_FOLLOW"),
    (0x8, "FAN_MARK_ONLYDIR"),
    (0x10, "FAN_MARK_MOUNT"),
    (0x20, "FAN_MARK_IGNORED_MASK"),
    (0x40, "FAN_MARK_IGNORED_SURV_MODIFY"),
    (0x80, "FAN_MARK_FLUSH"),
    (0x100, "FAN_MARK_FILESYSTEM"),
    (0x200, "FAN_MARK_EVICTABLE"),
    (0x400, "FAN_MARK_IGNORE"),
];

/// Seals of memory files.
pub(crate) const SEALS: Bits = &[
    (0x1, "F_SEAL_SEAL"),
    (0x2, "F_SEAL_SHRINK"),
    (0x4, "F_SEAL_GROW"),
    (0x8, "F_SEAL_WRITE"),
    (0x10, "F_SEAL_FUTURE_WRITE"),
    (0x20, "F_SEAL_EXEC"),
];

/// How a timerfd was set.
pub(crate) const TIMER_SET: Bits = &[(1, "TFD_TIMER_ABSTIME"), (2, "TFD_TIMER_CANCEL_ON_SET")];

/// Clocks.
pub(crate) const CLOCKS: &[(u32, &str)] = &[
    (0, "CLOCK_REALTIME"),
    (1, "CLOCK_MONOTONIC"),
    (7, "CLOCK_BOOTTIME"),
    (8, "CLOCK_REALTIME_ALARM"),
    (9, "CLOCK_BOOTTIME_ALARM"),
    (11, "CLOCK_TAI"),
];

/// Kinds of BPF maps, by number.
pub(crate) const BPF_MAPS: &[&str] = &[
    "unspec",
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "percpu_hash",
    "percpu_array",
    "stack_trace",
    "cgroup_array",
    "lru_hash",
    "lru_percpu_hash",
    "lpm_trie",
    "array_of_maps",
    "hash_of_maps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroup_storage",
    "reuseport_sockarray",
    "percpu_cgroup_storage",
    "queue",
    "stack",
    "sk_storage",
    "devmap_hash",
    "struct_ops",
    "ringbuf",
    "inode_storage",
    "task_storage",
    "bloom_filter",
    "user_ringbuf",
    "cgrp_storage",
    "arena",
];

/// Kinds of namespaces by their `CLONE_NEW*` flag, in the words of `/proc/PID/ns`.
pub(crate) const NAMESPACES: &[(u32, &str)] = &[
    (0x80, "time"),
    (0x2_0000, "mnt"),
    (0x200_0000, "cgroup"),
    (0x400_0000, "uts"),
    (0x800_0000, "ipc"),
    (0x1000_0000, "user"),
    (0x2000_0000, "pid"),
    (0x4000_0000, "net"),
];

impl OpenFlags {
    /// The machine, as far as names of signals depend on it.
    fn machine(self) -> Option<March> {
        (self == Self::Mips).then_some(March::Mips)
    }

    /// The name of a signal, such as `SIGTERM`; those of real time count from 34 as `SIGRTMIN+N`.
    pub fn signal(self, number: u32) -> String {
        kernel::signal_name(number.into(), self.machine())
    }

    /// The signals in a mask whose lowest bit is signal 1.
    pub fn signals(self, mask: u64) -> Vec<String> {
        kernel::Signals::of(mask, None, self.machine()).0
    }
}
