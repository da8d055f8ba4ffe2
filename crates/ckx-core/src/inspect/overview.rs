//! `overview`: whose checkpoint it is, what made it, and how large it is.

use ckx_archive::tarball::EntryKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::checkpoint::joined;
use crate::inspect::Collect;
use crate::model::{Container, Size, images_bytes, sizes};
use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue, Name};

/// The overview.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Overview {
    /// The container.
    #[serde(flatten)]
    pub container: Container,
    /// Number of processes; absent when the process tree cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Number of threads of all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
    /// Processes whose pages of memory a pre-dump holds, which has nothing else of them; absent in a dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_dump_of: Option<Vec<u32>>,
    /// Where the images are that this dump builds on: it has only the pages that changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Name>,
    /// Size of all files in the directory of the images.
    pub checkpoint_size_bytes: u64,
    /// Sizes by what the files are for.
    pub sizes: Vec<Size>,
    /// Files that the root file system has lost; absent without a list of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_files: Option<u64>,
    /// What is missing, broken or contradictory.
    pub issues: Vec<Issue>,
}

impl Collect for Overview {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let container = checkpoint.container().clone();
        let mut issues = container.issues.clone();
        let processes = checkpoint.processes();
        issues.extend(processes.issues.iter().filter(|issue| issue.image == "pstree.img").cloned());
        let has_tree = !processes.list.is_empty();
        let threads = || processes.list.iter().map(|process| process.threads.len() as u64).sum();
        let deleted = checkpoint.json("deleted.files").ok().flatten();
        Self {
            processes: has_tree.then_some(processes.list.len() as u64),
            threads: has_tree.then(threads),
            pre_dump_of: checkpoint.is_pre_dump().then(|| pids_of_maps(checkpoint)),
            parent: parent(checkpoint),
            checkpoint_size_bytes: images_bytes(checkpoint),
            sizes: sizes(checkpoint),
            deleted_files: deleted.and_then(|list| Some(list.as_array()?.len() as u64)),
            container,
            issues,
        }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        self.who(&mut outline);
        self.how(&mut outline);
        outline.field("images", Cell::Bytes(self.checkpoint_size_bytes));
        let mut table = Table::new(&["SIZE", "FILES", "OF"]);
        for size in &self.sizes {
            table.row(vec![
                Cell::Bytes(size.size_bytes),
                Cell::Count(size.files),
                Cell::from(size.purpose.name()),
            ]);
        }
        outline.table(table);
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

impl Overview {
    fn who(&self, outline: &mut Outline) {
        let container = &self.container;
        let faint = |text: &str| Cell::Faint(text.to_owned());
        let name = container.name.as_ref().map(Cell::from);
        match (name, container.short_id()) {
            (Some(name), Some(id)) => {
                outline.field("container", Cell::Line(vec![name, faint("id"), id.into()]))
            }
            (Some(name), None) => outline.field("container", name),
            (None, Some(id)) => outline.field("container", Cell::Line(vec![faint("id"), id.into()])),
            (None, None) if container.engine.describes() && self.pre_dump_of.is_none() => {
                outline.field("container", Cell::Absent("no document tells it".to_owned()));
            }
            (None, None) => {}
        }
        if let Some(pod) = &container.pod {
            let mut line: Vec<Cell> = pod.name.iter().map(Cell::from).collect();
            if let Some(namespace) = &pod.namespace {
                line.extend([faint("namespace"), namespace.into()]);
            }
            if let Some(id) = pod.sandbox_id.as_ref().filter(|_| line.is_empty()) {
                line.extend([faint("id"), id.into()]);
            }
            outline.field("pod", Cell::Line(line));
            outline.field_if("pod uid", pod.uid.as_ref());
        }
        if let Some(image) = &container.image {
            let name = image.name.as_ref().or(image.requested.as_ref());
            outline.field_if("image", name);
            outline.field_if("image id", image.id.as_ref());
        }
        outline.field_if("host name", container.hostname.as_ref());
        for network in &container.networks {
            let words = [&network.name, &network.interface].into_iter().flatten().map(Cell::from);
            let mut line: Vec<Cell> = words.collect();
            line.extend(network.addresses.iter().map(Cell::from));
            for gateway in &network.gateways {
                line.extend([faint("gateway"), gateway.into()]);
            }
            if let Some(mac) = &network.mac {
                line.extend([faint("mac"), mac.into()]);
            }
            outline.field("network", Cell::Line(line));
        }
    }

