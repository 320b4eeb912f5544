//! Reads rows that another daemon acknowledged and that are not in chunks yet, from its replicated WAL in the store:
//! for reads that the other daemon does not answer.
//!
//! The other daemon may continue meanwhile. So the chunks that a read combines with these rows are listed here too, and
//! all of it is read again if a chunk came in between.

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

/// Attempts to read the rows while their daemon stores them as chunks.
const ATTEMPTS: usize = 5;

/// The rows of a topic that only the replicated WAL of another daemon has; `None`: there are none.
pub async fn of_others(core: &Engine, cluster: &Cluster, topic: &TopicRow) -> Result<Option<Replicated>> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let Some(plan) = Plan::of(core, cluster, topic).await? else { return Ok(None) };
        let segments = plan.segments(core).await;
        match (Plan::of(core, cluster, topic).await?, segments) {
            (Some(now), Ok(segments)) if now.is_like(&plan) => {
                return Ok(Some(Replicated { segments, chunks: plan.chunks }));
            }
            // Its objects may have become a chunk before they were read.
            (_, segments) => last = segments.err(),
        }
    }
    let changes = || {
        let text = format!("reading topic `{}`, whose rows another daemon stores meanwhile,", topic.locator);
        Error::StoreUnavailable(text.into())
    };
    Err(last.unwrap_or_else(changes))
}

/// Which objects have the rows.
struct Plan {
    topic: TopicRow,
    schema: SchemaRef,
    epochs: Vec<EpochRow>,
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
        let epochs = core.catalog.epochs(topic.id).await?;
        let Some(last) = epochs.last().filter(|last| last.wal_in_store && last.daemon != cluster.id()) else {
            return Ok(None);
        };
        if missing_rows(core, &topic).await?.is_empty() {
            return Ok(None);
        }
        let chunks = core.catalog.chunks(topic.id).await?;
        let from = last_of_epoch(None, &chunks, &topic.damage, last.number);
        let from = from.map_or(last.row_start, |(_, end)| end);
        let objects = list(core, &topic).await?;
        let pieces = plan(&waiting(objects, &epochs, &chunks), from, u64::MAX);
        Ok(Some(Self { topic, schema, epochs, chunks, pieces }))
    }

    /// Whether no chunk and no daemon came in between. Rows may have.
    fn is_like(&self, other: &Self) -> bool {
        let numbers = |plan: &Self| plan.epochs.iter().map(|epoch| epoch.number).collect::<Vec<_>>();
        let ids = |plan: &Self| plan.chunks.iter().map(|chunk| chunk.id).collect::<Vec<_>>();
        numbers(self) == numbers(other) && ids(self) == ids(other)
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
