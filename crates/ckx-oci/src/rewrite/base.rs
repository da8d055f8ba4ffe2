//! The earlier checkpoint that a delta stands on.

use ckx_core::memory::{Chain, Memory};
use ckx_core::{Checkpoint, Name};
use ckx_criu::Image;

use crate::facts::Facts;
use crate::layer::is_pages;
use crate::plan::{Content, Entry, Origin, Plan, Purpose, counted, joined};
use crate::{Error, verify};

/// An earlier checkpoint: its memory, and its files below the directory of the images.
pub(crate) struct Base<'a> {
    memory: Memory<'a>,
    /// Page maps and pages by their names below the images.
    files: Vec<(Vec<u8>, Entry)>,
    depth: usize,
}

impl<'a> Base<'a> {
    /// Looks whether a checkpoint can stand on an earlier one.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is of another container or machine, has no memory in common, or is
    /// damaged.
    pub fn of(checkpoint: &Checkpoint, earlier: &'a Checkpoint) -> Result<Self, Error> {
        let maps = |checkpoint: &Checkpoint| -> Vec<Vec<u8>> {
            let names = checkpoint.image_members().map(|(name, _)| name);
            names.filter(|name| is_map(name)).map(<[u8]>::to_vec).collect()
        };
        check_facts(&Facts::of(checkpoint), &Facts::of(earlier), &other)?;
        let known = maps(earlier);
        if !maps(checkpoint).iter().any(|name| known.contains(name)) {
            return Err(other("it has no process and no shared memory in common with the checkpoint"));
        }
        let page_size = Memory::at_hand(checkpoint).page_size();
        let own = Memory::at_hand(earlier).page_size();
        if own != page_size && !earlier.is_pre_dump() {
            return Err(other(&format!("its pages have {own} bytes, those of the checkpoint {page_size}")));
        }
        let files = files(earlier)?;
        check_maps(&files, page_size)?;
        let depth = files.iter().map(|(name, _)| name.split(|byte| *byte == b'/').count()).max().unwrap_or(1);
        Ok(Self { memory: Memory::hashed(earlier, page_size), files, depth })
    }

    /// Earlier checkpoints that stand on each other, this one among them.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Its pages of a map.
    pub fn chain(&self, name: &str) -> Chain {
        self.memory.chain(name)
    }

    /// Puts it where CRIU looks for an earlier dump: a directory `parent`. Names, permissions and bytes
    /// depend on it alone, so that the layer is the same in all that stand on it.
    pub fn put(&self, plan: &mut Plan, images: &[u8]) {
        let parent = joined(images, b"parent");
        for (name, entry) in &self.files {
            plan.put(joined(&parent, name), entry.clone());
        }
        plan.add_directories();
        if let Some(directory) = plan.get_mut(images) {
            directory.mode = Entry::directory().mode;
        }
        plan.note(
            &parent,
            "added",
            format!("{} of the earlier checkpoint", counted(self.files.len() as u64, "file")),
        );
    }
}

pub(crate) fn is_map(name: &[u8]) -> bool {
    name.starts_with(b"pagemap-") && name.ends_with(b".img")
}

fn other(reason: &str) -> Error {
    Error::refused(format!("the base does not fit: {reason}"))
        .hinted("--base takes an earlier checkpoint of the same container")
}

/// Refuses a checkpoint of another container or machine; `other` says of what kind it should be.
pub(super) fn check_facts(new: &Facts, earlier: &Facts, other: &dyn Fn(&str) -> Error) -> Result<(), Error> {
    let pairs = [
        ("it is a checkpoint of the container", new.container_name(), earlier.container_name()),
        (
            "it was taken on a machine of the architecture",
            new.architecture.map(str::to_owned),
            earlier.architecture.map(str::to_owned),
        ),
    ];
    for (what, new, earlier) in pairs {
        if let (Some(new), Some(earlier)) = (new, earlier)
            && new != earlier
        {
            let name = |text: &str| Name::from(text.as_bytes()).to_string();
            return Err(other(&format!("{what} `{}`, not `{}`", name(&earlier), name(&new))));
        }
    }
    Ok(())
}

/// The page maps and pages of a checkpoint and of those that it stands on.
pub(super) fn files(earlier: &Checkpoint) -> Result<Vec<(Vec<u8>, Entry)>, Error> {
    let mut plan = Plan::of(earlier, Purpose::Image)?;
    let images = earlier.images_directory();
    plan.gather_parents(images)?;
    let mut files = Vec::new();
    for (name, entry) in plan.entries() {
        let below = if images.is_empty() {
            name
        } else {
            match name.strip_prefix(images).and_then(|rest| rest.strip_prefix(b"/")) {
                Some(below) => below,
                None => continue,
            }
        };
        let mut file = below;
        while let Some(rest) = file.strip_prefix(b"parent/") {
            file = rest;
        }
        let is_wanted = is_map(file) || is_pages(file);
        if !is_wanted || file.contains(&b'/') {
            continue;
        }
        let mut content = entry.content.clone();
        if let Content::Streamed(member) = &mut content {
            member.origin = Origin::Base;
        }
        files.push((below.to_vec(), Entry::file(content)));
    }
    Ok(files)
}

/// CRIU reads the page maps of an earlier dump to their ends, and a dump of CRIU 4.2 can only stand on pages that
/// are stored plainly.
fn check_maps(files: &[(Vec<u8>, Entry)], page_size: u64) -> Result<(), Error> {
    for (name, entry) in files {
        let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let Content::Bytes(bytes) = &entry.content else { continue };
        if !is_map(file) {
            continue;
        }
        verify::page_map(file, bytes, page_size).map_err(|error| other(&verify::unreadable(name, &error)))?;
        if Image::parse(file, bytes).is_ok_and(super::has_blocks) {
            return Err(other(&format!("`{}` has compressed pages", Name::from(name.as_slice())))
                .hinted("make it a plain one first: ckx repack --flatten BASE -o tar:FILE"));
        }
    }
    Ok(())
}
