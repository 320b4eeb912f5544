//! The layout below the store's root.
//!
//! ```text
//! owner.json                                               the server that owns the bucket exclusively
//! store.json                                               the ids of the store and of its catalog
//! layers.json                                              all layers
//! api-keys.json                                            all API keys
//! api-key-uses.json                                        the last use of each API key
//! seq/<sequence id>/sequence.json                          creation
//!                   final.json                             finalization, lists the topics
//!                   ended.json                             ended without finalization
//!                   deleted.json                           removal has begun
//!                   notify/<id>.json                       notification
//!                   topic/<topic id>/topic.json            creation
//!                                    schema.json           schema snapshot of the first put
//!                                    chunk-<epoch>-<index>.parquet  rows, sorted by time
//!                                    chunk-<epoch>-<index>.json     metadata of the chunk
//!                                    resumed.json          the writer resumed after its connection broke
//!                                    damage.json           damaged segments of its WAL, and the lost rows
//!                                    epoch-<epoch>.json    which daemon received the rows from here on, if several do
//!                                    uploaded.json         the upload has ended; rows are in daemons' WALs
//!                                    wal/<epoch>-<index>-<row>-<rows>.wal  rows of a segment of the write-ahead log that
//!                                                          are not in chunks yet, if it is replicated to the store
//!                                    commit.json           complete upload, lists the chunks
//!                                    deleted.json          removal has begun
//! events/<event id>.json                                   events from this one on
//! heartbeats/<daemon id>.json                              the last heartbeat of a daemon without the database
//! ```

use std::fmt::Display;
use std::str::FromStr;

use mosaico_types::id::{NotificationId, SequenceId, TopicId};
use object_store::path::Path;
use ulid::Ulid;
use uuid::Uuid;

use crate::format::chunk_id::ChunkId;
use crate::format::record_kind::{FileName, Level, RecordKind};

/// The folder of the WAL, beside a store in a folder or in the state folder of a bucket.
pub const WAL_FOLDER: &str = "wal";

/// The file that a server locks in that folder.
pub const LOCK_FILE: &str = "mosaicod.lock";

/// Root of all sequences.
pub const ROOT: &str = "seq";

/// The folder of the topics in the folder of their sequence.
const TOPICS: &str = "topic";

/// The record of all layers.
pub fn layers_file() -> Path {
    Path::from(RecordKind::Layers.file(RecordKey::Only))
}

/// The record that names the owner of the bucket.
pub fn owner_file() -> Path {
    Path::from(RecordKind::Owner.file(RecordKey::Only))
}

/// The record of the ids of the store and of its catalog.
pub fn store_file() -> Path {
    Path::from(RecordKind::Store.file(RecordKey::Only))
}

/// The record of all API keys.
pub fn api_keys_file() -> Path {
    Path::from(RecordKind::ApiKeys.file(RecordKey::Only))
}

/// The record of the last use of each API key.
pub fn api_key_uses_file() -> Path {
    Path::from(RecordKind::ApiKeyUses.file(RecordKey::Only))
}

/// Root of the events.
pub const EVENTS: &str = "events";

/// The record whose first event is `first`.
pub fn events_file(first: &str) -> Path {
    Path::from(format!("{EVENTS}/{first}.json"))
}

/// Root of the heartbeats.
pub const HEARTBEATS: &str = "heartbeats";

/// The record of the last heartbeat of a daemon that does not reach the database.
pub fn heartbeat_file(daemon: Uuid) -> Path {
    Path::from(RecordKind::Heartbeat.file(RecordKey::Id(Ulid::from(daemon.as_u128()))))
}

/// Identifies a record among those of its kind in one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKey {
    /// The only one.
    Only,
    /// The record of a writer epoch.
    Epoch(u32),
    /// The record of a chunk.
    Chunk(ChunkId),
    /// The record with this id.
    Id(Ulid),
}

