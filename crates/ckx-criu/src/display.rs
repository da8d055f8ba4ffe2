//! How integers are shown to people and read back: the renderings of crit's pretty form.
//!
//! Which field is shown how is an option of the field in `proto/`; here are the dictionaries. The
//! names and gaps are crit's, so that its scripts go on working: a number without a name in crit's
//! dictionary is shown as a number. One dictionary of crit is wrong and is right here: the task
//! state, whose values in images are 1, 2 and 3.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::bytes::ByteOrder;
use crate::schema::{Display, FieldDesc};
use crate::wire::Scalar;

type FlagMap = &'static [(&'static str, u64)];
type Dictionary = &'static [(u64, &'static str)];

/// Flag maps by the name in the `flags` option.
const FLAG_MAPS: &[(&str, FlagMap)] = &[
    ("mmap.prot", &[("PROT_READ", 1), ("PROT_WRITE", 2), ("PROT_EXEC", 4)]),
    (
        "mmap.flags",
        &[
            ("MAP_SHARED", 0x1),
            ("MAP_PRIVATE", 0x2),
            ("MAP_DROPPABLE", 0x8),
            ("MAP_ANON", 0x20),
            ("MAP_GROWSDOWN", 0x100),
        ],
    ),
    (
        "mmap.status",
        &[
            ("VMA_AREA_NONE", 0),
            ("VMA_AREA_REGULAR", 1),
            ("VMA_AREA_STACK", 1 << 1),
            ("VMA_AREA_VSYSCALL", 1 << 2),
            ("VMA_AREA_VDSO", 1 << 3),
            ("VMA_AREA_HEAP", 1 << 5),
            ("VMA_FILE_PRIVATE", 1 << 6),
            ("VMA_FILE_SHARED", 1 << 7),
            ("VMA_ANON_SHARED", 1 << 8),
            ("VMA_ANON_PRIVATE", 1 << 9),
            ("VMA_AREA_SYSVIPC", 1 << 10),
            ("VMA_AREA_SOCKET", 1 << 11),
            ("VMA_AREA_VVAR", 1 << 12),
            ("VMA_AREA_AIORING", 1 << 13),
            ("VMA_AREA_MEMFD", 1 << 14),
            ("VMA_AREA_SHSTK", 1 << 15),
            ("VMA_AREA_UPROBES", 1 << 17),
            ("VMA_UNSUPP", 1 << 31),
        ],
    ),
    (
        "rfile.flags",
        &[
            ("O_WRONLY", 0o1),
            ("O_RDWR", 0o2),
            ("O_CREAT", 0o100),
            ("O_EXCL", 0o200),
            ("O_NOCTTY", 0o400),
            ("O_TRUNC", 0o1000),
            ("O_APPEND", 0o2000),
            ("O_NONBLOCK", 0o4000),
            ("O_DSYNC", 0o1_0000),
            ("FASYNC", 0o2_0000),
            ("O_DIRECT", 0o4_0000),
            ("O_LARGEFILE", 0o10_0000),
            ("O_DIRECTORY", 0o20_0000),
            ("O_NOFOLLOW", 0o40_0000),
            ("O_NOATIME", 0o100_0000),
            ("O_CLOEXEC", 0o200_0000),
        ],
    ),
    ("pmap.flags", &[("PE_PARENT", 1), ("PE_LAZY", 2), ("PE_PRESENT", 4)]),
    (
        "seals.flags",
        &[
            ("F_SEAL_SEAL", 1),
            ("F_SEAL_SHRINK", 2),
            ("F_SEAL_GROW", 4),
            ("F_SEAL_WRITE", 8),
            ("F_SEAL_FUTURE_WRITE", 16),
        ],
    ),
];

/// Names of flags that crit does not know. They are read, and never shown.
const FLAGS_READ_ONLY: &[(&str, FlagMap)] = &[
    (
        "mmap.status",
        &[
            ("VMA_FORCE_READ", 1 << 4),
            ("VMA_AREA_GUARD", 1 << 16),
            ("VMA_EXT_PLUGIN", 1 << 27),
            ("VMA_CLOSE", 1 << 28),
            ("VMA_NO_PROT_WRITE", 1 << 29),
            ("VMA_PREMMAPED", 1 << 30),
        ],
    ),
    ("rfile.flags", &[("O_SYNC", 0o401_0000), ("O_PATH", 0o1000_0000), ("O_TMPFILE", 0o2020_0000)]),
    ("pmap.flags", &[("PE_PAYLOAD_ALIGNED", 8)]),
];

