//! Compaction: merges many small chunks of a topic into few large ones, concurrently with readers.
//!
//! The rows of all its chunks are merged by time into new files with unused indices. One write of the commit
//! record replaces the old chunks by the new ones. A reader of old chunks continues: garbage collection
//! deletes their files once the record is older than the grace period for unreferenced files. A crash leaves
//! either the old or the new chunks.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use mosaico_catalog::{ChunkRow, TopicRow};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_file::{ChunkLabel, write_chunk};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::paths::{RecordKey, SequencePaths, StoreFile, TopicPaths, locate};
use mosaico_storage::format::records::{ChunkRecord, CommitRecord};
use mosaico_storage::format::schema::{ColumnPresence, conform, parse_schema_message, times};
use mosaico_wire::maintenance::{Problem, Progress};
use object_store::UpdateVersion;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::read::request::BatchStream;
use crate::read::topic::read_chunks;
use crate::reconcile::sequence_lock;
use crate::state::engine::Engine;

/// The result of a compaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Topics whose chunks were compacted.
    pub topics: u64,
    /// Chunks of these topics before.
    pub chunks_before: u64,
    /// Chunks of these topics after.
    pub chunks_after: u64,
    /// Rows of these topics.
    pub rows: u64,
    /// Topics that were left unchanged; `mosaicod check --deep` reports details.
    pub problems: Vec<Problem>,
}

/// Compacts the chunks of all topics of finalized sequences.
pub async fn run(core: &Arc<Engine>, progress: &(dyn Fn(Progress) + Sync)) -> Result<Compacted> {
    let mut done = Compacted::default();
    let ids = core.catalog.sequence_ids().await?;
    let total = ids.len() as u64;
    for (number, id) in (0..).zip(ids) {
        progress(Progress { done: number, total });
        if core.stopping.is_cancelled() {
            break;
        }
        match core.catalog.sequence_by_id(id).await? {
            Some(row) if !row.deleting && row.finalized_ns.is_some() => {}
            _ => continue,
        }
        for topic in core.catalog.topics(id).await? {
            match compact(core, &topic).await {
                Ok(Some((before, after))) => {
                    done.topics += 1;
                    done.chunks_before += before;
                    done.chunks_after += after;
                    done.rows += topic.rows;
                }
                Ok(None) => {}
                Err(error @ (Error::Full(_) | Error::StoreUnavailable(_))) => return Err(error),
                Err(error) => done.problems.push(Problem {
                    path: SequencePaths(id).topic(topic.id).folder().to_string(),
                    text: format!("the chunks of `{}` stay as they are: {}", topic.locator, error.detail()),
                    repaired: false,
                }),
            }
        }
    }
    progress(Progress { done: total, total });
    Ok(done)
}

/// Returns the numbers of chunks before and after, if the topic was compacted.
async fn compact(core: &Arc<Engine>, topic: &TopicRow) -> Result<Option<(u64, u64)>> {
    let chunks = core.catalog.chunks(topic.id).await?;
    let parts = parts(topic, core.config.chunk_bytes as u64);
    if topic.committed_ns.is_none() || topic.deleting || !is_worth_it(&chunks, parts.len()) {
        return Ok(None);
    }
    let paths = SequencePaths(topic.sequence_id).topic(topic.id);
    let commit = core.store.get_json_versioned::<CommitRecord>(&paths.committed()).await?;
    let missing = || Error::Internal(format!("looking for {}", paths.committed()).into());
    let (commit, version) = commit.ok_or_else(missing)?;
    let schema = parse_schema_message(&commit.schema)?;
    let before = chunks.len() as u64;
    let stream = read_chunks(core, topic, &schema, chunks.clone());
    let mut rows = Rows { stream, schema, rest: None };
    let mut joined: Vec<ChunkRecord> = Vec::new();
    let mut next = unused_id(core, topic, paths).await?;
    for count in parts {
        let start = joined.last().map_or(0, |last| last.row_start + last.rows);
        let data_bytes = share(topic, start + count) - share(topic, start);
        let part = Part { id: next, start, rows: count, data_bytes };
        next = next.next()?;
        let record;
        (rows, record) = part.write(core, topic, rows).await?;
        joined.push(record);
    }
    if rows.next().await?.is_some() || !is_same(&commit.chunks, &joined) {
        let text = format!("joining the chunks of `{}`, which are not what their records say", topic.locator);
        return Err(Error::Internal(text.into()));
    }
    let after = joined.len() as u64;
    let commit = CommitRecord { chunks: joined, ..commit };
    let replaced = replace(core, topic, paths, (commit, version), &chunks).await?;
    Ok(replaced.then_some((before, after)))
}

