//! Writes tar archives and gzip files that hold them, without compressing.

/// A member of a tar archive.
#[derive(Debug, Clone, Copy)]
pub enum Member<'a> {
    /// A directory.
    Directory,
    /// A file with its content.
    File(&'a [u8]),
    /// A symbolic link with its target.
    Link(&'a str),
    /// A named pipe.
    Fifo,
    /// A character device with major and minor number.
    Device(u32, u32),
}

/// A POSIX tar archive. Names and link targets have 99 bytes at most.
pub fn tar(members: &[(&str, Member<'_>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, member) in members {
        let content = if let Member::File(content) = member { *content } else { &[] };
        archive.extend(header(name, member, content.len()));
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn header(name: &str, member: &Member<'_>, size: usize) -> [u8; 512] {
    let (flag, mode, link, (major, minor)) = match member {
        Member::File(_) => (b'0', 0o644, "", (0, 0)),
        Member::Link(target) => (b'2', 0o777, *target, (0, 0)),
        Member::Device(major, minor) => (b'3', 0o666, "", (*major, *minor)),
        Member::Directory => (b'5', 0o755, "", (0, 0)),
        Member::Fifo => (b'6', 0o644, "", (0, 0)),
    };
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0{0:07o}\0{0:07o}\0{size:011o}\0{0:011o}\0        ", 0).as_bytes());
    put(156, &[flag]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000root");
    put(297, b"root");
    put(329, format!("{major:07o}\0{minor:07o}\0").as_bytes());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A gzip file whose blocks are stored as they are.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 0xffff;
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let last = content.len().saturating_sub(1) / BLOCK;
    for index in 0..=last {
        let start = index * BLOCK;
        let block = &content[start..content.len().min(start + BLOCK)];
        let len = block.len() as u16;
        file.push((index == last).into());
        file.extend(len.to_le_bytes());
        file.extend((!len).to_le_bytes());
        file.extend(block);
    }
    file.extend(crc32(content).to_le_bytes());
    file.extend((content.len() as u32).to_le_bytes());
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    let step =
        |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
            })
        };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let archive = tar(&[("./", Member::Directory), ("./a", Member::File(b"abc"))]);
        assert_eq!(archive.len(), 512 + 1024 + 1024);
        assert_eq!(&archive[512 + 124..][..12], b"00000000003\0");
    }

    #[test]
    fn gzip_of_nothing_and_of_much() {
        assert_eq!(gzip(b"").len(), 10 + 5 + 8);
        assert_eq!(gzip(&vec![0; 0xffff]).len(), 10 + 5 + 0xffff + 8);
        assert_eq!(gzip(&vec![0; 0x1_0000]).len(), 10 + 10 + 0x1_0000 + 8);
    }
}
