//! Writes one sequence that appears atomically.

use std::mem::take;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use mosaico_catalog::Catalog;
use mosaico_engine::state::config::Config;
use mosaico_select::data_bytes;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_file::ChunkLabel;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::{
    ChunkRecord, CommitRecord, DeletedRecord, FinalRecord, SchemaRecord, SequenceRecord, TopicRecord,
};
use mosaico_storage::format::schema::{ColumnPresence, TIMESTAMP, TimeSpan, times};
use mosaico_storage::format::state::{SequenceState, TopicState};
use mosaico_storage::objects::Store;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_types::now_ns;
use mosaico_wire::event::OnError;
use mosaico_wire::ipc::schema_message;

use super::plain::column_mapping::Recipe;
use super::rows::{self, Rows};
use super::source::{SourceSequence, SourceTopic};

/// The outcome of a write.
#[derive(Debug)]
pub(super) struct Written {
    pub topics: u64,
    pub rows: u64,
}

/// Copies a sequence; deletes its files on failure.
pub(super) async fn write(
    store: &Store,
    catalog: &Catalog,
    config: &Config,
    source: SourceSequence,
) -> Result<Written> {
    let id = SequenceId::generate();
    as_a_whole(store, catalog, id, write_below(store, config, id, source)).await
}

/// Runs `write` to write the files of a new sequence, which stays hidden until all files exist.
pub(super) async fn as_a_whole(
    store: &Store,
    catalog: &Catalog,
    id: SequenceId,
    write: impl Future<Output = Result<SequenceState>>,
) -> Result<Written> {
    let paths = SequencePaths(id);
    let tombstone = DeletedRecord { deleted_ns: now_ns() };
    store.put_json(&paths.deleted(), &tombstone).await?;
    let state = match write.await {
        Ok(state) => state,
        Err(error) => {
            store.remove_folder(&paths.folder(), &paths.deleted()).await?;
            return Err(error);
        }
    };
    // After an interruption here, the next start reconciles the sequence.
    drop(catalog.begin(id, None).await?);
    store.remove(&paths.deleted()).await?;
    catalog.adopt(&state).await?;
    let rows = state.topics.iter().flat_map(|topic| &topic.chunks).map(|chunk| chunk.rows).sum();
    Ok(Written { topics: state.topics.len() as u64, rows })
}

async fn write_below(
    store: &Store,
    config: &Config,
    id: SequenceId,
    mut source: SourceSequence,
) -> Result<SequenceState> {
    let paths = SequencePaths(id);
    let record = SequenceRecord {
        id,
        name: source.name,
        key: uuid::Uuid::new_v4().to_string(),
        user_metadata: source.user_metadata,
        created_ns: source.created_ns,
        on_error: OnError::default(),
        owner_epoch: store.fence().epoch(),
        moved_from: None,
    };
    let mut topics = Vec::new();
    for topic in take(&mut source.topics) {
        topics.push(write_topic(store, config, &record, topic).await?);
    }
    topics.sort_by_key(|topic| (topic.record.created_ns, topic.record.id));
    let finalized_ns = now_ns();
    let ids = topics.iter().map(|topic| topic.record.id).collect();
    store.put_json(&paths.created(), &record).await?;
    let last = FinalRecord { finalized_ns, topics: ids };
    store.put_json(&paths.finalized(), &last).await?;
    let finalized_ns = Some(finalized_ns);
    Ok(SequenceState { record, finalized_ns, ended_ns: None, topics, notifications: Vec::new() })
}

async fn write_topic(
    store: &Store,
    config: &Config,
    sequence: &SequenceRecord,
    source: SourceTopic,
) -> Result<TopicState> {
    let record = TopicRecord {
        id: TopicId::generate(),
        sequence: sequence.id,
        path: source.path,
        ontology_tag: source.tag.to_string(),
        serialization_format: source.format,
        user_metadata: source.user_metadata,
        key: uuid::Uuid::new_v4().to_string(),
        created_ns: source.created_ns,
    };
    let paths = SequencePaths(sequence.id).topic(record.id);
    let mut copy = Copy {
        store,
        config,
        sequence,
        record: &record,
        schema: None,
        chunks: Vec::new(),
        rows: 0,
        waiting: Vec::new(),
        waiting_bytes: 0,
    };
    for file in source.files {
        copy.file(file, source.recipe.as_ref()).await?;
    }
    copy.chunk().await?;
    let (schema, chunks) = (copy.schema.unwrap_or_else(without_rows), copy.chunks);
    let found = chunks.iter().map(|c| c.ts_min).min().zip(chunks.iter().map(|c| c.ts_max).max());
    if source.bounds.is_some() && found != source.bounds {
        let path = record.path.as_str();
        let text =
            format!("topic `{path}` has rows of the times {found:?}, its manifest says {:?}", source.bounds);
        return Err(Error::Invalid(text));
    }
    let schema = schema_message(&schema);
    store.put_json(&paths.created(), &record).await?;
    store.put_json(&paths.schema(), &SchemaRecord { schema: schema.clone() }).await?;
    let commit = CommitRecord { topic: record, schema, committed_ns: now_ns(), chunks };
    store.put_json(&paths.committed(), &commit).await?;
    let CommitRecord { topic: record, schema, committed_ns, chunks, .. } = commit;
    Ok(TopicState {
        record,
        schema: Some(schema),
        committed_ns: Some(committed_ns),
        chunks,
        resumed: 0,
        damage: Vec::new(),
        epochs: Vec::new(),
        uploaded: None,
    })
}

