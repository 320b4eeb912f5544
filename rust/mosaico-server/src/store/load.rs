//! Reads what the store says about a sequence, for recovery and for rebuilding the catalogue.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use object_store::path::Path;
use serde::de::DeserializeOwned;

use crate::catalog::{SequenceState, TopicState};
use crate::error::{Error, Result};
use crate::id::{NotificationId, SequenceId, TopicId};

use super::layout::{ROOT, SequencePaths, TopicPaths, parse_chunk, parse_part};
use super::records::{
    ChunkRecord, CommitRecord, EndedRecord, FinalRecord, NotificationRecord, PartRecord, ResumedRecord,
    SequenceRecord, TopicRecord, UploadedRecord,
};
use super::{Kind, Store, parse_json};

/// Sequences of a bucket that are read at the same time.
const READERS: usize = 16;

/// What the store says about a sequence; `None` if there is none, if its removal was begun, or if it was created by a
/// former owner too late to count.
pub(crate) type Loaded = (SequenceId, Result<Option<SequenceState>>);

impl Store {
    /// The ids of all sequences with a folder.
    pub(crate) async fn sequences(&self) -> Result<Vec<SequenceId>> {
        let names = self.list_folders(&ROOT.into()).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Everything about a sequence; `None` if there is none, or if its removal was begun.
    pub(crate) async fn load_sequence(&self, id: SequenceId) -> Result<Option<SequenceState>> {
        let mut found = self.list(&SequencePaths(id).folder()).await?;
        for path in found.needed(id) {
            if let Some(bytes) = self.get(&path).await? {
                found.records.insert(path, bytes);
            }
        }
        found.sequence(id, self.fence.open_since())
    }

    /// The same of many sequences, which nobody writes to meanwhile. Files of a folder are read directly: handing each
    /// of them over to another thread costs more than reading it.
    pub(crate) async fn load_sequences(&self, ids: Vec<SequenceId>) -> Result<Vec<Loaded>> {
        if let Kind::Bucket(_) = self.kind {
            let load = |id| async move { (id, self.load_sequence(id).await) };
            return Ok(stream::iter(ids).map(load).buffered(READERS).collect().await);
        }
        let folder = Arc::clone(&self.folder);
        let load = move |id| (id, load_files(folder.root(), id));
        let loaded = tokio::task::spawn_blocking(move || ids.into_iter().map(load).collect()).await;
        loaded.map_err(|e| Error::internal("reading the store", e))
    }

    /// Checks that a folder without the record of its creation holds no other records. A crash leaves no such folder,
    /// since the record is written first and removals leave a tombstone: the record was lost, and what it was for must
    /// not be.
    pub(crate) async fn check_rest(&self, folder: &Path) -> Result<()> {
        self.list(folder).await?.check_rest(folder)
    }

    async fn list(&self, folder: &Path) -> Result<Found> {
        let paths = self.objects_below(folder).await?.into_iter().map(|object| object.location).collect();
        Ok(Found { paths, records: HashMap::new() })
    }
}

fn load_files(root: &FilePath, id: SequenceId) -> Result<Option<SequenceState>> {
    let folder = SequencePaths(id).folder();
    let failed = |e| Error::internal(format!("reading {folder}"), e);
    let mut found = Found::default();
    list_files(root, folder.as_ref(), &mut found.paths).map_err(failed)?;
    for path in found.needed(id) {
        let bytes = fs::read(root.join(path.as_ref())).map_err(failed)?;
        found.records.insert(path, bytes.into());
    }
    found.sequence(id, 0)
}

fn list_files(root: &FilePath, folder: &str, paths: &mut HashSet<Path>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list_files(root, &path, paths)?;
        } else {
            paths.insert(Path::from(path));
        }
    }
    Ok(())
}

/// What lies below the folder of a sequence. Listing it first saves asking the store for each record that is not there.
#[derive(Debug, Default)]
struct Found {
    paths: HashSet<Path>,
    /// The content of those that are needed.
    records: HashMap<Path, Bytes>,
}

impl Found {
    fn has(&self, path: &Path) -> bool {
        self.paths.contains(path)
    }

    /// The files that tell everything.
    fn needed(&self, id: SequenceId) -> Vec<Path> {
        let paths = SequencePaths(id);
        if self.has(&paths.deleted()) || !self.has(&paths.created()) {
            return Vec::new();
        }
        let mut needed = vec![paths.created(), paths.finalized(), paths.ended()];
        needed.extend(self.notifications(paths).into_iter().map(|id| paths.notification(id)));
        for topic in self.topics(paths) {
            if self.has(&topic.deleted()) {
                continue;
            }
            needed.push(topic.resumed());
            if self.has(&topic.committed()) {
                needed.push(topic.committed());
            } else {
                needed.extend([topic.created(), topic.schema(), topic.uploaded()]);
                needed.extend(self.parts(topic).into_iter().map(|number| topic.part(number)));
                needed.extend(self.chunks(topic).into_iter().map(|index| topic.chunk_record(index)));
            }
        }
        needed.retain(|path| self.has(path));
        needed
    }

    fn get_json<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>> {
        self.records.get(path).map(|bytes| parse_json(path, bytes)).transpose()
    }

