//! Pairs of real checkpoints, and one checkpoint in all its forms.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ckx_archive::archive::KeepAll;
use ckx_archive::{Archive, Options as ArchiveOptions};
use ckx_core::Checkpoint;
use ckx_core::diff::{Diff, Options};

use super::{compare, lines, open, raw};

fn corpus() -> Option<PathBuf> {
    let place = std::env::var_os("CKX_CORPUS").map(PathBuf::from);
    if place.is_none() {
        println!("skipped: CKX_CORPUS names no corpus");
    }
    place
}

/// A plain tar out of a bundle.
fn tar(place: &Path, bundle: &str, name: &str) -> Bytes {
    let path = place.join("archives").join(format!("{bundle}.tar.zst"));
    let file = fs::File::open(&path).expect("the bundle is there");
    let options = ArchiveOptions { budget_bytes: 1 << 30, ..ArchiveOptions::default() };
    let all = Archive::from_stream(&path, file, &mut KeepAll, options).expect("a bundle");
    all.read(all.get(name.as_bytes()).expect(name)).expect("it is whole")
}

fn unpacked(path: &Path) -> Bytes {
    let mut plain = Vec::new();
    zstd::stream::read::Decoder::new(fs::File::open(path).expect("it is there"))
        .expect("zstd")
        .read_to_end(&mut plain)
        .expect("it decodes");
    plain.into()
}

/// Pages and bytes that differ in private memory, by comparing raw pages.
fn counted(before: &[u8], after: &[u8], pids: &[u32]) -> (u64, u64) {
    let (a, b) = (raw::members(before), raw::members(after));
    let mut counts = (0, 0);
    for pid in pids {
        let (a, b) = (raw::pages(&a, *pid), raw::pages(&b, *pid));
        for (address, page) in &a {
            let differing =
                b.get(address).map_or(0, |other| page.iter().zip(*other).filter(|(a, b)| a != b).count());
            counts.0 += u64::from(differing > 0);
            counts.1 += differing as u64;
        }
        let only = |a: &std::collections::BTreeMap<u64, &[u8]>,
                    b: &std::collections::BTreeMap<u64, &[u8]>| {
            a.iter()
                .filter(|(address, page)| !b.contains_key(address) && page.iter().any(|byte| *byte != 0))
                .count()
        };
        assert_eq!((only(&a, &b), only(&b, &a)), (0, 0), "process {pid} has the same pages");
    }
    counts
}

/// The same from a comparison, without shared objects.
fn found(diff: &Diff) -> (u64, u64) {
    let private = diff.changes.iter().filter(|change| !change.path.contains(".shared."));
    let memory = private.filter_map(|change| change.memory.as_ref());
    memory.fold((0, 0), |(pages, bytes), memory| {
        (pages + memory.changed_pages, bytes + memory.changed_bytes.expect("the bytes are at hand"))
    })
}

#[test]
fn memory_differs_as_the_raw_pages_do() {
    let Some(place) = corpus() else { return };
    for (bundle, names, pids) in [
        ("podman", ["nginx-1.tar", "nginx-2.tar"], &[1, 6, 7, 8][..]),
        ("podman", ["python-1.tar", "python-2.tar"], &[1, 9]),
        ("crio", ["nginx-crio-1.tar", "nginx-crio-2.tar"], &[]),
        ("containerd", ["nginx-containerd-1.tar", "nginx-containerd-2.tar"], &[]),
    ] {
        let [a, b] = names.map(|name| tar(&place, bundle, name));
        let (before, after) = (open(names[0], a.clone()), open(names[1], b.clone()));
        let all: Vec<u32> = before.processes().list.iter().map(|process| process.pid).collect();
        assert!(pids.is_empty() || all == pids, "{all:?}");
        let diff = compare(&before, &after);
        assert_eq!(diff.issues, [], "{names:?}");
        let expected = counted(&a, &b, &all);
        assert!(expected.0 > 0);
        assert_eq!(found(&diff), expected, "{names:?}");
        assert!(!diff.same);
    }
}

