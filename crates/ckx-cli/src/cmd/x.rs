//! `ckx x`: crit's explorers.

use std::path::PathBuf;

use crate::error::{CliError, Outcome};
use crate::ui::Ui;

/// Explore a directory of images: processes, descriptors, memory
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of images
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Runs the command.
pub fn run(_args: &Args, _ui: &mut Ui) -> Result<Outcome, CliError> {
    Err(CliError::new("wait"))
}
