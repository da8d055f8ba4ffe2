//! Memory of processes, read where a question needs a few bytes of it.

mod private;

pub(crate) use private::previous;
pub use private::{Absence, read};
