//! The content of the JSON records beside the data. Together they contain everything that the catalog
//! contains.
//!
//! [`super::record`] adds and verifies the version and checksum of every record.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mosaico_types::id::{NotificationId, SequenceId, TopicId};
use mosaico_types::{LayerName, SequenceName, SerializationFormat, TopicPath};
use mosaico_wire::event::{Event, OnError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::column_stats::ColumnStats;
use super::durability::WalPlacement;
use crate::format::chunk_id::ChunkId;

/// `sequence.json`: written at creation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SequenceRecord {
    pub id: SequenceId,
    pub name: SequenceName,
    pub key: String,
    pub user_metadata: Value,
    pub created_ns: i64,
    /// What the server does with the sequence if its writer vanishes.
    #[serde(default)]
    pub on_error: OnError,
    /// The ownership epoch of the bucket in which the sequence was created, or to which it was moved.
    #[serde(default, skip_serializing_if = "is_first")]
    pub owner_epoch: u32,
    /// Its path before the bucket changed owners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<SequenceId>,
}

/// The first epoch is omitted.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_first(epoch: &u32) -> bool {
    *epoch == 0
}

/// `ended.json`: written once, when a sequence ends without being finalized.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndedRecord {
    pub ended_ns: i64,
}

/// `final.json`: written once, when the sequence becomes immutable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalRecord {
    pub finalized_ns: i64,
    pub topics: Vec<TopicId>,
}

/// `topic.json`: written at creation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicRecord {
    pub id: TopicId,
    pub sequence: SequenceId,
    pub path: TopicPath,
    pub ontology_tag: String,
    pub serialization_format: SerializationFormat,
    pub user_metadata: Value,
    pub key: String,
    pub created_ns: i64,
}

/// `chunk-<epoch>-<index>.json`: written after the Parquet file beside it is durable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkRecord {
    /// The writer epoch.
    pub epoch: u32,
    /// Its number in the epoch.
    pub index: u32,
    /// Rows of the topic in earlier chunks.
    pub row_start: u64,
    pub rows: u64,
    /// Size of the Parquet file.
    pub bytes: u64,
    /// Arrow bytes as received.
    pub data_bytes: u64,
    pub ts_min: i64,
    pub ts_max: i64,
    /// CRC-32 (IEEE) of the Parquet file.
    pub crc32: u32,
    pub columns: Vec<ColumnStats>,
}

impl ChunkRecord {
    pub fn id(&self) -> ChunkId {
        ChunkId { epoch: self.epoch, index: self.index }
    }
}

/// `resumed.json`: replaced each time the writer resumes after its connection broke.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResumedRecord {
    pub times: u32,
    pub last_ns: i64,
}

/// `epoch-<number>.json`: written once, when a daemon starts to receive rows of a topic whose earlier rows
/// another daemon received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    pub epoch: u32,
    /// The id of the daemon.
    pub daemon: String,
    /// Rows of the topic in earlier epochs.
    pub row_start: u64,
    /// Where the writer resumed: rows from `row_start` up to here are in the replicated WAL of earlier
    /// epochs. `None`: at `row_start`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_at: Option<u64>,
    /// Where the daemon stores the rows that it acknowledges.
    #[serde(default)]
    pub wal: WalPlacement,
    pub begun_ns: i64,
}

/// `uploaded.json`: the upload has ended, but cannot be committed until all daemons have stored their rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UploadedRecord {
    /// Rows of the topic.
    pub rows: u64,
    pub ended_ns: i64,
}

/// `schema.json`: written with the first put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaRecord {
    /// IPC schema message.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub schema: Vec<u8>,
}

/// `commit.json`: written once, at the end of the upload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitRecord {
    pub topic: TopicRecord,
    /// IPC schema message.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub schema: Vec<u8>,
    pub committed_ns: i64,
    pub chunks: Vec<ChunkRecord>,
}

/// `notify/<id>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotificationRecord {
    pub id: NotificationId,
    /// `None`: the notification is about the sequence.
    pub topic: Option<TopicId>,
    pub notify_type: String,
    pub msg: String,
    pub created_ns: i64,
}

/// `layers.json`: all layers, replaced as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayersRecord {
    /// In the order of creation.
    pub layers: Vec<LayerRecord>,
    /// The ownership epoch of the bucket: a new owner rewrites the record, which invalidates the version that
    /// the former owner knows.
    #[serde(default, skip_serializing_if = "is_first")]
    pub owner_epoch: u32,
}

/// One entry of [`LayersRecord`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    pub name: LayerName,
    pub description: String,
    pub created_ns: i64,
}

/// `events/<id of its first>.json`: events in order. The newest file grows until it is full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventsRecord {
    /// The last event of the previous file; `None` if there is no such file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    pub events: Vec<Event>,
    /// The ownership epoch of the bucket: an owner does not write to files of earlier epochs.
    #[serde(default, skip_serializing_if = "is_first")]
    pub owner_epoch: u32,
}

/// `owner.json` of a bucket: the server that owns it exclusively, or the fact that several share it. The same
/// file in the state folder of a server contains the server's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnerRecord {
    pub id: String,
    /// The URL of the bucket.
    pub store: String,
    /// The state folder, for display.
    pub folder: String,
    pub since_ns: i64,
    /// Set if several servers share the bucket: the schema of their database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// The ownership epoch: how often another daemon took the bucket from its owner.
    #[serde(default)]
    pub epoch: u32,
    /// Sequences that are not finalized count only if they are of this epoch or a later one. It is less than
    /// `epoch` while the owner moves the sequences of the previous epoch.
    #[serde(default)]
    pub open_since: u32,
    /// How long a new owner waits before it reads the bucket, in milliseconds: by then the current owner has
    /// noticed the loss.
    #[serde(default)]
    pub lease_ms: u64,
}

/// `store.json`: replaced when the store gets a new catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRecord {
    /// The id of the store.
    pub id: String,
    /// The id of its catalog.
    pub catalog: String,
}

/// `heartbeats/<daemon id>.json`: written again and again by a daemon of a cluster that does not reach the
/// database. Only a change of it shows that the daemon lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatRecord {
    pub daemon: String,
    /// Differs in each heartbeat.
    pub sent_ns: i64,
    /// The sequences whose writers are active at this daemon.
    pub writers: Vec<SequenceId>,
}

/// `deleted.json`: the folder is being removed; a rebuild finishes the removal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletedRecord {
    pub deleted_ns: i64,
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