    /// A sequence that is not finalized and of an epoch before `open_since` came late, see [`super::owner`].
    fn sequence(&self, id: SequenceId, open_since: u32) -> Result<Option<SequenceState>> {
        let paths = SequencePaths(id);
        if self.has(&paths.deleted()) {
            return Ok(None);
        }
        let Some(record) = self.get_json::<SequenceRecord>(&paths.created())? else {
            self.check_rest(&paths.folder())?;
            return Ok(None);
        };
        let finalized: Option<FinalRecord> = self.get_json(&paths.finalized())?;
        if finalized.is_none() && record.owner_epoch < open_since {
            return Ok(None);
        }
        let ended: Option<EndedRecord> = self.get_json(&paths.ended())?;
        let mut topics: Vec<TopicState> = Vec::new();
        for topic in self.topics(paths) {
            topics.extend(self.topic(topic)?);
        }
        if let Some(record) = &finalized {
            topics.retain(|topic| record.topics.contains(&topic.record.id));
        }
        let mut notifications: Vec<NotificationRecord> = Vec::new();
        for id in self.notifications(paths) {
            notifications.extend(self.get_json(&paths.notification(id))?);
        }
        // A topic's removal may have been cut short before its notifications.
        let known = |id: &TopicId| topics.iter().any(|topic| topic.record.id == *id);
        notifications.retain(|notification| notification.topic.as_ref().is_none_or(known));
        Ok(Some(SequenceState {
            record,
            finalized_ns: finalized.map(|f| f.finalized_ns),
            ended_ns: ended.map(|e| e.ended_ns),
            topics,
            notifications,
        }))
    }

    fn topic(&self, paths: TopicPaths) -> Result<Option<TopicState>> {
        if self.has(&paths.deleted()) {
            return Ok(None);
        }
        let resumed = self.get_json::<ResumedRecord>(&paths.resumed())?.map_or(0, |record| record.times);
        if let Some(commit) = self.get_json::<CommitRecord>(&paths.committed())? {
            return Ok(Some(TopicState {
                record: commit.topic,
                schema: Some(commit.schema),
                committed_ns: Some(commit.committed_ns),
                chunks: commit.chunks,
                resumed,
                parts: Vec::new(),
                uploaded: None,
            }));
        }
        let Some(record) = self.get_json::<TopicRecord>(&paths.created())? else {
            self.check_rest(&paths.folder())?;
            return Ok(None);
        };
        let schema = self.records.get(&paths.schema()).map(|bytes| bytes.to_vec());
        let mut chunks = Vec::new();
        for index in self.chunks(paths) {
            let path = paths.chunk_record(index);
            let chunk: Option<ChunkRecord> = self.get_json(&path)?;
            chunks.push(chunk.ok_or_else(|| Error::Internal(format!("reading {path}")))?);
        }
        let mut parts = Vec::new();
        for number in self.parts(paths) {
            parts.extend(self.get_json::<PartRecord>(&paths.part(number))?);
        }
        let uploaded: Option<UploadedRecord> = self.get_json(&paths.uploaded())?;
        let uploaded = uploaded.map(|record| record.rows);
        Ok(Some(TopicState { record, schema, committed_ns: None, chunks, resumed, parts, uploaded }))
    }

    fn topics(&self, paths: SequencePaths) -> Vec<TopicPaths> {
        let folder = paths.topics();
        let mut ids: Vec<TopicId> =
            self.below(&folder).filter_map(|rest| rest.split_once('/')?.0.parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| paths.topic(id)).collect()
    }

    fn notifications(&self, paths: SequencePaths) -> Vec<NotificationId> {
        let folder = paths.notifications();
        let mut ids: Vec<NotificationId> =
            self.below(&folder).filter_map(|rest| rest.strip_suffix(".json")?.parse().ok()).collect();
        ids.sort_unstable();
        ids
    }

    /// Chunks with a record, in order.
    fn chunks(&self, topic: TopicPaths) -> Vec<u32> {
        let folder = topic.folder();
        let mut indices: Vec<u32> =
            self.below(&folder).filter_map(|rest| parse_chunk(rest, ".json")).collect();
        indices.sort_unstable();
        indices
    }

    fn parts(&self, topic: TopicPaths) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.below(&topic.folder()).filter_map(parse_part).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The rest of the paths that begin with `folder`.
    fn below<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a str> {
        self.paths.iter().filter_map(|path| path.as_ref().strip_prefix(folder.as_ref())?.strip_prefix('/'))
    }

    fn check_rest(&self, folder: &Path) -> Result<()> {
        // What comes without a client's doing anything with it may have been on its way to a bucket when it was removed.
        let is_record = |path: &&Path| {
            let name = path.filename().unwrap_or_default();
            let is_used = name == "schema.arrow" || name.ends_with(".json");
            let is_new = matches!(name, "deleted.json" | "sequence.json" | "topic.json");
            is_used && !is_new && !path.parts().any(|part| part.as_ref() == "notify")
        };
        let below = |path: &&Path| path.prefix_matches(folder);
        if let Some(path) = self.paths.iter().filter(below).find(is_record) {
            return Err(Error::Internal(format!("looking for the record of {folder}, which has {path}")));
        }
        Ok(())
    }
}
