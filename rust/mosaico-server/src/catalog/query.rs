//! What the catalogue knows about queries: candidates, and the statistics of their chunks. The number of statements
//! depends on the query, not on the number of sequences, topics or chunks.

use std::collections::HashMap;

use mosaico_wire::query::Expr;
use serde_json::Value;

use super::candidates::{Wanted, list, push_sequences, push_topics};
use super::read::{chunk_row, column_stats, json, text};
use super::sql::{Row, query};
use super::{Catalog, ChunkRow, failed};
use crate::error::Result;
use crate::id::{SequenceId, TopicId};
use crate::store::stats::ColumnStats;

/// A sequence that may match.
#[derive(Debug, Clone)]
pub(crate) struct FoundSequence {
    pub id: SequenceId,
    pub name: String,
    pub created_ns: i64,
    pub user_metadata: Value,
}

/// A topic that may match.
#[derive(Debug, Clone)]
pub(crate) struct FoundTopic {
    pub id: TopicId,
    pub sequence: SequenceId,
    /// Without leading slash.
    pub path: String,
    pub ontology_tag: String,
    pub serialization_format: String,
    pub created_ns: i64,
    pub user_metadata: Value,
    /// See [`Catalog::kinds`].
    pub schema: Option<i64>,
    /// Lowest and highest time in chunks.
    pub bounds: Option<(i64, i64)>,
}

/// A chunk with the statistics asked for.
#[derive(Debug, Clone)]
pub(crate) struct ChunkStats {
    pub row: ChunkRow,
    pub columns: Vec<ColumnStats>,
}

impl Catalog {
    /// The schemas that topics of the tags have: tag, id, IPC schema message.
    pub(crate) async fn kinds(&self, tags: &[String]) -> Result<Vec<(String, i64, Vec<u8>)>> {
        let rows = query(
            "SELECT v.value AS tag, x.id, x.ipc FROM (SELECT value FROM json_each(?)) v CROSS JOIN schema_snapshot x \
             WHERE EXISTS (SELECT 1 FROM topic t WHERE t.ontology_tag = v.value AND t.schema_id = x.id)",
        )
        .bind(list(tags))
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let row = |row: &Row| Ok((row.try_get("tag")?, row.try_get("id")?, row.try_get("ipc")?));
        rows.iter().map(row).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// Sequences that may hold matches, in no order.
    pub(crate) async fn candidate_sequences(
        &self,
        select: &Expr<Wanted<'_>>,
        with_metadata: bool,
    ) -> Result<Vec<FoundSequence>> {
        let metadata = if with_metadata { "s.user_metadata" } else { "'null'" };
        let mut sql = query("SELECT s.id, s.name, s.created_ns, ");
        sql.push(metadata).push(" AS user_metadata FROM sequence s WHERE s.deleting = 0 AND ");
        push_sequences(&mut sql, select);
        let rows = sql.fetch_all(&self.readers).await.map_err(failed)?;
        let row = |row: &Row| {
            Ok(FoundSequence {
                id: text(row, "id", |id| id.parse().ok())?,
                name: row.try_get("name")?,
                created_ns: row.try_get("created_ns")?,
                user_metadata: text(row, "user_metadata", json)?,
            })
        };
        rows.iter().map(row).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// Topics of sequences, in no order; only those that may match `only`, `by_bounds` of their chunks too.
    pub(crate) async fn candidate_topics(
        &self,
        sequences: &[SequenceId],
        only: Option<&Wanted<'_>>,
        by_bounds: bool,
        with_metadata: bool,
    ) -> Result<Vec<FoundTopic>> {
        let mut sql = query(
            "SELECT t.id, t.sequence_id, t.path, t.ontology_tag, t.serialization_format, t.created_ns, t.ts_min, \
             t.ts_max, t.schema_id, ",
        );
        sql.push(if with_metadata { "t.user_metadata" } else { "'null' AS user_metadata" });
        sql.push(" FROM topic t WHERE t.deleting = 0 AND t.sequence_id IN (SELECT value FROM json_each(");
        sql.push_bind(list(sequences)).push("))");
        if let Some(wanted) = only {
            sql.push(" AND ");
            push_topics(&mut sql, wanted, by_bounds);
        }
        let rows = sql.fetch_all(&self.readers).await.map_err(failed)?;
        let row = |row: &Row| {
            let bounds: (Option<i64>, Option<i64>) = (row.try_get("ts_min")?, row.try_get("ts_max")?);
            Ok(FoundTopic {
                id: text(row, "id", |id| id.parse().ok())?,
                sequence: text(row, "sequence_id", |id| id.parse().ok())?,
                path: row.try_get("path")?,
                ontology_tag: row.try_get("ontology_tag")?,
                serialization_format: row.try_get("serialization_format")?,
                created_ns: row.try_get("created_ns")?,
                user_metadata: text(row, "user_metadata", json)?,
                schema: row.try_get("schema_id")?,
                bounds: bounds.0.zip(bounds.1),
            })
        };
        rows.iter().map(row).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// The chunks of topics in the order of arrival, with the statistics of columns given as lists of names.
    pub(crate) async fn chunk_stats(
        &self,
        topics: &[TopicId],
        columns: &[Vec<String>],
    ) -> Result<HashMap<TopicId, Vec<ChunkStats>>> {
        let paths: Vec<String> = columns.iter().map(|path| serde_json::json!(path).to_string()).collect();
        let rows = query(
            "SELECT c.topic_id, c.epoch, c.idx, c.row_start, c.row_count, c.bytes, c.data_bytes, c.ts_min, c.ts_max, \
             s.path, s.kind, s.nulls, s.has_nan, s.lo, s.hi \
             FROM chunk c LEFT JOIN chunk_column s ON s.topic_id = c.topic_id AND s.epoch = c.epoch AND s.idx = c.idx \
             AND s.path IN (SELECT value FROM json_each(?1)) \
             WHERE c.topic_id IN (SELECT value FROM json_each(?2)) ORDER BY c.topic_id, c.epoch, c.idx",
        )
        .bind(list(&paths))
        .bind(list(topics))
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let mut found: HashMap<TopicId, Vec<ChunkStats>> = HashMap::new();
        for row in &rows {
            let (topic, chunk, column) = chunk_stats(row).map_err(failed)?;
            let chunks = found.entry(topic).or_default();
            match chunks.last_mut() {
                Some(last) if last.row.id == chunk.id => last.columns.extend(column),
                _ => chunks.push(ChunkStats { row: chunk, columns: column.into_iter().collect() }),
            }
        }
        Ok(found)
    }
}

fn chunk_stats(row: &Row) -> Result<(TopicId, ChunkRow, Option<ColumnStats>), sqlx::Error> {
    Ok((text(row, "topic_id", |id| id.parse().ok())?, chunk_row(row)?, column_stats(row)?))
}
