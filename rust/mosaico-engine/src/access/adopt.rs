//! Moves the content of a bucket from its former owner to the new owner: each sequence that is not finalized
//! moves to a folder with a new id. See [`crate::access::owner`] for the reason.
//!
//! The bucket copies the objects itself. The new folder has a tombstone until it is complete; the sequence's
//! record in it names the old folder, so that an interrupted move is detected. After that, the old folder
//! gets its tombstone and is emptied.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::{SequencePaths, layers_file};
use mosaico_storage::format::record::{self, FormatError, Record};
use mosaico_storage::format::records::{
    CommitRecord, DeletedRecord, LayersRecord, OwnerRecord, SequenceRecord, TopicRecord,
};
use mosaico_storage::format::unreferenced::ListedFile;
use mosaico_storage::objects::Store;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_types::now_ns;
use object_store::path::Path;

/// Sequences, and objects of one sequence, that are checked or moved concurrently.
const AT_ONCE: usize = 8;
/// Attempts for a sequence, or for the layers, that a former owner still changes.
const ATTEMPTS: usize = 5;

/// Moves everything to the epoch of `owner`.
pub async fn run(store: &Store, owner: &OwnerRecord) -> Result<()> {
    layers(store, owner.epoch).await?;
    let ids = store.sequences().await?;
    let open: Vec<SequenceRecord> = stream::iter(ids)
        .map(|id| open_sequence(store, id))
        .buffer_unordered(AT_ONCE)
        .try_filter_map(|found| std::future::ready(Ok(found)))
        .try_filter(|record| std::future::ready(record.owner_epoch >= owner.open_since))
        .try_collect()
        .await?;
    let moved: BTreeSet<SequenceId> = open.iter().filter_map(|record| record.moved_from).collect();
    for id in &moved {
        // The daemon that moved it may have stopped before this. A move in an earlier epoch leaves nothing
        // here.
        if !store.objects_below(&SequencePaths(*id).folder()).await?.is_empty() {
            store.write_tombstone(*id).await?;
        }
    }
    let mut left = open;
    left.retain(|record| record.owner_epoch < owner.epoch && !moved.contains(&record.id));
    for record in left {
        tracing::info!(sequence = %record.name, "moving a sequence that is not finalized");
        move_sequence(store, record, owner.epoch).await?;
    }
    Ok(())
}

/// Replaces the version of the layers record that the former owner knows.
async fn layers(store: &Store, epoch: u32) -> Result<()> {
    let empty = || LayersRecord { layers: Vec::new(), owner_epoch: epoch };
    let mut attempts = 0;
    loop {
        let (record, known) = match store.get_json_versioned::<LayersRecord>(&layers_file()).await? {
            Some((record, _)) if record.owner_epoch == epoch => return Ok(()),
            Some((record, version)) => (LayersRecord { owner_epoch: epoch, ..record }, Some(version)),
            None => (empty(), None),
        };
        attempts += 1;
        match store.replace_json(&layers_file(), &record, known.as_ref()).await {
            Err(Error::StoreUnavailable(_)) if attempts < ATTEMPTS => {}
            replaced => return replaced.map(drop),
        }
    }
}

/// The record of a sequence that is neither finalized nor removed. An unreadable record stays where it is:
/// the rebuild reports it.
async fn open_sequence(store: &Store, id: SequenceId) -> Result<Option<SequenceRecord>> {
    let paths = SequencePaths(id);
    let files = listed(store, id).await?;
    let has = |path: Path| files.contains(&path);
    if has(paths.deleted()) || has(paths.finalized()) || !has(paths.created()) {
        return Ok(None);
    }
    match store.get_json(&paths.created()).await {
        Err(error @ (Error::Internal(_) | Error::Invalid(_))) => {
            tracing::error!(sequence = %id, %error, "a sequence without a readable record is not moved");
            Ok(None)
        }
        found => found,
    }
}

