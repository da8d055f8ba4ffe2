//! For tests only: synthetic images and checkpoints, and a runner for the program.
//!
//! What is built here is built from the recorded facts about the format, not with the project's
//! own reader and writer: this crate depends on none of the others, so that an error in them does
//! not hide in the tests.
//!
//! | for | use |
//! |---|---|
//! | one message | [`Msg`] |
//! | one image, also a damaged one | [`ImageBuilder`] |
//! | a valid image of every kind | [`cases`] |
//! | a whole image directory that fits together | [`SynthCheckpoint`], [`presets`] |
//! | random damage | [`Rng`], [`mutate`] |
//! | running the program | [`Ckx`] |
//! | a registry in which things go wrong | [`registry`] |

#![forbid(unsafe_code)]

mod arch;
mod cases;
mod checkpoint;
mod command;
pub mod files;
mod image;
pub mod parts;
pub mod registry;
mod rng;
mod rows;
pub mod tarball;
mod wire;

pub use arch::{Arch, Regs};
pub use cases::{Case, cases};
pub use checkpoint::{Checkpoint, Fd, PagemapStyle, Process, SynthCheckpoint, presets};
pub use command::{Ckx, Output, replace, repository};
pub use files::FdType;
pub use image::{Header, ImageBuilder, Order};
pub use rng::{Rng, mutate};
pub use rows::{COMMON_MAGIC, ROWS, SERVICE_MAGIC, row};
pub use wire::Msg;
