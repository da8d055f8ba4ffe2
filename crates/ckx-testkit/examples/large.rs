//! Makes a large checkpoint archive out of a small real one: the root process gets a mapping of any
//! size, filled with variations of its own pages. For measuring; see `benches/compare`.
//!
//! `cargo run --release -p ckx-testkit --example large -- small.tar large.tar 2048` adds 2048 MiB.

#![allow(clippy::print_stderr)]

use std::fs::File;
use std::io::{self, BufWriter, Write};

use ckx_testkit::{Msg, Rng};

/// Where the mapping is: below everything that a process has on x86_64.
const START: u64 = 0x100_0000_0000;
const PAGE: usize = 4096;
/// Pages per entry of the page map, as real ones have them.
const RUN: u64 = 256;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, input, output, mebibytes] = args.as_slice() else {
        eprintln!("usage: large SMALL.tar LARGE.tar MEBIBYTES");
        std::process::exit(2);
    };
    let mebibytes: u64 = mebibytes.parse().map_err(io::Error::other)?;
    let tar = std::fs::read(input)?;
    let members = members(&tar);
    let find = |name: &str| members.iter().find(|(each, _)| each == name).map(|(_, data)| *data);
    let map =
        find("checkpoint/pagemap-1.img").ok_or_else(|| io::Error::other("no checkpoint/pagemap-1.img"))?;
    let pages_id = pages_id(map);
    let pages_name = format!("checkpoint/pages-{pages_id}.img");
    let real = find(&pages_name).ok_or_else(|| io::Error::other(pages_name.clone()))?;
    let more = mebibytes << 20;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(output)?);
    for (name, header, data) in walk(&tar) {
        match name.as_str() {
            "checkpoint/pagemap-1.img" => put(&mut out, header, &longer_map(data, more))?,
            "checkpoint/mm-1.img" => put(&mut out, header, &longer_mm(data, more))?,
            name if name == pages_name => {
                head(&mut out, header, more + data.len() as u64)?;
                noise(&mut out, real, more)?;
                out.write_all(data)?;
                pad(&mut out, more + data.len() as u64)?;
            }
            _ => put(&mut out, header, data)?,
        }
    }
    out.write_all(&[0; 1024])?;
    out.flush()
}

/// Members with header and content. Plain headers only, which is what engines write for short names.
fn walk(tar: &[u8]) -> Vec<(String, &[u8], &[u8])> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(header) = tar.get(at..at + 512).filter(|header| header[0] != 0) {
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            String::from_utf8_lossy(&field[..end]).trim().to_owned()
        };
        let size = usize::from_str_radix(&text(124..136), 8).expect("an octal size");
        found.push((text(0..100), header, &tar[at + 512..at + 512 + size]));
        at += 512 + size.next_multiple_of(512);
    }
    found
}

fn members(tar: &[u8]) -> Vec<(String, &[u8])> {
    walk(tar).into_iter().map(|(name, _, data)| (name, data)).collect()
}

/// Number of the pages file, from the head of a page map: `pages_id`, field 1.
fn pages_id(map: &[u8]) -> u64 {
    assert_eq!(map[12], 8, "the head begins with pages_id");
    u64::from(map[13])
}

/// The map with entries for the new mapping behind its head.
fn longer_map(map: &[u8], more: u64) -> Vec<u8> {
    let head_end = 12 + u32::from_le_bytes(map[8..12].try_into().expect("four bytes")) as usize;
    let mut out = map[..head_end].to_vec();
    let pages = more / PAGE as u64;
    for run in (0..pages).step_by(RUN as usize) {
        let count = RUN.min(pages - run);
        // vaddr, compat_nr_pages, flags (PE_PRESENT), nr_pages
        let entry =
            Msg::new().uint(1, START + run * PAGE as u64).uint(2, 0).uint(4, 4).uint(5, count).into_bytes();
        out.extend((entry.len() as u32).to_le_bytes());
        out.extend(entry);
    }
    out.extend(&map[head_end..]);
    out
}

/// The address space with the new mapping in front of the others.
fn longer_mm(mm: &[u8], more: u64) -> Vec<u8> {
    let vma = Msg::new()
        .uint(1, START)
        .uint(2, START + more)
        .uint(3, 0)
        .uint(4, 0)
        .uint(5, 3)
        .uint(6, 0x22)
        .uint(7, 0x201)
        .sint(8, -1);
    let vma = Msg::new().msg(VMAS, vma).into_bytes();
    let body = &mm[12..];
    let mut out = mm[..8].to_vec();
    out.extend(((vma.len() + body.len()) as u32).to_le_bytes());
    out.extend(vma);
    out.extend(body);
    out
}

/// Number of `mm_entry.vmas`.
const VMAS: u32 = 14;

/// Pages of the process, a quarter of each replaced: they compress like memory, and no two are alike.
fn noise(out: &mut impl Write, real: &[u8], more: u64) -> io::Result<()> {
    let mut rng = Rng::new(1);
    let real: Vec<&[u8]> = real.chunks_exact(PAGE).collect();
    for _ in 0..more / PAGE as u64 {
        let mut page = real[rng.below(real.len())].to_vec();
        for word in page.chunks_exact_mut(32) {
            word[..8].copy_from_slice(&rng.next_u64().to_le_bytes());
        }
        out.write_all(&page)?;
    }
    Ok(())
}

fn put(out: &mut impl Write, header: &[u8], data: &[u8]) -> io::Result<()> {
    head(out, header, data.len() as u64)?;
    out.write_all(data)?;
    pad(out, data.len() as u64)
}

/// The header with another size.
fn head(out: &mut impl Write, header: &[u8], size: u64) -> io::Result<()> {
    let mut header = header.to_vec();
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.write_all(&header)
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    out.write_all(&vec![0; (size.next_multiple_of(512) - size) as usize])
}
