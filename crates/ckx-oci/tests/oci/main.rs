//! Images that are written, read by other readers than ours.

#![allow(clippy::print_stdout)]

mod delta;
mod delta_machines;
mod distribution;
mod edits;
mod layouts;
mod parents;
mod random_memory;
mod registry;
mod support;
mod tools;
