//! How a file is recognised: by its name and its first words together.
//!
//! # Folklore
//!
//! * The name decides first. Pages files have no header, and some begin with bytes that equal a
//!   magic: readers that look at content alone take them for images.
//! * A name and a magic that disagree: the magic tells how to decode, and the disagreement is
//!   told to the caller.
//! * Images of CRIU 1.5 and older have their own magic only. Since 1.6 a common word comes first,
//!   except in the inventory, which kept the old form.
//! * s390x hosts write their words in big-endian order. The first word tells.

use crate::bytes::{ByteOrder, word_at};
use crate::error::{Error, ErrorKind};
use crate::kind::Framing;
use crate::kind::{
    Header, IMG_COMMON_MAGIC, IMG_SERVICE_MAGIC, ImageKind, KindSpec, spec_by_file_name, specs_by_magic,
};
use crate::raw::RawFormat;

/// What a file is.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The kind.
    pub kind: ImageKind,
    /// Its row; `None` for kinds that are not in the table.
    pub spec: Option<&'static KindSpec>,
    /// How the file really begins, which may differ from the row: v1 images, for example.
    pub header: Header,
    /// Byte order of header, size words and host-order payloads.
    pub order: ByteOrder,
    /// Own magic as found; 0 for files without one.
    pub magic: u32,
    /// The number in the file name.
    pub number: Option<u64>,
    /// The kind that the file name stands for, where the magic says another one.
    pub named: Option<&'static KindSpec>,
}

impl Identity {
    fn headerless(spec: Option<&'static KindSpec>, number: Option<u64>) -> Self {
        Self {
            kind: spec.map_or(ImageKind::Foreign, |spec| spec.kind),
            spec,
            header: Header::None,
            order: ByteOrder::Little,
            magic: 0,
            number,
            named: None,
        }
    }
}

/// Recognises a file. `name` is its name without directory, empty where it has none (a pipe).
///
/// # Errors
/// [`ErrorKind::Empty`], [`ErrorKind::HeaderTruncated`] and [`ErrorKind::BadMagic`] when the name is
/// that of an image with a header, but the content has not got it; the last two also for content
/// that begins with the common or service word and then ends. Nothing at all without a name is
/// [`ErrorKind::Empty`] too.
pub fn identify(name: &[u8], data: &[u8]) -> Result<Identity, Error> {
    let named = spec_by_file_name(name);
    let fail = |kind| Err(Error::new(kind, name, None, 0));
    let number = named.and_then(|(_, number)| number);
    if let Some((spec, number)) = named
        && spec.header == Header::None
    {
        return Ok(old_pages(spec, number, data).unwrap_or_else(|| Identity::headerless(Some(spec), number)));
    }
    let expected = named.map(|(spec, _)| spec.name);
    let Some(first) = word_at(data, 0) else {
        return match expected {
            Some(_) if data.is_empty() => fail(ErrorKind::Empty),
            Some(_) => fail(ErrorKind::HeaderTruncated { expected: 4, got: data.len() as u64 }),
            None if data.is_empty() && name.is_empty() => fail(ErrorKind::Empty),
            None => Ok(Identity::headerless(None, None)),
        };
    };
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let header = match order.word(first) {
            IMG_COMMON_MAGIC => Header::Common,
            IMG_SERVICE_MAGIC => Header::Service,
            _ => continue,
        };
        let Some(own) = word_at(data, 4) else {
            return fail(ErrorKind::HeaderTruncated { expected: 8, got: data.len() as u64 });
        };
        return Ok(with_magic(order.word(own), header, order, named, number));
    }
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let magic = order.word(first);
        if specs_by_magic(magic).next().is_some() {
            return Ok(with_magic(magic, Header::Own, order, named, number));
        }
    }
    match expected {
        Some(_) => {
            let found = [0, 4].into_iter().filter_map(|offset| word_at(data, offset));
            let found = found.map(|word| ByteOrder::Little.word(word)).collect();
            fail(ErrorKind::BadMagic { found, expected })
        }
        None => Ok(Identity::headerless(None, None)),
    }
}

fn with_magic(
    magic: u32,
    header: Header,
    order: ByteOrder,
    named: Option<(&'static KindSpec, Option<u64>)>,
    number: Option<u64>,
) -> Identity {
    let named = named.map(|(spec, _)| spec);
    let spec = named.filter(|spec| spec.magic == Some(magic)).or_else(|| specs_by_magic(magic).next());
    Identity {
        kind: spec.map_or(ImageKind::Unknown(magic), |spec| spec.kind),
        spec,
        header,
        order,
        magic,
        number,
        named: named.filter(|named| spec.is_none_or(|spec| !std::ptr::eq(*named, spec))),
    }
}

/// `pages-<n>.img` of CRIU 0.4 and older: the page map magic, then pairs of an address and a page.
/// A pages file proper is a multiple of the page size, which these never are.
fn old_pages(named: &KindSpec, number: Option<u64>, data: &[u8]) -> Option<Identity> {
    const PAIR: usize = 8 + 4096;
    let is_pages = matches!(named.framing, Framing::Raw(RawFormat::Pages));
    let magic = ByteOrder::Little.word(word_at(data, 0)?);
    let spec =
        specs_by_magic(magic).find(|spec| matches!(spec.framing, Framing::Raw(RawFormat::OldPages)))?;
    let pairs = data.len().checked_sub(4)?;
    if !is_pages || pairs == 0 || !pairs.is_multiple_of(PAIR) || data.len().is_multiple_of(4096) {
        return None;
    }
    Some(Identity { header: Header::Own, magic, ..Identity::headerless(Some(spec), number) })
}
