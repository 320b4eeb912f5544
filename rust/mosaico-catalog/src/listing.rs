//! Lists of sequences, page by page. The number of statements does not depend on the number of sequences.

use std::collections::HashMap;

use mosaico_storage::error::Result;
use mosaico_storage::format::damage::lost_rows;
use mosaico_types::id::{SequenceId, TopicId};
use serde_json::Value;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::read::{count, damage_of, json, text};
use crate::sql::{Row, Statement, list, query};

/// What a list is sorted by; equal values by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOrder {
    Name,
    Created,
    /// The first time; sequences without rows are last.
    Start,
    /// From the first to the last time; sequences without rows are last.
    Duration,
    /// Bytes of the chunks.
    Bytes,
}

/// The position of a sequence in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPlace {
    /// The value that the list is sorted by; 0 for [`ListOrder::Name`].
    pub key: i64,
    pub name: String,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct ListRequest<'a> {
    /// Part of the name, in any case.
    pub search: Option<&'a str>,
    /// Only these; `None`: all.
    pub names: Option<Vec<String>>,
    pub order: ListOrder,
    pub descending: bool,
    /// Only what comes after this place.
    pub after: Option<&'a ListPlace>,
    pub limit: u32,
}

/// A sequence of a list, with sums over the chunks of its topics.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedSequence {
    pub id: SequenceId,
    pub place: ListPlace,
    pub user_metadata: Value,
    pub created_ns: i64,
    pub finalized_ns: Option<i64>,
    pub ended_ns: Option<i64>,
    pub topics: u64,
    pub rows: u64,
    pub bytes: u64,
    pub bounds: Option<(i64, i64)>,
}

impl ListOrder {
    /// The value of a sequence, as SQL. Halves, since the difference of two times may be too large.
    const fn key(self, descending: bool) -> &'static str {
        match (self, descending) {
            (Self::Name, _) => "0",
            (Self::Created, _) => "s.created_ns",
            (Self::Start, false) => "COALESCE(a.ts_min, 9223372036854775807)",
            (Self::Start, true) => "COALESCE(a.ts_min, -9223372036854775807)",
            (Self::Duration, false) => "COALESCE(a.ts_max / 2 - a.ts_min / 2, 9223372036854775807)",
            (Self::Duration, true) => "COALESCE(a.ts_max / 2 - a.ts_min / 2, -1)",
            (Self::Bytes, _) => "COALESCE(a.bytes, 0)",
        }
    }

    const fn needs_sums(self) -> bool {
        matches!(self, Self::Start | Self::Duration | Self::Bytes)
    }
}

/// Sums over the topics of each sequence.
fn sums(condition: &str) -> String {
    format!(
        "SELECT sequence_id, COUNT(*) AS topics, CAST(SUM(row_count) AS BIGINT) AS row_count, \
         CAST(SUM(stored_bytes) AS BIGINT) AS bytes, MIN(ts_min) AS ts_min, MAX(ts_max) AS ts_max FROM topic \
         WHERE deleting = 0 {condition} GROUP BY sequence_id"
    )
}

impl ListRequest<'_> {
    /// Conditions on the sequences of the list, and their parameters.
    fn bound(&self, mut text: String) -> Statement {
        let search = self.search.map(|search| {
            let escaped = search.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            format!("%{escaped}%")
        });
        text.push_str(" WHERE s.deleting = 0");
        if search.is_some() {
            text.push_str(" AND LOWER(s.name) LIKE ? ESCAPE '\\'");
        }
        if self.names.is_some() {
            text.push_str(" AND s.name IN (SELECT value FROM json_each(?))");
        }
        let mut statement = query(text);
        if let Some(search) = search {
            statement = statement.bind(search);
        }
        if let Some(names) = &self.names {
            statement = statement.bind(list(names));
        }
        statement
    }
}

