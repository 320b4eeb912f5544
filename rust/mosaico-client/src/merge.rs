//! Merges topics by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::ops::Range;
use std::task::Poll;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::Int64Type;
use mosaico_types::ErrorKind;
use mosaico_wire::damage::DamagedRows;

use crate::error::{Error, Result};
use crate::stream::{SkippedRows, TopicStream};

/// The next step of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The next message is this row of the topic's current batch.
    Row {
        /// Index of the topic.
        topic: usize,
        /// Row in its current batch.
        row: usize,
        /// Its time.
        timestamp_ns: i64,
    },
    /// The caller has to run [`Merge::refill`] first.
    Refill,
    /// Every topic is exhausted.
    End,
}

/// As [`Step`], for runs of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// The next messages are these rows of the topic's current batch, at least one.
    Rows {
        /// Index of the topic.
        topic: usize,
        /// Rows in its current batch.
        rows: Range<usize>,
    },
    /// The caller has to run [`Merge::refill`] first.
    Refill,
    /// Every topic is exhausted.
    End,
}

struct Cursor {
    stream: Option<TopicStream>,
    batch: Option<RecordBatch>,
    times: ScalarBuffer<i64>,
    row: usize,
    /// When the batch arrived.
    arrived: Instant,
}

impl Cursor {
    fn new(stream: TopicStream) -> Self {
        let times = Vec::new().into();
        Self { stream: Some(stream), batch: None, times, row: 0, arrived: Instant::now() }
    }
}

/// Topics merged by `timestamp_ns`; ties keep the order of the topics, then the order inside a topic.
///
/// The heap holds the head of every topic but the current one, so runs of one topic cost one comparison
/// per row.
pub struct Merge {
    cursors: Vec<Cursor>,
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    current: Option<usize>,
    starved: Vec<usize>,
    /// How long a row waits for earlier rows of topics without a batch; `None`: without limit.
    lateness: Option<Duration>,
    skipped: Vec<SkippedRows>,
}

impl Merge {
    /// Merges `streams`; their index is the topic's number in [`Step::Row`].
    pub fn new(streams: Vec<TopicStream>) -> Self {
        let starved = (0..streams.len()).rev().collect();
        Self {
            skipped: streams.iter().map(TopicStream::shared_skipped).collect(),
            cursors: streams.into_iter().map(Cursor::new).collect(),
            heads: BinaryHeap::new(),
            current: None,
            starved,
            lateness: None,
        }
    }

    /// Merges streams that continue while they are read. A row is returned `lateness` after its arrival even
    /// if other topics have none; an earlier row that arrives after that is returned late.
    pub fn live(streams: Vec<TopicStream>, lateness: Duration) -> Self {
        Self { lateness: Some(lateness), ..Self::new(streams) }
    }

    /// Adds a stream; its index is the number of streams so far.
    pub fn add(&mut self, stream: TopicStream) {
        self.skipped.push(stream.shared_skipped());
        self.starved.push(self.cursors.len());
        self.cursors.push(Cursor::new(stream));
    }

    /// The rows of damaged chunks that the daemon left out; complete at the end.
    pub fn skipped(&self) -> Vec<DamagedRows> {
        self.skipped.iter().flat_map(|skipped| skipped.lock().clone()).collect()
    }

    /// The batch that rows of `topic` refer to.
    pub fn batch(&self, topic: usize) -> Option<&RecordBatch> {
        self.cursors[topic].batch.as_ref()
    }

    /// The times of the rows of [`Self::batch`].
    pub(crate) fn times(&self, topic: usize) -> &ScalarBuffer<i64> {
        &self.cursors[topic].times
    }

    /// The topics for which [`Merge::refill`] will fetch a batch.
    pub fn starved(&self) -> &[usize] {
        &self.starved
    }

    /// The next step, without consuming it.
    #[inline]
    pub fn peek(&mut self) -> Step {
        if !self.starved.is_empty() && self.due().is_none_or(|due| Instant::now() < due) {
            return Step::Refill;
        }
        if let Some(topic) = self.current {
            let cursor = &self.cursors[topic];
            let timestamp_ns = cursor.times[cursor.row];
            match self.heads.peek() {
                Some(&Reverse(head)) if head < (timestamp_ns, topic) => {
                    self.heads.push(Reverse((timestamp_ns, topic)));
                }
                _ => return Step::Row { topic, row: cursor.row, timestamp_ns },
            }
        }
        match self.heads.pop() {
            Some(Reverse((timestamp_ns, topic))) => {
                self.current = Some(topic);
                Step::Row { topic, row: self.cursors[topic].row, timestamp_ns }
            }
            None => Step::End,
        }
    }

