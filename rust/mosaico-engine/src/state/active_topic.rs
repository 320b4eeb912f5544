//! A topic with an open put, or with rows that are not yet in chunks.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use mosaico_catalog::TopicRow;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::lost_rows;
use mosaico_storage::objects::durable::{discard, sync_folder};
use mosaico_storage::wal::frame::SegmentRows;
use mosaico_storage::wal::segment::{self, segment_file};
use mosaico_types::id::TopicId;
use mosaico_wire::command::PutAck;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The durable part of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Bytes that readers may read.
    pub end: u64,
    pub rows: SegmentRows,
    /// The put no longer appends to it.
    pub closed: bool,
    /// Its file is a truncated copy of the file that the put appended to.
    pub cut: bool,
}

impl Segment {
    /// Number of the topic's rows up to the end of the segment.
    pub fn row_end(&self) -> u64 {
        self.rows.row_end()
    }
}

/// A segment opened for reading; it stays readable after the chunker deletes its file.
#[derive(Debug)]
pub struct SegmentView {
    pub index: ChunkId,
    /// For error messages.
    pub name: String,
    pub file: File,
    pub segment: Segment,
    /// Readers stop before this row of the topic: another daemon received the later rows again.
    pub row_end: u64,
}

#[derive(Debug)]
struct State {
    segments: BTreeMap<ChunkId, Segment>,
    /// Segments whose last background job failed, and the error.
    failed: BTreeMap<ChunkId, Error>,
    durable: PutAck,
}

/// A topic that is being written.
#[derive(Debug)]
pub struct ActiveTopic {
    pub row: TopicRow,
    pub schema: SchemaRef,
    /// Folder of its segments.
    pub folder: PathBuf,
    /// Cancelled when the topic is deleted.
    pub cancel: CancellationToken,
    /// Its put and its background jobs.
    pub tasks: TaskTracker,
    /// Shared for tasks that record a chunk in store and catalog; exclusive for the online rebuild, which
    /// replaces the topic's rows in the catalog. See `reconcile::sequence_lock` for the lock order.
    pub chunk_commit_lock: tokio::sync::RwLock<()>,
    /// The open put; cancelled when the same writer opens another one.
    pub(super) writer: Mutex<Option<CancellationToken>>,
    state: Mutex<State>,
    pub(super) changed: Notify,
    /// Serializes [`Self::cut`].
    cutting: tokio::sync::Mutex<()>,
}

impl ActiveTopic {
    pub fn new(row: TopicRow, schema: SchemaRef, folder: PathBuf, found: BTreeMap<ChunkId, Segment>) -> Self {
        let durable = found.values().fold(
            PutAck { durable_rows: row.rows + lost_rows(&row.damage), durable_bytes: row.data_bytes },
            |ack, segment| PutAck {
                durable_rows: ack.durable_rows + segment.rows.rows,
                durable_bytes: ack.durable_bytes + segment.rows.data_bytes,
            },
        );
        Self {
            row,
            schema,
            folder,
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
            chunk_commit_lock: tokio::sync::RwLock::default(),
            writer: Mutex::new(None),
            state: Mutex::new(State { segments: found, failed: BTreeMap::new(), durable }),
            changed: Notify::new(),
            cutting: tokio::sync::Mutex::default(),
        }
    }

    /// The topic's id.
    pub fn id(&self) -> TopicId {
        self.row.id
    }

    /// The path of a segment.
    pub fn file(&self, index: ChunkId) -> PathBuf {
        segment_file(&self.folder, index)
    }

    /// The name of a segment in messages.
    pub(crate) fn segment_name(&self, index: ChunkId) -> String {
        format!("segment {index} of topic `{}`", self.row.locator)
    }

    /// The durable rows and bytes, counted from the topic's first row.
    pub fn durable(&self) -> PutAck {
        self.state.lock().durable
    }

    /// Sets the durable counts, for a topic that just became active or that resumes in a new writer epoch.
    pub fn set_durable(&self, durable: PutAck) {
        self.state.lock().durable = durable;
    }

    /// The highest segment index in use.
    pub fn last_index(&self) -> Option<ChunkId> {
        self.state.lock().segments.keys().next_back().copied()
    }

    /// The highest segment index of a writer epoch, and the number of the topic's rows up to the end of that
    /// segment.
    pub fn last_of_epoch(&self, epoch: u32) -> Option<(ChunkId, u64)> {
        let state = self.state.lock();
        let (&index, segment) = state.segments.iter().rev().find(|&(&index, _)| index.epoch == epoch)?;
        Some((index, segment.row_end()))
    }

