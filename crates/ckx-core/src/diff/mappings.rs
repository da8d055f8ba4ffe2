//! Mappings of the processes of a pair, lined up.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

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
    let partners = Partners::find(before, after);
    let pairs = before.iter().zip(&partners.of_before);
    let mut units: Vec<Unit<'m>> =
        pairs.map(|(mapping, other)| moved(mapping, other.and_then(|at| after.get(at)))).collect();
    let rest = after.iter().zip(&partners.is_taken).filter(|(_, is_taken)| !**is_taken);
    units.extend(rest.map(|(mapping, _)| Unit {
        before: None,
        after: Some(mapping),
        ranges: vec![(mapping.start, mapping.end)],
        shift: 0,
    }));
    units
}

fn moved<'m>(mapping: &'m Mapping, other: Option<&'m Mapping>) -> Unit<'m> {
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
    Unit { before: Some(mapping), after: other, ranges: vec![(start, end)], shift }
}

/// Which mapping of one list is which of the other, by place in the lists.
struct Partners {
    of_before: Vec<Option<usize>>,
    is_taken: Vec<bool>,
}

impl Partners {
    /// First those with a name: of the same place in the file and the same size, then in order. Order
    /// says nothing of mappings without a name: such a one is that behind (or before) the same named
    /// one, or one of its size.
    fn find(before: &[Mapping], after: &[Mapping]) -> Self {
        let mut partners = Self { of_before: vec![None; before.len()], is_taken: vec![false; after.len()] };
        let size = |mapping: &Mapping| mapping.end - mapping.start;
        partners.pass(before, after, |mapping| {
            mapping.name.is_some().then(|| Some((mapping.offset, size(mapping))))
        });
        partners.pass(before, after, |mapping| mapping.name.is_some().then_some(()));
        partners.neighbours(before, after, |mapping| mapping.end, |mapping| mapping.start);
        partners.neighbours(before, after, |mapping| mapping.start, |mapping| mapping.end);
        partners.pass(before, after, |mapping| {
            mapping.name.is_none().then(|| Some((mapping.offset, size(mapping))))
        });
        partners
    }

    /// Pairs those that have no partner yet and are alike, in order. `alike` has nothing of those that
    /// this pass is not about.
    fn pass<K: Hash + Eq>(
        &mut self,
        before: &[Mapping],
        after: &[Mapping],
        alike: impl Fn(&Mapping) -> Option<K>,
    ) {
        let key =
            |mapping: &Mapping| Some((mapping.name.clone(), mapping.permissions.clone(), alike(mapping)?));
        let mut waiting: HashMap<_, VecDeque<usize>> = HashMap::new();
        for (at, (mapping, _)) in
            after.iter().zip(&self.is_taken).enumerate().filter(|(_, (_, taken))| !**taken)
        {
            if let Some(key) = key(mapping) {
                waiting.entry(key).or_default().push_back(at);
            }
        }
        for (mapping, partner) in
            before.iter().zip(&mut self.of_before).filter(|(_, partner)| partner.is_none())
        {
            let found = key(mapping).and_then(|key| waiting.get_mut(&key)?.pop_front());
            if let Some(taken) = found.and_then(|at| self.is_taken.get_mut(at)) {
                *taken = true;
                *partner = found;
            }
        }
    }

    /// Pairs nameless mappings that touch mappings that are a pair: `edge` of these is `own` of them.
    fn neighbours(
        &mut self,
        before: &[Mapping],
        after: &[Mapping],
        edge: fn(&Mapping) -> u64,
        own: fn(&Mapping) -> u64,
    ) {
        let nameless = |list: &[Mapping]| -> HashMap<u64, usize> {
            let all = list.iter().enumerate().filter(|(_, mapping)| mapping.name.is_none());
            all.map(|(at, mapping)| (own(mapping), at)).collect()
        };
        let (first, second) = (nameless(before), nameless(after));
        for at in 0..before.len() {
            let named = before.get(at).filter(|mapping| mapping.name.is_some());
            let other = self.of_before.get(at).copied().flatten().and_then(|at| after.get(at));
            let places =
                named.zip(other).and_then(|(a, b)| Some((*first.get(&edge(a))?, *second.get(&edge(b))?)));
            let Some((a, b)) = places else { continue };
            let is_alike = before.get(a).map(|mapping| (&mapping.permissions, mapping.offset))
                == after.get(b).map(|mapping| (&mapping.permissions, mapping.offset));
            if let (Some(partner @ None), Some(taken @ false)) =
                (self.of_before.get_mut(a), self.is_taken.get_mut(b))
                && is_alike
            {
                *partner = Some(b);
                *taken = true;
            }
        }
    }
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
