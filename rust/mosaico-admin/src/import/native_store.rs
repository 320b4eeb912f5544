//! Sequences of another native store, in a folder or a bucket. The store may be in use, since locked
//! sequences do not change. The import keeps ids and keys, and copies files byte by byte.

use mosaico_catalog::Catalog;
use mosaico_engine::state::layers::Layers;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::checksum::{self, Checksum};
use mosaico_storage::format::paths::{SequencePaths, layers_file};
use mosaico_storage::format::records::{ChunkRecord, LayersRecord};
use mosaico_storage::format::state::SequenceState;
use mosaico_storage::objects::Store;
use mosaico_types::id::SequenceId;
use object_store::path::Path;

use super::sequence::{Written, as_a_whole};
use crate::check::repair::expected;

/// Whether the sequence is immutable and chunks have all of its rows.
pub(super) fn is_complete(state: &SequenceState) -> bool {
    let is_left = state.finalized_ns.is_some() || state.ended_ns.is_some();
    is_left && state.topics.iter().all(|topic| topic.committed_ns.is_some() || topic.schema.is_none())
}

/// The state of a sequence in another store; `None` if that store is removing it.
pub(super) async fn load(source: &Store, id: SequenceId) -> Result<Option<SequenceState>> {
    // Any read error is reported as a problem of this sequence.
    source.load_sequence(id).await.map_err(|error| Error::Invalid(error.detail().to_string()))
}

/// Copies a sequence; deletes its files on failure.
pub(super) async fn copy(
    source: &Store,
    target: &Store,
    catalog: &Catalog,
    state: SequenceState,
) -> Result<Written> {
    as_a_whole(target, catalog, state.record.id, copy_below(source, target, state)).await
}

async fn copy_below(source: &Store, target: &Store, state: SequenceState) -> Result<SequenceState> {
    let paths = SequencePaths(state.record.id);
    for topic in &state.topics {
        for chunk in &topic.chunks {
            copy_chunk(source, target, &paths.topic(topic.record.id).chunk(chunk.id()), chunk).await?;
        }
    }
    for (path, rebuilt) in expected(&state)? {
        let read = source.get(&path).await.map_err(|error| Error::Invalid(error.detail().to_string()))?;
        let whole = read.filter(|bytes| checksum::check(bytes) == Checksum::Valid);
        target.put(&path, whole.map_or(rebuilt, |bytes| bytes.to_vec())).await?;
    }
    Ok(state)
}

async fn copy_chunk(source: &Store, target: &Store, path: &Path, record: &ChunkRecord) -> Result<()> {
    let scratch = target.staging_file()?;
    if source.download(path, record.bytes, &scratch.file).await? != record.crc32 {
        let text = format!("{path} does not have its checksum; `mosaicod check --deep` there tells more");
        return Err(Error::Invalid(text));
    }
    target.publish(&scratch, path).await
}

/// Adds the layers of another store.
pub(super) async fn copy_layers(source: &Store, target: &Store) -> Result<()> {
    match source.get_json::<LayersRecord>(&layers_file()).await? {
        Some(found) => Layers::open(target.clone(), None).await?.add(found.layers).await,
        None => Ok(()),
    }
}
