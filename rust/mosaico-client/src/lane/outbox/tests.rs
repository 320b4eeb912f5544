//! Tests of the resend buffer.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use proptest::prelude::*;

use super::*;
use crate::columns::{Column, ColumnError, Values};
use crate::rows::RowBuffer;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

/// Cuts rows whose value is their own number.
fn cut(buffer: &mut RowBuffer, rows: std::ops::Range<u64>) -> RawRows {
    for row in rows {
        let append = |columns: &mut [Column]| {
            let Values::Fixed(numbers) = columns[0].values_mut() else { unreachable!() };
            numbers.push_int(row.into())?;
            columns[0].mark_valid();
            Ok::<_, ColumnError>(())
        };
        buffer.push(append).expect("an integer fits");
    }
    buffer.take()
}

fn values(batch: &RecordBatch) -> Vec<u64> {
    let column: &Int64Array = batch.column(0).as_primitive::<Int64Type>();
    column.values().iter().map(|&value| value as u64).collect()
}

async fn ready(outbox: &Arc<Outbox>, stream: u64) -> Option<Next> {
    let next = tokio::time::timeout(std::time::Duration::from_millis(200), outbox.next(stream));
    next.await.ok().map(|next| next.expect("rows form batches"))
}

#[derive(Debug, Clone)]
enum Step {
    Push(u64),
    Send,
    /// The server stores a fraction of the sent rows.
    Store(f64),
    Spill,
    Break,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1u64..20).prop_map(Step::Push),
        4 => Just(Step::Send),
        2 => (0.0..=1.0).prop_map(Step::Store),
        1 => Just(Step::Spill),
        1 => Just(Step::Break),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A server that receives rows in order, acknowledges late and loses the connection gets every row once.
    #[test]
    fn every_row_arrives_once(steps in proptest::collection::vec(step(), 0..60), spill in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let config = spill.then(|| SpillConfig::new(folder.path().to_owned(), 1 << 16));
            let outbox = Arc::new(Outbox::new(true, config));
            let mut buffer = RowBuffer::new(schema()).unwrap();
            let (mut pushed, mut sent, mut known, mut stored) = (0, 0, 0, Vec::new());
            let mut stream = outbox.begin();
            for step in steps {
                match step {
                    Step::Push(rows) => {
                        outbox.push(cut(&mut buffer, pushed..pushed + rows));
                        pushed += rows;
                    }
                    Step::Send if sent < pushed => {
                        let Some(Next::Rows(batch, end)) = ready(&outbox, stream).await else { panic!("rows") };
                        stored.extend(values(&batch));
                        sent = end;
                        prop_assert_eq!(stored.len() as u64, sent);
                    }
                    Step::Send => {}
                    Step::Store(share) => {
                        known = known.max((sent as f64 * share) as u64);
                        outbox.acknowledge(known).unwrap();
                    }
                    Step::Spill => _ = outbox.spill().await.unwrap(),
                    Step::Break => {
                        // A break may be noticed before the next stream begins.
                        if pushed % 2 == 0 {
                            outbox.release();
                            outbox.spill().await.unwrap();
                        }
                        let old = std::mem::replace(&mut stream, outbox.begin());
                        prop_assert!(matches!(ready(&outbox, old).await, Some(Next::Stale)));
                        // Rows in flight may or may not have been stored.
                        sent = known + (sent - known) / 2;
                        known = sent;
                        stored.truncate(sent as usize);
                        prop_assert_eq!(outbox.rewind(sent).is_ok(), true);
                    }
                }
            }
            outbox.close();
            while let Some(Next::Rows(batch, _)) = ready(&outbox, stream).await {
                stored.extend(values(&batch));
            }
            prop_assert_eq!(stored, (0..pushed).collect::<Vec<_>>());
            outbox.acknowledge(pushed).unwrap();
            prop_assert_eq!(outbox.bytes(), 0);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_server_that_lost_rows_is_not_gone_on_with() {
    let outbox = Arc::new(Outbox::new(true, None));
    let mut buffer = RowBuffer::new(schema()).unwrap();
    outbox.push(cut(&mut buffer, 0..10));
    let stream = outbox.begin();
    ready(&outbox, stream).await.expect("rows");
    outbox.acknowledge(10).unwrap();
    outbox.begin();
    assert!(outbox.rewind(5).is_err());
    assert!(outbox.rewind(11).is_err());
    assert_eq!(outbox.rewind(10).unwrap(), 0);
}

#[tokio::test]
async fn rows_in_a_broken_stream_can_be_spilled() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Arc::new(Outbox::new(true, Some(SpillConfig::new(folder.path().to_owned(), 1 << 16))));
    let mut buffer = RowBuffer::new(schema()).unwrap();
    outbox.push(cut(&mut buffer, 0..10));
    let stream = outbox.begin();
    ready(&outbox, stream).await.expect("rows");
    assert!(!outbox.spill().await.unwrap(), "the stream has the rows");
    let released = outbox.released();
    outbox.release();
    released.await;
    assert!(outbox.spill().await.unwrap());
    assert_eq!(outbox.bytes(), 0);
    let stream = outbox.begin();
    assert_eq!(outbox.rewind(4).unwrap(), 6);
    let Some(Next::Rows(batch, 10)) = ready(&outbox, stream).await else { panic!("rows") };
    assert_eq!(values(&batch), [4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_full_spill_folder_keeps_the_rest_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Arc::new(Outbox::new(true, Some(SpillConfig::new(folder.path().to_owned(), 2000))));
    let mut buffer = RowBuffer::new(schema()).unwrap();
    for first in 0..20 {
        outbox.push(cut(&mut buffer, first * 10..first * 10 + 10));
    }
    let before = outbox.bytes();
    assert!(outbox.spill().await.unwrap());
    let after = outbox.bytes();
    assert!(0 < after && after < before, "{after} of {before} bytes are in memory");
    assert!(!outbox.spill().await.unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
}