    /// Cuts off the rows of a writer epoch from the topic's row `limit` on, because another daemon received
    /// them again. The epoch has no writer any more.
    pub async fn cut(self: &Arc<Self>, epoch: u32, limit: u64) -> Result<()> {
        let _one = self.cutting.lock().await;
        for index in self.indices().into_iter().filter(|&index| index.epoch == epoch) {
            let Some(segment) = self.segment(index) else { continue };
            let row_start = segment.rows.row_start;
            if segment.row_end() <= limit {
                continue;
            }
            tracing::info!(topic = %self.row.locator, segment = %index, limit, "another daemon has the later rows");
            if row_start >= limit {
                self.segment_flushed(index);
                continue;
            }
            let (topic, file) = (Arc::clone(self), self.file(index).with_extension("cut"));
            let work = move || {
                let (from, name) = (topic.file(index), topic.segment_name(index));
                let known = (segment.end, segment.rows);
                segment::cut((&from, name), known, &file, &topic.schema, limit).map(|kept| (file, kept))
            };
            let cut = tokio::task::spawn_blocking(work).await;
            let (file, (end, rows)) = cut.map_err(|e| Error::internal("truncating the WAL", e))??;
            let mut state = self.state.lock();
            // Under the lock, so that a task that sees a segment can open its file.
            if let Some(known) = state.segments.get_mut(&index).filter(|known| **known == segment) {
                std::fs::rename(&file, self.file(index))
                    .and_then(|()| sync_folder(&self.folder))
                    .map_err(|e| Error::internal("truncating the WAL", e))?;
                *known = Segment { end, rows, closed: true, cut: true };
            }
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// A known segment.
    pub fn segment(&self, index: ChunkId) -> Option<Segment> {
        self.state.lock().segments.get(&index).copied()
    }

    /// Records that the segment's file is durable up to `end`, with `rows` more rows; returns the new durable
    /// counts.
    pub fn appended(&self, index: ChunkId, end: u64, new: SegmentRows) -> PutAck {
        let mut state = self.state.lock();
        state.durable.durable_rows += new.rows;
        state.durable.durable_bytes += new.data_bytes;
        state
            .segments
            .entry(index)
            .and_modify(|segment| {
                segment.end = end;
                segment.rows = segment.rows.then(new);
            })
            .or_insert(Segment { end, rows: new, closed: false, cut: false });
        let durable = state.durable;
        drop(state);
        self.changed.notify_waiters();
        durable
    }

    /// Records a complete segment that was restored from rows in the store; it may replace one that lacked
    /// rows.
    pub fn segment_restored(&self, index: ChunkId, segment: Segment) {
        let mut state = self.state.lock();
        let before = state.segments.insert(index, segment).map_or(0, |before| before.rows.data_bytes);
        state.durable.durable_rows = state.durable.durable_rows.max(segment.rows.row_end());
        state.durable.durable_bytes = state.durable.durable_bytes + segment.rows.data_bytes - before;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits until no earlier segment is left.
    pub async fn wait_for_earlier_segments(&self, index: ChunkId) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.state.lock().segments.range(..index).next().is_none() {
                return;
            }
            changed.await;
        }
    }

    /// Completes when, after this call, rows become durable, or a segment or the writer disappears.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Opens a segment for reading, if it is not yet in a chunk.
    pub fn view(&self, index: ChunkId) -> Result<Option<SegmentView>> {
        let state = self.state.lock();
        let Some(&segment) = state.segments.get(&index) else { return Ok(None) };
        Ok(Some(self.opened(index, segment)?))
    }

    /// Marks a segment as complete.
    pub fn close(&self, index: ChunkId) {
        if let Some(segment) = self.state.lock().segments.get_mut(&index) {
            segment.closed = true;
        }
    }

    /// Removes a segment whose rows are in a chunk.
    pub fn segment_flushed(&self, index: ChunkId) {
        let mut state = self.state.lock();
        state.segments.remove(&index);
        state.failed.remove(&index);
        // Under the lock, so that a task that sees a segment can open its file.
        discard(&self.file(index));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Records that the background job of a segment failed; it will be retried.
    pub fn fail(&self, index: ChunkId, error: Error) {
        self.state.lock().failed.insert(index, error);
        self.changed.notify_waiters();
    }

    /// Clears the failures and returns their segments, for a retry.
    pub fn take_failed(&self) -> Vec<ChunkId> {
        std::mem::take(&mut self.state.lock().failed).into_keys().collect()
    }

    /// Waits until fewer than `limit` closed segments are left.
    pub async fn wait_below(&self, limit: usize) -> Result<()> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.state.lock();
                if let Some(error) = state.failed.values().next() {
                    return Err(error.clone());
                }
                if state.segments.values().filter(|segment| segment.closed).count() < limit {
                    return Ok(());
                }
            }
            changed.await;
        }
    }

    /// Opens all segments for reading, in arrival order.
    pub fn views(&self) -> Result<Vec<SegmentView>> {
        let state = self.state.lock();
        state.segments.iter().map(|(&index, &segment)| self.opened(index, segment)).collect()
    }

    fn opened(&self, index: ChunkId, segment: Segment) -> Result<SegmentView> {
        let file = File::open(self.file(index)).map_err(|e| Error::internal("opening the WAL", e))?;
        let (name, row_end) = (self.segment_name(index), segment.row_end());
        Ok(SegmentView { index, name, file, segment, row_end })
    }

    /// The indices of the segments, whose rows are not yet in chunks.
    pub fn indices(&self) -> Vec<ChunkId> {
        self.state.lock().segments.keys().copied().collect()
    }

    /// Whether a put is open.
    pub fn is_written(&self) -> bool {
        self.writer.lock().is_some()
    }

    /// The segments, whose rows are not yet in chunks.
    pub fn segments(&self) -> Vec<Segment> {
        self.state.lock().segments.values().copied().collect()
    }

    /// The segments with their indices.
    pub fn indexed(&self) -> Vec<(ChunkId, Segment)> {
        self.state.lock().segments.iter().map(|(&index, &segment)| (index, segment)).collect()
    }

    /// Interrupts the open put, if there is one, and waits for its end.
    pub async fn end_writer(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match &*self.writer.lock() {
                Some(writer) => writer.cancel(),
                None => return,
            }
            changed.await;
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.is_written() && self.state.lock().segments.is_empty()
    }
}
