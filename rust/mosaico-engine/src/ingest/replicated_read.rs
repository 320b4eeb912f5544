//! Reads rows that another daemon acknowledged and that are not in chunks yet, from its replicated WAL in the store:
//! for reads that the other daemon does not answer.
//!
//! The other daemon may continue meanwhile. An object is deleted after its rows are in a chunk, so the objects are listed
//! before the chunks: each row is then in one of both lists. Chunks decide about rows that are in both.

use std::fs::File;

use arrow::datatypes::SchemaRef;
use mosaico_catalog::{ChunkRow, EpochRow, TopicRow};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::schema::parse_schema_message;
use mosaico_storage::trace;
use mosaico_storage::wal::segment::write_new;

use super::handover::missing_rows;
use super::replicated_wal::{Restored, list, read};
use super::wal_plan::{Piece, last_of_epoch, plan, waiting};
use crate::state::active_topic::{Segment, SegmentView};
use crate::state::engine::{Engine, Replicated};
use crate::state::membership::Cluster;

/// Attempts to read objects, which their daemon deletes when their rows are in chunks.
const ATTEMPTS: usize = 5;

/// The rows of a topic that only the replicated WAL of another daemon has; `None`: there are none.
pub async fn of_others(core: &Engine, cluster: &Cluster, topic: &TopicRow) -> Result<Option<Replicated>> {
    let mut attempts = 0;
    loop {
        let Some(plan) = Plan::of(core, cluster, topic).await? else { return Ok(None) };
        attempts += 1;
        match plan.segments(core).await {
            Ok(segments) => return Ok(Some(Replicated { segments, chunks: plan.chunks })),
            Err(Error::Internal(_)) if attempts < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
}

/// Which objects have the rows.
struct Plan {
    topic: TopicRow,
    schema: SchemaRef,
    chunks: Vec<ChunkRow>,
    pieces: Vec<Piece>,
}

impl Plan {
    async fn of(core: &Engine, cluster: &Cluster, topic: &TopicRow) -> Result<Option<Self>> {
        let Some(topic) = core.catalog.topic_by_id(topic.id).await? else { return Ok(None) };
        let Some(schema) = topic.schema.as_deref().filter(|_| topic.committed_ns.is_none()) else {
            return Ok(None);
        };
        let schema = parse_schema_message(schema)?;
        let is_others = |last: &&EpochRow| last.wal_in_store && last.daemon != cluster.id();
        let epochs = core.catalog.epochs(topic.id).await?;
        if epochs.last().filter(is_others).is_none() || missing_rows(core, &topic).await?.is_empty() {
            return Ok(None);
        }
        let objects = list(core, &topic).await?;
        let chunks = core.catalog.chunks(topic.id).await?;
        // Epochs last: a chunk in the list above has its epoch then.
        let epochs = core.catalog.epochs(topic.id).await?;
        let Some(last) = epochs.last().filter(is_others) else { return Ok(None) };
        let from = last_of_epoch(None, &chunks, &topic.damage, last.number);
        let from = from.map_or(last.row_start, |(_, end)| end);
        let pieces = plan(&waiting(objects, &epochs, &chunks), from, u64::MAX);
        Ok(Some(Self { topic, schema, chunks, pieces }))
    }

    async fn segments(&self, core: &Engine) -> Result<Vec<SegmentView>> {
        let mut segments = Vec::new();
        for pieces in self.pieces.chunk_by(|a, b| a.object.segment == b.object.segment) {
            segments.extend(self.segment(core, pieces).await?);
        }
        Ok(segments)
    }

    /// Copies the rows of a segment to a file that has no name any more.
    async fn segment(&self, core: &Engine, pieces: &[Piece]) -> Result<Option<SegmentView>> {
        let doing = "reading the replicated WAL";
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Ok(None) };
        let (index, range) = (first.object.segment, first.rows.start..last.rows.end);
        // Chunks in progress and segments being read share this memory budget.
        let memory = core.chunk_jobs.acquire().await.map_err(|e| Error::internal(doing, e))?;
        let restored = read(core, &self.topic, &self.schema, pieces).await?;
        restored.check(range.clone())?;
        let Restored { frames, rows: Some(rows), .. } = restored else { return Ok(None) };
        let (scratch, schema) = (core.store.staging_file()?, SchemaRef::clone(&self.schema));
        let work = move || -> Result<_> {
            let end = write_new(&scratch.file, &schema, range.start, &frames)?;
            let file = File::open(&scratch.file).map_err(|e| Error::internal(doing, e))?;
            Ok((file, end))
        };
        let (file, end) = trace::spawn_blocking(work).await.map_err(|e| Error::internal(doing, e))??;
        drop(memory);
        let segment = Segment { end, rows, closed: true, cut: false };
        let name = format!("segment {index} of topic `{}` in the store", self.topic.locator);
        Ok(Some(SegmentView { index, name, file, segment, row_end: rows.row_end() }))
    }
}
