//! Events. Each event is inserted in the transaction of its change, so neither exists without the other.

use mosaico_storage::error::Result;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_types::now_ns;
use mosaico_wire::event::{Event, EventKind};
use serde_json::Value;
use tokio::sync::watch;
use ulid::Ulid;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::read::{json, text};
use crate::rows::put_rows;
use crate::sql::{Place, Row, Transaction, Values, query};

const EVENT: &str = "event (id, kind, sequence, topic, at_ns, detail)";
const REPLACE_EVENT: &str = "ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, sequence = excluded.sequence, \
     topic = excluded.topic, at_ns = excluded.at_ns, detail = excluded.detail";

/// Filter of events.
#[derive(Debug, Default)]
pub struct EventFilter {
    pub after: Option<String>,
    pub limit: u32,
    pub kinds: Option<Vec<EventKind>>,
    pub sequence: Option<String>,
}

impl Catalog {
    /// Adds an event about a sequence or one of its topics; skips resources that the catalog does not know
    /// any more.
    pub(crate) async fn tell(
        &self,
        db: &mut Transaction,
        kind: EventKind,
        (sequence, topic): (SequenceId, Option<TopicId>),
        detail: Value,
    ) -> Result<()> {
        query(
            "INSERT INTO event (id, kind, sequence, topic, at_ns, detail) SELECT ?, ?, s.name, t.path, ?, ? \
             FROM sequence s LEFT JOIN topic t ON t.id = ? WHERE s.id = ?",
        )
        .bind(self.next_event_id())
        .bind(kind.as_str())
        .bind(now_ns())
        .bind(detail.to_string())
        .bind(topic.map(|id| id.to_string()))
        .bind(sequence.to_string())
        .execute(db)
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// Returns the next id. Ids follow the order of the transactions, since the caller owns the one
    /// connection that writes.
    fn next_event_id(&self) -> String {
        let mut last = self.last_event.lock();
        let now = Ulid::new();
        *last = if now > *last { now } else { last.increment().unwrap_or(now) };
        last.to_string()
    }

    /// Adds an event about a failure, which belongs to no change.
    pub async fn tell_failure(
        &self,
        sequence: Option<SequenceId>,
        topic: Option<TopicId>,
        detail: &Value,
    ) -> Result<()> {
        let mut transaction = self.transaction().await?;
        match sequence {
            Some(sequence) => {
                let subject = (sequence, topic);
                self.tell(&mut transaction, EventKind::TaskFailed, subject, detail.clone()).await?;
            }
            None => {
                query("INSERT INTO event (id, kind, at_ns, detail) VALUES (?, ?, ?, ?)")
                    .bind(self.next_event_id())
                    .bind(EventKind::TaskFailed.as_str())
                    .bind(now_ns())
                    .bind(detail.to_string())
                    .execute(&mut transaction)
                    .await
                    .map_err(failed)?;
            }
        }
        self.commit(transaction).await
    }

    /// Receives a signal after each change; events may have been added.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// The id of the newest event.
    pub async fn newest_event(&self) -> Result<Option<String>> {
        newest_event(&self.readers).await
    }

    /// Events in their order, up to `newest`.
    pub async fn events(&self, filter: &EventFilter, newest: &str) -> Result<Vec<Event>> {
        let kinds = filter.kinds.as_ref().map(|kinds| serde_json::json!(kinds).to_string());
        let rows = query(
            "SELECT id, kind, sequence, topic, at_ns, detail FROM event WHERE id > ? AND id <= ? \
             AND (?3 IS NULL OR kind IN (SELECT value FROM json_each(?3))) AND (?4 IS NULL OR sequence = ?4) \
             ORDER BY id LIMIT ?5",
        )
        .bind(filter.after.as_deref().unwrap_or_default())
        .bind(newest)
        .bind(kinds)
        .bind(filter.sequence.as_deref())
        .bind(filter.limit)
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let event = |row: &Row| {
            Ok(Event {
                id: row.try_get("id")?,
                kind: text(row, "kind", EventKind::parse)?,
                sequence: row.try_get("sequence")?,
                topic: row.try_get("topic")?,
                at_ns: row.try_get("at_ns")?,
                detail: text(row, "detail", json)?,
            })
        };
        rows.iter().map(event).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// Adds events that belong to no change; sets their ids. They are durable after the next [`Catalog::sync`].
    pub async fn add_events(&self, events: &mut [Event]) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        events.iter_mut().for_each(|event| event.id = self.next_event_id());
        put_rows(&mut transaction, EVENT, events.iter().map(row).collect(), REPLACE_EVENT).await?;
        self.commit(transaction).await
    }

    /// Inserts events from the store; replaces events that are known already.
    pub async fn restore_events(&self, events: &[Event]) -> Result<()> {
        let mut transaction = self.transaction().await?;
        put_rows(&mut transaction, EVENT, events.iter().map(row).collect(), REPLACE_EVENT).await?;
        self.commit(transaction).await
    }

    /// Makes new ids greater than all earlier ones.
    pub async fn continue_events(&self) -> Result<()> {
        self.resume_events(&self.readers).await
    }

    /// The same inside a change: other daemons may have issued ids since the last one.
    pub(crate) async fn resume_events(&self, place: impl Into<Place<'_>>) -> Result<()> {
        let newest = newest_event(place).await?.and_then(|id| id.parse::<Ulid>().ok());
        let mut last = self.last_event.lock();
        *last = newest.unwrap_or_default().max(*last);
        Ok(())
    }

    /// The id of the last event before `first`.
    pub async fn last_event_before(&self, first: &str) -> Result<Option<String>> {
        let asked = query("SELECT max(id) FROM event WHERE id < ?").bind(first);
        one_text(asked.fetch_all(&self.readers).await)
    }

    /// Whether all events are after a cursor.
    pub async fn begins_after(&self, cursor: &str) -> Result<bool> {
        let oldest = one_text(query("SELECT min(id) FROM event").fetch_all(&self.readers).await)?;
        Ok(oldest.is_none_or(|oldest| cursor < oldest.as_str()))
    }

    /// Deletes events before `first`.
    pub async fn forget_events(&self, first: &str) -> Result<()> {
        query("DELETE FROM event WHERE id < ?").bind(first).execute(&self.writer).await.map_err(failed)?;
        Ok(())
    }
}

fn row(event: &Event) -> Values {
    vec![
        (&event.id).into(),
        event.kind.as_str().into(),
        event.sequence.as_deref().into(),
        event.topic.as_deref().into(),
        event.at_ns.into(),
        event.detail.to_string().into(),
    ]
}

async fn newest_event(place: impl Into<Place<'_>>) -> Result<Option<String>> {
    one_text(query("SELECT max(id) FROM event").fetch_all(place).await)
}

fn one_text(rows: Result<Vec<Row>, sqlx::Error>) -> Result<Option<String>> {
    let text = rows.and_then(|rows| rows.first().map(|row| row.try_get(0)).transpose()).map_err(failed)?;
    Ok(text.flatten())
}
