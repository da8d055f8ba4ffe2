//! Images that are written, read by other readers than ours.

mod layouts;
mod support;
mod tools;
