//! Headers of the tars that are written: the same bytes for the same member, everywhere.

use ckx_archive::tarball::EntryKind;

/// Bytes of a block.
pub const BLOCK: u64 = 512;

/// The largest size that fits the field of a plain header.
const MAX_PLAIN_SIZE: u64 = 0o77_777_777_777;

/// What a header tells. Owner and time are not among it: they are 0, so that they cannot make two
/// layers with the same content differ.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Name without leading or trailing slash.
    pub name: &'a [u8],
    /// Type: a file, a directory or a symbolic link.
    pub kind: EntryKind,
    /// Target of a link.
    pub link: &'a [u8],
    /// Permission bits.
    pub mode: u32,
    /// Bytes of content.
    pub size: u64,
}

/// The header of a member, with an extended one in front where the plain form has no room.
pub fn header(head: &Head<'_>) -> Vec<u8> {
    let mut name = head.name.to_vec();
    if head.kind == EntryKind::Directory {
        name.push(b'/');
    }
    let mut records = Vec::new();
    if name.len() > 100 {
        record(b"path", &name, &mut records);
    }
    if head.link.len() > 100 {
        record(b"linkpath", head.link, &mut records);
    }
    if head.size > MAX_PLAIN_SIZE {
        record(b"size", head.size.to_string().as_bytes(), &mut records);
    }
    let mut out = Vec::with_capacity(512);
    if !records.is_empty() {
        out.extend_from_slice(&block(b"PaxHeaders/entry", b'x', b"", 0o600, records.len() as u64));
        out.extend_from_slice(&records);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    let flag = match head.kind {
        EntryKind::Directory => b'5',
        EntryKind::Symlink => b'2',
        _ => b'0',
    };
    let size = if head.size > MAX_PLAIN_SIZE { 0 } else { head.size };
    let cut = |text: &[u8]| text.get(..100).unwrap_or(text).to_vec();
    out.extend_from_slice(&block(&cut(&name), flag, &cut(head.link), head.mode, size));
    out
}

/// Zeros behind a content, up to the next block.
pub fn padding(size: u64) -> &'static [u8] {
    static ZEROS: [u8; 512] = [0; 512];
    let used = (size % BLOCK) as usize;
    &ZEROS[if used == 0 { 512 } else { used }..]
}

fn block(name: &[u8], flag: u8, link: &[u8], mode: u32, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(
        100,
        format!("{:07o}\0{:07o}\0{:07o}\0{size:011o}\0{:011o}\0        ", mode & 0o777, 0, 0, 0).as_bytes(),
    );
    put(156, &[flag]);
    put(157, link);
    put(257, b"ustar\x0000");
    put(329, b"0000000\x000000000\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A record of an extended header: its own length, a key and a value.
fn record(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + rest.to_string().len();
    // One digit more may make the length one digit longer.
    len = rest + len.to_string().len();
    out.extend_from_slice(format!("{len} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn head(name: &[u8]) -> Head<'_> {
        Head { name, kind: EntryKind::File, link: b"", mode: 0o600, size: 3 }
    }

    #[test]
    fn names_of_any_length_are_read_back() {
        for len in [1, 88, 89, 90, 99, 100, 101, 980, 985, 990, 995, 5000] {
            let name = vec![b'n'; len];
            let mut tar = header(&head(&name));
            tar.extend_from_slice(b"abc");
            tar.extend_from_slice(padding(3));
            tar.extend_from_slice(&[0; 1024]);
            let mut archive = tar::Archive::new(tar.as_slice());
            let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(*entry.path_bytes(), *name, "{len}");
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(text, "abc");
        }
    }

    #[test]
    fn large_sizes_stand_in_an_extended_header() {
        let bytes = header(&Head { size: 1 << 40, ..head(b"pages-1.img") });
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.size(), 1 << 40);
    }

    #[test]
    fn padding_fills_blocks() {
        assert_eq!(
            [padding(0).len(), padding(1).len(), padding(511).len(), padding(512).len()],
            [0, 511, 1, 0]
        );
    }
}