/// The objects of a sequence. Barriers stay where late requests may arrive.
async fn listed(store: &Store, id: SequenceId) -> Result<BTreeSet<Path>> {
    let objects = store.objects_below(&SequencePaths(id).folder()).await?.into_iter();
    let files = objects.map(ListedFile::from).filter(|file| !file.is_barrier());
    Ok(files.map(|file| file.path).collect())
}

async fn move_sequence(store: &Store, record: SequenceRecord, epoch: u32) -> Result<()> {
    let (from, id) = (record.id, SequenceId::generate());
    let tombstone = DeletedRecord { deleted_ns: now_ns() };
    let paths = SequencePaths(id);
    store.put_json(&paths.deleted(), &tombstone).await?;
    let mut attempts = 1;
    // Objects may still disappear: the former owner deletes WAL objects whose rows are in chunks.
    while !copy(store, from, id).await? {
        attempts += 1;
        if attempts > ATTEMPTS {
            return Err(Error::StoreUnavailable(format!("moving {}, which changes,", paths.folder()).into()));
        }
    }
    let record = SequenceRecord { id, owner_epoch: epoch, moved_from: Some(from), ..record };
    store.put_json(&paths.created(), &record).await?;
    store.remove(&paths.deleted()).await?;
    store.write_tombstone(from).await
}

/// Copies everything except the sequence's record and removed objects; false if an object disappeared
/// meanwhile.
async fn copy(store: &Store, from: SequenceId, to: SequenceId) -> Result<bool> {
    let (from, to) = (SequencePaths(from), SequencePaths(to));
    let found = listed(store, from.0).await?;
    // An earlier attempt may have copied objects that no longer exist.
    for object in store.objects_below(&to.folder()).await? {
        if object.location != to.deleted() {
            store.remove(&object.location).await?;
        }
    }
    let is_kept = |path: &&Path| match topic_of(&from, path) {
        Some(topic) => !found.contains(&from.topic(topic).deleted()),
        None => **path != from.created() && **path != from.deleted(),
    };
    let kept: Vec<Path> = found.iter().filter(is_kept).cloned().collect();
    let copies = stream::iter(kept).map(|path| copy_object(store, path, from, to));
    copies.buffer_unordered(AT_ONCE).try_fold(true, |all, one| std::future::ready(Ok(all && one))).await
}

fn topic_of(sequence: &SequencePaths, path: &Path) -> Option<TopicId> {
    path.prefix_match(&sequence.topics())?.next()?.as_ref().parse().ok()
}

async fn copy_object(store: &Store, path: Path, from: SequencePaths, to: SequencePaths) -> Result<bool> {
    let Some(rest) = path.prefix_match(&from.folder()) else { return Ok(true) };
    let target = rest.fold(to.folder(), |target, part| target.join(part));
    if let Some(topic) = topic_of(&from, &path) {
        let of = from.topic(topic);
        if path == of.created() {
            let edit = |record| TopicRecord { sequence: to.0, ..record };
            return copy_record(store, &path, &target, edit).await;
        }
        if path == of.committed() {
            let edit = |record: CommitRecord| {
                let topic = TopicRecord { sequence: to.0, ..record.topic };
                CommitRecord { topic, ..record }
            };
            return copy_record(store, &path, &target, edit).await;
        }
    }
    store.copy(&path, &target).await
}

/// Copies a record that names its sequence. A damaged record is copied unchanged.
async fn copy_record<T: Record>(
    store: &Store,
    path: &Path,
    target: &Path,
    edit: impl FnOnce(T) -> T,
) -> Result<bool> {
    let Some(bytes) = store.get(path).await? else { return Ok(false) };
    match record::read(&bytes) {
        Ok((record, _)) => store.put_json(target, &edit(record)).await?,
        Err(error @ FormatError::Newer { .. }) => return Err(error.at("record", path)),
        Err(error @ FormatError::Damaged(_)) => {
            tracing::error!(%path, %error, "a damaged record is moved as it is");
            store.put(target, bytes.to_vec()).await?;
        }
    }
    Ok(true)
}
