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
    let mut lines = Lines::new(args.only_text, &mut ui.out);
    let mut strings = Strings::new(texts, |area: &Arc<Area>, text| lines.text(area, text));
    let swept = args.source.sweep(&args.pid, &mut strings)?;
    let written = lines.end();
    written.map_err(|error| CliError::writing("standard output", &error))?;
    Ok(tell(&swept.issues, ui))
}

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;

/// Writes texts as lines.
struct Lines<'o> {
    only_text: bool,
    out: &'o mut Box<dyn std::io::Write>,
    buffer: Vec<u8>,
    /// The area whose mapping is known.
    area: Option<Arc<Area>>,
    mapping: Known,
    broken: Option<std::io::Error>,
}

/// What stands before and behind the addresses of a mapping.
#[derive(Default)]
struct Known {
    start: u64,
    end: u64,
    owner: String,
    /// What an address is shifted by.
    shift: u64,
    name: String,
}

impl<'o> Lines<'o> {
    fn new(only_text: bool, out: &'o mut Box<dyn std::io::Write>) -> Self {
        let buffer = Vec::with_capacity(BUFFER);
        Self { only_text, out, buffer, area: None, mapping: Known::default(), broken: None }
    }

    fn text(&mut self, area: &Arc<Area>, text: Text<'_>) -> Step {
        if !self.only_text {
            let is_known = self.area.as_ref().is_some_and(|known| Arc::ptr_eq(known, area))
                && (self.mapping.start..self.mapping.end).contains(&text.address);
            if !is_known {
                self.area = Some(Arc::clone(area));
                self.mapping = Known::of(area, text.address);
            }
            self.buffer.extend_from_slice(self.mapping.owner.as_bytes());
            self.buffer.extend_from_slice(b"\t0x");
            hexadecimal(text.address.wrapping_add(self.mapping.shift), &mut self.buffer);
            self.buffer.push(b'\t');
            self.buffer.extend_from_slice(self.mapping.name.as_bytes());
            self.buffer.push(b'\t');
        }
        match text.width {
            Width::Ascii => self.buffer.extend_from_slice(text.stored),
            Width::Utf16 => self.buffer.extend(text.characters()),
        }
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER {
            return self.spill();
        }
        Step::Next
    }

    fn spill(&mut self) -> Step {
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        match written {
            Ok(()) => Step::Next,
            Err(error) => {
                self.broken = Some(error);
                Step::Stop
            }
        }
    }

    fn end(mut self) -> std::io::Result<()> {
        if self.broken.is_none() {
            self.spill();
        }
        self.broken.map_or(Ok(()), Err)
    }
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
        Self { start, end, owner, shift, name }
    }
}