impl RecordKind {
    /// The file name of a record in the folder of its level. The key has the form that the kind requires.
    fn file(self, key: RecordKey) -> String {
        match (self.spec().file, key) {
            (FileName::Epoch(prefix), RecordKey::Epoch(epoch)) => format!("{prefix}{epoch:05}.json"),
            (FileName::Chunk(prefix), RecordKey::Chunk(chunk)) => format!("{prefix}{chunk}.json"),
            (FileName::Id(folder), RecordKey::Id(id)) => format!("{folder}/{id}.json"),
            (
                FileName::Fixed(name) | FileName::Epoch(name) | FileName::Chunk(name) | FileName::Id(name),
                _,
            ) => name.to_owned(),
        }
    }

    /// The key of a file of this kind; `None` if the file is of another kind.
    fn parse(self, file: &str) -> Option<RecordKey> {
        let stem = |prefix: &str| file.strip_prefix(prefix)?.strip_suffix(".json");
        match self.spec().file {
            FileName::Fixed(name) => (file == name).then_some(RecordKey::Only),
            FileName::Epoch(prefix) => stem(prefix)?.parse().ok().map(RecordKey::Epoch),
            FileName::Chunk(prefix) => stem(prefix)?.parse().ok().map(RecordKey::Chunk),
            FileName::Id(folder) => {
                let name = file.strip_prefix(folder)?.strip_prefix('/')?;
                name.strip_suffix(".json")?.parse().ok().map(RecordKey::Id)
            }
        }
    }
}

/// The type of a file of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFile {
    /// A record.
    Record(RecordKind, RecordKey),
    /// The rows of a chunk.
    Chunk(ChunkId),
    /// Rows of the replicated write-ahead log.
    Wal(LoggedRows),
    /// A JSON file at a record's place whose kind this version does not know; a newer version may know it.
    UnknownRecord,
    /// A file that this program did not write.
    Foreign,
}

impl StoreFile {
    /// Whether a folder that has this file and no creation record must have lost that record.
    pub fn proves_use(self) -> bool {
        match self {
            Self::Record(kind, _) => kind.spec().proves_use,
            Self::UnknownRecord => true,
            // Such a file may still have been in flight to a bucket when the folder was removed.
            Self::Chunk(_) | Self::Wal(_) | Self::Foreign => false,
        }
    }
}

/// A file of the store and the resource that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    pub sequence: Option<SequenceId>,
    pub topic: Option<TopicId>,
    pub file: StoreFile,
}

/// The type and owner of the file at `path`.
pub fn locate(path: &Path) -> Located {
    let path = path.as_ref();
    let (sequence, rest) = match below(ROOT, path) {
        Some((sequence, rest)) => (Some(sequence), rest),
        None => (None, path),
    };
    let (topic, rest) = match sequence.and_then(|_| below(TOPICS, rest)) {
        Some((topic, rest)) => (Some(topic), rest),
        None => (None, rest),
    };
    let level = match (sequence, topic) {
        (_, Some(_)) => Level::Topic,
        (Some(_), None) => Level::Sequence,
        (None, None) => Level::Store,
    };
    Located { sequence, topic, file: file(level, rest) }
}

/// The id that follows `folder` in a path, and the rest of the path.
fn below<'a, T: FromStr>(folder: &str, path: &'a str) -> Option<(T, &'a str)> {
    let (id, rest) = path.strip_prefix(folder)?.strip_prefix('/')?.split_once('/')?;
    Some((id.parse().ok()?, rest))
}

fn file(level: Level, name: &str) -> StoreFile {
    for kind in RecordKind::ALL.iter().filter(|kind| kind.spec().levels.contains(&level)) {
        // Only the exact name that this program writes: a different spelling is not that record.
        if let Some(key) = kind.parse(name)
            && kind.file(key) == name
        {
            return StoreFile::Record(*kind, key);
        }
    }
    if level == Level::Topic {
        let chunk = name.strip_prefix(CHUNK).and_then(|rest| rest.strip_suffix(".parquet"));
        if let Some(chunk) = chunk.and_then(|id| id.parse().ok()) {
            return StoreFile::Chunk(chunk);
        }
        if let Some(rows) = parse_rows(name) {
            return StoreFile::Wal(rows);
        }
    }
    match name.ends_with(".json") && level != Level::Store {
        true => StoreFile::UnknownRecord,
        false => StoreFile::Foreign,
    }
}

