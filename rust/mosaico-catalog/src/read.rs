//! Read access to the catalog.

use std::collections::BTreeSet;
use std::str::FromStr;

use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::column_stats::{ColumnKind, ColumnStats};
use mosaico_storage::format::damage::{DamagedSegment, lost_of};
use mosaico_types::id::{NotificationId, SequenceId, TopicId};
use mosaico_types::{SequenceName, SerializationFormat, TopicLocator, TopicPath};
use mosaico_wire::event::OnError;
use serde_json::Value;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::sql::{Row, query};

/// A sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceRow {
    pub id: SequenceId,
    pub name: SequenceName,
    pub key: String,
    pub user_metadata: Value,
    pub created_ns: i64,
    pub finalized_ns: Option<i64>,
    pub deleting: bool,
    /// What the daemon does with the sequence if its writer vanishes.
    pub on_error: OnError,
    /// When the sequence ended without being finalized.
    pub ended_ns: Option<i64>,
}

/// A topic, with sums over its chunks.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicRow {
    pub id: TopicId,
    pub sequence_id: SequenceId,
    pub locator: TopicLocator,
    pub ontology_tag: String,
    pub serialization_format: SerializationFormat,
    pub user_metadata: Value,
    pub key: String,
    pub created_ns: i64,
    pub committed_ns: Option<i64>,
    pub deleting: bool,
    pub schema: Option<Vec<u8>>,
    pub chunks: u64,
    pub rows: u64,
    pub stored_bytes: u64,
    pub data_bytes: u64,
    /// Number of times that the writer resumed after its connection broke.
    pub resumed: u32,
    /// Segments of its write-ahead log that were damaged.
    pub damage: Vec<DamagedSegment>,
    /// The sequence ended without being finalized.
    pub sequence_ended: bool,
    /// Lowest and highest time; `None` without rows.
    pub bounds: Option<(i64, i64)>,
}

/// The columns of a chunk that readers need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRow {
    pub id: ChunkId,
    /// Rows of the topic before this chunk, as counted by its daemon.
    pub row_start: u64,
    pub rows: u64,
    /// Rows lost in the chunk's WAL segment; 0 where the caller does not need it.
    pub lost: u64,
    pub bytes: u64,
    pub data_bytes: u64,
    pub ts_min: i64,
    pub ts_max: i64,
    /// The checksum of the file.
    pub crc32: u32,
}

impl ChunkRow {
    /// Rows of the topic up to the end of this chunk.
    pub fn row_end(&self) -> u64 {
        self.row_start + self.rows + self.lost
    }
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationRow {
    pub id: NotificationId,
    pub notify_type: String,
    pub msg: String,
    pub created_ns: i64,
}

macro_rules! topic_query {
    ($where:literal) => {
        concat!(
            "SELECT t.id, t.sequence_id, s.name, t.path, t.ontology_tag, t.serialization_format, t.user_metadata, \
             t.key, t.created_ns, t.committed_ns, t.deleting, x.ipc AS schema, t.chunks, t.row_count, t.stored_bytes, \
             t.data_bytes, t.resumed, t.damage, t.ts_min, t.ts_max, s.ended_ns AS sequence_ended_ns \
             FROM topic t JOIN sequence s ON s.id = t.sequence_id LEFT JOIN schema_snapshot x ON x.id = t.schema_id ",
            $where
        )
    };
}

impl Catalog {
    /// Names of all sequences, oldest first.
    pub async fn sequence_names(&self) -> Result<Vec<String>> {
        query("SELECT name FROM sequence WHERE deleting = 0 ORDER BY created_ns, id")
            .fetch_texts(&self.readers)
            .await
            .map_err(failed)
    }

    /// A sequence by name, also one that is being deleted.
    pub async fn find_sequence(&self, name: &SequenceName) -> Result<Option<SequenceRow>> {
        query(
            "SELECT id, name, key, user_metadata, created_ns, finalized_ns, deleting, on_error, \
             ended_ns FROM sequence WHERE name = ?",
        )
        .bind(name.as_str())
        .fetch_optional(&self.readers)
        .await
        .map_err(failed)?
        .map(|row| sequence_row(&row))
        .transpose()
    }

    /// A sequence by name.
    ///
    /// # Errors
    /// [`Error::SequenceNotFound`].
    pub async fn sequence(&self, name: &SequenceName) -> Result<SequenceRow> {
        let found = self.find_sequence(name).await?.filter(|row| !row.deleting);
        found.ok_or_else(|| Error::SequenceNotFound(name.to_string()))
    }

    /// A sequence by id, also one that is being deleted.
    pub async fn sequence_by_id(&self, id: SequenceId) -> Result<Option<SequenceRow>> {
        query(
            "SELECT id, name, key, user_metadata, created_ns, finalized_ns, deleting, on_error, \
             ended_ns FROM sequence WHERE id = ?",
        )
        .bind(id.to_string())
        .fetch_optional(&self.readers)
        .await
        .map_err(failed)?
        .map(|row| sequence_row(&row))
        .transpose()
    }

