//! `images`: the files of the dump, by kind.

use std::collections::BTreeMap;

use ckx_criu::kind::spec_by_file_name;
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue, Name};

/// The files of the dump.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Images {
    /// Directory of the images in the archive; empty for its top.
    pub directory: Name,
    /// Files by kind, the largest kinds first.
    pub kinds: Vec<Kind>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Files of one kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Kind {
    /// Kind, in CRIU's words (`core`, `pages`, …); `None` for files that are no images.
    pub kind: Option<&'static str>,
    /// Number of files.
    pub files: u64,
    /// Size of all of them.
    pub size_bytes: u64,
}

impl Collect for Images {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut kinds: BTreeMap<Option<&'static str>, (u64, u64)> = BTreeMap::new();
        for (name, member) in checkpoint.image_members() {
            let (files, size) = kinds.entry(spec_by_file_name(name).map(|(spec, _)| spec.name)).or_default();
            *files += 1;
            *size = size.saturating_add(member.size_bytes);
        }
        let mut kinds: Vec<Kind> =
            kinds.into_iter().map(|(kind, (files, size_bytes))| Kind { kind, files, size_bytes }).collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.size_bytes));
        Self { directory: checkpoint.images_directory().into(), kinds, issues: Vec::new() }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let mut table = Table::new(&["KIND", "FILES", "SIZE"]);
        for kind in &self.kinds {
            let name = kind.kind.map_or_else(|| Cell::Faint("other".to_owned()), Cell::from);
            table.row(vec![name, Cell::Count(kind.files), Cell::Bytes(kind.size_bytes)]);
        }
        outline.table(table);
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}
