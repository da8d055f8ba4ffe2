//! Repacking: from a checkpoint and options to an image or an archive, and a report of what was done.

use std::path::Path;

use ckx_core::{Checkpoint, Name};
use schemars::JsonSchema;
use serde::Serialize;

use crate::annotations::annotations;
use crate::compress::Method;
use crate::destination::{ArchiveFile, Destination, Layout, Push, Target, write_directory, write_tar};
use crate::facts::Facts;
use crate::image::{Annotations, Image, Request, build};
use crate::layer::{Split, Writing};
use crate::plan::{Change, Plan, Purpose};
use crate::registry::{Registry, SCHEME, Settings};
use crate::{Error, describe, verify};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Options {
    /// How members are spread over layers.
    pub split: Split,
    /// How layers are compressed; `None` for what suits the destination.
    pub method: Option<Method>,
    /// How many threads compress.
    pub threads: usize,
    /// Whether the annotations of the table are written.
    pub annotate: bool,
    /// Annotations beside or instead of those.
    pub set_annotations: Annotations,
    /// Keys that are left out.
    pub drop_annotations: Vec<String>,
    /// How a registry is talked to.
    pub registry: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            split: Split::default(),
            method: None,
            threads: Writing::default().threads,
            annotate: true,
            set_annotations: Annotations::new(),
            drop_annotations: Vec::new(),
            registry: Settings::default(),
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Report {
    /// Where the output is, as it was named.
    pub destination: String,
    /// The image; `None` when an archive or a directory was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Size of all files that were written, without what was there before.
    pub written_bytes: u64,
    /// What is otherwise than in the source.
    pub changes: Vec<Change>,
    /// What may keep the image from being restored.
    pub warnings: Vec<Warning>,
}

/// Something that should be known before a restore is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Warning {
    /// A stable word for it.
    pub code: &'static str,
    /// What it is.
    pub reason: String,
}

/// Repacks a checkpoint.
///
/// # Errors
/// Everything that keeps the output from being what was asked for; the destination is then as before.
pub fn repack(checkpoint: &Checkpoint, target: &Target, options: &Options) -> Result<Report, Error> {
    let purpose = if target.is_image() { Purpose::Image } else { Purpose::Archive };
    let plan = Plan::of(checkpoint, purpose)?;
    write(checkpoint, &plan, target, options)
}

fn write(checkpoint: &Checkpoint, plan: &Plan, target: &Target, options: &Options) -> Result<Report, Error> {
    let method = options.method.unwrap_or_else(|| target.method_of_name());
    let writing = Writing { method, threads: options.threads };
    let archive = checkpoint.archive();
    let mut report = Report {
        destination: String::new(),
        image: None,
        written_bytes: 0,
        changes: plan.changes().to_vec(),
        warnings: Vec::new(),
    };
    match target {
        Target::Tar(path) => {
            report.written_bytes = write_tar(archive, plan, writing, path)?.bytes;
            report.destination = shown(path);
        }
        Target::Directory(path) => {
            report.written_bytes = write_directory(archive, plan, path)?;
            report.destination = shown(path);
        }
        Target::Layout(path, tag) => {
            let mut layout = Layout::open(path, tag)?;
            write_image(checkpoint, plan, options, writing, &mut layout, &mut report)?;
            report.destination = format!("oci:{}:{tag}", shown(path));
        }
        Target::OciArchive(path, tag) => {
            let mut file = ArchiveFile::create(path, tag)?;
            write_image(checkpoint, plan, options, writing, &mut file, &mut report)?;
            report.destination = format!("oci-archive:{}:{tag}", shown(path));
        }
        Target::Registry(name) => {
            let mut push = Push::new(Registry::connect(name, options.registry.clone())?)?;
            write_image(checkpoint, plan, options, writing, &mut push, &mut report)?;
            report.destination = format!("{SCHEME}{name}");
        }
    }
    Ok(report)
}

fn write_image(
    checkpoint: &Checkpoint,
    plan: &Plan,
    options: &Options,
    writing: Writing,
    destination: &mut dyn Destination,
    report: &mut Report,
) -> Result<(), Error> {
    let facts = Facts::of(checkpoint);
    report.warnings = verify::missing(plan, facts.engine);
    let annotations = chosen(&facts, options);
    let created = facts.checkpointed();
    let image = build(
        &Request {
            archive: checkpoint.archive(),
            plan,
            split: options.split,
            writing,
            annotations: &annotations,
            layer_annotations: &describe::layers(plan, options.split),
            architecture: facts.architecture.unwrap_or("unknown"),
            created: created.as_deref(),
        },
        destination,
    )?;
    let new = image.layers.iter().filter(|layer| !layer.reused);
    report.written_bytes = new.map(|layer| layer.size_bytes).sum();
    report.image = Some(image);
    Ok(())
}

/// The annotations that options ask for.
fn chosen(facts: &Facts, options: &Options) -> Annotations {
    let mut chosen = if options.annotate { annotations(facts) } else { Annotations::new() };
    chosen.extend(options.set_annotations.clone());
    chosen.retain(|key, _| !options.drop_annotations.contains(key));
    chosen
}

fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    Name::from(path.as_os_str().as_bytes()).to_string()
}
