//! What people see of open files.

use std::collections::HashMap;

use super::file::{Details, OpenFile, Pipe, Regular, Terminal};
use super::{Descriptor, Descriptors, Place, ProcessDescriptors};
use crate::Name;
use crate::outline::{Cell, Outline, Table};

type Files<'f> = HashMap<(&'f str, u32), &'f OpenFile>;

pub(super) fn outline(descriptors: &Descriptors) -> Outline {
    let files: Files<'_> =
        descriptors.files.iter().map(|file| ((file.kind.as_str(), file.file_id), file)).collect();
    let mut outline = Outline::new();
    for process in &descriptors.processes {
        let mut line = vec![Cell::from(process.pid), Cell::or_dash(process.comm.as_ref())];
        if let Some(first) = process.shares_table_of {
            line.push(Cell::Faint(format!("has the descriptors of {first}")));
        } else if let Some(absent) = process.absent {
            line.push(Cell::Absent(absent.to_owned()));
        }
        outline.group(line, below(process, &files));
    }
    outline
}

fn below(process: &ProcessDescriptors, files: &Files<'_>) -> Outline {
    let mut outline = Outline::new();
    let mut table = Table::new(&["FD", "TYPE", "FILE"]);
    for (word, place) in [("cwd", &process.cwd), ("root", &process.root)] {
        if let Some(place) = place {
            table.row(vec![Cell::from(word), Cell::from("REG"), self::place(place)]);
        }
    }
    for descriptor in &process.descriptors {
        let file = files.get(&(descriptor.kind.as_str(), descriptor.file_id)).copied();
        table.row(vec![
            Cell::from(format!("{}{}", descriptor.fd, file.map_or("", OpenFile::access))),
            Cell::from(&descriptor.kind),
            line(descriptor, file),
        ]);
    }
    outline.table(table);
    outline
}

fn place(place: &Place) -> Cell {
    match &place.path {
        Some(path) if place.is_deleted => {
            Cell::Line(vec![Cell::from(path), Cell::Marked("deleted".to_owned())])
        }
        Some(path) => Cell::from(path),
        None => Cell::Absent(format!("file {} is not there", place.file_id)),
    }
}

fn line(descriptor: &Descriptor, file: Option<&OpenFile>) -> Cell {
    let mut cells = match file {
        Some(file) => file.line(),
        None => Vec::new(),
    };
    if descriptor.close_on_exec {
        cells.push(Cell::Faint("cloexec".to_owned()));
    }
    Cell::Line(cells)
}

impl OpenFile {
    /// How `lsof` marks the access behind the number: `r`, `w`, `u`; nothing when it is not known.
    pub fn access(&self) -> &'static str {
        match self.flags.first().map(String::as_str) {
            _ if self.flags.iter().any(|flag| flag == "O_PATH") => "",
            Some("O_RDONLY") => "r",
            Some("O_WRONLY") => "w",
            Some("O_RDWR") => "u",
            _ => "",
        }
    }

    /// The file in one line: its name, and what should be known of it.
    pub fn line(&self) -> Vec<Cell> {
        let Some(name) = &self.name else {
            return vec![Cell::Absent(format!("file {} is not there", self.file_id))];
        };
        let mut cells = vec![match &self.details {
            Some(Details::Socket(socket)) => Cell::Name(socket.summary()),
            _ => Cell::from(name),
        }];
        if self.flags.iter().any(|flag| flag == "O_PATH") {
            cells.push(Cell::Faint("O_PATH".to_owned()));
        }
        if let Some(details) = &self.details {
            details.remarks(self.position_bytes, &mut cells);
        }
        if let Some(owner) = &self.signal_owner {
            let signal = owner.signal.as_deref().unwrap_or("SIGIO");
            cells.push(Cell::Faint(format!("{signal} to {} {}", owner.pid_type, owner.pid)));
        }
        cells
    }
}

