//! `ckx tui`: browse a checkpoint, or two.
//!
//! The situation: somebody wants to look around in a checkpoint without knowing yet what for, and walk
//! from the container to a byte of memory and back.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use ckx_core::Options;
use ckx_tui::{End, Look, Settings, Sources, THEMES};
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::error::{CliError, Outcome};
use crate::registry::RegistryArgs;
use crate::ui::Ui;

/// Browse a checkpoint, or two, in the terminal
///
/// Left a tree of what there is, right what is selected, below the keys that are valid now; `?` shows
/// all of them. The checkpoint is opened in place, of any size, and never changed. With two checkpoints
/// what differs is shown too. Values that are likely to be secret are hidden.
#[derive(Debug, clap::Args)]
#[command(after_help = "Colours follow NO_COLOR and --color.

Examples:
  ckx tui checkpoint.tar
  ckx tui before.tar.zst after.tar.zst
  ckx tui --ascii --theme mono /var/lib/kubelet/checkpoints/checkpoint-web.tar")]
pub struct Args {
    /// Checkpoint: an archive, a directory, an OCI image, docker://HOST/NAME:TAG, `-` for standard input
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// A second one, to compare with
    #[arg(value_name = "SOURCE")]
    other: Option<PathBuf>,
    /// Show values that are likely to be secret
    #[arg(long)]
    reveal: bool,
    /// Colours
    #[arg(long, value_name = "NAME", value_parser = theme_parser())]
    theme: Option<String>,
    /// Draw with ASCII only
    #[arg(long)]
    ascii: bool,
    /// Leave the mouse to the terminal
    #[arg(long)]
    no_mouse: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

fn theme_parser() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(THEMES.iter().map(|(name, _)| *name))
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let is_stdin = args.source.as_os_str() == ckx_archive::archive::STDIN;
    if !io::stdout().is_terminal() || !(is_stdin || io::stdin().is_terminal()) {
        let failed = CliError::new("`ckx tui` needs a terminal, and there is none");
        return Err(failed.hinted(format!("`ckx inspect {}` prints the same as text", args.source.display())));
    }
    let name = args.theme.as_deref().unwrap_or(if ui.has_color() { "dark" } else { "mono" });
    let theme = ckx_tui::theme(name).ok_or_else(|| CliError::new(format!("there is no theme `{name}`")))?;
    let mut list = vec![args.opened(&args.source)?];
    list.extend(args.other.as_deref().map(|other| args.opened(other)).transpose()?);
    let look = Look { theme, ascii: args.ascii };
    let settings = Settings { look, mouse: !args.no_mouse };
    let failed = |error| CliError::new("the terminal cannot be used").because(error);
    match ckx_tui::run(Sources { list }, settings).map_err(failed)? {
        End::Left => Ok(Outcome::Done),
        End::Signal(signal) => Err(CliError::new(format!("ended by signal {signal}"))),
    }
}

impl Args {
    fn opened(&self, path: &Path) -> Result<(PathBuf, Options), CliError> {
        let archive = self.registry.reach(path, ckx_archive::Options::default())?;
        Ok((path.to_owned(), Options { reveal: self.reveal, archive, ..Options::default() }))
    }
}
