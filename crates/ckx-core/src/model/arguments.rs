//! Command lines and environments, from the memory of the processes.

use ckx_criu::typed::messages::MmEntry;

use crate::Checkpoint;
use crate::interest::MAX_ARGUMENTS;
use crate::memory;
use crate::model::Process;

/// Why there is none, in words.
pub type Reason = String;

/// Length up to which the kernel reads a title that a program wrote over its arguments.
const TITLE_BYTES: u64 = 4096;

/// Arguments of a process, the program's name first.
///
/// Some programs write a title over them. Then the title is the only argument, as in
/// `/proc/PID/cmdline`.
///
/// # Errors
/// Why they cannot be read: the process is a zombie, an image is missing, a page was not dumped.
pub fn command_line(checkpoint: &Checkpoint, process: &Process) -> Result<Vec<Vec<u8>>, Reason> {
    let mm = address_space(process)?;
    let bytes = area(checkpoint, process, mm.mm_arg_start, mm.mm_arg_end)?;
    match bytes.last() {
        None => Ok(Vec::new()),
        Some(0) => Ok(without_padding(split(&bytes))),
        Some(_) => Ok(vec![title(checkpoint, process, mm, bytes)]),
    }
}

/// Environment of a process as it is in memory now, entry by entry; those that are empty are left out.
///
/// # Errors
/// Why it cannot be read.
pub fn environment(checkpoint: &Checkpoint, process: &Process) -> Result<Vec<Vec<u8>>, Reason> {
    let mm = address_space(process)?;
    let bytes = area(checkpoint, process, mm.mm_env_start, mm.mm_env_end)?;
    Ok(split(&bytes).into_iter().filter(|entry| !entry.is_empty()).collect())
}

fn address_space(process: &Process) -> Result<&MmEntry, Reason> {
    process.mm.as_ref().ok_or_else(|| process.lack("mm"))
}

fn area(checkpoint: &Checkpoint, process: &Process, start: u64, end: u64) -> Result<Vec<u8>, Reason> {
    if start > end {
        return Err("its end is before its start".to_owned());
    }
    let end = end.min(start.saturating_add(MAX_ARGUMENTS));
    match memory::read(checkpoint, process, start, end) {
        (bytes, None) => Ok(bytes),
        (_, Some(reason)) => Err(reason),
    }
}

/// The arguments end without a zero byte: the program wrote a title that may reach into the
/// environment behind them.
fn title(checkpoint: &Checkpoint, process: &Process, mm: &MmEntry, mut bytes: Vec<u8>) -> Vec<u8> {
    let limit = mm.mm_arg_start.saturating_add(TITLE_BYTES).min(mm.mm_env_end);
    if mm.mm_env_start == mm.mm_arg_end && mm.mm_arg_end < limit && !bytes.contains(&0) {
        bytes.extend(memory::read(checkpoint, process, mm.mm_arg_end, limit).0);
    }
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// A title that is shorter than the arguments were leaves zero bytes behind it. One empty argument
/// may be meant, several hardly are.
fn without_padding(mut arguments: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let kept = arguments.iter().rposition(|argument| !argument.is_empty()).map_or(0, |last| last + 1);
    if arguments.len() - kept > 1 {
        arguments.truncate(kept.max(1));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> Vec<Vec<u8>> {
        without_padding(split(bytes))
    }

    #[test]
    fn padding_is_no_argument() {
        assert_eq!(shown(b"a\0\0b\0"), [&b"a"[..], b"", b"b"]);
        assert_eq!(shown(b"a\0\0"), [&b"a"[..], b""]);
        assert_eq!(shown(b"title\0\0\0\0"), [b"title"]);
        assert_eq!(shown(b"\0\0\0\0"), [b""]);
    }
}
