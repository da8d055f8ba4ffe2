//! Images that are written, read by other readers than ours.

#![allow(clippy::print_stdout)]

mod delta;
mod distribution;
mod layouts;
mod registry;
mod support;
mod tools;