/// Paths of one sequence.
#[derive(Debug, Clone, Copy)]
pub struct SequencePaths(pub SequenceId);

impl SequencePaths {
    fn file(self, name: impl Display) -> Path {
        Path::from(format!("{ROOT}/{}/{name}", self.0))
    }
    fn record(self, kind: RecordKind, key: RecordKey) -> Path {
        self.file(kind.file(key))
    }
    pub fn folder(self) -> Path {
        Path::from(format!("{ROOT}/{}", self.0))
    }
    pub fn created(self) -> Path {
        self.record(RecordKind::Sequence, RecordKey::Only)
    }
    pub fn finalized(self) -> Path {
        self.record(RecordKind::Final, RecordKey::Only)
    }
    pub fn ended(self) -> Path {
        self.record(RecordKind::Ended, RecordKey::Only)
    }
    pub fn deleted(self) -> Path {
        self.record(RecordKind::Tombstone, RecordKey::Only)
    }
    pub fn notification(self, id: NotificationId) -> Path {
        self.record(RecordKind::Notification, RecordKey::Id(id.into()))
    }
    pub fn topics(self) -> Path {
        self.file(TOPICS)
    }
    pub fn topic(self, topic: TopicId) -> TopicPaths {
        TopicPaths { sequence: self.0, topic }
    }
}

/// Paths of one topic.
#[derive(Debug, Clone, Copy)]
pub struct TopicPaths {
    pub sequence: SequenceId,
    pub topic: TopicId,
}

impl TopicPaths {
    fn file(self, name: impl Display) -> Path {
        Path::from(format!("{ROOT}/{}/{TOPICS}/{}/{name}", self.sequence, self.topic))
    }
    fn record(self, kind: RecordKind, key: RecordKey) -> Path {
        self.file(kind.file(key))
    }
    pub fn folder(self) -> Path {
        Path::from(format!("{ROOT}/{}/{TOPICS}/{}", self.sequence, self.topic))
    }
    pub fn created(self) -> Path {
        self.record(RecordKind::Topic, RecordKey::Only)
    }
    pub fn schema(self) -> Path {
        self.record(RecordKind::Schema, RecordKey::Only)
    }
    pub fn resumed(self) -> Path {
        self.record(RecordKind::Resumed, RecordKey::Only)
    }
    pub fn damage(self) -> Path {
        self.record(RecordKind::Damage, RecordKey::Only)
    }
    pub fn epoch(self, epoch: u32) -> Path {
        self.record(RecordKind::Epoch, RecordKey::Epoch(epoch))
    }
    pub fn uploaded(self) -> Path {
        self.record(RecordKind::Uploaded, RecordKey::Only)
    }
    pub fn committed(self) -> Path {
        self.record(RecordKind::Commit, RecordKey::Only)
    }
    pub fn deleted(self) -> Path {
        self.record(RecordKind::Tombstone, RecordKey::Only)
    }
    pub fn wal(self) -> Path {
        self.file(WAL)
    }
    pub fn wal_object(self, rows: LoggedRows) -> Path {
        let LoggedRows { segment, row_start, row_end } = rows;
        // Listings are in the order of arrival.
        self.file(format!("{WAL}/{segment}-{row_start:020}-{}.wal", row_end - row_start))
    }
    pub fn chunk(self, id: ChunkId) -> Path {
        self.file(format!("{CHUNK}{id}.parquet"))
    }
    pub fn chunk_record(self, id: ChunkId) -> Path {
        self.record(RecordKind::Chunk, RecordKey::Chunk(id))
    }
}

/// The prefix of chunk file names.
const CHUNK: &str = "chunk-";

/// The folder of a topic's replicated WAL.
const WAL: &str = "wal";

/// Rows of a segment that were synced together, in one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedRows {
    pub segment: ChunkId,
    /// Rows of the topic before these.
    pub row_start: u64,
    pub row_end: u64,
}

