//! The intact records of one sequence.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::checksum::Checksum;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::DamageRecord;
use mosaico_storage::format::paths::{RecordKey, SequencePaths, StoreFile, TopicPaths, locate};
use mosaico_storage::format::record::{FormatError, Record, read, verify};
use mosaico_storage::format::record_kind::RecordKind;
use mosaico_storage::format::records::{
    ChunkRecord, CommitRecord, EndedRecord, EpochRecord, FinalRecord, NotificationRecord, ResumedRecord,
    SchemaRecord, SequenceRecord, TopicRecord, UploadedRecord,
};
use mosaico_storage::format::state::{SequenceState, TopicState, is_superseded};
use mosaico_storage::objects::Store;
use mosaico_types::id::{NotificationId, SequenceId, TopicId};
use object_store::path::Path;

/// A problem of a record.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// A newer version wrote the record: it is not damaged, but this version cannot interpret it.
    Newer { found: u32, known: u32 },
    /// The contents cannot be trusted.
    Damaged(String),
    /// The record can be parsed, but has no checksum that proves its contents.
    NoChecksum,
}

impl From<FormatError> for Wrong {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Newer { found, known } => Self::Newer { found, known },
            FormatError::Damaged(text) => Self::Damaged(text),
        }
    }
}

/// Validates a record; ignores its contents.
pub(super) fn check(kind: RecordKind, bytes: &[u8]) -> Result<(), Wrong> {
    match verify(kind, bytes)? {
        Checksum::Missing => Err(Wrong::NoChecksum),
        Checksum::Valid | Checksum::Invalid => Ok(()),
    }
}

/// All small files of a sequence.
#[derive(Debug, Default)]
pub(super) struct Read {
    whole: BTreeMap<Path, Bytes>,
    /// Damaged records with their problems.
    pub damaged: BTreeMap<Path, String>,
    /// Intact records without a checksum.
    pub missing_checksum: BTreeMap<Path, Bytes>,
    /// Records of a newer version, with a description.
    pub newer: BTreeMap<Path, String>,
    /// Files of rows; this module does not read them.
    rows: BTreeSet<Path>,
}

impl Read {
    /// Reads the records; ignores foreign files.
    pub(super) async fn all(store: &Store, paths: impl Iterator<Item = &Path>) -> Result<Self> {
        let mut found = Self::default();
        for path in paths {
            let located = locate(path);
            let kind = match located.file {
                StoreFile::Record(kind, _) if located.sequence.is_some() => kind,
                StoreFile::Chunk(_) => {
                    found.rows.insert(path.clone());
                    continue;
                }
                StoreFile::Record(..) | StoreFile::Wal(_) | StoreFile::UnknownRecord | StoreFile::Foreign => {
                    continue;
                }
            };
            let Some(bytes) = store.get(path).await? else { continue };
            match check(kind, &bytes) {
                Ok(()) => {}
                Err(Wrong::Newer { found: version, known }) => {
                    let text = Error::newer("the record", version, known).to_string();
                    found.newer.insert(path.clone(), text);
                    continue;
                }
                Err(Wrong::NoChecksum) => drop(found.missing_checksum.insert(path.clone(), bytes.clone())),
                Err(Wrong::Damaged(text)) => {
                    found.damaged.insert(path.clone(), text);
                    continue;
                }
            }
            found.whole.insert(path.clone(), bytes);
        }
        let complete: Vec<Path> = found.whole.keys().filter_map(folder_of_complete).collect();
        found.damaged.retain(|path, _| {
            !is_of_parts(path) || !complete.iter().any(|folder| path.prefix_matches(folder))
        });
        Ok(found)
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        self.whole.contains_key(path) || self.damaged.contains_key(path)
    }

    pub(super) fn is_damaged(&self) -> bool {
        !self.damaged.is_empty()
    }

    /// Whether a chunk record exists.
    pub(super) fn holds_rows(&self) -> bool {
        self.whole.keys().any(|path| matches!(locate(path).file, StoreFile::Record(RecordKind::Chunk, _)))
    }

    fn get<T: Record>(&self, path: &Path) -> Option<T> {
        read(self.whole.get(path)?).ok().map(|(record, _)| record)
    }

    /// Whether a record is missing or damaged.
    fn is_lost(&self, path: &Path) -> bool {
        !self.whole.contains_key(path)
    }

