//! `ckx grep`: what is in memory, and where.
//!
//! The situation: somebody knows a text, a key, a few bytes of an exploit, and wants to know whether any
//! process has it, and at which addresses.

use std::ffi::OsString;
use std::path::PathBuf;

use ckx_archive::tarball::Step;
use ckx_core::memory::search::{Around, Encoding, Hit, Pattern, Query, Searcher, Syntax, Which, in_members};
use clap::ValueEnum;

use crate::error::{CliError, Outcome};
use crate::render::found::{Found, Printer, Show};
use crate::source::{BeforeArgs, tell};
use crate::ui::Ui;

/// Search the memory of processes, their queues and files
///
/// PATTERN is a regular expression over bytes; `.` is any byte but a line end. Searched is the memory of all
/// processes, also across the borders of pages that are stored apart, shared memory once with all that map
/// it, and what waits in pipes, sockets and message queues. With `--all` also everything else: files that
/// CRIU keeps, tmpfs, changes of the root file system, logs, images.
///
/// Each line has the process, the address, the mapping with the offset in it, and the match with what is
/// around it. Pages never touched are zeros and not searched; those of mapped files that were not written
/// to are not in a checkpoint. Matches across borders are found up to
/// 16 KiB on each side.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "ckx grep [OPTIONS] <PATTERN> <SOURCE>\n       ckx grep [OPTIONS] -e <PATTERN>... <SOURCE>",
    after_help = "Exit codes: 0 found; 1 not found; 2 wrong usage or unreadable input; 3 not all could be searched.

Examples:
  ckx grep 'password=[^&]*' checkpoint.tar.zst
  ckx grep -F 'BEGIN RSA PRIVATE KEY' --pid 7 -A 1700 checkpoint.tar
  ckx grep --hex '4d5a??00 50450000' checkpoint.tar
  ckx grep --encoding utf-16le -i secret checkpoint.tar
  ckx grep --all -l evil.example checkpoint.tar"
)]
pub struct Args {
    /// What to search for, then the checkpoint: an archive, a directory, an OCI image,
    /// docker://HOST/NAME:TAG, `-` for standard input
    #[arg(value_name = "PATTERN> <SOURCE", required = true, num_args = 1..=2)]
    words: Vec<OsString>,
    /// A pattern; several may be given, any of which may match
    #[arg(short = 'e', long = "regexp", value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Take the pattern as it stands, not as an expression
    #[arg(short = 'F', long, conflicts_with = "hex")]
    fixed_strings: bool,
    /// Take the pattern as bytes in hexadecimal; `?` is any digit
    #[arg(short = 'x', long, conflicts_with_all = ["ignore_case", "encoding"])]
    hex: bool,
    /// Take upper and lower case for the same
    #[arg(short, long)]
    ignore_case: bool,
    /// How the text is stored; other than UTF-8 takes the pattern as it stands
    #[arg(short = 'E', long, value_name = "ENCODING", default_value = "utf-8", value_enum)]
    encoding: Stored,
    /// Only these processes, and no queues unless --all
    #[arg(short, long, value_name = "PID", value_delimiter = ',', add = crate::complete::pids())]
    pid: Vec<u32>,
    /// Search also all that is no memory: files, logs, images
    #[arg(short, long)]
    all: bool,
    /// Only how often, for each process and file
    #[arg(short, long, conflicts_with_all = ["files_with_matches", "json", "quiet"])]
    count: bool,
    /// Only which processes and files have it
    #[arg(short = 'l', long, conflicts_with_all = ["json", "quiet"])]
    files_with_matches: bool,
    /// Only the match, without what is around it
    #[arg(short, long, conflicts_with_all = ["before_context", "after_context", "context"])]
    only_matching: bool,
    /// Print nothing, and end at the first match
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// End after this many matches
    #[arg(short, long, value_name = "N")]
    max_count: Option<u64>,
    /// Bytes to show behind the match
    #[arg(short = 'A', long, value_name = "BYTES")]
    after_context: Option<usize>,
    /// Bytes to show before the match
    #[arg(short = 'B', long, value_name = "BYTES")]
    before_context: Option<usize>,
    /// Bytes to show on both sides
    #[arg(short = 'C', long, value_name = "BYTES")]
    context: Option<usize>,
    /// One line of JSON for each match: `begin`, `match`, `issue`, `summary`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    before: BeforeArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stored {
    /// As UTF-8
    #[value(name = "utf-8")]
    Utf8,
    /// As UTF-16, little-endian
    #[value(name = "utf-16le", alias = "utf-16")]
    Utf16Le,
    /// As UTF-16, big-endian
    #[value(name = "utf-16be")]
    Utf16Be,
}

