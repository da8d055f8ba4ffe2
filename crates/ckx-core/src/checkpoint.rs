//! A checkpoint: an archive with images in it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ckx_archive::tarball::EntryKind;
use ckx_archive::{Archive, Member};

use crate::interest::Wanted;
use crate::model::{Container, Contents, DescriptorTables, DumpLog, FileTable, Processes};
use crate::{ImageSet, Issue};

/// What a reader of a checkpoint wants of it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Processes to tell of; `None` for all.
    pub pids: Option<Vec<u32>>,
    /// Whether values that are likely to be secret are told.
    pub reveal: bool,
    /// How the source is read.
    pub archive: ckx_archive::Options,
}

/// A checkpoint that was opened. Images are decoded when something asks for them; what several
/// questions need is decoded once.
#[derive(Debug)]
pub struct Checkpoint {
    archive: Archive,
    images: Box<[u8]>,
    options: Options,
    is_pre_dump: bool,
    previous: Option<Box<Checkpoint>>,
    /// Hashes of the pages of a source that went by, by member.
    page_hashes: HashMap<Vec<u8>, Arc<[u128]>>,
    processes: OnceLock<Processes>,
    files: OnceLock<FileTable>,
    contents: OnceLock<Contents>,
    descriptors: OnceLock<DescriptorTables>,
    container: OnceLock<Container>,
    dump_log: OnceLock<DumpLog>,
}

impl Checkpoint {
    /// Opens a source: a tar in any compression, a directory, an OCI image, `-` for standard input.
    ///
    /// # Errors
    /// When it cannot be opened or is no archive. Everything else becomes an [`Issue`].
    pub fn open(path: &Path, options: Options) -> Result<Self, ckx_archive::Error> {
        let archive = Archive::open(path, &mut Wanted::default(), options.archive.clone())?;
        Ok(Self::from_archive(archive, options))
    }

    /// A checkpoint in an archive that is open.
    pub fn from_archive(archive: Archive, options: Options) -> Self {
        let images = place_of_images(&archive);
        let mut checkpoint = Self {
            archive,
            images,
            options,
            is_pre_dump: false,
            previous: None,
            page_hashes: HashMap::new(),
            processes: OnceLock::new(),
            files: OnceLock::new(),
            contents: OnceLock::new(),
            descriptors: OnceLock::new(),
            container: OnceLock::new(),
            dump_log: OnceLock::new(),
        };
        checkpoint.is_pre_dump = checkpoint.has_pages_only();
        checkpoint
    }

    /// With the dump before it, for an incremental one whose source does not hold that.
    #[must_use]
    pub fn with_previous(mut self, previous: impl Into<Option<Self>>) -> Self {
        self.previous = previous.into().map(Box::new);
        self
    }

    /// The nearest of dumps that stand on each other, with those before it. They come the nearest first.
    pub fn chained(
        nearest_first: impl IntoIterator<Item = Self, IntoIter: DoubleEndedIterator>,
    ) -> Option<Self> {
        nearest_first.into_iter().rev().fold(None, |before, dump| Some(dump.with_previous(before)))
    }

    /// With hashes of the pages of a source that can be read only once.
    pub(crate) fn with_page_hashes(mut self, hashes: HashMap<Vec<u8>, Arc<[u128]>>) -> Self {
        self.page_hashes = hashes;
        self
    }

    /// Hashes of the pages of members that went by.
    pub(crate) fn page_hashes(&self) -> &HashMap<Vec<u8>, Arc<[u128]>> {
        &self.page_hashes
    }

    /// The dump before it, if it was given.
    pub fn previous(&self) -> Option<&Self> {
        self.previous.as_deref()
    }

    /// The archive.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// What the reader wants.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether the reader wants to know of this process.
    pub fn wants(&self, pid: u32) -> bool {
        self.options.pids.as_ref().is_none_or(|pids| pids.contains(&pid))
    }

    /// Directory of the images inside the archive: `checkpoint`, or empty for the top.
    pub fn images_directory(&self) -> &[u8] {
        &self.images
    }

    /// Whether there are images of CRIU at all.
    pub fn has_images(&self) -> bool {
        [&b"inventory.img"[..], b"pstree.img"].iter().any(|name| self.image_member(name).is_some())
    }

    /// Whether it is a checkpoint at all, or what is left of one: it has images, or an engine's document.
    pub fn is_recognised(&self) -> bool {
        let is_document = |name: &&[u8]| self.archive.get(name).is_some_and(|it| it.kind == EntryKind::File);
        self.has_images() || [&b"config.dump"[..], b"spec.dump"].iter().any(is_document)
    }

