//! Lazy k-way merge of sources that are each sorted by time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, interleave_record_batch};
use async_stream::try_stream;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use mosaico_select::{data_bytes, split};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::schema::times;

use super::request::BatchStream;
use crate::state::message_size::BatchSizer;

/// Up to this many runs are copied run by run, more row by row.
const FEW_RUNS: usize = 32;

/// Rows of a chunk or segment, sorted by time; opened only when its first row may be next.
pub struct Source {
    /// Position in arrival order, which is the order of rows with equal times.
    pub order: ChunkId,
    /// No row is earlier.
    pub lower_bound: i64,
    pub open: BoxFuture<'static, Result<BatchStream>>,
}

/// A source with its current batch.
struct Head {
    order: ChunkId,
    batch: RecordBatch,
    row: usize,
    row_bytes: usize,
    rest: BatchStream,
    /// Position of `batch` in the rows that are being gathered.
    gathered: Option<usize>,
}

impl Head {
    /// Moves to the next batch with rows; `None` at the end.
    async fn advance(order: ChunkId, mut rest: BatchStream) -> Result<Option<Self>> {
        while let Some(batch) = rest.try_next().await? {
            if batch.num_rows() > 0 {
                let row_bytes = data_bytes(&batch).div_ceil(batch.num_rows());
                return Ok(Some(Self { order, batch, row: 0, row_bytes, rest, gathered: None }));
            }
        }
        Ok(None)
    }

    fn time(&self) -> Result<i64> {
        Ok(times(&self.batch)?.value(self.row))
    }

    /// The end of the rows that precede `limit`.
    fn run_end(&self, limit: Option<(i64, ChunkId)>) -> Result<usize> {
        let times = times(&self.batch)?.values();
        Ok(match limit {
            None => times.len(),
            Some(limit) => self.row + times[self.row..].partition_point(|&t| (t, self.order) < limit),
        })
    }
}

/// Rows that are gathered for one output batch.
#[derive(Default)]
struct Gathered {
    batches: Vec<RecordBatch>,
    runs: Vec<(usize, Range<usize>)>,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, head: &mut Head, end: usize) {
        let index = *head.gathered.get_or_insert_with(|| {
            self.batches.push(head.batch.clone());
            self.batches.len() - 1
        });
        self.bytes += (end - head.row) * head.row_bytes;
        self.runs.push((index, head.row..end));
    }

    fn finish(self) -> Result<Option<RecordBatch>> {
        let slice =
            |(index, rows): &(usize, Range<usize>)| self.batches[*index].slice(rows.start, rows.len());
        let joined = match &self.runs[..] {
            [] => return Ok(None),
            [run] => return Ok(Some(slice(run))),
            runs if runs.len() <= FEW_RUNS => {
                let slices: Vec<_> = runs.iter().map(slice).collect();
                concat_batches(&self.batches[0].schema(), &slices)
            }
            runs => {
                let rows = |(index, rows): &(usize, Range<usize>)| {
                    let index = *index;
                    rows.clone().map(move |row| (index, row))
                };
                let rows: Vec<_> = runs.iter().flat_map(rows).collect();
                interleave_record_batch(&self.batches.iter().collect::<Vec<_>>(), &rows)
            }
        };
        joined.map(Some).map_err(|e| Error::internal("merging chunks", e))
    }
}