/// Rows of each new chunk: equal shares of about `bytes`.
fn parts(topic: &TopicRow, bytes: u64) -> Vec<u64> {
    let count = topic.data_bytes.div_ceil(bytes.max(1)).clamp(1, topic.rows.max(1));
    let until = |part: u64| (u128::from(topic.rows) * u128::from(part) / u128::from(count)) as u64;
    (0..count).map(|part| until(part + 1) - until(part)).collect()
}

/// The share of the topic's received bytes that is attributed to its first `rows` rows; the sum over all
/// chunks stays the same.
fn share(topic: &TopicRow, rows: u64) -> u64 {
    (u128::from(topic.data_bytes) * u128::from(rows) / u128::from(topic.rows.max(1))) as u64
}

/// Compaction pays off if it yields far fewer chunks, or replaces chunks that overlap in time by consecutive
/// ones.
fn is_worth_it(chunks: &[ChunkRow], parts: usize) -> bool {
    let mut spans: Vec<(i64, i64)> = chunks.iter().map(|chunk| (chunk.ts_min, chunk.ts_max)).collect();
    spans.sort_unstable();
    let overlap = spans.windows(2).any(|pair| pair[0].1 > pair[1].0);
    chunks.len() > 1 && (overlap || chunks.len() > parts + parts / 2)
}

/// The first unused chunk id. Files that a crash left count as used, because facts cached for a path must
/// stay true; so do segments whose rows are lost, because no chunk may seem to be made from them. Files of a
/// former owner of a bucket may still arrive, so each owner numbers in an epoch that is its ownership epoch
/// or a later one. No former owner reaches it: that owner had the bucket for itself, so its writers numbered
/// in epoch 0 and its compactions in its own epoch at most.
async fn unused_id(core: &Engine, topic: &TopicRow, paths: TopicPaths) -> Result<ChunkId> {
    let names = core.store.list_files(&paths.folder()).await?;
    let id = |name: &String| match locate(&paths.folder().join(name.as_str())).file {
        StoreFile::Chunk(id) | StoreFile::Record(_, RecordKey::Chunk(id)) => Some(id),
        _ => None,
    };
    let first = ChunkId::first(core.store.fence().epoch());
    let damaged = topic.damage.iter().map(|segment| segment.id);
    match names.iter().filter_map(id).chain(damaged).max() {
        Some(highest) => Ok(highest.next()?.max(first)),
        None => Ok(first),
    }
}

/// Whether the new chunks have the rows and statistics that the records of the old ones have.
fn is_same(old: &[ChunkRecord], new: &[ChunkRecord]) -> bool {
    let facts = |chunks: &[ChunkRecord]| {
        let mut columns: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.columns).collect();
        columns.sort_by(|a, b| a.path.cmp(&b.path));
        let nulls: Vec<_> = columns
            .chunk_by(|a, b| a.path == b.path)
            .map(|of| {
                (of[0].path.clone(), of.iter().map(|c| c.nulls).sum::<u64>(), of.iter().any(|c| c.has_nan))
            })
            .collect();
        let span = chunks.iter().map(|c| c.ts_min).min().zip(chunks.iter().map(|c| c.ts_max).max());
        (chunks.iter().map(|c| c.rows).sum::<u64>(), span, nulls)
    };
    facts(old) == facts(new)
}

/// The merged rows of a topic, which the new chunks take in turn.
struct Rows {
    stream: BatchStream,
    schema: SchemaRef,
    /// Rows that the last chunk did not take.
    rest: Option<RecordBatch>,
}

impl Rows {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        let Some(batch) = self.stream.try_next().await? else { return Ok(None) };
        conform(&batch, &self.schema).map(Some).map_err(|e| Error::internal("joining chunks", e))
    }
}

/// The rows of one chunk, read on a thread that may block.
struct Taken<'a> {
    runtime: Handle,
    rows: &'a mut Rows,
    left: u64,
    /// First and last time.
    span: Option<(i64, i64)>,
}

