//! Framing of the ingest log: what is needed to tell complete frames from a torn tail.
//!
//! ```text
//! segment := MAGIC frame(schema message) frame(record batch message)*
//! frame   := header_len u32le  body_len u64le  crc u32le  header  body
//! ```
//!
//! `header` is an Arrow IPC message without its length prefix, `body` its buffers, `crc` the CRC-32 of all other
//! bytes of the frame. The highest bit of `header_len` says that the body is without its [runs of zeros](mosaico_wire::zero_runs).

use std::fs::File;
use std::io::{self, BufReader, IoSlice, Read, Seek, SeekFrom, Write};

use arrow::array::RecordBatch;
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::RecordBatchDecoder;
use arrow::ipc::root_as_message;
use bytes::Bytes;
use mosaico_wire::ipc::batch_message;
use mosaico_wire::zero_runs::unpack;

use crate::error::{Error, Result};
use crate::format::schema::{Filled, TimeSpan};

/// First bytes of a segment.
pub const MAGIC: [u8; 8] = *b"MOSLOG01";

const PREFIX: usize = 16;
const SPARSE: u32 = 1 << 31;

/// One IPC message on its way into the log.
#[derive(Debug, Clone)]
pub struct Frame {
    pub header: Bytes,
    pub body: Bytes,
    pub sparse: bool,
}