    /// The next rows of one topic before any other is due, without consuming them; at most `limit` rows.
    pub fn peek_run(&mut self, limit: usize) -> Run {
        match self.peek() {
            Step::Refill => Run::Refill,
            Step::End => Run::End,
            Step::Row { topic, row, .. } => {
                let times = &self.cursors[topic].times[row..];
                let times = &times[..times.len().min(limit)];
                let length = match self.heads.peek() {
                    Some(&Reverse(head)) => leading(times, |time| (time, topic) < head).max(1),
                    None => times.len(),
                };
                Run::Rows { topic, rows: row..row + length }
            }
        }
    }

    /// Consumes the row that [`Merge::peek`] returned last.
    #[inline]
    pub fn advance(&mut self) {
        self.advance_by(1);
    }

    /// Consumes the first `rows` of the run that [`Merge::peek_run`] returned last.
    #[inline]
    pub fn advance_by(&mut self, rows: usize) {
        let Some(topic) = self.current else { return };
        let cursor = &mut self.cursors[topic];
        cursor.row += rows;
        if cursor.row == cursor.times.len() {
            self.current = None;
            self.starved.push(topic);
        }
    }

    /// When the next row is due even though topics have no batch; `None`: not before they have one.
    fn due(&self) -> Option<Instant> {
        let lateness = self.lateness?;
        let next = self.heads.peek().map(|&Reverse(head)| head);
        let current = self.current.map(|topic| {
            let cursor = &self.cursors[topic];
            (cursor.times[cursor.row], topic)
        });
        let (_, topic) = [next, current].into_iter().flatten().min()?;
        Some(self.cursors[topic].arrived + lateness)
    }

    /// Waits until a topic without rows has a batch, for `timeout` at most or until the next row is due,
    /// then takes the available batches of all topics.
    ///
    /// # Errors
    /// A stream's error; the next call polls the same topic again.
    pub async fn refill_live(&mut self, timeout: Duration) -> Result<()> {
        let limit = Instant::now() + timeout;
        let limit = self.due().map_or(limit, |due| due.min(limit));
        let mut starved = std::mem::take(&mut self.starved);
        let came = poll_fn(|context| {
            let mut came = Vec::new();
            starved.retain(|&topic| {
                let Some(stream) = &mut self.cursors[topic].stream else { return false };
                match stream.poll_next(context) {
                    Poll::Pending => true,
                    Poll::Ready(batch) => {
                        came.push((topic, batch));
                        false
                    }
                }
            });
            if came.is_empty() { Poll::Pending } else { Poll::Ready(came) }
        });
        let came = tokio::time::timeout_at(limit.into(), came).await.unwrap_or_default();
        self.starved = starved;
        let mut outcome = Ok(());
        for (topic, batch) in came {
            match batch.and_then(|batch| self.place(topic, batch)) {
                Ok(()) => {}
                Err(error) => {
                    self.starved.push(topic);
                    outcome = Err(error);
                }
            }
        }
        outcome
    }

    /// Fetches a batch for every topic without rows.
    ///
    /// # Errors
    /// The first stream's error; the next call polls the same topic again.
    pub async fn refill(&mut self) -> Result<()> {
        while let Some(&topic) = self.starved.last() {
            let cursor = &mut self.cursors[topic];
            let batch = match &mut cursor.stream {
                Some(stream) => stream.next().await?,
                None => None,
            };
            self.place(topic, batch)?;
            self.starved.pop();
        }
        Ok(())
    }

    /// Makes a batch the topic's current one; `None`: the topic has ended.
    fn place(&mut self, topic: usize, batch: Option<RecordBatch>) -> Result<()> {
        let cursor = &mut self.cursors[topic];
        let Some(batch) = batch else {
            (cursor.stream, cursor.batch) = (None, None);
            return Ok(());
        };
        cursor.times = timestamps(&batch)?;
        (cursor.row, cursor.arrived) = (0, Instant::now());
        self.heads.push(Reverse((cursor.times[0], topic)));
        cursor.batch = Some(batch);
        Ok(())
    }
}

