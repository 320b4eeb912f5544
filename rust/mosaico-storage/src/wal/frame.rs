//! Format of a segment of the write-ahead log (WAL), version 1. Integers are little-endian, checksums are
//! CRC-32 (IEEE).
//!
//! ```text
//! segment := header  frame(schema message)  frame(record batch message)*
//! header  := "MOSAWAL\0"  version u16  0 u16  crc u32          of the 12 bytes before: the same in every version
//!            id u64  row_start u64  crc u32                    of the 16 bytes before
//! frame   := prefix  message  body  end
//! prefix  := "\xf7WAL"  encoding u8  0 [u8; 3]  number u32  message_len u32  body_len u64
//!            id u64  row_start u64  rows u64  data_crc u32  crc u32
//! end     := "LAW\xf7"  number u32  row_end u64  crc u32
//! ```
//!
//! `message` is an Arrow IPC message without its length prefix, `body` its buffers, `data_crc` the checksum
//! of both. `encoding` is 1 if runs of zero bytes are elided from the body (see [`mosaico_wire::zero_runs`]),
//! otherwise 0. `id` links frames to their segment: random, or derived from the path of an object. Checksums
//! of prefix and end include version and id. The number of a frame in its segment, and the numbers of its
//! rows in the topic, are stored before and after its data: after damage, a reader finds the next valid frame
//! by its mark (see [`crate::wal::scan`]) and computes which rows are lost.

use std::io::{self, IoSlice, Write};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::RecordBatchDecoder;
use arrow::ipc::root_as_message;
use bytes::Bytes;
use mosaico_types::ErrorCode;
use mosaico_wire::ipc::batch_message;
use mosaico_wire::zero_runs::unpack;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::format::schema::{ColumnPresence, TimeSpan};

/// The version that this program writes, and the only one that it reads.
pub const VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"MOSAWAL\0";
const HEAD: usize = 16;
/// Bytes of a segment's header.
pub const HEADER: usize = HEAD + 20;
/// The first bytes of a frame.
pub const MARK: [u8; 4] = *b"\xf7WAL";
/// The first bytes of the trailer after a frame's data.
pub const END_MARK: [u8; 4] = *b"LAW\xf7";
/// Bytes of a frame before its message.
pub const PREFIX: usize = 56;
/// Bytes of a frame after its body.
pub const END: usize = 20;

/// An IPC message to be written to the WAL.
#[derive(Debug, Clone)]
pub struct Frame {
    pub header: Bytes,
    pub body: Bytes,
    pub sparse: bool,
    /// Rows of the batch; 0 for the schema.
    pub rows: u64,
}

impl Frame {
    /// The first frame of a segment; `message` is an IPC schema message.
    pub fn schema(message: Vec<u8>) -> Self {
        Self { header: message.into(), body: Bytes::new(), sparse: false, rows: 0 }
    }

    /// Bytes in the WAL.
    pub fn stored_bytes(&self) -> u64 {
        (PREFIX + self.header.len() + self.body.len() + END) as u64
    }

    /// The bytes of the frame in a segment, without copying its data.
    pub fn pieces(&self, framing: &mut Framing) -> io::Result<[Bytes; 4]> {
        let (prefix, end) = framing.frame(self)?;
        let (prefix, end) = (Bytes::copy_from_slice(&prefix), Bytes::copy_from_slice(&end));
        Ok([prefix, self.header.clone(), self.body.clone(), end])
    }

