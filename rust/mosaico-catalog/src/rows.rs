//! Inserts rows, many by one statement: of one new sequence, or of all.

use std::collections::HashMap;

use mosaico_storage::error::Result;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::column_stats::ColumnStats;
use mosaico_storage::format::damage::DamagedSegment;
use mosaico_storage::format::records::{ChunkRecord, NotificationRecord, SequenceRecord, TopicRecord};
use mosaico_storage::format::state::{SequenceState, TopicState};
use mosaico_types::id::{SequenceId, TopicId};

use crate::database_error::failed;
use crate::fragments::NUL;
use crate::metadata::{Owner, metadata_rows};
use crate::sql::{Parameter, Transaction, Values, query};
use crate::writer_epochs::insert_parts;

/// Parameters per statement; databases have a limit.
const VALUES: usize = 4000;

const SEQUENCE: &str =
    "sequence (id, name, key, user_metadata, created_ns, on_error, finalized_ns, ended_ns)";
const TOPIC: &str = "topic (id, sequence_id, path, ontology_tag, serialization_format, user_metadata, key, created_ns, \
     committed_ns, resumed, damage, schema_id, chunks, row_count, stored_bytes, data_bytes, ts_min, ts_max, bounded)";
const CHUNK: &str =
    "chunk (topic_id, epoch, idx, row_start, row_count, bytes, data_bytes, ts_min, ts_max, crc32)";
const COLUMN: &str = "chunk_column (topic_id, epoch, idx, path, kind, nulls, has_nan, lo, hi, low, high)";
const NOTIFICATION: &str = "notification (id, sequence_id, topic_id, notify_type, msg, created_ns)";

/// Inserts rows into `table`, given with its columns.
pub(crate) async fn insert_rows(db: &mut Transaction, table: &str, rows: Vec<Values>) -> Result<()> {
    put_rows(db, table, rows, "").await
}

/// The same; `conflict` is the SQL for rows that exist.
pub(crate) async fn put_rows(
    db: &mut Transaction,
    table: &str,
    rows: Vec<Values>,
    conflict: &str,
) -> Result<()> {
    let Some(width) = rows.first().map(Vec::len) else { return Ok(()) };
    let places = vec!["?"; width].join(", ");
    let mut rows = rows.into_iter().peekable();
    // Postgres takes longer to parse a list of parameters than to insert the rows.
    while db.is_postgres() && rows.peek().is_some() {
        let mut columns: Vec<Values> = vec![Vec::new(); width];
        for row in rows.by_ref().take(VALUES) {
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let mut sql = query(format!("INSERT INTO {table} SELECT * FROM unnest({places}) {conflict}"));
        for column in columns {
            sql = sql.bind(Parameter::column(column).map_err(failed)?);
        }
        sql.execute(&mut *db).await.map_err(failed)?;
    }
    while rows.peek().is_some() {
        let rows: Vec<Values> = rows.by_ref().take((VALUES / width).max(1)).collect();
        let places = vec![format!("({places})"); rows.len()].join(", ");
        let sql = query(format!("INSERT INTO {table} VALUES {places} {conflict}"));
        let sql = rows.into_iter().flatten().fold(sql, |sql, value| sql.bind(value));
        sql.execute(&mut *db).await.map_err(failed)?;
    }
    Ok(())
}

pub(crate) async fn insert_sequence(db: &mut Transaction, record: &SequenceRecord) -> Result<()> {
    insert_rows(db, SEQUENCE, vec![sequence_row(record, None, None)]).await?;
    insert_rows(db, Owner::Sequence.table(), metadata_rows(&record.id.to_string(), &record.user_metadata))
        .await
}

pub(crate) async fn insert_topic(db: &mut Transaction, record: &TopicRecord) -> Result<()> {
    let new = TopicState {
        record: record.clone(),
        schema: None,
        committed_ns: None,
        chunks: Vec::new(),
        resumed: 0,
        damage: Vec::new(),
        epochs: Vec::new(),
        uploaded: None,
    };
    insert_rows(db, TOPIC, vec![topic_row(&new, None)]).await?;
    insert_rows(db, Owner::Topic.table(), metadata_rows(&record.id.to_string(), &record.user_metadata)).await
}

pub(crate) async fn insert_columns(db: &mut Transaction, topic: TopicId, chunk: &ChunkRecord) -> Result<()> {
    let rows: Vec<Values> =
        chunk.columns.iter().map(|column| column_row(topic, chunk.id(), column)).collect();
    insert_rows(db, COLUMN, rows).await
}

/// Inserts all facts about sequences that have no rows.
pub(crate) async fn insert_states(db: &mut Transaction, states: &[&SequenceState]) -> Result<()> {
    let topics = || states.iter().flat_map(|state| &state.topics);
    let chunks = || topics().flat_map(|topic| topic.chunks.iter().map(|chunk| (topic.record.id, chunk)));
    let rows: Vec<Values> =
        states.iter().map(|state| sequence_row(&state.record, state.finalized_ns, state.ended_ns)).collect();
    insert_rows(db, SEQUENCE, rows).await?;
    let of =
        |state: &&SequenceState| metadata_rows(&state.record.id.to_string(), &state.record.user_metadata);
    let rows: Vec<Values> = states.iter().flat_map(of).collect();
    insert_rows(db, Owner::Sequence.table(), rows).await?;

    let schemas = schemas(db, topics().filter_map(|topic| topic.schema.as_deref())).await?;
    let schema = |topic: &TopicState| schemas.get(topic.schema.as_deref()?).copied();
    let rows: Vec<Values> = topics().map(|topic| topic_row(topic, schema(topic))).collect();
    insert_rows(db, TOPIC, rows).await?;
    let of = |topic: &TopicState| metadata_rows(&topic.record.id.to_string(), &topic.record.user_metadata);
    let rows: Vec<Values> = topics().flat_map(of).collect();
    insert_rows(db, Owner::Topic.table(), rows).await?;

    let rows: Vec<Values> = chunks().map(|(topic, chunk)| chunk_row(topic, chunk)).collect();
    insert_rows(db, CHUNK, rows).await?;
    let rows: Vec<Values> = chunks()
        .flat_map(|(topic, chunk)| {
            chunk.columns.iter().map(move |column| column_row(topic, chunk.id(), column))
        })
        .collect();
    insert_rows(db, COLUMN, rows).await?;
    let of = |state: &&SequenceState| {
        let id = state.record.id;
        state.notifications.iter().map(|record| notification_row(id, record)).collect::<Vec<_>>()
    };
    let rows: Vec<Values> = states.iter().flat_map(of).collect();
    insert_rows(db, NOTIFICATION, rows).await?;
    for topic in topics() {
        insert_parts(db, topic).await?;
    }
    Ok(())
}

/// The ids of schemas; inserts new ones.
async fn schemas<'a>(
    db: &mut Transaction,
    wanted: impl Iterator<Item = &'a [u8]>,
) -> Result<HashMap<&'a [u8], i64>> {
    let mut ids = HashMap::new();
    for schema in wanted {
        if !ids.contains_key(schema) {
            ids.insert(schema, schema_id(db, schema).await?);
        }
    }
    Ok(ids)
}

