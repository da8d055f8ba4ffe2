//! Writing page maps, in the form of the map that they stand for.

use ckx_criu::pages::{PE_LAZY, PE_PARENT, PE_PRESENT};
use ckx_criu::typed::messages::PagemapEntry;
use ckx_criu::write::record;
use ckx_criu::{ByteOrder, Image};
use prost::Message;

/// How entries say where their pages are and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Before flags: present, unless `in_parent`.
    InParent,
    /// Flags, and a count of 32 bits.
    Flags,
    /// Flags, a count of 64 bits, and 0 where the old count was.
    Wide,
}

/// Pages of a run that CRIU writes itself. Nothing is known to rely on it, and nothing is lost by keeping it.
const LONGEST_STORED: u64 = 256;
/// The longest run of others: its count has 32 bits in older maps.
const LONGEST: u64 = 1 << 30;

/// A map underway.
#[derive(Debug)]
pub(super) struct MapWriter {
    out: Vec<u8>,
    order: ByteOrder,
    form: Form,
    page_size: u64,
    /// The run that may still grow: address, pages, flags.
    last: Option<(u64, u64, u32)>,
}

impl MapWriter {
    /// Begins with the head of a map that is rewritten. `None` when it has none.
    pub fn like(image: &Image<'_>, page_size: u64) -> Option<Self> {
        let mut entries = image.entries();
        let head = entries.next()?.ok()?;
        let mut form = Form::InParent;
        for entry in entries.take(EXAMINED) {
            let entry: PagemapEntry = entry.ok()?.decode().ok()?;
            match (entry.nr_pages, entry.flags) {
                (Some(_), _) => form = Form::Wide,
                (None, Some(_)) if form == Form::InParent => form = Form::Flags,
                _ => {}
            }
        }
        let end = usize::try_from(head.offset()).ok()?.checked_add(head.len())?;
        let out = image.data().get(..end)?.to_vec();
        Some(Self { out, order: image.identity().order, form, page_size, last: None })
    }

    /// Adds pages; `None` when they cannot be said in this form.
    pub fn push(&mut self, start: u64, pages: u64, flags: u32) -> Option<()> {
        let (mut start, mut pages) = (start, pages);
        let longest = if flags & PE_PRESENT != 0 { LONGEST_STORED } else { LONGEST };
        if let Some((first, count, known)) = &mut self.last
            && *known == flags
            && first.checked_add(count.checked_mul(self.page_size)?)? == start
        {
            let more = longest.saturating_sub(*count).min(pages);
            *count = count.checked_add(more)?;
            pages -= more;
            start = start.checked_add(more.checked_mul(self.page_size)?)?;
        }
        while pages > 0 {
            self.flush()?;
            let count = pages.min(longest);
            self.last = Some((start, count, flags));
            pages -= count;
            start = start.checked_add(count.checked_mul(self.page_size)?)?;
        }
        Some(())
    }

    fn flush(&mut self) -> Option<()> {
        let Some((vaddr, pages, flags)) = self.last.take() else { return Some(()) };
        let narrow = u32::try_from(pages).ok()?;
        let mut entry = PagemapEntry { vaddr, compat_nr_pages: narrow, ..PagemapEntry::default() };
        match self.form {
            // Those maps are older than pages that are fetched later.
            Form::InParent if flags & (PE_PARENT | PE_PRESENT) == 0 => return None,
            Form::InParent => entry.in_parent = (flags & PE_PARENT != 0).then_some(true),
            Form::Flags => entry.flags = Some(flags),
            Form::Wide => {
                (entry.compat_nr_pages, entry.flags, entry.nr_pages) = (0, Some(flags), Some(pages));
            }
        }
        record(self.order, &entry.encode_to_vec(), &[], &mut self.out)
    }

    /// The map.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        self.flush()?;
        Some(self.out)
    }
}

/// Entries that are looked at for their form; all of a map have one.
const EXAMINED: usize = 16;

/// Flags of an entry whose pages are stored, from those that it had.
pub(super) fn stored_flags(known: u32) -> u32 {
    PE_PRESENT | known & PE_LAZY
}

#[cfg(test)]
mod tests {
    use ckx_criu::pages::PageEntries;

    use super::*;

    const HEAD: &[u8] = b"\x19\x43\x56\x54\x25\x40\x08\x56\x02\0\0\0\x08\x01";

