//! Rows of a topic as they become durable.
//!
//! First comes what is stored, in time order; then each batch as it arrived, sorted in itself. A row that arrives
//! later than its time says comes late. The stream ends when the topic is complete, or its sequence was left as it is.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_stream::try_stream;
use futures::{StreamExt, TryStreamExt};
use mosaico_select::{data_bytes, split};
use mosaico_types::TimeWindow;

use super::{BatchStream, SnapshotEnd, Wanted, chunk, picked, snapshot, trim};
use crate::batch::times;
use crate::catalog::TopicRow;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::ingest::log::{BatchReader, LogError};
use crate::ingest::segment::sort_batches;
use crate::trace;

/// How often a topic without a writer is looked at.
const IDLE: Duration = Duration::from_millis(50);

/// Everything that is wanted of a topic, now and later.
pub(crate) async fn follow_topic(core: &Arc<Core>, topic: &TopicRow, wanted: Wanted) -> Result<BatchStream> {
    let window = wanted.window;
    let (stored, mut tail) = loop {
        let (stored, end) = snapshot(core, topic, &wanted).await?;
        // Else the last segment turned into a chunk meanwhile.
        if let Some(tail) = Tail::open(core, topic, end, &wanted)? {
            break (stored, tail);
        }
    };
    let batches = try_stream! {
        let mut stored = stored;
        while let Some(batch) = stored.try_next().await? {
            yield batch;
        }
        drop(stored);
        while let Some(mut batches) = tail.next().await? {
            while let Some(batch) = batches.try_next().await? {
                let batch = trim(&batch, window)?;
                if batch.num_rows() > 0 {
                    yield batch;
                }
            }
        }
    };
    Ok(batches.boxed())
}

/// What comes after a snapshot, in arrival order.
struct Tail {
    core: Arc<Core>,
    topic: TopicRow,
    /// Of all times: rows are cut to the window when they are handed out.
    wanted: Wanted,
    /// The last segment or chunk of which something was read.
    index: Option<u32>,
    /// The segment of that index, if it may grow.
    segment: Option<BatchReader>,
}

impl Tail {
    /// Opens the segment in which the snapshot ended; `None` if that is gone.
    fn open(core: &Arc<Core>, topic: &TopicRow, end: SnapshotEnd, wanted: &Wanted) -> Result<Option<Self>> {
        let (core, topic) = (Arc::clone(core), topic.clone());
        let wanted = Wanted { window: TimeWindow::ALL, ..wanted.clone() };
        let mut tail = Self { core, topic, wanted, index: end.index, segment: None };
        if let (Some(index), Some(bytes)) = (end.index, end.bytes) {
            let live = tail.core.live.get(tail.topic.id);
            let Some(view) = live.map(|live| live.view(index)).transpose()?.flatten() else {
                return Ok(None);
            };
            let mut reader = BatchReader::new(view.file, bytes).map_err(failed)?;
            reader.go_on(bytes, bytes).map_err(failed)?;
            tail.segment = Some(reader);
        }
        Ok(Some(tail))
    }

    /// Rows that came after the last ones; waits for them. `None` at the end.
    async fn next(&mut self) -> Result<Option<BatchStream>> {
        loop {
            let live = self.core.live.get(self.topic.id);
            let mut changed = live.as_ref().map(|live| Box::pin(live.changed()));
            if let Some(changed) = &mut changed {
                changed.as_mut().enable();
            }
            if let Some(batches) = self.ready().await? {
                return Ok(Some(batches));
            }
            let row = self.core.catalog.topic_by_id(self.topic.id).await?.filter(|row| !row.deleting);
            let row = row.ok_or_else(|| Error::Deleted(self.topic.locator.to_string()))?;
            let left = row.sequence_ended && !live.as_ref().is_some_and(|live| live.is_written());
            if row.committed_ns.is_some() || left {
                // Nothing comes any more, but something may have come since the last look.
                return self.ready().await;
            }
            match changed {
                Some(changed) => _ = tokio::time::timeout(IDLE, changed).await,
                None => tokio::time::sleep(IDLE).await,
            }
        }
    }

