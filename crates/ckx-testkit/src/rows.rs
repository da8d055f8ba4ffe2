//! The kinds of image files by the names of the recorded table, with their magics.
//!
//! Written out here a second time on purpose: a magic that is wrong in the project does not become
//! right because the tests use the same one.

use crate::image::Header;

/// First word of ordinary images since CRIU 1.6.
pub const COMMON_MAGIC: u32 = 0x5456_4319;
/// First word of service images.
pub const SERVICE_MAGIC: u32 = 0x5510_5940;

/// Every kind of file: name of the row, own magic (0 = none), how the file begins.
pub const ROWS: &[(&str, u32, Header)] = &[
    ("INVENTORY", 0x5831_3116, Header::Own),
    ("PSTREE", 0x5027_3030, Header::Common),
    ("CORE", 0x5505_3847, Header::Common),
    ("IDS", 0x5443_2030, Header::Common),
    ("MM", 0x5749_2820, Header::Common),
    ("FS", 0x5140_3912, Header::Common),
    ("CREDS", 0x5402_3547, Header::Common),
    ("PAGEMAP", 0x5608_4025, Header::Common),
    ("SHMEM_PAGEMAP", 0x5608_4025, Header::Common),
    ("PAGES", 0, Header::None),
    ("PAGES_OLD", 0x5608_4025, Header::Own),
    ("SHM_PAGES_OLD", 0x5608_4025, Header::Own),
    ("FILES", 0x5630_3138, Header::Common),
    ("FDINFO", 0x5621_3732, Header::Common),
    ("REG_FILES", 0x5036_3636, Header::Common),
    ("NS_FILES", 0x6139_4011, Header::Common),
    ("EXT_FILES", 0x5925_5641, Header::Common),
    ("EVENTFD_FILE", 0x4452_3722, Header::Common),
    ("EVENTPOLL_FILE", 0x4502_3858, Header::Common),
    ("SIGNALFD", 0x5732_3820, Header::Common),
    ("TIMERFD", 0x5049_3712, Header::Common),
    ("INOTIFY_FILE", 0x4842_4431, Header::Common),
    ("FANOTIFY_FILE", 0x5509_6122, Header::Common),
    ("PIPES", 0x5651_3555, Header::Common),
    ("FIFO", 0x5836_4939, Header::Common),
    ("UNIXSK", 0x5437_3943, Header::Common),
    ("INETSK", 0x5644_3851, Header::Common),
    ("PACKETSK", 0x6045_4618, Header::Common),
    ("NETLINK_SK", 0x5800_5614, Header::Common),
    ("TTY_FILES", 0x5943_3025, Header::Common),
    ("TUNFILE", 0x5714_3751, Header::Common),
    ("EVENTPOLL_TFD", 0x4443_3746, Header::Common),
    ("INOTIFY_WD", 0x5456_2009, Header::Common),
    ("FANOTIFY_MARK", 0x5650_6035, Header::Common),
    ("PIPES_DATA", 0x5645_3709, Header::Common),
    ("FIFO_DATA", 0x5933_3054, Header::Common),
    ("SK_QUEUES", 0x5626_4026, Header::Common),
    ("TCP_STREAM", 0x5146_5506, Header::Common),
    ("REMAP_FPATH", 0x5913_3954, Header::Common),
    ("GHOST_FILE", 0x5258_3605, Header::Common),
    ("MEMFD_INODE", 0x4845_3499, Header::Common),
    ("BPFMAP_FILE", 0x5750_6142, Header::Common),
    ("BPFMAP_DATA", 0x6432_4033, Header::Common),
    ("TTY_INFO", 0x5945_3036, Header::Common),
    ("TTY_DATA", 0x5941_3026, Header::Common),
    ("FILE_LOCKS", 0x5432_3616, Header::Common),
    ("CGROUP", 0x5938_3330, Header::Common),
    ("SECCOMP", 0x6441_3049, Header::Common),
    ("APPARMOR", 0x5942_3047, Header::Common),
    ("NETNS", 0x5593_3752, Header::Common),
    ("NETDEV", 0x5737_3951, Header::Common),
    ("IFADDR", 0, Header::None),
    ("ROUTE", 0, Header::None),
    ("ROUTE6", 0, Header::None),
    ("RULE", 0, Header::None),
    ("IPTABLES", 0, Header::None),
    ("IP6TABLES", 0, Header::None),
    ("NFTABLES", 0, Header::None),
    ("NETNF_CT", 0, Header::None),
    ("NETNF_EXP", 0, Header::None),
    ("UTSNS", 0x5447_3203, Header::Common),
    ("IPC_VAR", 0x5311_5007, Header::Common),
    ("IPCNS_SHM", 0x4628_3044, Header::Common),
    ("IPCNS_MSG", 0x5545_3737, Header::Common),
    ("IPCNS_SEM", 0x5957_3019, Header::Common),
    ("MNTS", 0x5556_3928, Header::Common),
    ("USERNS", 0x5547_4906, Header::Common),
    ("TIMENS", 0x4311_4433, Header::Common),
    ("PIDNS", 0x6115_7326, Header::Common),
    ("TMPFS_IMG", 0, Header::None),
    ("TMPFS_DEV", 0, Header::None),
    ("AUTOFS", 0x4935_3943, Header::Common),
    ("BINFMT_MISC", 0x6734_3323, Header::Common),
    ("BINFMT_MISC_OLD", 0x6734_3323, Header::Common),
    ("CPUINFO", 0x6140_4013, Header::Common),
    ("PIDFD", 0x5443_5556, Header::Common),
    ("SIGACT", 0x5534_4201, Header::Common),
    ("VMAS", 0x5412_3737, Header::Common),
    ("RLIMIT", 0x5711_3925, Header::Common),
    ("ITIMERS", 0x5746_4056, Header::Common),
    ("POSIX_TIMERS", 0x5260_3957, Header::Common),
    ("SIGNAL", 0x5925_5647, Header::Common),
    ("PSIGNAL", 0x5925_5647, Header::Common),
    ("STATS", 0x5709_3306, Header::Service),
    ("IRMAP_CACHE", 0x5700_4059, Header::Service),
    ("(kerndat cache)", 0x5702_3458, Header::Own),
    ("(descriptors)", 0, Header::None),
    ("(amdgpu kfd)", 0, Header::None),
    ("(amdgpu render)", 0, Header::None),
    ("(amdgpu vram pages)", 0, Header::None),
    ("(amdgpu drm pages)", 0, Header::None),
    ("(amdgpu dmabuf)", 0, Header::None),
];

