//! One put stream: appends to the WAL, syncs in groups, acknowledges, closes full segments, commits at the
//! end.

use std::io;
use std::sync::Arc;

use arrow::datatypes::Schema;
use futures::{Stream, StreamExt};
use mosaico_catalog::{EpochRow, TopicRow};
use mosaico_storage::crash_points;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_file::check_schema;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::ResumedRecord;
use mosaico_storage::format::schema::{parse_schema_message, same_shape, stored_schema};
use mosaico_storage::wal::frame::{Frame, SegmentRows};
use mosaico_types::{ErrorCode, TopicLocator, now_ns};
use mosaico_wire::command::{PutAck, PutCommand};
use mosaico_wire::ipc::schema_message;
use tokio::select;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument;

use super::commit::commit;
use super::handover::{earlier_are_stored, uploaded};
use super::replicated_wal::catch_up;
use super::wal_plan::last_of_epoch;
use super::wal_sink::{self, WalSink};
use crate::reconcile::sequence_lock;
use crate::state::active_topic::{self, ActiveTopic, WriterGuard};
use crate::state::engine::Engine;
use crate::state::guards::{check_key, check_open};
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

/// Checks that the command's key opens the topic for a put with `schema`, and acquires the topic's single
/// writer.
pub async fn begin(
    core: &Arc<Engine>,
    locator: &TopicLocator,
    command: &PutCommand,
    schema: &Schema,
    acks: watch::Sender<PutAck>,
) -> Result<PutSession> {
    let stored = stored_schema(schema)?;
    check_schema(&stored).map_err(|error| {
        tracing::debug!(topic = %locator, %error, "a schema without a Parquet form");
        let text = "the schema cannot be stored: a column has a type without a Parquet form";
        Error::Refused(ErrorCode::BadSchema, text.into())
    })?;
    if command.resume.is_some() {
        take_over(core, locator, &command.key).await?;
    }
    let (_lock, sequence) = sequence_lock::locked(core, &locator.sequence).await?;
    let row = core.catalog.topic(locator).await?;
    check_key(&row.key, &command.key, &locator.to_string())?;
    if row.committed_ns.is_some() {
        return Err(Error::TopicLocked(locator.to_string()));
    }
    check_open(&sequence)?;
    core.live.check_recovered(&row)?;
    core.writers.record_activity(sequence.id);
    if let Some(times) = command.resume {
        save_resumed(core, &row, times).await?;
    }
    // The epoch precedes the schema: readers wait for the schema and then know which daemon has the rows.
    let epoch = core.coordinator.enter_topic(core, &row, command).await?;
    let stored = match &row.schema {
        None => {
            save_schema(core, &row, &schema_message(&stored)).await?;
            stored
        }
        Some(bytes) => {
            let snapshot = parse_schema_message(bytes)?;
            if !same_shape(&snapshot, &stored) {
                return Err(Error::Refused(
                    ErrorCode::BadSchema,
                    schema_difference(locator, &snapshot, &stored),
                ));
            }
            snapshot
        }
    };
    let message = schema_message(&stored);
    let (id, folder) = (row.id, core.wal_folder(row.id));
    let create = || ActiveTopic::new(row, stored, folder, Default::default());
    let writer = core.live.open(id, create).ok_or_else(|| Error::TopicBusy(locator.to_string()))?;
    let topic = Arc::clone(writer.topic());
    let next_index = match &epoch {
        None => {
            // Segments before chunks: a background job moves rows from segments to chunks.
            let last_segment = topic.last_index();
            let last_chunk = core.catalog.chunks(id).await?.last().map(|chunk| chunk.id);
            let row = core.catalog.topic(locator).await?;
            writer.settle(&row);
            let last_damaged = row.damage.iter().map(|segment| segment.id).max();
            match last_segment.max(last_chunk).max(last_damaged) {
                Some(last) => last.next()?,
                None => ChunkId::first(0),
            }
        }
        Some(epoch) => {
            core.catalog.epoch_used(id, epoch.number).await?;
            catch_up(core, &topic, epoch).await?;
            resume_epoch(core, &topic, epoch).await?
        }
    };
    for index in topic.take_failed() {
        core.queue.enqueue(Job::Chunk(id, index));
    }
    acks.send_replace(topic.durable());
    Ok(PutSession {
        core: Arc::clone(core),
        _tokens: [core.tasks.token(), topic.tasks.token()],
        wal: Some(wal_sink::open(core, &topic, Frame::schema(message))),
        topic,
        writer,
        segment: None,
        next_index,
        epoch: epoch.map(|epoch| epoch.number),
        acks,
    })
}

