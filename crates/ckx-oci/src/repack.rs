//! Repacking: from a checkpoint and options to an image or an archive, and a report of what was done.

use std::path::Path;

use ckx_core::memory::Memory;
use ckx_core::{Checkpoint, Name};
use schemars::JsonSchema;
use serde::Serialize;

use crate::annotations::annotations;
use crate::compress::Method;
use crate::destination::{ArchiveFile, Destination, Layout, Push, Target, write_directory, write_tar};
use crate::facts::Facts;
use crate::image::{Annotations, Image, Request, build};
use crate::layer::{Split, Writing};
use crate::plan::{Change, Plan, Purpose, Sources};
use crate::registry::{Registry, SCHEME, Settings};
use crate::rewrite::{self, Delta, MemoryOptions};
use crate::{Edits, Error, describe, edit, verify};

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
    /// What becomes of the memory.
    pub memory: MemoryOptions,
    /// What else is to be otherwise.
    pub edits: Edits,
    /// How a registry is talked to.
    pub registry: Settings,
}

/// What is repacked.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The checkpoint.
    pub checkpoint: &'a Checkpoint,
    /// An earlier one: pages that are the same there are not stored again.
    pub base: Option<&'a Checkpoint>,
}

impl<'a> From<&'a Checkpoint> for Input<'a> {
    fn from(checkpoint: &'a Checkpoint) -> Self {
        Self { checkpoint, base: None }
    }
}

impl<'a> Input<'a> {
    fn sources(&self) -> Sources<'a> {
        Sources { own: self.checkpoint.archive(), base: self.base.map(Checkpoint::archive) }
    }
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
            memory: MemoryOptions::default(),
            edits: Edits::default(),
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
    /// How it stands to the earlier checkpoint that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<Delta>,
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
pub fn repack<'a>(input: impl Into<Input<'a>>, target: &Target, options: &Options) -> Result<Report, Error> {
    let input = input.into();
    let purpose = if target.is_image() { Purpose::Image } else { Purpose::Archive };
    let mut plan = Plan::of(input.checkpoint, purpose)?;
    let mut facts = Facts::of(input.checkpoint);
    let images = input.checkpoint.images_directory();
    let mut warnings = edit::apply(&mut plan, &mut facts, images, &options.edits)?;
    if purpose == Purpose::Archive && options.edits.engine.is_none() {
        // It is not said that it shall be restored.
        warnings.clear();
    }
    let delta = rewrite::apply(&mut plan, input.checkpoint, input.base, options.memory)?;
    let page_size = Memory::at_hand(input.checkpoint).page_size();
    warnings.extend(verify::images(&plan, images));
    warnings.extend(verify::pages(&plan, page_size));
    let mut report = write(input, &plan, &facts, target, options)?;
    report.delta = delta;
    report.warnings = warnings;
    Ok(report)
}

fn write(
    input: Input<'_>,
    plan: &Plan,
    facts: &Facts,
    target: &Target,
    options: &Options,
) -> Result<Report, Error> {
    let method = options.method.unwrap_or_else(|| target.method_of_name());
    // Archives have no names that tell what is in them.
    let has_checksums = !target.is_image();
    let writing = Writing { method, threads: options.threads, has_checksums, ..Writing::default() };
    let sources = input.sources();
    let mut report = Report {
        destination: String::new(),
        image: None,
        written_bytes: 0,
        delta: None,
        changes: plan.changes().to_vec(),
        warnings: Vec::new(),
    };
    match target {
        Target::Tar(path) => {
            report.written_bytes = write_tar(sources, plan, writing, path)?.mark.bytes;
            report.destination = shown(path);
        }
        Target::Directory(path) => {
            report.written_bytes = write_directory(sources, plan, path)?;
            report.destination = shown(path);
        }
        Target::Layout(path, tag) => {
            let mut layout = Layout::open(path, tag)?;
            write_image(input, plan, facts, options, writing, &mut layout, &mut report)?;
            report.destination = format!("oci:{}:{tag}", shown(path));
        }
        Target::OciArchive(path, tag) => {
            let mut file = ArchiveFile::create(path, tag)?;
            write_image(input, plan, facts, options, writing, &mut file, &mut report)?;
            report.destination = format!("oci-archive:{}:{tag}", shown(path));
        }
        Target::Registry(name) => {
            let mut push = Push::new(Registry::connect(name, options.registry.clone())?)?;
            write_image(input, plan, facts, options, writing, &mut push, &mut report)?;
            report.destination = format!("{SCHEME}{name}");
        }
    }
    Ok(report)
}

fn write_image(
    input: Input<'_>,
    plan: &Plan,
    facts: &Facts,
    options: &Options,
    writing: Writing,
    destination: &mut dyn Destination,
    report: &mut Report,
) -> Result<(), Error> {
    let annotations = chosen(facts, options);
    let created = facts.checkpointed();
    let image = build(
        &Request {
            sources: input.sources(),
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
