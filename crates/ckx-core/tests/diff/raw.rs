//! Pages out of raw images, without anything of the project: what memory is compared against.

use std::collections::BTreeMap;

/// Members of a plain tar with short names.
pub fn members(tar: &[u8]) -> BTreeMap<String, &[u8]> {
    let mut found = BTreeMap::new();
    let mut at = 0;
    while let Some(header) = tar.get(at..at + 512).filter(|header| header[0] != 0) {
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            String::from_utf8_lossy(&field[..end]).trim().to_owned()
        };
        let size = usize::from_str_radix(&text(124..136), 8).expect("an octal size");
        found.insert(text(0..100), &tar[at + 512..at + 512 + size]);
        at += 512 + size.next_multiple_of(512);
    }
    found
}

/// Numbers of a message by field.
fn numbers(mut data: &[u8]) -> BTreeMap<u64, u64> {
    let mut found = BTreeMap::new();
    let varint = |data: &mut &[u8]| {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = data[0];
            *data = &data[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    };
    while !data.is_empty() {
        let key = varint(&mut data);
        assert_eq!(key & 7, 0, "page maps hold numbers only");
        let value = varint(&mut data);
        found.insert(key >> 3, value);
    }
    found
}

/// Pages of a process by address. Pages of its parent are left out.
pub fn pages<'t>(members: &BTreeMap<String, &'t [u8]>, pid: u32) -> BTreeMap<u64, &'t [u8]> {
    let map = members[&format!("checkpoint/pagemap-{pid}.img")];
    let mut at = 8;
    let mut records = Vec::new();
    while at < map.len() {
        let size = u32::from_le_bytes(map[at..at + 4].try_into().unwrap()) as usize;
        records.push(numbers(&map[at + 4..at + 4 + size]));
        at += 4 + size;
    }
    let file = members[&format!("checkpoint/pages-{}.img", records[0][&1])];
    let mut pages = BTreeMap::new();
    let mut offset = 0;
    for entry in &records[1..] {
        let flags = entry.get(&4).copied().unwrap_or(4);
        let count = entry.get(&5).copied().filter(|count| *count > 0).unwrap_or(entry[&2]);
        if flags & 4 == 0 {
            continue;
        }
        for page in 0..count {
            pages.insert(entry[&1] + page * 4096, &file[offset..offset + 4096]);
            offset += 4096;
        }
    }
    assert_eq!(offset, file.len(), "all pages were found");
    pages
}
