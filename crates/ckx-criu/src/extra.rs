//! Bytes behind a record: one small function per kind that has some.
//!
//! Nothing in the file says how long they are; the fields of the record do. Lengths are compared
//! with what is left before anything is touched, and every window is borrowed.
//!
//! # Folklore
//!
//! * Semaphore values and messages are padded to 8 bytes, old shared memory contents to 4. A
//!   length that is a multiple already gets no padding; go-criu adds a whole unit there and loses
//!   its place.
//! * The contents of System V shared memory follow the record only when `in_pagemaps` is not set;
//!   since CRIU 3.0 they are in `pagemap-shmem-<id>.img`. crit takes `size` bytes all the same.
//! * Terminal data (`tty-data.img`) is a field of its message: nothing follows.

use crate::bytes::{ByteOrder, round_up, word_at};
use crate::error::ErrorKind;
use crate::schema::messages;
use crate::wire::uint_field;

/// What follows each record of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraRule {
    /// Nothing.
    None,
    /// `pipe_data_entry.bytes` bytes.
    PipeData,
    /// `sk_packet_entry.length` bytes.
    SkQueue,
    /// `inq_len`, then `outq_len` bytes.
    TcpStream,
    /// `keys_bytes`, then `values_bytes` bytes.
    BpfMap,
    /// `size` bytes padded to 4, unless `in_pagemaps`.
    Shm,
    /// `nsems` half words padded to 8.
    Sem,
    /// `qnum` records `ipc_msg`, each with `msize` bytes padded to 8.
    Msg,
}

/// The bytes behind a record, cut into their parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra<'a> {
    /// Kinds whose records stand alone.
    None,
    /// Plain bytes.
    Bytes {
        /// The content.
        data: &'a [u8],
        /// Padding behind it; zeros as CRIU writes it.
        pad: &'a [u8],
    },
    /// Queues of a TCP connection.
    Tcp {
        /// Received and not yet read.
        inq: &'a [u8],
        /// Written and not yet acknowledged, then not yet sent.
        outq: &'a [u8],
    },
    /// Content of a BPF map.
    Bpf {
        /// All keys.
        keys: &'a [u8],
        /// All values.
        values: &'a [u8],
    },
    /// Values of a semaphore set.
    Sems(Sems<'a>),
    /// Messages of a queue.
    Messages(Messages<'a>),
}

impl<'a> Extra<'a> {
    /// Bytes in the file, padding included.
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Bytes { data, pad } => data.len() + pad.len(),
            Self::Tcp { inq, outq } => inq.len() + outq.len(),
            Self::Bpf { keys, values } => keys.len() + values.len(),
            Self::Sems(sems) => sems.values.len() + sems.pad.len(),
            Self::Messages(messages) => messages.bytes.len(),
        }
    }

    /// Whether no byte follows the record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of content: padding and the size words of messages left out, as crit counts them
    /// for `--nopl`.
    pub fn content_len(&self) -> usize {
        match self {
            Self::Bytes { data, .. } => data.len(),
            Self::Sems(sems) => sems.values.len(),
            Self::Messages(messages) => {
                messages.iter().map(|message| message.body.len() + message.data.len()).sum()
            }
            other => other.len(),
        }
    }
}

/// Values of a semaphore set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sems<'a> {
    /// The values as they lie in the file, two bytes each.
    pub values: &'a [u8],
    /// Padding behind them.
    pub pad: &'a [u8],
    order: ByteOrder,
}

impl Sems<'_> {
    /// The values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u16> {
        let order = self.order;
        self.values.as_chunks::<2>().0.iter().map(move |half| order.half(*half))
    }
}

/// Messages of a System V queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Messages<'a> {
    bytes: &'a [u8],
    count: u64,
    order: ByteOrder,
}

/// One message of a System V queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Offset of its size word from the first byte behind the queue's record.
    pub offset: usize,
    /// The `ipc_msg` record.
    pub body: &'a [u8],
    /// Its text.
    pub data: &'a [u8],
    /// Padding behind the text.
    pub pad: &'a [u8],
}

impl<'a> Messages<'a> {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The messages in queue order.
    pub fn iter(&self) -> impl Iterator<Item = Message<'a>> {
        let Self { bytes, count, order } = *self;
        let mut offset = 0;
        (0..count).map_while(move |_| {
            let message = one_message(bytes, offset, order).ok()?;
            offset = message.offset + 4 + message.body.len() + message.data.len() + message.pad.len();
            Some(message)
        })
    }
}

/// Cuts the bytes behind a record. `rest` is everything behind it in the file.
///
/// # Errors
/// [`ErrorKind::PayloadTruncated`] when the fields announce more than there is,
/// [`ErrorKind::BadMessage`] when the record or a message in a queue cannot be read, the same
/// framing errors as for records inside a queue.
pub(crate) fn cut<'a>(
    rule: ExtraRule,
    body: &[u8],
    rest: &'a [u8],
    order: ByteOrder,
) -> Result<Extra<'a>, ErrorKind> {
    match rule {
        ExtraRule::None => Ok(Extra::None),
        ExtraRule::PipeData => plain(body, rest, &messages::PIPE_DATA_ENTRY, "bytes", 1),
        ExtraRule::SkQueue => plain(body, rest, &messages::SK_PACKET_ENTRY, "length", 1),
        ExtraRule::TcpStream => tcp_stream(body, rest),
        ExtraRule::BpfMap => bpf_map(body, rest),
        ExtraRule::Shm => shm(body, rest),
        ExtraRule::Sem => sem(body, rest, order),
        ExtraRule::Msg => msg(body, rest, order),
    }
}

