//! `ckx completions`: what a shell needs to complete our command lines.

use clap_complete::env::Shells;

use crate::error::{CliError, Outcome};
use crate::ui::Ui;

/// Print a script that makes a shell complete ckx
///
/// Process ids and names of members are completed too, out of the checkpoint on the command line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx completions bash > /etc/bash_completion.d/ckx
  ckx completions zsh > ~/.zfunc/_ckx
  ckx completions fish > ~/.config/fish/completions/ckx.fish")]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL", value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    shell: String,
}

/// The environment variable by which a shell asks this program for completions.
pub const VARIABLE: &str = "COMPLETE";

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell).ok_or_else(|| CliError::new("no such shell"))?;
    shell
        .write_registration(VARIABLE, "ckx", "ckx", "ckx", &mut ui.out)
        .map_err(|error| CliError::writing("standard output", &error))?;
    Ok(Outcome::Done)
}
