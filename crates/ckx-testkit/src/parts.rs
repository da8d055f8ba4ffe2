//! Messages that occur inside many others.

use crate::image::Order;
use crate::wire::Msg;

/// `fown_entry` of a descriptor that nobody asked signals from.
pub fn fown() -> Msg {
    Msg::new().seq(1, [0; 5])
}

/// `fown_entry`: `signum` goes to process `pid`.
pub fn fown_of(uid: u64, signum: u64, pid: u64) -> Msg {
    Msg::new().seq(1, [uid, uid, signum, 1, pid])
}

/// `sk_opts_entry` of a socket that was left alone.
pub fn sk_opts() -> Msg {
    let opts = Msg::new().seq(1, [212_992, 212_992, 0, 0, 0, 0]);
    let opts = opts.bool(7, false).uint(8, 0).uint(9, 1).uint(10, 0).bool(11, false).bool(12, false);
    opts.bool(13, false)
        .bool(14, false)
        .bool(17, false)
        .bool(18, false)
        .bool(19, false)
        .uint(23, 0)
        .uint(25, 0)
}

/// `sk_opts_entry` with everything set.
pub fn sk_opts_full(order: Order) -> Msg {
    let filter = sock_filter(order);
    let filter = filter.as_chunks::<8>().0.iter().map(|bytes| match order {
        Order::Little => u64::from_le_bytes(*bytes),
        Order::Big => u64::from_be_bytes(*bytes),
    });
    let opts = Msg::new().seq(1, [425_984, 1_048_576, 5, 500_000, 2, 250_000]);
    let opts = opts.bool(7, true).uint(8, 6).uint(9, 16).uint(10, 0x2a).bool(11, true).bool(12, true);
    let opts = opts.bool(13, true).bool(14, true).text(15, "eth0");
    let opts = filter.fold(opts, |opts, instruction| opts.fixed64(16, instruction));
    opts.bool(17, true).bool(18, true).bool(19, true).seq(20, [9, 7200, 75, 1, 30, 3])
}

/// A small classic BPF program as `struct sock_filter[]`: x86_64 only, `exit` kills, all else goes.
pub fn sock_filter(order: Order) -> Vec<u8> {
    let program: &[(u16, u8, u8, u32)] = &[
        (0x20, 0, 0, 4),
        (0x15, 0, 2, 0xc000_003e),
        (0x20, 0, 0, 0),
        (0x15, 0, 1, 60),
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0x7fff_0000),
    ];
    let bytes = |(code, jt, jf, k): &(u16, u8, u8, u32)| {
        [&order.half(*code)[..], &[*jt, *jf], &order.word(*k)].concat()
    };
    program.iter().flat_map(bytes).collect()
}

/// `itimer_entry` and its like: four numbers.
pub fn itimer(isec: u64, iusec: u64, vsec: u64, vusec: u64) -> Msg {
    Msg::new().seq(1, [isec, iusec, vsec, vusec])
}

/// `posix_timer_entry`.
pub fn posix_timer(id: u64, thread: Option<i64>) -> Msg {
    let notify = if thread.is_some() { 4 } else { 0 };
    let timer = Msg::new().seq(1, [id, 1, 14, notify, 0x5581_2000_10a0, 2, 10, 500_000_000, 3, 999_999_999]);
    timer.maybe(thread, |timer, thread| timer.int(11, thread))
}

/// `rlimit_entry`s by number, as a fresh login has them.
pub fn rlimits() -> impl Iterator<Item = Msg> {
    const MAX: u64 = u64::MAX;
    const LIMITS: [(u64, u64); 16] = [
        (MAX, MAX),
        (MAX, MAX),
        (MAX, MAX),
        (8_388_608, MAX),
        (0, MAX),
        (MAX, MAX),
        (96_365, 96_365),
        (1024, 1_048_576),
        (8_388_608, 8_388_608),
        (MAX, MAX),
        (MAX, MAX),
        (96_365, 96_365),
        (819_200, 819_200),
        (0, 0),
        (0, 0),
        (MAX, MAX),
    ];
    LIMITS.into_iter().map(|(cur, max)| Msg::new().uint(1, cur).uint(2, max))
}

