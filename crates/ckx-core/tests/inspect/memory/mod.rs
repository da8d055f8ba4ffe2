//! Memory beside what other programs say of it: the pages files themselves, sums that were taken of the
//! processes, texts that were counted.

mod bytes;
mod chains;
mod found;
mod seams;

use ckx_core::memory::Memory;
use ckx_core::{Checkpoint, Issue};

/// The memory of one process of a checkpoint, out of what is at hand.
fn space(checkpoint: &Checkpoint, pid: u32) -> ckx_core::memory::AddressSpace {
    let process = checkpoint.processes().get(pid).expect("the process is there");
    Memory::at_hand(checkpoint).space(process)
}

/// Issues as lines.
fn lines(issues: &[Issue]) -> Vec<String> {
    issues.iter().map(ToString::to_string).collect()
}
