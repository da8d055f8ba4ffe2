//! Deltas of dumps from machines with other page sizes and byte orders: a program of 64 KiB pages on ppc64el,
//! a big-endian one on s390x, and one with narrow addresses on armhf, each dumped twice while it ran.

use std::fs;
use std::path::{Path, PathBuf};

use crate::delta::{check_same_memory, delta, flat, layer};

const MACHINES: [(&str, u64); 3] = [("ppc64el", 65536), ("s390x", 4096), ("armhf", 4096)];

/// Unpacks the first and the second dump of each machine; `None`, and a word about it, without a corpus.
fn dumps(place: &Path) -> Option<PathBuf> {
    let Some(corpus) = std::env::var_os("CKX_CORPUS").map(PathBuf::from) else {
        println!("skipped: CKX_CORPUS names no corpus");
        return None;
    };
    let file = fs::File::open(corpus.join("qemu.tar.zst")).unwrap();
    let mut tar = tar::Archive::new(zstd::stream::read::Decoder::new(file).unwrap());
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let is_dump = |machine: &&str| {
            let dump = |number: u8| Path::new("qemu").join(machine).join(format!("basic-{number}"));
            path.starts_with(dump(1)) || path.starts_with(dump(2))
        };
        if MACHINES.iter().map(|(machine, _)| machine).any(is_dump) {
            entry.unpack_in(place).unwrap();
        }
    }
    Some(place.join("qemu"))
}

#[test]
fn pages_of_any_size_and_maps_of_any_byte_order() {
    let place = tempfile::tempdir().unwrap();
    let Some(dumps) = dumps(place.path()) else { return };
    for (machine, page_bytes) in MACHINES {
        let (first, second) = (dumps.join(machine).join("basic-1"), dumps.join(machine).join("basic-2"));
        let (image, report) = delta(&first, &second, place.path(), machine);
        let told = report.delta.as_ref().unwrap();
        assert_eq!((told.depth, told.page_bytes, &told.rebased), (1, page_bytes, &None), "{machine}");
        assert!(told.changed_pages > 0 && told.changed_pages < told.same_pages, "{machine}: {told:?}");
        // Pages, the headers of their files, and the two blocks at the end.
        let most = told.changed_pages * page_bytes + 16 * 512;
        assert!(layer(&report, "memory")[0].size_bytes <= most, "{machine}");
        check_same_memory(&second, &image);
        check_same_memory(&second, &flat(&image, place.path(), &format!("{machine}.tar")));
        // Against itself nothing is stored, and the base is the same layer.
        let (_, again) = delta(&first, &first, place.path(), &format!("{machine}-again"));
        assert_eq!(again.delta.as_ref().unwrap().changed_pages, 0, "{machine}");
        assert_eq!(layer(&again, "parent")[0].digest, layer(&report, "parent")[0].digest, "{machine}");
    }
}
