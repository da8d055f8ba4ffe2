//! `siginfo_t`, the kernel's record of a signal.

use ckx_criu::ByteOrder;
use ckx_criu::typed::messages::core_entry::March;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Address;
use crate::kernel::{Flag, signal_name, word};

/// A signal that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SigInfo {
    /// The signal.
    pub signal: String,
    /// Its number.
    pub si_signo: i32,
    /// Where it comes from: `SI_USER`, `CLD_EXITED`, or a number.
    pub si_code: String,
    /// An error number; 0 for none.
    pub si_errno: i32,
    /// Process that sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub si_pid: Option<i32>,
    /// User that sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub si_uid: Option<u32>,
    /// Exit code or signal of a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub si_status: Option<i32>,
    /// Number of the timer that expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub si_timerid: Option<i32>,
    /// Value that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub si_value: Option<Address>,
    /// Address of a fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub si_addr: Option<Address>,
}

/// Codes that do not depend on the signal.
const CODES: &[(i32, &str)] = &[
    (0, "SI_USER"),
    (0x80, "SI_KERNEL"),
    (-1, "SI_QUEUE"),
    (-2, "SI_TIMER"),
    (-3, "SI_MESGQ"),
    (-4, "SI_ASYNCIO"),
    (-5, "SI_SIGIO"),
    (-6, "SI_TKILL"),
];

/// Codes of `SIGCHLD`.
const CHILD_CODES: &[Flag] = &[
    (1, "CLD_EXITED"),
    (2, "CLD_KILLED"),
    (3, "CLD_DUMPED"),
    (4, "CLD_TRAPPED"),
    (5, "CLD_STOPPED"),
    (6, "CLD_CONTINUED"),
];

/// Where the parts of a record are.
struct Record<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
    /// Place of the part that depends on the signal.
    union: usize,
    wide: bool,
}

impl Record<'_> {
    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(self.order.word(bytes))
    }

    fn int(&self, at: usize) -> Option<i32> {
        self.word(at).map(u32::cast_signed)
    }

    fn pointer(&self, at: usize) -> Option<Address> {
        if !self.wide {
            return self.word(at).map(|word| Address(word.into()));
        }
        let [first, second] = [self.word(at)?, self.word(at + 4)?].map(u64::from);
        Some(Address(match self.order {
            ByteOrder::Little => second << 32 | first,
            ByteOrder::Big => first << 32 | second,
        }))
    }
}

impl SigInfo {
    /// Reads a record as the kernel of the dumping host laid it out. `None` if it is too short.
    pub(crate) fn parse(bytes: &[u8], order: ByteOrder, machine: Option<March>) -> Option<Self> {
        let wide = machine != Some(March::Arm);
        let record = Record { bytes, order, union: if wide { 16 } else { 12 }, wide };
        let si_signo = record.int(0)?;
        let (second, third) = (record.int(4)?, record.int(8)?);
        let (si_errno, code) = if machine == Some(March::Mips) { (third, second) } else { (second, third) };
        let signal = signal_name(u64::try_from(si_signo).unwrap_or_default(), machine);
        let is_child = signal == "SIGCHLD" && code > 0 && code < 0x80;
        let is_fault = matches!(&signal[..], "SIGILL" | "SIGFPE" | "SIGSEGV" | "SIGBUS" | "SIGTRAP");
        let union = record.union;
        let mut info = Self {
            si_code: name_of(code, is_child),
            signal,
            si_signo,
            si_errno,
            si_pid: None,
            si_uid: None,
            si_status: None,
            si_timerid: None,
            si_value: None,
            si_addr: None,
        };
        match code {
            _ if is_child => {
                info.si_pid = record.int(union);
                info.si_uid = record.word(union + 4);
                info.si_status = record.int(union + 8);
            }
            0 | -6 => {
                info.si_pid = record.int(union);
                info.si_uid = record.word(union + 4);
            }
            -2 => {
                info.si_timerid = record.int(union);
                info.si_value = record.pointer(union + 8);
            }
            i32::MIN..=-1 => {
                info.si_pid = record.int(union);
                info.si_uid = record.word(union + 4);
                info.si_value = record.pointer(union + 8);
            }
            _ if is_fault && code < 0x80 => info.si_addr = record.pointer(union),
            _ => {}
        }
        Some(info)
    }

    /// For text: the signal and where it came from.
    pub(crate) fn words(&self) -> String {
        let mut words = format!("{} ({}", self.signal, self.si_code);
        if let Some(pid) = self.si_pid {
            words.push_str(&format!(", pid {pid}"));
        }
        if let Some(uid) = self.si_uid {
            words.push_str(&format!(", uid {uid}"));
        }
        if let Some(status) = self.si_status {
            words.push_str(&format!(", status {status}"));
        }
        if let Some(timer) = self.si_timerid {
            words.push_str(&format!(", timer {timer}"));
        }
        if let Some(value) = self.si_value {
            words.push_str(&format!(", value {value:#x}"));
        }
        if let Some(address) = self.si_addr {
            words.push_str(&format!(", address {address:#x}"));
        }
        words.push(')');
        words
    }
}

fn name_of(code: i32, is_child: bool) -> String {
    if is_child {
        return word(code.unsigned_abs().into(), CHILD_CODES);
    }
    let found = CODES.iter().find(|(known, _)| *known == code);
    found.map_or_else(|| code.to_string(), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(order: ByteOrder, words: &[i32]) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            words.iter().flat_map(|word| order.word_bytes(word.cast_unsigned())).collect();
        bytes.resize(128, 0);
        bytes
    }

    #[test]
    fn of_a_child_and_of_a_queue() {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let child = SigInfo::parse(&record(order, &[17, 0, 1, 0, 42, 1000, 7]), order, None);
            assert_eq!(
                child.map(|info| info.words()).as_deref(),
                Some("SIGCHLD (CLD_EXITED, pid 42, uid 1000, status 7)")
            );
        }
        let queued = record(ByteOrder::Little, &[34, 0, -1, 0, 5, 6, 0x10, 1]);
        let info = SigInfo::parse(&queued, ByteOrder::Little, Some(March::X8664)).expect("whole");
        assert_eq!((info.si_pid, info.si_value), (Some(5), Some(Address(0x1_0000_0010))));
        let arm = record(ByteOrder::Little, &[34, 0, -1, 5, 6, 0x10]);
        let info = SigInfo::parse(&arm, ByteOrder::Little, Some(March::Arm)).expect("whole");
        assert_eq!((info.si_pid, info.si_uid, info.si_value), (Some(5), Some(6), Some(Address(0x10))));
        assert_eq!(SigInfo::parse(&[0; 11], ByteOrder::Little, None), None);
    }
}