impl Taken<'_> {
    fn take(&mut self) -> Result<RecordBatch> {
        let batch = self.runtime.block_on(self.rows.next())?;
        let mut batch = batch.ok_or_else(|| Error::Internal("joining chunks, which lack rows".into()))?;
        let count = usize::try_from(self.left).unwrap_or(usize::MAX);
        if batch.num_rows() > count {
            self.rows.rest = Some(batch.slice(count, batch.num_rows() - count));
            batch = batch.slice(0, count);
        }
        self.left -= batch.num_rows() as u64;
        if let [first, .., last] | [first @ last] = times(&batch)?.values().as_ref() {
            self.span = Some((self.span.map_or(*first, |span| span.0), *last));
        }
        Ok(batch)
    }
}

impl Iterator for Taken<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.left > 0).then(|| self.take())
    }
}

/// A new chunk.
struct Part {
    id: ChunkId,
    start: u64,
    rows: u64,
    data_bytes: u64,
}

impl Part {
    /// Writes it with the next rows of `rows`.
    async fn write(
        self,
        core: &Arc<Engine>,
        topic: &TopicRow,
        mut rows: Rows,
    ) -> Result<(Rows, ChunkRecord)> {
        let _encoding = core.chunk_jobs.acquire().await.map_err(|_| Error::ShuttingDown)?;
        let label = ChunkLabel {
            sequence: topic.locator.sequence.to_string(),
            topic: topic.locator.topic.to_string(),
            ontology_tag: topic.ontology_tag.clone(),
            serialization_format: topic.serialization_format.as_str(),
            id: self.id,
            row_start: self.start,
            row_end: self.start + self.rows,
            filled: ColumnPresence::UNKNOWN,
        };
        let scratch = core.store.staging_file()?;
        let (file, left, group_bytes) = (scratch.file.clone(), self.rows, core.config.row_group_bytes);
        let runtime = Handle::current();
        let work = move || {
            let schema = Arc::clone(&rows.schema);
            let mut taken = Taken { runtime, rows: &mut rows, left, span: None };
            let written = write_chunk(&file, &schema, &label, group_bytes, taken.by_ref())?;
            let span = taken.span;
            Ok::<_, Error>((rows, written, span))
        };
        let joined = tokio::task::spawn_blocking(work).await;
        let (rows, written, span) = joined.map_err(|e| Error::internal("joining chunks", e))??;
        let (ts_min, ts_max) = span.ok_or_else(|| Error::Internal("joining chunks without rows".into()))?;
        let path = SequencePaths(topic.sequence_id).topic(topic.id).chunk(self.id);
        core.store.publish(&scratch, &path).await?;
        let record = ChunkRecord {
            epoch: self.id.epoch,
            index: self.id.index,
            row_start: self.start,
            rows: written.rows,
            bytes: written.bytes,
            data_bytes: self.data_bytes,
            ts_min,
            ts_max,
            crc32: written.crc32,
            columns: written.columns,
        };
        Ok((rows, record))
    }
}

/// Replaces the old chunks by the new ones, unless the topic was deleted.
async fn replace(
    core: &Engine,
    topic: &TopicRow,
    paths: TopicPaths,
    (commit, version): (CommitRecord, UpdateVersion),
    old: &[ChunkRow],
) -> Result<bool> {
    let _lock = sequence_lock::lock(core, topic.sequence_id).await?;
    let indices = |chunks: &[ChunkRow]| chunks.iter().map(|chunk| chunk.id).collect::<Vec<_>>();
    match core.catalog.topic_by_id(topic.id).await? {
        Some(row) if !row.deleting => {}
        _ => return Ok(false),
    }
    if indices(&core.catalog.chunks(topic.id).await?) != indices(old) {
        return Ok(false);
    }
    let change = core.catalog.begin(topic.sequence_id, None).await?;
    for chunk in &commit.chunks {
        core.store.put_json(&paths.chunk_record(chunk.id()), chunk).await?;
    }
    // Conditional, so that a late write of a former owner does not undo changes of its successor.
    core.store.replace_json(&paths.committed(), &commit, Some(&version)).await?;
    core.catalog.chunks_compacted(change, &commit).await?;
    Ok(true)
}
