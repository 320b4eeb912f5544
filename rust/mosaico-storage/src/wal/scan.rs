//! Finds the valid frames of a segment that an earlier process wrote, however its bytes were damaged.
//!
//! There are three outcomes besides a valid segment. A *torn tail* is a last frame with missing bytes: it was
//! not acknowledged, and is truncated. *Damage* is everything else that is invalid, such as a last frame that
//! has all its bytes and the wrong checksum: it may have been acknowledged. The scan resumes at the next
//! valid frame, and the row numbers identify the lost rows. An *unknown version* is an error.

use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;

use crate::wal::frame::{
    BAD_DATA, BAD_END, BAD_HEADER, BAD_PREFIX, END, END_MARK, Frame, HEADER, Header, LogError, MARK, PREFIX,
    Prefix, decode, parse_end,
};

/// A valid frame with rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameAt {
    pub at: usize,
    message: Range<usize>,
    body: Range<usize>,
    sparse: bool,
    /// Rows of the topic.
    pub rows: Range<u64>,
}

impl FrameAt {
    /// The frame, to be written to another segment.
    pub fn frame(&self, bytes: &Bytes) -> Frame {
        let rows = self.rows.end - self.rows.start;
        let (header, body) = (bytes.slice(self.message.clone()), bytes.slice(self.body.clone()));
        Frame { header, body, sparse: self.sparse, rows }
    }

    /// The batch in the frame.
    pub fn decode(&self, bytes: &[u8], schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let part = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        let batch = decode(part(&self.message), Buffer::from(part(&self.body)), self.sparse, schema)?;
        match batch.num_rows() as u64 == self.rows.end - self.rows.start {
            true => Ok(batch),
            false => Err(ArrowError::IpcError("the batch does not have the rows of its frame".into())),
        }
    }
}

/// Bytes that differ from the written ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedBytes {
    pub at: u64,
    pub what: String,
}

/// The content of a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Size of the segment in bytes.
    pub length: u64,
    /// The bytes after this offset are a torn tail.
    pub whole: u64,
    /// Rows of the topic before the segment; `None` if the damage destroyed this number.
    pub row_start: Option<u64>,
    /// Rows of the topic up to the end of the segment, if any valid bytes contain this number.
    pub row_end: Option<u64>,
    pub frames: Vec<FrameAt>,
    pub damage: Vec<DamagedBytes>,
}

impl Scan {
    /// The number of readable rows.
    pub fn rows(&self) -> u64 {
        self.frames.iter().map(|frame| frame.rows.end - frame.rows.start).sum()
    }

    /// Rows of the topic that were in the segment and cannot be read. If the segment's own start is lost, it
    /// starts at `before`, the end of the preceding segment.
    pub fn lost(&self, before: u64) -> Vec<Range<u64>> {
        let (mut lost, mut at) = (Vec::new(), self.row_start.unwrap_or(before));
        for frame in &self.frames {
            if at < frame.rows.start {
                lost.push(at..frame.rows.start);
            }
            at = frame.rows.end;
        }
        lost.extend(self.row_end.map(|end| at..end).filter(|rest| rest.start < rest.end));
        lost
    }

    /// Removes a valid frame whose message cannot be decoded.
    pub fn reject(&mut self, at: usize, error: &ArrowError) {
        self.frames.retain(|frame| frame.at != at);
        let what = format!("the batch of the frame cannot be decoded: {error}");
        self.damage.push(DamagedBytes { at: at as u64, what });
    }

    /// Records that bytes are missing from a segment that cannot have a torn tail.
    pub fn truncated(&mut self) {
        self.damage.push(DamagedBytes { at: self.whole, what: "bytes are missing".to_owned() });
    }

    fn damaged(&mut self, at: usize, what: &str) {
        self.damage.push(DamagedBytes { at: at as u64, what: what.to_owned() });
    }
}

/// The content at an offset.
enum At {
    /// A frame with valid data; its end may be invalid.
    Frame {
        prefix: Prefix,
        has_end: bool,
    },
    /// A valid prefix, with fewer bytes after it than its lengths require.
    Torn,
    /// A valid prefix, and data that does not match it.
    Damaged(Prefix),
    Nothing,
}

fn at(bytes: &[u8], offset: usize, id: Option<u64>) -> At {
    let bytes = bytes.get(offset..).unwrap_or_default();
    let found = Prefix::parse(bytes).filter(|prefix| id.is_none_or(|id| id == prefix.id));
    let Some(prefix) = found else { return At::Nothing };
    let Some(bytes) = usize::try_from(prefix.len).ok().and_then(|len| bytes.get(PREFIX..len)) else {
        return At::Torn;
    };
    let (message, rest) = bytes.split_at(prefix.message_len);
    let (body, end) = rest.split_at(prefix.body_len);
    match prefix.has_data(message, body) {
        true => At::Frame { prefix, has_end: prefix.has_end(end) },
        false => At::Damaged(prefix),
    }
}

