//! Terminals.

use ckx_criu::typed::messages::{TermiosEntry, TtyFileEntry, TtyInfoEntry, TtyType};

use super::file::{Terminal, TerminalInfo, Termios};
use crate::inspect::flags::OpenFlags;
use crate::{Checkpoint, Name};

pub(super) fn terminal(checkpoint: &Checkpoint, tty: &TtyFileEntry, machine: OpenFlags) -> Terminal {
    // Before it named its file, a terminal had the same id as that.
    let file = checkpoint.files().regular(tty.regf_id.unwrap_or(tty.id));
    let contents = checkpoint.contents();
    Terminal {
        tty_info_id: tty.tty_info_id,
        path: file.map(|reg| Name::from(&reg.name)),
        info: contents
            .terminal(tty.tty_info_id)
            .map(|info| self::info(info, contents.terminal_bytes(tty.tty_info_id), machine)),
    }
}

fn info(info: &TtyInfoEntry, pending_bytes: u64, machine: OpenFlags) -> TerminalInfo {
    let kind = match TtyType::try_from(info.r#type) {
        Ok(TtyType::Unknown) => "unknown",
        Ok(TtyType::Pty) => "pty",
        Ok(TtyType::Console) => "console",
        Ok(TtyType::Vt) => "vt",
        Ok(TtyType::Ctty) => "ctty",
        Ok(TtyType::ExtTty) => "external",
        Ok(TtyType::Serial) => "serial",
        Err(_) => "",
    };
    let is_pty = info.r#type == i32::from(TtyType::Pty);
    TerminalInfo {
        kind: if kind.is_empty() { info.r#type.to_string() } else { kind.to_owned() },
        pty_index: info.pty.as_ref().map(|pty| pty.index),
        is_master: is_pty && info.id & 1 == 1,
        // The old form of device numbers, which the system calls give out.
        device: format!("{}:{}", info.rdev >> 8 & 0xfff, info.rdev & 0xff | info.rdev >> 12 & 0xf_ff00),
        sid: info.sid,
        pgrp: info.pgrp,
        rows: info.winsize.as_ref().map(|size| size.ws_row),
        columns: info.winsize.as_ref().map(|size| size.ws_col),
        pending_bytes,
        is_locked: info.locked,
        is_exclusive: info.exclusive,
        is_packet_mode: info.packet_mode,
        termios: info.termios.as_ref().map(|entry| termios(entry, machine)),
    }
}

fn termios(entry: &TermiosEntry, machine: OpenFlags) -> Termios {
    // Of the settings that people know, these are where they are on all machines but one.
    let (isig, icanon) = if machine == OpenFlags::Ppc { (0x80, 0x100) } else { (1, 2) };
    let word = |is_set: bool, name: &str| format!("{}{name}", if is_set { "" } else { "-" });
    let settings = vec![
        word(entry.c_lflag & isig != 0, "isig"),
        word(entry.c_lflag & icanon != 0, "icanon"),
        word(entry.c_lflag & 0o10 != 0, "echo"),
        word(entry.c_iflag & 0o400 != 0, "icrnl"),
        word(entry.c_oflag & 1 != 0, "opost"),
    ];
    Termios {
        c_iflag: entry.c_iflag,
        c_oflag: entry.c_oflag,
        c_cflag: entry.c_cflag,
        c_lflag: entry.c_lflag,
        c_ispeed: entry.c_ispeed,
        c_ospeed: entry.c_ospeed,
        settings,
    }
}
