//! Sections of `inspect` beside what other tools read from the same real checkpoints.
//!
//! Shipped fixtures are always looked at. The corpus is large and no part of the project: `CKX_CORPUS`
//! names its place, and without it its tests say so and pass.

#![allow(clippy::print_stdout)]

mod all_images;
mod bundle;
mod corpus;
mod descriptors;
mod edge_cases;
mod forms;
mod kernel_objects;
mod kernel_truth;
mod maps;
mod memory;
mod open_files;
mod outlines;
mod processes;
mod storage;
mod synthetic;
