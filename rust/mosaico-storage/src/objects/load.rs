//! Reads the state of a sequence from the store, for recovery and for rebuilding the catalog.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use futures::{StreamExt, stream};
use mosaico_types::id::{SequenceId, TopicId};
use object_store::path::Path;

use super::local_folder::LocalFolder;
use super::store::{Kind, Store};
use crate::error::{Error, Result};
use crate::format::barrier::{BARRIER_BYTES, is_barrier};
use crate::format::chunk_id::ChunkId;
use crate::format::damage::{DamageRecord, DamagedSegment};
use crate::format::paths::{Located, ROOT, SequencePaths, StoreFile, locate};
use crate::format::record::{FormatError, check_version, parse};
use crate::format::record_kind::{FileName, ReadWhen, RecordKind};
use crate::format::records::{
    ChunkRecord, CommitRecord, EndedRecord, EpochRecord, FinalRecord, NotificationRecord, ResumedRecord,
    SchemaRecord, SequenceRecord, TopicRecord, UploadedRecord,
};
use crate::format::state::{SequenceState, TopicState, is_superseded};

/// The number of sequences of a bucket that are read concurrently.
const READERS: usize = 16;

/// The state of a sequence in the store; `None` if it does not exist, if its removal has begun, or if a
/// former owner created it too late to count.
pub type Loaded = (SequenceId, Result<Option<SequenceState>>);

impl Store {
    /// The ids of all sequences that have a folder.
    pub async fn sequences(&self) -> Result<Vec<SequenceId>> {
        let names = self.list_folders(&ROOT.into()).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The state of a sequence; `None` if it does not exist or its removal has begun.
    pub async fn load_sequence(&self, id: SequenceId) -> Result<Option<SequenceState>> {
        let mut found = self.list(&SequencePaths(id).folder()).await?;
        for path in found.needed(id) {
            match self.get(&path).await? {
                Some(bytes) => drop(found.contents.insert(path, bytes)),
                // Without the chunk record, rows would be missing.
                None if matches!(locate(&path).file, StoreFile::Record(RecordKind::Chunk, _)) => {
                    return Err(Error::Internal(format!("reading {path}").into()));
                }
                None => {}
            }
        }
        found.sequence(id, self.fence.open_since())
    }

    /// The states of many sequences that have no writers meanwhile. Reads the files of a folder directly: a
    /// thread hand-over per file costs more than reading it.
    pub async fn load_sequences(&self, ids: Vec<SequenceId>) -> Result<Vec<Loaded>> {
        if let Kind::Bucket(_) = self.kind {
            let load = |id| async move { (id, self.load_sequence(id).await) };
            return Ok(stream::iter(ids).map(load).buffered(READERS).collect().await);
        }
        let folder = Arc::clone(&self.folder);
        let load = move |id| (id, load_files(&folder, id));
        let loaded = tokio::task::spawn_blocking(move || ids.into_iter().map(load).collect()).await;
        loaded.map_err(|e| Error::internal("reading the store", e))
    }

    /// Refuses a store if a newer version wrote records outside the sequences, before anything in the store
    /// is changed.
    ///
    /// # Errors
    /// [`Error::NewerFormat`].
    pub async fn check_shared_versions(&self) -> Result<()> {
        for kind in RecordKind::ALL.iter().filter(|kind| kind.spec().read == ReadWhen::WithStore) {
            let Some(path) = self.newest_of(*kind).await? else { continue };
            let Some(bytes) = self.get(&path).await? else { continue };
            if let Err(error @ FormatError::Newer { .. }) = check_version(*kind, &bytes) {
                return Err(error.at("record", &path));
            }
        }
        Ok(())
    }

    /// The record of a kind in the root of the store; the newest if there are several.
    async fn newest_of(&self, kind: RecordKind) -> Result<Option<Path>> {
        let folder = match kind.spec().file {
            FileName::Fixed(name) => return Ok(Some(Path::from(name))),
            FileName::Id(folder) => folder,
            FileName::Epoch(_) | FileName::Chunk(_) => return Ok(None),
        };
        let paths = self.list_files(&folder.into()).await?;
        let paths = paths.into_iter().map(|name| Path::from(format!("{folder}/{name}")));
        Ok(paths.filter(|path| matches!(locate(path).file, StoreFile::Record(..))).max())
    }

    async fn list(&self, folder: &Path) -> Result<Found> {
        let objects = self.objects_below(folder).await?.into_iter();
        let objects = objects.filter(|object| object.size != BARRIER_BYTES);
        Ok(Found::of(objects.map(|object| object.location)))
    }
}

fn load_files(root: &LocalFolder, id: SequenceId) -> Result<Option<SequenceState>> {
    let folder = SequencePaths(id).folder();
    let failed = |e| Error::internal(format!("reading {folder}"), e);
    let mut paths = Vec::new();
    list_files(root, folder.as_ref(), &mut paths).map_err(failed)?;
    without_barriers(root, &mut paths).map_err(failed)?;
    let mut found = Found::of(paths);
    for path in found.needed(id) {
        let bytes = fs::read(root.root().join(path.as_ref())).map_err(failed)?;
        found.contents.insert(path, bytes.into());
    }
    found.sequence(id, 0)
}

fn list_files(root: &LocalFolder, folder: &str, paths: &mut Vec<Path>) -> io::Result<()> {
    let found = root.tree.entries(folder)?;
    paths.extend(found.files.into_iter().map(Path::from));
    found.folders.iter().try_for_each(|folder| list_files(root, folder, paths))
}

/// Leaves out barriers, which a folder has if it is the copy of a bucket. Only the two kinds of records whose presence
/// decides about others are looked at; barriers in the places of others are recognised when they are read.
fn without_barriers(root: &LocalFolder, paths: &mut Vec<Path>) -> io::Result<()> {
    let mut barriers = BTreeSet::new();
    for path in paths.iter() {
        if matches!(locate(path).file, StoreFile::Record(RecordKind::Tombstone | RecordKind::Commit, _))
            && fs::metadata(root.root().join(path.as_ref()))?.len() == BARRIER_BYTES
        {
            barriers.insert(path.clone());
        }
    }
    paths.retain(|path| !barriers.contains(path));
    Ok(())
}

/// The files below the folder of a sequence. Listing first saves requests for records that do not exist.
#[derive(Debug, Default)]
struct Found {
    files: BTreeMap<Path, Located>,
    /// The content of the needed files.
    contents: HashMap<Path, Bytes>,
}

impl Found {
    fn of(paths: impl IntoIterator<Item = Path>) -> Self {
        let files = paths.into_iter().map(|path| {
            let located = locate(&path);
            (path, located)
        });
        Self { files: files.collect(), contents: HashMap::new() }
    }

