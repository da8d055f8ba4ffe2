//! What wakes the loop.

use std::fmt;

use crate::job::Notice;

/// Something that happened.
pub enum Event {
    /// A key, the mouse, another size of the terminal.
    Terminal(crossterm::event::Event),
    /// The terminal is gone, or cannot be read.
    Gone(String),
    /// A job says something.
    Job(Notice),
    /// A signal.
    Signal(i32),
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminal(event) => event.fmt(f),
            Self::Gone(reason) => write!(f, "gone: {reason}"),
            Self::Job(notice) => write!(f, "{:?}", notice.topic),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}
