//! Mappings of the processes of a pair, lined up.

use std::collections::HashMap;

use crate::Checkpoint;
use crate::diff::Pairing;

pub(super) use crate::model::mappings::{Backing, Mapping, of};

/// A mapping, or two that are one, with the ranges that they cover.
#[derive(Debug, Clone)]
pub(super) struct Unit<'m> {
    pub before: Option<&'m Mapping>,
    pub after: Option<&'m Mapping>,
    /// Ranges in the first checkpoint's addresses, by address.
    pub ranges: Vec<(u64, u64)>,
    /// What is added to them for addresses of the second.
    pub shift: u64,
}

/// Lines mappings up by address: what lies at one address in both is the same place.
pub(super) fn by_address<'m>(before: &'m [Mapping], after: &'m [Mapping]) -> Vec<Unit<'m>> {
    let edges = |list: &'m [Mapping]| list.iter().flat_map(|mapping| [mapping.start, mapping.end]);
    let mut edges: Vec<u64> = edges(before).chain(edges(after)).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut units: Vec<Unit<'m>> = Vec::new();
    let (mut a, mut b) = (0, 0);
    for pair in edges.windows(2) {
        let [start, end] = pair else { continue };
        let first = covering(before, &mut a, *start);
        let second = covering(after, &mut b, *start);
        if first.is_none() && second.is_none() {
            continue;
        }
        // What a mapping grew by is part of it.
        let is_one = |unit: &Unit<'m>| match (first, second) {
            (Some(_), _) if unit.before.is_some() => is_same(unit.before, first),
            (Some(mapping), _) => {
                is_same(unit.after, second) && unit.after.is_some_and(|other| other.name == mapping.name)
            }
            (None, _) => is_same(unit.after, second),
        };
        match units.last_mut().filter(|unit| is_one(unit)) {
            Some(unit) => {
                unit.before = unit.before.or(first);
                unit.after = unit.after.or(second);
                match unit.ranges.last_mut() {
                    Some(range) if range.1 == *start => range.1 = *end,
                    _ => unit.ranges.push((*start, *end)),
                }
            }
            None => units.push(Unit { before: first, after: second, ranges: vec![(*start, *end)], shift: 0 }),
        }
    }
    units
}

fn is_same(a: Option<&Mapping>, b: Option<&Mapping>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if std::ptr::eq(a, b))
}

/// The mapping that holds an address; `at` moves on with the addresses.
fn covering<'m>(list: &'m [Mapping], at: &mut usize, address: u64) -> Option<&'m Mapping> {
    while list.get(*at).is_some_and(|mapping| mapping.end <= address) {
        *at += 1;
    }
    list.get(*at).filter(|mapping| mapping.start <= address)
}

/// Lines mappings up by name and order, wherever they are.
pub(super) fn by_name<'m>(before: &'m [Mapping], after: &'m [Mapping]) -> Vec<Unit<'m>> {
    let mut waiting: HashMap<_, Vec<&'m Mapping>> = HashMap::new();
    for mapping in after.iter().rev() {
        waiting.entry((&mapping.name, &mapping.permissions)).or_default().push(mapping);
    }
    let mut units = Vec::new();
    for mapping in before {
        let other = waiting.get_mut(&(&mapping.name, &mapping.permissions)).and_then(Vec::pop);
        let len = |mapping: &Mapping| mapping.end - mapping.start;
        // Stacks grow down: their ends are the same place.
        let grows_down = mapping.name.as_ref().is_some_and(|name| name.as_bytes() == b"[stack]");
        let (shift, start, end) = match other {
            None => (0, mapping.start, mapping.end),
            Some(other) if grows_down => {
                let start = mapping.end.saturating_sub(len(mapping).max(len(other)));
                (other.end.wrapping_sub(mapping.end), start, mapping.end)
            }
            Some(other) => {
                let end = mapping.start.saturating_add(len(mapping).max(len(other)));
                (other.start.wrapping_sub(mapping.start), mapping.start, end)
            }
        };
        units.push(Unit { before: Some(mapping), after: other, ranges: vec![(start, end)], shift });
    }
    let mut rest: Vec<&Mapping> = waiting.into_values().flatten().collect();
    rest.sort_by_key(|mapping| mapping.start);
    units.extend(rest.into_iter().map(|mapping| Unit {
        before: None,
        after: Some(mapping),
        ranges: vec![(mapping.start, mapping.end)],
        shift: 0,
    }));
    units
}

/// Whether nothing of one side lies where something of the other does: another run of the program.
/// Mappings that the kernel has at one address in all processes do not count.
pub(super) fn lies_elsewhere(units: &[Unit<'_>]) -> bool {
    let own =
        |mapping: Option<&Mapping>| mapping.is_some_and(|mapping| mapping.content != Backing::Elsewhere);
    units.iter().any(|unit| own(unit.before))
        && units.iter().any(|unit| own(unit.after))
        && !units.iter().any(|unit| own(unit.before) && own(unit.after))
}

/// What is said of such a process.
pub(super) const ELSEWHERE: &str = "all at other addresses: see --relocated";

/// How far the mappings of each pair were moved.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// By ids in both.
    ranges: HashMap<(u32, u32), Vec<Moved>>,
}

/// Start and end of a mapping in the first checkpoint, and what is added for the second.
type Moved = (u64, u64, u64);

impl Moves {
    /// Lines up the mappings of all pairs by name and order.
    pub fn new(before: &Checkpoint, after: &Checkpoint, pairing: &Pairing) -> Self {
        let mut moves = Self::default();
        for ids in pairing.pairs() {
            let processes = (before.processes().get(ids.before), after.processes().get(ids.after));
            let (Some(a), Some(b)) = processes else { continue };
            let maps = (of(before, a), of(after, b));
            let units = by_name(&maps.0, &maps.1);
            let both = units.iter().filter(|unit| unit.before.is_some() && unit.after.is_some());
            let ranges =
                both.flat_map(|unit| unit.ranges.iter().map(|(start, end)| (*start, *end, unit.shift)));
            moves.ranges.insert((ids.before, ids.after), ranges.collect());
        }
        moves
    }

    /// Whether two addresses are one place.
    pub fn are_same(&self, process: (u32, u32), before: u64, after: u64) -> bool {
        let ranges = self.ranges.get(&process).map_or(&[][..], Vec::as_slice);
        let at = ranges.partition_point(|(start, ..)| *start <= before);
        let range = at.checked_sub(1).and_then(|at| ranges.get(at));
        range.is_some_and(|(_, end, shift)| before <= *end && before.wrapping_add(*shift) == after)
    }
}