    fn has(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// The files that determine the state of the sequence.
    fn needed(&self, id: SequenceId) -> Vec<Path> {
        let paths = SequencePaths(id);
        if self.has(&paths.deleted()) {
            return vec![paths.deleted()];
        }
        if !self.has(&paths.created()) {
            return Vec::new();
        }
        let is_needed = |located: &Located| {
            let topic = located.topic.map(|topic| paths.topic(topic));
            let is_removed = topic.is_some_and(|topic| self.has(&topic.deleted()));
            let is_complete = topic.is_some_and(|topic| self.has(&topic.committed()));
            let when = match located.file {
                StoreFile::Record(kind, _) => kind.spec().read,
                StoreFile::Chunk(_) | StoreFile::Wal(_) | StoreFile::UnknownRecord | StoreFile::Foreign => {
                    return false;
                }
            };
            match when {
                ReadWhen::WithStore => false,
                ReadWhen::First => true,
                ReadWhen::Always => !is_removed,
                ReadWhen::WhileOpen => !is_removed && !is_complete,
            }
        };
        self.files.iter().filter(|(_, located)| is_needed(located)).map(|(path, _)| path.clone()).collect()
    }

    /// The state according to the records. All [`Self::needed`] files are loaded. A sequence that is not
    /// finalized and is of an epoch before `open_since` arrived late, see
    /// `mosaico-engine/src/access/owner.rs`.
    fn sequence(&self, id: SequenceId, open_since: u32) -> Result<Option<SequenceState>> {
        let paths = SequencePaths(id);
        let mut records = SequenceRecords::default();
        for (path, located) in &self.files {
            if let Some(bytes) = self.contents.get(path).filter(|bytes| !is_barrier(bytes)) {
                records.add(path, located, bytes)?;
            }
        }
        if self.has(&paths.deleted()) {
            return Ok(None);
        }
        if records.created.is_none() {
            self.check_no_orphaned_records(&paths.folder())?;
        }
        if records.finalized.is_none()
            && records.created.as_ref().is_some_and(|record| record.owner_epoch < open_since)
        {
            return Ok(None);
        }
        for topic in self.files.values().filter_map(|located| located.topic).collect::<BTreeSet<_>>() {
            if self.has(&paths.topic(topic).deleted()) {
                records.topics.remove(&topic);
            } else if records.topics.get(&topic).is_none_or(TopicRecords::is_of_none) {
                self.check_no_orphaned_records(&paths.topic(topic).folder())?;
            }
        }
        Ok(records.state())
    }

    /// Checks that a folder without a creation record contains no other records. A crash leaves no such
    /// folder, since the creation record is written first and removals leave a tombstone: the record was
    /// lost, so its files must be kept.
    fn check_no_orphaned_records(&self, folder: &Path) -> Result<()> {
        let mut below = self.files.iter().filter(|(path, _)| path.prefix_matches(folder));
        match below.find(|(_, located)| located.file.proves_use()) {
            Some((path, _)) => {
                Err(Error::Internal(format!("looking for the record of {folder}, which has {path}").into()))
            }
            None => Ok(()),
        }
    }
}

/// Collects the records of a sequence as they are read.
#[derive(Debug, Default)]
struct SequenceRecords {
    created: Option<SequenceRecord>,
    finalized: Option<FinalRecord>,
    ended: Option<EndedRecord>,
    notifications: Vec<NotificationRecord>,
    topics: BTreeMap<TopicId, TopicRecords>,
}

#[derive(Debug, Default)]
struct TopicRecords {
    commit: Option<CommitRecord>,
    created: Option<TopicRecord>,
    schema: Option<Vec<u8>>,
    resumed: u32,
    damage: Vec<DamagedSegment>,
    epochs: BTreeMap<u32, EpochRecord>,
    uploaded: Option<u64>,
    chunks: BTreeMap<ChunkId, ChunkRecord>,
}

impl SequenceRecords {
    fn add(&mut self, path: &Path, located: &Located, bytes: &[u8]) -> Result<()> {
        let topic = located.topic.map(|topic| self.topics.entry(topic).or_default());
        let kind = match located.file {
            StoreFile::Record(kind, _) => kind,
            StoreFile::Chunk(_) | StoreFile::Wal(_) | StoreFile::UnknownRecord | StoreFile::Foreign => {
                return Ok(());
            }
        };
        match (kind, topic) {
            (RecordKind::Tombstone, _) => {
                if let Err(error @ FormatError::Newer { .. }) = check_version(kind, bytes) {
                    return Err(error.at("record", path));
                }
                // Only the presence of the record counts, even if it is damaged.
            }
            (RecordKind::Sequence, _) => self.created = Some(parse(path, bytes)?),
            (RecordKind::Final, _) => self.finalized = Some(parse(path, bytes)?),
            (RecordKind::Ended, _) => self.ended = Some(parse(path, bytes)?),
            (RecordKind::Notification, _) => self.notifications.push(parse(path, bytes)?),
            (RecordKind::Commit, Some(topic)) => topic.commit = Some(parse(path, bytes)?),
            (RecordKind::Topic, Some(topic)) => topic.created = Some(parse(path, bytes)?),
            (RecordKind::Schema, Some(topic)) => {
                topic.schema = Some(parse::<SchemaRecord>(path, bytes)?.schema);
            }
            (RecordKind::Resumed, Some(topic)) => {
                topic.resumed = parse::<ResumedRecord>(path, bytes)?.times;
            }
            (RecordKind::Damage, Some(topic)) => {
                topic.damage = parse::<DamageRecord>(path, bytes)?.segments;
            }
            (RecordKind::Epoch, Some(topic)) => {
                let epoch: EpochRecord = parse(path, bytes)?;
                topic.epochs.insert(epoch.epoch, epoch);
            }
            (RecordKind::Uploaded, Some(topic)) => {
                topic.uploaded = Some(parse::<UploadedRecord>(path, bytes)?.rows);
            }
            (RecordKind::Chunk, Some(topic)) => {
                let chunk: ChunkRecord = parse(path, bytes)?;
                topic.chunks.insert(chunk.id(), chunk);
            }
            // They do not belong to a sequence, and their paths are not below one.
            (
                RecordKind::Owner
                | RecordKind::Store
                | RecordKind::Layers
                | RecordKind::ApiKeys
                | RecordKind::ApiKeyUses
                | RecordKind::Events
                | RecordKind::Heartbeat,
                _,
            )
            | (
                RecordKind::Commit
                | RecordKind::Topic
                | RecordKind::Schema
                | RecordKind::Resumed
                | RecordKind::Damage
                | RecordKind::Epoch
                | RecordKind::Uploaded
                | RecordKind::Chunk,
                None,
            ) => {}
        }
        Ok(())
    }

