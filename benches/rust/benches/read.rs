//! Reading on the daemon: the parts of a chunk that a condition requires, and the merge of chunks by time.
//!
//! `make bench-rust`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use mosaico_engine::read::merge::{Source, merge};
use mosaico_engine::read::prune::plan;
use mosaico_engine::state::message_size::BatchSizer;
use mosaico_select::{FieldTest, RowExpr, compile};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_wire::query::{Expr, Query, Sections};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

/// Rows with the times `from`, `from + step`, ….
fn rows(from: i64, step: i64, count: i64) -> RecordBatch {
    let times = (0..count).map(|row| from + row * step);
    let values: ArrayRef = Arc::new(Float64Array::from_iter_values(times.clone().map(|time| time as f64)));
    let times: ArrayRef = Arc::new(Int64Array::from_iter_values(times));
    RecordBatch::try_from_iter([("timestamp_ns", times), ("x", values)]).unwrap()
}

/// 16 row groups of 16 pages each.
fn footer(batch: &RecordBatch) -> ArrowReaderMetadata {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(16_384))
        .set_data_page_row_count_limit(1024)
        .set_write_batch_size(1024)
        .set_statistics_enabled(EnabledStatistics::Page)
        .build();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    ArrowReaderMetadata::load(&Bytes::from(file), options).unwrap()
}

/// `x` between two values.
fn condition(batch: &RecordBatch, least: i64, most: i64) -> RowExpr {
    let body = format!(r#"{{"ontology": {{"t.x": {{"$between": [{least}, {most}]}}}}}}"#);
    let Expr::Is(Sections { values: Some(Expr::Is(value)), .. }) =
        Query::parse(body.as_bytes()).unwrap().select
    else {
        panic!("{body}")
    };
    compile(&batch.schema(), &Expr::Is(FieldTest { path: "x".into(), test: value.test }))
}

fn prune(criterion: &mut Criterion) {
    let batch = rows(0, 1, 1 << 18);
    let (footer, wanted) = (footer(&batch), condition(&batch, 100_000, 100_100));
    assert_eq!(plan(&footer, &wanted).unwrap().groups, [6], "one row group of 16");
    let mut group = criterion.benchmark_group("prune");
    group.throughput(Throughput::Elements(16 * 16));
    group.bench_function("256 pages", |bench| bench.iter(|| plan(&footer, &wanted).unwrap()));
    group.finish();
}

fn merging(criterion: &mut Criterion) {
    const ROWS: i64 = 8192;
    let mut group = criterion.benchmark_group("merge");
    group.sample_size(50);
    for sources in [2, 16] {
        let open = || -> Vec<Source> {
            let source = |number: u32| {
                let batch = rows(i64::from(number), i64::from(sources), ROWS);
                let opened = async move { Ok(stream::iter([Ok(batch)]).boxed()) };
                let order = ChunkId { epoch: 0, index: number };
                Source { order, lower_bound: i64::from(number), open: opened.boxed() }
            };
            (0..sources).map(source).collect()
        };
        let readers = Arc::new(());
        let merged = |sources: Vec<Source>| {
            let size = BatchSizer::new(&readers, 256 << 20, 4 << 20, 1);
            let batches: Vec<RecordBatch> =
                futures::executor::block_on(merge(sources, size).try_collect()).unwrap();
            batches.iter().map(RecordBatch::num_rows).sum::<usize>()
        };
        assert_eq!(merged(open()), sources as usize * ROWS as usize);
        group.throughput(Throughput::Elements(u64::from(sources) * ROWS as u64));
        group.bench_function(format!("{sources} chunks, row by row"), |bench| {
            bench.iter_batched(open, merged, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, prune, merging);
criterion_main!(benches);
