//! `ckx repack`: a checkpoint as an OCI image, or as an archive again.
//!
//! The situation: a container was checkpointed on one node and shall go on on another. Engines restore
//! images, and only images that carry the right annotations.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::Checkpoint;
use ckx_core::memory::HELD_BYTES;
use ckx_oci::annotations::ANNOTATIONS;
use ckx_oci::compress::Method;
use ckx_oci::destination::Target;
use ckx_oci::layer::{Split, Writing};
use ckx_oci::plan::Keeping;
use ckx_oci::registry::Pulled;
use ckx_oci::repack::{Input, Options, Report, repack};
use ckx_oci::facts::Engine;
use ckx_oci::{Delta, Edits, MemoryOptions};

use crate::error::{CliError, Outcome};
use crate::output;
use crate::progress::watched;
use crate::registry::RegistryArgs;
use crate::render::{Format, FormatArgs, write_value};
use crate::restore_yaml;
use crate::ui::Ui;

/// Make an OCI image of a checkpoint, or an archive
///
/// Writes an image with the annotations by which CRI-O, Podman and containerd recognise a checkpoint. Layers
/// are the same bytes for the same input and options. Nothing else is needed: no engine, no root, no daemon. A destination that exists stays whole until the new one is complete.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ckx repack checkpoint.tar -o oci:images:web
  ckx repack --compress gzip checkpoint.tar.zst -o oci-archive:web.tar:web
  ckx repack checkpoint.tar -o docker://registry.example/team/web:checkpoint
  ckx repack docker://registry.example/team/web:checkpoint -o tar:checkpoint.tar.zst
  ckx repack --restore-yaml pod.yaml checkpoint.tar -o docker://registry.example/team/web:checkpoint
  ckx repack --base checkpoint-1.tar checkpoint-2.tar -o docker://registry.example/team/web:2
  ckx repack --parent pre-dump.tar checkpoint.tar -o docker://registry.example/team/web:1
  ckx repack --flatten docker://registry.example/team/web:2 -o tar:checkpoint-2.tar
  ckx repack --target containerd checkpoint-of-crio.tar -o docker://registry.example/team/web:3
  ckx repack --drop ctr.log --rename web-2 --set-env LEVEL=debug checkpoint.tar -o tar:changed.tar
  ckx repack --list-annotations")]
pub struct Args {
    /// Checkpoint: an archive, a directory, an OCI image, docker://HOST/NAME:TAG, `-` for standard input
    #[arg(value_name = "SOURCE", required_unless_present = "list_annotations")]
    source: Option<PathBuf>,
    /// Where it goes: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker://HOST/NAME[:TAG],
    /// tar:FILE[.gz|.zst] or dir:DIR
    #[arg(short, long, value_name = "DEST", required_unless_present = "list_annotations")]
    output: Option<Target>,
    /// Layers of an image: one, or one for each kind of content
    #[arg(long, value_name = "HOW", default_value = "kind", value_enum)]
    layers: Layers,
    /// Compression: none, gzip[:LEVEL] or zstd[:LEVEL]; archives take it from their name
    #[arg(long, value_name = "METHOD")]
    compress: Option<Method>,
    /// Threads that compress; their number does not change the result
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,
    /// Whether to write all annotations whose values the checkpoint tells
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
        action = clap::ArgAction::Set)]
    annotate: bool,
    /// Annotation to write, beside or instead of others
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    annotation: Vec<(String, String)>,
    /// Annotation to leave out
    #[arg(long, value_name = "KEY")]
    no_annotation: Vec<String>,
    /// Print the annotations that there are, and end
    #[arg(long)]
    list_annotations: bool,
    #[command(flatten)]
    edits: EditArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Write a pod manifest that restores the image in Kubernetes
    #[arg(long, value_name = "FILE")]
    restore_yaml: Option<PathBuf>,
    /// Repository of the same registry that may have layers already; they are taken from there
    #[arg(long, value_name = "NAME", help_heading = "Registries")]
    mount_from: Vec<String>,
}

/// What becomes of the memory.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Memory")]
struct MemoryArgs {
    /// The dump before an incremental one that does not hold it; more of them, the nearest first. It goes
    /// into the output, or with --flatten its pages do
    #[arg(long, value_name = "SOURCE")]
    parent: Vec<PathBuf>,
    /// Earlier checkpoint of the same container: pages that are the same there are not stored again, and
    /// its own stand in a layer that stays the same
    #[arg(long, value_name = "EARLIER")]
    base: Option<PathBuf>,
    /// Earlier checkpoints that may stand on each other; one more, and everything is stored
    #[arg(long, value_name = "NUMBER", default_value_t = 4, requires = "base")]
    max_depth: usize,
    /// Changed pages in percent of all; with more, everything is stored
    #[arg(long, value_name = "PERCENT", default_value_t = 50, requires = "base",
        value_parser = clap::value_parser!(u8).range(..=100))]
    max_share: u8,
    /// Store the pages of earlier dumps and compressed ones as plain pages, so that the output stands alone
    #[arg(long, conflicts_with = "base")]
    flatten: bool,
    /// Leave out pages of zeros in private anonymous memory; they are zeros again when it is restored
    #[arg(long)]
    drop_zero_pages: bool,
}

