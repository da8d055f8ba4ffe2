//! What the tests of this crate share.

pub mod corpus;
pub mod crit;
