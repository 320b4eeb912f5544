//! One put stream: appends to the WAL, syncs in groups, acknowledges, closes full segments, commits at the
//! end.

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use mosaico_storage::crash_points;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::wal::frame::{Frame, SegmentRows};
use mosaico_wire::command::PutAck;
use mosaico_wire::ipc::schema_message;
use tokio::select;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument;

use super::commit::commit;
use super::handover::{earlier_are_stored, uploaded};
use super::wal_sink::WalSink;
use crate::reconcile::sequence_lock;
use crate::state::active_topic::{self, ActiveTopic};
use crate::state::active_topics::WriterGuard;
use crate::state::engine::Engine;
use crate::state::limits::Receipt;
use crate::state::queue::Job;

/// Bytes that a stream gathers at most while the disk is busy.
const GROUP_BYTES: u64 = 4 << 20;

/// A validated batch that is not yet in the WAL; its `row_start` is still unknown.
#[derive(Debug)]
pub struct PendingBatch {
    pub frame: Frame,
    pub rows: SegmentRows,
    /// Of its message; released once the batch has permits of the ingest budget.
    pub receipt: Receipt,
}

/// Frames that are written and synced together.
#[derive(Debug, Default)]
struct Group {
    frames: Vec<Frame>,
    bytes: u64,
    rows: Option<SegmentRows>,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Group {
    fn push(&mut self, incoming: PendingBatch, permit: OwnedSemaphorePermit) {
        let PendingBatch { frame, rows, receipt: _ } = incoming;
        self.bytes += frame.stored_bytes();
        self.frames.push(frame);
        self.permits.push(permit);
        self.rows = Some(match self.rows.take() {
            Some(sum) => sum.then(rows),
            None => rows,
        });
    }
}

/// The log, the end of its segment, and the appended rows, frames and bytes.
type Synced = (Box<dyn WalSink>, Result<u64>, SegmentRows, (u64, u64));

/// An open put.
#[derive(Debug)]
pub struct PutSession {
    core: Arc<Engine>,
    topic: Arc<ActiveTopic>,
    writer: WriterGuard,
    /// Make shutdown and removal of the topic wait for the put.
    _tokens: [TaskTrackerToken; 2],
    /// `None` while a task appends to it.
    wal: Option<Box<dyn WalSink>>,
    /// The segment that the next rows extend.
    segment: Option<ChunkId>,
    next_index: ChunkId,
    /// The writer epoch of this put, if several daemons may share the store.
    epoch: Option<u32>,
    acks: watch::Sender<PutAck>,
}

impl PutSession {
    /// A put that appends from segment `next_index` on, in the writer epoch `epoch`.
    pub(super) fn new(
        core: &Arc<Engine>,
        writer: WriterGuard,
        wal: Box<dyn WalSink>,
        (next_index, epoch): (ChunkId, Option<u32>),
        acks: watch::Sender<PutAck>,
    ) -> Self {
        let (core, topic) = (Arc::clone(core), Arc::clone(writer.topic()));
        let _tokens = [core.tasks.token(), topic.tasks.token()];
        Self { core, topic, writer, _tokens, wal: Some(wal), segment: None, next_index, epoch, acks }
    }

    /// The topic, for validating batches.
    pub fn topic(&self) -> &Arc<active_topic::ActiveTopic> {
        &self.topic
    }

    /// Stores `batches`. If the stream ends without an error, commits the topic; otherwise the received rows
    /// stay and a later put with the same key resumes.
    pub async fn run(
        mut self,
        batches: impl Stream<Item = Result<PendingBatch>> + Send + Unpin,
    ) -> Result<()> {
        let received = self.receive(batches).await;
        self.core.writers.record_activity(self.topic.row.sequence_id);
        if let Some(segment) = self.segment.take() {
            self.close(segment);
        }
        received?;
        let settled = self.topic.wait_below(1);
        let (topic, core) = (&self.topic, &self.core);
        let replaced = self.writer.replaced();
        select! {
            settled = settled => settled?,
            () = replaced.cancelled() => return Err(Error::Replaced(topic.row.locator.to_string())),
            () = topic.cancel.cancelled() => return Err(Error::Deleted(topic.row.locator.to_string())),
            () = core.stopping.cancelled() => return Err(core.ended()),
        }
        self.commit().await
    }

    fn close(&self, index: ChunkId) {
        self.topic.close(index);
        self.core.queue.enqueue(Job::Chunk(self.topic.id(), index));
    }