impl Frame {
    /// Bytes in the log.
    #[allow(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> u64 {
        (PREFIX + self.header.len() + self.body.len()) as u64
    }

    /// What it is in the log, without copies.
    pub fn pieces(&self) -> io::Result<[Bytes; 3]> {
        Ok([Bytes::copy_from_slice(&self.prefix()?), self.header.clone(), self.body.clone()])
    }

    fn prefix(&self) -> io::Result<[u8; PREFIX]> {
        let header_len = u32::try_from(self.header.len()).map_err(io::Error::other)?;
        let header_len = if self.sparse { header_len | SPARSE } else { header_len };
        let mut prefix = [0; PREFIX];
        prefix[..4].copy_from_slice(&header_len.to_le_bytes());
        prefix[4..12].copy_from_slice(&(self.body.len() as u64).to_le_bytes());
        let crc = checksum(&prefix[..12], &self.header, &self.body);
        prefix[12..].copy_from_slice(&crc.to_le_bytes());
        Ok(prefix)
    }

    /// Appends the frame to `out`.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let prefix = self.prefix()?;
        let mut slices = [IoSlice::new(&prefix), IoSlice::new(&self.header), IoSlice::new(&self.body)];
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match out.write_vectored(rest) {
                Ok(0) if rest.iter().any(|slice| !slice.is_empty()) => {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// The IPC message of a batch with a stored schema, which has no dictionaries.
pub fn encode(batch: &RecordBatch) -> Result<Frame> {
    let message = batch_message(batch, true).map_err(|e| Error::internal("encoding a batch", e))?;
    Ok(Frame { header: message.header.into(), body: message.body.into(), sparse: message.zero_runs })
}

fn checksum(prefix: &[u8], header: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(prefix);
    sum.update(header);
    sum.update(body);
    sum.finalize()
}

/// A frame read back.
#[derive(Debug)]
pub struct StoredFrame {
    pub header: Vec<u8>,
    pub body: Buffer,
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Bytes that are not a complete frame, from this offset on.
    #[error("no complete frame at byte {0}")]
    Torn(u64),
    /// The file.
    #[error("cannot read the log")]
    File(#[from] io::Error),
    /// A complete frame that does not hold what it should.
    #[error("cannot decode a frame of the log")]
    Arrow(#[from] ArrowError),
}

/// Reads frames up to a known length.
#[derive(Debug)]
pub struct FrameReader<R> {
    input: R,
    offset: u64,
    end: u64,
}

impl<R: Read> FrameReader<R> {
    /// Reads the magic; `end` is the length of the part that may be read.
    pub fn new(mut input: R, end: u64) -> Result<Self, LogError> {
        let mut magic = [0; MAGIC.len()];
        if end < MAGIC.len() as u64 {
            return Err(LogError::Torn(0));
        }
        input.read_exact(&mut magic).map_err(|e| torn_or_file(e, 0))?;
        if magic != MAGIC {
            return Err(LogError::Torn(0));
        }
        Ok(Self { input, offset: MAGIC.len() as u64, end })
    }

    /// Where the next frame begins: everything before is complete.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next frame; `None` at the end.
    pub fn next_frame(&mut self) -> Result<Option<StoredFrame>, LogError> {
        let left = self.end - self.offset;
        if left == 0 {
            return Ok(None);
        }
        let at = self.offset;
        let torn = |e| torn_or_file(e, at);
        let mut prefix = [0; PREFIX];
        if left < PREFIX as u64 {
            return Err(LogError::Torn(at));
        }
        self.input.read_exact(&mut prefix).map_err(torn)?;
        let [a, b, c, d, rest @ ..] = prefix;
        let header_len = u32::from_le_bytes([a, b, c, d]);
        let sparse = header_len & SPARSE != 0;
        let header_len = (header_len & !SPARSE) as usize;
        let [body_len @ .., w, x, y, z] = rest;
        let body_len = u64::from_le_bytes(body_len);
        let crc = u32::from_le_bytes([w, x, y, z]);
        // Lengths are checked before anything is allocated: a flipped bit must not ask for terabytes.
        let total = (PREFIX as u64 + header_len as u64).checked_add(body_len);
        let Some(total) = total.filter(|&total| total <= left) else { return Err(LogError::Torn(at)) };
        let body_len = usize::try_from(body_len).map_err(|_| LogError::Torn(at))?;
        let mut header = vec![0; header_len];
        self.input.read_exact(&mut header).map_err(torn)?;
        let mut body = MutableBuffer::from_len_zeroed(body_len);
        self.input.read_exact(&mut body).map_err(torn)?;
        if checksum(&prefix[..12], &header, &body) != crc {
            return Err(LogError::Torn(at));
        }
        self.offset += total;
        let body = match sparse {
            true => unpack(&body, usize::MAX).map_err(|e| ArrowError::IpcError(e.to_string()))?.into(),
            false => body.into(),
        };
        Ok(Some(StoredFrame { header, body }))
    }
}

fn torn_or_file(error: io::Error, at: u64) -> LogError {
    if error.kind() == io::ErrorKind::UnexpectedEof { LogError::Torn(at) } else { LogError::File(error) }
}

/// Reads the batches of a segment in the order of arrival.
#[derive(Debug)]
pub struct BatchReader<R = BufReader<File>> {
    frames: FrameReader<R>,
    schema: SchemaRef,
}

impl BatchReader {
    /// Reads the first `end` bytes of `file`.
    pub fn new(file: File, end: u64) -> Result<Self, LogError> {
        Self::over(BufReader::with_capacity(1 << 16, file), end)
    }

    /// Goes on at `offset`, where a frame begins; `end` is the length of the part that may be read now.
    pub fn go_on(&mut self, offset: u64, end: u64) -> Result<(), LogError> {
        if offset != self.frames.offset {
            self.frames.input.seek(SeekFrom::Start(offset))?;
        }
        (self.frames.offset, self.frames.end) = (offset, end);
        Ok(())
    }

    /// The length of the file.
    pub fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.frames.input.get_ref().metadata()?.len())
    }
}

impl<R: Read> BatchReader<R> {
    /// Reads the first `end` bytes of `input`.
    pub fn over(input: R, end: u64) -> Result<Self, LogError> {
        let mut frames = FrameReader::new(input, end)?;
        let first = frames.next_frame()?.ok_or(LogError::Torn(frames.offset()))?;
        let message = parse(&first.header)?;
        let schema = message
            .header_as_schema()
            .ok_or_else(|| ArrowError::IpcError("the first frame is not a schema".into()))?;
        let schema = SchemaRef::new(arrow::ipc::convert::fb_to_schema(schema));
        Ok(Self { frames, schema })
    }

    /// Everything before this offset was read whole.
    pub fn offset(&self) -> u64 {
        self.frames.offset()
    }

    fn decode(&self, frame: &StoredFrame) -> Result<RecordBatch, LogError> {
        let message = parse(&frame.header)?;
        let batch = message
            .header_as_record_batch()
            .ok_or_else(|| ArrowError::IpcError("a frame is not a record batch".into()))?;
        let schema = SchemaRef::clone(&self.schema);
        let (none, version) = (Default::default(), message.version());
        let decoder = RecordBatchDecoder::try_new(&frame.body, batch, schema, &none, &version)?;
        Ok(decoder.read_record_batch()?)
    }
}

fn parse(header: &[u8]) -> Result<arrow::ipc::Message<'_>, LogError> {
    Ok(root_as_message(header).map_err(|e| ArrowError::IpcError(e.to_string()))?)
}

impl<R: Read> Iterator for BatchReader<R> {
    type Item = Result<RecordBatch, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next_frame().transpose()?;
        Some(frame.and_then(|frame| self.decode(&frame)))
    }
}