/// `sa_entry`s of signals 1 to 64 without 9 and 19. SIGTERM (15) has a handler, SIGPIPE (13) is
/// ignored.
pub fn sigactions() -> impl Iterator<Item = Msg> {
    let signals = (1..=64).filter(|signal| ![9, 19].contains(signal));
    signals.map(|signal| {
        let action = match signal {
            13 => [1, 0, 0, 0],
            15 => [0x5581_2000_1180, 0x1400_0004, 0x7f3a_1004_2520, 1 << 1 | 1 << 13],
            _ => [0; 4],
        };
        Msg::new().seq(1, action).bool(5, false)
    })
}

/// `creds_entry` of a user; 0 has all capabilities. `lsm_profile` is a SELinux context or the name
/// of an AppArmor profile.
pub fn creds(uid: u64, lsm_profile: Option<&str>) -> Msg {
    let caps = if uid == 0 { [0xffff_ffff, 0x1ff] } else { [0, 0] };
    let creds = Msg::new().seq(1, [uid; 8]).uints(9, [0, 0]).uints(10, caps).uints(11, caps);
    let creds = creds.uints(12, [0xffff_ffff, 0x1ff]).uint(13, 0).uints(14, [uid, 27]);
    creds.maybe(lsm_profile, |creds, profile| creds.text(15, profile)).uints(19, [0, 0])
}

/// A kernel `siginfo_t` of 128 bytes: a signal that process `pid` of `uid` sent. On MIPS the
/// second and third word change places.
pub fn siginfo(order: Order, words: [i32; 3], pid: u32, uid: u32) -> Vec<u8> {
    let words = words.map(|word| word as u32);
    let words = [words[0], words[1], words[2], 0, pid, uid];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| order.word(*word)).collect();
    bytes.resize(128, 0);
    bytes
}

/// `siginfo_entry` of a signal from `kill`.
pub fn pending(order: Order, signal: i32) -> Msg {
    Msg::new().bytes(1, siginfo(order, [signal, 0, 0], 4711, 1000))
}

/// `ipc_desc_entry`.
pub fn ipc_desc(key: u64, id: u64) -> Msg {
    Msg::new().seq(1, [key, 1000, 1000, 0, 0, 0o600, id])
}

/// `fh_entry` with the full 16 words.
pub fn fh(path: Option<&[u8]>) -> Msg {
    let words = [0x0000_0001_0001_b7c4, 0x0000_0000_dead_beef].into_iter().chain([0; 14]);
    let fh = Msg::new().uint(1, 12).uint(2, 1).uints(3, words);
    fh.maybe(path, |fh, path| fh.bytes(4, path).uint(5, 29))
}

/// `sysctl_entry` with a number.
pub fn sysctl(value: i64) -> Msg {
    Msg::new().uint(1, 6).int(2, value)
}

/// `sysctl_entry` with a text.
pub fn sysctl_text(value: &str) -> Msg {
    Msg::new().uint(1, 5).text(3, value)
}

/// `task_kobj_ids_entry`: the four objects of the process, then pid, net, ipc, uts, mnt, user,
/// cgroup and time namespace.
pub fn kobj_ids(object: u64, files: u64, namespaces: [u64; 8]) -> Msg {
    Msg::new().seq(1, [object, files, object, object]).seq(5, namespaces)
}

/// `mm_saved_auxv` of types and values in turn. That of a 32-bit process on x86_64 (`compat`) is
/// copied as it lies in memory: a type and, above it, a value in each word, and zeros at the end.
pub fn auxv(pairs: &[u64], compat: bool) -> Vec<u64> {
    if !compat {
        return pairs.to_vec();
    }
    pairs.as_chunks::<2>().0.iter().map(|[kind, value]| kind | value << 32).chain([0, 0]).collect()
}

/// Namespaces of CRIU itself, in the order of [`kobj_ids`].
pub const ROOT_NAMESPACES: [u64; 8] = [1, 2, 3, 4, 6, 7, 8, 5];