    fn how(&self, outline: &mut Outline) {
        let container = &self.container;
        let faint = |text: String| Cell::Faint(text);
        let mut engine = vec![Cell::from(container.engine.name())];
        match &container.runtime {
            Some(runtime) if runtime != container.engine.name() => {
                engine.extend([faint("runtime".to_owned()), runtime.into()]);
            }
            Some(_) => {}
            None => engine.push(faint(format!("(by {})", container.engine_evidence))),
        }
        outline.field("engine", Cell::Line(engine));
        outline.field("CRIU", self.criu());
        outline.field_if("created", container.created.map(|time| time.to_seconds()));
        outline.field_if("started", container.started.map(|time| time.to_seconds()));
        match (container.checkpointed, container.checkpointed_by) {
            (Some(time), Some("config.dump") | None) => outline.field("checkpointed", time.to_seconds()),
            (Some(time), Some(by)) => {
                let cells = vec![time.to_seconds().into(), faint(format!("({by})"))];
                outline.field("checkpointed", Cell::Line(cells));
            }
            (None, _) => {
                outline.field("checkpointed", Cell::Absent("no document or file tells it".to_owned()))
            }
        }
        if container.is_restored == Some(true) {
            let time =
                container.restored.map_or_else(|| "at an unknown time".to_owned(), |time| time.to_seconds());
            outline.field("restored", format!("{time}, from an earlier checkpoint"));
        }
        outline.field_if("restarts", container.restart_count.filter(|count| *count > 0));
        if let Some(parent) = &self.parent {
            let cells = vec![Cell::Marked("incremental".to_owned()), faint("on".to_owned()), parent.into()];
            outline.field("pages", Cell::Line(cells));
        }
        match (self.processes, self.threads) {
            (Some(processes), Some(threads)) if processes != threads => {
                let more = faint(format!("with {threads} threads"));
                outline.field("processes", Cell::Line(vec![Cell::Count(processes), more]));
            }
            (Some(processes), _) => outline.field("processes", processes),
            (None, _) if self.pre_dump_of.is_some() => {
                let count = self.pre_dump_of.as_ref().map_or(0, Vec::len);
                let plural = if count == 1 { "process" } else { "processes" };
                let what = format!("pages of {count} {plural}, which a later dump tells of and builds on");
                outline.field("pre-dump", Cell::Text(what));
            }
            (None, _) => {
                outline.field("processes", Cell::Absent("the process tree cannot be read".to_owned()))
            }
        }
        outline.field_if("deleted files", self.deleted_files.filter(|count| *count > 0));
    }

    fn criu(&self) -> Cell {
        let machine = &self.container.machine;
        let mut line = match (&machine.criu_version, machine.criu_at_least) {
            (Some(version), _) => vec![Cell::from(version)],
            (None, Some(release)) => vec![Cell::from(format!("{release} or newer"))],
            (None, None) => vec![Cell::Absent("version not told".to_owned())],
        };
        let mut on: Vec<String> = Vec::new();
        on.extend(machine.kernel.as_ref().map(|kernel| format!("Linux {kernel}")));
        on.extend(machine.architecture.map(str::to_owned));
        if !on.is_empty() {
            line.extend([Cell::Faint("on".to_owned()), Cell::Text(on.join(" "))]);
        }
        Cell::Line(line)
    }
}

/// Processes that there are page maps of.
fn pids_of_maps(checkpoint: &Checkpoint) -> Vec<u32> {
    let number = |name| crate::interest::number_in(name, b"pagemap-", b".img");
    let pids = checkpoint.image_members().filter_map(|(name, _)| u32::try_from(number(name)?).ok());
    let mut pids: Vec<u32> = pids.collect();
    pids.sort_unstable();
    pids
}

/// Where the link to the parent's images leads.
fn parent(checkpoint: &Checkpoint) -> Option<Name> {
    let name = joined(checkpoint.images_directory(), b"parent");
    let member = checkpoint.archive().get(&name).filter(|member| member.kind == EntryKind::Symlink)?;
    member.link.as_ref().map(Name::from)
}
