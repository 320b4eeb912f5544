use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::Int64Type;
use mosaico_types::ErrorKind;

use crate::{Error, Result, TopicStream};

/// What the merge asks of its caller.
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
    /// [`Merge::refill`] has to run first.
    Refill,
    /// Every topic is exhausted.
    End,
}

struct Cursor {
    stream: Option<TopicStream>,
    batch: Option<RecordBatch>,
    times: ScalarBuffer<i64>,
    row: usize,
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
}

impl Merge {
    /// Merges `streams`; their index is the topic's number in [`Step::Row`].
    pub fn new(streams: Vec<TopicStream>) -> Self {
        let starved = (0..streams.len()).rev().collect();
        let cursor = |stream| Cursor { stream: Some(stream), batch: None, times: Vec::new().into(), row: 0 };
        Self {
            cursors: streams.into_iter().map(cursor).collect(),
            heads: BinaryHeap::new(),
            current: None,
            starved,
        }
    }

    /// The batch that rows of `topic` refer to.
    pub fn batch(&self, topic: usize) -> Option<&RecordBatch> {
        self.cursors[topic].batch.as_ref()
    }

    /// The topics that [`Merge::refill`] will fetch a batch for.
    pub fn starved(&self) -> &[usize] {
        &self.starved
    }

    /// What comes next, without consuming it.
    #[inline]
    pub fn peek(&mut self) -> Step {
        if !self.starved.is_empty() {
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

    /// Consumes the row that [`Merge::peek`] showed last.
    #[inline]
    pub fn advance(&mut self) {
        let Some(topic) = self.current else { return };
        let cursor = &mut self.cursors[topic];
        cursor.row += 1;
        if cursor.row == cursor.times.len() {
            self.current = None;
            self.starved.push(topic);
        }
    }

    /// Fetches a batch for every topic that ran dry.
    ///
    /// # Errors
    /// The first stream's error; the same topic is asked again by the next call.
    pub async fn refill(&mut self) -> Result<()> {
        while let Some(&topic) = self.starved.last() {
            let cursor = &mut self.cursors[topic];
            let batch = match &mut cursor.stream {
                Some(stream) => stream.next().await?,
                None => None,
            };
            match batch {
                Some(batch) => {
                    cursor.times = timestamps(&batch)?;
                    cursor.row = 0;
                    self.heads.push(Reverse((cursor.times[0], topic)));
                    cursor.batch = Some(batch);
                }
                None => (cursor.stream, cursor.batch) = (None, None),
            }
            self.starved.pop();
        }
        Ok(())
    }
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
