//! A daemon that has its store alone.

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

use crate::reconcile;
use crate::state::active_topic::{ActiveTopic, Segment, SegmentView};
use crate::state::engine::{Adopted, ChunkCommit, Coordinator, Engine, Intent, Replicated};
use crate::state::lease::LeaseId;
use crate::state::membership::Cluster;

/// Excludes nobody: locks of this process suffice.
#[derive(Debug)]
pub struct SingleNode;

#[async_trait]
impl Coordinator for SingleNode {
    fn is_shared(&self) -> bool {
        false
    }

    fn membership(&self) -> Option<&Cluster> {
        None
    }

    async fn join(&self, _: &Engine) -> Result<()> {
        Ok(())
    }

    async fn leave(&self) {}

    async fn is_leader(&self) -> Result<bool> {
        Ok(true)
    }

    async fn lock_name(&self, _: &SequenceName) -> Result<Option<LockGuard>> {
        Ok(None)
    }

    async fn lock_sequence(&self, _: SequenceId) -> Result<Option<LockGuard>> {
        Ok(None)
    }

    async fn intent(&self, core: &Engine, id: SequenceId) -> Result<Intent> {
        let is_pending = core.catalog.pending_intents.contains(id);
        Ok(if is_pending { Intent::Abandoned } else { Intent::None })
    }

    async fn reconcile(&self, core: &Engine) -> Result<()> {
        for id in core.catalog.pending().await? {
            // One damaged sequence must not prevent the start; the background retries.
            if let Err(error) = reconcile::sequence(core, id).await {
                tracing::error!(sequence = %id, error = %error.detail(), "a change of a sequence is not reconciled");
                core.catalog.pending_intents.add(id);
            }
        }
        for id in core.catalog.deleting_sequences().await? {
            reconcile::finish_sequence_removal(core, id).await?;
        }
        for topic in core.catalog.deleting_topics().await? {
            reconcile::finish_topic_removal(core, topic.sequence_id, topic.id).await?;
        }
        Ok(())
    }

    async fn share_activity(&self, _: &Engine) -> Result<bool> {
        Ok(true)
    }

    async fn writer_silence(&self, core: &Engine, id: SequenceId) -> Result<Duration> {
        Ok(core.writers.silence(id))
    }

    async fn adopt_topics(&self, _: &Engine, _: &SequenceRow) -> Result<Adopted> {
        Ok(Adopted::All { uploaded: false })
    }

    async fn enter_topic(&self, _: &Engine, _: &TopicRow, _: &PutCommand) -> Result<Option<EpochRow>> {
        Ok(None)
    }

    fn lease(&self) -> Option<LeaseId> {
        None
    }

    fn check_lease(&self) -> Result<()> {
        Ok(())
    }

    async fn confirm_lease(&self, _: &LeaseId) -> Result<()> {
        Ok(())
    }

    async fn before_chunk(&self, _: &Engine, _: &Arc<ActiveTopic>) -> Result<()> {
        Ok(())
    }

    async fn before_chunk_commit(
        &self,
        core: &Engine,
        topic: &ActiveTopic,
        _: ChunkId,
        _: Segment,
    ) -> Result<ChunkCommit> {
        Ok(ChunkCommit::Allowed(core.catalog.begin_chunk(topic.row.sequence_id).await?))
    }

    async fn commit_uploaded(&self, _: &Engine, _: &mut [TopicRow]) -> Result<()> {
        Ok(())
    }

    async fn limit_segments(&self, _: &Engine, _: &TopicRow, _: &mut Vec<SegmentView>) -> Result<()> {
        Ok(())
    }

    async fn replicated(&self, _: &Engine, _: &TopicRow) -> Result<Option<Replicated>> {
        Ok(None)
    }

    async fn remote_rows(&self, _: &Engine, _: &TopicRow) -> Result<Vec<RemoteRows>> {
        Ok(Vec::new())
    }
}
