//! Tars inside members: their members, and files in them.

use bytes::Bytes;

use crate::archive::content::Content;
use crate::archive::interest::{Interest, Interests, Kept};
use crate::archive::open::indexed;
use crate::archive::stream::Reading;
use crate::archive::{Archive, Backing, Fault, Form, Member, Options, Source};
use crate::tarball::{self, TarMember};
use crate::{Compression, Error};

/// Bytes that may be kept of a compressed tar inside a source.
const INNER_BUDGET: u64 = 64 << 20;

impl Archive {
    /// Opens a member that is itself a tar, compressed or not, whatever its name says: the changes of
    /// a root file system, a volume, a tmpfs. `wanted` is the name of the one file whose content will
    /// be asked for, if the tar is compressed; nothing else is kept of it.
    ///
    /// # Errors
    /// [`Error::Member`] when it is no tar, or not there.
    pub fn inner(&self, member: &Member, wanted: Option<&[u8]>) -> Result<Archive, Error> {
        let source = |compression, backing| Source {
            path: self.source.path.clone(),
            form: Form::Tar,
            compression,
            backing,
            size_bytes: member.stored_bytes,
        };
        if let Content::Listed(listing) = &member.content {
            let faults = listing.fault.iter().map(|fault| Fault {
                member: Box::default(),
                code: "broken-archive",
                reason: fault.reason.clone(),
                offset_bytes: Some(fault.offset),
            });
            let source = source(Compression::None, Backing::Streamed);
            return Ok(Archive::new(source, listing.members.clone(), faults.collect()));
        }
        let (data, cut) = self.read_partial(member)?;
        let compression = Compression::of(&data);
        let mut archive = if compression == Compression::None {
            if !tarball::is_tar(&data) && !is_empty_tar(&data) {
                return Err(self.lacks(member, "it is no tar"));
            }
            let (members, faults) = indexed(&data);
            Archive::new(source(compression, Backing::Mapped), members, faults)
        } else {
            let plain = compression
                .decode(data.as_ref())
                .map_err(|error| self.lacks(member, &format!("it cannot be decoded: {error}")))?;
            let mut only = Only(wanted);
            let options = Options { budget_bytes: INNER_BUDGET, ..Options::default() };
            let mut reading = Reading::inner(&mut only, &options);
            reading.tar(plain);
            Archive::new(source(compression, Backing::Streamed), reading.past.members, reading.faults)
        };
        if let Some(reason) = cut {
            archive.faults.push(Fault {
                member: Box::default(),
                code: "cut-off",
                reason,
                offset_bytes: None,
            });
        }
        Ok(archive)
    }
}

/// A tar of nothing: only end marks, or no bytes at all.
fn is_empty_tar(data: &Bytes) -> bool {
    data.iter().take(1024).all(|byte| *byte == 0)
}

/// Keeps one file.
struct Only<'a>(Option<&'a [u8]>);

impl Interests for Only<'_> {
    fn of(&mut self, member: &TarMember, _: &Kept<'_>) -> Interest {
        if self.0 == Some(&member.name) { Interest::Keep } else { Interest::Skip }
    }
}
