//! One of several daemons on a store. Locks and heartbeats are those of the database, and each topic has a writer
//! epoch per daemon that received rows of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mosaico_catalog::{EpochRow, LockGuard, SequenceRow, TopicRow};
use mosaico_storage::error::Result;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_types::SequenceName;
use mosaico_types::id::SequenceId;
use mosaico_wire::command::PutCommand;
use mosaico_wire::metadata::RemoteRows;

use super::store_heartbeats;
use crate::ingest::adoption::adopt;
use crate::ingest::commit::commit;
use crate::ingest::handover::{
    self, check_complete, is_superseded, missing_rows, next_epoch, yield_to_successor,
};
use crate::ingest::replicated_read;
use crate::reconcile::sequence_lock;
use crate::state::active_topic::{ActiveTopic, Segment, SegmentView};
use crate::state::engine::{Adopted, ChunkCommit, Coordinator, Engine, Intent, Replicated};
use crate::state::lease::LeaseId;
use crate::state::membership::Cluster;

#[async_trait]
impl Coordinator for Cluster {
    fn is_shared(&self) -> bool {
        true
    }

    fn membership(&self) -> Option<&Cluster> {
        Some(self)
    }

    async fn join(&self, core: &Engine) -> Result<()> {
        self.enter(&core.catalog).await
    }

    async fn leave(&self) {
        self.exit().await;
    }

    async fn is_leader(&self) -> Result<bool> {
        self.leads().await
    }

    async fn lock_name(&self, name: &SequenceName) -> Result<Option<LockGuard>> {
        self.lock(&format!("name/{name}")).await.map(Some)
    }

    async fn lock_sequence(&self, id: SequenceId) -> Result<Option<LockGuard>> {
        self.lock_row(id).await.map(Some)
    }

    async fn intent(&self, core: &Engine, id: SequenceId) -> Result<Intent> {
        match core.catalog.other_intents(id, self.id()).await? {
            None => {
                core.catalog.forget_intent(id);
                Ok(Intent::None)
            }
            Some(false) => Ok(Intent::Abandoned),
            Some(true) => Ok(Intent::Theirs),
        }
    }

    async fn reconcile(&self, core: &Engine) -> Result<()> {
        // Live daemons reconcile their own changes; the leader reconciles those of dead daemons, and finishes
        // removals, in the background.
        for id in core.catalog.pending().await? {
            if self.intent(core, id).await? == Intent::Abandoned {
                drop(sequence_lock::lock(core, id).await?);
            }
        }
        Ok(())
    }

    async fn share_activity(&self, core: &Engine) -> Result<bool> {
        core.catalog.record_heartbeats(&core.writers.inactivity()).await?;
        if !self.is_leader().await? {
            return Ok(false);
        }
        store_heartbeats::relay(core, self).await?;
        core.catalog.record_all_heartbeats(true).await?;
        Ok(true)
    }

    async fn writer_silence(&self, core: &Engine, id: SequenceId) -> Result<Duration> {
        core.catalog.time_since_heartbeat(id).await
    }

    async fn adopt_topics(&self, core: &Engine, sequence: &SequenceRow) -> Result<Adopted> {
        let mut uploaded = false;
        let topics = core.catalog.topics(sequence.id).await?;
        let open = || topics.iter().filter(|topic| topic.committed_ns.is_none());
        for topic in open() {
            adopt(core, self, topic).await?;
        }
        for topic in open() {
            if let Err(error) = check_complete(core, topic).await {
                tracing::warn!(sequence = %sequence.name, error = %error.detail(), "a sequence without a writer waits for rows");
                return Ok(Adopted::Waiting);
            }
            let epochs = core.catalog.epochs(topic.id).await?;
            uploaded |= epochs.last().is_some_and(|last| last.row_end.is_some());
        }
        Ok(Adopted::All { uploaded })
    }

    async fn enter_topic(
        &self,
        core: &Engine,
        topic: &TopicRow,
        command: &PutCommand,
    ) -> Result<Option<EpochRow>> {
        handover::acquire_epoch(core, self, topic, command).await.map(Some)
    }

    fn lease(&self) -> Option<LeaseId> {
        Cluster::lease(self).id()
    }

    fn check_lease(&self) -> Result<()> {
        Cluster::lease(self).check()
    }

    async fn confirm_lease(&self, lease: &LeaseId) -> Result<()> {
        Cluster::lease(self).confirm(lease).await
    }

    async fn before_chunk(&self, core: &Engine, topic: &Arc<ActiveTopic>) -> Result<()> {
        yield_to_successor(core, self, topic).await
    }

    async fn before_chunk_commit(
        &self,
        core: &Engine,
        topic: &ActiveTopic,
        id: ChunkId,
        segment: Segment,
    ) -> Result<ChunkCommit> {
        if core.catalog.topic_by_id(topic.id()).await?.is_none_or(|row| row.deleting) {
            return Ok(ChunkCommit::Deleted);
        }
        let epochs = core.catalog.epochs(topic.id()).await?;
        if is_superseded(&epochs, id, segment.row_end()) {
            return Ok(ChunkCommit::Superseded);
        }
        let change = core.catalog.begin(topic.row.sequence_id, None).await?;
        Ok(ChunkCommit::Allowed(Some(change)))
    }

    async fn commit_uploaded(&self, core: &Engine, topics: &mut [TopicRow]) -> Result<()> {
        for topic in topics.iter_mut().filter(|topic| topic.committed_ns.is_none()) {
            let epochs = core.catalog.epochs(topic.id).await?;
            let ended = epochs.last().is_some_and(|last| last.row_end.is_some());
            if let Some(schema) = topic.schema.clone().filter(|_| ended) {
                check_complete(core, topic).await?;
                topic.committed_ns = Some(commit(core, topic, schema).await?);
            }
        }
        Ok(())
    }

    async fn limit_segments(
        &self,
        core: &Engine,
        topic: &TopicRow,
        views: &mut Vec<SegmentView>,
    ) -> Result<()> {
        if views.is_empty() {
            return Ok(());
        }
        if topic.committed_ns.is_some() {
            // All rows that count are in chunks.
            views.clear();
            return Ok(());
        }
        let epochs = core.catalog.epochs(topic.id).await?;
        for view in views {
            view.row_end = view.row_end.min(next_epoch(&epochs, view.index.epoch).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    async fn replicated(&self, core: &Engine, topic: &TopicRow) -> Result<Option<Replicated>> {
        replicated_read::of_others(core, self, topic).await
    }

    async fn remote_rows(&self, core: &Engine, topic: &TopicRow) -> Result<Vec<RemoteRows>> {
        let mut found = Vec::new();
        if topic.committed_ns.is_some() {
            return Ok(found);
        }
        for missing in missing_rows(core, topic).await? {
            // This daemon reads its own WAL itself, and those in the store.
            if missing.daemon != self.id() && !missing.in_store {
                let known = core.catalog.daemon(&missing.daemon).await?;
                let (daemon, running) =
                    known.map_or((missing.daemon, false), |known| (known.address, known.alive));
                found.push(RemoteRows { daemon, rows: missing.rows, running });
            }
        }
        Ok(found)
    }
}
