//! A browser of checkpoints for terminals.

#![forbid(unsafe_code)]
