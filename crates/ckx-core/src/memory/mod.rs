//! Memory of processes, read where a question needs a few bytes of it.

mod private;

pub use private::{Absence, read};
