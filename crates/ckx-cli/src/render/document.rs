//! The JSON document of `inspect`.

use std::path::Path;

use ckx_archive::archive::Source;
use ckx_core::inspect::{Report, SECTIONS, Section};
use ckx_core::{Checkpoint, Issue, Name};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Name and version of the document's schema. Fields may be added within a version; none is renamed
/// or removed.
pub const SCHEMA: &str = "ckx.inspect/1";

/// What was opened.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SourceLine {
    /// Path as given; `-` for standard input.
    pub path: Name,
    /// `tar`, `directory`, `OCI layout`, `OCI archive`, `registry`.
    pub form: &'static str,
    /// `none`, `gzip`, `zstd`, `xz`, `bzip2`, `lz4`.
    pub compression: &'static str,
    /// Whether members are windows into a mapping, or the source was decoded once.
    pub is_mapped: bool,
    /// Size of the source as it lies there.
    pub size_bytes: u64,
}

impl From<&Source> for SourceLine {
    fn from(source: &Source) -> Self {
        Self {
            path: path_name(&source.path),
            form: source.form.name(),
            compression: source.compression.name(),
            is_mapped: source.backing == ckx_archive::archive::Backing::Mapped,
            size_bytes: source.size_bytes,
        }
    }
}

/// A path as a name.
pub fn path_name(path: &Path) -> Name {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().into()
}

/// One source, inspected.
pub struct Document<'a> {
    pub source: SourceLine,
    pub sections: Vec<(&'static Section, &'a dyn Report)>,
    pub issues: &'a [Issue],
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("schema", SCHEMA)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("sections", &Sections(&self.sections))?;
        map.serialize_entry("issues", self.issues)?;
        map.end()
    }
}

struct Sections<'a>(&'a [(&'static Section, &'a dyn Report)]);

impl Serialize for Sections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(section, report)| (section.name, report)))
    }
}

/// All issues of a checkpoint and its reports, each once: first those of the archive.
pub fn issues(checkpoint: &Checkpoint, reports: &[Box<dyn Report>]) -> Vec<Issue> {
    let mut all: Vec<Issue> = Vec::new();
    let faults = checkpoint.archive().faults().iter().map(Issue::from);
    let told = reports.iter().flat_map(|report| report.issues().iter().cloned());
    let mut seen = std::collections::HashSet::new();
    for issue in faults.chain(told) {
        if seen.insert(format!("{}\0{}", issue.image, issue)) {
            all.push(issue);
        }
    }
    all
}

/// The JSON schema of [`Document`].
pub fn schema() -> serde_json::Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12().for_serialize());
    let sections: serde_json::Map<_, _> = SECTIONS
        .iter()
        .map(|section| {
            let mut schema = (section.schema)(&mut generator).to_value();
            if let Some(object) = schema.as_object_mut() {
                object.insert("description".to_owned(), section.about.into());
            }
            (section.name.to_owned(), schema)
        })
        .collect();
    let source = generator.subschema_for::<SourceLine>();
    let issue = generator.subschema_for::<Issue>();
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        "description": "What `ckx inspect --format json` writes for one source. Fields may be added; none is renamed or removed within a version. Sections that were not asked for are absent.",
        "type": "object",
        "required": ["schema", "source", "sections", "issues"],
        "properties": {
            "schema": { "const": SCHEMA },
            "source": source,
            "sections": { "type": "object", "properties": sections, "additionalProperties": false },
            "issues": { "type": "array", "items": issue },
        },
        "$defs": generator.take_definitions(true),
    })
}
