//! Log segments on disk: appended by one put, read by readers and by the chunker.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use bytes::Bytes;
use mosaico_select::{data_bytes, split};
use mosaico_wire::ipc::schema_message;

use super::frame::{self, BatchReader, Frame, LogError, MAGIC, SegmentRows};
use crate::crash_points;
use crate::error::{Error, Result};
use crate::format::chunk_id::ChunkId;
use crate::format::durability::Acknowledge;
use crate::format::schema::{Filled, TimeSpan, times};
use crate::objects::durable::{create_folders, sync_folder};

/// The file of segment `index` in a topic's log folder.
pub fn segment_file(folder: &Path, index: ChunkId) -> PathBuf {
    folder.join(format!("{index}.ipc"))
}

/// The indices of the segments in a topic's log folder, for recovery.
pub fn list_segments(folder: &Path) -> io::Result<Vec<ChunkId>> {
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        found.extend(name.strip_suffix(".ipc").and_then(|stem| stem.parse::<ChunkId>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// The end of a segment that is being written.
#[derive(Debug)]
pub struct SegmentWriter {
    file: File,
    synced: u64,
    acknowledge: Acknowledge,
}

impl SegmentWriter {
    /// Creates the file with its schema frame; the name is durable when this returns.
    pub fn create(path: &Path, schema: &Frame, acknowledge: Acknowledge) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        create_folders(folder)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        crash_points::point();
        let written = file.write_all(&MAGIC).and_then(|()| schema.write_to(&mut file)).and_then(|()| {
            file.sync_data()?;
            sync_folder(folder)
        });
        match written {
            Ok(()) => Ok(Self { file, synced: MAGIC.len() as u64 + schema.len(), acknowledge }),
            Err(e) => {
                crate::objects::durable::discard(path);
                Err(e)
            }
        }
    }

    /// Appends `frames`; they may be acknowledged when this returns. On failure none of them is in the file.
    pub fn append(&mut self, frames: &[Frame]) -> io::Result<u64> {
        let written = frames.iter().try_for_each(|frame| frame.write_to(&mut self.file));
        crash_points::point();
        let synced = written.and_then(|()| match self.acknowledge {
            Acknowledge::Synced => self.file.sync_data(),
            Acknowledge::Written => Ok(()),
        });
        match synced {
            Ok(()) => {
                crash_points::point();
                self.synced += frames.iter().map(Frame::len).sum::<u64>();
                Ok(self.synced)
            }
            Err(e) => {
                self.file.set_len(self.synced)?;
                self.file.seek(SeekFrom::Start(self.synced))?;
                Err(e)
            }
        }
    }
}

/// What a scan of a segment found.
#[derive(Debug)]
pub struct Scan {
    /// Bytes that hold complete frames.
    pub whole: u64,
    /// Bytes in the file.
    pub length: u64,
    /// The rows; `None` without any. `row_start` is not known here and 0.
    pub rows: Option<SegmentRows>,
}

/// Reads a segment that an earlier process left, up to the first byte that is not part of a complete frame.
pub fn scan(path: &Path) -> Result<Scan, LogError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    scan_all(BufReader::with_capacity(1 << 16, file), length)
}

/// The same of `length` bytes from anywhere.
pub fn scan_all(input: impl Read, length: u64) -> Result<Scan, LogError> {
    let mut reader = match BatchReader::over(input, length) {
        Ok(reader) => reader,
        Err(LogError::Torn(_)) => return Ok(Scan { whole: 0, length, rows: None }),
        Err(e) => return Err(e),
    };
    let mut rows: Option<SegmentRows> = None;
    loop {
        let batch = match reader.next() {
            None | Some(Err(LogError::Torn(_))) => break,
            Some(batch) => batch?,
        };
        let Ok(found) = rows_of(&batch, 0) else {
            return Err(ArrowError::SchemaError("a batch without a time column".into()).into());
        };
        let Some(found) = found else { continue };
        rows = Some(rows.map_or(found, |rows| rows.then(found)));
    }
    Ok(Scan { whole: reader.offset(), length, rows })
}

/// What a batch adds to a segment, after `row_start` rows of the topic; `None` if it is empty.
pub fn rows_of(batch: &RecordBatch, row_start: u64) -> Result<Option<SegmentRows>> {
    let Some(times) = TimeSpan::of(times(batch)?.values()) else { return Ok(None) };
    let (rows, data_bytes) = (batch.num_rows() as u64, data_bytes(batch) as u64);
    Ok(Some(SegmentRows { row_start, rows, data_bytes, times, filled: Filled::of(batch) }))
}

/// Writes a segment as a whole to a file that is not known yet; returns its end.
pub fn write_new(file: &Path, schema: &Schema, frames: &[Frame]) -> Result<u64> {
    let failed = |e: io::Error| Error::internal("writing the ingest log", e);
    match std::fs::remove_file(file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let schema = Frame { header: schema_message(schema).into(), body: Bytes::new(), sparse: false };
    let mut writer = SegmentWriter::create(file, &schema, Acknowledge::Synced).map_err(failed)?;
    writer.append(frames).map_err(failed)
}

/// Writes the first `rows` rows of the segment `from` to the new segment `to`, in the order of arrival; returns its
/// end and what is in it.
pub fn cut(
    from: &Path,
    (end, row_start): (u64, u64),
    to: &Path,
    schema: &Schema,
    rows: u64,
) -> Result<(u64, SegmentRows)> {
    let failed = |e: LogError| Error::internal("cutting the ingest log", e);
    let full = |e: io::Error| Error::internal("cutting the ingest log", e);
    let file = File::open(from).map_err(full)?;
    let (mut frames, mut kept): (Vec<Frame>, Option<SegmentRows>) = (Vec::new(), None);
    for batch in BatchReader::new(file, end).map_err(failed)? {
        let batch = batch.map_err(failed)?;
        let left = usize::try_from(rows - kept.map_or(0, |kept| kept.rows)).unwrap_or(usize::MAX);
        if left == 0 {
            break;
        }
        let batch = batch.slice(0, left.min(batch.num_rows()));
        let Some(found) = rows_of(&batch, row_start)? else { continue };
        kept = Some(kept.map_or(found, |kept| kept.then(found)));
        frames.push(frame::encode(&batch)?);
    }
    let kept = kept.filter(|kept| kept.rows == rows).ok_or_else(|| {
        Error::internal("cutting the ingest log", io::Error::other("there are fewer rows than were noted"))
    })?;
    Ok((write_new(to, schema, &frames)?, kept))
}

/// Rows of a segment in time order, ties in the order of arrival.
pub type SortedBatches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// Reads the first `end` bytes of a segment in time order. A segment that is in order is streamed; another one is
/// held in memory while it is read, which its size bounds.
pub fn read_sorted(file: File, end: u64, sorted: bool, piece_bytes: usize) -> Result<SortedBatches> {
    let failed = |e: LogError| Error::internal("reading the ingest log", e);
    let reader = BatchReader::new(file, end).map_err(failed)?;
    if sorted {
        return Ok(Box::new(reader.map(move |batch| batch.map_err(failed))));
    }
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    sort_batches(batches, piece_bytes)
}

/// Sorts `batches` together, stably, and hands them out in pieces.
pub fn sort_batches(batches: Vec<RecordBatch>, piece_bytes: usize) -> Result<SortedBatches> {
    let mut order: Vec<(i64, u32, u32)> = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        let index = u32::try_from(index).map_err(|e| Error::internal("sorting a log segment", e))?;
        order.extend((0u32..).zip(times(batch)?.values()).map(|(row, &time)| (time, index, row)));
    }
    // Position in the list is position in arrival, so the tuple order is the stable order.
    order.sort_unstable();
    let bytes: usize = batches.iter().map(data_bytes).sum();
    let row_bytes = (bytes / order.len().max(1)).max(1);
    let step = (piece_bytes / row_bytes).max(1);
    let mut from = 0;
    let pieces = std::iter::from_fn(move || {
        let to = order.len().min(from + step);
        if from == to {
            return None;
        }
        let picks: Vec<(usize, usize)> =
            order[from..to].iter().map(|&(_, batch, row)| (batch as usize, row as usize)).collect();
        from = to;
        let whole: Vec<&RecordBatch> = batches.iter().collect();
        let piece = interleave_record_batch(&whole, &picks);
        Some(piece.map_err(|e| Error::internal("sorting a log segment", e)))
    });
    // Rows differ in size: what came out large is cut again.
    Ok(Box::new(pieces.flat_map(move |piece| match piece {
        Ok(piece) => split(piece, piece_bytes).into_iter().map(Ok).collect(),
        Err(e) => vec![Err(e)],
    })))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;
    use crate::format::schema::TIMESTAMP;

    fn batches(rows: &[Vec<i64>]) -> Vec<RecordBatch> {
        let mut arrival = 0..;
        let batch = |times: &Vec<i64>| {
            let order: Vec<i64> = arrival.by_ref().take(times.len()).collect();
            let times: ArrayRef = Arc::new(Int64Array::from(times.clone()));
            let order: ArrayRef = Arc::new(Int64Array::from(order));
            RecordBatch::try_from_iter([(TIMESTAMP, times), ("order", order)]).unwrap()
        };
        rows.iter().map(batch).collect()
    }

    proptest! {
        #[test]
        fn sorting_is_stable_and_keeps_every_row(
            rows in proptest::collection::vec(proptest::collection::vec(-5i64..5, 0..20), 0..5),
            piece in 1usize..200,
        ) {
            let mut found = Vec::new();
            for piece in sort_batches(batches(&rows), piece).unwrap() {
                let piece = piece.unwrap();
                prop_assert!(piece.num_rows() > 0);
                let order = piece.column(1).as_primitive::<Int64Type>();
                found.extend(times(&piece).unwrap().values().iter().copied().zip(order.values().iter().copied()));
            }
            let mut expected: Vec<(i64, i64)> = rows.concat().into_iter().zip(0..).collect();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