/// Bytes that are shown before and behind a match if nothing is asked for.
const SHOWN: (usize, usize) = (16, 48);

/// Bytes around a match that are shown at most.
const MAX_CONTEXT: usize = 1 << 20;

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let (pattern, source) = args.pattern()?;
    let look = ui.look();
    if !args.quiet && !args.json {
        ui.page(true);
    }
    let mut printer = Printer::new(args.show(), args.max_count, look, &mut ui.out);
    printer.begin(&source);
    let found = |area: &std::sync::Arc<_>, hit: Hit| printer.found(&Found::Memory(area), &hit);
    let mut searcher = Searcher::new(&pattern, args.around(), found);
    let swept = args.before.sweep(&source, &args.pid, &mut searcher)?;
    let mut issues = swept.issues;
    issues.extend(swept.checkpoint.processes().issues_of_memory());
    if !printer.is_done() && (args.pid.is_empty() || args.all) {
        let which = if args.all { Which::All } else { Which::Queues };
        let mut found = |place: &_, hit: Hit| match printer.found(&Found::Member(place), &hit) {
            Step::Next => Step::Next,
            Step::Stop => Step::Stop,
        };
        issues.extend(in_members(&swept.checkpoint, which, &pattern, args.around(), &mut found));
    }
    let matches = printer.end(&issues).map_err(|error| CliError::writing("standard output", &error))?;
    // What was asked is answered, whatever else could not be read.
    if args.quiet && matches > 0 {
        return Ok(Outcome::Done);
    }
    let complete = if args.json { Outcome::Done.max(partial(&issues)) } else { tell(&issues, ui) };
    Ok(match (matches, complete) {
        (0, Outcome::Done) => Outcome::Different,
        (_, outcome) => outcome,
    })
}

fn partial(issues: &[ckx_core::Issue]) -> Outcome {
    if issues.is_empty() { Outcome::Done } else { Outcome::Partial }
}

impl Args {
    /// The pattern and the source.
    fn pattern(&self) -> Result<(Pattern, PathBuf), CliError> {
        let (patterns, source) = match (self.words.as_slice(), self.patterns.is_empty()) {
            ([source], false) => (self.patterns.clone(), source),
            ([pattern, source], true) => {
                let text = pattern.to_str().ok_or_else(|| {
                    CliError::new("the pattern is no UTF-8").hinted("--hex takes bytes in hexadecimal")
                })?;
                (vec![text.to_owned()], source)
            }
            ([_], true) => {
                return Err(CliError::new("a pattern and a checkpoint are needed")
                    .hinted("ckx grep PATTERN SOURCE"));
            }
            _ => {
                return Err(CliError::new("with -e the only other argument is the checkpoint"));
            }
        };
        let query = Query {
            patterns,
            syntax: match () {
                () if self.hex => Syntax::Hex,
                () if self.fixed_strings => Syntax::Fixed,
                () => Syntax::Regex,
            },
            encoding: match self.encoding {
                Stored::Utf8 => Encoding::Utf8,
                Stored::Utf16Le => Encoding::Utf16Le,
                Stored::Utf16Be => Encoding::Utf16Be,
            },
            ignore_case: self.ignore_case,
        };
        let pattern = query.compile().map_err(|error| {
            let failed = CliError::new(error.to_string());
            if self.hex { failed } else { failed.hinted("-F takes a pattern as it stands") }
        })?;
        Ok((pattern, source.into()))
    }

    fn show(&self) -> Show {
        match () {
            () if self.json => Show::Json,
            () if self.quiet => Show::Nothing,
            () if self.count => Show::Count,
            () if self.files_with_matches => Show::Names,
            () => Show::Lines,
        }
    }

    fn around(&self) -> Around {
        if self.count || self.files_with_matches || self.quiet {
            return Around::default();
        }
        let is_given = self.before_context.or(self.after_context).or(self.context).is_some();
        let usual = match is_given || self.only_matching || self.json {
            true => (0, 0),
            false => SHOWN,
        };
        let of = |own: Option<usize>, usual: usize| own.or(self.context).unwrap_or(usual).min(MAX_CONTEXT);
        Around {
            bytes: true,
            before: of(self.before_context, usual.0),
            after: of(self.after_context, usual.1),
        }
    }
}
