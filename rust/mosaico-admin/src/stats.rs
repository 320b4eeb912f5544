//! Counts the contents of a store.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use mosaico_engine::maintenance::link_problems;
use mosaico_storage::error::Result;
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::state::SequenceState;
use mosaico_storage::objects::Store;
use mosaico_wire::maintenance::{Problem, Progress};
use serde::Serialize;

/// Sequences that are read concurrently.
const READERS: usize = 16;

/// Counts and sizes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// All sequences.
    pub sequences: u64,
    /// Those that are finalized.
    pub finalized: u64,
    /// Sequences that ended without being finalized.
    pub ended: u64,
    /// Sequences with an unfinished removal.
    pub removals: u64,
    /// All topics.
    pub topics: u64,
    /// All chunks.
    pub chunks: u64,
    /// Rows in chunks.
    pub rows: u64,
    /// Bytes of the chunks' files.
    pub stored_bytes: u64,
    /// Bytes of the rows in Arrow's layout.
    pub data_bytes: u64,
    /// Notifications about sequences and topics.
    pub notifications: u64,
    /// By ontology tag.
    pub tags: BTreeMap<String, TagStats>,
    /// Sequences with unreadable records; `mosaicod check` reports the details.
    pub problems: Vec<Problem>,
}

/// Topics of one ontology.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TagStats {
    /// Topics.
    pub topics: u64,
    /// Rows in chunks.
    pub rows: u64,
    /// Bytes of the chunks' files.
    pub stored_bytes: u64,
}

/// Counts the contents of a store.
pub(crate) async fn run(store: &Store, progress: &(dyn Fn(Progress) + Sync)) -> Result<Stats> {
    let ids = store.sequences().await?;
    let total = ids.len() as u64;
    let mut stats = Stats::default();
    let load = |id| async move { (id, store.load_sequence(id).await) };
    let mut loaded = std::pin::pin!(stream::iter(ids).map(load).buffer_unordered(READERS));
    let mut done = 0;
    while let Some((id, state)) = loaded.next().await {
        match state {
            Ok(Some(state)) => stats.add(&state),
            Ok(None) => stats.removals += 1,
            Err(error) => stats.problems.push(Problem {
                path: SequencePaths(id).folder().to_string(),
                text: format!("not counted: {}", error.detail()),
                repaired: false,
            }),
        }
        done += 1;
        progress(Progress { done, total });
    }
    stats.problems.extend(link_problems(store));
    Ok(stats)
}

impl Stats {
    fn add(&mut self, state: &SequenceState) {
        self.sequences += 1;
        self.finalized += u64::from(state.finalized_ns.is_some());
        self.ended += u64::from(state.ended_ns.is_some());
        self.notifications += state.notifications.len() as u64;
        for topic in &state.topics {
            let tag = self.tags.entry(topic.record.ontology_tag.clone()).or_default();
            self.topics += 1;
            tag.topics += 1;
            for chunk in &topic.chunks {
                self.chunks += 1;
                self.rows += chunk.rows;
                self.stored_bytes += chunk.bytes;
                self.data_bytes += chunk.data_bytes;
                tag.rows += chunk.rows;
                tag.stored_bytes += chunk.bytes;
            }
        }
    }
}