/// The rows of an object in the folder of a topic; `None` if the object is not part of the WAL.
pub fn parse_logged(path: &Path) -> Option<LoggedRows> {
    match locate(path).file {
        StoreFile::Wal(rows) => Some(rows),
        _ => None,
    }
}

fn parse_rows(file: &str) -> Option<LoggedRows> {
    let name = file.strip_prefix(WAL)?.strip_prefix('/')?.strip_suffix(".wal")?;
    let (name, rows) = name.rsplit_once('-')?;
    let (segment, row_start) = name.rsplit_once('-')?;
    let row_start: u64 = row_start.parse().ok()?;
    let row_end = row_start.checked_add(rows.parse().ok()?)?;
    Some(LoggedRows { segment: segment.parse().ok()?, row_start, row_end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_logged_rows_read_back_and_are_in_order() {
        let topic = SequencePaths(SequenceId::generate()).topic(TopicId::generate());
        let rows = |epoch, index, row_start, row_end| {
            let segment = ChunkId { epoch, index };
            LoggedRows { segment, row_start, row_end }
        };
        let all = [
            rows(0, 0, 0, 9),
            rows(0, 0, 9, 10),
            rows(0, 0, 100, u64::MAX),
            rows(0, 70_000, 3, 4),
            rows(1, 0, 3, 4),
            rows(u32::MAX, u32::MAX, 0, 1),
        ];
        let paths = all.map(|rows| topic.wal_object(rows));
        assert!(paths.is_sorted());
        assert_eq!(paths.map(|path| parse_logged(&path)), all.map(Some));
        for other in [
            "chunk-00000-0000000.json",
            "wal/1-2.wal",
            "wal/00000-0000001-2-x.wal",
            "wal/00000-0000001-2-3.json",
            "notify/00000-0000001-2-3.wal",
        ] {
            assert_eq!(parse_logged(&topic.file(other)), None, "{other}");
        }
    }

    #[test]
    fn every_record_is_found_again_by_its_path() {
        let (sequence, topic, id) = (SequenceId::generate(), TopicId::generate(), Ulid::new());
        for kind in RecordKind::ALL {
            let key = match kind.spec().file {
                FileName::Fixed(_) => RecordKey::Only,
                FileName::Epoch(_) => RecordKey::Epoch(7),
                FileName::Chunk(_) => RecordKey::Chunk(ChunkId { epoch: 7, index: u32::MAX }),
                FileName::Id(_) => RecordKey::Id(id),
            };
            for level in kind.spec().levels {
                let paths = SequencePaths(sequence);
                let (path, of, in_topic) = match level {
                    Level::Store => (Path::from(kind.file(key)), None, None),
                    Level::Sequence => (paths.record(*kind, key), Some(sequence), None),
                    Level::Topic => (paths.topic(topic).record(*kind, key), Some(sequence), Some(topic)),
                };
                let file = StoreFile::Record(*kind, key);
                assert_eq!(locate(&path), Located { sequence: of, topic: in_topic, file }, "{path}");
            }
        }
    }

    #[test]
    fn other_files_are_recognised() {
        let sequence = SequencePaths(SequenceId::generate());
        let topic = sequence.topic(TopicId::generate());
        let id = ChunkId { epoch: 2, index: 70_000 };
        let rows = LoggedRows { segment: id, row_start: 4, row_end: 5 };
        for (path, file) in [
            (topic.chunk(id), StoreFile::Chunk(id)),
            (topic.wal_object(rows), StoreFile::Wal(rows)),
            (topic.file("grants.json"), StoreFile::UnknownRecord),
            (topic.file("chunk-x.json"), StoreFile::UnknownRecord),
            (sequence.file("grants.json"), StoreFile::UnknownRecord),
            (sequence.file("schema.json"), StoreFile::UnknownRecord),
            (topic.file("notes.txt"), StoreFile::Foreign),
            (Path::from("notes.json"), StoreFile::Foreign),
            (Path::from("seq/no-id/sequence.json"), StoreFile::Foreign),
        ] {
            assert_eq!(locate(&path).file, file, "{path}");
        }
    }
}
