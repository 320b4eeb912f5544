//! Recording on the client: rows into columns, columns into a batch, a batch into a message.
//!
//! `make bench-rust`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mosaico_client::RowBuffer;
use mosaico_client::columns::{Column, ColumnError, Values};
use mosaico_wire::ipc::batch_message;

const ROWS: usize = 1000;

/// As an IMU has it: two vectors with values, and a covariance and an orientation without any.
fn schema() -> SchemaRef {
    let float = |name: &str| Field::new(name, DataType::Float64, true);
    let covariance = DataType::List(Arc::new(Field::new("item", DataType::Float64, true)));
    let vector = DataType::Struct(
        vec![float("x"), float("y"), float("z"), Field::new("covariance", covariance, true)].into(),
    );
    let quaternion = DataType::Struct(vec![float("x"), float("y"), float("z"), float("w")].into());
    Arc::new(Schema::new(vec![
        Field::new("timestamp_ns", DataType::Int64, false),
        Field::new("acceleration", vector.clone(), true),
        Field::new("angular_velocity", vector, true),
        Field::new("orientation", quaternion, true),
    ]))
}

fn append(columns: &mut [Column], row: usize) -> Result<(), ColumnError> {
    if let Values::Fixed(times) = columns[0].values_mut() {
        times.push_int(row as i128)?;
    }
    columns[0].mark_valid();
    for vector in &mut columns[1..3] {
        let (axes, covariance) = vector.children_mut().split_at_mut(3);
        for axis in axes {
            if let Values::Fixed(values) = axis.values_mut() {
                values.push_float(row as f64);
            }
            axis.mark_valid();
        }
        covariance[0].push_null()?;
        vector.mark_valid();
    }
    columns[3].push_null()
}

fn filled() -> RowBuffer {
    let mut rows = RowBuffer::new(schema()).unwrap();
    for row in 0..ROWS {
        rows.push(|columns| append(columns, row)).unwrap();
    }
    rows
}

fn record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("append rows", |bench| bench.iter(filled));
    group.bench_function("cut a batch", |bench| {
        bench.iter_batched(filled, |mut rows| rows.take().into_batch().unwrap(), BatchSize::SmallInput);
    });
    let batch = filled().take().into_batch().unwrap();
    group.bench_function("encode a message", |bench| bench.iter(|| batch_message(&batch, false).unwrap()));
    group.bench_function("encode a message without its zeros", |bench| {
        bench.iter(|| batch_message(&batch, true).unwrap());
    });
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);
