//! Queries: candidates, and the statistics of their chunks. The number of statements depends on the query,
//! not on the number of sequences, topics or chunks.

use std::collections::HashMap;

use mosaico_storage::error::Result;
use mosaico_storage::format::column_stats::ColumnStats;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_wire::query::Expr;
use sea_query::Query;
use serde_json::Value;

use crate::candidates::{self, CandidateQuery};
use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::read::{ChunkRow, chunk_row, column_stats, json, text};
use crate::sql::{ColumnName, Row, Sql, Statement, in_list, list, query};

/// A sequence that may match.
#[derive(Debug, Clone)]
pub struct FoundSequence {
    pub id: SequenceId,
    pub name: String,
    pub created_ns: i64,
    pub user_metadata: Value,
}

/// A topic that may match.
#[derive(Debug, Clone)]
pub struct FoundTopic {
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

/// A chunk with the requested statistics.
#[derive(Debug, Clone)]
pub struct ChunkStats {
    pub row: ChunkRow,
    pub columns: Vec<ColumnStats>,
}

impl Catalog {
    /// The schemas of topics with these tags: tag, id, IPC schema message.
    pub async fn kinds(&self, tags: &[String]) -> Result<Vec<(String, i64, Vec<u8>)>> {
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

    /// Sequences that may have matches, in no order.
    pub async fn candidate_sequences(
        &self,
        select: &Expr<CandidateQuery<'_>>,
        with_metadata: bool,
    ) -> Result<Vec<FoundSequence>> {
        let found = Statement::composed(
            Query::select()
                .columns([("s", "id"), ("s", "name"), ("s", "created_ns")])
                .expr_as(metadata(("s", "user_metadata"), with_metadata), "user_metadata")
                .from_as("sequence", "s")
                .and_where(Sql::cust("s.deleting = 0"))
                .and_where(candidates::sequences(select)),
        );
        let rows = found.map_err(failed)?.fetch_all(&self.readers).await.map_err(failed)?;
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

    /// Topics of sequences, in no order; only those that may match `only`. `by_bounds` also evaluates the
    /// bounds of their chunks.
    pub async fn candidate_topics(
        &self,
        sequences: &[SequenceId],
        only: Option<&CandidateQuery<'_>>,
        by_bounds: bool,
        with_metadata: bool,
    ) -> Result<Vec<FoundTopic>> {
        const COLUMNS: [&str; 9] = [
            "id",
            "sequence_id",
            "path",
            "ontology_tag",
            "serialization_format",
            "created_ns",
            "ts_min",
            "ts_max",
            "schema_id",
        ];
        let found = Statement::composed(
            Query::select()
                .columns(COLUMNS.map(|column| ("t", column)))
                .expr_as(metadata(("t", "user_metadata"), with_metadata), "user_metadata")
                .from_as("topic", "t")
                .and_where(Sql::cust("t.deleting = 0"))
                .and_where(in_list(("t", "sequence_id"), sequences))
                .and_where_option(only.map(|wanted| candidates::topics(wanted, by_bounds))),
        );
        let rows = found.map_err(failed)?.fetch_all(&self.readers).await.map_err(failed)?;
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

    /// The chunks of topics in the order of arrival, with the statistics of the requested columns, each a
    /// list of names.
    pub async fn chunk_stats(
        &self,
        topics: &[TopicId],
        columns: &[Vec<String>],
    ) -> Result<HashMap<TopicId, Vec<ChunkStats>>> {
        let paths: Vec<String> = columns.iter().map(|path| serde_json::json!(path).to_string()).collect();
        let rows = query(
            "SELECT c.topic_id, c.epoch, c.idx, c.row_start, c.row_count, c.bytes, c.data_bytes, c.ts_min, c.ts_max, c.crc32, \
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

/// The metadata column, if it is needed; else null.
fn metadata(column: ColumnName, needed: bool) -> Sql {
    if needed { Sql::col(column) } else { Sql::cust("'null'") }
}

fn chunk_stats(row: &Row) -> Result<(TopicId, ChunkRow, Option<ColumnStats>), sqlx::Error> {
    Ok((text(row, "topic_id", |id| id.parse().ok())?, chunk_row(row)?, column_stats(row)?))
}