    /// Appends the frame to `out`.
    pub fn write_to(&self, framing: &mut Framing, out: &mut impl Write) -> io::Result<()> {
        let (prefix, end) = framing.frame(self)?;
        let mut slices =
            [IoSlice::new(&prefix), IoSlice::new(&self.header), IoSlice::new(&self.body), IoSlice::new(&end)];
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

/// Numbers the frames and rows of one segment.
#[derive(Debug, Clone, Copy)]
pub struct Framing {
    id: u64,
    number: u32,
    row: u64,
}

impl Framing {
    /// For a new segment; the topic has `row_start` rows before it.
    pub fn new(row_start: u64) -> Self {
        Self { id: Uuid::new_v4().as_u64_pair().0, number: 0, row: row_start }
    }

    /// For the object `path` in a store: the same frames produce the same bytes, so that a write can be
    /// repeated.
    pub fn of_object(path: &str, row_start: u64) -> Self {
        let id = u64::from(crc32fast::hash(path.as_bytes())) << 32 | row_start & u64::from(u32::MAX);
        Self { id, number: 0, row: row_start }
    }

    /// The header of the segment.
    pub fn header(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let (head, rest) = out.split_at_mut(HEAD);
        head[..8].copy_from_slice(&MAGIC);
        head[8..10].copy_from_slice(&VERSION.to_le_bytes());
        add_checksum(head, crc32fast::Hasher::new());
        rest[..8].copy_from_slice(&self.id.to_le_bytes());
        rest[8..16].copy_from_slice(&self.row.to_le_bytes());
        add_checksum(rest, crc32fast::Hasher::new());
        out
    }

    /// The next frame starts at the topic's row `row`, since the rows before it are lost.
    pub fn skip_to(&mut self, row: u64) {
        self.row = row;
    }

    fn frame(&mut self, frame: &Frame) -> io::Result<([u8; PREFIX], [u8; END])> {
        let message_len = u32::try_from(frame.header.len()).map_err(io::Error::other)?;
        let next = self.number.checked_add(1).zip(self.row.checked_add(frame.rows));
        let (next, row_end) = next.ok_or_else(|| io::Error::other("too many frames in a segment"))?;
        let mut prefix = [0; PREFIX];
        prefix[..4].copy_from_slice(&MARK);
        prefix[4] = frame.sparse.into();
        prefix[8..12].copy_from_slice(&self.number.to_le_bytes());
        prefix[12..16].copy_from_slice(&message_len.to_le_bytes());
        prefix[16..24].copy_from_slice(&(frame.body.len() as u64).to_le_bytes());
        prefix[24..32].copy_from_slice(&self.id.to_le_bytes());
        prefix[32..40].copy_from_slice(&self.row.to_le_bytes());
        prefix[40..48].copy_from_slice(&frame.rows.to_le_bytes());
        prefix[48..52].copy_from_slice(&data_crc(&frame.header, &frame.body).to_le_bytes());
        add_checksum(&mut prefix, keyed(self.id));
        let mut end = [0; END];
        end[..4].copy_from_slice(&END_MARK);
        end[4..8].copy_from_slice(&self.number.to_le_bytes());
        end[8..16].copy_from_slice(&row_end.to_le_bytes());
        add_checksum(&mut end, keyed(self.id));
        (self.number, self.row) = (next, row_end);
        Ok((prefix, end))
    }
}

/// Writes the checksum of the preceding bytes into the last four.
fn add_checksum(bytes: &mut [u8], mut sum: crc32fast::Hasher) {
    if let Some((rest, crc)) = bytes.split_last_chunk_mut::<4>() {
        sum.update(rest);
        *crc = sum.finalize().to_le_bytes();
    }
}

/// The bytes before their checksum, which is the last four bytes; `None` if the checksum is invalid.
fn without_checksum(bytes: &[u8], mut sum: crc32fast::Hasher) -> Option<&[u8]> {
    let (rest, crc) = bytes.split_last_chunk::<4>()?;
    sum.update(rest);
    (sum.finalize() == u32::from_le_bytes(*crc)).then_some(rest)
}

/// The initial state of the checksums of a segment's frames.
fn keyed(id: u64) -> crc32fast::Hasher {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&VERSION.to_le_bytes());
    sum.update(&id.to_le_bytes());
    sum
}

fn data_crc(message: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(message);
    sum.update(body);
    sum.finalize()
}

/// Consumes the next `N` bytes.
fn field<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*field)
}

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The header was not completely written, so nothing after it was written.
    Torn,
    /// A format version that this program does not know.
    Version(u16),
    Damaged,
    Valid {
        id: u64,
        /// Rows of the topic before the segment.
        row_start: u64,
    },
}

impl Header {
    /// Parses the header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Self {
        let Some(head) = bytes.get(..HEAD) else { return Self::Torn };
        let known = without_checksum(head, crc32fast::Hasher::new()).filter(|head| head.starts_with(&MAGIC));
        match known.and_then(|mut head| field(&mut head).zip(field(&mut head))) {
            Some((MAGIC, version)) if u16::from_le_bytes(version) != VERSION => {
                return Self::Version(u16::from_le_bytes(version));
            }
            _ => {}
        }
        let Some(rest) = bytes.get(HEAD..HEADER) else { return Self::Torn };
        let rest = known.and(without_checksum(rest, crc32fast::Hasher::new()));
        match rest.and_then(|mut rest| field(&mut rest).zip(field(&mut rest))) {
            Some((id, row_start)) => {
                Self::Valid { id: u64::from_le_bytes(id), row_start: u64::from_le_bytes(row_start) }
            }
            None => Self::Damaged,
        }
    }
}

/// The prefix of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    pub id: u64,
    pub number: u32,
    pub message_len: usize,
    pub body_len: usize,
    pub sparse: bool,
    pub row_start: u64,
    pub row_end: u64,
    /// Bytes of the whole frame.
    pub len: u64,
    data_crc: u32,
}