    /// Sequences that are neither finalized nor ended.
    pub async fn open_sequences(&self) -> Result<Vec<SequenceId>> {
        let found =
            query("SELECT id FROM sequence WHERE finalized_ns IS NULL AND ended_ns IS NULL AND deleting = 0");
        ids(found.fetch_texts(&self.readers).await)
    }

    /// Sequences whose removal is incomplete.
    pub async fn deleting_sequences(&self) -> Result<Vec<SequenceId>> {
        ids(query("SELECT id FROM sequence WHERE deleting = 1").fetch_texts(&self.readers).await)
    }

    /// Topics whose removal is incomplete, with their sequence.
    pub async fn deleting_topics(&self) -> Result<Vec<TopicRow>> {
        let rows = query(topic_query!("WHERE t.deleting = 1")).fetch_all(&self.readers).await;
        rows.map_err(failed)?.iter().map(topic_row).collect()
    }

    /// The topics of a sequence in the order of creation, without those being deleted.
    pub async fn topics(&self, sequence: SequenceId) -> Result<Vec<TopicRow>> {
        let rows =
            query(topic_query!("WHERE t.sequence_id = ? AND t.deleting = 0 ORDER BY t.created_ns, t.id"))
                .bind(sequence.to_string())
                .fetch_all(&self.readers)
                .await;
        rows.map_err(failed)?.iter().map(topic_row).collect()
    }

    /// The ids of all topics of a sequence, also of those that are being deleted.
    pub async fn topic_ids(&self, sequence: SequenceId) -> Result<BTreeSet<TopicId>> {
        let found = query("SELECT id FROM topic WHERE sequence_id = ?").bind(sequence.to_string());
        Ok(ids(found.fetch_texts(&self.readers).await)?.into_iter().collect())
    }

