//! Compression, told by content and undone on the fly.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, one member or several.
    Gzip,
    /// Zstandard, one frame or several.
    Zstd,
    /// xz, one stream or several.
    Xz,
    /// bzip2, one stream or several.
    Bzip2,
    /// LZ4 frames, one or several.
    Lz4,
}

/// Bytes of a file that [`Compression::of`] needs.
pub const MAGIC_BYTES: usize = 6;

/// The largest window that a zstd frame may ask for, as a power of two: 128 MiB, what the zstd
/// command takes without being told. A frame can ask for 2 GiB with a few bytes.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The most memory that an xz stream may ask for. Level 9 of xz takes 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

impl Compression {
    /// Tells the compression from the first bytes. File names play no part: they are arbitrary.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame may stand before the first one.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            _ => Self::None,
        }
    }

    /// Name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
        }
    }

    /// Reads `input` uncompressed: all its members or frames, one after the other.
    ///
    /// # Errors
    /// When a decoder cannot be set up; faults of the data come with reading.
    pub fn decode<'a>(self, input: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(GzipMembers::new(input)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
            Self::Xz => {
                let stream =
                    liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                        .map_err(io::Error::other)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Lz4 => Box::new(Lz4Frames { decoder: lz4_flex::frame::FrameDecoder::new(input) }),
        })
    }
}

/// A stream without its compression.
pub(crate) struct Sniffed<'a> {
    pub compression: Compression,
    pub reader: Box<dyn Read + 'a>,
}

/// Undoes the compression of a stream, told by its first bytes.
pub(crate) fn sniffed<'a>(mut input: impl Read + 'a) -> io::Result<Sniffed<'a>> {
    let mut head = Vec::with_capacity(MAGIC_BYTES);
    input.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut head)?;
    let compression = Compression::of(&head);
    let input = BufReader::with_capacity(1 << 16, io::Cursor::new(head).chain(input));
    Ok(Sniffed { compression, reader: compression.decode(input)? })
}

/// gzip members one after the other. Zeros behind a member are padding, as tapes and block devices leave it.
struct GzipMembers<R> {
    /// Empty after the end, and when a fault was told.
    decoder: Option<GzDecoder<R>>,
}

impl<R: BufRead> GzipMembers<R> {
    fn new(input: R) -> Self {
        Self { decoder: Some(GzDecoder::new(input)) }
    }

    /// Goes on to the next member. Whether there is one, or something that is none.
    fn next(&mut self) -> io::Result<bool> {
        let Some(decoder) = self.decoder.take() else { return Ok(false) };
        let mut input = decoder.into_inner();
        loop {
            let ahead = match input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                ahead => ahead?,
            };
            if ahead.is_empty() {
                return Ok(false);
            }
            let zeros = ahead.iter().take_while(|byte| **byte == 0).count();
            let is_more = zeros < ahead.len();
            input.consume(zeros);
            if is_more {
                self.decoder = Some(GzDecoder::new(input));
                return Ok(true);
            }
        }
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() || !self.next()? {
                return Ok(read);
            }
        }
        Ok(0)
    }
}

/// LZ4 frames one after the other: the decoder stops at the end of each.
struct Lz4Frames<R: Read> {
    decoder: lz4_flex::frame::FrameDecoder<R>,
}

impl<R: BufRead> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.decoder.get_mut().fill_buf()?.is_empty() {
                return Ok(read);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn twice(compressed: &[u8]) -> Vec<u8> {
        [compressed, compressed].concat()
    }

    fn frames(compression: Compression) -> Vec<u8> {
        let text = vec![b'x'; 100_000];
        let one = match compression {
            Compression::None => text,
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&text).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(text.as_slice(), 1).unwrap(),
            Compression::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(&text).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(&text).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(&text).unwrap();
                encoder.finish().unwrap()
            }
        };
        twice(&one)
    }

    const ALL: [Compression; 6] = [
        Compression::None,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Xz,
        Compression::Bzip2,
        Compression::Lz4,
    ];

    #[test]
    fn several_members_or_frames_are_one_stream() {
        for compression in ALL {
            let data = frames(compression);
            assert_eq!(Compression::of(&data), compression);
            let mut text = Vec::new();
            compression.decode(data.as_slice()).unwrap().read_to_end(&mut text).unwrap();
            assert_eq!(text.len(), 200_000, "{}", compression.name());
        }
    }

    #[test]
    fn zeros_behind_gzip_are_padding_and_other_bytes_a_fault() {
        let data = frames(Compression::Gzip);
        let read = |data: &[u8]| {
            let mut text = Vec::new();
            let input = BufReader::with_capacity(7, data);
            let result = Compression::Gzip.decode(input).unwrap().read_to_end(&mut text);
            (text.len(), result.is_ok())
        };
        for count in [1, 7, 512, 100_000] {
            assert_eq!(read(&[data.as_slice(), &vec![0; count]].concat()), (200_000, true), "{count} zeros");
        }
        assert_eq!(read(&[data.as_slice(), &[0; 512], b"and more"].concat()), (200_000, false));
        assert_eq!(read(&[data.as_slice(), &[0; 512], &data].concat()), (400_000, true));
    }

    #[test]
    fn what_is_cut_off_is_an_error_after_what_is_there() {
        for compression in &ALL[1..] {
            let data = frames(*compression);
            let cut = &data[..data.len() - 5];
            let mut text = Vec::new();
            let result = compression.decode(cut).unwrap().read_to_end(&mut text);
            assert!(result.is_err(), "{}", compression.name());
            assert!(text.len() >= 100_000, "{}: {} bytes", compression.name(), text.len());
        }
    }
}