impl Prefix {
    /// Parses the prefix at the start of `bytes`; `None` if it is invalid.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..PREFIX)?;
        let id = bytes.get(24..)?.first_chunk().map(|id| u64::from_le_bytes(*id))?;
        let mut rest = without_checksum(bytes, keyed(id))?.strip_prefix(&MARK)?;
        let [encoding, ..] = field::<4>(&mut rest)?;
        let number = u32::from_le_bytes(field(&mut rest)?);
        let message_len = u32::from_le_bytes(field(&mut rest)?) as usize;
        let body_len = u64::from_le_bytes(field(&mut rest)?);
        let _id: [u8; 8] = field(&mut rest)?;
        let row_start = u64::from_le_bytes(field(&mut rest)?);
        let row_end = row_start.checked_add(u64::from_le_bytes(field(&mut rest)?))?;
        let data_crc = u32::from_le_bytes(field(&mut rest)?);
        let len = ((PREFIX + END) as u64 + message_len as u64).checked_add(body_len)?;
        let sparse = matches!(encoding, 1);
        let body_len = usize::try_from(body_len).ok()?;
        let known = encoding <= 1;
        known.then_some(Self { id, number, message_len, body_len, sparse, row_start, row_end, len, data_crc })
    }

    /// Whether the data matches the frame's checksum.
    pub fn has_data(&self, message: &[u8], body: &[u8]) -> bool {
        data_crc(message, body) == self.data_crc
    }

    /// Whether `end` is the valid end of the frame.
    pub fn has_end(&self, end: &[u8]) -> bool {
        parse_end(end, self.id) == Some((self.number, self.row_end))
    }
}

/// The number of the frame that ends with `bytes`, and the rows of the topic up to there; `None` if no frame
/// of the segment `id` ends there.
pub fn parse_end(bytes: &[u8], id: u64) -> Option<(u32, u64)> {
    let mut rest = without_checksum(bytes.get(..END)?, keyed(id))?.strip_prefix(&END_MARK)?;
    Some((u32::from_le_bytes(field(&mut rest)?), u64::from_le_bytes(field(&mut rest)?)))
}

/// The IPC message of a batch with a stored schema, which has no dictionaries.
pub fn encode(batch: &RecordBatch) -> Result<Frame> {
    let message = batch_message(batch, true).map_err(|e| Error::internal("encoding a batch", e))?;
    let rows = batch.num_rows() as u64;
    Ok(Frame { header: message.header.into(), body: message.body.into(), sparse: message.zero_runs, rows })
}

/// The batch in a frame.
pub fn decode(
    message: &[u8],
    body: Buffer,
    sparse: bool,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let failed = |e: &dyn std::fmt::Display| ArrowError::IpcError(e.to_string());
    let body = match sparse {
        true => unpack(&body, usize::MAX).map_err(|e| failed(&e))?.into(),
        false => body,
    };
    let message = root_as_message(message).map_err(|e| failed(&e))?;
    let batch = message.header_as_record_batch().ok_or_else(|| failed(&"the message is no record batch"))?;
    let (none, version) = (Default::default(), message.version());
    RecordBatchDecoder::try_new(&body, batch, SchemaRef::clone(schema), &none, &version)?.read_record_batch()
}

// Descriptions of invalid segments and frames.
pub const BAD_HEADER: &str = "the header of the segment is not valid";
pub const BAD_PREFIX: &str = "the frame's lengths do not have their checksum";
pub const BAD_DATA: &str = "the frame's data does not have its checksum";
pub const BAD_END: &str = "the end of the frame is not valid";

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It has another format version.
    #[error(
        "{segment} has format version {found} of the write-ahead log, and this program reads version {VERSION}; nothing \
         was changed: run the version of mosaicod that wrote it until its rows are in chunks, or upgrade"
    )]
    Version {
        /// The name of the segment.
        segment: String,
        /// Its version.
        found: u16,
    },
    /// Acknowledged bytes differ from the written ones.
    #[error(
        "{segment} is damaged at byte {offset}: {what}; the next start keeps the file below `damaged/` and \
         recovers the frames that are valid"
    )]
    Damaged {
        /// The name of the segment.
        segment: String,
        /// The offset of the damaged frame.
        offset: u64,
        /// What is wrong with the frame.
        what: String,
    },
    /// Reading the file failed.
    #[error("cannot read {segment}: {cause}")]
    File {
        /// The name of the segment.
        segment: String,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

impl LogError {
    /// The error for the caller of a request.
    pub fn into_error(self, doing: &str) -> Error {
        match self {
            Self::Version { segment, found } if found > VERSION => {
                Error::newer(segment, found.into(), VERSION.into())
            }
            Self::Version { .. } => Error::Refused(ErrorCode::FailedPrecondition, self.to_string()),
            Self::Damaged { .. } => Error::internal(format!("{doing}: {self}"), self),
            Self::File { .. } => Error::internal(doing, self),
        }
    }
}

/// The durable rows of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRows {
    /// Rows of the topic in earlier chunks and segments, including lost rows.
    pub row_start: u64,
    pub rows: u64,
    /// Acknowledged rows that cannot be read any more.
    pub lost: u64,
    pub data_bytes: u64,
    pub times: TimeSpan,
    pub filled: ColumnPresence,
}

impl SegmentRows {
    /// Rows of the topic up to the end of these.
    pub fn row_end(&self) -> u64 {
        self.row_start + self.rows + self.lost
    }

    /// These rows and the ones that arrived after them.
    pub fn then(self, next: Self) -> Self {
        Self {
            row_start: self.row_start,
            rows: self.rows + next.rows,
            lost: self.lost + next.lost,
            data_bytes: self.data_bytes + next.data_bytes,
            times: self.times.then(next.times),
            filled: self.filled.or(next.filled),
        }
    }
}
