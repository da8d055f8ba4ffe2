//! Images with bytes behind their records, of lengths that need padding and of those that do not.

use super::Case;
use crate::image::ImageBuilder;
use crate::parts::ipc_desc;
use crate::wire::Msg;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend([
        Case::new("PIPES_DATA", "pipes-data.img", "full, short, empty", pipes("PIPES_DATA"), 4),
        Case::new("FIFO_DATA", "fifo-data.img", "full, short, empty", pipes("FIFO_DATA"), 4),
        Case::new(
            "TCP_STREAM",
            "tcp-stream-1a2b.img",
            "both queues",
            tcp(b"GET / HTTP/1.1\r\n\r\n", &[0xff; 1448]),
            1,
        ),
        Case::new("TCP_STREAM", "tcp-stream-1a2c.img", "nothing queued", tcp(b"", b""), 1),
        Case::new("TCP_STREAM", "tcp-stream-1a2d.img", "only received", tcp(b"x", b""), 1),
        Case::new("TCP_STREAM", "tcp-stream-1a2e.img", "only to be sent", tcp(b"", b"reply"), 1),
        Case::new("TCP_STREAM", "tcp-stream-ffffffff.img", "of an old release", tcp_old(), 1),
        Case::list("TTY_DATA", "tty-data.img", "bytes inside the record", tty_data()),
        Case::list("IPCNS_SHM", "ipcns-shm-11.img", "contents in page maps", shm_in_pagemaps()),
    ]);
    for image in [
        Case::both("SK_QUEUES", "sk-queues.img", "packets, descriptors, nothing", queues(), 4),
        Case::both("BPFMAP_DATA", "bpfmap-data.img", "hash, array, empty", bpf(), 3),
        Case::both("IPCNS_SHM", "ipcns-shm-10.img", "contents behind the record", shm(), 4),
        Case::both("IPCNS_SEM", "ipcns-sem-11.img", "4, 10, 1 and no values", sems(), 4),
        Case::both("IPCNS_MSG", "ipcns-msg-11.img", "15, 16, 27 and 0 bytes, and an empty queue", msgs(), 3),
    ] {
        cases.extend(image);
    }
    cases
}

fn pipes(row: &str) -> ImageBuilder {
    let pipe = |id: u64, bytes: u64| Msg::new().uint(1, id).uint(2, bytes);
    ImageBuilder::of(row)
        .record(pipe(1_541_946, 4096).uint(3, 4096))
        .payload(&[b'x'; 4096])
        .record(pipe(1_541_947, 3).uint(3, 65536))
        .payload(b"\xff\0\n")
        .record(pipe(1_541_948, 0).uint(3, 65536))
        // Capacity unknown to the oldest releases.
        .record(pipe(1_541_949, 1))
        .payload(b"z")
}

fn queues() -> ImageBuilder {
    let packet = |socket: u64, length: u64| Msg::new().uint(1, socket).uint(2, length);
    let rights = |ids: &[u64]| Msg::new().uint(1, 1).uints(2, ids.iter().copied());
    ImageBuilder::of("SK_QUEUES")
        .record(packet(13, 1).msg(4, rights(&[14])))
        .payload(&[0])
        .record(packet(13, 4).msg(4, rights(&[14, 15, 300])).msg(4, rights(&[])))
        .payload(b"abcd")
        .record(packet(16, 0))
        .record(packet(16, 39))
        .payload(&[0xaa; 39])
}

fn tcp(inq: &[u8], outq: &[u8]) -> ImageBuilder {
    let stream = Msg::new().seq(1, [inq.len() as u64, 0xffff_fff0, outq.len() as u64, 123_456_789]);
    let stream = stream.seq(5, [0x7, 7, 65495, 7, 3_457_243]).bool(10, false).bool(11, true);
    let stream = stream.seq(12, [outq.len() as u64 / 2, 0xffff_ffe0, 65536, 65536, 65483, 0xffff_fff0]);
    ImageBuilder::of("TCP_STREAM").record(stream).payload(inq).payload(outq)
}

fn tcp_old() -> ImageBuilder {
    let stream = Msg::new().seq(1, [2, 17, 3, 18, 0, 0, 536]);
    ImageBuilder::of("TCP_STREAM").record(stream).payload(b"in").payload(b"out")
}

fn bpf() -> ImageBuilder {
    let data = |map: u64, keys: u64, values: u64, count: u64| Msg::new().seq(1, [map, keys, values, count]);
    let keys: Vec<u8> = (0..3u32).flat_map(u32::to_le_bytes).collect();
    let values: Vec<u8> = (0..3u64).flat_map(|value| (value * 1000).to_le_bytes()).collect();
    ImageBuilder::of("BPFMAP_DATA")
        .record(data(7, 12, 24, 3))
        .payload(&keys)
        .payload(&values)
        .record(data(8, 4, 1, 1))
        .payload(&[0, 0, 0, 0, 0xff])
        .record(data(9, 0, 0, 0))
}

fn tty_data() -> [Msg; 2] {
    let data = |tty: u64, bytes: &[u8]| Msg::new().uint(1, tty).bytes(2, bytes);
    [data(0, b"ls -l\r"), data(1, b"\x1b[0m\xff")]
}

fn shm_in_pagemaps() -> [Msg; 3] {
    let segment = |id: u64, size: u64| Msg::new().msg(1, ipc_desc(0x10 + id, id)).uint(2, size).bool(3, true);
    [segment(0, 4096), segment(32769, 5), segment(2, 0x40_0000).uint(4, 0x5400_0000)]
}

fn shm() -> ImageBuilder {
    let segment = |id: u64, size: u64| Msg::new().msg(1, ipc_desc(0x10 + id, id)).uint(2, size);
    ImageBuilder::of("IPCNS_SHM")
        .record(segment(0, 5))
        .padded(b"12345", 4)
        .record(segment(1, 8))
        .padded(b"12345678", 4)
        .record(segment(2, 0))
        .record(segment(3, 9).bool(3, false))
        .padded(b"\xff23456789", 4)
}

fn sems() -> ImageBuilder {
    let set = |id: u64, values: &[u16]| {
        (Msg::new().msg(1, ipc_desc(0x20 + id, id)).uint(2, values.len() as u64), values.to_vec())
    };
    let sets =
        [set(0, &[1, 2, 3, 4]), set(1, &[0, 0, 7, 0, 0x7fff, 5, 6, 7, 8, 0x0102]), set(2, &[9]), set(3, &[])];
    sets.into_iter()
        .fold(ImageBuilder::of("IPCNS_SEM"), |image, (record, values)| image.record(record).halves(&values))
}

fn msgs() -> ImageBuilder {
    let queue =
        |id: u64, count: u64| Msg::new().msg(1, ipc_desc(0x30 + id, id)).uint(2, 16384).uint(3, count);
    let message = |kind: u64, size: u64| Msg::new().uint(1, kind).uint(2, size);
    ImageBuilder::of("IPCNS_MSG")
        .record(queue(0, 3))
        .record(message(1, 15))
        .padded(b"Test sysv msg_A", 8)
        .record(message(26538, 27))
        .padded(&[b'y'; 27], 8)
        .record(message(u64::MAX >> 1, 16))
        .padded(b"sixteen bytes ..", 8)
        .record(queue(32768, 0))
        .record(queue(2, 1))
        .record(message(5, 0))
}