#[test]
fn a_checkpoint_is_the_same_in_all_its_forms() {
    let Some(place) = corpus() else { return };
    let path = |name: &str| place.join("archives").join(name);
    let source = |path: &Path| Checkpoint::open(path, ckx_core::Options::default()).expect("it opens");
    let temporary = tempfile::tempdir().expect("a directory");
    let nginx = tar(&place, "podman", "nginx-1.tar");
    let mut forms = vec![
        ("plain and plain", open("a", nginx.clone()), open("b", nginx.clone())),
        (
            "plain and zstd",
            open("a", nginx.clone()),
            open("b", zstd::encode_all(&nginx[..], 1).expect("zstd")),
        ),
    ];
    let counter = path("bash-counter.tar.zst");
    forms.push(("zstd and plain", source(&counter), open("a", unpacked(&counter))));
    tar::Archive::new(&nginx[..]).unpack(temporary.path().join("nginx")).expect("it unpacks");
    let directory = source(&temporary.path().join("nginx"));
    forms.push(("plain and directory", open("a", nginx.clone()), directory));
    for bundle in ["crio", "podman-oci"] {
        tar::Archive::new(&unpacked(&path(&format!("{bundle}.tar.zst")))[..])
            .unpack(temporary.path().join(bundle))
            .expect("it unpacks");
    }
    let below = |name: &str| temporary.path().join(name);
    let crio = source(&below("crio/nginx-crio-1.tar"));
    forms.push(("plain and OCI layout", crio, source(&below("crio/oci-buildah-crio"))));
    let crio = source(&below("crio/nginx-crio-1.tar"));
    forms.push(("plain and OCI layout of zstd", crio, source(&below("crio/oci-buildah-crio-zstd"))));
    forms.push((
        "OCI layouts",
        source(&below("podman-oci/oci-nginx")),
        source(&below("podman-oci/oci-nginx-zstd")),
    ));
    for (name, before, after) in forms {
        let diff =
            ckx_core::diff::compare(&before, &after, &Options { with_dump: true, ..Options::default() });
        assert_eq!(lines(&diff), [] as [&str; 0], "{name}");
        assert_eq!(diff.issues, [], "{name}");
        assert!(diff.same, "{name}");
        let compared = diff.kinds.iter().find(|kind| kind.kind == "memory").expect("memory");
        assert!(compared.same > 20, "{name}: {compared:?}");
    }
}

#[test]
fn an_incremental_checkpoint_is_the_same_as_the_full_one() {
    let Some(place) = corpus() else { return };
    let [full, incremental, before] =
        ["nginx-2.tar", "nginx-incr.tar", "nginx-incr-pre.tar"].map(|name| tar(&place, "podman", name));
    let full = open("full", full);
    let alone = compare(&full, &open("incremental", incremental.clone()));
    assert_eq!(lines(&alone), [] as [&str; 0]);
    let of_memory = |issue: &&ckx_core::diff::SideIssue| issue.issue.code == "not-compared";
    assert_eq!(alone.issues.iter().filter(of_memory).count(), 4, "1074 pages are in the dump before it");
    // The dump before it: mapped, and compressed.
    let packed = zstd::encode_all(&before[..], 1).expect("zstd");
    for before in [open("before", before), open("before", packed)] {
        let whole = compare(&full, &open("incremental", incremental.clone()).with_previous(before));
        assert_eq!(lines(&whole), [] as [&str; 0]);
        let memory = whole.kinds.iter().find(|kind| kind.kind == "memory").expect("memory");
        assert!(memory.same > 1100, "{memory:?}");
    }
}

/// One byte changed in an archive, in the page of a memory file that is open and not mapped.
#[test]
fn a_byte_of_a_memory_file_that_is_only_open() {
    let Some(place) = corpus() else { return };
    let before = tar(&place, "podman", "python-1.tar");
    let pages = raw::members(&before)["checkpoint/pages-2.img"];
    let at = pages.as_ptr() as usize - before.as_ptr() as usize;
    let mut after = before.to_vec();
    after[at + 5000] ^= 1;
    let diff = compare(&open("a", before), &open("b", after));
    assert_eq!(lines(&diff), ["memory ~ shared[memfd corpus-memfd].memory[0x0]"]);
    let memory = diff.changes[0].memory.as_ref().expect("memory");
    assert_eq!((memory.changed_pages, memory.changed_bytes, memory.ranges[0].start.0), (1, Some(1), 4096));
}

/// Of an archive that is cut off the part that is there is compared, and the rest is no difference.
#[test]
fn archives_that_are_cut_off() {
    let Some(place) = corpus() else { return };
    let whole = tar(&place, "podman", "nginx-1.tar");
    for bytes in [4_700_000, 4_000_000, 2_000_000, 300_000, 120_000, 60_000] {
        let cut = whole.slice(..bytes);
        let packed = zstd::encode_all(&cut[..], 1).expect("zstd");
        for cut in [open("cut", cut), open("cut", packed)] {
            for diff in
                [compare(&open("whole", whole.clone()), &cut), compare(&cut, &open("whole", whole.clone()))]
            {
                assert_eq!(lines(&diff), [] as [&str; 0], "{bytes}");
                assert!(
                    diff.issues.iter().any(|issue| issue.issue.code == "cut-off"),
                    "{bytes}: {:?}",
                    diff.issues
                );
            }
        }
    }
}

