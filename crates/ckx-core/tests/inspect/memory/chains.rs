//! Memory that is spread over several dumps, beside what the program is known to have held.

use std::collections::BTreeMap;

use bytes::Bytes;
use ckx_core::memory::{AddressSpace, Content, Why};
use ckx_core::{Checkpoint, Options};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::space;
use crate::bundle::{Directories, checkpoint, directories};
use crate::corpus::corpus;

const PAGE: u64 = 4096;

fn qemu() -> Option<Directories> {
    Some(directories(
        &corpus()?,
        "qemu.tar.zst",
        Some(|name| name.ends_with(".img") || name.contains("/truth")),
    ))
}

fn open(all: &Directories, name: &str) -> Checkpoint {
    checkpoint(name, &all[name], Options::default())
}

/// A page as the program writes it: INDEX.md of x86_64.
fn written(stage: u64, region: &str, page: u64, tag: char) -> Vec<u8> {
    let mut text = format!("STAGE-{stage} {region} PAGE-{page} {tag}").into_bytes();
    text.resize(64, 0);
    text.extend((64..PAGE).map(|i| (page * 7 + stage * 31 + i) as u8));
    text
}

/// The stage in which a page was written last; `None` if it never was.
type Stages = fn(u64) -> Option<u64>;

/// Private pages of the parent after stage 2.
fn private(page: u64) -> Option<u64> {
    match page {
        7 | 20 | 30 | 51 => Some(2),
        3 | 11 | 12 | 50 => Some(1),
        0..48 => Some(0),
        _ => None,
    }
}

fn shared(page: u64) -> Option<u64> {
    match page {
        2 | 13 => Some(2),
        page => (page < 12).then_some(0),
    }
}

fn check(space: &AddressSpace, base: u64, pages: u64, region: &str, stage: Stages, tag: char) {
    for page in 0..pages {
        let mut found = vec![1; PAGE as usize];
        let (done, why) = space.copy(base + page * PAGE, &mut found);
        assert_eq!((done, why), (PAGE as usize, None), "{region} {page}");
        let expected = stage(page).map_or(vec![0; PAGE as usize], |stage| written(stage, region, page, tag));
        assert!(found == expected, "{region} {page}: {:?}", String::from_utf8_lossy(&found[..32]));
    }
}

#[test]
fn three_levels_give_what_the_program_wrote() {
    let Some(all) = qemu() else { return };
    for chain in ["chain", "chain-dedup", "chain-predump-read"] {
        let level = |level: u32| open(&all, &format!("qemu/x86_64/{chain}/{level}"));
        let whole = level(3).with_previous(level(2).with_previous(level(1)));
        let pid = whole.processes().list[0].pid;
        let space = space(&whole, pid);
        check(&space, 0x7000_0000_0000, 60, "PRIV", private, 'P');
        check(&space, 0x7000_1000_0000, 16, "SHARED", shared, 'P');
        check(&space, 0x7000_2000_0000, 4, "LATE", |page| (page == 1).then_some(2), 'P');
        assert!(space.mapping_at(0x7000_3000_0000).is_none(), "it was unmapped");
        assert_eq!(space.issues().count(), 0, "{chain}");
        // Without the first level its pages are told to be absent, and not taken for zeros.
        let cut = level(3).with_previous(level(2));
        let mut page = vec![0; PAGE as usize];
        let (done, why) = super::space(&cut, pid).copy(0x7000_0000_0000, &mut page);
        assert_eq!((done, why), (0, Some(Why::Parent)), "{chain}");
    }
}

#[test]
fn pages_left_on_the_host_are_told_as_such() {
    let Some(all) = qemu() else { return };
    let lazy = open(&all, "qemu/x86_64/lazy");
    let space = space(&lazy, lazy.processes().list[0].pid);
    let absent = |why: Why| {
        space
            .pieces(0, u64::MAX)
            .filter(|piece| matches!(piece.run.content, Content::Absent(other) if other == why))
            .count()
    };
    assert!(absent(Why::Lazy) > 0);
    assert_eq!(absent(Why::Lost), 0);
}

