//! `dump.log`: what CRIU wrote while it dumped.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Checkpoint, Issue, Name};

/// What stands in `dump.log`, and in `restore.log` of a checkpoint that was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DumpLog {
    /// Where the log is in the archive; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Name>,
    /// Version of CRIU: `4.2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Commit that it was built from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_id: Option<String>,
    /// Name of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Release of the kernel: `6.18.44`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The rest of what the kernel says of itself: its build, and the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_build: Option<String>,
    /// The machine: `x86_64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Id of CRIU's run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// File of settings that the caller named: runc and crun each have their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// Whether the log says that the dump was finished; `false` if it ends before that.
    pub is_finished: bool,
    /// Time of the last line, in microseconds since CRIU was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// Lines.
    pub lines: u64,
    /// Lines that say `Warn`.
    pub warnings: Vec<LogLine>,
    /// Lines that say `Error`. CRIU goes on after many of them.
    pub errors: Vec<LogLine>,
    /// Number of warnings and of errors beyond those that are listed.
    pub more: u64,
    /// The longest gaps between lines: what the dump spent its time on.
    pub slowest: Vec<Gap>,
    /// What is missing or broken.
    #[serde(skip)]
    pub issues: Vec<Issue>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LogLine {
    /// Number of the line, from 1.
    pub line: u64,
    /// Microseconds since CRIU was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_us: Option<u64>,
    /// Place in CRIU's sources that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Name>,
    /// What it says.
    pub text: Name,
}

/// A time without a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Gap {
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// The line before it: what CRIU had just said.
    pub after: LogLine,
}

/// Lines of a kind that are listed.
const MAX_LISTED: usize = 200;

/// Gaps that are listed, and the shortest one.
const MAX_GAPS: usize = 5;
const MIN_GAP_US: u64 = 10_000;

/// Bytes of one line that are kept.
const MAX_LINE: usize = 1024;

impl DumpLog {
    /// Reads the log of a checkpoint, at the top of the archive or among the images.
    pub(crate) fn read(checkpoint: &Checkpoint) -> Self {
        let beside = crate::checkpoint::joined(checkpoint.images_directory(), b"dump.log");
        let archive = checkpoint.archive();
        // runc and Docker may have a directory of their own for what CRIU writes beside the images.
        let member = archive
            .get(b"dump.log")
            .or_else(|| archive.get(&beside))
            .or_else(|| archive.current().find(|member| member.name.ends_with(b"/dump.log")));
        let Some(member) = member else { return Self::default() };
        let name = Name::from(&member.name);
        let mut log = match archive.read_partial(member) {
            Ok((bytes, _)) => Self::parse(&bytes),
            Err(error) => {
                let issue = Issue::unreadable(&name.to_string(), &error);
                Self { issues: vec![issue], ..Self::default() }
            }
        };
        log.member = Some(name);
        log
    }

    /// Reads the text of a log.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut log = Self::default();
        let mut before: Option<(u64, LogLine)> = None;
        let mut gaps: BTreeMap<(u64, u64), LogLine> = BTreeMap::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            log.lines += 1;
            let (at_us, text) = stamped(line);
            log.learn(text);
            let this = log.line(at_us, text);
            if let Some(at_us) = at_us {
                log.took_us = Some(at_us);
                if let Some((then, line)) = before.take()
                    && let Some(took_us) = at_us.checked_sub(then).filter(|gap| *gap >= MIN_GAP_US)
                {
                    gaps.insert((took_us, line.line), line);
                    if gaps.len() > MAX_GAPS {
                        gaps.pop_first();
                    }
                }
                before = Some((at_us, this));
            }
        }
        log.slowest = gaps.into_iter().rev().map(|((took_us, _), after)| Gap { took_us, after }).collect();
        log
    }

    /// A line, noted if it is a warning or an error.
    fn line(&mut self, at_us: Option<u64>, text: &[u8]) -> LogLine {
        let level = |word: &[u8]| {
            let rest = text.trim_ascii_start().strip_prefix(word)?;
            matches!(rest.first(), Some(b' ' | b'(')).then_some(rest)
        };
        let (list, rest) = match (level(b"Error"), level(b"Warn")) {
            (Some(rest), _) => (Some(&mut self.errors), rest),
            (_, Some(rest)) => (Some(&mut self.warnings), rest),
            _ => (None, text),
        };
        let (place, rest) = if list.is_some() { placed(rest) } else { (None, rest) };
        let kept = rest.trim_ascii();
        let line = LogLine {
            line: self.lines,
            at_us,
            place: place.map(Name::from),
            text: Name::from(kept.get(..MAX_LINE).unwrap_or(kept)),
        };
        match list {
            Some(list) if list.len() < MAX_LISTED => list.push(line.clone()),
            Some(_) => self.more += 1,
            None => {}
        }
        line
    }

    /// Takes what is known of CRIU and its host from the lines that tell it.
    fn learn(&mut self, text: &[u8]) {
        if text.len() > MAX_LINE {
            return;
        }
        let Ok(text) = std::str::from_utf8(text) else { return };
        if let Some(rest) = text.strip_prefix("Version: ") {
            let (version, git) = rest.split_once(" (gitid ").unwrap_or((rest, ""));
            self.version = word(version);
            self.git_id = word(git.trim_end_matches(')')).filter(|git| git != "0");
        } else if let Some(rest) = text.strip_prefix("Running on ") {
            self.host_of(rest);
        } else if let Some(rest) = text.strip_prefix("CRIU run id = ") {
            self.run_id = word(rest);
        } else if let Some(rest) = text.strip_prefix("Would overwrite RPC settings with values from ") {
            self.settings = word(rest);
        } else if text.starts_with("Dumping finished successfully") {
            self.is_finished = true;
        }
    }

    /// `HOST Linux RELEASE BUILD MACHINE`, as uname gives them.
    fn host_of(&mut self, rest: &str) {
        let mut words = rest.splitn(4, ' ');
        self.host = words.next().and_then(word);
        let _system = words.next();
        self.kernel = words.next().and_then(word);
        let Some((build, machine)) = words.next().and_then(|rest| rest.trim().rsplit_once(' ')) else {
            return;
        };
        self.kernel_build = word(build);
        self.machine = word(machine);
    }
}

