//! Reads what the store says about a sequence, for recovery and for rebuilding the catalogue.

use std::collections::HashSet;

use object_store::path::Path;
use serde::de::DeserializeOwned;

use crate::catalog::{SequenceState, TopicState};
use crate::error::{Error, Result};
use crate::id::{NotificationId, SequenceId, TopicId};

use super::Store;
use super::layout::{ROOT, SequencePaths, TopicPaths, parse_chunk};
use super::records::{
    ChunkRecord, CommitRecord, EndedRecord, FinalRecord, NotificationRecord, ResumedRecord, SequenceRecord,
    TopicRecord,
};

impl Store {
    /// The ids of all sequences with a folder.
    pub(crate) async fn sequences(&self) -> Result<Vec<SequenceId>> {
        let names = self.list_folders(&ROOT.into()).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Everything about a sequence; `None` if there is none, or if its removal was begun.
    pub(crate) async fn load_sequence(&self, id: SequenceId) -> Result<Option<SequenceState>> {
        let paths = SequencePaths(id);
        let listing = Listing::of(self, &paths.folder()).await?;
        if listing.has(&paths.deleted()) {
            return Ok(None);
        }
        let Some(record) = listing.get_json::<SequenceRecord>(&paths.created()).await? else {
            listing.check_rest(&paths.folder())?;
            return Ok(None);
        };
        let finalized: Option<FinalRecord> = listing.get_json(&paths.finalized()).await?;
        let ended: Option<EndedRecord> = listing.get_json(&paths.ended()).await?;
        let mut topics: Vec<TopicState> = Vec::new();
        for name in listing.folders(&paths.topics()) {
            if let Ok(topic) = name.parse::<TopicId>() {
                topics.extend(load_topic(&listing, paths.topic(topic)).await?);
            }
        }
        if let Some(record) = &finalized {
            topics.retain(|topic| record.topics.contains(&topic.record.id));
        }
        let mut notifications: Vec<NotificationRecord> = Vec::new();
        for name in listing.files(&paths.notifications()) {
            let id = name.strip_suffix(".json").and_then(|id| id.parse::<NotificationId>().ok());
            if let Some(id) = id {
                notifications.extend(listing.get_json(&paths.notification(id)).await?);
            }
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

    /// Checks that a folder without the record of its creation holds no other records. A crash leaves no such folder,
    /// since the record is written first and removals leave a tombstone: the record was lost, and what it was for must
    /// not be.
    pub(crate) async fn check_rest(&self, folder: &Path) -> Result<()> {
        Listing::of(self, folder).await?.check_rest(folder)
    }
}

async fn load_topic(listing: &Listing<'_>, paths: TopicPaths) -> Result<Option<TopicState>> {
    if listing.has(&paths.deleted()) {
        return Ok(None);
    }
    let resumed = listing.get_json::<ResumedRecord>(&paths.resumed()).await?.map_or(0, |record| record.times);
    if let Some(commit) = listing.get_json::<CommitRecord>(&paths.committed()).await? {
        return Ok(Some(TopicState {
            record: commit.topic,
            schema: Some(commit.schema),
            committed_ns: Some(commit.committed_ns),
            chunks: commit.chunks,
            resumed,
        }));
    }
    let Some(record) = listing.get_json::<TopicRecord>(&paths.created()).await? else {
        listing.check_rest(&paths.folder())?;
        return Ok(None);
    };
    let schema = if listing.has(&paths.schema()) { listing.store.get(&paths.schema()).await? } else { None };
    let mut chunks = Vec::new();
    for index in listing.files(&paths.folder()).into_iter().filter_map(|name| parse_chunk(name, ".json")) {
        let path = paths.chunk_record(index);
        let chunk: Option<ChunkRecord> = listing.get_json(&path).await?;
        chunks.push(chunk.ok_or_else(|| Error::Internal(format!("reading {path}")))?);
    }
    chunks.sort_by_key(|chunk| chunk.index);
    let schema = schema.map(|bytes| bytes.to_vec());
    Ok(Some(TopicState { record, schema, committed_ns: None, chunks, resumed }))
}

/// What lies below a folder. Asking it first costs one listing, and saves asking the store for each record that is
/// not there.
struct Listing<'a> {
    store: &'a Store,
    found: HashSet<Path>,
}

impl<'a> Listing<'a> {
    async fn of(store: &'a Store, folder: &Path) -> Result<Self> {
        let found = store.objects_below(folder).await?.into_iter().map(|object| object.location).collect();
        Ok(Self { store, found })
    }

    fn has(&self, path: &Path) -> bool {
        self.found.contains(path)
    }

    async fn get_json<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>> {
        if self.has(path) { self.store.get_json(path).await } else { Ok(None) }
    }

    /// Sorted parts of paths below `folder`, and whether there is more below each.
    fn parts(&self, folder: &Path) -> Vec<(&str, bool)> {
        fn split<'p>(path: &'p Path, folder: &Path) -> Option<(&'p str, bool)> {
            let rest = path.as_ref().strip_prefix(folder.as_ref())?.strip_prefix('/')?;
            Some(rest.split_once('/').map_or((rest, false), |(name, _)| (name, true)))
        }
        let mut parts: Vec<_> = self.found.iter().filter_map(|path| split(path, folder)).collect();
        parts.sort_unstable();
        parts.dedup();
        parts
    }

    fn folders(&self, folder: &Path) -> Vec<&str> {
        self.parts(folder).into_iter().filter(|(_, folder)| *folder).map(|(name, _)| name).collect()
    }

    fn files(&self, folder: &Path) -> Vec<&str> {
        self.parts(folder).into_iter().filter(|(_, folder)| !folder).map(|(name, _)| name).collect()
    }

    fn check_rest(&self, folder: &Path) -> Result<()> {
        // Rows alone may have been on their way to a bucket when their topic was removed, notifications too.
        let is_record = |path: &&Path| {
            let name = path.filename().unwrap_or_default();
            let record = name == "schema.arrow" || (name.ends_with(".json") && name != "deleted.json");
            record && !path.parts().any(|part| part.as_ref() == "notify")
        };
        let below = |path: &&Path| path.prefix_matches(folder);
        if let Some(path) = self.found.iter().filter(below).find(is_record) {
            return Err(Error::Internal(format!("looking for the record of {folder}, which has {path}")));
        }
        Ok(())
    }
}
