//! Classic BPF as text, in the words of the kernel's `bpf_asm`.

use ckx_criu::ByteOrder;

/// The instructions of a program, at most `limit` of them.
pub(crate) fn disassemble(program: &[u8], order: ByteOrder, limit: usize) -> Vec<String> {
    let instructions = program.as_chunks::<8>().0.iter().take(limit);
    instructions.enumerate().map(|(at, instruction)| line(at as u64, *instruction, order)).collect()
}

/// Numbers of classes, sizes, modes and operations in an instruction's code.
mod code {
    pub const X: u16 = 0x08;
    pub const IND: u16 = 0x40;
    pub const MEM: u16 = 0x60;
    pub const LEN: u16 = 0x80;
}

fn line(at: u64, instruction: [u8; 8], order: ByteOrder) -> String {
    let [c0, c1, jt, jf, k0, k1, k2, k3] = instruction;
    let (code, k) = (order.half([c0, c1]), order.word([k0, k1, k2, k3]));
    let next = at + 1;
    let text = match code & 7 {
        0 => load(code, k).map(|text| format!("ld{text}")),
        1 => load(code, k).map(|text| format!("ldx{text}")),
        2 => Some(format!("st M[{k}]")),
        3 => Some(format!("stx M[{k}]")),
        4 => arithmetic(code, k),
        5 => jump(code, k, next, [next + u64::from(jt), next + u64::from(jf)]),
        6 => returns(code, k),
        _ => match code {
            0x07 => Some("tax".to_owned()),
            0x87 => Some("txa".to_owned()),
            _ => None,
        },
    };
    let text = text.unwrap_or_else(|| format!("code {code:#x}, jt {jt}, jf {jf}, k {k:#x}"));
    format!("{at}: {text}")
}

fn load(code: u16, k: u32) -> Option<String> {
    let size = match code & 0x18 {
        0 => "",
        0x08 => "h",
        0x10 => "b",
        _ => return None,
    };
    Some(match code & 0xe0 {
        0 => format!("{size} #{k:#x}"),
        0x20 => match data(k) {
            // System call filters read words of this struct.
            Some(field) if size.is_empty() => format!(" [{k}] ; {field}"),
            _ => format!("{size} [{k}]"),
        },
        code::IND => format!("{size} [x + {k}]"),
        code::MEM => format!("{size} M[{k}]"),
        code::LEN => format!("{size} #len"),
        0xa0 => format!("{size} 4*([{k}]&0xf)"),
        _ => return None,
    })
}

/// Field of `struct seccomp_data` at an offset.
fn data(offset: u32) -> Option<String> {
    Some(match offset {
        0 => "nr".to_owned(),
        4 => "arch".to_owned(),
        8 | 12 => "instruction_pointer".to_owned(),
        16..64 if offset.is_multiple_of(4) => format!("args[{}]", (offset - 16) / 8),
        _ => return None,
    })
}

fn arithmetic(code: u16, k: u32) -> Option<String> {
    const WORDS: [&str; 11] = ["add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor"];
    let word = WORDS.get(usize::from(code >> 4))?;
    Some(match (*word, code & code::X != 0) {
        ("neg", _) => "neg".to_owned(),
        (word, true) => format!("{word} x"),
        (word, false) => format!("{word} #{k:#x}"),
    })
}

fn jump(code: u16, k: u32, next: u64, [yes, no]: [u64; 2]) -> Option<String> {
    let word = match code & 0xf0 {
        0 => return Some(format!("ja {}", next + u64::from(k))),
        0x10 => "jeq",
        0x20 => "jgt",
        0x30 => "jge",
        0x40 => "jset",
        _ => return None,
    };
    let value = if code & code::X != 0 { "x".to_owned() } else { format!("#{k:#x}") };
    Some(format!("{word} {value}, {yes}, {no}"))
}

fn returns(code: u16, k: u32) -> Option<String> {
    match code & 0x18 {
        0 => {}
        0x08 => return Some("ret x".to_owned()),
        0x10 => return Some("ret a".to_owned()),
        _ => return None,
    }
    let data = k & 0xffff;
    let action = match k & 0xffff_0000 {
        0x8000_0000 => "KILL_PROCESS".to_owned(),
        0 => "KILL_THREAD".to_owned(),
        0x0003_0000 => "TRAP".to_owned(),
        0x0005_0000 => format!("ERRNO({data})"),
        0x7fc0_0000 => "USER_NOTIF".to_owned(),
        0x7ff0_0000 => format!("TRACE({data})"),
        0x7ffc_0000 => "LOG".to_owned(),
        0x7fff_0000 => "ALLOW".to_owned(),
        _ => return Some(format!("ret #{k:#x}")),
    };
    Some(format!("ret #{k:#x} ; {action}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_in_both_byte_orders() {
        let program: [(u16, u8, u8, u32); 7] = [
            (0x20, 0, 0, 4),
            (0x15, 0, 3, 0xc000_003e),
            (0x20, 0, 0, 0),
            (0x15, 0, 1, 163),
            (0x06, 0, 0, 0x0005_0063),
            (0x06, 0, 0, 0x7fff_0000),
            (0xffff, 1, 2, 3),
        ];
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let bytes: Vec<u8> = program
                .iter()
                .flat_map(|(code, jt, jf, k)| {
                    [&order.half_bytes(*code)[..], &[*jt, *jf], &order.word_bytes(*k)].concat()
                })
                .collect();
            let expected = [
                "0: ld [4] ; arch",
                "1: jeq #0xc000003e, 2, 5",
                "2: ld [0] ; nr",
                "3: jeq #0xa3, 4, 5",
                "4: ret #0x50063 ; ERRNO(99)",
                "5: ret #0x7fff0000 ; ALLOW",
                "6: code 0xffff, jt 1, jf 2, k 0x3",
            ];
            assert_eq!(disassemble(&bytes, order, 100), expected);
            assert_eq!(disassemble(&bytes, order, 2).len(), 2);
        }
    }
}
