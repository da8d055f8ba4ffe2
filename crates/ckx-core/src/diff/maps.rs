//! `mappings`: added, gone, grown, with other rights or another file.

use serde_json::{Map, Value, json};

use crate::diff::change::Change;
use crate::diff::mappings::{self, Mapping, Unit};
use crate::diff::{Comparison, Pair, Side};

/// Compares the mappings of all pairs.
pub(super) fn compare(pair: &Pair<'_>) -> Comparison {
    let mut found = Comparison::default();
    for ids in pair.pairing.pairs() {
        let processes = (pair.before.processes().get(ids.before), pair.after.processes().get(ids.after));
        let (Some(a), Some(b)) = processes else { continue };
        // Of an address space that cannot be read the processes tell.
        if a.mm.is_none() || b.mm.is_none() {
            continue;
        }
        let maps = (mappings::of(pair.before, a), mappings::of(pair.after, b));
        let units = match pair.options.relocated {
            true => mappings::by_name(&maps.0, &maps.1),
            false => mappings::by_address(&maps.0, &maps.1),
        };
        let place = format!("proc[{}]", pair.pairing.name_of(a.pid, Side::Before));
        if mappings::lies_elsewhere(&units) {
            let count = |list: &[Mapping]| Some(json!({ "mappings": list.len() }));
            let mut change = Change::new(format!("{place}.map"), count(&maps.0), count(&maps.1));
            change.remark = Some(mappings::ELSEWHERE.to_owned());
            found.changes.push(change);
            continue;
        }
        for unit in &units {
            one(pair, &place, unit, &mut found);
        }
    }
    found
}

fn one(pair: &Pair<'_>, place: &str, unit: &Unit<'_>, found: &mut Comparison) {
    let Some(mapping) = unit.before.or(unit.after) else { return };
    let path = format!("{place}.map[{:#x}]", mapping.start);
    let (before, after) = match (unit.before, unit.after) {
        (Some(a), Some(b)) => {
            // Of a file whose record is not there the name is not known, and other sections tell of it.
            let is_nameless = |mapping: &Mapping| mapping.offset.is_some() && mapping.name.is_none();
            let skip_name = is_nameless(a) || is_nameless(b);
            let (mut a, mut b) = (fields(a), fields(b));
            if skip_name {
                a.remove("name");
                b.remove("name");
            }
            if unit.shift != 0 {
                // Where it lies is no difference, but how long it is.
                for (fields, mapping) in [(&mut a, unit.before), (&mut b, unit.after)] {
                    fields.remove("start");
                    fields.remove("end");
                    fields.insert("size_bytes".to_owned(), length(mapping).into());
                }
            }
            let same: Vec<String> = a
                .iter()
                .filter(|(name, value)| b.get(*name) == Some(value))
                .map(|(name, _)| name.clone())
                .collect();
            for name in same {
                a.remove(&name);
                b.remove(&name);
            }
            if a.is_empty() && b.is_empty() {
                found.same += 1;
                found.changes.extend(pair.options.keep_same.then(|| Change::same(path)));
                return;
            }
            (Some(Value::Object(a)), Some(Value::Object(b)))
        }
        (a, b) => {
            (a.map(|mapping| Value::Object(fields(mapping))), b.map(|mapping| Value::Object(fields(mapping))))
        }
    };
    found.changes.push(Change::new(path, before, after));
}

fn length(mapping: Option<&Mapping>) -> Option<u64> {
    mapping.map(|mapping| mapping.end - mapping.start)
}

fn fields(mapping: &Mapping) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| _ = fields.insert(name.to_owned(), value);
    put("start", format!("{:#x}", mapping.start).into());
    put("end", format!("{:#x}", mapping.end).into());
    put("permissions", mapping.permissions.clone().into());
    if let Some(offset) = mapping.offset {
        put("file_offset_bytes", offset.into());
    }
    if let Some(name) = &mapping.name {
        put("name", name.to_string().into());
    }
    fields
}
