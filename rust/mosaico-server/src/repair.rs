//! Changes and removals that stopped half-way are brought to an end, at the start and at run time alike.

use std::collections::HashSet;
use std::sync::Arc;

use mosaico_types::SequenceName;

use crate::catalog::{SequenceRow, SequenceState};
use crate::cluster::SequenceLock;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::id::{SequenceId, TopicId};
use crate::ingest::live::LiveTopic;
use crate::store::blocking;
use crate::store::layout::SequencePaths;

impl Core {
    /// A sequence as it is under its lock.
    pub(crate) async fn locked(&self, name: &SequenceName) -> Result<(SequenceLock, SequenceRow)> {
        loop {
            let id = self.catalog.sequence(name).await?.id;
            let lock = self.lock(id).await?;
            let row = self.catalog.sequence(name).await?;
            // Another one may have taken the name meanwhile.
            if row.id == id {
                return Ok((lock, row));
            }
        }
    }

    /// Brings to an end what keeps the name from being used: removals, and creations that were not answered.
    /// The caller holds the right to create it.
    pub(crate) async fn settle_name(&self, wanted: &SequenceName) -> Result<()> {
        let begun: Vec<SequenceId> = {
            let begun = self.creations.begun.lock();
            begun.iter().filter(|(_, name)| *name == wanted).map(|(&id, _)| id).collect()
        };
        for id in begun {
            drop(self.lock(id).await?);
            self.creations.begun.lock().remove(&id);
        }
        match self.catalog.find_sequence(wanted).await? {
            Some(row) if row.deleting => {
                let _lock = self.lock(row.id).await?;
                self.finish_sequence_removal(row.id).await
            }
            _ => Ok(()),
        }
    }

    /// Looks what became of announced changes of a sequence, under its lock. What was created without an answer to
    /// the client is removed: nobody holds its key.
    pub(crate) async fn settle(&self, id: SequenceId) -> Result<()> {
        let known = self.catalog.sequence_by_id(id).await?;
        let state = self.store.load_sequence(id).await?;
        match (known, state) {
            (Some(known), Some(state)) if !known.deleting => self.settle_known(state).await,
            (None, Some(state)) if is_in_use(&state) => self.catalog.adopt(&state).await,
            (known, _) => {
                self.catalog.settle_removal(id).await?;
                match known {
                    None if self.store.is_remote() => self.store.bury(id).await?,
                    _ => self.finish_sequence_removal(id).await?,
                }
                self.creations.begun.lock().remove(&id);
                Ok(())
            }
        }
    }

    async fn settle_known(&self, mut state: SequenceState) -> Result<()> {
        let id = state.record.id;
        let known: HashSet<TopicId> = self.catalog.topics(id).await?.iter().map(|topic| topic.id).collect();
        let (kept, unknown): (Vec<_>, Vec<_>) =
            state.topics.into_iter().partition(|topic| known.contains(&topic.record.id));
        state.topics = kept;
        for topic in unknown {
            if topic.schema.is_some() {
                // Its key was used, so its creation was answered: this is no rest of one.
                let text =
                    format!("settling topic {}, which only `mosaicod rebuild` takes over", topic.record.id);
                return Err(Error::Internal(text.into()));
            }
            self.finish_topic_removal(id, topic.record.id).await?;
        }
        for &topic in known.iter().filter(|id| !state.topics.iter().any(|topic| topic.record.id == **id)) {
            self.catalog.settle_topic_removal(id, topic).await?;
            self.finish_topic_removal(id, topic).await?;
        }
        self.catalog.settle_sequence(&state).await
    }

    /// Removes the files of a sequence that is marked as deleted, then forgets it.
    pub(crate) async fn finish_sequence_removal(&self, id: SequenceId) -> Result<()> {
        for topic in self.live.of_sequence(id) {
            self.stop(&topic).await;
        }
        let paths = SequencePaths(id);
        // The log has no sequence ids in it; the store still has the topics.
        for name in self.store.list_folders(&paths.topics()).await? {
            if let Ok(topic) = name.parse() {
                self.remove_log(topic).await?;
            }
        }
        self.store.remove_folder(&paths.folder(), &paths.deleted()).await?;
        self.writers.forget(id);
        self.catalog.forget_sequence(id).await
    }

    /// Removes the files of a topic that is marked as deleted, then forgets it.
    pub(crate) async fn finish_topic_removal(&self, sequence: SequenceId, topic: TopicId) -> Result<()> {
        if let Some(live) = self.live.get(topic) {
            self.stop(&live).await;
        }
        let paths = SequencePaths(sequence).topic(topic);
        self.remove_log(topic).await?;
        for row in self.catalog.notifications(sequence, Some(topic)).await? {
            self.store.remove(&SequencePaths(sequence).notification(row.id)).await?;
        }
        self.store.remove_folder(&paths.folder(), &paths.deleted()).await?;
        self.catalog.forget_topic(topic).await
    }

    /// Lets go of a topic that another daemon removed.
    pub(crate) async fn drop_deleted(&self, topic: &Arc<LiveTopic>) -> Result<()> {
        self.stop(topic).await;
        self.remove_log(topic.id()).await
    }

    /// Ends the put and the background jobs of a topic that is being removed.
    async fn stop(&self, topic: &Arc<LiveTopic>) {
        topic.cancel.cancel();
        topic.tasks.close();
        topic.tasks.wait().await;
        self.live.remove(topic.id());
    }

    async fn remove_log(&self, topic: TopicId) -> Result<()> {
        let folder = self.log_folder(topic);
        blocking("removing the log of a deleted topic", move || match std::fs::remove_dir_all(folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
        .await
    }
}

/// Whether a client was told of its creation: without the key it has nothing but its record.
fn is_in_use(state: &SequenceState) -> bool {
    !state.topics.is_empty() || state.finalized_ns.is_some() || state.ended_ns.is_some()
}
