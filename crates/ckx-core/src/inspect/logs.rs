//! `logs`: what the container wrote, as its engine kept it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::storage::members;
use crate::model::Purpose;
use crate::outline::{Cell, Outline};
use crate::{Checkpoint, Issue, Name, Time};

/// Logs of the container.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Logs {
    /// Logs, by name of the member.
    pub logs: Vec<Log>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A log.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Log {
    /// Name of the member.
    pub member: Name,
    /// Its size.
    pub size_bytes: u64,
    /// Number of its lines.
    pub lines: u64,
    /// The last of them.
    pub last: Vec<Line>,
}

/// A line of a log.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// When it was written; absent in logs without times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// `stdout` or `stderr`; absent in logs without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<&'static str>,
    /// Whether the line goes on in the next one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_partial: bool,
    /// What was written.
    pub text: Name,
}

/// Lines that are told of one log.
const LAST: usize = 100;

impl Collect for Logs {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut issues = Vec::new();
        let is_log = |member: &&ckx_archive::Member| {
            Purpose::of(checkpoint, member) == Purpose::Logs && !member.file_name().starts_with(b"dump.log")
        };
        let mut logs = Vec::new();
        for member in members(checkpoint, |_| true).into_iter().filter(is_log) {
            let name = Name::from(&member.name);
            match checkpoint.archive().read_partial(member) {
                Ok((bytes, _)) => logs.push(Log::of(name, member.size_bytes, &bytes)),
                Err(error) => issues.push(Issue::unreadable(&name.to_string(), &error)),
            }
        }
        Self { logs, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for log in &self.logs {
            let mut below = Outline::new();
            let before = log.lines - log.last.len() as u64;
            if before > 0 {
                below.line(Cell::Faint(format!("{before} lines before; `ckx cat` has all")));
            }
            log.last.iter().for_each(|line| below.line(line.cell()));
            let faint = |text: &str| Cell::Faint(text.to_owned());
            let heading = vec![
                Cell::from(&log.member),
                Cell::Bytes(log.size_bytes),
                faint("in"),
                Cell::Count(log.lines),
                faint(if log.lines == 1 { "line" } else { "lines" }),
            ];
            outline.group(heading, below);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

impl Log {
    fn of(member: Name, size_bytes: u64, bytes: &[u8]) -> Self {
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let all = || text.split(|byte| *byte == b'\n');
        let lines = if text.is_empty() { 0 } else { all().count() };
        let last = all().skip(lines.saturating_sub(LAST)).take(lines.min(LAST)).map(Line::of).collect();
        Self { member, size_bytes, lines: lines as u64, last }
    }
}

impl Line {
    /// Reads the form of the kubelet and of Podman: `TIME stdout|stderr F|P TEXT`. Other lines are
    /// text as they are.
    fn of(line: &[u8]) -> Self {
        let plain = || Self { time: None, stream: None, is_partial: false, text: Name::from(line) };
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (Some(time), Some(stream), Some(tag)) = (parts.next(), parts.next(), parts.next()) else {
            return plain();
        };
        let Some(time) = std::str::from_utf8(time).ok().and_then(Time::parse) else { return plain() };
        let stream = match stream {
            b"stdout" => "stdout",
            b"stderr" => "stderr",
            _ => return plain(),
        };
        let is_partial = match tag {
            b"P" => true,
            b"F" => false,
            _ => return plain(),
        };
        let text = Name::from(parts.next().unwrap_or_default());
        Self { time: Some(time), stream: Some(stream), is_partial, text }
    }

    fn cell(&self) -> Cell {
        let Some(time) = self.time else { return Cell::from(&self.text) };
        let mut cells = vec![Cell::Faint(time.to_seconds())];
        if self.stream == Some("stderr") {
            cells.push(Cell::Marked("stderr".to_owned()));
        }
        cells.push(Cell::from(&self.text));
        Cell::Line(cells)
    }
}

#[cfg(test)]
mod tests {
    use super::{LAST, Log};
    use crate::Name;

    #[test]
    fn lines_of_engines_and_others() {
        let text = b"2026-11-23T17:00:50.1+01:00 stderr P half a\n2026-11-23T17:00:51Z stdout F \nplain stdout F x\n\n";
        let log = Log::of(Name::from("ctr.log"), 1, text);
        assert_eq!(log.lines, 4);
        let [partial, empty, plain, blank] = log.last.as_slice() else { panic!("{log:?}") };
        assert_eq!((partial.stream, partial.is_partial), (Some("stderr"), true));
        assert_eq!(partial.text.to_string(), "half a");
        assert_eq!((empty.stream, empty.text.to_string()), (Some("stdout"), String::new()));
        assert_eq!((plain.time, plain.text.to_string()), (None, "plain stdout F x".to_owned()));
        assert_eq!(partial.time.map(|time| time.to_seconds()).as_deref(), Some("2026-11-23T16:00:50Z"));
        assert_eq!((blank.stream, blank.text.to_string()), (None, String::new()));
    }

    #[test]
    fn only_the_last_lines_are_told() {
        let text: String = (0..LAST + 5).map(|line| format!("line {line}\n")).collect();
        let log = Log::of(Name::from("ctr.log"), 1, text.as_bytes());
        assert_eq!((log.lines, log.last.len()), (LAST as u64 + 5, LAST));
        assert_eq!(log.last.first().map(|line| line.text.to_string()).as_deref(), Some("line 5"));
        assert_eq!(Log::of(Name::from("ctr.log"), 0, b"").lines, 0);
    }
}
