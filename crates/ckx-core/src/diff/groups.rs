//! `threads`, `seccomp`, `namespaces`, `cgroups`: what processes have for themselves and together.

use serde_json::{Map, Value, json};

use crate::diff::change::{Change, Mark};
use crate::diff::rules::{Key, ListRule, Rules, Treatment};
use crate::diff::sections::{self, COMM, ISSUES, PROCESSES};
use crate::diff::{Comparison, Pair, Pairing, Side};
use crate::inspect;

/// Threads of a process, in pairs.
const THREADS: ListRule = ListRule { at: "processes.threads", key: Key::Thread("tid"), shown: "thread" };

const THREAD_RULES: Rules = Rules {
    lists: &[PROCESSES, THREADS],
    fields: &[
        ISSUES,
        COMM,
        // Comparisons of their own.
        ("threads.state", Treatment::Skip),
        ("threads.seccomp", Treatment::Skip),
        ("threads.tid", Treatment::Skip),
        // Told as what is missing.
        ("threads.absent", Treatment::Skip),
    ],
};

/// Compares threads: registers, scheduling, signals.
pub(super) fn threads(pair: &Pair<'_>) -> Comparison {
    sections::prepared::<inspect::threads::Threads>(pair, THREAD_RULES, |report, _, _| {
        for process in list(report, "processes") {
            let pid = process.get("pid").cloned();
            for thread in list(process, "threads") {
                // The name of the leading thread is that of the process.
                if thread.get("tid") == pid.as_ref()
                    && let Some(fields) = thread.as_object_mut()
                {
                    fields.remove("comm");
                }
                thread.get_mut("registers").and_then(Value::as_object_mut).into_iter().for_each(by_name);
            }
        }
    })
}

/// Puts the general registers beside the machine, by name.
fn by_name(registers: &mut Map<String, Value>) {
    let Some(Value::Array(general)) = registers.remove("general") else { return };
    for register in general {
        if let (Some(name), Some(value)) =
            (register.get("name").and_then(Value::as_str), register.get("value"))
        {
            // `ip` and `sp` are there already, as the same.
            registers.insert(name.to_owned(), value.clone());
        }
    }
}

const SECCOMP_RULES: Rules = Rules {
    lists: &[PROCESSES, THREADS, ListRule { at: "threads.filters", key: Key::Position, shown: "" }],
    fields: &[ISSUES, COMM, ("threads.tid", Treatment::Skip)],
};

/// Compares how system calls are restricted, filter by filter.
pub(super) fn seccomp(pair: &Pair<'_>) -> Comparison {
    sections::prepared::<inspect::seccomp::Seccomp>(pair, SECCOMP_RULES, |report, _, _| {
        let filters: Map<String, Value> = match report.get_mut("filters").map(Value::take) {
            Some(Value::Array(filters)) => filters.into_iter().map(filter).collect(),
            _ => Map::new(),
        };
        for process in list(report, "processes") {
            for thread in list(process, "threads") {
                for index in list(thread, "filters") {
                    if let Some(filter) = filters.get(&index.to_string()) {
                        *index = filter.clone();
                    }
                }
            }
        }
    })
}

/// A filter by its number, with a hash for its program: programs have thousands of lines.
fn filter(mut filter: Value) -> (String, Value) {
    let text: String = list(&mut filter, "program").map(|line| format!("{line}\n")).collect();
    let hash = twox_hash::XxHash3_128::oneshot(text.as_bytes());
    let field = |name: &str| filter.get(name).cloned().unwrap_or_default();
    let shown = json!({
        "flags": field("flags"),
        "instructions": field("instructions"),
        "content_xxh3": format!("{hash:032x}"),
    });
    (field("index").to_string(), shown)
}

const NAMESPACE_RULES: Rules = Rules {
    lists: &[ListRule { at: "namespaces", key: Key::Fields(&["kind", "called"]), shown: "namespace" }],
    fields: &[
        ISSUES,
        // Numbers of the dump.
        ("namespaces.id", Treatment::Skip),
        ("called", Treatment::Skip),
        // Clocks run.
        ("clocks", Treatment::OfDump),
    ],
};