/// Reads the segment `name`.
pub fn scan(bytes: &[u8], name: &str) -> Result<Scan, LogError> {
    let mut scan = Scan { length: bytes.len() as u64, ..Scan::default() };
    let (mut id, mut next, mut offset) = (None, 0, HEADER);
    match Header::parse(bytes) {
        Header::Version(found) => return Err(LogError::Version { segment: name.to_owned(), found }),
        Header::Torn => return Ok(scan),
        Header::Damaged => scan.damaged(0, BAD_HEADER),
        Header::Valid { id: valid, row_start } => {
            (id, scan.row_start, scan.row_end) = (Some(valid), Some(row_start), Some(row_start));
        }
    }
    while offset < bytes.len() {
        let found = at(bytes, offset, id);
        if let At::Frame { prefix, has_end } = &found {
            id = Some(prefix.id);
            next = prefix.number.saturating_add(1);
            scan.take(offset, prefix);
            if !has_end {
                scan.damaged(offset, BAD_END);
            }
            offset += prefix.len as usize;
            continue;
        }
        // A valid prefix gives the offset where the scan resumes: the data inside a frame contains no frames.
        let (from, what) = match &found {
            At::Damaged(prefix) => (offset + prefix.len as usize, BAD_DATA),
            _ => (offset + 1, BAD_PREFIX),
        };
        let follows =
            |prefix: &Prefix| prefix.number >= next && scan.row_end.is_none_or(|end| prefix.row_start >= end);
        let valid =
            |&offset: &usize| matches!(at(bytes, offset, id), At::Frame { prefix, .. } if follows(&prefix));
        if let Some(later) = marks(bytes, from, MARK).find(valid) {
            scan.damaged(offset, what);
            offset = later;
            continue;
        }
        match tail(bytes.get(offset..).unwrap_or_default(), &found, id) {
            Tail::Torn => {
                scan.whole = offset as u64;
                return Ok(scan);
            }
            Tail::Damaged(row_end) => {
                scan.damaged(offset, what);
                scan.row_end = scan.row_end.max(row_end);
                offset = bytes.len();
            }
        }
    }
    scan.whole = scan.length;
    Ok(scan)
}

impl Scan {
    fn take(&mut self, offset: usize, prefix: &Prefix) {
        let Prefix { row_start, row_end, sparse, .. } = *prefix;
        self.row_end = Some(row_end);
        if row_start == row_end {
            // The schema, which is the first frame.
            self.row_start = self.row_start.or(Some(row_start));
            return;
        }
        let message = offset + PREFIX..offset + PREFIX + prefix.message_len;
        let body = message.end..message.end + prefix.body_len;
        self.frames.push(FrameAt { at: offset, message, body, sparse, rows: row_start..row_end });
    }
}

enum Tail {
    Torn,
    /// With the rows of the topic up to its end, if known.
    Damaged(Option<u64>),
}

/// Classifies `bytes`, which contain no valid frame; `first` is at their start.
fn tail(bytes: &[u8], first: &At, id: Option<u64>) -> Tail {
    // The end of a frame is present: the frame was written completely.
    let ends = id.into_iter().flat_map(|id| {
        let end = move |at| parse_end(bytes.get(at..)?, id).map(|(_, row_end)| row_end);
        marks(bytes, 0, END_MARK).filter_map(end)
    });
    match (ends.max(), first) {
        (Some(row_end), _) => Tail::Damaged(Some(row_end)),
        (None, At::Damaged(prefix)) => Tail::Damaged(Some(prefix.row_end)),
        (None, At::Torn) => Tail::Torn,
        // A file that grew and was not written to, as after a power cut.
        (None, _) if bytes.len() < PREFIX + END || bytes.iter().all(|byte| *byte == 0) => Tail::Torn,
        (None, _) => Tail::Damaged(None),
    }
}

/// The offsets of `mark` in `bytes`, starting at `from`.
fn marks(bytes: &[u8], from: usize, mark: [u8; 4]) -> impl Iterator<Item = usize> {
    let bytes = bytes.get(from..).unwrap_or_default();
    bytes
        .windows(mark.len())
        .enumerate()
        .filter(move |(_, found)| **found == mark)
        .map(move |(at, _)| from + at)
}

#[cfg(test)]
mod tests;
