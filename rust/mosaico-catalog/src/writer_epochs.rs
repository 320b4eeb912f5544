//! Writer epochs of topics: which daemon received which rows. They exist only where daemons share a catalog.

use std::collections::HashMap;

use mosaico_storage::error::Result;
use mosaico_storage::format::durability::WalPlacement;
use mosaico_storage::format::records::EpochRecord;
use mosaico_storage::format::state::TopicState;
use mosaico_types::id::TopicId;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::dead_sessions::NODE_TIMEOUT;
use crate::intents::Change;
use crate::read::{TopicRow, count, text};
use crate::sql::{Row, Transaction, query};

/// A writer epoch: rows of a topic that one daemon received, from one put or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRow {
    pub number: u32,
    /// The id of the daemon.
    pub daemon: String,
    /// Rows of the topic in earlier epochs.
    pub row_start: u64,
    /// Row at which the writer resumed; earlier rows come from the replicated WAL of earlier epochs.
    pub resumed_at: u64,
    /// The store has all rows that the daemon acknowledged.
    pub wal_in_store: bool,
    /// Rows of the topic, if this was its last epoch.
    pub row_end: Option<u64>,
    /// Not 0: the daemon may have rows in its WAL.
    pub busy: i64,
}

/// State that other daemons gave a topic that is active here.
#[derive(Debug)]
pub struct Fate {
    pub topic: TopicId,
    /// The last epoch and its daemon.
    pub last: Option<(u32, String)>,
}

impl Catalog {
    /// The writer epochs of a topic, in order.
    pub async fn epochs(&self, topic: TopicId) -> Result<Vec<EpochRow>> {
        if self.session.is_none() { Ok(Vec::new()) } else { self.epoch_rows(topic).await }
    }

    /// The epoch records of a topic, if its epochs have records of their own, and its row count, if its
    /// upload has ended.
    pub async fn epoch_records(&self, topic: &TopicRow) -> Result<(Vec<EpochRecord>, Option<u64>)> {
        if !self.readers.is_postgres() {
            return Ok((Vec::new(), None));
        }
        let rows = self.epoch_rows(topic.id).await?;
        let uploaded = rows.last().and_then(|last| last.row_end);
        let begun_ns = topic.created_ns;
        let record = |EpochRow { number, daemon, row_start, resumed_at, wal_in_store, .. }| EpochRecord {
            epoch: number,
            daemon,
            row_start,
            resumed_at: Some(resumed_at).filter(|at| *at != row_start),
            wal: if wal_in_store { WalPlacement::Replicated } else { WalPlacement::default() },
            begun_ns,
        };
        Ok((rows.into_iter().map(record).collect(), uploaded))
    }

