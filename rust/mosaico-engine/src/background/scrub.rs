//! The scrub: verifies all chunks of the store in the background, at a configured pace, so that damage is found
//! while a backup still has the file. The leader does it for all daemons on a store.
//!
//! One pass a day at most. Its position is in the file `scrub.json` of the state folder, so a restart
//! continues it; a daemon that becomes the leader continues its own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_types::now_ns;
use serde::{Deserialize, Serialize};
use tokio::select;
use tokio::time::{Instant, sleep};

use crate::state::chunk_reader::{ChunkTopic, ParquetFile};
use crate::state::engine::Engine;

const FILE: &str = "scrub.json";

/// The shortest time from the beginning of a pass to that of the next one.
const PERIOD_NS: i64 = 24 * 3600 * 1_000_000_000;

/// A chunk in the order of the scrub.
type Place = (SequenceId, TopicId, ChunkId);

/// The state of the current pass, or of the last one.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Pass {
    begun_ns: i64,
    /// `None`: the pass is not complete.
    finished_ns: Option<i64>,
    /// The last chunk that was verified.
    place: Option<Place>,
    chunks: u64,
    bytes: u64,
    damaged: u64,
}

/// Verifies chunks for a while.
pub(super) async fn run(core: &Arc<Engine>) -> Result<()> {
    let rate = core.config.scrub_bytes_per_second;
    if rate == 0 || !core.coordinator.is_leader().await? {
        return Ok(());
    }
    let file = core.log.with_file_name(FILE);
    let mut pass = load(&file);
    if let Some(finished_ns) = pass.finished_ns {
        core.metrics.scrub_finished(finished_ns);
    }
    if pass.finished_ns.is_some() || pass.begun_ns == 0 {
        if now_ns().saturating_sub(pass.begun_ns) < PERIOD_NS {
            return Ok(());
        }
        pass = Pass { begun_ns: now_ns(), ..Pass::default() };
    }
    let verified = slice(core, rate, &mut pass).await;
    save(&file, &pass)?;
    if let Some(finished_ns) = pass.finished_ns {
        core.metrics.scrub_finished(finished_ns);
        let Pass { chunks, bytes, damaged, .. } = pass;
        tracing::info!(chunks, bytes, damaged, "the scrub verified all chunks of the store");
    }
    verified
}

fn load(file: &PathBuf) -> Pass {
    // A file that is missing or torn only costs a pass.
    fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn save(file: &PathBuf, pass: &Pass) -> Result<()> {
    fs::write(file, serde_json::json!(pass).to_string()).map_err(|e| Error::internal("writing scrub.json", e))
}

/// Verifies chunks behind the place of `pass` until the time is over or none is left.
async fn slice(core: &Arc<Engine>, rate: u64, pass: &mut Pass) -> Result<()> {
    // The next run continues.
    let until = Instant::now() + core.config.scrub_period * 5 / 6;
    let mut sequences: Vec<SequenceId> = core.catalog.sequence_ids().await?.into_iter().collect();
    sequences.sort_unstable();
    let reached = pass.place.map(|place| place.0);
    for sequence in sequences.into_iter().filter(|id| reached.is_none_or(|reached| *id >= reached)) {
        let mut topics = core.catalog.topics(sequence).await?;
        topics.sort_unstable_by_key(|topic| topic.id);
        for row in topics.iter().filter(|row| !row.deleting) {
            let topic = Arc::new(ChunkTopic::from(row));
            for chunk in core.catalog.chunks(row.id).await? {
                let place = (sequence, row.id, chunk.id);
                if pass.place.is_some_and(|reached| place <= reached) {
                    continue;
                }
                if core.stopping.is_cancelled() || Instant::now() >= until {
                    return Ok(());
                }
                let file = ParquetFile::new(
                    core.store.chunks(),
                    Arc::clone(&core.damaged),
                    Arc::clone(&topic),
                    chunk,
                );
                pass.damaged += u64::from(!verify(core, rate, file, place).await?);
                (pass.chunks, pass.bytes) = (pass.chunks + 1, pass.bytes + chunk.bytes);
                pass.place = Some(place);
            }
        }
    }
    pass.finished_ns = Some(now_ns());
    Ok(())
}

/// Whether a chunk is intact.
async fn verify(core: &Engine, rate: u64, mut file: ParquetFile, place: Place) -> Result<bool> {
    let (_, topic, chunk) = place;
    let mut at = 0;
    while at < file.bytes() {
        let to = match file.verify(at).await {
            Ok(to) => to,
            Err(Error::DamagedChunk(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        core.metrics.scrubbed(to - at);
        select! {
            () = sleep(Duration::from_secs_f64((to - at) as f64 / rate as f64)) => {}
            () = core.stopping.cancelled() => {}
        }
        at = to;
    }
    if core.damaged.remove(topic, chunk) {
        tracing::info!(path = %file.path, "a damaged chunk is intact again");
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_survives_a_restart_and_a_torn_file_begins_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(load(&file), Pass::default());
        let place = (SequenceId::generate(), TopicId::generate(), ChunkId { epoch: 1, index: 2 });
        let pass = Pass { begun_ns: 7, place: Some(place), chunks: 3, bytes: 9, ..Pass::default() };
        save(&file, &pass).unwrap();
        assert_eq!(load(&file), pass);
        fs::write(&file, "{\"begun").unwrap();
        assert_eq!(load(&file), Pass::default());
    }
}
