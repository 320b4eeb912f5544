//! Events of a server: the actions `event_list`, `sequence_keep_alive` and `sequence_end`, which only native
//! daemons have.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Action names.
pub mod name {
    /// Lists events, or waits for the next: [`super::EventList`] → [`super::EventPage`].
    pub const EVENT_LIST: &str = "event_list";
    /// Heartbeat of the writer of a sequence: `SequenceKey` → [`super::KeepAlive`].
    pub const SEQUENCE_KEEP_ALIVE: &str = "sequence_keep_alive";
    /// Ends a sequence without finalizing it; it stays as it is, unlocked: `SequenceKey`.
    pub const SEQUENCE_END: &str = "sequence_end";
    /// Every native action, for tables and tests.
    pub const ALL: [&str; 3] = [EVENT_LIST, SEQUENCE_KEEP_ALIVE, SEQUENCE_END];
}

/// What the daemon does with a sequence whose writer fails or vanishes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Keeps the received data, readable and unlocked, with a notification.
    #[default]
    Report,
    /// Removes the sequence.
    Delete,
}

impl OnError {
    /// The value on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Delete => "delete",
        }
    }

    /// Reads a value of the wire.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Report, Self::Delete].into_iter().find(|policy| policy.as_str() == text)
    }
}

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A sequence was created.
    SequenceCreated,
    /// A sequence is complete and locked.
    SequenceFinalized,
    /// A sequence ended without being finalized; its contents stay, unlocked.
    SequenceEnded,
    /// A sequence was removed.
    SequenceDeleted,
    /// A topic was created.
    TopicCreated,
    /// The upload of a topic is complete and locked.
    TopicCommitted,
    /// A topic was removed.
    TopicDeleted,
    /// A Parquet file of rows was stored.
    ChunkStored,
    /// A notification of an error was added.
    Error,
    /// A background job failed and will be retried.
    TaskFailed,
    /// A damaged WAL segment was put into quarantine, or a damaged chunk was found; rows may be lost.
    DataDamaged,
    /// A call of the audit log. Only part of an answer to a caller that asks for this kind and has the right
    /// `admin` on all sequences.
    Audit,
    /// Events after the cursor, up to this one's id, are not kept any more. Not stored; it is part of the
    /// answer for any requested kinds.
    Gap,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::SequenceCreated,
        Self::SequenceFinalized,
        Self::SequenceEnded,
        Self::SequenceDeleted,
        Self::TopicCreated,
        Self::TopicCommitted,
        Self::TopicDeleted,
        Self::ChunkStored,
        Self::Error,
        Self::TaskFailed,
        Self::DataDamaged,
        Self::Audit,
        Self::Gap,
    ];

    /// The value on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SequenceCreated => "sequence_created",
            Self::SequenceFinalized => "sequence_finalized",
            Self::SequenceEnded => "sequence_ended",
            Self::SequenceDeleted => "sequence_deleted",
            Self::TopicCreated => "topic_created",
            Self::TopicCommitted => "topic_committed",
            Self::TopicDeleted => "topic_deleted",
            Self::ChunkStored => "chunk_stored",
            Self::Error => "error",
            Self::TaskFailed => "task_failed",
            Self::DataDamaged => "data_damaged",
            Self::Audit => "audit",
            Self::Gap => "gap",
        }
    }

    /// Reads a value of the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Sorts by time: a later event has a greater id.
    pub id: String,
    /// Its kind.
    pub kind: EventKind,
    /// Name of the sequence at the time of the event.
    pub sequence: Option<String>,
    /// Path of the topic in its sequence.
    pub topic: Option<String>,
    /// Time, in nanoseconds since 1970.
    pub at_ns: i64,
    /// Details, by kind.
    pub detail: Value,
}

/// Body of `event_list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventList {
    /// Only events after this cursor; without it, all that are kept.
    pub after: Option<String>,
    /// Maximum number of events; 0 requests only the newest cursor.
    pub limit: Option<u32>,
    /// How long to wait for the first event.
    pub wait_ms: u64,
    /// Only these kinds; without it, all except [`EventKind::Audit`].
    pub kinds: Option<Vec<EventKind>>,
    /// Only this sequence.
    pub sequence: Option<String>,
}

/// Answer of `event_list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<Event>,
    /// For the next `after`; advances even if no event matched.
    pub cursor: Option<String>,
}

/// Answer of `sequence_keep_alive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepAlive {
    /// A writer without a heartbeat for this long is considered dead; `None`: never.
    pub writer_timeout_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_json_agree() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::json!(kind), kind.as_str());
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
        }
        for policy in [OnError::Report, OnError::Delete] {
            assert_eq!(serde_json::json!(policy), policy.as_str());
            assert_eq!(OnError::parse(policy.as_str()), Some(policy));
        }
        assert_eq!(EventKind::parse("nothing"), None);
    }

    #[test]
    fn every_field_of_a_request_may_be_left_out() {
        assert_eq!(serde_json::from_str::<EventList>("{}").unwrap(), EventList::default());
    }
}