fn word(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// `(SECONDS.MICROSECONDS) TEXT`; after it some versions have the pid in a second pair.
fn stamped(line: &[u8]) -> (Option<u64>, &[u8]) {
    let parse = || {
        let rest = line.strip_prefix(b"(")?;
        let end = rest.iter().take(24).position(|byte| *byte == b')')?;
        let (stamp, rest) = rest.split_at_checked(end)?;
        let (seconds, micros) = std::str::from_utf8(stamp).ok()?.split_once('.')?;
        let seconds: u64 = seconds.trim().parse().ok()?;
        let micros: u64 = micros.parse().ok().filter(|_| micros.len() == 6)?;
        let rest = rest.strip_prefix(b")")?;
        Some((seconds.checked_mul(1_000_000)?.checked_add(micros)?, rest.strip_prefix(b" ").unwrap_or(rest)))
    };
    parse().map_or((None, line), |(at, rest)| (Some(at), rest))
}

/// ` (criu/file.c:12): TEXT`.
fn placed(rest: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let parse = || {
        let inner = rest.trim_ascii_start().strip_prefix(b"(")?;
        let end = inner.iter().take(128).position(|byte| *byte == b')')?;
        let (place, rest) = inner.split_at_checked(end)?;
        Some((place, rest.strip_prefix(b"):")?))
    };
    parse().map_or((None, rest), |(place, rest)| (Some(place), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[u8] = b"(00.000000) CRIU run id = e03ae8d6
(00.000000) Would overwrite RPC settings with values from /etc/criu/runc.conf
(00.000027) Version: 4.2 (gitid v4.2-22-g2cf8f13ca)
(00.000034) Running on vm Linux 6.18.44 #1 SMP PREEMPT_DYNAMIC @0 x86_64
(00.011391) Warn  (criu/kerndat.c:1642): CRIU was built without libnftables support
(00.059059) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE\x1b[2J
(01.312910) Dumping finished successfully
";

    #[test]
    fn versions_and_faults_are_found() {
        let log = DumpLog::parse(LOG);
        assert_eq!(log.version.as_deref(), Some("4.2"));
        assert_eq!(log.git_id.as_deref(), Some("v4.2-22-g2cf8f13ca"));
        assert_eq!(log.host.as_deref(), Some("vm"));
        assert_eq!(log.kernel.as_deref(), Some("6.18.44"));
        assert_eq!(log.kernel_build.as_deref(), Some("#1 SMP PREEMPT_DYNAMIC @0"));
        assert_eq!(log.machine.as_deref(), Some("x86_64"));
        assert_eq!(log.settings.as_deref(), Some("/etc/criu/runc.conf"));
        assert_eq!(log.took_us, Some(1_312_910));
        assert!(log.is_finished);
        assert_eq!(log.warnings[0].place.as_ref().map(Name::as_bytes), Some(&b"criu/kerndat.c:1642"[..]));
        assert_eq!(log.errors[0].line, 6);
        assert_eq!(log.slowest[0].took_us, 1_312_910 - 59_059);
    }

    #[test]
    fn any_bytes_are_a_log() {
        for bytes in
            [&b""[..], b"(", b"()", b"(99999999999999999999.000000) x", b"\xff\n(0.1)\nVersion: \nRunning on"]
        {
            let log = DumpLog::parse(bytes);
            assert!(!log.is_finished);
            assert_eq!(log.version, None);
        }
    }
}