    /// Receives batches and syncs them until the stream ends or is interrupted. Each batch passes through
    /// these states:
    ///
    /// - pending (`backpressured`): received, without a permit of the ingest budget. There is at most one, and the
    ///   stream reads no further batch meanwhile: this is the backpressure on the client.
    /// - group: has a permit and waits for the previous sync, and for `due`. A group that is full, or
    ///   followed by a pending batch or by the end of the stream, does not wait for `due`.
    /// - sync in flight (`syncing`): the spawned task owns the open segment and the permits, which it drops
    ///   after the write.
    /// - ended (`ended`): the stream ended, failed, was replaced, or the server stops. The loop reads nothing
    ///   more, syncs and acknowledges the rest, and then returns the result; an interrupted stream drops its
    ///   pending batch.
    ///
    /// `biased` sets the priority: deletion first, so that the loop starts no further sync in a topic that is
    /// being deleted; then a finished sync, so that a fast client cannot delay acknowledgements; then
    /// interruption; new batches last.
    ///
    /// Deadlock freedom: the stream waits for the budget only without a group and a sync, that is, without
    /// permits of its own; otherwise it only tries. It owns no lock of [`sequence_lock`] here. With the
    /// permits of a group it may wait for the store, for the disk and, before a new segment, for the chunker,
    /// which needs no permit of the ingest budget.
    async fn receive(
        &mut self,
        mut batches: impl Stream<Item = Result<PendingBatch>> + Send + Unpin,
    ) -> Result<()> {
        let mut group = Group::default();
        // The pending batch: received, but the ingest budget had no room for it yet. The stream reads no
        // further batch until it has.
        let mut backpressured: Option<PendingBatch> = None;
        let mut syncing: Option<JoinHandle<Synced>> = None;
        let mut ended: Option<Result<()>> = None;
        let mut due = Instant::now();
        let (topic, core) = (Arc::clone(&self.topic), Arc::clone(&self.core));
        let replaced = self.writer.replaced();
        let group_bytes = GROUP_BYTES.min(core.config.chunk_bytes as u64);
        loop {
            if let Some(incoming) = backpressured.take() {
                let permits = self.permits(&incoming);
                let budget = Arc::clone(&core.ingest_budget);
                // Only a stream that owns no permits waits for those of others.
                let permit = if syncing.is_none() && group.frames.is_empty() {
                    select! {
                        permit = budget.acquire_many_owned(permits) => permit.ok(),
                        () = topic.cancel.cancelled() => None,
                        () = core.stopping.cancelled() => None,
                    }
                } else {
                    budget.try_acquire_many_owned(permits).ok()
                };
                match permit {
                    Some(permit) => group.push(incoming, permit),
                    None => backpressured = Some(incoming),
                }
            }
            let waits = syncing.is_none() && !group.frames.is_empty();
            let full = group.bytes >= group_bytes || backpressured.is_some() || ended.is_some();
            if waits && (full || Instant::now() >= due) {
                due = Instant::now() + core.config.sync_interval;
                syncing = Some(self.start_sync(std::mem::take(&mut group)).await?);
            }
            if let (None, Some(result)) = (&syncing, &ended)
                && group.frames.is_empty()
                && backpressured.is_none()
            {
                return result.clone();
            }
            let reading = ended.is_none() && backpressured.is_none() && group.bytes < group_bytes;
            select! {
                biased;
                () = topic.cancel.cancelled() => {
                    // The segment is about to be deleted. The running sync finishes first, so that nothing
                    // writes to it afterwards.
                    if let Some(job) = syncing.take() { self.on_sync_complete(job.await)?; }
                    return Err(Error::Deleted(topic.row.locator.to_string()));
                }
                done = async { syncing.as_mut().expect("guarded").await }, if syncing.is_some() => {
                    syncing = None;
                    self.on_sync_complete(done)?;
                }
                () = replaced.cancelled(), if ended.is_none() => {
                    backpressured = None;
                    ended = Some(Err(Error::Replaced(topic.row.locator.to_string())));
                }
                () = core.stopping.cancelled(), if ended.is_none() => {
                    backpressured = None;
                    ended = Some(Err(core.ended()));
                }
                () = tokio::time::sleep_until(due), if syncing.is_none() && !group.frames.is_empty() => {}
                next = batches.next(), if reading => match next {
                    Some(Ok(incoming)) => {
                        core.metrics.ingress.add(1, incoming.rows.rows, incoming.frame.stored_bytes());
                        backpressured = Some(incoming);
                    }
                    Some(Err(error)) => ended = Some(Err(error)),
                    None => ended = Some(Ok(())),
                },
            }
        }
    }