/// Own magic and beginning of a row.
///
/// # Panics
/// If there is no row of this name.
pub fn row(key: &str) -> (u32, Header) {
    let found = ROWS.iter().find(|(name, ..)| *name == key);
    found.map(|(_, magic, header)| (*magic, *header)).unwrap_or_else(|| panic!("no row {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recorded table of image kinds, which other crates are tested against too.
    const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ckx-criu/tests/tables/images.tsv");
    /// Rows of the table that are no files.
    const NO_FILES: &[&str] = &[
        "(parent link)",
        "(cuda plugin)",
        "(image streamer request)",
        "(image streamer stream)",
        "(VZ/other)",
    ];

    #[test]
    fn rows_are_those_of_the_recorded_table() {
        let table = std::fs::read_to_string(TABLE).expect("the table is readable");
        let mut rows = ROWS.iter();
        for line in table.lines().skip(1) {
            let columns: Vec<_> = line.split('\t').collect();
            if NO_FILES.contains(&columns[0]) {
                continue;
            }
            let (key, magic, header) = rows.next().expect("a row for each line");
            assert_eq!(*key, columns[0]);
            let recorded =
                columns[1].strip_prefix("0x").map_or(0, |hex| u32::from_str_radix(hex, 16).unwrap());
            assert_eq!(*magic, recorded, "{key}");
            let recorded = match columns[2] {
                // Not from the times of the common word, or nothing that CRIU restores from.
                _ if key.ends_with("PAGES_OLD") || *key == "(kerndat cache)" => Header::Own,
                text if text.contains("common+own") => Header::Common,
                text if text.contains("SERVICE") => Header::Service,
                text if text.contains("own magic only") => Header::Own,
                _ => Header::None,
            };
            assert_eq!(*header, recorded, "{key}");
        }
        assert_eq!(rows.next(), None);
    }
}