    /// A topic by locator, also one that is being deleted.
    pub async fn find_topic(&self, locator: &TopicLocator) -> Result<Option<TopicRow>> {
        query(topic_query!("WHERE s.name = ? AND s.deleting = 0 AND t.path = ?"))
            .bind(locator.sequence.as_str())
            .bind(locator.topic.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?
            .map(|row| topic_row(&row))
            .transpose()
    }

    /// A topic by locator.
    ///
    /// # Errors
    /// [`Error::TopicNotFound`].
    pub async fn topic(&self, locator: &TopicLocator) -> Result<TopicRow> {
        let found = self.find_topic(locator).await?.filter(|row| !row.deleting);
        found.ok_or_else(|| Error::TopicNotFound(locator.to_string()))
    }

    /// A topic by id.
    pub async fn topic_by_id(&self, topic: TopicId) -> Result<Option<TopicRow>> {
        query(topic_query!("WHERE t.id = ?"))
            .bind(topic.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?
            .map(|row| topic_row(&row))
            .transpose()
    }

    /// The chunks of a topic in the order of arrival.
    pub async fn chunks(&self, topic: TopicId) -> Result<Vec<ChunkRow>> {
        let rows = query(
            "SELECT c.epoch, c.idx, c.row_start, c.row_count, c.bytes, c.data_bytes, c.ts_min, c.ts_max, c.crc32, t.damage \
             FROM chunk c JOIN topic t ON t.id = c.topic_id WHERE c.topic_id = ? ORDER BY c.epoch, c.idx",
        )
        .bind(topic.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let chunk = |row: &Row| {
            let chunk = chunk_row(row)?;
            Ok(ChunkRow { lost: lost_of(&damage_of(row)?, chunk.id), ..chunk })
        };
        rows.iter().map(chunk).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// Whether a topic has a chunk.
    pub async fn has_chunk(&self, topic: TopicId, chunk: ChunkId) -> Result<bool> {
        let found = query("SELECT idx FROM chunk WHERE topic_id = ? AND epoch = ? AND idx = ?")
            .bind(topic.to_string())
            .bind(chunk.epoch)
            .bind(chunk.index)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        Ok(!found.is_empty())
    }

    /// Notifications about a sequence itself, or about one of its topics; oldest first.
    pub async fn notifications(
        &self,
        sequence: SequenceId,
        topic: Option<TopicId>,
    ) -> Result<Vec<NotificationRow>> {
        let rows = query(
            "SELECT id, notify_type, msg, created_ns FROM notification \
             WHERE sequence_id = ? AND topic_id IS NOT DISTINCT FROM ? ORDER BY created_ns, id",
        )
        .bind(sequence.to_string())
        .bind(topic.map(|id| id.to_string()))
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let row = |row: &Row| {
            Ok(NotificationRow {
                id: text(row, "id", |id| id.parse().ok())?,
                notify_type: row.try_get("notify_type")?,
                msg: row.try_get("msg")?,
                created_ns: row.try_get("created_ns")?,
            })
        };
        rows.iter().map(row).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// Sequences with intents that are not reconciled.
    pub async fn pending(&self) -> Result<Vec<SequenceId>> {
        ids(query("SELECT DISTINCT sequence_id FROM pending").fetch_texts(&self.readers).await)
    }

    /// The paths of records that the pending changes of a sequence may still write.
    pub async fn pending_records(&self, sequence: SequenceId) -> Result<Vec<String>> {
        let records =
            query("SELECT DISTINCT record FROM pending WHERE sequence_id = ? AND record IS NOT NULL");
        records.bind(sequence.to_string()).fetch_texts(&self.writer).await.map_err(failed)
    }
}

pub(crate) fn ids<T>(found: Result<Vec<String>, sqlx::Error>) -> Result<Vec<T>>
where
    T: FromStr<Err = ulid::DecodeError>,
{
    let parse = |text: String| text.parse().map_err(|e| Error::internal("reading an id of the catalog", e));
    found.map_err(failed)?.into_iter().map(parse).collect()
}

/// Reads a column of non-negative numbers.
pub(crate) fn count<T: TryFrom<i64>>(row: &Row, column: &str) -> Result<T, sqlx::Error> {
    let value: i64 = row.try_get(column)?;
    T::try_from(value).map_err(|_| sqlx::Error::Decode(format!("column {column} holds {value}").into()))
}

/// Reads a text column into a type that validates it.
pub(crate) fn text<T>(
    row: &Row,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, sqlx::Error> {
    let value: &str = row.try_get(column)?;
    parse(value).ok_or_else(|| sqlx::Error::Decode(format!("column {column} holds `{value}`").into()))
}

pub(crate) fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn sequence_row(row: &Row) -> Result<SequenceRow> {
    let read = || {
        Ok(SequenceRow {
            id: text(row, "id", |id| id.parse().ok())?,
            name: text(row, "name", |name| SequenceName::parse(name).ok())?,
            key: row.try_get("key")?,
            user_metadata: text(row, "user_metadata", json)?,
            created_ns: row.try_get("created_ns")?,
            finalized_ns: row.try_get("finalized_ns")?,
            deleting: row.try_get::<i64>("deleting")? != 0,
            on_error: text(row, "on_error", OnError::parse)?,
            ended_ns: row.try_get("ended_ns")?,
        })
    };
    read().map_err(failed)
}

fn topic_row(row: &Row) -> Result<TopicRow> {
    let read = || {
        let bounds: (Option<i64>, Option<i64>) = (row.try_get("ts_min")?, row.try_get("ts_max")?);
        Ok(TopicRow {
            id: text(row, "id", |id| id.parse().ok())?,
            sequence_id: text(row, "sequence_id", |id| id.parse().ok())?,
            locator: TopicLocator {
                sequence: text(row, "name", |name| SequenceName::parse(name).ok())?,
                topic: text(row, "path", |path| TopicPath::parse(path).ok())?,
            },
            ontology_tag: row.try_get("ontology_tag")?,
            serialization_format: text(row, "serialization_format", SerializationFormat::parse)?,
            user_metadata: text(row, "user_metadata", json)?,
            key: row.try_get("key")?,
            created_ns: row.try_get("created_ns")?,
            committed_ns: row.try_get("committed_ns")?,
            deleting: row.try_get::<i64>("deleting")? != 0,
            schema: row.try_get("schema")?,
            chunks: count(row, "chunks")?,
            rows: count(row, "row_count")?,
            stored_bytes: count(row, "stored_bytes")?,
            data_bytes: count(row, "data_bytes")?,
            resumed: count(row, "resumed")?,
            damage: damage_of(row)?,
            sequence_ended: row.try_get::<Option<i64>>("sequence_ended_ns")?.is_some(),
            bounds: bounds.0.zip(bounds.1),
        })
    };
    read().map_err(failed)
}

/// The damaged segments of a topic.
pub(crate) fn damage_of(row: &Row) -> Result<Vec<DamagedSegment>, sqlx::Error> {
    let text: Option<&str> = row.try_get("damage")?;
    let damage = text.map(serde_json::from_str).transpose();
    Ok(damage.map_err(|e| sqlx::Error::Decode(Box::new(e)))?.unwrap_or_default())
}

pub(crate) fn chunk_row(row: &Row) -> Result<ChunkRow, sqlx::Error> {
    Ok(ChunkRow {
        id: ChunkId { epoch: count(row, "epoch")?, index: count(row, "idx")? },
        row_start: count(row, "row_start")?,
        rows: count(row, "row_count")?,
        lost: 0,
        bytes: count(row, "bytes")?,
        data_bytes: count(row, "data_bytes")?,
        ts_min: row.try_get("ts_min")?,
        ts_max: row.try_get("ts_max")?,
        crc32: count(row, "crc32")?,
    })
}

/// The statistics that the query joined to a chunk, if there are any.
pub(crate) fn column_stats(row: &Row) -> Result<Option<ColumnStats>, sqlx::Error> {
    if row.try_get::<Option<&str>>("path")?.is_none() {
        return Ok(None);
    }
    let bounds: (Option<String>, Option<String>) = (row.try_get("lo")?, row.try_get("hi")?);
    Ok(Some(ColumnStats {
        path: text(row, "path", |path| serde_json::from_str(path).ok())?,
        kind: text(row, "kind", ColumnKind::parse)?,
        nulls: count(row, "nulls")?,
        has_nan: row.try_get::<i64>("has_nan")? != 0,
        bounds: bounds.0.zip(bounds.1),
    }))
}
