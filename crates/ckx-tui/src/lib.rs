//! A browser of checkpoints for the terminal.
//!
//! The state is [`App`]; what happens is a [`Msg`], and what follows from it an [`Effect`]. Drawing is a
//! function of the state and does nothing else. Everything that takes time is a job: it runs beside the
//! screen, and its answer comes back as something that happened.
//!
//! What is seen comes from the core. Every section of `inspect` is a view by itself, drawn by one general
//! view of outlines; memory, images, members, searches and comparisons have views of their own.

#![forbid(unsafe_code)]

mod app;
mod event;
mod export;
mod frame;
mod help;
mod job;
mod keys;
mod list;
mod nav;
mod open;
mod prompt;
mod rows;
mod run;
mod scroll;
mod space;
mod terminal;
mod text;
mod theme;
mod view;

pub use app::{App, Effect, Focus, Msg, Sources};
pub use event::Event;
pub use frame::draw;
pub use job::Jobs;
pub use run::{End, Settings, run};
pub use theme::{Look, THEMES, theme};
