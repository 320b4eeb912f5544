//! WAL segments on disk: one put appends to them; readers and the chunker read them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use mosaico_select::{data_bytes, split};
use mosaico_wire::ipc::schema_message;

use crate::crash_points;
use crate::error::{Error, Result};
use crate::format::chunk_id::ChunkId;
use crate::format::durability::Acknowledge;
use crate::format::schema::{ColumnPresence, TimeSpan, times};
use crate::objects::durable::{create_folders, sync_folder};
use crate::wal::frame::{self, Frame, Framing, HEADER, Header, LogError, SegmentRows};
use crate::wal::open_files::{Handle, OpenFiles};
use crate::wal::reader::BatchReader;
use crate::wal::scan::{self, Scan};

/// The file of segment `index` in a topic's WAL folder.
pub fn segment_file(folder: &Path, index: ChunkId) -> PathBuf {
    folder.join(format!("{index}.wal"))
}

/// The ids of the segments in a topic's WAL folder, for recovery.
pub fn list_segments(folder: &Path) -> io::Result<Vec<ChunkId>> {
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        found.extend(name.strip_suffix(".wal").and_then(|stem| stem.parse::<ChunkId>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Appends to a segment.
#[derive(Debug)]
pub struct SegmentWriter {
    file: Handle,
    synced: u64,
    /// The framing of the next frame, after `synced`.
    framing: Framing,
    acknowledge: Acknowledge,
    /// The folder, until the file's name in it is durable.
    unnamed: Option<PathBuf>,
}

impl SegmentWriter {
    /// Creates the file with its schema frame. Nothing is synced before the first append: until then the file has no
    /// rows to keep. The topic has `row_start` rows before it.
    pub fn create(path: &Path, schema: &Frame, row_start: u64, acknowledge: Acknowledge) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        create_folders(folder)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        crash_points::point();
        let mut framing = Framing::new(row_start);
        let header = framing.header();
        let written = file.write_all(&header).and_then(|()| schema.write_to(&mut framing, &mut file));
        match written {
            Ok(()) => {
                let synced = HEADER as u64 + schema.stored_bytes();
                let unnamed = Some(folder.to_owned());
                Ok(Self { file: Handle::new(path, file), synced, framing, acknowledge, unnamed })
            }
            Err(e) => {
                crate::objects::durable::discard(path);
                Err(e)
            }
        }
    }

    /// Lets `files` close the file between two appends, if too many are open.
    pub fn may_close(&self, files: &OpenFiles) {
        files.used(&self.file);
    }

    /// The next frame starts at the topic's row `row`, since the rows before it are lost.
    pub fn skip_to(&mut self, row: u64) {
        self.framing.skip_to(row);
    }

    /// Appends `frames`; they may be acknowledged when this returns. On failure the file contains none of
    /// them.
    pub fn append(&mut self, frames: &[Frame]) -> io::Result<u64> {
        let mut framing = self.framing;
        let mut file = self.file.open(self.synced)?;
        let written = frames.iter().try_for_each(|frame| frame.write_to(&mut framing, &mut *file));
        crash_points::point();
        let synced = written.and_then(|()| match self.acknowledge {
            Acknowledge::Synced => {
                file.sync_data()?;
                self.unnamed.as_deref().map_or(Ok(()), sync_folder)
            }
            Acknowledge::Written => Ok(()),
        });
        match synced {
            Ok(()) => {
                crash_points::point();
                self.unnamed = None;
                self.synced += frames.iter().map(Frame::stored_bytes).sum::<u64>();
                self.framing = framing;
                Ok(self.synced)
            }
            Err(e) => {
                file.set_len(self.synced)?;
                file.seek(SeekFrom::Start(self.synced))?;
                Err(e)
            }
        }
    }
}

/// The content of a segment that an earlier process wrote.
#[derive(Debug)]
pub struct Inspected {
    pub scan: Scan,
    /// The readable rows, as if no rows before them were lost; `None` without any.
    pub rows: Option<SegmentRows>,
}

/// Reads all frames of the segment `name`, whose rows have this schema.
pub fn inspect(bytes: &[u8], name: &str, schema: &SchemaRef) -> Result<Inspected, LogError> {
    let mut scan = scan::scan(bytes, name)?;
    let mut rows: Option<SegmentRows> = None;
    for frame in scan.frames.clone() {
        let row_start = frame.rows.start;
        let read = frame
            .decode(bytes, schema)
            .and_then(|batch| rows_of(&batch, row_start).map_err(|e| ArrowError::SchemaError(e.to_string())));
        match read {
            Ok(Some(found)) => rows = Some(rows.map_or(found, |rows| rows.then(found))),
            Ok(None) => {}
            Err(error) => scan.reject(frame.at, &error),
        }
    }
    Ok(Inspected { scan, rows })
}

/// Same as [`inspect`], for a file.
pub fn inspect_file(path: &Path, schema: &SchemaRef) -> Result<Inspected, LogError> {
    let segment = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => inspect(&bytes, &segment, schema),
        Err(cause) => Err(LogError::File { segment, cause }),
    }
}

/// Checks only the format version of a file.
pub fn read_header(path: &Path) -> Result<(), LogError> {
    let segment = path.display().to_string();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEADER as u64).read_to_end(&mut bytes));
    match (read, Header::parse(&bytes)) {
        (Err(cause), _) => Err(LogError::File { segment, cause }),
        (Ok(_), Header::Version(found)) => Err(LogError::Version { segment, found }),
        (Ok(_), _) => Ok(()),
    }
}