/// Rows of a segment, as far as they are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRows {
    /// Rows of the topic in earlier chunks and segments.
    pub row_start: u64,
    pub rows: u64,
    pub data_bytes: u64,
    pub times: TimeSpan,
    pub filled: Filled,
}

impl SegmentRows {
    /// Rows of the topic up to the end of these.
    pub fn row_end(&self) -> u64 {
        self.row_start + self.rows
    }

    /// These rows and the ones that arrived after them.
    pub fn then(self, next: Self) -> Self {
        Self {
            row_start: self.row_start,
            rows: self.rows + next.rows,
            data_bytes: self.data_bytes + next.data_bytes,
            times: self.times.then(next.times),
            filled: self.filled.or(next.filled),
        }
    }
}

#[cfg(test)]
mod tests {
    use mosaico_wire::zero_runs::pack;
    use proptest::prelude::*;

    use super::*;

    type Parts = (Vec<u8>, Vec<u8>);

    fn segment(frames: &[Parts]) -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut ends) = (MAGIC.to_vec(), vec![MAGIC.len() as u64]);
        for (header, body) in frames {
            let packed = pack(body);
            let (sparse, body) = (packed.is_some(), packed.unwrap_or_else(|| body.clone()));
            let frame = Frame { header: header.clone().into(), body: body.into(), sparse };
            frame.write_to(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, ends[ends.len() - 1] + frame.len());
            ends.push(bytes.len() as u64);
        }
        (bytes, ends)
    }

    /// The frames that can be read, and where reading stopped.
    fn read(bytes: &[u8]) -> (Vec<Parts>, Option<u64>) {
        let mut found = Vec::new();
        let mut reader = match FrameReader::new(bytes, bytes.len() as u64) {
            Ok(reader) => reader,
            Err(LogError::Torn(at)) => return (found, Some(at)),
            Err(e) => panic!("{e}"),
        };
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => found.push((frame.header, frame.body.to_vec())),
                Ok(None) => return (found, None),
                Err(LogError::Torn(at)) => {
                    assert_eq!(at, reader.offset());
                    return (found, Some(at));
                }
                Err(e) => panic!("{e}"),
            }
        }
    }

    fn frames() -> impl Strategy<Value = Vec<Parts>> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..80);
        let body = prop_oneof![bytes(), (0_usize..900).prop_map(|len| vec![0; len])];
        proptest::collection::vec((bytes(), body), 0..6)
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back(frames in frames()) {
            let (bytes, _) = segment(&frames);
            prop_assert_eq!(read(&bytes), (frames, None));
        }

        #[test]
        fn a_torn_tail_is_cut_at_a_frame(frames in frames(), cut in any::<prop::sample::Index>()) {
            let (bytes, ends) = segment(&frames);
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|&&end| end <= cut as u64).count().saturating_sub(1);
            let (found, torn) = read(&bytes[..cut]);
            prop_assert_eq!(&found[..], &frames[..whole]);
            let at_end = ends.contains(&(cut as u64));
            let expected = if cut < MAGIC.len() { Some(0) } else { (!at_end).then(|| ends[whole]) };
            prop_assert_eq!(torn, expected);
        }

        #[test]
        fn a_flipped_byte_never_passes(
            frames in frames().prop_filter("a frame", |frames| !frames.is_empty()),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let (mut bytes, ends) = segment(&frames);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let before = ends.iter().filter(|&&end| end <= at as u64).count().saturating_sub(1);
            let (found, torn) = read(&bytes);
            prop_assert_eq!(&found[..], &frames[..before]);
            prop_assert!(torn.is_some());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
            let mut framed = MAGIC.to_vec();
            framed.extend(bytes);
            read(&framed);
        }
    }
}