/// Sums that were taken of `/proc/PID/mem` right after the dump, by mapping.
#[test]
fn mappings_have_the_recorded_sums() {
    let Some(all) = qemu() else { return };
    let (mut compared, mut levels) = (0, 0);
    for (directory, files) in &all {
        let Some(text) = files.get("mem-sha256.json") else { continue };
        let Some((dump, rest)) = directory.split_once("/truth") else { continue };
        let Some(pid) = pid(rest, files) else { continue };
        let mut opened = open(&all, dump);
        if let Some(before) = dump.strip_suffix("1-final").map(|chain| format!("{chain}0-pre")) {
            opened = opened.with_previous(open(&all, &before));
            levels += 1;
        }
        // In a pid namespace it is the first.
        let process = opened.processes().get(pid).unwrap_or(&opened.processes().list[0]);
        let space = space(&opened, process.pid);
        let stacks: Vec<u64> = process.threads.iter().filter_map(|thread| stack(process, thread)).collect();
        for vma in serde_json::from_slice::<Vec<Value>>(text).expect("JSON") {
            let range = vma["vma"].as_str().expect("a range").split_once('-').expect("two addresses");
            let number = |text: &str| u64::from_str_radix(text, 16).expect("a number");
            let (start, end) = (number(range.0), number(range.1));
            if stacks.iter().any(|stack| (start..end).contains(stack)) || vma["name"] == "[stack]" {
                continue;
            }
            let Some((sum, read)) = sum(&space, start, &vma) else { continue };
            if read == 0 {
                continue;
            }
            let expected = vma["sha256_of_present_pages_concatenated"].as_str().expect("a sum");
            assert_eq!(sum, expected, "{dump} {pid} {}", vma["vma"]);
            compared += 1;
        }
    }
    assert!(compared > 40 && levels >= 2, "only {compared} mappings, {levels} incremental");
}

fn pid(rest: &str, files: &BTreeMap<String, Bytes>) -> Option<u32> {
    if let Some(pid) = rest.strip_prefix('/') {
        return pid.parse().ok();
    }
    let status = std::str::from_utf8(files.get("status")?).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

/// The stack pointer of a thread.
fn stack(process: &ckx_core::model::Process, thread: &ckx_core::model::Thread) -> Option<u64> {
    let core = process.core_of(thread)?;
    let s390 = core.ti_s390.as_ref().and_then(|info| info.gpregs.gprs.get(15).copied());
    let ppc = core.ti_ppc64.as_ref().and_then(|info| info.gpregs.gpr.get(1).copied());
    let arm = core.ti_arm.as_ref().map(|info| u64::from(info.gpregs.sp));
    s390.or(ppc).or(arm)
}

/// Sum of the pages that the kernel had of a mapping; `None` if some of them are as in the file, and so not in
/// the dump.
fn sum(space: &AddressSpace, start: u64, vma: &Value) -> Option<(String, u64)> {
    let size = space.page_size();
    let mapping = space.mapping_at(start).expect("it is mapped");
    let pages: Vec<u64> = match &vma["present_pages"] {
        Value::Array(pages) => pages.iter().map(|page| page.as_u64().expect("a number")).collect(),
        word => {
            assert_eq!(word, "all");
            (0..(mapping.end - mapping.start) / size).collect()
        }
    };
    let mut hash = Sha256::new();
    let mut read = 0;
    for page in pages {
        let mut bytes = vec![0; size as usize];
        let address = start + page * size;
        match space.copy(address, &mut bytes) {
            (_, None) => hash.update(&bytes),
            (_, Some(Why::File | Why::Kernel)) => return None,
            (_, Some(why)) => panic!("{address:#x}: {why}"),
        }
        read += bytes.len() as u64;
    }
    let digits = hash.finalize();
    Some((digits.iter().map(|byte| format!("{byte:02x}")).collect(), read))
}
