//! Rewrites records, and keeps the previous files.

use std::collections::BTreeMap;

use mosaico_catalog::{Catalog, EventFilter};
use mosaico_engine::state::event_archive::PER_FILE;
use mosaico_storage::error::Result;
use mosaico_storage::format::damage::DamageRecord;
use mosaico_storage::format::paths::{SequencePaths, StoreFile, locate};
use mosaico_storage::format::record::write;
use mosaico_storage::format::record_kind::RecordKind;
use mosaico_storage::format::records::{
    CommitRecord, EndedRecord, EventsRecord, FinalRecord, ResumedRecord, SchemaRecord, StoreRecord,
    UploadedRecord,
};
use mosaico_storage::format::state::SequenceState;
use mosaico_storage::objects::Store;
use object_store::path::Path;
use ulid::Ulid;

/// The folder for damaged files.
const DAMAGED: &str = "damaged";

/// The records that a sequence in this state has.
pub(crate) fn expected(state: &SequenceState) -> Result<BTreeMap<Path, Vec<u8>>> {
    let paths = SequencePaths(state.record.id);
    let mut files = BTreeMap::from([(paths.created(), write(&state.record)?)]);
    if let Some(finalized_ns) = state.finalized_ns {
        let topics = state.topics.iter().map(|topic| topic.record.id).collect();
        let record = FinalRecord { finalized_ns, topics };
        files.insert(paths.finalized(), write(&record)?);
    }
    if let Some(ended_ns) = state.ended_ns {
        let record = EndedRecord { ended_ns };
        files.insert(paths.ended(), write(&record)?);
    }
    for record in &state.notifications {
        files.insert(paths.notification(record.id), write(record)?);
    }
    for topic in &state.topics {
        let paths = paths.topic(topic.record.id);
        files.insert(paths.created(), write(&topic.record)?);
        for chunk in &topic.chunks {
            files.insert(paths.chunk_record(chunk.id()), write(chunk)?);
        }
        if topic.resumed > 0 {
            let (times, last_ns) = (topic.resumed, topic.record.created_ns);
            let record = ResumedRecord { times, last_ns };
            files.insert(paths.resumed(), write(&record)?);
        }
        if !topic.damage.is_empty() {
            let record = DamageRecord { segments: topic.damage.clone() };
            files.insert(paths.damage(), write(&record)?);
        }
        for epoch in &topic.epochs {
            files.insert(paths.epoch(epoch.epoch), write(epoch)?);
        }
        if let Some(rows) = topic.uploaded {
            let ended_ns = topic.record.created_ns;
            let record = UploadedRecord { rows, ended_ns };
            files.insert(paths.uploaded(), write(&record)?);
        }
        let Some(schema) = &topic.schema else { continue };
        files.insert(paths.schema(), write(&SchemaRecord { schema: schema.clone() })?);
        if let Some(committed_ns) = topic.committed_ns {
            let (topic, schema, chunks) = (topic.record.clone(), schema.clone(), topic.chunks.clone());
            let record = CommitRecord { topic, schema, committed_ns, chunks };
            files.insert(paths.committed(), write(&record)?);
        }
    }
    Ok(files)
}

/// The contents of a record that belongs to no sequence, from the catalog; `None`: the catalog has none.
pub(crate) async fn shared(catalog: Option<&Catalog>, path: &Path) -> Result<Option<Vec<u8>>> {
    let of = locate(path).file;
    if let (StoreFile::Record(RecordKind::Store, _), Some(catalog)) = (of, catalog) {
        return catalog
            .link()
            .await?
            .map(|link| write(&StoreRecord { id: link.store, catalog: link.catalog }))
            .transpose();
    }
    let first = path.filename().and_then(|name| name.strip_suffix(".json"));
    let is_of_events = matches!(of, StoreFile::Record(RecordKind::Events, _));
    let (Some(catalog), Some(first), true) = (catalog, first, is_of_events) else { return Ok(None) };
    let Some(newest) = catalog.newest_event().await? else { return Ok(None) };
    let Ok(Ulid(first)) = first.parse() else { return Ok(None) };
    // A file that is not the newest is full.
    let limit = u32::try_from(PER_FILE).unwrap_or(u32::MAX);
    let after = Some(Ulid(first.saturating_sub(1)).to_string());
    let events = catalog
        .events(&EventFilter { after: after.clone(), limit, ..EventFilter::default() }, &newest)
        .await?;
    let Some(first) = events.first() else { return Ok(None) };
    // If the preceding events are not kept any more, a client that resumes from there has missed some.
    let previous = catalog.last_event_before(&first.id).await?.or(after);
    write(&EventsRecord { previous, events, owner_epoch: 0 }).map(Some)
}

/// Replaces the file at `path` by `instead`, or deletes it; keeps a copy of the file first.
pub(crate) async fn replace(store: &Store, path: &Path, instead: Option<Vec<u8>>) -> Result<()> {
    if let Some(bytes) = store.get(path).await? {
        store.put(&Path::from(format!("{DAMAGED}/{path}")), bytes.to_vec()).await?;
    }
    match instead {
        Some(bytes) => store.put(path, bytes).await,
        None => store.remove(path).await,
    }
}