/// What else is to be otherwise.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Changes")]
struct EditArgs {
    /// Engine that shall restore it: crio, podman or containerd. What it needs is checked, and a checkpoint
    /// of CRI-O is made one of containerd, or the other way round
    #[arg(long, value_name = "ENGINE")]
    target: Option<Engine>,
    /// Base image, as that engine refers to it: NAME@sha256:DIGEST for containerd, the id for CRI-O and Podman
    #[arg(long, value_name = "REFERENCE", requires = "target")]
    base_image: Option<String>,
    /// Environment variable of what is started in the container after the restore
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set_env: Vec<(String, String)>,
    /// Another name for the container
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// Member to leave out, with what is below it; what a restore needs stays
    #[arg(long, value_name = "MEMBER")]
    drop: Vec<String>,
}

impl EditArgs {
    fn edits(&self) -> Edits {
        Edits {
            engine: self.target,
            base_image: self.base_image.clone(),
            env: self.set_env.clone(),
            rename: self.rename.clone(),
            drop: self.drop.clone(),
        }
    }
}

/// How members are spread over layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Layers {
    /// One layer.
    Single,
    /// One for each kind: what stays the same between checkpoints keeps its digest.
    Kind,
}

/// Splits `KEY=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it is no KEY=VALUE".to_owned()),
    }
}

/// Bytes of large members of a compressed source that are kept; the rest is decoded again.
const KEPT_BYTES: u64 = 64 << 20;

/// Runs the command.
pub fn run(args: &Args, ui: &mut Ui) -> Result<Outcome, CliError> {
    if args.list_annotations {
        return list(ui);
    }
    // Both are there: the command line was checked.
    let (Some(source), Some(target)) = (&args.source, &args.output) else { return Ok(Outcome::Done) };
    let pull_name = args.pull_name(target)?;
    args.spare_inputs(source, target)?;
    let mut options = ArchiveOptions { budget_bytes: u64::MAX, ..ArchiveOptions::default() };
    let mut mount_from = args.mount_from.clone();
    if let Some(pulled) = args.registry.pulled(source)? {
        // Layers that stay what they are need not travel.
        mount_from.extend(repository_of(&pulled, target));
        options.remote = Some(Arc::new(pulled));
    }
    let checkpoint = open(source, options, KEPT_BYTES, args.edits.target.is_some())?;
    let checkpoint = checkpoint.with_previous(args.open_parents(target, &mut mount_from)?);
    let base = args.memory.base.as_deref().map(|path| args.open_earlier(path, KEPT_BYTES, target, &mut mount_from));
    let base = base.transpose()?;
    let report = watched("pushing", |progress| {
        let mut options = args.options();
        options.registry = args.registry.settings(progress);
        options.registry.mount_from = mount_from;
        repack(Input { checkpoint: &checkpoint, base: base.as_ref() }, target, &options)
    })?;
    if let (Some(path), Some(name)) = (&args.restore_yaml, pull_name) {
        restore_yaml::write(&checkpoint, name, path, ui)?;
    }
    if args.format.get() == Format::Text {
        ui.write(&text(&report))?;
    } else {
        write_value(args.format.get(), &report, &mut ui.out)
            .map_err(|error| CliError::writing("standard output", &error))?;
    }
    Ok(Outcome::Done)
}

fn open(
    source: &Path,
    options: ArchiveOptions,
    kept_bytes: u64,
    looks_at_changes: bool,
) -> Result<Checkpoint, CliError> {
    let archive = watched("reading", |progress| {
        let mut keeping = Keeping::of_large(kept_bytes).and_changes(looks_at_changes);
        Archive::open(source, &mut keeping, ArchiveOptions { progress, ..options })
    })?;
    let checkpoint = Checkpoint::from_archive(archive, ckx_core::Options::default());
    if !checkpoint.has_images() && checkpoint.archive().get(b"spec.dump").is_none() {
        return Err(CliError::new(format!(
            "`{}` holds no checkpoint: no inventory.img, no pstree.img",
            source.display()
        )));
    }
    Ok(checkpoint)
}

