//! All facts that the catalog has about a sequence, in the form of the store's records.

use mosaico_storage::error::Result;
use mosaico_storage::format::records::{ChunkRecord, NotificationRecord, SequenceRecord, TopicRecord};
use mosaico_storage::format::state::{SequenceState, TopicState};
use mosaico_types::id::{SequenceId, TopicId};

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::read::{ChunkRow, TopicRow, chunk_row, column_stats, count, text};
use crate::sql::{Row, query};

impl Catalog {
    /// Problems of the database file itself; empty if there are none. A database server checks its own files.
    pub async fn integrity(&self) -> Result<Vec<String>> {
        if self.readers.is_postgres() {
            return Ok(Vec::new());
        }
        let found = query("PRAGMA integrity_check").fetch_texts(&self.readers).await.map_err(failed)?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// All facts about a sequence; `None` if it is unknown or being removed.
    pub async fn state(&self, id: SequenceId) -> Result<Option<SequenceState>> {
        let Some(row) = self.sequence_by_id(id).await?.filter(|row| !row.deleting) else { return Ok(None) };
        let mut topics = Vec::new();
        for topic in self.topics(id).await? {
            let (epochs, uploaded) = match topic.committed_ns {
                None => self.epoch_records(&topic).await?,
                // Only the record of an open topic has them.
                Some(_) => (Vec::new(), None),
            };
            topics.push(TopicState {
                schema: topic.schema.clone(),
                committed_ns: topic.committed_ns,
                chunks: self.chunk_records(topic.id).await?,
                resumed: topic.resumed,
                damage: topic.damage.clone(),
                epochs,
                uploaded,
                record: TopicRecord::from(&topic),
            });
        }
        let record = SequenceRecord {
            id,
            name: row.name,
            key: row.key,
            user_metadata: row.user_metadata,
            created_ns: row.created_ns,
            on_error: row.on_error,
            owner_epoch: 0,
            moved_from: None,
        };
        let notifications = self.notification_records(id).await?;
        let (finalized_ns, ended_ns) = (row.finalized_ns, row.ended_ns);
        Ok(Some(SequenceState { record, finalized_ns, ended_ns, topics, notifications }))
    }

    async fn chunk_records(&self, topic: TopicId) -> Result<Vec<ChunkRecord>> {
        let rows = query(
            "SELECT c.epoch, c.idx, c.row_start, c.row_count, c.bytes, c.data_bytes, c.ts_min, c.ts_max, c.crc32, \
             s.path, s.kind, s.nulls, s.has_nan, s.lo, s.hi FROM chunk c \
             LEFT JOIN chunk_column s ON s.topic_id = c.topic_id AND s.epoch = c.epoch AND s.idx = c.idx \
             WHERE c.topic_id = ? ORDER BY c.epoch, c.idx",
        )
        .bind(topic.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let mut chunks: Vec<ChunkRecord> = Vec::new();
        for row in &rows {
            let chunk = chunk_record(row).map_err(failed)?;
            match chunks.last_mut() {
                Some(last) if last.id() == chunk.id() => last.columns.extend(chunk.columns),
                _ => chunks.push(chunk),
            }
        }
        Ok(chunks)
    }

    async fn notification_records(&self, sequence: SequenceId) -> Result<Vec<NotificationRecord>> {
        let rows = query(
            "SELECT id, topic_id, notify_type, msg, created_ns FROM notification WHERE sequence_id = ? ORDER BY id",
        )
        .bind(sequence.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let record = |row: &Row| {
            let topic: Option<&str> = row.try_get("topic_id")?;
            Ok(NotificationRecord {
                id: text(row, "id", |id| id.parse().ok())?,
                topic: topic.map(str::parse).transpose().map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
                notify_type: row.try_get("notify_type")?,
                msg: row.try_get("msg")?,
                created_ns: row.try_get("created_ns")?,
            })
        };
        rows.iter().map(record).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }
}

impl From<&TopicRow> for TopicRecord {
    fn from(row: &TopicRow) -> Self {
        Self {
            id: row.id,
            sequence: row.sequence_id,
            path: row.locator.topic.clone(),
            ontology_tag: row.ontology_tag.clone(),
            serialization_format: row.serialization_format,
            user_metadata: row.user_metadata.clone(),
            key: row.key.clone(),
            created_ns: row.created_ns,
        }
    }
}

/// A chunk with one of its columns, or without one if it has no columns.
fn chunk_record(row: &Row) -> Result<ChunkRecord, sqlx::Error> {
    let ChunkRow { id, row_start, rows, bytes, data_bytes, ts_min, ts_max, .. } = chunk_row(row)?;
    Ok(ChunkRecord {
        epoch: id.epoch,
        index: id.index,
        row_start,
        rows,
        bytes,
        data_bytes,
        ts_min,
        ts_max,
        crc32: count(row, "crc32")?,
        columns: column_stats(row)?.into_iter().collect(),
    })
}
