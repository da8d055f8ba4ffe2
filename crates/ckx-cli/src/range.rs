//! Which addresses a command is about.

use std::path::Path;

use ckx_core::memory::AddressSpace;
use ckx_core::model::mappings::Mapping;

use crate::error::CliError;

/// Addresses of a process.
#[derive(Debug, clap::Args)]
pub struct RangeArgs {
    /// Addresses from A to B, without B, or LEN bytes from A on; with 0x before hexadecimal numbers
    #[arg(short, long, value_name = "A..B|A+LEN", value_parser = range, conflicts_with = "vma")]
    range: Option<(u64, u64)>,
    /// Mappings of this name (`[heap]`, a path or its last part), or the one that holds this address
    #[arg(long, value_name = "NAME|ADDR")]
    vma: Option<String>,
}

impl RangeArgs {
    /// Whether anything was chosen.
    pub fn is_some(&self) -> bool {
        self.range.is_some() || self.vma.is_some()
    }

    /// The ranges that were chosen, by address, those that touch joined; all of the memory if nothing was.
    pub fn of(&self, space: &AddressSpace, path: &Path) -> Result<Vec<(u64, u64)>, CliError> {
        if let Some(range) = self.range {
            return Ok(vec![range]);
        }
        let mappings = space.mappings();
        let Some(wanted) = &self.vma else { return Ok(joined(mappings.iter())) };
        let by_name = mappings.iter().filter(|mapping| is_called(mapping, wanted));
        let mut found = joined(by_name);
        if found.is_empty()
            && let Some(address) = number(wanted)
        {
            found = joined(space.mapping_at(address).into_iter());
        }
        if found.is_empty() {
            let error = CliError::new(format!(
                "process {} of `{}` has no mapping `{wanted}`",
                space.pid(),
                path.display()
            ));
            return Err(error.hinted(format!("`ckx maps --pid {}` lists them", space.pid())));
        }
        Ok(found)
    }
}

fn is_called(mapping: &Mapping, wanted: &str) -> bool {
    let Some(name) = mapping.name.as_ref().map(ckx_core::Name::as_bytes) else { return false };
    let wanted = wanted.as_bytes();
    let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name == wanted
        || last == wanted
        || name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")) == Some(wanted)
}

fn joined<'m>(mappings: impl Iterator<Item = &'m Mapping>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for mapping in mappings {
        match ranges.last_mut() {
            Some(last) if last.1 == mapping.start => last.1 = mapping.end,
            _ => ranges.push((mapping.start, mapping.end)),
        }
    }
    ranges
}

/// A number; hexadecimal with `0x` before it or a letter in it, as addresses are in `/proc/PID/maps`.
fn number(text: &str) -> Option<u64> {
    let text = text.trim().replace('_', "");
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok().or_else(|| u64::from_str_radix(&text, 16).ok()),
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let bad = |part: &str| format!("`{part}` is no address: 0x7f0000001000, or 4096");
    let parse = |part: &str| number(part).ok_or_else(|| bad(part));
    let (start, end) = if let Some((start, end)) = text.split_once("..") {
        (parse(start)?, parse(end)?)
    } else if let Some((start, len)) = text.split_once('+') {
        let (start, len) = (parse(start)?, parse(len)?);
        (start, start.checked_add(len).ok_or("the range ends behind the last address")?)
    } else if let Some((start, end)) = text.split_once('-') {
        // As in a line of /proc/PID/maps.
        let parse =
            |part: &str| u64::from_str_radix(part.trim_start_matches("0x"), 16).map_err(|_| bad(part));
        (parse(start)?, parse(end)?)
    } else {
        return Err("two addresses as A..B, or an address and a length as A+LEN".to_owned());
    };
    if start < end { Ok((start, end)) } else { Err("the range is empty".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_in_three_forms() {
        assert_eq!(range("0x1000..0x2000"), Ok((0x1000, 0x2000)));
        assert_eq!(range("4096..7fff"), Ok((4096, 0x7fff)));
        assert_eq!(range("0x1000+16"), Ok((0x1000, 0x1010)));
        assert_eq!(range("7f1000-7f2000"), Ok((0x7f_1000, 0x7f_2000)));
        assert!(range("0x2000..0x1000").is_err());
        assert!(range("0xffffffffffffffff+2").is_err());
        assert!(range("x..y").is_err());
    }
}
