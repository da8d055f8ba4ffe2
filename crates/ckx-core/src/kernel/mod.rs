//! Words of the kernel for its numbers: signals, capabilities, limits, clocks.

mod auxv;
mod siginfo;
mod signal;
pub(crate) mod xsave;

pub(crate) use auxv::{AuxKind, aux_entry};
pub use siginfo::SigInfo;
pub use signal::Signals;
pub(crate) use signal::signal_name;

use ckx_criu::typed::messages::core_entry::March;

/// A bit and its name.
pub(crate) type Flag = (u64, &'static str);

/// Names of the bits that are set; what has no name comes last as a number.
pub(crate) fn flags(value: u64, table: &[Flag]) -> Vec<String> {
    let mut rest = value;
    let mut names = Vec::new();
    for (bit, name) in table {
        if *bit != 0 && rest & bit == *bit {
            rest &= !bit;
            names.push((*name).to_owned());
        }
    }
    if rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    names
}

/// Name by number, or the number.
pub(crate) fn word(number: u64, table: &[Flag]) -> String {
    let found = table.iter().find(|(known, _)| *known == number);
    found.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// Capabilities by number.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Names of the capabilities in a set; those without one as numbers.
pub(crate) fn capabilities(set: u64) -> Vec<String> {
    (0..64_usize)
        .filter(|bit| set >> bit & 1 == 1)
        .map(|bit| CAPABILITIES.get(bit).map_or_else(|| format!("CAP_{bit}"), |name| (*name).to_owned()))
        .collect()
}

/// Number of the capabilities that have a name.
pub(crate) const KNOWN_CAPABILITIES: u32 = CAPABILITIES.len() as u32;

/// `SECBIT_*`.
pub(crate) const SECUREBITS: &[Flag] = &[
    (0x1, "NOROOT"),
    (0x2, "NOROOT_LOCKED"),
    (0x4, "NO_SETUID_FIXUP"),
    (0x8, "NO_SETUID_FIXUP_LOCKED"),
    (0x10, "KEEP_CAPS"),
    (0x20, "KEEP_CAPS_LOCKED"),
    (0x40, "NO_CAP_AMBIENT_RAISE"),
    (0x80, "NO_CAP_AMBIENT_RAISE_LOCKED"),
    (0x100, "EXEC_RESTRICT_FILE"),
    (0x200, "EXEC_RESTRICT_FILE_LOCKED"),
    (0x400, "EXEC_DENY_INTERACTIVE"),
    (0x800, "EXEC_DENY_INTERACTIVE_LOCKED"),
];

/// `CLOCK_*`.
pub(crate) const CLOCKS: &[Flag] = &[
    (0, "REALTIME"),
    (1, "MONOTONIC"),
    (2, "PROCESS_CPUTIME_ID"),
    (3, "THREAD_CPUTIME_ID"),
    (4, "MONOTONIC_RAW"),
    (5, "REALTIME_COARSE"),
    (6, "MONOTONIC_COARSE"),
    (7, "BOOTTIME"),
    (8, "REALTIME_ALARM"),
    (9, "BOOTTIME_ALARM"),
    (11, "TAI"),
];

/// `SIGEV_*`.
pub(crate) const SIGEV: &[Flag] = &[(0, "SIGNAL"), (1, "NONE"), (2, "THREAD"), (4, "THREAD_ID")];

/// A resource limit: its name and unit as `/proc/PID/limits` has them.
pub(crate) type Limit = (&'static str, &'static str);

/// Resource limits by number.
const LIMITS: [Limit; 16] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

/// On MIPS numbers 5 to 9 mean others: these places of [`LIMITS`].
const MIPS_LIMITS: [usize; 5] = [7, 9, 5, 6, 8];

/// The limit with this number.
pub(crate) fn limit(number: usize, machine: Option<March>) -> Option<Limit> {
    let place = match (machine, number.checked_sub(5).and_then(|from| MIPS_LIMITS.get(from))) {
        (Some(March::Mips), Some(place)) => *place,
        _ => number,
    };
    LIMITS.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_bits_stay_numbers() {
        assert_eq!(flags(0x11 | 1 << 40, SECUREBITS), ["NOROOT", "KEEP_CAPS", "0x10000000000"]);
        assert_eq!(capabilities(1 << 40 | 1 << 41 | 1), ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE", "CAP_41"]);
        assert_eq!(word(77, CLOCKS), "77");
    }

    #[test]
    fn limits_of_mips_have_other_numbers() {
        assert_eq!(limit(5, Some(March::Mips)).map(|limit| limit.0), Some("Max open files"));
        assert_eq!(limit(7, Some(March::X8664)).map(|limit| limit.0), Some("Max open files"));
        assert_eq!(limit(10, Some(March::Mips)).map(|limit| limit.0), Some("Max file locks"));
        assert_eq!(limit(16, None), None);
    }
}
