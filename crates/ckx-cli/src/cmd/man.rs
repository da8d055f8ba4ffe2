//! `ckx man`: manual pages.

use std::io::Write as _;
use std::path::PathBuf;

use crate::error::{CliError, Outcome};
use crate::ui::Ui;

/// Print or write manual pages
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx man | man -l -
  ckx man inspect | man -l -
  ckx man --directory /usr/local/share/man/man1")]
pub struct Args {
    /// The command whose page is printed; without it the page of ckx itself
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
    /// Write all pages into this directory
    #[arg(short, long, value_name = "DIR", conflicts_with = "command")]
    directory: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let mut whole = super::command();
    whole.build();
    let Some(directory) = &args.directory else {
        let page = match &args.command {
            None => page(whole.clone(), None)?,
            Some(name) => {
                let found = whole.get_subcommands().find(|command| command.get_name() == name);
                let found = found.ok_or_else(|| {
                    CliError::new(format!("no command `{name}`")).hinted("`ckx --help` lists the commands")
                })?;
                page(found.clone(), Some(name))?
            }
        };
        ui.out.write_all(&page).map_err(|error| CliError::writing("standard output", &error))?;
        return Ok(Outcome::Done);
    };
    std::fs::create_dir_all(directory)
        .map_err(|error| CliError::new(format!("cannot create `{}`", directory.display())).because(error))?;
    let write = |name: &str, page: Vec<u8>| {
        let path = directory.join(format!("{name}.1"));
        std::fs::write(&path, page).map_err(|error| CliError::writing(&format!("`{}`", path.display()), &error))
    };
    write("ckx", page(whole.clone(), None)?)?;
    for command in whole.get_subcommands() {
        let name = command.get_name().to_owned();
        write(&format!("ckx-{name}"), page(command.clone(), Some(&name))?)?;
    }
    Ok(Outcome::Done)
}

fn page(command: clap::Command, subcommand: Option<&str>) -> Result<Vec<u8>, CliError> {
    let command = match subcommand {
        // Names of commands are static in clap, and this process ends soon.
        Some(name) => command.display_name(format!("ckx-{name}")).bin_name(format!("ckx {name}")),
        None => command,
    };
    let mut out = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    clap_mangen::Man::new(command)
        .source(format!("ckx {version}"))
        .manual("ckx Manual")
        .render(&mut out)
        .map_err(|error| CliError::writing("the page", &error))?;
    Ok(out)
}