/// Merges `sources` into batches of about `size`, none of them empty.
pub fn merge(mut sources: Vec<Source>, size: Arc<BatchSizer>) -> BatchStream {
    sources.sort_by_key(|source| (source.lower_bound, source.order));
    let mut waiting: VecDeque<Source> = sources.into();
    let merged = try_stream! {
        // Keyed by time and arrival; the heads are in `heads`, by slot.
        let mut heap: BinaryHeap<Reverse<(i64, ChunkId, usize)>> = BinaryHeap::new();
        let mut heads: Vec<Option<Head>> = Vec::new();
        let mut gathered = Gathered::default();
        loop {
            while let Some(source) = waiting.pop_front_if(|source| {
                heap.peek().is_none_or(|Reverse((time, order, _))| (source.lower_bound, source.order) < (*time, *order))
            }) {
                if let Some(head) = Head::advance(source.order, source.open.await?).await? {
                    heap.push(Reverse((head.time()?, head.order, heads.len())));
                    heads.push(Some(head));
                }
            }
            let Some(Reverse((_, _, slot))) = heap.pop() else { break };
            let Some(mut head) = heads[slot].take() else { break };
            let rival = heap.peek().map(|Reverse((time, order, _))| (*time, *order));
            let unopened = waiting.front().map(|source| (source.lower_bound, source.order));
            let end = head.run_end([rival, unopened].into_iter().flatten().min())?;
            gathered.push(&mut head, end);
            head.row = end;
            // Returned before the next read: a reader that waits for its client keeps little in memory. A
            // batch that a source cut to this size may turn out smaller; copying it behind the next one does
            // not pay off.
            let target_bytes = size.bytes();
            if gathered.bytes >= target_bytes.div_ceil(2) {
                size.grow();
                for head in heads.iter_mut().flatten().chain([&mut head]) {
                    head.gathered = None;
                }
                if let Some(batch) = std::mem::take(&mut gathered).finish()? {
                    for part in split(batch, target_bytes) {
                        yield part;
                    }
                }
            }
            let left = head.row < head.batch.num_rows();
            let head = if left { Some(head) } else { Head::advance(head.order, head.rest).await? };
            if let Some(head) = head {
                heap.push(Reverse((head.time()?, head.order, slot)));
                heads[slot] = Some(head);
            }
        }
        if let Some(batch) = gathered.finish()? {
            for part in split(batch, size.bytes()) {
                yield part;
            }
        }
    };
    merged.boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use futures::{FutureExt, stream};
    use proptest::prelude::*;

    use super::*;
    use mosaico_storage::format::schema::TIMESTAMP;

    fn source(index: u32, batches: Vec<Vec<i64>>, opened: Arc<AtomicUsize>) -> Source {
        let order = ChunkId { epoch: 0, index };
        let lower_bound = batches.iter().flatten().copied().next().unwrap_or(0);
        let batch = move |times: Vec<i64>| {
            let orders: ArrayRef = Arc::new(Int64Array::from(vec![i64::from(index); times.len()]));
            let times: ArrayRef = Arc::new(Int64Array::from(times));
            Ok(RecordBatch::try_from_iter([(TIMESTAMP, times), ("order", orders)]).unwrap())
        };
        let open = async move {
            opened.fetch_add(1, Ordering::Relaxed);
            Ok(stream::iter(batches.into_iter().map(batch)).boxed())
        };
        Source { order, lower_bound, open: open.boxed() }
    }

    fn rows(batch: &RecordBatch) -> Vec<(i64, i64)> {
        let times = batch.column(0).as_primitive::<Int64Type>().values().iter().copied();
        times.zip(batch.column(1).as_primitive::<Int64Type>().values().iter().copied()).collect()
    }

    fn sorted_source() -> impl Strategy<Value = Vec<Vec<i64>>> {
        let times = proptest::collection::vec(-20i64..20, 0..60);
        (times, 1usize..20).prop_map(|(mut times, size)| {
            times.sort_unstable();
            times.chunks(size).map(<[i64]>::to_vec).collect()
        })
    }

    proptest! {
        #[test]
        fn every_row_once_in_time_then_arrival_order(
            sources in proptest::collection::vec(sorted_source(), 0..6),
            target in 1usize..2000,
        ) {
            let opened = Arc::new(AtomicUsize::new(0));
            let mut expected: Vec<(i64, i64)> = (0..)
                .zip(&sources)
                .flat_map(|(order, batches)| batches.concat().into_iter().map(move |time| (time, order)))
                .collect();
            expected.sort_unstable();
            let sources = (0..).zip(sources).map(|(order, b)| source(order, b, Arc::clone(&opened))).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let merged: Vec<RecordBatch> =
                runtime.block_on(merge(sources, BatchSizer::fixed(target)).try_collect::<Vec<_>>()).unwrap();
            prop_assert!(merged.iter().all(|batch| batch.num_rows() > 0));
            prop_assert_eq!(merged.iter().flat_map(rows).collect::<Vec<_>>(), expected);
        }
    }

    #[tokio::test]
    async fn later_sources_are_not_opened_early() {
        let opened = Arc::new(AtomicUsize::new(0));
        let sources =
            (0..10i64).map(|i| source(i as u32, vec![vec![i * 10], vec![i * 10 + 1]], Arc::clone(&opened)));
        let mut merged = merge(sources.collect(), BatchSizer::fixed(1));
        assert_eq!(rows(&merged.try_next().await.unwrap().unwrap()), [(0, 0)]);
        assert_eq!(opened.load(Ordering::Relaxed), 1);
    }
}
