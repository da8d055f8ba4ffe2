//! The memory of a process, for views: read once, kept for those that come after.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use ckx_archive::archive::Backing;
use ckx_core::memory::{AddressSpace, Content, HELD_BYTES, Memory, Piece, Why};

use crate::job::{Answer, Work};
use crate::view::{Loaded, Which};

/// Spaces that are kept. Of compressed sources each holds the pages of a process.
const KEPT: usize = 2;

/// Spaces that were read.
#[derive(Debug, Default)]
pub struct Spaces(Mutex<VecDeque<(Which, Arc<AddressSpace>)>>);

impl Spaces {
    fn get(&self, which: Which, pid: u32) -> Option<Arc<AddressSpace>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(of, space)| *of == which && space.pid() == pid).map(|(_, space)| space.clone())
    }

    fn put(&self, which: Which, space: &Arc<AddressSpace>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((which, space.clone()));
    }
}

/// Reads the memory of a process. Of a source that is decoded what is at hand is sent first, then all of it.
pub fn load(loaded: &Loaded, which: Which, pid: u32, work: &Work) -> Result<Answer, String> {
    if let Some(space) = loaded.spaces.get(which, pid) {
        return Ok(Box::new(space));
    }
    let checkpoint = loaded.side(which).ok_or("there is no second checkpoint")?;
    let process = checkpoint.processes().get(pid).ok_or_else(|| format!("there is no process {pid}"))?;
    let mut space = Arc::new(AddressSpace::at_hand(checkpoint, process));
    if checkpoint.archive().source().backing == Backing::Streamed {
        work.send(Box::new(space));
        let memory = Memory::held(checkpoint, HELD_BYTES, &[process]);
        if let Some(issue) = memory.issue() {
            return Err(issue.to_string());
        }
        space = Arc::new(memory.space(process));
    }
    loaded.spaces.put(which, &space);
    Ok(Box::new(space))
}

/// Where bytes come from, or why there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the pages of this dump.
    Dump,
    /// In the pages of a dump before, so many steps back.
    Parent(usize),
    /// Zeros that are stored as such.
    Zero,
    /// Zeros that were never touched.
    Untouched,
    /// Nowhere.
    Absent(Why),
}

impl Origin {
    /// Of a piece.
    pub fn of(piece: &Piece) -> Self {
        match &piece.run.content {
            Content::Bytes(_) | Content::Packed(_) if piece.run.level == 0 => Self::Dump,
            Content::Bytes(_) | Content::Packed(_) => Self::Parent(piece.run.level),
            Content::Zero => Self::Zero,
            Content::Untouched => Self::Untouched,
            Content::Absent(why) => Self::Absent(*why),
            Content::Hashes(_) => Self::Absent(Why::NotKept),
        }
    }

    /// One character for it, as it is drawn in strips.
    pub fn mark(self, ascii: bool) -> char {
        match (self, ascii) {
            (Self::Dump, false) => '█',
            (Self::Dump, true) => '#',
            (Self::Parent(_), false) => '▒',
            (Self::Parent(_), true) => 'p',
            (Self::Zero, _) => '0',
            (Self::Untouched, false) => '·',
            (Self::Untouched, true) => '.',
            (Self::Absent(Why::File), _) => '-',
            (Self::Absent(Why::Kernel), _) => 'k',
            (Self::Absent(_), _) => '?',
        }
    }

    /// The character beside an address; none for what is simply there.
    pub fn letter(self) -> char {
        match self {
            Self::Dump => ' ',
            other => other.mark(true),
        }
    }

    /// In words, behind "page".
    pub fn words(self) -> String {
        match self {
            Self::Dump => "in the dump".to_owned(),
            Self::Parent(1) => "in the dump before".to_owned(),
            Self::Parent(level) => format!("in a dump {level} before"),
            Self::Zero => "of zeros".to_owned(),
            Self::Untouched => "never touched, zeros".to_owned(),
            Self::Absent(why) => why.reason().to_owned(),
        }
    }
}

/// What the marks of a strip mean.
pub fn legend(ascii: bool) -> String {
    let all = [
        (Origin::Dump, "dump"),
        (Origin::Parent(1), "parent"),
        (Origin::Untouched, "untouched"),
        (Origin::Absent(Why::File), "file"),
        (Origin::Absent(Why::Lost), "missing"),
    ];
    all.map(|(origin, word)| format!("{} {word}", origin.mark(ascii))).join("  ")
}