    /// Whether it is a pre-dump: pages of memory with their maps, for a later dump to build on. Processes,
    /// files and descriptions are in that dump, and are not missing here.
    pub fn is_pre_dump(&self) -> bool {
        self.is_pre_dump
    }

    /// Of an archive that is cut off one cannot say.
    fn has_pages_only(&self) -> bool {
        let mut has_map = false;
        let only = self.image_members().all(|(name, _)| {
            let is_map = name.starts_with(b"pagemap-");
            has_map |= is_map;
            is_map || name.starts_with(b"pages-") || name == b"inventory.img" || !name.ends_with(b".img")
        });
        has_map && only && self.has_images() && self.archive.faults().is_empty()
    }

    /// The member that is this image.
    pub fn image_member(&self, name: &[u8]) -> Option<&Member> {
        self.archive.get(&joined(&self.images, name)).filter(|member| member.kind == EntryKind::File)
    }

    /// Members below the directory of the images, with their names in it.
    pub fn image_members(&self) -> impl Iterator<Item = (&[u8], &Member)> {
        let files = self.archive.current().filter(|member| member.kind == EntryKind::File);
        files.filter_map(|member| {
            let name = name_below(&self.images, &member.name)?;
            (!name.contains(&b'/')).then_some((name, member))
        })
    }

    /// Content of a member at the top of the archive, such as `config.dump`. `None` when there is none.
    pub fn top(&self, name: &str) -> Result<Option<Bytes>, Issue> {
        let Some(member) = self.archive.get(name.as_bytes()) else { return Ok(None) };
        self.archive.read(member).map(Some).map_err(|error| Issue::unreadable(name, &error))
    }

    /// A member at the top of the archive that is JSON.
    pub fn json(&self, name: &str) -> Result<Option<serde_json::Value>, Issue> {
        let Some(bytes) = self.top(name)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Issue::new(name, "bad-json", error.to_string()))
    }

    /// The processes.
    pub fn processes(&self) -> &Processes {
        self.processes.get_or_init(|| Processes::read(self))
    }

    /// The open files that descriptors and mappings refer to.
    pub fn files(&self) -> &FileTable {
        self.files.get_or_init(|| FileTable::read(self, self.is_pre_dump))
    }

    /// What waits in open files, and what else is told of them outside of their own records.
    pub fn contents(&self) -> &Contents {
        self.contents.get_or_init(|| Contents::read(self))
    }

    /// The descriptor tables of the processes.
    pub fn descriptors(&self) -> &DescriptorTables {
        self.descriptors.get_or_init(|| DescriptorTables::read(self))
    }

    /// The container: names, image, engine, machine.
    pub fn container(&self) -> &Container {
        self.container.get_or_init(|| Container::read(self))
    }

    /// What CRIU wrote while it dumped.
    pub fn dump_log(&self) -> &DumpLog {
        self.dump_log.get_or_init(|| DumpLog::read(self))
    }
}

impl ImageSet for Checkpoint {
    fn names(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<_> = self.image_members().map(|(name, _)| name.to_vec()).collect();
        names.sort();
        names
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, ckx_archive::Error> {
        let Some(member) = self.image_member(name.as_bytes()) else { return Ok(None) };
        // Of an image that is cut off, the records before the cut are good; the reader of the image
        // tells that it ends too soon, and the archive why.
        self.archive.read_partial(member).map(|(bytes, _)| Some(bytes))
    }
}

/// Where the images are: in `checkpoint/` as engines have it, at the top as CRIU, runc and Docker have
/// it, or in the first directory that has an inventory.
fn place_of_images(archive: &Archive) -> Box<[u8]> {
    let marks: [&[u8]; 2] = [b"inventory.img", b"pstree.img"];
    for directory in [&b"checkpoint"[..], b""] {
        if marks.iter().any(|mark| archive.get(&joined(directory, mark)).is_some()) {
            return directory.into();
        }
    }
    let found = archive
        .current()
        .find_map(|member| marks.iter().find_map(|mark| member.name.strip_suffix(*mark)?.strip_suffix(b"/")));
    let usual: &[u8] = if archive.get(b"checkpoint").is_some() { b"checkpoint" } else { b"" };
    found.unwrap_or(usual).into()
}

pub(crate) fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

fn name_below<'n>(directory: &[u8], name: &'n [u8]) -> Option<&'n [u8]> {
    if directory.is_empty() { Some(name) } else { name.strip_prefix(directory)?.strip_prefix(b"/") }
}