/// Compares namespaces, by their kind and the first process in them.
pub(super) fn namespaces(pair: &Pair<'_>) -> Comparison {
    sure(sections::prepared::<inspect::namespaces::Namespaces>(
        pair,
        NAMESPACE_RULES,
        |report, side, pair| {
            list(report, "namespaces").for_each(|namespace| members(namespace, side, pair.pairing));
        },
    ))
}

/// Groups go by their first member, and who is in them may not be known of all: then only what is said of
/// groups of both sides is sure.
fn sure(mut found: Comparison) -> Comparison {
    if !found.issues.is_empty() {
        let is_members =
            |change: &Change| change.path.ends_with(".processes") || change.path.ends_with(".threads");
        found
            .changes
            .retain(|change| matches!(change.mark, Mark::Changed | Mark::Same) && !is_members(change));
    }
    found
}

const CGROUP_RULES: Rules = Rules {
    lists: &[
        ListRule { at: "sets", key: Key::Fields(&["called"]), shown: "cgroup_set" },
        ListRule { at: "groups", key: Key::Fields(&["name"]), shown: "" },
        ListRule { at: "hierarchies", key: Key::Fields(&["called"]), shown: "cgroup" },
        ListRule { at: "directories", key: Key::Fields(&["path"]), shown: "" },
        ListRule { at: "properties", key: Key::Fields(&["name"]), shown: "" },
    ],
    fields: &[
        ISSUES,
        ("sets.id", Treatment::Skip),
        ("sets.is_criu", Treatment::Skip),
        ("called", Treatment::Skip),
        // The value in other words.
        ("properties.limit", Treatment::Skip),
    ],
};

/// Compares cgroups: who is where, and limits.
pub(super) fn cgroups(pair: &Pair<'_>) -> Comparison {
    sure(sections::prepared::<inspect::cgroups::Cgroups>(pair, CGROUP_RULES, |report, side, pair| {
        if let Some(sets) = report.get_mut("sets").and_then(Value::as_array_mut) {
            // Where CRIU itself was is no matter of the container.
            sets.retain(|set| set.get("is_criu") != Some(&Value::Bool(true)));
        }
        list(report, "sets").for_each(|set| members(set, side, pair.pairing));
        let roots: Vec<String> = list(report, "sets")
            .flat_map(|set| list(set, "groups"))
            .filter_map(|group| group.get("path")?.as_str().map(str::to_owned))
            .collect();
        for hierarchy in list(report, "hierarchies") {
            list(hierarchy, "directories").for_each(|directory| below(directory, &roots));
            let names: Vec<String> = list(hierarchy, "controllers").map(|name| plain(name)).collect();
            call(hierarchy, names.join(","));
        }
    }))
}

/// Names a directory from the place of the container on, which has its id in it and is told with the sets.
fn below(directory: &mut Value, roots: &[String]) {
    let Some(Value::String(path)) = directory.get_mut("path") else { return };
    let inside = |root: &String| {
        path.strip_prefix(root.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if let Some(rest) = roots.iter().filter(|root| root.len() > 1).find_map(inside) {
        *path = format!(".{rest}");
    }
}

/// Lists the members by the names of their pairs, and calls the group by the first of them. Who has no
/// pair is told by the processes.
fn members(group: &mut Value, side: Side, pairing: &Pairing) {
    for name in ["processes", "threads"] {
        let Some(Value::Array(list)) = group.get_mut(name) else { continue };
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let is_paired = |pid: u32| match side {
            Side::Before => pairing.after(pid).is_some(),
            Side::After => pairing.before(pid).is_some(),
        };
        let members = list.iter().filter_map(id).filter(|pid| name == "threads" || is_paired(*pid));
        *list = members.map(|pid| pairing.name_of(pid, side).into()).collect();
    }
    let first = list(group, "processes").next().map_or_else(|| "nobody".to_owned(), |name| plain(name));
    call(group, first);
}

fn call(value: &mut Value, name: String) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("called".to_owned(), name.into());
    }
}

fn list<'v>(value: &'v mut Value, name: &str) -> impl Iterator<Item = &'v mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