impl Catalog {
    /// A page of a list, and the number of sequences in the whole list.
    pub async fn list_sequences(&self, wanted: &ListRequest<'_>) -> Result<(Vec<ListedSequence>, u64)> {
        let total = wanted.bound("SELECT COUNT(*) AS total FROM sequence s".into());
        let total = total.fetch_all(&self.readers).await.map_err(failed)?;
        let total = total.first().map_or(Ok(0), |row| count(row, "total")).map_err(failed)?;

        let key = wanted.order.key(wanted.descending);
        let from = match wanted.order.needs_sums() {
            true => format!("sequence s LEFT JOIN ({}) a ON a.sequence_id = s.id", sums("")),
            false => "sequence s".to_owned(),
        };
        let inner = format!("SELECT s.id, s.name, CAST({key} AS BIGINT) AS sort_key FROM {from}");
        let by_name = wanted.order == ListOrder::Name && wanted.descending;
        let (past, names, names_past) = match (wanted.descending, by_name) {
            (false, _) => (">", "", ">"),
            (true, false) => ("<", "", ">"),
            (true, true) => ("<", " DESC", "<"),
        };
        let direction = if wanted.descending { " DESC" } else { "" };
        let mut page = wanted.bound(inner);
        page.wrap("SELECT l.id, l.name, l.sort_key FROM (", ") l");
        if let Some(ListPlace { key, name }) = wanted.after {
            page.push(&format!(" WHERE l.sort_key {past} ? OR (l.sort_key = ? AND l.name {names_past} ?)"));
            page = page.bind(*key).bind(*key).bind(name);
        }
        page.push(&format!(" ORDER BY l.sort_key{direction}, l.name{names} LIMIT ?"));
        let places = page.bind(wanted.limit).fetch_all(&self.readers).await.map_err(failed)?;
        let place = |row: &Row| {
            let id: SequenceId = text(row, "id", |id| id.parse().ok())?;
            Ok((id, ListPlace { key: row.try_get("sort_key")?, name: row.try_get("name")? }))
        };
        let places = places.iter().map(place).collect::<Result<Vec<_>, sqlx::Error>>().map_err(failed)?;
        Ok((self.listed(places).await?, total))
    }

    async fn listed(&self, places: Vec<(SequenceId, ListPlace)>) -> Result<Vec<ListedSequence>> {
        let ids = list(&places.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        let sums = sums("AND sequence_id IN (SELECT value FROM json_each(?))");
        let rows = query(format!(
            "SELECT s.id, s.user_metadata, s.created_ns, s.finalized_ns, s.ended_ns, a.topics, a.row_count, a.bytes, \
             a.ts_min, a.ts_max FROM sequence s LEFT JOIN ({sums}) a ON a.sequence_id = s.id \
             WHERE s.id IN (SELECT value FROM json_each(?))"
        ));
        let rows = rows.bind(ids.clone()).bind(ids).fetch_all(&self.readers).await.map_err(failed)?;
        let mut found: HashMap<SequenceId, &Row> = HashMap::new();
        for row in &rows {
            found.insert(text(row, "id", |id| id.parse().ok()).map_err(failed)?, row);
        }
        let listed = |(id, place)| {
            // One that was removed in between is left out.
            let row = found.get(&id)?;
            Some(listed_row(row, id, place).map_err(failed))
        };
        places.into_iter().filter_map(listed).collect()
    }

    /// Rows in the chunks of topics, and rows that are lost.
    pub async fn stored_rows(&self, topics: &[TopicId]) -> Result<HashMap<TopicId, (u64, u64)>> {
        let rows =
            query("SELECT id, row_count, damage FROM topic WHERE id IN (SELECT value FROM json_each(?))")
                .bind(list(topics))
                .fetch_all(&self.readers)
                .await
                .map_err(failed)?;
        let row = |row: &Row| {
            let id: TopicId = text(row, "id", |id| id.parse().ok())?;
            Ok((id, (count(row, "row_count")?, lost_rows(&damage_of(row)?))))
        };
        rows.iter().map(row).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }
}

fn listed_row(row: &Row, id: SequenceId, place: ListPlace) -> Result<ListedSequence, sqlx::Error> {
    let sum = |column: &str| {
        let value: Option<i64> = row.try_get(column)?;
        Ok::<u64, sqlx::Error>(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0))
    };
    let bounds: (Option<i64>, Option<i64>) = (row.try_get("ts_min")?, row.try_get("ts_max")?);
    Ok(ListedSequence {
        id,
        place,
        user_metadata: text(row, "user_metadata", json)?,
        created_ns: row.try_get("created_ns")?,
        finalized_ns: row.try_get("finalized_ns")?,
        ended_ns: row.try_get("ended_ns")?,
        topics: sum("topics")?,
        rows: sum("row_count")?,
        bytes: sum("bytes")?,
        bounds: bounds.0.zip(bounds.1),
    })
}
