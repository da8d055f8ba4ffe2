//! The rows: one per kind of image, in the order in which lists show them.
//!
//! Of rows that share a magic or a name, the one that current CRIU writes comes first. The facts
//! are checked against a recorded table by `tests/schema.rs`.

use crate::extra::ExtraRule;
use crate::kind::{Framing, Header, KindSpec, NameNumber};
use crate::raw::{IFADDR_DUMP_MAGIC, ROUTE_DUMP_MAGIC, RULE_DUMP_MAGIC, RawFormat};
use crate::schema::messages as m;

macro_rules! kinds {
    ($($kind:ident: $name:literal, $magic:expr, $header:ident, $pattern:literal,
        $number:ident, $framing:ident $args:tt, $about:literal;)*) => {
        /// Kinds of images.
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ImageKind {
            $(#[doc = $about] $kind,)*
            /// A file without a header that is known and without a name that is known.
            Foreign,
            /// An image whose own magic (the value) is not in the table: from a fork or the future.
            Unknown(u32),
        }

        /// Every kind of image, one row each.
        pub static KINDS: &[KindSpec] = &[$(KindSpec {
            kind: ImageKind::$kind,
            name: $name,
            magic: $magic,
            header: Header::$header,
            pattern: $pattern,
            number: NameNumber::$number,
            framing: Framing::$framing $args,
            about: $about,
        },)*];
    };
}

kinds! {
    Inventory: "INVENTORY", Some(0x5831_3116), Own, "inventory.img", None, Single(&m::INVENTORY_ENTRY, ExtraRule::None), "what was dumped and how: format version, root task ids, LSM, plugins";
    Pstree: "PSTREE", Some(0x5027_3030), Common, "pstree.img", None, Stream(&m::PSTREE_ENTRY, ExtraRule::None), "the process tree, one record per process";
    Core: "CORE", Some(0x5505_3847), Common, "core-%u.img", Tid, Single(&m::CORE_ENTRY, ExtraRule::None), "one thread: registers, signals, scheduling; of the leader also the process";
    Ids: "IDS", Some(0x5443_2030), Common, "ids-%u.img", Pid, Single(&m::TASK_KOBJ_IDS_ENTRY, ExtraRule::None), "ids of the kernel objects a process uses: descriptor table, namespaces";
    Mm: "MM", Some(0x5749_2820), Common, "mm-%u.img", Pid, Single(&m::MM_ENTRY, ExtraRule::None), "address space of a process: mappings, code and data limits, auxiliary vector";
    Fs: "FS", Some(0x5140_3912), Common, "fs-%u.img", Pid, Single(&m::FS_ENTRY, ExtraRule::None), "current directory, root directory and umask of a process";
    Creds: "CREDS", Some(0x5402_3547), Common, "creds-%u.img", Pid, Single(&m::CREDS_ENTRY, ExtraRule::None), "credentials of a process, when they had an image of their own";
    Pagemap: "PAGEMAP", Some(0x5608_4025), Common, "pagemap-%u.img", Pid, HeadThenStream(&m::PAGEMAP_HEAD, &m::PAGEMAP_ENTRY), "which pages of a process are where";
    ShmemPagemap: "PAGEMAP", Some(0x5608_4025), Common, "pagemap-shmem-%u.img", ShmId, HeadThenStream(&m::PAGEMAP_HEAD, &m::PAGEMAP_ENTRY), "which pages of a shared memory object are where";
    Pages: "PAGES", None, None, "pages-%u.img", PagesId, Raw(RawFormat::Pages), "memory pages, in the order of their page map";
    Files: "FILES", Some(0x5630_3138), Common, "files.img", None, Stream(&m::FILE_ENTRY, ExtraRule::None), "every open file description, mapped file and directory in use";
    Fdinfo: "FDINFO", Some(0x5621_3732), Common, "fdinfo-%u.img", FilesId, Stream(&m::FDINFO_ENTRY, ExtraRule::None), "a descriptor table: which number is which file";
    RegFiles: "REG_FILES", Some(0x5036_3636), Common, "reg-files.img", None, Stream(&m::REG_FILE_ENTRY, ExtraRule::None), "regular files and directories";
    NsFiles: "NS_FILES", Some(0x6139_4011), Common, "ns-files.img", None, Stream(&m::NS_FILE_ENTRY, ExtraRule::None), "descriptors of namespaces";
    ExtFiles: "EXT_FILES", Some(0x5925_5641), Common, "ext-files.img", None, Stream(&m::EXT_FILE_ENTRY, ExtraRule::None), "files that a plugin takes care of";
    EventfdFile: "EVENTFD_FILE", Some(0x4452_3722), Common, "eventfd.img", None, Stream(&m::EVENTFD_FILE_ENTRY, ExtraRule::None), "eventfd counters";
    EventpollFile: "EVENTPOLL_FILE", Some(0x4502_3858), Common, "eventpoll.img", None, Stream(&m::EVENTPOLL_FILE_ENTRY, ExtraRule::None), "epoll sets";
    Signalfd: "SIGNALFD", Some(0x5732_3820), Common, "signalfd.img", None, Stream(&m::SIGNALFD_ENTRY, ExtraRule::None), "signalfd masks";
    Timerfd: "TIMERFD", Some(0x5049_3712), Common, "timerfd.img", None, Stream(&m::TIMERFD_ENTRY, ExtraRule::None), "timerfd clocks and timers";
    InotifyFile: "INOTIFY_FILE", Some(0x4842_4431), Common, "inotify.img", None, Stream(&m::INOTIFY_FILE_ENTRY, ExtraRule::None), "inotify instances with their watches";
    FanotifyFile: "FANOTIFY_FILE", Some(0x5509_6122), Common, "fanotify.img", None, Stream(&m::FANOTIFY_FILE_ENTRY, ExtraRule::None), "fanotify groups with their marks";
    Pipes: "PIPES", Some(0x5651_3555), Common, "pipes.img", None, Stream(&m::PIPE_ENTRY, ExtraRule::None), "ends of pipes";
    Fifo: "FIFO", Some(0x5836_4939), Common, "fifo.img", None, Stream(&m::FIFO_ENTRY, ExtraRule::None), "open named pipes";
    Unixsk: "UNIXSK", Some(0x5437_3943), Common, "unixsk.img", None, Stream(&m::UNIX_SK_ENTRY, ExtraRule::None), "unix sockets";
    Inetsk: "INETSK", Some(0x5644_3851), Common, "inetsk.img", None, Stream(&m::INET_SK_ENTRY, ExtraRule::None), "TCP, UDP and raw sockets over IPv4 and IPv6";
    Packetsk: "PACKETSK", Some(0x6045_4618), Common, "packetsk.img", None, Stream(&m::PACKET_SOCK_ENTRY, ExtraRule::None), "packet sockets";
    NetlinkSk: "NETLINK_SK", Some(0x5800_5614), Common, "netlinksk.img", None, Stream(&m::NETLINK_SK_ENTRY, ExtraRule::None), "netlink sockets";
    TtyFiles: "TTY_FILES", Some(0x5943_3025), Common, "tty.img", None, Stream(&m::TTY_FILE_ENTRY, ExtraRule::None), "open terminals";
    Tunfile: "TUNFILE", Some(0x5714_3751), Common, "tunfile.img", None, Stream(&m::TUNFILE_ENTRY, ExtraRule::None), "tun and tap descriptors";
    EventpollTfd: "EVENTPOLL_TFD", Some(0x4443_3746), Common, "eventpoll-tfd.img", None, Stream(&m::EVENTPOLL_TFD_ENTRY, ExtraRule::None), "members of epoll sets, when they had an image of their own";
    InotifyWd: "INOTIFY_WD", Some(0x5456_2009), Common, "inotify-wd.img", None, Stream(&m::INOTIFY_WD_ENTRY, ExtraRule::None), "inotify watches, when they had an image of their own";
    FanotifyMark: "FANOTIFY_MARK", Some(0x5650_6035), Common, "fanotify-mark.img", None, Stream(&m::FANOTIFY_MARK_ENTRY, ExtraRule::None), "fanotify marks, when they had an image of their own";
    PipesData: "PIPES_DATA", Some(0x5645_3709), Common, "pipes-data.img", None, Stream(&m::PIPE_DATA_ENTRY, ExtraRule::PipeData), "bytes waiting in pipes";
    FifoData: "FIFO_DATA", Some(0x5933_3054), Common, "fifo-data.img", None, Stream(&m::PIPE_DATA_ENTRY, ExtraRule::PipeData), "bytes waiting in named pipes";
    SkQueues: "SK_QUEUES", Some(0x5626_4026), Common, "sk-queues.img", None, Stream(&m::SK_PACKET_ENTRY, ExtraRule::SkQueue), "packets waiting in unix sockets";
    TcpStream: "TCP_STREAM", Some(0x5146_5506), Common, "tcp-stream-%x.img", SocketInode, Single(&m::TCP_STREAM_ENTRY, ExtraRule::TcpStream), "state and queues of a TCP connection";
    RemapFpath: "REMAP_FPATH", Some(0x5913_3954), Common, "remap-fpath.img", None, Stream(&m::REMAP_FILE_PATH_ENTRY, ExtraRule::None), "how files without a usable path are brought back";
    GhostFile: "GHOST_FILE", Some(0x5258_3605), Common, "ghost-file-%x.img", GhostId, Ghost(&m::GHOST_FILE_ENTRY, &m::GHOST_CHUNK_ENTRY), "content of a deleted file that is still open";
    MemfdInode: "MEMFD_INODE", Some(0x4845_3499), Common, "memfd.img", None, Stream(&m::MEMFD_INODE_ENTRY, ExtraRule::None), "memfds and shared anonymous memory";
    BpfmapFile: "BPFMAP_FILE", Some(0x5750_6142), Common, "bpfmap-file.img", None, Stream(&m::BPFMAP_FILE_ENTRY, ExtraRule::None), "BPF maps";
    BpfmapData: "BPFMAP_DATA", Some(0x6432_4033), Common, "bpfmap-data.img", None, Stream(&m::BPFMAP_DATA_ENTRY, ExtraRule::BpfMap), "keys and values of BPF maps";
    TtyInfo: "TTY_INFO", Some(0x5945_3036), Common, "tty-info.img", None, Stream(&m::TTY_INFO_ENTRY, ExtraRule::None), "state of terminals";
    TtyData: "TTY_DATA", Some(0x5941_3026), Common, "tty-data.img", None, Stream(&m::TTY_DATA_ENTRY, ExtraRule::None), "bytes waiting in terminals";
    FileLocks: "FILE_LOCKS", Some(0x5432_3616), Common, "filelocks.img", None, Stream(&m::FILE_LOCK_ENTRY, ExtraRule::None), "POSIX, BSD and OFD locks and leases";
    Cgroup: "CGROUP", Some(0x5938_3330), Common, "cgroup.img", None, Single(&m::CGROUP_ENTRY, ExtraRule::None), "control groups: who is where, and their settings";
    Seccomp: "SECCOMP", Some(0x6441_3049), Common, "seccomp.img", None, Single(&m::SECCOMP_ENTRY, ExtraRule::None), "seccomp filter programs";
    Apparmor: "APPARMOR", Some(0x5942_3047), Common, "apparmor.img", None, Single(&m::APPARMOR_ENTRY, ExtraRule::None), "AppArmor namespaces and policies";
    Netns: "NETNS", Some(0x5593_3752), Common, "netns-%u.img", NamespaceId, Single(&m::NETNS_ENTRY, ExtraRule::None), "network namespace: sysctls, ids of other namespaces";
    Netdev: "NETDEV", Some(0x5737_3951), Common, "netdev-%u.img", NamespaceId, Stream(&m::NET_DEVICE_ENTRY, ExtraRule::None), "network devices of a namespace";
    Ifaddr: "IFADDR", None, None, "ifaddr-%u.img", NamespaceId, Raw(RawFormat::Netlink(Some(IFADDR_DUMP_MAGIC))), "addresses, as saved by `ip addr save`";
    Route: "ROUTE", None, None, "route-%u.img", NamespaceId, Raw(RawFormat::Netlink(Some(ROUTE_DUMP_MAGIC))), "IPv4 routes, as saved by `ip route save`";
    Route6: "ROUTE6", None, None, "route6-%u.img", NamespaceId, Raw(RawFormat::Netlink(Some(ROUTE_DUMP_MAGIC))), "IPv6 routes, as saved by `ip -6 route save`";
    Rule: "RULE", None, None, "rule-%u.img", NamespaceId, Raw(RawFormat::Netlink(Some(RULE_DUMP_MAGIC))), "routing rules, as saved by `ip rule save`";
    Iptables: "IPTABLES", None, None, "iptables-%u.img", NamespaceId, Raw(RawFormat::Text), "IPv4 firewall, text of iptables-save";
    Ip6tables: "IP6TABLES", None, None, "ip6tables-%u.img", NamespaceId, Raw(RawFormat::Text), "IPv6 firewall, text of ip6tables-save";
    Nftables: "NFTABLES", None, None, "nftables-%u.img", NamespaceId, Raw(RawFormat::Text), "firewall, text of an nftables rule set";
    NetnfCt: "NETNF_CT", None, None, "netns-ct-%u.img", NamespaceId, Raw(RawFormat::Netlink(None)), "connection tracking table, netlink messages";
    NetnfExp: "NETNF_EXP", None, None, "netns-exp-%u.img", NamespaceId, Raw(RawFormat::Netlink(None)), "expected connections, netlink messages";
    Utsns: "UTSNS", Some(0x5447_3203), Common, "utsns-%u.img", NamespaceId, Single(&m::UTSNS_ENTRY, ExtraRule::None), "host and domain name";
    IpcVar: "IPC_VAR", Some(0x5311_5007), Common, "ipcns-var-%u.img", NamespaceId, Single(&m::IPC_VAR_ENTRY, ExtraRule::None), "sysctls of an IPC namespace";
    IpcnsShm: "IPCNS_SHM", Some(0x4628_3044), Common, "ipcns-shm-%u.img", NamespaceId, Stream(&m::IPC_SHM_ENTRY, ExtraRule::Shm), "System V shared memory segments";
    IpcnsMsg: "IPCNS_MSG", Some(0x5545_3737), Common, "ipcns-msg-%u.img", NamespaceId, Stream(&m::IPC_MSG_ENTRY, ExtraRule::Msg), "System V message queues with their messages";
    IpcnsSem: "IPCNS_SEM", Some(0x5957_3019), Common, "ipcns-sem-%u.img", NamespaceId, Stream(&m::IPC_SEM_ENTRY, ExtraRule::Sem), "System V semaphore sets with their values";
    Mnts: "MNTS", Some(0x5556_3928), Common, "mountpoints-%u.img", NamespaceId, Stream(&m::MNT_ENTRY, ExtraRule::None), "mounts of a mount namespace";
    Userns: "USERNS", Some(0x5547_4906), Common, "userns-%u.img", NamespaceId, Single(&m::USERNS_ENTRY, ExtraRule::None), "uid and gid maps";
    Timens: "TIMENS", Some(0x4311_4433), Common, "timens-%u.img", NamespaceId, Single(&m::TIMENS_ENTRY, ExtraRule::None), "clock offsets";
    Pidns: "PIDNS", Some(0x6115_7326), Common, "pidns-%u.img", NamespaceId, Single(&m::PIDNS_ENTRY, ExtraRule::None), "an external pid namespace";
    TmpfsImg: "TMPFS_IMG", None, None, "tmpfs-%u.tar.gz.img", MountId, Raw(RawFormat::Tarball), "content of a tmpfs, compressed tar, named by mount";
    TmpfsDev: "TMPFS_DEV", None, None, "tmpfs-dev-%u.tar.gz.img", Device, Raw(RawFormat::Tarball), "content of a tmpfs, compressed tar, named by device";
    Autofs: "AUTOFS", Some(0x4935_3943), Common, "autofs-%u.img", Device, Single(&m::AUTOFS_ENTRY, ExtraRule::None), "an autofs mount";
    BinfmtMisc: "BINFMT_MISC", Some(0x6734_3323), Common, "binfmt-misc.img", None, Stream(&m::BINFMT_MISC_ENTRY, ExtraRule::None), "registered binary formats";
    BinfmtMiscOld: "BINFMT_MISC", Some(0x6734_3323), Common, "binfmt-misc-%u.img", Device, Stream(&m::BINFMT_MISC_ENTRY, ExtraRule::None), "registered binary formats, one image per mount";
    Cpuinfo: "CPUINFO", Some(0x6140_4013), Common, "cpuinfo.img", None, Single(&m::CPUINFO_ENTRY, ExtraRule::None), "CPU model and features of the dumping host";
    Pidfd: "PIDFD", Some(0x5443_5556), Common, "pidfd.img", None, Stream(&m::PIDFD_ENTRY, ExtraRule::None), "descriptors of processes";
    Sigact: "SIGACT", Some(0x5534_4201), Common, "sigacts-%u.img", Pid, Stream(&m::SA_ENTRY, ExtraRule::None), "signal handlers, when they had an image of their own";
    Vmas: "VMAS", Some(0x5412_3737), Common, "vmas-%u.img", Pid, Stream(&m::VMA_ENTRY, ExtraRule::None), "mappings, when they had an image of their own";
    Rlimit: "RLIMIT", Some(0x5711_3925), Common, "rlimit-%u.img", Pid, Stream(&m::RLIMIT_ENTRY, ExtraRule::None), "resource limits, when they had an image of their own";
    Itimers: "ITIMERS", Some(0x5746_4056), Common, "itimers-%u.img", Pid, Stream(&m::ITIMER_ENTRY, ExtraRule::None), "interval timers, when they had an image of their own";
    PosixTimers: "POSIX_TIMERS", Some(0x5260_3957), Common, "posix-timers-%u.img", Pid, Stream(&m::POSIX_TIMER_ENTRY, ExtraRule::None), "POSIX timers, when they had an image of their own";
    Signal: "SIGNAL", Some(0x5925_5647), Common, "signal-s-%u.img", Pid, Stream(&m::SIGINFO_ENTRY, ExtraRule::None), "signals pending on a process, when they had an image of their own";
    Psignal: "SIGNAL", Some(0x5925_5647), Common, "signal-p-%u.img", Tid, Stream(&m::SIGINFO_ENTRY, ExtraRule::None), "signals pending on a thread, when they had an image of their own";
    Stats: "STATS", Some(0x5709_3306), Service, "stats-%s", Word, Single(&m::STATS_ENTRY, ExtraRule::None), "times and page counts of the dump or restore";
    IrmapCache: "IRMAP_CACHE", Some(0x5700_4059), Service, "irmap-cache", None, Stream(&m::IRMAP_CACHE_ENTRY, ExtraRule::None), "paths found for inodes during a pre-dump";
    PagesOld: "PAGES_OLD", Some(0x5608_4025), Own, "pages-%u.img", Pid, Raw(RawFormat::OldPages), "address and page pairs, from before page maps";
    ShmPagesOld: "SHM_PAGES_OLD", Some(0x5608_4025), Own, "pages-shmem-%u.img", ShmId, Raw(RawFormat::OldPages), "offset and page pairs of shared memory, from before page maps";
    Kdat: "KDAT", Some(0x5702_3458), Own, "criu.kdat", None, Raw(RawFormat::Struct), "host facts cached by CRIU, not part of a checkpoint";
    Parent: "PARENT", None, None, "parent", None, Raw(RawFormat::Link), "link to the directory of the previous dump";
    Descriptors: "DESCRIPTORS", None, None, "descriptors.json", None, Raw(RawFormat::Json), "paths behind the standard descriptors, from the container runtime";
    AmdgpuKfd: "AMDGPU_KFD", None, None, "amdgpu-kfd-%u.img", ExtFileId, Bare(&m::CRIU_KFD), "AMD GPU compute state";
    AmdgpuRender: "AMDGPU_RENDER", None, None, "amdgpu-renderD-%u.img", ExtFileId, Bare(&m::CRIU_RENDER_NODE), "AMD GPU render node";
    AmdgpuPages: "AMDGPU_PAGES", None, None, "amdgpu-pages-%u-%x.img", ExtFileId, Raw(RawFormat::GpuMemory), "AMD GPU memory";
    AmdgpuDrmPages: "AMDGPU_DRM_PAGES", None, None, "amdgpu-drm-pages-%u-%u-%x.img", ExtFileId, Raw(RawFormat::GpuMemory), "AMD GPU memory of a render node";
    AmdgpuDmabuf: "AMDGPU_DMABUF", None, None, "amdgpu-dmabuf_%u.img", ExtFileId, Bare(&m::CRIU_DMABUF_NODE), "AMD GPU buffer shared by descriptor";
}
