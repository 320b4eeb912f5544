//! Where the rows of a put become durable: on the disk of this daemon, or in the store first and then on the
//! disk.

use std::fmt::Debug;
use std::iter;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::paths::{LoggedRows, SequencePaths};
use mosaico_storage::objects::durable;
use mosaico_storage::wal::frame::{Frame, Framing, SegmentRows};
use mosaico_storage::wal::segment::SegmentWriter;
use mosaico_storage::{crash_points, trace};
use tokio::select;

use crate::state::active_topic::ActiveTopic;
use crate::state::engine::Engine;
use crate::state::lease::LeaseId;

/// Objects per segment at most: a daemon that resumes without the segment reads all of them.
const OBJECTS: u32 = 1000;

/// The write-ahead log of one put.
#[async_trait]
pub(super) trait WalSink: Debug + Send + Sync {
    /// Appends frames with `rows` to the segment `index`, a new one unless it is the segment of the previous
    /// call. Returns the end of the segment in bytes.
    ///
    /// Returned means durable: the rows survive the death of this process ([`LocalWal`]; also a power cut,
    /// unless `--acknowledge written` is set) or the loss of this machine ([`ReplicatedWal`]), and may be
    /// acknowledged. After an error they may be durable all the same, so that a later segment may repeat
    /// them; the caller neither acknowledges them nor appends to this segment again.
    async fn append(&mut self, index: ChunkId, rows: SegmentRows, frames: Vec<Frame>) -> Result<u64>;

    /// Whether the next rows need another segment, whatever the size of this one.
    fn is_full(&self) -> bool;
}

/// The WAL that the settings ask for. The caller holds the lock of the sequence.
pub(super) fn open(core: &Arc<Engine>, topic: &Arc<ActiveTopic>, schema: Frame) -> Box<dyn WalSink> {
    let lease = core.coordinator.lease();
    let local = LocalWal { core: Arc::clone(core), topic: Arc::clone(topic), schema, open: None };
    match core.config.replicates_wal() {
        true => Box::new(ReplicatedWal { local, objects: 0, lease }),
        false => Box::new(local),
    }
}

/// Segments in the state folder of this daemon.
#[derive(Debug)]
struct LocalWal {
    core: Arc<Engine>,
    topic: Arc<ActiveTopic>,
    schema: Frame,
    /// The open segment. A blocking thread owns it during a call.
    open: Option<(ChunkId, SegmentWriter)>,
}

#[async_trait]
impl WalSink for LocalWal {
    async fn append(&mut self, index: ChunkId, rows: SegmentRows, frames: Vec<Frame>) -> Result<u64> {
        let open = self.open.take().filter(|(open, _)| *open == index);
        let (core, topic, schema) = (Arc::clone(&self.core), Arc::clone(&self.topic), self.schema.clone());
        let doing = format!("writing the WAL of topic `{}`", topic.row.locator);
        let write = move || {
            let begun = Instant::now();
            let (file, acknowledge) = (topic.file(index), core.config.acknowledge);
            let is_new = open.is_none();
            let mut writer = match open {
                Some((_, writer)) => writer,
                None => {
                    let create = || SegmentWriter::create(&file, &schema, rows.row_start, acknowledge);
                    core.open_segments.with_room(create)?
                }
            };
            let end = core.open_segments.with_room(|| writer.append(&frames));
            if is_new && end.is_err() {
                // A segment without rows does not count, so the next put begins it again.
                durable::discard(&file);
            } else {
                writer.may_close(&core.open_segments);
            }
            core.metrics.wal_sync.observe(begun.elapsed().as_secs_f64());
            end.map(|end| (writer, end))
        };
        let written = trace::spawn_blocking(write).await.map_err(|e| Error::internal(doing.as_str(), e))?;
        let (writer, end) = written.map_err(|e| Error::internal(doing, e))?;
        self.open = Some((index, writer));
        Ok(end)
    }

    fn is_full(&self) -> bool {
        false
    }
}

/// Each group of rows is an object in the store before it is on the disk.
#[derive(Debug)]
struct ReplicatedWal {
    local: LocalWal,
    /// Objects of the open segment.
    objects: u32,
    /// In a cluster: rows are acknowledged under this lease.
    lease: Option<LeaseId>,
}

#[async_trait]
impl WalSink for ReplicatedWal {
    async fn append(&mut self, index: ChunkId, rows: SegmentRows, frames: Vec<Frame>) -> Result<u64> {
        if self.local.open.as_ref().is_none_or(|(open, _)| *open != index) {
            self.objects = 0;
        }
        self.replicate(index, rows, &frames).await?;
        self.objects += 1;
        crash_points::point();
        let end = self.local.append(index, rows, frames).await?;
        // Last: another daemon that adopts the topic then finds the object.
        self.confirm_lease().await?;
        Ok(end)
    }

    fn is_full(&self) -> bool {
        self.objects >= OBJECTS
    }
}

impl ReplicatedWal {
    async fn confirm_lease(&self) -> Result<()> {
        let (Some(lease), LocalWal { core, topic, .. }) = (&self.lease, &self.local) else { return Ok(()) };
        select! {
            confirmed = core.coordinator.confirm_lease(lease) => confirmed,
            () = topic.cancel.cancelled() => Err(Error::Deleted(topic.row.locator.to_string())),
            () = core.stopping.cancelled() => Err(core.ended()),
        }
    }

    async fn replicate(&self, index: ChunkId, rows: SegmentRows, frames: &[Frame]) -> Result<()> {
        let LocalWal { core, topic, schema, .. } = &self.local;
        let rows = LoggedRows { segment: index, row_start: rows.row_start, row_end: rows.row_end() };
        let path = SequencePaths(topic.row.sequence_id).topic(topic.id()).wal_object(rows);
        let mut framing = Framing::of_object(path.as_ref(), rows.row_start);
        let mut object = vec![Bytes::copy_from_slice(&framing.header())];
        for frame in iter::once(schema).chain(frames) {
            let failed = |e| Error::internal("writing the replicated WAL", e);
            object.extend(frame.pieces(&mut framing).map_err(failed)?);
        }
        let bytes = object.iter().map(|piece| piece.len() as u64).sum();
        match core.store.create(&path, object.into_iter().collect()).await {
            Ok(()) => {
                core.metrics.wal_replicated(bytes);
                Ok(())
            }
            // A late write of an earlier process occupies the path. The writer retries, in another segment.
            Err(Error::Internal(failure)) => {
                Err(Error::StoreUnavailable(failure.during(format!("writing {path}"))))
            }
            Err(error) => Err(error),
        }
    }
}
