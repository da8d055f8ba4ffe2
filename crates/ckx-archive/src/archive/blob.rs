//! Blobs of an OCI image that go by. Their index comes behind them, so what may be a layer is read as
//! one, and what may be a document is kept.

use std::io::{self, Read};

use crate::Compression;
use crate::archive::content::{Absent, Content, Listing};
use crate::archive::oci::{Hasher, MAX_DOCUMENT, digest_of};
use crate::archive::pass::Pass;
use crate::archive::stream::Reading;
use crate::archive::{Fault, Member};
use crate::compress::{MAGIC_BYTES, sniffed};
use crate::tarball::{Step, TarMember};

/// A layer of an image that went by.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub members: Vec<Member>,
    pub faults: Vec<Fault>,
    pub compression: Compression,
    /// Size of the blob, as far as it is there; `None` if it was not read to its end.
    pub size_bytes: Option<u64>,
    /// Its digest, if that was computed.
    pub digest: Option<String>,
}

impl Reading<'_> {
    /// Whether it may be the description of an image, which nobody could ask for beforehand.
    pub fn is_document(&self, head: &TarMember) -> bool {
        let is_top = [&b"index.json"[..], b"oci-layout"].contains(&&*head.name);
        self.layers.is_some() && is_top && head.size_bytes <= MAX_DOCUMENT
    }

    /// Keeps a document.
    pub fn document(&mut self, head: &TarMember, content: &mut dyn Read) -> Content {
        let left = std::mem::replace(&mut self.left, self.documents_left);
        let kept = self.keep(head, content);
        self.documents_left = std::mem::replace(&mut self.left, left);
        kept
    }

    /// Reads what may be a blob of an image: a document is kept, a layer is read as a tar.
    pub fn blob(&mut self, head: &TarMember, content: &mut dyn Read) -> (Content, Step) {
        let mut first = Vec::new();
        // A fault comes again when the rest is read.
        let _ = content.take(MAGIC_BYTES as u64).read_to_end(&mut first);
        let is_layer = Compression::of(&first) != Compression::None || first.first() != Some(&b'{');
        let mut whole = io::Cursor::new(first).chain(content);
        if !is_layer && head.size_bytes <= MAX_DOCUMENT {
            return (self.document(head, &mut whole), Step::Next);
        }
        let hasher =
            self.verify.then(|| digest_of(&head.name).and_then(|digest| Hasher::like(&digest))).flatten();
        let mut input = Hashed { input: whole, hasher, bytes: 0 };
        let read = self.layer(&mut input);
        let Ok((members, faults, compression, stopped)) = read else {
            return (Content::Absent(Absent::NotKept), Step::Next);
        };
        if !stopped {
            let _ = io::copy(&mut input, &mut io::sink());
        }
        let size_bytes = (!stopped).then_some(input.bytes);
        let digest = input.hasher.filter(|_| !stopped).map(Hasher::finish);
        let layer = Layer { members, faults, compression, size_bytes, digest };
        (Content::Layer(Box::new(layer)), if stopped { Step::Stop } else { Step::Next })
    }

    fn layer(&mut self, input: &mut dyn Read) -> io::Result<(Vec<Member>, Vec<Fault>, Compression, bool)> {
        let plain = sniffed(input)?;
        let mut inner = Reading {
            interests: &mut *self.interests,
            left: self.left,
            documents_left: 0,
            verify: false,
            pass: Pass::new(),
            past: self.layers.take().unwrap_or_default(),
            faults: Vec::new(),
            asked: self.asked,
            layers: None,
            streamed: true,
            stopped: false,
        };
        let first = inner.tar(plain.reader);
        let members = inner.past.members.get(first..).unwrap_or_default().to_vec();
        let (left, asked, stopped, faults) = (inner.left, inner.asked, inner.stopped, inner.faults);
        self.layers = Some(inner.past);
        (self.left, self.asked) = (left, asked);
        Ok((members, faults, plain.compression, stopped))
    }
}

impl Layer {
    /// The layer as a listing of its members.
    pub fn into_listing(self) -> Content {
        Content::Listed(Box::new(Listing { members: self.members, fault: None }))
    }
}

/// Counts and hashes what is read.
struct Hashed<R> {
    input: R,
    hasher: Option<Hasher>,
    bytes: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes += read as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
        Ok(read)
    }
}