/// A directory of a bundle as a checkpoint.
fn below(bundle: &Archive, directory: &str) -> Checkpoint {
    let mut tar = tar::Builder::new(Vec::new());
    for member in bundle.current() {
        let name = member.name.strip_prefix(directory.as_bytes()).and_then(|name| name.strip_prefix(b"/"));
        let (Some(name), Ok(data)) = (name, bundle.read(member)) else { continue };
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, String::from_utf8_lossy(name).as_ref(), &data[..]).expect("room");
    }
    open(directory, tar.into_inner().expect("room"))
}

#[test]
fn chains_of_dumps_are_compared_by_content() {
    let Some(place) = corpus() else { return };
    let path = place.join("qemu.tar.zst");
    let options = ArchiveOptions { budget_bytes: 1 << 30, ..ArchiveOptions::default() };
    let all = Archive::open(&path, &mut KeepAll, options).expect("a bundle");
    let level = |chain: &str, level: u32| below(&all, &format!("qemu/x86_64/{chain}/{level}"));
    let whole = |chain: &str| level(chain, 3).with_previous(level(chain, 2).with_previous(level(chain, 1)));
    // INDEX.md: chain-dedup is chain after `criu dedup`, which drops pages of levels that later ones have.
    let diff = compare(&whole("chain"), &whole("chain-dedup"));
    assert_eq!((lines(&diff), diff.issues), (vec![], vec![]));
    // Without the first level its pages are not there, and nothing is said of them.
    let cut = level("chain", 3).with_previous(level("chain", 2));
    let diff = compare(&whole("chain"), &cut);
    assert_eq!(lines(&diff), [] as [&str; 0]);
    assert!(diff.issues.iter().any(|issue| issue.issue.code == "not-compared"), "{:?}", diff.issues);
    // Another run of the same program, with pre-dumps made in another way: the region with the known
    // values is the same, and so is the one that both runs share.
    let diff = compare(&whole("chain"), &whole("chain-predump-read"));
    let known = ["[0x700000000000]", "[0x700010000000]", "[0x700020000000]"];
    let told = lines(&diff);
    assert!(told.iter().all(|line| !known.iter().any(|place| line.contains(place))), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("memory ~")), "its heap and stack differ: {told:?}");
}

/// Two runs of the program wrote the same text in other stages: INDEX.md says which pages.
#[test]
fn stages_of_a_program_differ_in_the_pages_that_it_wrote() {
    let Some(place) = corpus() else { return };
    let path = place.join("qemu.tar.zst");
    let options = ArchiveOptions { budget_bytes: 1 << 30, ..ArchiveOptions::default() };
    let all = Archive::open(&path, &mut KeepAll, options).expect("a bundle");
    let archive = |name: &str| {
        let member = all.get(format!("qemu/x86_64/podman/{name}").as_bytes()).expect(name);
        open(name, all.read(member).expect("it is whole"))
    };
    // Stage 1, incremental, in a container; stage 2, a chain of CRIU's own.
    let first = archive("c1-final.tar.gz").with_previous(archive("c1-pre.tar.gz"));
    let level = |level: u32| below(&all, &format!("qemu/x86_64/chain/{level}"));
    let second = level(3).with_previous(level(2).with_previous(level(1)));
    let pid = second.processes().list[0].pid;
    let options = Options { pairs: vec![(1, pid)], only: vec!["memory".to_owned()], ..Options::default() };
    let diff = ckx_core::diff::compare(&first, &second, &options);
    let region = diff.changes.iter().find(|change| change.path.ends_with("memory[0x700000000000]"));
    let memory = region.and_then(|change| change.memory.as_ref()).expect("the region differs");
    let page = |address: ckx_core::Address| (address.0 - 0x7000_0000_0000) / 4096;
    let ranges: Vec<_> =
        memory.ranges.iter().map(|range| (range.mark.sign(), page(range.start), page(range.end))).collect();
    // Stage 2 rewrites 7 and 30, writes 20, which stage 1 had dropped, and 51 for the first time.
    assert_eq!(ranges, [("~", 7, 8), ("+", 20, 21), ("~", 30, 31), ("+", 51, 52)]);
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_threads() {
    let Some(place) = corpus() else { return };
    let [a, b] = ["python-1.tar", "python-2.tar"].map(|name| tar(&place, "podman", name));
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let options = Options { show_bytes: 64, keep_same: true, ..Options::default() };
            let diff = ckx_core::diff::compare(&open("a", a.clone()), &open("b", b.clone()), &options);
            serde_json::to_string(&diff).expect("JSON")
        })
    };
    let one = with(1);
    assert!(one.len() > 10_000);
    for threads in [2, 7] {
        assert!(with(threads) == one, "{threads} threads");
    }
}
