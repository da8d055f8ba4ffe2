//! Completion of values that depend on the source on the command line: its processes and members.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ckx_archive::tarball::TarMember;
use ckx_archive::{Archive, Interest, Interests, Kept, Options};
use ckx_core::{Checkpoint, Name};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

/// Larger compressed sources are not read for a completion: a person waits for it.
const MAX_COMPRESSED: u64 = 64 << 20;

/// Completes names of members.
pub fn members() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let Some(path) = source() else { return Vec::new() };
        let Ok(archive) = Archive::open(&path, &mut Nothing, Options::default()) else { return Vec::new() };
        archive
            .current()
            .filter(|member| member.name.starts_with(typed.as_bytes()))
            .map(|member| CompletionCandidate::new(Name::from(&member.name).to_string()))
            .collect()
    })
}

/// Completes ids of processes.
pub fn pids() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let Some(checkpoint) =
            source().and_then(|path| Checkpoint::open(&path, ckx_core::Options::default()).ok())
        else {
            return Vec::new();
        };
        let typed = typed.to_string_lossy();
        let wanted = |pid: &u32| pid.to_string().starts_with(&*typed);
        let list = &checkpoint.processes().list;
        list.iter()
            .filter(|process| wanted(&process.pid))
            .map(|process| {
                let comm = process.comm().map(|comm| comm.to_string().into());
                CompletionCandidate::new(process.pid.to_string()).help(comm)
            })
            .collect()
    })
}

/// The first word of the command line that is a file or directory and quick to read. The words stand
/// behind `--` in the arguments of a completing process.
fn source() -> Option<PathBuf> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(2);
    words.map(PathBuf::from).find(|path| is_quick(path))
}

fn is_quick(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| {
        metadata.is_dir()
            || metadata.is_file()
                && (metadata.len() <= MAX_COMPRESSED
                    || path.extension().is_some_and(|extension| extension == "tar"))
    })
}

struct Nothing;

impl Interests for Nothing {
    fn of(&mut self, _: &TarMember, _: &Kept<'_>) -> Interest {
        Interest::Skip
    }
}