/// The id of a schema; inserts a new one.
pub(crate) async fn schema_id(db: &mut Transaction, schema: &[u8]) -> Result<i64> {
    query("INSERT INTO schema_snapshot (ipc) VALUES (?) ON CONFLICT DO NOTHING")
        .bind(schema)
        .execute(&mut *db)
        .await
        .map_err(failed)?;
    let found = query("SELECT id FROM schema_snapshot WHERE ipc = ?").bind(schema).fetch_optional(db).await;
    found.and_then(|row| row.ok_or(sqlx::Error::RowNotFound)?.try_get("id")).map_err(failed)
}

fn sequence_row(record: &SequenceRecord, finalized_ns: Option<i64>, ended_ns: Option<i64>) -> Values {
    vec![
        record.id.to_string().into(),
        record.name.as_str().into(),
        (&record.key).into(),
        record.user_metadata.to_string().into(),
        record.created_ns.into(),
        record.on_error.as_str().into(),
        finalized_ns.into(),
        ended_ns.into(),
    ]
}

fn topic_row(topic: &TopicState, schema_id: Option<i64>) -> Values {
    let TopicState { record, chunks, .. } = topic;
    let sum = |of: fn(&ChunkRecord) -> u64| chunks.iter().map(of).sum::<u64>().cast_signed();
    // Columns that have bounds in every chunk.
    let bounded =
        topic.committed_ns.and_then(|_| chunks.iter().map(|chunk| chunk.columns.len() as i64).min());
    vec![
        record.id.to_string().into(),
        record.sequence.to_string().into(),
        record.path.as_str().into(),
        (&record.ontology_tag).into(),
        record.serialization_format.as_str().into(),
        record.user_metadata.to_string().into(),
        (&record.key).into(),
        record.created_ns.into(),
        topic.committed_ns.into(),
        topic.resumed.into(),
        damage_json(&topic.damage).as_deref().into(),
        schema_id.into(),
        (chunks.len() as i64).into(),
        sum(|chunk| chunk.rows).into(),
        sum(|chunk| chunk.bytes).into(),
        sum(|chunk| chunk.data_bytes).into(),
        chunks.iter().map(|chunk| chunk.ts_min).min().into(),
        chunks.iter().map(|chunk| chunk.ts_max).max().into(),
        bounded.unwrap_or(0).into(),
    ]
}

/// The value of the column `damage` of a topic's row.
pub(super) fn damage_json(damage: &[DamagedSegment]) -> Option<String> {
    (!damage.is_empty()).then(|| serde_json::json!(damage).to_string())
}

fn chunk_row(topic: TopicId, chunk: &ChunkRecord) -> Values {
    vec![
        topic.to_string().into(),
        chunk.epoch.into(),
        chunk.index.into(),
        chunk.row_start.cast_signed().into(),
        chunk.rows.cast_signed().into(),
        chunk.bytes.cast_signed().into(),
        chunk.data_bytes.cast_signed().into(),
        chunk.ts_min.into(),
        chunk.ts_max.into(),
        chunk.crc32.into(),
    ]
}

fn column_row(topic: TopicId, chunk: ChunkId, column: &ColumnStats) -> Values {
    let (lo, hi) = storable_bounds(column).map(|(lo, hi)| (lo.as_str(), hi.as_str())).unzip();
    let (low, high) = column.numbers().unzip();
    vec![
        topic.to_string().into(),
        chunk.epoch.into(),
        chunk.index.into(),
        serde_json::json!(column.path).to_string().into(),
        column.kind.as_str().into(),
        column.nulls.cast_signed().into(),
        column.has_nan.into(),
        lo.into(),
        hi.into(),
        low.into(),
        high.into(),
    ]
}

fn notification_row(sequence: SequenceId, record: &NotificationRecord) -> Values {
    vec![
        record.id.to_string().into(),
        sequence.to_string().into(),
        record.topic.map(|id| id.to_string()).into(),
        (&record.notify_type).into(),
        (&record.msg).into(),
        record.created_ns.into(),
    ]
}

/// Postgres does not store the character NUL in texts; unknown bounds match everything.
pub fn storable_bounds(column: &ColumnStats) -> Option<&(String, String)> {
    column.bounds.as_ref().filter(|(lo, hi)| !lo.contains(NUL) && !hi.contains(NUL))
}