    const IN_PARENT: &[u8] = b"\x08\x80\x20\x10\x01";
    const FLAGS: &[u8] = b"\x08\x80\x20\x10\x01\x20\x04";
    const WIDE: &[u8] = b"\x08\x80\x20\x10\x00\x20\x04\x28\x01";

    fn map(entry: &[u8], order: ByteOrder) -> Vec<u8> {
        let mut map = HEAD.to_vec();
        if order == ByteOrder::Big {
            map = b"\x54\x56\x43\x19\x56\x08\x40\x25\0\0\0\x02\x08\x01".to_vec();
        }
        record(order, entry, &[], &mut map).unwrap();
        map
    }

    #[test]
    fn maps_are_written_in_the_form_that_they_had() {
        let cases: [(&[u8], Form); 3] =
            [(IN_PARENT, Form::InParent), (FLAGS, Form::Flags), (WIDE, Form::Wide)];
        for (entry, form) in cases {
            for order in [ByteOrder::Little, ByteOrder::Big] {
                let data = map(entry, order);
                let image = Image::parse(b"pagemap-1.img", &data).unwrap();
                let mut writer = MapWriter::like(&image, 4096).unwrap();
                assert_eq!(writer.form, form);
                writer.push(0x1000, 1, PE_PRESENT).unwrap();
                assert_eq!(writer.finish().unwrap(), data, "{form:?}: the same entry is the same bytes");
            }
        }
    }

    #[test]
    fn runs_that_touch_are_one_up_to_a_length() {
        let data = map(WIDE, ByteOrder::Little);
        let image = Image::parse(b"pagemap-1.img", &data).unwrap();
        let mut writer = MapWriter::like(&image, 4096).unwrap();
        for (start, pages, flags) in [
            (0x1000, 200, 4),
            (0x1000 + 200 * 4096, 100, 4),
            (0x200_0000, 300, 1),
            (0x200_0000 + 300 * 4096, 1, 1),
            (0x300_0000, 1, 1),
        ] {
            writer.push(start, pages, flags).unwrap();
        }
        let out = writer.finish().unwrap();
        let image = Image::parse(b"pagemap-1.img", &out).unwrap();
        let runs: Vec<_> =
            PageEntries::new(image).unwrap().flatten().map(|e| (e.vaddr, e.pages, e.flags)).collect();
        let expected =
            [(0x1000, 256, 4), (0x1000 + 256 * 4096, 44, 4), (0x200_0000, 301, 1), (0x300_0000, 1, 1)];
        assert_eq!(runs, expected);
    }

    proptest::proptest! {
        /// However runs come, their pages are said once, and no run is longer than its form allows.
        #[test]
        fn pages_are_those_that_were_pushed(
            form in 0usize..3,
            order in proptest::sample::select(vec![ByteOrder::Little, ByteOrder::Big]),
            runs in proptest::collection::vec(
                (0u64..3, 1u64..400, proptest::sample::select(vec![PE_PRESENT, PE_PARENT, PE_LAZY, PE_PRESENT | PE_LAZY])),
                0..20,
            ),
        ) {
            let data = map([IN_PARENT, FLAGS, WIDE][form], order);
            let image = Image::parse(b"pagemap-1.img", &data).unwrap();
            let mut writer = MapWriter::like(&image, 4096).unwrap();
            let mut expected = Vec::new();
            let mut page = 1;
            for (gap, pages, flags) in runs {
                let flags = if form == 0 && flags != PE_PARENT { PE_PRESENT } else { flags };
                page += gap;
                writer.push(page * 4096, pages, flags).unwrap();
                expected.extend((page..page + pages).map(|page| (page * 4096, flags)));
                page += pages;
            }
            let out = writer.finish().unwrap();
            let entries = PageEntries::new(Image::parse(b"pagemap-1.img", &out).unwrap()).unwrap();
            let mut said = Vec::new();
            for entry in entries {
                let entry = entry.unwrap();
                proptest::prop_assert!(entry.pages <= 256 || entry.flags & PE_PRESENT == 0);
                said.extend((0..entry.pages).map(|page| (entry.vaddr + page * 4096, entry.flags)));
            }
            proptest::prop_assert_eq!(said, expected);
        }
    }
}