/// The number of leading times that pass, if all passing times come first. Optimized for short runs.
fn leading(times: &[i64], passes: impl Fn(i64) -> bool) -> usize {
    let (mut from, mut step) = (0, 1);
    while from + step <= times.len() && passes(times[from + step - 1]) {
        from += step;
        step *= 2;
    }
    let end = times.len().min(from + step);
    from + times[from..end].partition_point(|&time| passes(time))
}

fn timestamps(batch: &RecordBatch) -> Result<ScalarBuffer<i64>> {
    batch
        .column_by_name("timestamp_ns")
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .filter(|column| column.null_count() == 0)
        .map(|column| column.values().clone())
        .ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the stream has no `timestamp_ns` column of non-null int64")
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};
    use proptest::prelude::*;

    use super::*;
    use crate::read_ahead::ReadAhead;

    /// A topic with the times `times`, in batches of `lengths` rows.
    fn topic(times: &[i64], lengths: &[usize], read_ahead: &ReadAhead) -> TopicStream {
        let field = Field::new("timestamp_ns", DataType::Int64, false);
        let schema = Arc::new(Schema::new(vec![field]));
        let mut rest = times;
        let mut batches = Vec::new();
        for length in lengths.iter().copied().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at(length.clamp(1, rest.len()));
            let column = Arc::new(Int64Array::from(head.to_vec()));
            batches.push(Ok(Some(RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap())));
            rest = tail;
        }
        TopicStream::spawn(schema, futures::stream::iter(batches), read_ahead.clone(), None)
    }

    #[tokio::test]
    async fn a_broken_stream_stays_broken() {
        let broken = Error::new(ErrorKind::Unavailable, "the connection broke");
        let schema = Arc::new(Schema::empty());
        let stream = futures::stream::iter([Err(broken.clone())]);
        let mut merge = Merge::new(vec![TopicStream::spawn(schema, stream, ReadAhead::new(1, 1), None)]);
        for _ in 0..2 {
            assert_eq!(merge.peek(), Step::Refill);
            assert_eq!(merge.refill().await, Err(broken.clone()));
        }
    }

    async fn drain_runs(mut merge: Merge, limit: usize) -> Vec<(i64, usize)> {
        let mut seen = Vec::new();
        loop {
            match merge.peek_run(limit) {
                Run::Rows { topic, rows } => {
                    assert!(!rows.is_empty() && rows.len() <= limit);
                    let times = timestamps(merge.batch(topic).unwrap()).unwrap();
                    seen.extend(times[rows.clone()].iter().map(|&time| (time, topic)));
                    merge.advance_by(rows.len());
                }
                Run::Refill => merge.refill().await.unwrap(),
                Run::End => return seen,
            }
        }
    }

    async fn drain(mut merge: Merge) -> Vec<(i64, usize)> {
        let mut seen = Vec::new();
        loop {
            match merge.peek() {
                Step::Row { topic, timestamp_ns, .. } => {
                    seen.push((timestamp_ns, topic));
                    merge.advance();
                }
                Step::Refill => merge.refill().await.unwrap(),
                Step::End => return seen,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Topics in batches of any lengths are merged in order, ties by topic, each row once; even a budget
        /// of one byte does not stop the merge.
        #[test]
        fn merges_like_a_sort(
            mut topics in proptest::collection::vec(proptest::collection::vec(-20_i64..20, 0..40), 0..8),
            lengths in proptest::collection::vec(1_usize..9, 1..4),
            budget in prop_oneof![Just(1_usize), Just(1 << 20)],
            limit in 1_usize..9,
        ) {
            topics.iter_mut().for_each(|times| times.sort_unstable());
            let mut expected: Vec<(i64, usize)> = topics
                .iter()
                .enumerate()
                .flat_map(|(topic, times)| times.iter().map(move |&time| (time, topic)))
                .collect();
            expected.sort_unstable();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let merge = || {
                let read_ahead = ReadAhead::new(budget, topics.len());
                let streams = topics.iter().map(|times| topic(times, &lengths, &read_ahead)).collect();
                Merge::new(streams)
            };
            let seen = runtime.block_on(async { drain(merge()).await });
            prop_assert_eq!(&seen, &expected);
            let seen = runtime.block_on(async { drain_runs(merge(), limit).await });
            prop_assert_eq!(&seen, &expected);
        }
    }
}
