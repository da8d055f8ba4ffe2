//! `processes`: which processes there are, and what became of them.

use crate::diff::{Comparison, Pair};

pub(super) fn compare(_: &Pair<'_>) -> Comparison {
    Comparison::default()
}
