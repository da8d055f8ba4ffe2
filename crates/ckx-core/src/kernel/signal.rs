//! Signals.

use ckx_criu::typed::messages::core_entry::March;
use schemars::JsonSchema;
use serde::Serialize;

/// Signals 1 to 31 on most machines.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The same on MIPS.
const MIPS_NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "EMT", "FPE", "KILL", "BUS", "SEGV", "SYS", "PIPE", "ALRM",
    "TERM", "USR1", "USR2", "CHLD", "PWR", "WINCH", "URG", "IO", "STOP", "TSTP", "CONT", "TTIN", "TTOU",
    "VTALRM", "PROF", "XCPU", "XFSZ",
];

/// First real-time signal that programs get: the C library keeps 32 and 33.
const RTMIN: u64 = 34;

/// Name of a signal: `SIGTERM`, `SIGRTMIN+3`.
pub(crate) fn signal_name(number: u64, machine: Option<March>) -> String {
    let (names, last) = match machine {
        Some(March::Mips) => (&MIPS_NAMES, 127),
        _ => (&NAMES, 64),
    };
    let known = number.checked_sub(1).and_then(|at| names.get(usize::try_from(at).ok()?));
    match (known, number) {
        (Some(name), _) => format!("SIG{name}"),
        (None, RTMIN) => "SIGRTMIN".to_owned(),
        (None, number) if number > RTMIN && number <= last => format!("SIGRTMIN+{}", number - RTMIN),
        (None, number) => number.to_string(),
    }
}

/// A set of signals, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Signals(pub Vec<String>);

impl Signals {
    /// The signals of a mask: bit n-1 is signal n. On MIPS there is a second word.
    pub(crate) fn of(mask: u64, extended: Option<u64>, machine: Option<March>) -> Self {
        let bits = |word: u64, first: u64| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
        };
        let numbers = bits(mask, 1).chain(bits(extended.unwrap_or_default(), 65));
        Self(numbers.map(|number| signal_name(number, machine)).collect())
    }

    /// For text: without the prefix that all have, and those that are more than half of all as `all
    /// but …`.
    pub(crate) fn words(&self) -> String {
        let short = |name: &String| name.strip_prefix("SIG").unwrap_or(name).to_owned();
        if self.0.len() <= 32 {
            return self.0.iter().map(short).collect::<Vec<_>>().join(" ");
        }
        let missing: Vec<String> =
            (1..=64).map(|number| signal_name(number, None)).filter(|name| !self.0.contains(name)).collect();
        match missing.as_slice() {
            [] => "all".to_owned(),
            missing => format!("all but {}", missing.iter().map(short).collect::<Vec<_>>().join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(signal_name(9, None), "SIGKILL");
        assert_eq!(signal_name(17, None), "SIGCHLD");
        assert_eq!(signal_name(17, Some(March::Mips)), "SIGUSR2");
        assert_eq!(signal_name(32, None), "32");
        assert_eq!(signal_name(36, None), "SIGRTMIN+2");
        assert_eq!(signal_name(65, None), "65");
        assert_eq!(signal_name(0, None), "0");
        assert_eq!(signal_name(u64::MAX, None), u64::MAX.to_string());
    }

    #[test]
    fn sets() {
        assert_eq!(Signals::of(0x1_0001, None, None).words(), "HUP CHLD");
        let most = Signals::of(!(1 << 8 | 1 << 18), None, None);
        assert_eq!(most.words(), "all but KILL STOP");
        assert_eq!(Signals::of(u64::MAX, None, None).words(), "all");
        assert_eq!(Signals::of(0, Some(1), Some(March::Mips)).0, ["SIGRTMIN+31"]);
    }
}
