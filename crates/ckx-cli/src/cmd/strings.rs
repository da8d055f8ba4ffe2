//! `ckx strings`: the texts in memory.
//!
//! The situation: nobody knows yet what to search for. Texts show configuration, addresses, commands,
//! keys; unlike those of `strings` on a pages file they come with the process and the place.

use std::io::Write as _;
use std::sync::Arc;

use ckx_archive::tarball::Step;
use ckx_core::memory::search::{Strings, Text, Texts, Width};
use ckx_core::memory::{Area, Owner};
use clap::ValueEnum;

use crate::error::{CliError, Outcome};
use crate::source::{SourceArgs, tell};
use crate::ui::Ui;

/// List the texts in memory, with their addresses
///
/// Rows of printable ASCII characters and tabs, stored in one byte each or in two (UTF-16). Each line has
/// the process, the address, the mapping and the text, with tabs between them. Shared memory is listed
/// once, with the addresses of the first process that maps it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx strings checkpoint.tar.zst | grep -i password
  ckx strings -n 12 --pid 7 checkpoint.tar
  ckx strings --encoding utf-16 checkpoint.tar")]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Only these processes
    #[arg(short, long, value_name = "PID", value_delimiter = ',', add = crate::complete::pids())]
    pid: Vec<u32>,
    /// Characters that a text has at least
    #[arg(short = 'n', long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u32).range(2..))]
    min_length: u32,
    /// How the texts are stored
    #[arg(short, long, value_name = "ENCODING", default_value = "all", value_enum)]
    encoding: Stored,
    /// Only the texts, without process, address and mapping
    #[arg(short = 'o', long)]
    only_text: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stored {
    /// In one byte a character, and in two
    All,
    /// In one byte a character
    Ascii,
    /// In two bytes a character, little-endian
    #[value(name = "utf-16")]
    Utf16,
}

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    let texts = Texts {
        min: args.min_length as usize,
        ascii: args.encoding != Stored::Utf16,
        utf16: args.encoding != Stored::Ascii,
    };
    ui.page(true);
    let (only_text, mut broken) = (args.only_text, None);
    let out = &mut ui.out;
    let mut strings = Strings::new(
        texts,
        |area, texts| lines(only_text, area, texts),
        |lines: Vec<u8>| match out.write_all(&lines) {
            Ok(()) => Step::Next,
            Err(error) => {
                broken = Some(error);
                Step::Stop
            }
        },
    );
    let swept = args.source.sweep(&args.pid, &mut strings)?;
    match broken {
        Some(error) => Err(CliError::writing("standard output", &error)),
        None => Ok(tell(&swept.issues, ui)),
    }
}

/// Texts of an area as lines.
fn lines(only_text: bool, area: &Arc<Area>, texts: &mut dyn Iterator<Item = Text<'_>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut known = Known::default();
    for text in texts {
        if !only_text {
            if !(known.start..known.end).contains(&text.address) {
                known = Known::of(area, text.address);
            }
            out.extend_from_slice(known.owner.as_bytes());
            hexadecimal(text.address.wrapping_add(known.shift), &mut out);
            out.extend_from_slice(known.name.as_bytes());
        }
        match text.width {
            Width::Ascii => out.extend_from_slice(text.stored),
            Width::Utf16 => out.extend(text.characters()),
        }
        out.push(b'\n');
    }
    out
}

/// What stands before and behind the addresses of a mapping.
#[derive(Default)]
struct Known {
    start: u64,
    end: u64,
    /// With the tab and the `0x` behind it.
    owner: String,
    /// What an address is shifted by.
    shift: u64,
    /// With tabs around it.
    name: String,
}

fn hexadecimal(number: u64, out: &mut Vec<u8>) {
    let digits = (16 - number.leading_zeros() / 4).max(1);
    for digit in (0..digits).rev() {
        let digit = (number >> (4 * digit) & 15) as usize;
        out.push(*b"0123456789abcdef".get(digit).unwrap_or(&b'?'));
    }
}

impl Known {
    fn of(area: &Area, address: u64) -> Self {
        let places = area.places(address);
        let first = places.first();
        let owner = match (first, &area.owner) {
            (Some(place), _) => place.pid.to_string(),
            (None, Owner::Object { shmid }) => format!("object {shmid}"),
            (None, Owner::Process { pid, .. }) => pid.to_string(),
        };
        let shift = first.map_or(0, |place| place.address.0.wrapping_sub(address));
        let mapping = area.mapping_at(address);
        let name = mapping.and_then(|mapping| mapping.name.as_ref()).map_or("-".to_owned(), ToString::to_string);
        let (start, end) = match mapping {
            Some(mapping) => (mapping.start.wrapping_sub(shift), mapping.end.wrapping_sub(shift)),
            None => (address, address.saturating_add(1)),
        };
        Self { start, end, owner: format!("{owner}\t0x"), shift, name: format!("\t{name}\t") }
    }
}
