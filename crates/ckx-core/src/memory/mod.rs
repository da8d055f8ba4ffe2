//! Memory of processes: [`Memory`] and [`AddressSpace`] are the doors to it.
//!
//! A process sees mappings; where the bytes of a page are depends on the mapping and on the dump. Private
//! pages are in the pages file that the page map of the process names, shared ones in that of the object
//! (`pagemap-shmem-ID.img`), unchanged ones in the dump before (`parent/`), and some in none: pages of
//! files that were not written to, pages left on the dumping host, pages never touched, which are zeros.
//! Each [`Piece`] says where its bytes come from, or why there are none.

mod area;
mod chain;
mod files;
mod held;
mod passing;
mod previous;
mod run;
mod same;
pub mod search;
mod space;
mod sweep;
pub mod usage;
mod while_opening;

pub use crate::model::mappings::{Backing, Mapping};
pub use area::{Area, Owner, Place};
pub use chain::{Chain, InFile};
pub(crate) use files::{PageFiles, page_size};
pub use held::{HELD_BYTES, Memory};
pub use passing::open_holding;
pub(crate) use passing::{Piped, SMALLEST_PAGE, is_read_once};
pub(crate) use run::hash;
pub use run::{Content, HashRun, Packed, Run, Why};
pub use space::{AddressSpace, Piece};
pub use sweep::{Sink, areas, sweep};
pub use while_opening::{Swept, open_and_sweep};

use crate::Checkpoint;
use crate::model::Process;

/// Reads the bytes from `start` to `end` of a process's private memory.
///
/// # Errors
/// Why it ends early; what comes before that is in the first half.
pub fn read(checkpoint: &Checkpoint, process: &Process, start: u64, end: u64) -> (Vec<u8>, Option<String>) {
    let files = PageFiles::at_hand(checkpoint);
    let chain = Chain::read(&files, &format!("pagemap-{}.img", process.pid));
    let mut out = Vec::new();
    let mut at = start;
    for run in chain.runs(start, end) {
        if run.start != at {
            break;
        }
        at = run.end;
        match run.unpacked().content {
            Content::Bytes(bytes) => out.extend_from_slice(&bytes),
            Content::Zero | Content::Untouched => {
                out.resize(usize::try_from(at - start).unwrap_or(0), 0);
            }
            Content::Absent(why) => return (out, Some(chain.reason(why))),
            Content::Packed(_) => return (out, Some(chain.reason(Why::Packed))),
            Content::Hashes(_) => return (out, Some(chain.reason(Why::NotKept))),
        }
    }
    let missing = if chain.is_lost() { Why::Map } else { Why::File };
    (out, (at < end).then(|| chain.reason(missing)))
}