/// Dictionaries by group (the `dict` option) and field name.
const DICTIONARIES: &[(&str, &str, Dictionary)] = &[
    ("gen", "task_state", &[(1, "Alive"), (2, "Dead"), (3, "Stopped")]),
    ("sk", "family", &[(1, "UNIX"), (2, "INET"), (10, "INET6"), (16, "NETLINK"), (17, "PACKET")]),
    ("sk", "type", &[(1, "STREAM"), (2, "DGRAM"), (3, "RAW"), (5, "SEQPACKET"), (10, "PACKET")]),
    (
        "sk",
        "state",
        &[
            (1, "ESTABLISHED"),
            (2, "SYN_SENT"),
            (3, "SYN_RECV"),
            (4, "FIN_WAIT1"),
            (5, "FIN_WAIT2"),
            (6, "TIME_WAIT"),
            (7, "CLOSE"),
            (8, "CLOSE_WAIT"),
            (9, "LAST_ACK"),
            (10, "LISTEN"),
        ],
    ),
    ("sk", "proto", &[(0, "IP"), (6, "TCP"), (17, "UDP"), (136, "UDPLITE")]),
];

/// Names that are read and never shown. crit's own output calls a stopped task "Zombie", because its
/// dictionary has the name at 3: that is what such a file means.
const NAMES_READ_ONLY: &[(&str, &str, Dictionary)] = &[
    ("gen", "task_state", &[(3, "Zombie")]),
    ("sk", "state", &[(11, "CLOSING")]),
    ("sk", "proto", &[(1, "ICMP"), (58, "ICMPV6")]),
];

const MINOR_BITS: u32 = 20;

/// How crit's pretty form shows an integer: `None` where it shows the number itself.
pub fn pretty_integer(field: &FieldDesc, hex: bool, value: Scalar) -> Option<String> {
    let (negative, magnitude) = match value {
        Scalar::Bool(_) => return None,
        Scalar::Signed(value) => (value < 0, value.unsigned_abs()),
        Scalar::Unsigned(value) => (false, value),
    };
    let sign = if negative { "-" } else { "" };
    let Display { dev, odev, flags, dict, .. } = *field.display();
    if hex || field.display().hex {
        Some(format!("{sign}{magnitude:#x}"))
    } else if negative {
        None
    } else if dev || odev {
        let (major, minor) = if odev { split_odev(magnitude) } else { split_dev(magnitude) };
        Some(format!("{major}:{minor}"))
    } else if let Some(map) = flags {
        Some(match lookup(FLAG_MAPS, map) {
            Some(map) => flag_names(map, magnitude),
            None => format!("{magnitude:#x}"),
        })
    } else {
        let (_, _, names) =
            DICTIONARIES.iter().find(|(group, name, _)| Some(*group) == dict && *name == field.name)?;
        names.iter().find(|(number, _)| *number == magnitude).map(|(_, name)| (*name).to_owned())
    }
}

/// Reads what [`pretty_integer`] and its peers write: names of flags joined by `|`, `major:minor`,
/// names of the dictionaries, and numbers in any of the usual bases. `None` for anything else.
pub fn parse_integer(field: &FieldDesc, text: &str) -> Option<i128> {
    let text = text.trim();
    if let Some(value) = parse_number(text) {
        return Some(value);
    }
    let Display { dev, odev, flags, dict, .. } = *field.display();
    if dev || odev {
        let (major, minor) = text.split_once(':')?;
        let (major, minor) = (major.trim().parse::<u64>().ok()?, minor.trim().parse::<u64>().ok()?);
        return if odev { join_odev(major, minor) } else { join_dev(major, minor) }.map(i128::from);
    }
    if let Some(map) = flags {
        return parse_flags(map, text).map(i128::from);
    }
    DICTIONARIES
        .iter()
        .chain(NAMES_READ_ONLY)
        .filter(|(group, name, _)| Some(*group) == dict && *name == field.name)
        .flat_map(|(_, _, names)| names.iter())
        .find(|(_, name)| *name == text)
        .map(|(number, _)| i128::from(*number))
}

