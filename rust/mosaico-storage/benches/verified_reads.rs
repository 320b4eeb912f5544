//! What the verification of chunks costs: time of reading a whole chunk and a small window of it, without
//! verification and with blocks of several sizes, and the bytes that are read from the file.
//!
//! `cargo bench -p mosaico-storage --bench verified_reads`. All variants take turns in one run, so a busy machine
//! slows all of them; the fastest turn of each counts. The file is in the page cache.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::convert::Infallible;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use mosaico_storage::error::Error;
use mosaico_storage::format::block_sums::{BlockSummer, BlockSums};
use mosaico_storage::format::chunk_file::{ChunkLabel, write_chunk};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::schema::ColumnPresence;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

const TURNS: usize = 7;
const BLOCKS: [u32; 4] = [4 << 10, 16 << 10, 64 << 10, 256 << 10];
/// Rows are read in pieces, as the daemon does.
const PIECE_BYTES: usize = 4 << 20;

#[derive(Clone)]
struct Input {
    file: Arc<File>,
    bytes: u64,
    sums: Option<Arc<BlockSums>>,
    read: Arc<AtomicU64>,
}

impl Input {
    fn pread(&self, range: &Range<u64>) -> Bytes {
        let mut data = vec![0; (range.end - range.start) as usize];
        self.file.read_exact_at(&mut data, range.start).unwrap();
        self.read.fetch_add(data.len() as u64, Ordering::Relaxed);
        data.into()
    }
}

impl AsyncFileReader for Input {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { Ok(self.get_byte_ranges(vec![range]).await?.swap_remove(0)) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let found = match &self.sums {
            None => ranges.iter().map(|range| self.pread(range)).collect(),
            Some(sums) => {
                let reads = sums.reads(&ranges);
                let data: Vec<Bytes> = reads.iter().map(|read| self.pread(read)).collect();
                reads.iter().zip(&data).for_each(|(read, data)| sums.verify(read.start, data).unwrap());
                ranges.iter().map(|range| sums.pick(range, &reads, &data)).collect()
            }
        };
        async move { Ok(found) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.bytes;
            let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}

fn read(input: &Input, footer: &ArrowReaderMetadata, rows: Range<usize>, piece: usize) {
    let metadata = footer.metadata();
    let mut first = 0;
    for group in 0..metadata.num_row_groups() {
        let in_group = metadata.row_group(group).num_rows() as usize;
        let (from, to) = (rows.start.max(first), rows.end.min(first + in_group));
        let mut at = from;
        while at < to {
            let end = to.min(at + piece);
            let selection =
                RowSelection::from_consecutive_ranges(std::iter::once(at - first..end - first), in_group);
            let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(input.clone(), footer.clone())
                .with_batch_size(end - at)
                .with_row_groups(vec![group])
                .with_row_selection(selection)
                .build()
                .unwrap();
            let found: Vec<RecordBatch> = futures::executor::block_on(stream.try_collect()).unwrap();
            assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), end - at);
            at = end;
        }
        first += in_group;
    }
}

