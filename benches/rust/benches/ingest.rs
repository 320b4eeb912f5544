//! Recording on the daemon: batches into a WAL segment, a segment into a chunk. The disk is not waited for.
//!
//! `make bench-rust`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mosaico_storage::error::Error;
use mosaico_storage::format::chunk_file::{ChunkLabel, write_chunk};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::durability::Acknowledge;
use mosaico_storage::format::schema::ColumnPresence;
use mosaico_storage::wal::frame::{self, Frame};
use mosaico_storage::wal::segment::{SegmentWriter, read_sorted};
use mosaico_wire::ipc::schema_message;

const BATCHES: i64 = 20;
const ROWS: i64 = 1000;
const PIECE_BYTES: usize = 4 << 20;

/// Six noisy signals.
fn batch(number: i64) -> RecordBatch {
    let rows = number * ROWS..(number + 1) * ROWS;
    let signal = |axis: i64| -> ArrayRef {
        let value = |row: i64| (row as f64 * 0.01 + axis as f64).sin() + (row * 7919 % 1000) as f64 * 1e-6;
        Arc::new(Float64Array::from_iter_values(rows.clone().map(value)))
    };
    let times: ArrayRef =
        Arc::new(Int64Array::from_iter_values(rows.clone().map(|row| 1_700_000_000 + row * 5)));
    let names = ["ax", "ay", "az", "gx", "gy", "gz"];
    let signals = names.into_iter().zip(0..).map(|(name, axis)| (name, signal(axis)));
    RecordBatch::try_from_iter([("timestamp_ns", times)].into_iter().chain(signals)).unwrap()
}

fn write_segment(path: &Path, schema: &Frame, frames: &[Frame]) -> u64 {
    let mut writer = SegmentWriter::create(path, schema, 0, Acknowledge::Written).unwrap();
    frames.iter().map(|frame| writer.append(std::slice::from_ref(frame)).unwrap()).max().unwrap()
}

fn ingest(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut numbers = 0..;
    let mut fresh = |ending: &str| folder.path().join(format!("{}.{ending}", numbers.next().unwrap()));
    let batches: Vec<RecordBatch> = (0..BATCHES).map(batch).collect();
    let schema = batches[0].schema();
    let first = Frame::schema(schema_message(&schema));
    let frames: Vec<Frame> = batches.iter().map(|batch| frame::encode(batch).unwrap()).collect();
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements((BATCHES * ROWS) as u64)).sample_size(50);
    group.bench_function("append to the WAL", |bench| {
        let remove = |path: std::path::PathBuf| {
            let end = write_segment(&path, &first, &frames);
            std::fs::remove_file(path).unwrap();
            end
        };
        bench.iter_batched(|| fresh("wal"), remove, BatchSize::PerIteration);
    });
    let segment = fresh("wal");
    let end = write_segment(&segment, &first, &frames);
    let rows = (BATCHES * ROWS) as u64;
    group.bench_function("read a segment back", |bench| {
        bench.iter(|| {
            let file = (std::fs::File::open(&segment).unwrap(), "s".to_owned());
            read_sorted(file, end, rows, true, PIECE_BYTES)
                .unwrap()
                .map(|batch| batch.unwrap().num_rows())
                .sum::<usize>()
        });
    });
    let label = ChunkLabel {
        sequence: "s".into(),
        topic: "t".into(),
        ontology_tag: "bench".into(),
        serialization_format: "default",
        id: ChunkId { epoch: 0, index: 0 },
        row_start: 0,
        row_end: rows,
        filled: ColumnPresence::UNKNOWN,
    };
    group.bench_function("encode a chunk", |bench| {
        let write = |path: std::path::PathBuf| {
            let written =
                write_chunk::<Error>(&path, &schema, &label, 8 << 20, batches.iter().cloned().map(Ok))
                    .unwrap();
            std::fs::remove_file(path).unwrap();
            written
        };
        bench.iter_batched(|| fresh("parquet"), write, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