    async fn ready(&mut self) -> Result<Option<BatchStream>> {
        match self.grown().await? {
            Some(batches) => Ok(Some(batches)),
            None => self.following().await,
        }
    }

    /// New rows of the current segment.
    async fn grown(&mut self) -> Result<Option<BatchStream>> {
        let (Some(mut reader), Some(index)) = (self.segment.take(), self.index) else { return Ok(None) };
        let live = self.core.live.get(self.topic.id).and_then(|live| live.segment(index));
        let (end, last) = match live {
            Some(segment) => (segment.end, segment.closed),
            // It is in a chunk now, so nothing was appended since; the open file still has all of it.
            None => (reader.file_bytes().map_err(|e| Error::internal("reading the ingest log", e))?, true),
        };
        let from = reader.offset();
        if end <= from {
            self.segment = if last { None } else { Some(reader) };
            return Ok(None);
        }
        let piece_bytes = self.wanted.size.bytes();
        let work = move || -> Result<_, LogError> {
            reader.go_on(from, end)?;
            let (mut batches, mut bytes) = (Vec::new(), 0);
            while bytes < piece_bytes
                && let Some(batch) = reader.next().transpose()?
            {
                bytes += data_bytes(&batch);
                batches.push(batch);
            }
            Ok((reader, batches))
        };
        let (reader, batches) = trace::spawn_blocking(work)
            .await
            .map_err(|e| Error::internal("reading the ingest log", e))?
            .map_err(failed)?;
        self.segment = Some(reader);
        let chosen = |batch| in_order(picked(&batch, &self.wanted.select)?, piece_bytes);
        let sorted = batches.into_iter().map(chosen).collect::<Result<Vec<_>>>()?;
        Ok(Some(futures::stream::iter(sorted.into_iter().flatten().map(Ok)).boxed()))
    }

    /// Once all is in chunks they may be joined to new ones, of which it is not known what was read.
    async fn check_joined(&self, next: u32) -> Result<()> {
        let Some(index) = self.index else { return Ok(()) };
        let chunks = self.core.catalog.chunks(self.topic.id).await?;
        let row = self.core.catalog.topic_by_id(self.topic.id).await?;
        let is_complete = row.is_some_and(|row| row.committed_ns.is_some());
        if is_complete && chunks.iter().all(|chunk| chunk.index > index) {
            let topic = &self.topic.locator;
            return Err(Error::StoreUnavailable(format!(
                "following `{topic}` from chunk {next} on, whose chunks were joined meanwhile,"
            )));
        }
        Ok(())
    }

    /// The next segment or chunk, if the current one is done.
    async fn following(&mut self) -> Result<Option<BatchStream>> {
        if self.segment.is_some() {
            return Ok(None);
        }
        let live = self.core.live.get(self.topic.id);
        let segment = live.as_ref().and_then(|live| live.segment_after(self.index));
        let chunks = self.core.catalog.chunks(self.topic.id).await?;
        let chunk = chunks.into_iter().find(|chunk| self.index.is_none_or(|index| chunk.index > index));
        match (segment, chunk) {
            (Some(index), chunk) if chunk.is_none_or(|chunk| index < chunk.index) => {
                let Some(view) = live.map(|live| live.view(index)).transpose()?.flatten() else {
                    return Ok(None);
                };
                // From its beginning: nothing of it was read.
                let mut reader = BatchReader::new(view.file, view.segment.end).map_err(failed)?;
                let from = reader.offset();
                reader.go_on(from, from).map_err(failed)?;
                (self.index, self.segment) = (Some(index), Some(reader));
                self.grown().await
            }
            (_, Some(chunk)) => {
                self.check_joined(chunk.index).await?;
                self.index = Some(chunk.index);
                let (sequence, topic) = (self.topic.sequence_id, self.topic.id);
                chunk::open(&self.core, sequence, topic, chunk, self.wanted.clone()).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

fn in_order(batch: RecordBatch, piece_bytes: usize) -> Result<Vec<RecordBatch>> {
    if times(&batch)?.values().is_sorted() {
        return Ok(split(batch, piece_bytes));
    }
    sort_batches(vec![batch], piece_bytes)?.collect()
}

fn failed(e: LogError) -> Error {
    Error::internal("reading the ingest log", e)
}