impl Details {
    fn remarks(&self, position: Option<u64>, cells: &mut Vec<Cell>) {
        let mut faint = |text: String| cells.push(Cell::Faint(text));
        match self {
            Self::Reg(regular) => self::regular(regular, position, cells),
            Self::Pipe(pipe) | Self::Fifo(pipe) => self::pipe(pipe, cells),
            Self::Socket(socket) => {
                let waiting =
                    [("received", socket.receive_queue_bytes), ("to send", socket.send_queue_bytes)];
                for (word, bytes) in waiting {
                    if let Some(bytes @ 1..) = bytes {
                        cells.extend([Cell::Bytes(bytes), Cell::Faint(word.to_owned())]);
                    }
                }
            }
            Self::Eventfd(file) => faint(format!("counter {}", file.counter)),
            Self::Epoll(set) => {
                let fds: Vec<String> =
                    set.targets.iter().take(LISTED).map(|each| each.fd.to_string()).collect();
                let more = if set.targets.len() > LISTED { ", …" } else { "" };
                faint(match set.targets.len() {
                    0 => "watches nothing".to_owned(),
                    _ => format!("watches {}{more}", fds.join(", ")),
                });
            }
            Self::Inotify(instance) => {
                let paths = instance.watches.iter().map(|watch| watch.file.path.as_ref());
                watched(paths, cells);
            }
            Self::Fanotify(group) => {
                let paths = group.marks.iter().map(|mark| mark.file.path.as_ref());
                watched(paths, cells);
            }
            Self::Signalfd(file) => faint(file.signals.join(" ")),
            Self::Timerfd(timer) => {
                faint(timer.clock.clone());
                match timer.value_ns {
                    0 => faint("not set".to_owned()),
                    left => cells.extend([Cell::Micros(left / 1000), Cell::Faint("left".to_owned())]),
                }
                if timer.interval_ns > 0 {
                    cells.extend([Cell::Faint("every".to_owned()), Cell::Micros(timer.interval_ns / 1000)]);
                }
            }
            Self::Tty(tty) => terminal(tty, cells),
            Self::Tun(tun) => cells.extend(tun.device.as_ref().map(Cell::from)),
            Self::Namespace(_) | Self::Ext(_) => {}
            Self::Memfd(memfd) => match &memfd.inode {
                Some(inode) => {
                    cells.push(Cell::Bytes(inode.size_bytes));
                    // The seal against more seals is what all have that are not to be sealed.
                    if inode.seals.iter().any(|seal| seal != "F_SEAL_SEAL") {
                        cells.push(Cell::Faint(inode.seals.join(" ")));
                    }
                }
                None => cells.push(Cell::Absent("its record is not there".to_owned())),
            },
            Self::Bpf(map) => {
                cells.push(Cell::Name(map.name.clone()));
                let stored = map.entries.map_or_else(|| "?".to_owned(), |entries| entries.to_string());
                cells.push(Cell::Faint(format!("{}, {stored} of {} entries", map.kind, map.max_entries)));
            }
            Self::Pidfd(pidfd) => faint(match pidfd.pid {
                Some(pid) => format!("process {pid}"),
                None => "a dead process".to_owned(),
            }),
        }
    }
}

/// How many items a line lists.
const LISTED: usize = 8;

fn regular(regular: &Regular, position: Option<u64>, cells: &mut Vec<Cell>) {
    if let Some(removed) = &regular.removed {
        cells.push(Cell::Marked("deleted".to_owned()));
        match (&removed.ghost, &removed.link) {
            (Some(ghost), _) => {
                cells.push(Cell::Faint("kept:".to_owned()));
                cells.push(ghost.size_bytes.map_or_else(|| Cell::from("?"), Cell::Bytes));
            }
            (None, Some(link)) => {
                cells.extend([Cell::Faint("linked as".to_owned()), Cell::from(link)]);
            }
            (None, None) => {
                cells.push(Cell::Faint(format!("{} {}", removed.remap_type, removed.remap_id)));
            }
        }
    }
    if regular.is_external {
        cells.push(Cell::Faint("external".to_owned()));
    }
    match (position, regular.size_bytes) {
        (Some(position @ 1..), Some(size)) if position == size => {
            cells.extend([Cell::Faint("at the end,".to_owned()), Cell::Bytes(size)]);
        }
        (Some(position @ 1..), Some(size)) => {
            cells.extend([Cell::Faint(format!("at {position} of {size}"))]);
        }
        (Some(position @ 1..), None) => cells.push(Cell::Faint(format!("at {position}"))),
        _ => {}
    }
}

fn pipe(pipe: &Pipe, cells: &mut Vec<Cell>) {
    if let Some(bytes @ 1..) = pipe.pending_bytes {
        cells.extend([Cell::Bytes(bytes), Cell::Faint("not read".to_owned())]);
    }
    if pipe.is_packet_mode {
        cells.push(Cell::Faint("packets".to_owned()));
    }
}

fn watched<'p>(paths: impl ExactSizeIterator<Item = Option<&'p Name>>, cells: &mut Vec<Cell>) {
    let count = paths.len();
    let mut named = paths.flatten();
    match named.next() {
        Some(first) => {
            cells.extend([Cell::Faint("watches".to_owned()), Cell::from(first)]);
            if count > 1 {
                cells.push(Cell::Faint(format!("and {} more", count - 1)));
            }
        }
        None if count == 0 => cells.push(Cell::Faint("watches nothing".to_owned())),
        None if count == 1 => cells.push(Cell::Faint("watches 1 file".to_owned())),
        None => cells.push(Cell::Faint(format!("watches {count} files"))),
    }
}

fn terminal(tty: &Terminal, cells: &mut Vec<Cell>) {
    let Some(info) = &tty.info else {
        cells.push(Cell::Absent(format!("terminal {} is not there", tty.tty_info_id)));
        return;
    };
    let mut words = vec![info.kind.clone()];
    if let Some(index) = info.pty_index {
        words = vec![format!("{} {index}", if info.is_master { "master of pty" } else { "pty" })];
    }
    if let (Some(rows), Some(columns)) = (info.rows, info.columns) {
        words.push(format!("{columns}x{rows}"));
    }
    if info.sid > 0 {
        words.push(format!("session {}", info.sid));
    }
    cells.push(Cell::Faint(words.join(", ")));
    if info.pending_bytes > 0 {
        cells.extend([Cell::Bytes(info.pending_bytes), Cell::Faint("not read".to_owned())]);
    }
}
