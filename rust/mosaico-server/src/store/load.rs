//! Reads what the store says about a sequence, for recovery and for rebuilding the catalogue.

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
        if self.get(&paths.deleted()).await?.is_some() {
            return Ok(None);
        }
        let Some(record) = self.get_json::<SequenceRecord>(&paths.created()).await? else { return Ok(None) };
        let finalized: Option<FinalRecord> = self.get_json(&paths.finalized()).await?;
        let ended: Option<EndedRecord> = self.get_json(&paths.ended()).await?;
        let mut topics: Vec<TopicState> = Vec::new();
        for name in self.list_folders(&paths.topics()).await? {
            if let Ok(topic) = name.parse::<TopicId>() {
                topics.extend(self.load_topic(paths.topic(topic)).await?);
            }
        }
        if let Some(record) = &finalized {
            topics.retain(|topic| record.topics.contains(&topic.record.id));
        }
        let mut notifications: Vec<NotificationRecord> = Vec::new();
        for name in self.list_files(&paths.notifications()).await? {
            let id = name.strip_suffix(".json").and_then(|id| id.parse::<NotificationId>().ok());
            if let Some(id) = id {
                notifications.extend(self.get_json(&paths.notification(id)).await?);
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

    async fn load_topic(&self, paths: TopicPaths) -> Result<Option<TopicState>> {
        if self.get(&paths.deleted()).await?.is_some() {
            return Ok(None);
        }
        let resumed =
            self.get_json::<ResumedRecord>(&paths.resumed()).await?.map_or(0, |record| record.times);
        if let Some(commit) = self.get_json::<CommitRecord>(&paths.committed()).await? {
            return Ok(Some(TopicState {
                record: commit.topic,
                schema: Some(commit.schema),
                committed_ns: Some(commit.committed_ns),
                chunks: commit.chunks,
                resumed,
            }));
        }
        let Some(record) = self.get_json::<TopicRecord>(&paths.created()).await? else { return Ok(None) };
        let schema = self.get(&paths.schema()).await?.map(|bytes| bytes.to_vec());
        let mut chunks = Vec::new();
        for name in self.list_files(&paths.folder()).await? {
            if let Some(index) = parse_chunk(&name, ".json") {
                let path = paths.chunk_record(index);
                let chunk: Option<ChunkRecord> = self.get_json(&path).await?;
                chunks.push(chunk.ok_or_else(|| Error::Internal(format!("reading {path}")))?);
            }
        }
        chunks.sort_by_key(|chunk| chunk.index);
        Ok(Some(TopicState { record, schema, committed_ns: None, chunks, resumed }))
    }
}