/// Returns the next index of an epoch to which no other put appends, and corrects the durable counts.
async fn resume_epoch(core: &Engine, topic: &ActiveTopic, epoch: &EpochRow) -> Result<ChunkId> {
    // Segments before chunks, as above.
    let segment = topic.last_of_epoch(epoch.number);
    let chunks = core.catalog.chunks(topic.id()).await?;
    let row = core.catalog.topic_by_id(topic.id()).await?;
    let damage = row.map(|row| row.damage).unwrap_or_default();
    let last = last_of_epoch(segment, &chunks, &damage, epoch.number);
    let durable_bytes = chunks.iter().map(|chunk| chunk.data_bytes).sum::<u64>()
        + topic.segments().iter().map(|segment| segment.rows.data_bytes).sum::<u64>();
    let durable_rows = last.map_or(epoch.row_start, |(_, row_end)| row_end);
    topic.set_durable(PutAck { durable_rows, durable_bytes });
    match last {
        Some((last, _)) => last.next(),
        None => Ok(ChunkId::first(epoch.number)),
    }
}

fn schema_difference(locator: &TopicLocator, snapshot: &Schema, given: &Schema) -> String {
    let text = |schema: &Schema| {
        let fields = schema.fields().iter().map(|field| {
            let null = if field.is_nullable() { "?" } else { "" };
            format!("{}: {}{null}", field.name(), field.data_type())
        });
        fields.collect::<Vec<_>>().join(", ")
    };
    format!(
        "the schema of topic `{locator}` was fixed by its first upload as [{}]; this stream has [{}]",
        text(snapshot),
        text(given)
    )
}

/// Ends the stream that the writer's broken connection may have left open, and waits until it has released
/// the topic.
async fn take_over(core: &Engine, locator: &TopicLocator, key: &str) -> Result<()> {
    let row = core.catalog.topic(locator).await?;
    check_key(&row.key, key, &locator.to_string())?;
    if let Some(topic) = core.live.get(row.id) {
        topic.end_writer().await;
    }
    Ok(())
}

async fn save_resumed(core: &Engine, row: &TopicRow, times: u32) -> Result<()> {
    let record = ResumedRecord { times, last_ns: now_ns() };
    let change = core.catalog.begin(row.sequence_id).await?;
    core.store.put_json(&SequencePaths(row.sequence_id).topic(row.id).resumed(), &record).await?;
    core.catalog.topic_resumed(change, row.id, times).await
}

async fn save_schema(core: &Engine, row: &TopicRow, message: &[u8]) -> Result<()> {
    let change = core.catalog.begin(row.sequence_id).await?;
    let path = SequencePaths(row.sequence_id).topic(row.id).schema();
    core.store.create(&path, message.to_vec().into()).await?;
    core.catalog.topic_schema(change, row.id, message).await
}

impl PutSession {
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
    /// - pending (`held`): received, without a permit of the ingest budget. There is at most one, and the
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
        let mut held: Option<PendingBatch> = None;
        let mut syncing: Option<JoinHandle<Synced>> = None;
        let mut ended: Option<Result<()>> = None;
        let mut due = Instant::now();
        let (topic, core) = (Arc::clone(&self.topic), Arc::clone(&self.core));
        let replaced = self.writer.replaced();
        let group_bytes = GROUP_BYTES.min(core.config.chunk_bytes as u64);
        loop {
            if let Some(incoming) = held.take() {
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
                    None => held = Some(incoming),
                }
            }
            let waits = syncing.is_none() && !group.frames.is_empty();
            let full = group.bytes >= group_bytes || held.is_some() || ended.is_some();
            if waits && (full || Instant::now() >= due) {
                due = Instant::now() + core.config.sync_interval;
                syncing = Some(self.start_sync(std::mem::take(&mut group)).await?);
            }
            if let (None, Some(result)) = (&syncing, &ended)
                && group.frames.is_empty()
                && held.is_none()
            {
                return result.clone();
            }
            let reading = ended.is_none() && held.is_none() && group.bytes < group_bytes;
            select! {
                biased;
                () = topic.cancel.cancelled() => {
                    // The segment is about to be deleted. The running sync finishes first, so that nothing
                    // writes to it afterwards.
                    if let Some(job) = syncing.take() { self.synced(job.await)?; }
                    return Err(Error::Deleted(topic.row.locator.to_string()));
                }
                done = async { syncing.as_mut().expect("guarded").await }, if syncing.is_some() => {
                    syncing = None;
                    self.synced(done)?;
                }
                () = replaced.cancelled(), if ended.is_none() => {
                    held = None;
                    ended = Some(Err(Error::Replaced(topic.row.locator.to_string())));
                }
                () = core.stopping.cancelled(), if ended.is_none() => {
                    held = None;
                    ended = Some(Err(core.ended()));
                }
                () = tokio::time::sleep_until(due), if syncing.is_none() && !group.frames.is_empty() => {}
                next = batches.next(), if reading => match next {
                    Some(Ok(incoming)) => {
                        core.metrics.ingress.add(1, incoming.rows.rows, incoming.frame.stored_bytes());
                        held = Some(incoming);
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
    fn synced(&mut self, done: Result<Synced, tokio::task::JoinError>) -> Result<()> {
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
