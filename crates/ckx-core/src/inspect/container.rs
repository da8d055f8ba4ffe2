//! `container`: how the container was set up, by its engine's documents.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::inspect::Collect;
use crate::inspect::environment::Variable;
use crate::model::container::Document;
use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue, Name, secret};

/// The container as it was declared: `spec.dump`, the runtime specification that it ran with. What
/// the processes made of it is told by other sections.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Container {
    /// Version of the runtime specification.
    #[serde(rename = "oci_version", skip_serializing_if = "Option::is_none")]
    pub oci_version: Option<String>,
    /// Command of the first process.
    pub args: Vec<Name>,
    /// Whether a part of that is hidden, because it is likely to be secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// Working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Name>,
    /// User and group, `UID:GID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether there is a terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<bool>,
    /// Whether the root file system may not be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_root_readonly: Option<bool>,
    /// Whether programs may not gain privileges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_new_privileges: Option<bool>,
    /// Environment that was declared.
    pub environment: Vec<Variable>,
    /// Capabilities that the processes may have at most.
    pub capabilities: Vec<String>,
    /// Namespaces of its own: `pid`, `network`, …
    pub namespaces: Vec<String>,
    /// Its cgroup.
    #[serde(rename = "cgroups_path", skip_serializing_if = "Option::is_none")]
    pub cgroups_path: Option<String>,
    /// Limits of resources, by path in the specification: `memory.limit` in bytes, `cpu.shares`, …
    pub resources: BTreeMap<String, Value>,
    /// Mounts that were declared.
    pub mounts: Vec<DeclaredMount>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// A mount of the specification.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeclaredMount {
    /// Where.
    pub destination: Name,
    /// Type of the file system.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Path or device on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Name>,
    /// Options.
    pub options: Vec<String>,
}

impl Collect for Container {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let model = checkpoint.container();
        let spec = &model.documents.spec;
        let reveal = checkpoint.options().reveal;
        let args: Vec<Vec<u8>> =
            spec.texts(&["process", "args"]).into_iter().map(String::into_bytes).collect();
        let (args, redacted) = secret::arguments(&args, reveal);
        let variable = |entry: &String| Variable::of(entry.as_bytes(), reveal);
        let hidden = |map: &BTreeMap<String, String>| {
            map.iter().map(|(key, value)| (key.clone(), annotation(key, value, reveal))).collect()
        };
        Self {
            oci_version: spec.text(&["ociVersion"]),
            args,
            redacted,
            cwd: spec.text(&["process", "cwd"]).map(Name::from),
            user: user(spec),
            terminal: spec.flag(&["process", "terminal"]),
            is_root_readonly: spec.flag(&["root", "readonly"]),
            no_new_privileges: spec.flag(&["process", "noNewPrivileges"]),
            environment: spec.texts(&["process", "env"]).iter().map(variable).collect(),
            capabilities: spec.texts(&["process", "capabilities", "bounding"]),
            namespaces: list(spec, &["linux", "namespaces"])
                .filter_map(|namespace| namespace.get("type")?.as_str().map(str::to_owned))
                .collect(),
            cgroups_path: model.cgroup.clone(),
            resources: resources(spec),
            mounts: list(spec, &["mounts"]).filter_map(DeclaredMount::of).collect(),
            annotations: hidden(&model.annotations),
            labels: hidden(&model.labels),
            issues: model.issues.clone(),
        }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        self.process(&mut outline);
        let mut fields = |heading: &str, map: &BTreeMap<String, String>| {
            let mut below = Outline::new();
            map.iter().for_each(|(key, value)| below.field(key, value));
            if !below.is_empty() {
                outline.group(vec![Cell::from(heading)], below);
            }
        };
        let resources: BTreeMap<String, String> =
            self.resources.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
        fields("resources", &resources);
        fields("annotations", &self.annotations);
        fields("labels", &self.labels);
        let mut table = Table::new(&["DESTINATION", "TYPE", "SOURCE", "OPTIONS"]);
        for mount in &self.mounts {
            table.row(vec![
                Cell::from(&mount.destination),
                Cell::or_dash(mount.kind.as_ref()),
                Cell::or_dash(mount.source.as_ref()),
                Cell::from(mount.options.join(",")),
            ]);
        }
        let mut below = Outline::new();
        below.table(table);
        if !below.is_empty() {
            outline.group(vec![Cell::from("declared mounts")], below);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

impl Container {
    fn process(&self, outline: &mut Outline) {
        let words = |words: &[String]| (!words.is_empty()).then(|| Cell::from(words.join(" ")));
        let yes = |is: Option<bool>| is.filter(|is| *is).map(|_| Cell::from("yes"));
        if !self.args.is_empty() {
            outline.field("command", Cell::Line(self.args.iter().map(Cell::from).collect()));
        }
        outline.field_if("directory", self.cwd.as_ref());
        outline.field_if("user", self.user.as_ref());
        outline.field_if("terminal", yes(self.terminal));
        outline.field_if("read-only root", yes(self.is_root_readonly));
        outline.field_if("no new privileges", yes(self.no_new_privileges));
        let capabilities: Vec<String> = self
            .capabilities
            .iter()
            .map(|name| name.strip_prefix("CAP_").unwrap_or(name).to_ascii_lowercase())
            .collect();
        outline.field_if("capabilities", words(&capabilities));
        outline.field_if("namespaces", words(&self.namespaces));
        outline.field_if("cgroup", self.cgroups_path.as_ref());
        let mut below = Outline::new();
        self.environment.iter().for_each(|variable| variable.show(&mut below));
        if !below.is_empty() {
            outline.group(vec![Cell::from("environment")], below);
        }
    }
}

impl DeclaredMount {
    fn of(mount: &Value) -> Option<Self> {
        let text = |key: &str| mount.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let options = mount.get("options").and_then(Value::as_array).into_iter().flatten();
        Some(Self {
            destination: Name::from(text("destination")?),
            kind: text("type").map(str::to_owned),
            source: text("source").map(Name::from),
            options: options.filter_map(|option| option.as_str().map(str::to_owned)).collect(),
        })
    }
}

fn list<'a>(document: &'a Document, path: &[&str]) -> impl Iterator<Item = &'a Value> {
    document.at(path).and_then(Value::as_array).into_iter().flatten()
}

fn user(spec: &Document) -> Option<String> {
    let uid = spec.number(&["process", "user", "uid"])?;
    Some(match spec.number(&["process", "user", "gid"]) {
        Some(gid) => format!("{uid}:{gid}"),
        None => uid.to_string(),
    })
}

/// An annotation's value, unless it is likely to be secret.
fn annotation(key: &str, value: &str, reveal: bool) -> String {
    if !reveal && secret::hides_annotation(key, value) { secret::HIDDEN.to_owned() } else { value.to_owned() }
}

/// Levels of `linux.resources` that are looked into; it has three.
const MAX_DEPTH: usize = 4;

/// Numbers, texts and truth values below `linux.resources` by path. Rules for devices are left out.
fn resources(spec: &Document) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    if let Some(value) = spec.at(&["linux", "resources"]) {
        below(value, "", MAX_DEPTH, &mut found);
    }
    found
}

fn below(value: &Value, path: &str, depth: usize, found: &mut BTreeMap<String, Value>) {
    let Some(object) = value.as_object().filter(|_| depth > 0) else { return };
    for (key, value) in object {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Object(_) => below(value, &path, depth - 1, found),
            Value::Null | Value::Array(_) => {}
            plain => _ = found.insert(path, plain.clone()),
        }
    }
}