/// The rows that a batch adds to a segment, after `row_start` rows of the topic; `None` if it is empty.
pub fn rows_of(batch: &RecordBatch, row_start: u64) -> Result<Option<SegmentRows>> {
    let Some(times) = TimeSpan::of(times(batch)?.values()) else { return Ok(None) };
    let (rows, data_bytes) = (batch.num_rows() as u64, data_bytes(batch) as u64);
    Ok(Some(SegmentRows { row_start, rows, lost: 0, data_bytes, times, filled: ColumnPresence::of(batch) }))
}

/// Writes a complete segment to a file that no reader knows yet; returns its end. The topic has `row_start`
/// rows before it, and each frame has the number of rows before it.
pub fn write_new(file: &Path, schema: &Schema, row_start: u64, frames: &[(u64, Frame)]) -> Result<u64> {
    let failed = |e: io::Error| Error::internal("writing the WAL", e);
    match std::fs::remove_file(file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let schema = Frame::schema(schema_message(schema));
    // A file that no reader knows yet needs only the final sync; the caller moves it and syncs the folder.
    let mut writer = SegmentWriter::create(file, &schema, row_start, Acknowledge::Written).map_err(failed)?;
    for (row, frame) in frames {
        writer.skip_to(*row);
        writer.append(std::slice::from_ref(frame)).map_err(failed)?;
    }
    writer.file.open(writer.synced).and_then(|file| file.sync_data()).map_err(failed)?;
    Ok(writer.synced)
}

/// Copies the rows of the segment `from` that are before the topic's row `limit` to the new segment `to`, in
/// the order of arrival; returns the end and content of `to`. `known` is the content of `from`.
pub fn cut(
    (from, name): (&Path, String),
    (end, known): (u64, SegmentRows),
    to: &Path,
    schema: &Schema,
    limit: u64,
) -> Result<(u64, SegmentRows)> {
    let doing = "truncating the WAL";
    let file = File::open(from).map_err(|e| Error::internal(doing, e))?;
    let mut reader = BatchReader::new(file, end, name).map_err(|e| e.into_error(doing))?;
    let (mut frames, mut kept): (Vec<(u64, Frame)>, Option<SegmentRows>) = (Vec::new(), None);
    while let Some(batch) = reader.next() {
        let batch = batch.map_err(|e| e.into_error(doing))?;
        let row = reader.row_start();
        let Some(left) = limit.checked_sub(row).filter(|left| *left > 0) else { break };
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let batch = batch.slice(0, left.min(batch.num_rows()));
        let Some(found) = rows_of(&batch, row)? else { continue };
        kept = Some(kept.map_or(found, |kept| kept.then(found)));
        frames.push((row, frame::encode(&batch)?));
    }
    let (row_start, wanted) = (known.row_start, limit - known.row_start);
    let kept = kept.and_then(|kept| Some((kept, wanted.checked_sub(kept.rows)?)));
    let (kept, lost) = kept
        .filter(|(_, lost)| *lost <= known.lost)
        .ok_or_else(|| Error::internal(doing, io::Error::other("there are fewer rows than were noted")))?;
    Ok((write_new(to, schema, row_start, &frames)?, SegmentRows { row_start, lost, ..kept }))
}

/// Rows of a segment in time order; rows with equal times are in the order of arrival.
pub type SortedBatches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// Reads the first `end` bytes of a segment in time order, without the topic's rows from `row_end` on. Streams a
/// segment that is in order; loads any other segment into memory, which the segment size bounds.
pub fn read_sorted(
    (file, name): (File, String),
    end: u64,
    row_end: u64,
    sorted: bool,
    piece_bytes: usize,
) -> Result<SortedBatches> {
    let failed = |e: LogError| e.into_error("reading the WAL");
    let mut reader = BatchReader::new(file, end, name).map_err(failed)?;
    let batches = std::iter::from_fn(move || {
        let batch = match reader.next()? {
            Ok(batch) => batch,
            Err(e) => return Some(Err(failed(e))),
        };
        let left = row_end.checked_sub(reader.row_start()).filter(|left| *left > 0)?;
        Some(Ok(batch.slice(0, usize::try_from(left).unwrap_or(usize::MAX).min(batch.num_rows()))))
    });
    if sorted {
        return Ok(Box::new(batches));
    }
    sort_batches(batches.collect::<Result<Vec<_>>>()?, piece_bytes)
}

/// Sorts `batches` together, stably, and yields the rows in batches.
pub fn sort_batches(batches: Vec<RecordBatch>, piece_bytes: usize) -> Result<SortedBatches> {
    let mut order: Vec<(i64, u32, u32)> = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        let index = u32::try_from(index).map_err(|e| Error::internal("sorting a log segment", e))?;
        order.extend((0u32..).zip(times(batch)?.values()).map(|(row, &time)| (time, index, row)));
    }
    // The list is in the order of arrival, so the tuple order is stable.
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
    // Row sizes vary: splits batches that are too large.
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
        fn a_read_leaves_out_the_rows_from_a_limit_on(
            rows in proptest::collection::vec(proptest::collection::vec(-5i64..5, 1..20), 1..5),
            row_start in 0u64..10,
            read in 0usize..100,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (path, batches) = (folder.path().join("s.wal"), batches(&rows));
            let mut row = row_start;
            let mut frames = Vec::new();
            for batch in &batches {
                frames.push((row, frame::encode(batch).unwrap()));
                row += batch.num_rows() as u64;
            }
            let end = write_new(&path, batches[0].schema_ref(), row_start, &frames).unwrap();
            let mut expected: Vec<(i64, i64)> = rows.concat().into_iter().zip(0..).take(read).collect();
            expected.sort_unstable();
            let segment = (File::open(&path).unwrap(), "s".to_owned());
            let found = read_sorted(segment, end, row_start + read as u64, false, 100).unwrap();
            let columns = |batch: Result<RecordBatch>| {
                let column = |at| batch.as_ref().unwrap().column(at).as_primitive::<Int64Type>().values().to_vec();
                column(0).into_iter().zip(column(1))
            };
            prop_assert_eq!(found.flat_map(columns).collect::<Vec<_>>(), expected);
        }

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