/// A number as Python reads it with base 0: decimal, `0x`, `0o`, `0b`, with an optional sign.
fn parse_number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let magnitude = match digits.get(..2) {
        Some("0x" | "0X") => u64::from_str_radix(digits.get(2..)?, 16),
        Some("0o" | "0O") => u64::from_str_radix(digits.get(2..)?, 8),
        Some("0b" | "0B") => u64::from_str_radix(digits.get(2..)?, 2),
        _ if digits.starts_with('+') => return None,
        _ => digits.parse(),
    };
    let magnitude = i128::from(magnitude.ok()?);
    Some(if negative { -magnitude } else { magnitude })
}

fn lookup<T: Copy>(table: &[(&str, T)], key: &str) -> Option<T> {
    table.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
}

fn flag_names(map: FlagMap, value: u64) -> String {
    let mut names: Vec<String> =
        map.iter().filter(|(_, bits)| value & bits != 0).map(|(name, _)| (*name).to_owned()).collect();
    let rest = map.iter().fold(value, |rest, (_, bits)| rest & !bits);
    if rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    names.join(" | ")
}

fn parse_flags(map: &str, text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    let known = lookup(FLAG_MAPS, map).unwrap_or_default();
    let more = lookup(FLAGS_READ_ONLY, map).unwrap_or_default();
    text.split('|').map(str::trim).try_fold(0, |value, name| {
        let bits = known.iter().chain(more).find(|(each, _)| *each == name).map(|(_, bits)| *bits);
        Some(value | bits.or_else(|| u64::try_from(parse_number(name)?).ok())?)
    })
}

/// The kernel's device number: minor in the low 20 bits.
pub fn split_dev(dev: u64) -> (u64, u64) {
    (dev >> MINOR_BITS, dev & ((1 << MINOR_BITS) - 1))
}

fn join_dev(major: u64, minor: u64) -> Option<u64> {
    (minor >> MINOR_BITS == 0 && major >> (64 - MINOR_BITS) == 0).then_some(major << MINOR_BITS | minor)
}

/// The C library's device number: the low parts of both as in the first Unix, the rest above.
pub fn split_odev(dev: u64) -> (u64, u64) {
    let major = dev >> 8 & 0xfff | dev >> 32 & 0xffff_f000;
    let minor = dev & 0xff | dev >> 12 & 0xffff_ff00;
    (major, minor)
}

fn join_odev(major: u64, minor: u64) -> Option<u64> {
    let fits = major >> 32 == 0 && minor >> 32 == 0;
    let low = (major & 0xfff) << 8 | minor & 0xff;
    let high = (major & 0xffff_f000) << 32 | (minor & 0xffff_ff00) << 12;
    fits.then_some(high | low)
}

/// Words as an IP address: one word is IPv4, four are IPv6. `None` for other counts.
///
/// The words hold the bytes of the address as they lay in the memory of the dumping host.
pub fn address(words: &[u32], order: ByteOrder) -> Option<String> {
    match words {
        [word] => Some(Ipv4Addr::from(order.word_bytes(*word)).to_string()),
        [a, b, c, d] => {
            let mut bytes = [0; 16];
            for (target, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip([a, b, c, d]) {
                *target = order.word_bytes(*word);
            }
            Some(ipv6_text(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// The words of an address in text.
pub fn parse_address(text: &str, order: ByteOrder) -> Option<Vec<u32>> {
    let words = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|word| order.word(*word)).collect();
    match text.trim().parse().ok()? {
        std::net::IpAddr::V4(address) => Some(words(&address.octets())),
        std::net::IpAddr::V6(address) => Some(words(&address.octets())),
    }
}

/// RFC 5952 text, with mapped IPv4 addresses in hexadecimal too, as crit shows them.
fn ipv6_text(address: Ipv6Addr) -> String {
    if address.to_ipv4_mapped().is_none() {
        return address.to_string();
    }
    let [.., high, low] = address.segments();
    format!("::ffff:{high:x}:{low:x}")
}
