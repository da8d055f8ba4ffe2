//! Where crit's recorded JSON is wrong, and why: the list that the comparison allows.

use ckx_criu::Image;
use serde_json::Value;

/// The first difference between our JSON and crit's, faults of crit left out.
pub fn difference(image: &Image<'_>, ours: &Value, crit: &Value, pretty: bool) -> Option<String> {
    let mut ours = ours.clone();
    let mut crit = crit.clone();
    // crit has no place for byte order: it reads and writes that of its host.
    if let Some(document) = ours.as_object_mut() {
        document.remove("@byte_order");
    }
    if image.spec().is_some_and(|spec| spec.name == "PAGEMAP") {
        old_page_counts(&mut crit);
    }
    if pretty {
        task_states(&mut crit);
        memfd_mappings(&mut crit);
    }
    compare("", &ours, &crit)
}

/// Whether crit lost something, so that its JSON cannot give the image back.
pub fn cannot_encode(image: &Image<'_>, crit: &Value) -> bool {
    // crit before 4.2 calls field 2 `nr_pages`; that name is field 5 now, which means the same.
    let mut renamed = crit.clone();
    let old_pagemap =
        image.spec().is_some_and(|spec| spec.name == "PAGEMAP") && old_page_counts(&mut renamed);
    image.identity().order == ckx_criu::ByteOrder::Big || old_pagemap
}

/// crit before 4.2 knows only the 32-bit page count and calls it `nr_pages`.
fn old_page_counts(crit: &mut Value) -> bool {
    let mut old = false;
    for entry in crit["entries"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        if !entry.contains_key("compat_nr_pages")
            && let Some(count) = entry.remove("nr_pages")
        {
            entry.insert("compat_nr_pages".into(), count);
            old = true;
        }
    }
    old
}

/// crit's dictionary of task states has the names at wrong numbers.
fn task_states(crit: &mut Value) {
    for entry in crit["entries"].as_array_mut().into_iter().flatten() {
        let Some(state) = entry.pointer_mut("/tc/task_state") else { continue };
        match state.as_str() {
            Some("Zombie") => *state = "Stopped".into(),
            _ if *state == 2 => *state = "Dead".into(),
            _ => {}
        }
    }
}

/// crit before 3.18 has no name for the memfd bit of a mapping.
fn memfd_mappings(crit: &mut Value) {
    let vmas = crit.pointer_mut("/entries/0/vmas").and_then(Value::as_array_mut);
    for status in vmas.into_iter().flatten().filter_map(|vma| vma.get_mut("status")) {
        if let Some(names) = status.as_str().and_then(|text| text.strip_suffix("0x4000")) {
            *status = format!("{names}VMA_AREA_MEMFD").into();
        }
    }
}

fn compare(path: &str, ours: &Value, crit: &Value) -> Option<String> {
    match (ours, crit) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                let path = format!("{path}.{key}");
                match b.get(key) {
                    Some(other) => {
                        if let Some(difference) = compare(&path, value, other) {
                            return Some(difference);
                        }
                    }
                    None => return Some(format!("{path} only in ours: {value}")),
                }
            }
            b.keys().find(|key| !a.contains_key(*key)).map(|key| format!("{path}.{key} only in crit's"))
        }
        (Value::Array(a), Value::Array(b)) => {
            for (index, (value, other)) in a.iter().zip(b).enumerate() {
                if let Some(difference) = compare(&format!("{path}[{index}]"), value, other) {
                    return Some(difference);
                }
            }
            (a.len() != b.len()).then(|| format!("{path}: {} and {} elements", a.len(), b.len()))
        }
        _ => (ours != crit).then(|| format!("{path}: {ours} and {crit}")),
    }
}