type Desc = crate::schema::MessageDesc;

/// An unsigned field of the record; absent is 0, as for CRIU.
fn field(body: &[u8], desc: &'static Desc, name: &'static str) -> Result<u64, ErrorKind> {
    let number = desc.field_named(name).map_or(0, |field| field.number);
    uint_field(body, number)
        .map(Option::unwrap_or_default)
        .map_err(|reason| ErrorKind::BadMessage { message: desc.name, reason })
}

fn take<'a>(rest: &mut &'a [u8], len: u64, what: &'static str) -> Result<&'a [u8], ErrorKind> {
    let got = rest.len() as u64;
    let short = ErrorKind::PayloadTruncated { what, expected: len, got };
    match usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len)) {
        Some((taken, behind)) => {
            *rest = behind;
            Ok(taken)
        }
        None => Err(short),
    }
}

fn take_padded<'a>(
    rest: &mut &'a [u8],
    len: u64,
    unit: u64,
    what: &'static str,
) -> Result<(&'a [u8], &'a [u8]), ErrorKind> {
    let data = take(rest, len, what)?;
    // The content is there, so rounding up cannot overflow.
    let pad = round_up(len, unit).unwrap_or(len) - len;
    Ok((data, take(rest, pad, "padding")?))
}

fn plain<'a>(
    body: &[u8],
    mut rest: &'a [u8],
    desc: &'static Desc,
    name: &'static str,
    unit: u64,
) -> Result<Extra<'a>, ErrorKind> {
    let len = field(body, desc, name)?;
    let (data, pad) = take_padded(&mut rest, len, unit, name)?;
    Ok(Extra::Bytes { data, pad })
}

fn tcp_stream<'a>(body: &[u8], mut rest: &'a [u8]) -> Result<Extra<'a>, ErrorKind> {
    let desc = &messages::TCP_STREAM_ENTRY;
    let inq = field(body, desc, "inq_len")?;
    let outq = field(body, desc, "outq_len")?;
    Ok(Extra::Tcp { inq: take(&mut rest, inq, "inq_len")?, outq: take(&mut rest, outq, "outq_len")? })
}

fn bpf_map<'a>(body: &[u8], mut rest: &'a [u8]) -> Result<Extra<'a>, ErrorKind> {
    let desc = &messages::BPFMAP_DATA_ENTRY;
    let keys = field(body, desc, "keys_bytes")?;
    let values = field(body, desc, "values_bytes")?;
    Ok(Extra::Bpf {
        keys: take(&mut rest, keys, "keys_bytes")?,
        values: take(&mut rest, values, "values_bytes")?,
    })
}

fn shm<'a>(body: &[u8], rest: &'a [u8]) -> Result<Extra<'a>, ErrorKind> {
    let desc = &messages::IPC_SHM_ENTRY;
    if field(body, desc, "in_pagemaps")? != 0 {
        return Ok(Extra::Bytes { data: &[], pad: &[] });
    }
    plain(body, rest, desc, "size", 4)
}

fn sem<'a>(body: &[u8], mut rest: &'a [u8], order: ByteOrder) -> Result<Extra<'a>, ErrorKind> {
    let nsems = field(body, &messages::IPC_SEM_ENTRY, "nsems")?;
    let (values, pad) = take_padded(&mut rest, nsems.saturating_mul(2), 8, "nsems (2 bytes each)")?;
    Ok(Extra::Sems(Sems { values, pad, order }))
}

fn msg<'a>(body: &[u8], rest: &'a [u8], order: ByteOrder) -> Result<Extra<'a>, ErrorKind> {
    let count = field(body, &messages::IPC_MSG_ENTRY, "qnum")?;
    let mut end = 0;
    for _ in 0..count {
        let message = one_message(rest, end, order)?;
        end = message.offset + 4 + message.body.len() + message.data.len() + message.pad.len();
    }
    Ok(Extra::Messages(Messages { bytes: rest.get(..end).unwrap_or_default(), count, order }))
}

fn one_message(bytes: &[u8], offset: usize, order: ByteOrder) -> Result<Message<'_>, ErrorKind> {
    let mut rest = bytes.get(offset..).unwrap_or_default();
    let size = word_at(rest, 0).map(|word| order.word(word)).ok_or(ErrorKind::PayloadTruncated {
        what: "the size word of a message in the queue",
        expected: 4,
        got: rest.len() as u64,
    })?;
    rest = rest.get(4..).unwrap_or_default();
    let body = take(&mut rest, size.into(), "the size word of a message in the queue")?;
    let msize = field(body, &messages::IPC_MSG, "msize")?;
    let (data, pad) = take_padded(&mut rest, msize, 8, "msize")?;
    Ok(Message { offset, body, data, pad })
}