/// The columns of every topic: the source has no other schema for a topic without rows.
fn without_rows() -> SchemaRef {
    SchemaRef::new(Schema::new(vec![Field::new(TIMESTAMP, DataType::Int64, false)]))
}

/// The copy of one topic.
struct Copy<'a> {
    store: &'a Store,
    config: &'a Config,
    sequence: &'a SequenceRecord,
    record: &'a TopicRecord,
    schema: Option<SchemaRef>,
    chunks: Vec<ChunkRecord>,
    rows: u64,
    /// Buffered rows of the next chunk.
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
}

impl Copy<'_> {
    async fn file(&mut self, file: PathBuf, recipe: Option<&Arc<Recipe>>) -> Result<()> {
        let recipe = recipe.cloned();
        let mut rows = blocking(move || Rows::open(file, recipe.as_deref())).await?;
        let schema = SchemaRef::clone(self.schema.get_or_insert_with(|| SchemaRef::clone(rows.schema())));
        rows = rows.with_schema(&schema)?;
        loop {
            let room = self.config.chunk_bytes.saturating_sub(self.waiting_bytes).max(1);
            let (next, batches) = blocking(move || {
                let batches = rows.next(room)?;
                Ok((rows, batches))
            })
            .await?;
            rows = next;
            if batches.is_empty() {
                return Ok(());
            }
            self.waiting_bytes += batches.iter().map(data_bytes).sum::<usize>();
            self.waiting.extend(batches);
            if self.waiting_bytes >= self.config.chunk_bytes {
                self.chunk().await?;
            }
        }
    }

    /// Writes the buffered rows as a chunk.
    async fn chunk(&mut self) -> Result<()> {
        let (Some(schema), batches) = (&self.schema, take(&mut self.waiting)) else { return Ok(()) };
        let id = match self.chunks.last() {
            Some(last) => last.id().next()?,
            None => ChunkId::first(0),
        };
        let count: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let mut span: Option<TimeSpan> = None;
        for batch in &batches {
            let next = TimeSpan::of(times(batch)?.values());
            span = match (span, next) {
                (Some(span), Some(next)) => Some(span.then(next)),
                (span, next) => span.or(next),
            };
        }
        let Some(span) = span else { return Ok(()) };
        let label = ChunkLabel {
            sequence: self.sequence.name.to_string(),
            topic: self.record.path.to_string(),
            ontology_tag: self.record.ontology_tag.clone(),
            serialization_format: self.record.serialization_format.as_str(),
            id,
            row_start: self.rows,
            row_end: self.rows + count,
            filled: batches
                .iter()
                .map(ColumnPresence::of)
                .reduce(ColumnPresence::or)
                .unwrap_or(ColumnPresence::UNKNOWN),
        };
        let data = take(&mut self.waiting_bytes) as u64;
        let scratch = self.store.staging_file()?;
        let written = {
            let (file, schema, config) =
                (scratch.file.clone(), SchemaRef::clone(schema), self.config.clone());
            blocking(move || rows::write(&file, &schema, &label, &config, batches)).await?
        };
        let paths = SequencePaths(self.sequence.id).topic(self.record.id);
        self.store.publish(&scratch, &paths.chunk(id)).await?;
        let record = ChunkRecord {
            epoch: id.epoch,
            index: id.index,
            row_start: self.rows,
            rows: written.rows,
            bytes: written.bytes,
            data_bytes: data,
            ts_min: span.min,
            ts_max: span.max,
            crc32: written.crc32,
            columns: written.columns,
        };
        self.store.put_json(&paths.chunk_record(id), &record).await?;
        self.rows += written.rows;
        self.chunks.push(record);
        Ok(())
    }
}

/// Runs decoding and encoding on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("importing rows", e))?
}
