//! The commands, one file each.

use std::ffi::OsString;

use clap::{Args as _, CommandFactory, FromArgMatches, Parser};

use crate::error::{CliError, Outcome};
use crate::ui::{Color, Ui};

pub use inspect::{check_pids, no_images};

/// One command.
struct Spec {
    name: &'static str,
    about: &'static str,
    /// Adds the arguments. Called only for the command that is run or asked for help: building the
    /// arguments of all commands would take longer than decoding an image.
    arguments: fn(clap::Command) -> clap::Command,
    run: fn(&clap::ArgMatches, &mut Ui) -> Result<Outcome, CliError>,
}

/// Makes the modules and the table from one row per command.
macro_rules! commands {
    ($($module:ident: $about:literal,)*) => {
        $(mod $module;)*

        const COMMANDS: &[Spec] = &[$(Spec {
            name: stringify!($module),
            about: $about,
            arguments: $module::Args::augment_args,
            run: |matches, ui| {
                let args = $module::Args::from_arg_matches(matches)
                    .map_err(|error| CliError::new(error.to_string()))?;
                $module::run(&args, ui)
            },
        },)*];
    };
}

// In the order in which the help shows them.
commands! {
    inspect: "Tell what is in a checkpoint: processes, files, sockets, mounts, memory",
    tui: "Browse a checkpoint, or two, in the terminal",
    list: "List the checkpoints in directories, with whose they are and when they were made",
    ls: "List the members of a checkpoint, and of the tars in it",
    cat: "Write the content of a member to standard output",
    memory: "Tell how much memory there is, of what kind, and how much of it is the same",
    maps: "List the mappings of processes, as /proc/PID/maps does and with their pages",
    hexdump: "Show memory of a process as hexadecimal numbers",
    extract: "Write memory of a process to a file",
    grep: "Search the memory of processes, their queues and files",
    strings: "List the texts in memory, with their addresses",
    core: "Write core files of processes, for debuggers",
    diff: "Tell what changed between two checkpoints",
    repack: "Make an OCI image of a checkpoint, or an archive",
    decode: "Convert CRIU images to JSON",
    encode: "Convert JSON back to CRIU images",
    show: "Show CRIU images for people: JSON with flags, addresses and names",
    info: "Tell what images are and how many entries they have",
    x: "Explore a directory of images: processes, descriptors, sockets, memory",
    schema: "Print the JSON schema of a command's output",
    completions: "Print a script that makes a shell complete ckx",
    man: "Print or write manual pages",
}

/// Inspects and transforms CRIU checkpoints.
///
/// CRIU freezes running Linux processes into image files; container engines pack these into
/// checkpoint archives. ckx reads them in place, tells what is in them, and writes them back
/// exactly.
#[derive(Debug, Parser)]
#[command(
    name = "ckx",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done; 1 different or not found; 2 wrong usage or unreadable input; \
                  3 done as far as damaged input allows."
)]
struct Global {
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_enum)]
    color: Color,
    /// Do not send long text through a pager
    #[arg(long, global = true)]
    no_pager: bool,
}

/// The command line as clap sees it: for help, manual pages and completions.
pub fn command() -> clap::Command {
    with(COMMANDS)
}

fn with(commands: &[Spec]) -> clap::Command {
    commands.iter().fold(Global::command(), |command, spec| {
        command.subcommand(clap::Command::new(spec.name).about(spec.about).defer(spec.arguments))
    })
}

/// The part of the command line that these arguments need. Most begin with the name of a command, and
/// making the others would take a good part of the time that a small image takes.
fn command_for(args: &[OsString]) -> clap::Command {
    let name = args.get(1).and_then(|name| name.to_str());
    let at = name.and_then(|name| COMMANDS.iter().position(|spec| spec.name == name));
    with(at.and_then(|at| COMMANDS.get(at..=at)).unwrap_or(COMMANDS))
}

/// Runs a command line; returns the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>, ui: &mut Ui) -> u8 {
    if std::env::var_os(completions::VARIABLE).is_some() {
        clap_complete::CompleteEnv::with_factory(command).var(completions::VARIABLE).complete();
    }
    let args: Vec<OsString> = args.into_iter().collect();
    let matches = match command_for(&args).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => return usage(&error, ui),
    };
    if let Some(color) = matches.get_one::<Color>("color") {
        ui.set_color(*color);
    }
    if matches.get_flag("no_pager") {
        ui.without_pager();
    }
    let called = matches.subcommand().and_then(|(name, matches)| {
        COMMANDS.iter().find(|spec| spec.name == name).map(|spec| (spec, matches))
    });
    // clap has made sure that there is one.
    let Some((spec, matches)) = called else { return 2 };
    let result = (spec.run)(matches, ui).and_then(|outcome| {
        ui.out.flush().map_err(|error| CliError::writing("standard output", &error))?;
        Ok(outcome)
    });
    let code = exit_code(result, ui);
    ui.end();
    code
}

fn exit_code(result: Result<Outcome, CliError>, ui: &mut Ui) -> u8 {
    match result {
        Ok(outcome) => outcome.code(),
        Err(error) if error.is_broken_pipe() => 0,
        Err(error) => {
            // What was written before the failure is still good.
            let _ = ui.out.flush();
            ui.fail(&error);
            error.code()
        }
    }
}

/// Help and version go to standard output, wrong usage to standard error.
fn usage(error: &clap::Error, ui: &mut Ui) -> u8 {
    let target = if error.use_stderr() { &mut ui.err } else { &mut ui.out };
    let _ = write!(target, "{}", error.render()).and_then(|()| target.flush());
    if error.use_stderr() { 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