    /// The state of the sequence from its intact records, and from the catalog's state `known` for the
    /// others. `None` if neither identifies the sequence.
    pub(super) fn state(&self, id: SequenceId, known: Option<&SequenceState>) -> Option<SequenceState> {
        let paths = SequencePaths(id);
        let record = self.get::<SequenceRecord>(&paths.created());
        let finalized: Option<FinalRecord> = self.get(&paths.finalized());
        let ended: Option<EndedRecord> = self.get(&paths.ended());
        let record = record.or_else(|| known.map(|known| known.record.clone()))?;
        let finalized_ns = finalized.as_ref().map(|f| f.finalized_ns);
        let left_ns = finalized_ns.or(ended.as_ref().map(|ended| ended.ended_ns));
        let mut ids = self.topic_ids(&paths);
        ids.extend(finalized.iter().flat_map(|finalized| &finalized.topics));
        ids.extend(known.iter().flat_map(|known| &known.topics).map(|topic| topic.record.id));
        let topic = |topic: TopicId| {
            let known = known.and_then(|known| known.topics.iter().find(|known| known.record.id == topic));
            self.topic(paths.topic(topic), (finalized_ns.is_some(), left_ns), known)
        };
        let mut topics: Vec<TopicState> = ids.into_iter().filter_map(topic).collect();
        topics.sort_by_key(|topic| (topic.record.created_ns, topic.record.id));
        let lost = |path: &Path| self.is_lost(path).then_some(known).flatten();
        let finalized_ns =
            finalized_ns.or_else(|| lost(&paths.finalized()).and_then(|known| known.finalized_ns));
        let ended_ns =
            ended.map(|e| e.ended_ns).or_else(|| lost(&paths.ended()).and_then(|known| known.ended_ns));
        let notifications = self.notifications(&paths, &topics, known);
        Some(SequenceState { record, finalized_ns, ended_ns, topics, notifications })
    }

    fn topic_ids(&self, paths: &SequencePaths) -> BTreeSet<TopicId> {
        let below = paths.topics();
        let part = |path: &Path| path.prefix_match(&below)?.next()?.as_ref().parse().ok();
        let removed = |id: &TopicId| self.has(&paths.topic(*id).deleted());
        let paths = self.whole.keys().chain(self.damaged.keys());
        paths.filter_map(part).filter(|id| !removed(id)).collect()
    }

    /// `left_ns` is the time when its sequence was finalized or ended.
    fn topic(
        &self,
        paths: TopicPaths,
        (is_final, left_ns): (bool, Option<i64>),
        known: Option<&TopicState>,
    ) -> Option<TopicState> {
        if self.has(&paths.deleted()) {
            return None;
        }
        let commit: Option<CommitRecord> = self.get(&paths.committed());
        let record = self.get::<TopicRecord>(&paths.created());
        let record = record
            .or_else(|| commit.as_ref().map(|commit| commit.topic.clone()))
            .or_else(|| known.map(|known| known.record.clone()))?;
        let schema = self.get::<SchemaRecord>(&paths.schema()).map(|record| record.schema);
        let schema = schema
            .or_else(|| commit.as_ref().map(|commit| commit.schema.clone()))
            .or_else(|| known.and_then(|known| known.schema.clone()));
        let resumed = match self.get::<ResumedRecord>(&paths.resumed()) {
            Some(resumed) => resumed.times,
            None => known.map_or(0, |known| known.resumed),
        };
        let damage = match self.get::<DamageRecord>(&paths.damage()) {
            Some(damage) => damage.segments,
            None => known.map(|known| known.damage.clone()).unwrap_or_default(),
        };
        let recorded = commit.as_ref().map(|commit| commit.committed_ns);
        let recorded = recorded.or_else(|| known.and_then(|known| known.committed_ns));
        let (epochs, uploaded) = self.epochs(paths, known);
        let chunks = match commit {
            Some(commit) => commit.chunks,
            None => self.chunks(paths, known, &epochs),
        };
        // The commit record existed, as in every finalized sequence. Its exact time is unknown, and all
        // chunks that it named have to exist.
        let was_there = is_final || self.damaged.contains_key(&paths.committed());
        let complete = was_there && self.names_all_rows(paths, &chunks, &epochs);
        let committed_ns = recorded.or(complete.then_some(left_ns.unwrap_or(record.created_ns)));
        let (epochs, uploaded) = match committed_ns {
            Some(_) => (Vec::new(), None),
            None => (epochs, uploaded),
        };
        Some(TopicState { record, schema, committed_ns, chunks, resumed, damage, epochs, uploaded })
    }

    /// Which daemons received the rows of an open topic, and its number of rows if its upload has ended.
    fn epochs(&self, paths: TopicPaths, known: Option<&TopicState>) -> (Vec<EpochRecord>, Option<u64>) {
        let mut epochs: BTreeMap<u32, EpochRecord> = known
            .map(|known| known.epochs.iter().map(|epoch| (epoch.epoch, epoch.clone())).collect())
            .unwrap_or_default();
        let below = paths.folder();
        for path in self.whole.keys().filter(|path| is_of_parts(path) && path.prefix_matches(&below)) {
            if let Some(epoch) = self.get::<EpochRecord>(path) {
                epochs.insert(epoch.epoch, epoch);
            }
        }
        let uploaded = self.get::<UploadedRecord>(&paths.uploaded()).map(|uploaded| uploaded.rows);
        let uploaded = uploaded.or_else(|| known.and_then(|known| known.uploaded));
        (epochs.into_values().collect(), uploaded)
    }

