//! The start of a put: checks, the writer epoch, the schema snapshot, and the topic's single writer.

use std::sync::Arc;

use arrow::datatypes::Schema;
use mosaico_catalog::{EpochRow, TopicRow};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_file::check_schema;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::{ResumedRecord, SchemaRecord};
use mosaico_storage::format::schema::{parse_schema_message, same_shape, stored_schema};
use mosaico_storage::wal::frame::Frame;
use mosaico_types::{ErrorCode, TopicLocator, now_ns};
use mosaico_wire::command::{PutAck, PutCommand};
use mosaico_wire::ipc::schema_message;
use tokio::sync::watch;

use super::put::PutSession;
use super::replicated_wal::catch_up;
use super::wal_plan::last_of_epoch;
use super::wal_sink;
use crate::reconcile::sequence_lock;
use crate::state::active_topic::ActiveTopic;
use crate::state::engine::Engine;
use crate::state::guards::{check_key, check_open};
use crate::state::queue::Job;

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
        note_attempt(core, locator, &command.key);
        core.coordinator.check_lease()?;
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
            writer.correct_durable(&row);
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
    let wal = wal_sink::open(core, &topic, Frame::schema(message));
    Ok(PutSession::new(core, writer, wal, (next_index, epoch.map(|epoch| epoch.number)), acks))
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

/// A writer that tries to resume is alive, even if this daemon cannot serve it now.
fn note_attempt(core: &Engine, locator: &TopicLocator, key: &str) {
    let is_its = |row: &TopicRow| row.locator == *locator && check_key(&row.key, key, "").is_ok();
    if let Some(topic) = core.live.all().into_iter().find(|topic| is_its(&topic.row)) {
        core.writers.record_activity(topic.row.sequence_id);
    }
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
    let change = core.catalog.begin(row.sequence_id, None).await?;
    core.store.put_json(&SequencePaths(row.sequence_id).topic(row.id).resumed(), &record).await?;
    core.catalog.topic_resumed(change, row.id, times).await
}

async fn save_schema(core: &Engine, row: &TopicRow, message: &[u8]) -> Result<()> {
    let path = SequencePaths(row.sequence_id).topic(row.id).schema();
    let change = core.catalog.begin(row.sequence_id, Some(path.as_ref())).await?;
    core.write_once(&change, &path, &SchemaRecord { schema: message.to_vec() }).await?;
    core.catalog.topic_schema(change, row.id, message).await
}