    fn permits(&self, incoming: &PendingBatch) -> u32 {
        let all = self.core.config.ingest_bytes as u64;
        u32::try_from(incoming.frame.stored_bytes().min(all)).unwrap_or(u32::MAX)
    }

    /// Appends a group to the WAL in a task, which owns the log and the permits meanwhile.
    async fn start_sync(&mut self, group: Group) -> Result<JoinHandle<Synced>> {
        let index = match self.segment {
            Some(index) => index,
            None => {
                self.wait_for_room().await?;
                let index = self.next_index;
                self.next_index = index.next()?;
                index
            }
        };
        let Group { frames, bytes, rows, permits } = group;
        let mut rows = rows.ok_or_else(|| Error::Internal("syncing an empty group".into()))?;
        rows.row_start = self.topic.durable().durable_rows;
        let mut wal = self.wal.take().ok_or_else(|| Error::Internal("syncing two groups".into()))?;
        self.segment = Some(index);
        let work = async move {
            let batches = frames.len() as u64;
            let end = wal.append(index, rows, frames).await;
            drop(permits);
            (wal, end, rows, (batches, bytes))
        };
        Ok(tokio::spawn(work.in_current_span()))
    }

    async fn wait_for_room(&self) -> Result<()> {
        let (topic, core) = (&self.topic, &self.core);
        let replaced = self.writer.replaced();
        select! {
            room = topic.wait_below(core.config.pending_segments) => room,
            () = replaced.cancelled() => Err(Error::Replaced(topic.row.locator.to_string())),
            () = topic.cancel.cancelled() => Err(Error::Deleted(topic.row.locator.to_string())),
            () = core.stopping.cancelled() => Err(core.ended()),
        }
    }

    /// Handles a finished sync: acknowledges its rows, and closes the segment once it is large enough.
    fn on_sync_complete(&mut self, done: Result<Synced, tokio::task::JoinError>) -> Result<()> {
        let doing = || format!("writing the WAL of topic `{}`", self.topic.row.locator);
        let (wal, end, rows, (batches, bytes)) = done.map_err(|e| Error::internal(doing(), e))?;
        let Some(index) = self.segment else {
            return Err(Error::Internal("acknowledging rows of no segment".into()));
        };
        // The new owner of the bucket does not have rows that are on this disk only, so they must not be
        // acknowledged.
        self.core.check_owner()?;
        let durable = self.topic.appended(index, end?, rows);
        self.core.metrics.acknowledged.add(batches, rows.rows, bytes);
        crash_points::point();
        self.acks.send_replace(durable);
        let full =
            |segment: active_topic::Segment| segment.rows.data_bytes >= self.core.config.chunk_bytes as u64;
        if wal.is_full() || self.topic.segment(index).is_some_and(full) {
            self.segment = None;
            self.close(index);
        }
        self.wal = Some(wal);
        Ok(())
    }

    async fn commit(self) -> Result<()> {
        let (core, topic) = (&self.core, &self.topic);
        let row = &topic.row;
        let gone = || Error::Deleted(row.locator.to_string());
        let replaced = || Error::Replaced(row.locator.to_string());
        let cancelled = self.writer.replaced();
        let _lock = select! {
            lock = sequence_lock::lock(core, row.sequence_id) => lock?,
            () = cancelled.cancelled() => return Err(replaced()),
            // The task that deletes the topic holds the lock and waits for this put.
            () = topic.cancel.cancelled() => return Err(gone()),
        };
        let now = core.catalog.topic_by_id(row.id).await?.filter(|row| !row.deleting).ok_or_else(gone)?;
        let epochs = core.catalog.epochs(row.id).await?;
        if let Some(last) = epochs.last() {
            if Some(last.number) != self.epoch {
                return Err(replaced());
            }
            let chunks = core.catalog.chunks(row.id).await?;
            if !earlier_are_stored(&epochs, &chunks, &now.damage) {
                return uploaded(core, row, topic.durable().durable_rows).await;
            }
        }
        commit(core, row, schema_message(&topic.schema)).await?;
        remove_log(&topic.folder);
        Ok(())
    }
}

/// Removes the empty WAL folder of a complete topic. If that fails, the next start removes it.
fn remove_log(folder: &std::path::Path) {
    if let Err(e) = std::fs::remove_dir(folder)
        && e.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), cause = %e, "cannot remove a log folder");
    }
}