impl Args {
    /// Opens the earlier checkpoint.
    fn open_earlier(
        &self,
        path: &Path,
        kept_bytes: u64,
        target: &Target,
        mount_from: &mut Vec<String>,
    ) -> Result<Checkpoint, CliError> {
        let mut options = ArchiveOptions { budget_bytes: u64::MAX, ..ArchiveOptions::default() };
        if let Some(pulled) = self.registry.pulled(path)? {
            mount_from.extend(repository_of(&pulled, target));
            options.remote = Some(Arc::new(pulled));
        }
        open(path, options, kept_bytes, false)
    }

    /// Opens the dumps before an incremental one, each with those before it.
    fn open_parents(
        &self,
        target: &Target,
        mount_from: &mut Vec<String>,
    ) -> Result<Option<Checkpoint>, CliError> {
        let paths = self.memory.parent.iter();
        let dumps = paths.map(|path| self.open_earlier(path, HELD_BYTES, target, mount_from));
        Ok(Checkpoint::chained(dumps.collect::<Result<Vec<_>, CliError>>()?))
    }

    /// Refuses to put a file in the place of what is read.
    fn spare_inputs(&self, source: &Path, target: &Target) -> Result<(), CliError> {
        let earlier = self.memory.base.iter().chain(&self.memory.parent).map(PathBuf::as_path);
        let inputs: Vec<&Path> = std::iter::once(source).chain(earlier).collect();
        let file = match target {
            Target::Tar(path) | Target::OciArchive(path, _) => Some(path.as_path()),
            Target::Layout(..) | Target::Directory(_) | Target::Registry(_) => None,
        };
        let written = file.into_iter().chain(self.restore_yaml.as_deref());
        written.into_iter().try_for_each(|path| output::spare(path, &inputs))
    }

    /// The name of the image in the pod manifest that is asked for.
    fn pull_name<'t>(&self, target: &'t Target) -> Result<Option<&'t str>, CliError> {
        match (&self.restore_yaml, target.pull_name()) {
            (Some(_), None) => {
                let error = CliError::new("a pod manifest needs the name of an image in a registry");
                Err(error.hinted("push it with -o docker://HOST/NAME:TAG, or use that name as the tag of a layout"))
            }
            (_, name) => Ok(name),
        }
    }

    fn options(&self) -> Options {
        Options {
            split: if self.layers == Layers::Single { Split::Single } else { Split::Kind },
            method: self.compress,
            threads: self.threads.unwrap_or(Writing::default().threads),
            annotate: self.annotate,
            set_annotations: self.annotation.iter().cloned().collect(),
            drop_annotations: self.no_annotation.clone(),
            memory: MemoryOptions {
                flatten: self.memory.flatten,
                drop_zero_pages: self.memory.drop_zero_pages,
                max_depth: self.memory.max_depth,
                max_share_percent: self.memory.max_share,
            },
            edits: self.edits.edits(),
            ..Options::default()
        }
    }
}

/// The repository of a source, if the destination is another one in the same registry.
fn repository_of(pulled: &Pulled, target: &Target) -> Option<String> {
    let (host, repository) = pulled.place();
    let Target::Registry(name) = target else { return None };
    name.strip_prefix(host)?.starts_with('/').then(|| repository.to_owned())
}

fn list(ui: &mut Ui) -> Result<Outcome, CliError> {
    for row in ANNOTATIONS {
        ui.write(&format!("{}\n    {}\n", row.key, row.about))?;
    }
    Ok(Outcome::Done)
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("wrote {}", report.destination));
    if let Some(image) = &report.image {
        line(format!("  manifest  {}", image.digest));
        line(format!("  image id  {}", image.id));
        for layer in &image.layers {
            let reused = if layer.reused { "  already there" } else { "" };
            line(format!("  {:<10}{:>12}  {}{reused}", layer.kind, layer.size_bytes, layer.digest));
        }
    }
    if let Some(delta) = &report.delta {
        line(format!("  {}", told(delta)));
    }
    for change in &report.changes {
        line(format!("  {} {}: {}", change.action, change.member, change.detail));
    }
    for warning in &report.warnings {
        line(format!("  warning: {}", warning.reason));
    }
    out
}

fn told(delta: &Delta) -> String {
    let Delta { depth, same_pages, changed_pages, rebased, .. } = delta;
    match rebased {
        Some(reason) => format!("all pages are stored: {reason}"),
        None => format!(
            "{changed_pages} of {} pages changed, the others are in the earlier checkpoint (chain of {depth})",
            changed_pages.saturating_add(*same_pages)
        ),
    }
}