fn main() {
    println!("| chunk | MB | read | verified in blocks of | MB read | ms | of the time without |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let folder = tempfile::tempdir().unwrap();
    for (name, batches) in [("signals", signals()), ("integers", integers()), ("images", images())] {
        let path = folder.path().join(name);
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let label = ChunkLabel {
            sequence: "s".into(),
            topic: "t".into(),
            ontology_tag: "bench".into(),
            serialization_format: "default",
            id: ChunkId { epoch: 0, index: 0 },
            row_start: 0,
            row_end: rows as u64,
            filled: ColumnPresence::UNKNOWN,
        };
        let schema = batches[0].schema();
        let batches = batches.into_iter().map(Ok::<_, Failed>);
        let written = write_chunk(&path, &schema, &label, 8 << 20, batches).unwrap();
        let content = std::fs::read(&path).unwrap();
        let plain = Input {
            file: Arc::new(File::open(&path).unwrap()),
            bytes: written.bytes,
            sums: None,
            read: Arc::default(),
        };
        let with = |block_bytes: u32| {
            let mut summer = BlockSummer::new(block_bytes);
            summer.update(&content);
            let sums = BlockSums::computed(written.bytes, summer, written.crc32).unwrap();
            (block_bytes, Input { sums: Some(Arc::new(sums)), read: Arc::default(), ..plain.clone() })
        };
        let variants: Vec<(u32, Input)> =
            std::iter::once((0, plain.clone())).chain(BLOCKS.into_iter().map(with)).collect();
        let mut input = plain.clone();
        let footer = ArrowReaderMetadata::load_async(&mut input, ArrowReaderOptions::new());
        let footer = futures::executor::block_on(footer).unwrap();
        let piece = (PIECE_BYTES / (bytes / rows)).clamp(1, 64 << 10);
        for (what, rows) in [("everything", 0..rows), ("0.1 %", rows / 2..rows / 2 + rows.div_ceil(1000))] {
            let mut best = vec![Duration::MAX; variants.len()];
            for _ in 0..TURNS {
                for ((_, input), best) in variants.iter().zip(&mut best) {
                    input.read.store(0, Ordering::Relaxed);
                    let start = Instant::now();
                    read(input, &footer, rows.clone(), piece);
                    *best = start.elapsed().min(*best);
                }
            }
            for ((block_bytes, input), took) in variants.iter().zip(&best) {
                let verified =
                    if *block_bytes == 0 { "–".into() } else { format!("{} KiB", block_bytes >> 10) };
                println!(
                    "| {name} | {:.0} | {what} | {verified} | {:.2} | {:.2} | {:.1} % |",
                    written.bytes as f64 / 1e6,
                    input.read.load(Ordering::Relaxed) as f64 / 1e6,
                    took.as_secs_f64() * 1e3,
                    100.0 * took.as_secs_f64() / best[0].as_secs_f64(),
                );
            }
        }
    }
}

/// The error type of batches that cannot fail.
#[derive(Debug)]
struct Failed(#[expect(dead_code, reason = "shown by unwrap")] Error);

impl From<mosaico_storage::format::chunk_file::ChunkError> for Failed {
    fn from(error: mosaico_storage::format::chunk_file::ChunkError) -> Self {
        Self(error.into())
    }
}

impl From<Infallible> for Failed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Pseudo-random numbers.
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn batch(columns: Vec<(String, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn times(rows: Range<i64>) -> (String, ArrayRef) {
    ("timestamp_ns".into(), Arc::new(Int64Array::from_iter_values(rows.map(|row| row * 5_000_000))))
}

/// Twenty noisy sensor values per row.
fn signals() -> Vec<RecordBatch> {
    let mut state = 1;
    let of = |part: i64, state: &mut u64| {
        let rows = part * 100_000..(part + 1) * 100_000;
        let mut columns = vec![times(rows.clone())];
        for column in 0..20 {
            let value = |row: i64| {
                (row as f64 / 200.0).sin() * 9.81 + (noise(state) % 1000) as f64 / f64::from(column + 1)
            };
            columns.push((
                format!("c{column}"),
                Arc::new(Float64Array::from_iter_values(rows.clone().map(value))),
            ));
        }
        batch(columns)
    };
    (0..8).map(|part| of(part, &mut state)).collect()
}

/// One random integer per row.
fn integers() -> Vec<RecordBatch> {
    let mut state = 2;
    let of = |part: i64, state: &mut u64| {
        let rows = part * 1_000_000..(part + 1) * 1_000_000;
        let values = rows.clone().map(|_| (noise(state) >> 2) as i64);
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
        batch(vec![times(rows), ("data".into(), values)])
    };
    (0..16).map(|part| of(part, &mut state)).collect()
}

/// Compressed images of 100 kB: all the time goes into reading.
fn images() -> Vec<RecordBatch> {
    let mut state = 3;
    let of = |part: i64, state: &mut u64| {
        let rows = part * 100..(part + 1) * 100;
        let image: Vec<u8> = (0..12_500).flat_map(|_| noise(state).to_le_bytes()).collect();
        let images = rows.clone().map(|row| {
            let mut image = image.clone();
            image[0] = row as u8;
            image
        });
        let images: ArrayRef = Arc::new(BinaryArray::from_iter_values(images));
        batch(vec![times(rows), ("data".into(), images)])
    };
    (0..12).map(|part| of(part, &mut state)).collect()
}
