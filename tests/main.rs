//! Tests of the whole: the command, the workspace, the schema's promises.

mod browser;
mod cli_cases;
mod core_files;
mod core_synthetic;
mod destinations;
mod edits;
mod hostile;
mod layering;
mod peers;
mod program;
mod restore_yaml;
mod schemas;
mod threads;
mod walkthroughs;
