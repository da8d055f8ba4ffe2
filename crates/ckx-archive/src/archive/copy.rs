//! One member of a compressed source, copied as it goes by: of any size, in little memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::archive::Options;
use crate::archive::STDIN;
use crate::archive::content::io_error;
use crate::archive::oci::digest_of;
use crate::archive::spelling::spelled;
use crate::compress::{Sniffed, sniffed};
use crate::progress::Counted;
use crate::tarball::{EntryKind, Step, TarMember, stream};
use crate::{Compression, Error, open_file};

/// What [`copy`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// The member was found; this many bytes were written.
    Bytes(u64),
    /// There is no such member.
    Missing,
    /// Nothing was tried: the source is to be opened, because its members are windows, or because it
    /// is an OCI image, in which a later layer may have the member too.
    Opened,
}

/// Copies a member of a compressed tar, or of a tar on standard input, to `out`. `name` is the name of
/// a member, or of a file in a member that is itself a tar (`rootfs-diff.tar/etc/passwd`). The reading
/// ends there: of several members with one name it is the first that is copied.
///
/// # Errors
/// [`Error::Io`] when the source cannot be read, [`Error::Member`] when it ends inside the member;
/// what came before was written. Errors of `out` have the step `write`.
pub fn copy(path: &Path, name: &[u8], out: &mut dyn Write, options: &Options) -> Result<Copied, Error> {
    let fail = |source| io_error("read", path, source);
    let progress = || options.progress.clone();
    if options.remote.is_some() {
        return Ok(Copied::Opened);
    }
    if path.as_os_str() == STDIN {
        let input = Counted::new(io::stdin().lock(), progress());
        return from(path, sniffed(input).map_err(fail)?, name, out);
    }
    if spelled(path).form.is_some() {
        return Ok(Copied::Opened);
    }
    let metadata = path.metadata().map_err(|source| io_error("open", path, source))?;
    if metadata.is_dir() {
        return Ok(Copied::Opened);
    }
    if metadata.file_type().is_fifo() {
        let file = File::open(path).map_err(|source| io_error("open", path, source))?;
        return from(path, sniffed(Counted::new(file, progress())).map_err(fail)?, name, out);
    }
    let data = open_file(path)?;
    if Compression::of(&data) == Compression::None {
        return Ok(Copied::Opened);
    }
    if let Some(progress) = &options.progress {
        progress.expect(data.len() as u64);
    }
    from(path, sniffed(Counted::new(data.as_ref(), progress())).map_err(fail)?, name, out)
}

fn from(path: &Path, plain: Sniffed<'_>, name: &[u8], out: &mut dyn Write) -> Result<Copied, Error> {
    let mut copied = Copied::Missing;
    let end = stream(plain.reader, |member, content| {
        copied = visit(path, member, content, name, out)?;
        Ok::<_, Error>(if copied == Copied::Missing { Step::Next } else { Step::Stop })
    })?;
    match (end, copied) {
        (Err(fault), Copied::Missing) => Err(io_error("read", path, io::Error::other(fault.to_string()))),
        _ => Ok(copied),
    }
}

fn visit(
    path: &Path,
    member: &TarMember,
    content: &mut dyn Read,
    name: &[u8],
    out: &mut dyn Write,
) -> Result<Copied, Error> {
    if member.kind != EntryKind::File {
        return Ok(Copied::Missing);
    }
    if *member.name == *name {
        return bytes(path, member, content, out);
    }
    let inner = name.strip_prefix(&*member.name).and_then(|rest| rest.strip_prefix(b"/"));
    // A blob of an OCI image: the layer is the archive.
    let inner = inner.or_else(|| digest_of(&member.name).map(|_| name));
    let Some(inner) = inner else { return Ok(Copied::Missing) };
    let mut copied = Copied::Missing;
    let plain = sniffed(content).map_err(|source| io_error("read", path, source))?;
    // A member that is no tar has nothing in it.
    let _ = stream(plain.reader, |head, content| {
        if head.kind == EntryKind::File && *head.name == *inner {
            copied = bytes(path, head, content, out)?;
            return Ok::<_, Error>(Step::Stop);
        }
        Ok(Step::Next)
    })?;
    Ok(copied)
}

fn bytes(
    path: &Path,
    member: &TarMember,
    content: &mut dyn Read,
    out: &mut dyn Write,
) -> Result<Copied, Error> {
    let mut buffer = vec![0; 1 << 17];
    let mut total = 0;
    let cut = |total: u64, reason: &str| Error::Member {
        source_path: path.into(),
        member: member.name.clone(),
        reason: format!("{total} of {} bytes are there: {reason}", member.size_bytes),
    };
    loop {
        let read = content.read(&mut buffer).map_err(|error| cut(total, &error.to_string()))?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        out.write_all(bytes).map_err(|source| io_error("write", Path::new("-"), source))?;
        total += read as u64;
    }
    if total < member.size_bytes {
        return Err(cut(total, "the archive ends inside the member"));
    }
    Ok(Copied::Bytes(total))
}
