//! Images named on the command line: files, directories, standard input.

use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ckx_archive::{Directory, MemberType, open_file, read_stream};

use crate::error::CliError;

/// One image: a name and where its bytes come from. It is opened when asked for.
#[derive(Debug)]
pub struct Input {
    source: Source,
    /// Came with a directory, so nobody asked for this very file.
    pub from_directory: bool,
}

#[derive(Debug)]
enum Source {
    Stdin,
    File(PathBuf),
}

impl Input {
    /// File name without directory; empty for standard input.
    pub fn name(&self) -> &[u8] {
        match &self.source {
            Source::Stdin => b"",
            Source::File(path) => path.file_name().map(OsStrExt::as_bytes).unwrap_or_default(),
        }
    }

    /// Its path; `None` for standard input.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::Stdin => None,
            Source::File(path) => Some(path),
        }
    }

    /// Its bytes.
    pub fn open(&self) -> Result<Bytes, CliError> {
        match &self.source {
            Source::File(path) => Ok(open_file(path)?),
            Source::Stdin => read_stream(io::stdin().lock())
                .map_err(|error| CliError::new("cannot read standard input").because(error)),
        }
    }
}

/// What was named: a single file or standard input, or anything else.
pub struct Inputs {
    /// The images, in order; those of a directory by name.
    pub list: Vec<Input>,
    /// Exactly one file, or standard input, was named: the output is one document.
    pub single: bool,
}

/// Resolves paths; none, or `-`, is standard input. Of a directory, all files whose name `wanted`
/// accepts.
pub fn resolve(paths: &[PathBuf], wanted: impl Fn(&[u8]) -> bool) -> Result<Inputs, CliError> {
    let mut list = Vec::new();
    let mut directories = false;
    for path in paths {
        if path.as_os_str() == "-" {
            list.push(Input { source: Source::Stdin, from_directory: false });
        } else if path.is_dir() {
            directories = true;
            let directory = Directory::open(path)?;
            let before = list.len();
            let members = directory.members().iter().filter(|member| member.kind == MemberType::File);
            list.extend(members.filter(|member| wanted(member.name())).map(|member| Input {
                source: Source::File(directory.path_of(member)),
                from_directory: true,
            }));
            if list.len() == before {
                return Err(nothing_in(&directory));
            }
        } else {
            list.push(Input { source: Source::File(path.clone()), from_directory: false });
        }
    }
    if paths.is_empty() {
        if io::stdin().is_terminal() {
            return Err(CliError::new("no input was named, and standard input is a terminal")
                .hinted("name an image, a directory of images, or - for standard input"));
        }
        list.push(Input { source: Source::Stdin, from_directory: false });
    }
    let single = list.len() == 1 && !directories;
    Ok(Inputs { list, single })
}

/// A directory without anything that was asked for is a mistake, not an empty answer.
fn nothing_in(directory: &Directory) -> CliError {
    let failed = CliError::new(format!("`{}` holds no such files", directory.path().display()));
    let below = directory.members().iter().find(|member| member.kind == MemberType::Directory);
    match below {
        Some(member) => failed.hinted(format!(
            "directories are not searched; there is `{}` in it",
            ckx_criu::text::escaped(member.name())
        )),
        None => failed.hinted("a directory of images has files like pstree.img and core-1.img"),
    }
}