    fn state(self) -> Option<SequenceState> {
        let Self { created, finalized, ended, mut notifications, topics } = self;
        let record = created?;
        let mut topics: Vec<TopicState> = topics.into_values().filter_map(TopicRecords::state).collect();
        if let Some(record) = &finalized {
            topics.retain(|topic| record.topics.contains(&topic.record.id));
        }
        // The removal of a topic may have been interrupted before its notifications were removed.
        let known = |id: &TopicId| topics.iter().any(|topic| topic.record.id == *id);
        notifications.retain(|notification| notification.topic.as_ref().is_none_or(known));
        notifications.sort_by_key(|notification| notification.id);
        Some(SequenceState {
            record,
            finalized_ns: finalized.map(|f| f.finalized_ns),
            ended_ns: ended.map(|e| e.ended_ns),
            topics,
            notifications,
        })
    }
}

impl TopicRecords {
    /// Whether no record identifies the topic.
    fn is_of_none(&self) -> bool {
        self.commit.is_none() && self.created.is_none()
    }

    fn state(self) -> Option<TopicState> {
        let Self { commit, created, schema, resumed, damage, epochs, uploaded, chunks } = self;
        if let Some(commit) = commit {
            return Some(TopicState {
                record: commit.topic,
                schema: Some(commit.schema),
                committed_ns: Some(commit.committed_ns),
                chunks: commit.chunks,
                resumed,
                damage,
                epochs: Vec::new(),
                uploaded: None,
            });
        }
        let epochs: Vec<EpochRecord> = epochs.into_values().collect();
        Some(TopicState {
            record: created?,
            schema,
            committed_ns: None,
            chunks: chunks.into_values().filter(|chunk| !is_superseded(chunk, &epochs)).collect(),
            resumed,
            damage,
            epochs,
            uploaded,
        })
    }
}
