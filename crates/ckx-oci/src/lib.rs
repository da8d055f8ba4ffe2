//! Checkpoints as OCI images: layers, annotations, layouts, registries.

#![forbid(unsafe_code)]
