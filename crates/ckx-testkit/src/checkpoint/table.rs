//! The file table: who gets which file id.

use std::collections::BTreeMap;

use super::fd::{Fd, Waiting};
use crate::files::{FdType, directory, fdinfo, file_entry, memfd, reg};
use crate::image::{ImageBuilder, Order};
use crate::wire::Msg;

/// Entries of `files.img`, numbered from 1, and what hangs on them.
#[derive(Debug, Default)]
pub(super) struct FileTable {
    entries: Vec<Msg>,
    by_path: BTreeMap<Vec<u8>, u64>,
    by_key: BTreeMap<u64, u64>,
    mapped: BTreeMap<u64, u64>,
    pipes: BTreeMap<u64, Vec<u8>>,
    packets: Vec<(u64, Vec<u8>)>,
    streams: Vec<(u64, Vec<u8>, Vec<u8>)>,
    order: Order,
}

impl FileTable {
    pub(super) fn new(order: Order) -> Self {
        Self { order, ..Self::default() }
    }

    fn next(&self) -> u64 {
        self.entries.len() as u64 + 1
    }

    fn push(&mut self, kind: FdType, id: u64, message: Msg) -> u64 {
        self.entries.push(file_entry(kind, id, message));
        id
    }

    /// File id of a path that is mapped, run, or leads to something.
    pub(super) fn path(&mut self, path: &[u8]) -> u64 {
        if let Some(id) = self.by_path.get(path) {
            return *id;
        }
        let id = self.next();
        self.by_path.insert(path.to_vec(), id);
        let message = reg(id, 0, 0, path).sint(7, -1).uint(8, 0x2_0000).uint(10, 0o100_755);
        self.push(FdType::Reg, id, message)
    }

    /// A fresh file id of a directory.
    pub(super) fn directory(&mut self, path: &[u8]) -> u64 {
        let id = self.next();
        self.push(FdType::Reg, id, directory(id, path))
    }

    /// File id by which shared objects are mapped.
    pub(super) fn mapped(&mut self, shmid: u64) -> u64 {
        if let Some(id) = self.mapped.get(&shmid) {
            return *id;
        }
        let id = self.next();
        self.mapped.insert(shmid, id);
        self.push(FdType::Memfd, id, memfd(id, 0o2, shmid))
    }

    /// `fdinfo_entry` of a descriptor.
    pub(super) fn descriptor(&mut self, number: u64, fd: &Fd) -> Msg {
        let known = fd.shared.and_then(|key| self.by_key.get(&key).copied());
        let id = known.unwrap_or_else(|| self.open(fd));
        fdinfo(id, fd.close_on_exec.into(), fd.kind, number)
    }

    fn open(&mut self, fd: &Fd) -> u64 {
        // A path that the message names has to be in the table before it.
        let mut path_id = None;
        if let super::fd::Form::WithPath(_, _, path) = &fd.form {
            path_id = Some(self.path(path));
        }
        let id = self.next();
        if let Some(key) = fd.shared {
            self.by_key.insert(key, id);
        }
        match &fd.waiting {
            Waiting::Nothing => {}
            Waiting::Pipe(pipe, bytes) => self.pipes.entry(*pipe).or_default().extend(bytes),
            Waiting::Packets(packets) => {
                self.packets.extend(packets.iter().map(|packet| (id, packet.clone())))
            }
            Waiting::Tcp(inq, outq) => {
                if let super::fd::Form::Tcp(ino, ..) = &fd.form {
                    self.streams.push((*ino, inq.clone(), outq.clone()));
                }
            }
        }
        let message = fd.message(id, self.order, |_| path_id.expect("its path is in the table"));
        self.push(fd.kind, id, message)
    }

    /// `files.img` and the images of what waits in files; each only if it has a record.
    pub(super) fn images(self) -> Vec<(String, Vec<u8>)> {
        let image = |key: &str| ImageBuilder::of(key).order(self.order);
        let mut images = vec![("files.img".to_owned(), image("FILES").records(self.entries).build())];
        if !self.pipes.is_empty() {
            let pipes = self.pipes.iter().fold(image("PIPES_DATA"), |image, (pipe, bytes)| {
                image.record(Msg::new().seq(1, [*pipe, bytes.len() as u64, 65536])).payload(bytes)
            });
            images.push(("pipes-data.img".to_owned(), pipes.build()));
        }
        if !self.packets.is_empty() {
            let queues = self.packets.iter().fold(image("SK_QUEUES"), |image, (socket, bytes)| {
                image.record(Msg::new().seq(1, [*socket, bytes.len() as u64])).payload(bytes)
            });
            images.push(("sk-queues.img".to_owned(), queues.build()));
        }
        for (ino, inq, outq) in &self.streams {
            let lens = [inq.len() as u64, 1000, outq.len() as u64, 2000];
            let stream = Msg::new().seq(1, lens).seq(5, [0x7, 7, 65495, 7, 3_457_243]);
            let image = image("TCP_STREAM").record(stream.uint(12, 0)).payload(inq).payload(outq);
            images.push((format!("tcp-stream-{ino:x}.img"), image.build()));
        }
        images
    }
}