    async fn epoch_rows(&self, topic: TopicId) -> Result<Vec<EpochRow>> {
        let rows = query(
            "SELECT epoch, daemon, row_start, coalesce(resumed_at, row_start) AS resumed_at, wal_in_store, row_end, busy \
             FROM writer_epoch WHERE topic_id = ? ORDER BY epoch",
        )
        .bind(topic.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let epoch = |row: &Row| {
            Ok(EpochRow {
                number: count(row, "epoch")?,
                daemon: row.try_get("daemon")?,
                row_start: count(row, "row_start")?,
                resumed_at: count(row, "resumed_at")?,
                wal_in_store: row.try_get::<i64>("wal_in_store")? != 0,
                row_end: row.try_get::<Option<i64>>("row_end")?.map(i64::cast_unsigned),
                busy: row.try_get("busy")?,
            })
        };
        rows.iter().map(epoch).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// Applies the begin of a writer epoch.
    pub async fn epoch_begun(&self, change: Change, topic: TopicId, epoch: &EpochRecord) -> Result<()> {
        let mut transaction = self.transaction().await?;
        insert_epoch(&mut transaction, topic, epoch).await?;
        self.finish(transaction, change).await
    }

    /// Applies the end of the upload with this many rows; `None`: the upload continues.
    pub async fn upload_ended(&self, change: Change, topic: TopicId, rows: Option<u64>) -> Result<()> {
        let mut transaction = self.transaction().await?;
        set_uploaded(&mut transaction, topic, rows).await?;
        self.finish(transaction, change).await
    }

    /// The `topics` that a daemon other than `us` records now, and its address.
    pub async fn recorders(&self, topics: &[TopicId], us: &str) -> Result<HashMap<TopicId, String>> {
        let ids: Vec<String> = topics.iter().map(ToString::to_string).collect();
        let rows = query(format!(
            "SELECT p.topic_id, d.address FROM writer_epoch p JOIN daemon d ON d.id = p.daemon \
             WHERE p.topic_id IN (SELECT value FROM json_each(?)) AND p.busy > 0 AND p.daemon <> ? \
             AND d.seen_at > now() - {NODE_TIMEOUT} \
             AND p.epoch = (SELECT max(q.epoch) FROM writer_epoch q WHERE q.topic_id = p.topic_id)"
        ))
        .bind(serde_json::json!(ids).to_string())
        .bind(us)
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let place = |row: &Row| Ok((text(row, "topic_id", |id| id.parse().ok())?, row.try_get("address")?));
        rows.iter().map(place).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// Records that the daemon's WAL receives rows of an epoch.
    pub async fn epoch_used(&self, topic: TopicId, number: u32) -> Result<()> {
        query("UPDATE writer_epoch SET busy = busy + 1 WHERE topic_id = ? AND epoch = ?")
            .bind(topic.to_string())
            .bind(number)
            .execute(&self.writer)
            .await
            .map(drop)
            .map_err(failed)
    }

    /// Epochs that may have rows in a daemon's WAL, with the number of their puts.
    pub async fn busy_parts(&self, daemon: &str) -> Result<Vec<(TopicId, u32, i64)>> {
        let rows = query("SELECT topic_id, epoch, busy FROM writer_epoch WHERE daemon = ? AND busy > 0")
            .bind(daemon)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        let epoch = |row: &Row| {
            let topic = text(row, "topic_id", |id| id.parse().ok())?;
            Ok((topic, count(row, "epoch")?, row.try_get("busy")?))
        };
        rows.iter().map(epoch).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// Records that chunks have all rows of an epoch, unless a put began since the caller read `busy`.
    pub async fn epoch_ended(&self, topic: TopicId, number: u32, busy: i64) -> Result<()> {
        query("UPDATE writer_epoch SET busy = 0 WHERE topic_id = ? AND epoch = ? AND busy = ?")
            .bind(topic.to_string())
            .bind(number)
            .bind(busy)
            .execute(&self.writer)
            .await
            .map(drop)
            .map_err(failed)
    }

    /// The state of `topics`; deleted topics are missing.
    pub async fn topic_states(&self, topics: &[TopicId]) -> Result<Vec<Fate>> {
        let ids: Vec<String> = topics.iter().map(ToString::to_string).collect();
        let rows = query(
            "SELECT t.id, p.epoch, p.daemon FROM topic t JOIN sequence s ON s.id = t.sequence_id \
             LEFT JOIN writer_epoch p ON p.topic_id = t.id \
             AND p.epoch = (SELECT max(q.epoch) FROM writer_epoch q WHERE q.topic_id = t.id) \
             WHERE t.deleting = 0 AND s.deleting = 0 AND t.id IN (SELECT value FROM json_each(?))",
        )
        .bind(serde_json::json!(ids).to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let fate = |row: &Row| {
            let number: Option<i64> = row.try_get("epoch")?;
            let daemon: Option<String> = row.try_get("daemon")?;
            let last = number.and_then(|number| u32::try_from(number).ok()).zip(daemon);
            Ok(Fate { topic: text(row, "id", |id| id.parse().ok())?, last })
        };
        rows.iter().map(fate).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }
}

pub(crate) async fn insert_epoch(db: &mut Transaction, topic: TopicId, epoch: &EpochRecord) -> Result<()> {
    query(
        "INSERT INTO writer_epoch (topic_id, epoch, daemon, row_start, resumed_at, wal_in_store) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT DO NOTHING",
    )
    .bind(topic.to_string())
    .bind(epoch.epoch)
    .bind(&epoch.daemon)
    .bind(epoch.row_start.cast_signed())
    .bind(epoch.resumed_at.map(u64::cast_signed))
    .bind(i64::from(epoch.wal == WalPlacement::Replicated))
    .execute(db)
    .await
    .map(drop)
    .map_err(failed)
}

pub(crate) async fn set_uploaded(db: &mut Transaction, topic: TopicId, rows: Option<u64>) -> Result<()> {
    query(
        "UPDATE writer_epoch SET row_end = ?1 WHERE topic_id = ?2 \
         AND epoch = (SELECT max(q.epoch) FROM writer_epoch q WHERE q.topic_id = ?2)",
    )
    .bind(rows.map(u64::cast_signed))
    .bind(topic.to_string())
    .execute(db)
    .await
    .map(drop)
    .map_err(failed)
}

/// Inserts which daemons received the rows of an open topic.
pub(crate) async fn insert_parts(db: &mut Transaction, topic: &TopicState) -> Result<()> {
    for epoch in &topic.epochs {
        insert_epoch(db, topic.record.id, epoch).await?;
    }
    match topic.uploaded {
        Some(rows) if !topic.epochs.is_empty() => set_uploaded(db, topic.record.id, Some(rows)).await,
        _ => Ok(()),
    }
}