    fn names_all_rows(&self, paths: TopicPaths, chunks: &[ChunkRecord], epochs: &[EpochRecord]) -> bool {
        let named: BTreeSet<ChunkId> = chunks.iter().map(ChunkRecord::id).collect();
        // Compaction merged chunks before the first into these.
        let first = named.first().copied().unwrap_or(ChunkId::first(0));
        let below = paths.folder();
        let index = |path: &Path| match locate(path).file {
            StoreFile::Chunk(index) => Some(index).filter(|_| path.prefix_matches(&below)),
            _ => None,
        };
        let counts = |index: &ChunkId| {
            let record = self.get::<ChunkRecord>(&paths.chunk_record(*index));
            record.is_none_or(|chunk| !is_superseded(&chunk, epochs))
        };
        let files = self.rows.iter().filter_map(index).filter(counts);
        files.into_iter().all(|index| index < first || named.contains(&index))
    }

    fn chunks(
        &self,
        paths: TopicPaths,
        known: Option<&TopicState>,
        epochs: &[EpochRecord],
    ) -> Vec<ChunkRecord> {
        let below = paths.folder();
        let id = |path: &Path| match locate(path).file {
            StoreFile::Record(_, RecordKey::Chunk(id)) => Some(id).filter(|_| path.prefix_matches(&below)),
            _ => None,
        };
        let mut chunks: BTreeMap<ChunkId, ChunkRecord> = known
            .map(|known| known.chunks.iter().map(|chunk| (chunk.id(), chunk.clone())).collect())
            .unwrap_or_default();
        for id in self.whole.keys().filter_map(id) {
            if let Some(chunk) = self.get::<ChunkRecord>(&paths.chunk_record(id)) {
                chunks.insert(id, chunk);
            }
        }
        newest_whole(chunks.into_values().filter(|chunk| !is_superseded(chunk, epochs)).collect())
    }

    fn notifications(
        &self,
        paths: &SequencePaths,
        topics: &[TopicState],
        known: Option<&SequenceState>,
    ) -> Vec<NotificationRecord> {
        let below = paths.folder();
        let mut found: BTreeMap<NotificationId, NotificationRecord> = BTreeMap::new();
        let is_one = |path: &&Path| {
            path.prefix_matches(&below)
                && matches!(locate(path).file, StoreFile::Record(RecordKind::Notification, _))
        };
        for path in self.whole.keys().filter(is_one) {
            if let Some(record) = self.get::<NotificationRecord>(path) {
                found.insert(record.id, record);
            }
        }
        for record in known.iter().flat_map(|known| &known.notifications) {
            found.entry(record.id).or_insert_with(|| record.clone());
        }
        let is_there = |id: &TopicId| topics.iter().any(|topic| topic.record.id == *id);
        found.retain(|_, record| record.topic.as_ref().is_none_or(is_there));
        found.into_values().collect()
    }
}

/// Compacted chunks stay for a while beside the chunks that replace them. Each set begins at the first row:
/// returns the newest one of those with most rows.
fn newest_whole(chunks: Vec<ChunkRecord>) -> Vec<ChunkRecord> {
    let mut sets: Vec<Vec<ChunkRecord>> = Vec::new();
    for chunk in chunks {
        match sets.last_mut() {
            Some(set) if chunk.row_start > 0 => set.push(chunk),
            _ => sets.push(vec![chunk]),
        }
    }
    let rows = |set: &Vec<ChunkRecord>| set.iter().map(|chunk| chunk.rows).sum::<u64>();
    sets.into_iter().max_by_key(rows).unwrap_or_default()
}

/// Counts the chunk files that the state does not reference.
pub(super) fn orphans<'a>(state: &SequenceState, paths: impl Iterator<Item = &'a Path>) -> u64 {
    let folders = SequencePaths(state.record.id);
    let named: BTreeSet<Path> = state
        .topics
        .iter()
        .flat_map(|topic| topic.chunks.iter().map(|chunk| folders.topic(topic.record.id).chunk(chunk.id())))
        .collect();
    let committed = state.topics.iter().filter(|topic| topic.committed_ns.is_some());
    let committed: Vec<Path> = committed.map(|topic| folders.topic(topic.record.id).wal()).collect();
    let is_orphan = |path: &&Path| match locate(path).file {
        StoreFile::Wal(_) => committed.iter().any(|log| path.prefix_matches(log)),
        StoreFile::Chunk(_) => !named.contains(*path),
        _ => false,
    };
    paths.filter(is_orphan).count() as u64
}

/// Whether a record describes writer epochs, which a complete topic does not need.
fn is_of_parts(path: &Path) -> bool {
    matches!(locate(path).file, StoreFile::Record(RecordKind::Epoch | RecordKind::Uploaded, _))
}

/// The folder of the topic that this record completes, if it does.
fn folder_of_complete(path: &Path) -> Option<Path> {
    let is_commit = matches!(locate(path).file, StoreFile::Record(RecordKind::Commit, _));
    is_commit.then(|| path.parts().take(path.parts().count() - 1).collect())
}
