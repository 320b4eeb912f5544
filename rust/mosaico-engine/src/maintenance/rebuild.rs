//! Rebuilds the catalog from the store alone.
//!
//! The catalog is marked as incomplete until everything is in it. An interrupted rebuild leaves the mark: the
//! next rebuild resumes it, and a server starts over, since the store may have changed.

use std::collections::HashSet;
use std::pin::pin;

use futures::{StreamExt, stream};
use mosaico_catalog::{Catalog, Database};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::{EVENTS, SequencePaths, events_file};
use mosaico_storage::format::records::EventsRecord;
use mosaico_storage::objects::{Loaded, Store};
use mosaico_types::id::SequenceId;
use mosaico_wire::maintenance::{Problem, Progress, Rebuilt};

use super::link_problems;
use crate::access::store_link;

/// Sequences that are read and inserted together.
const PER_TRANSACTION: usize = 256;
/// Groups of sequences that are read concurrently.
const READERS: usize = 3;

/// Whether the store has events that the catalog does not know: the catalog was restored from a backup.
pub async fn is_older(catalog: &Catalog, store: &Store) -> Result<bool> {
    let Some(first) = event_files(store).await?.pop() else { return Ok(false) };
    let record: Option<EventsRecord> = store.get_json(&events_file(&first)).await?;
    let stored = record.and_then(|record| record.events.last().map(|event| event.id.clone()));
    Ok(stored > catalog.newest_event().await?)
}

/// Opens the catalog of a store that the caller has locked; fills it first if it is missing or older than the
/// store.
pub async fn open_catalog(database: &Database, store: &Store) -> Result<Catalog> {
    let own = store_link::own(store).await?;
    let (mut catalog, mut is_new) = database.open(&own).await.map_err(|error| match error {
        error @ Error::Internal(_) => Error::Startup(format!(
            "the catalog {database} cannot be opened; `mosaicod rebuild` rebuilds it from the store ({})",
            error.detail()
        )),
        other => other,
    })?;
    if !is_new && (is_older(&catalog, store).await? || store_link::is_replaced(store, &catalog).await?) {
        tracing::warn!("the catalog is older than the store and is rebuilt");
        catalog.close().await;
        database.forget().await?;
        (catalog, is_new) = database.open(&own).await?;
    }
    store_link::make(store, &catalog).await?;
    if is_new {
        fill(&catalog, store, &|_| ()).await?;
    }
    Ok(catalog)
}

/// Builds the catalog of a store that the caller has locked.
pub async fn run(
    database: &Database,
    store: &Store,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Rebuilt> {
    let catalog = database.open_to_fill(&store_link::own(store).await?).await?;
    let filled = match store_link::make(store, &catalog).await {
        Ok(()) => fill(&catalog, store, progress).await,
        Err(error) => Err(error),
    };
    catalog.close().await;
    filled
}

async fn fill(catalog: &Catalog, store: &Store, progress: &(dyn Fn(Progress) + Sync)) -> Result<Rebuilt> {
    catalog.begin_filling().await?;
    let problems = restore_events(catalog, store).await?;
    let known = catalog.sequence_ids().await?;
    let mut ids = store.sequences().await?;
    let total = ids.len() as u64;
    ids.retain(|id| !known.contains(id));
    // Oldest first: if two sequences have the same name, it belongs to the older one.
    ids.sort_unstable();
    let mut rebuilt = Rebuilt { resumed: known.len() as u64, problems, ..Rebuilt::default() };
    let shards: Vec<Vec<SequenceId>> = ids.chunks(PER_TRANSACTION).map(<[_]>::to_vec).collect();
    let load = |ids| async move { store.load_sequences(ids).await };
    // The next groups are read while these are inserted.
    let mut groups = pin!(stream::iter(shards).map(load).buffered(READERS));
    let mut done = rebuilt.resumed;
    progress(Progress { done, total });
    while let Some(group) = groups.next().await {
        let group = group?;
        done += group.len() as u64;
        take_over(catalog, group, &mut rebuilt).await?;
        progress(Progress { done, total });
    }
    rebuilt.problems.extend(link_problems(store));
    rebuilt.sequences = catalog.sequence_ids().await?.len() as u64;
    catalog.filled().await?;
    Ok(rebuilt)
}

/// Inserts the events of the store. Returns the files that cannot be read.
pub async fn restore_events(catalog: &Catalog, store: &Store) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for first in event_files(store).await? {
        let path = events_file(&first);
        match store.get_json::<EventsRecord>(&path).await {
            Ok(record) => catalog.restore_events(&record.map(|r| r.events).unwrap_or_default()).await?,
            Err(error) if is_transient(&error) => return Err(error),
            Err(error) => problems.push(problem(path.to_string(), "its events are left out", &error)),
        }
    }
    Ok(problems)
}

/// Whether the error is transient: the state of the object is unknown; otherwise the object is known to be
/// damaged.
pub fn is_transient(error: &Error) -> bool {
    matches!(error, Error::Full(_) | Error::StoreUnavailable(_))
}

async fn take_over(catalog: &Catalog, group: Vec<Loaded>, rebuilt: &mut Rebuilt) -> Result<()> {
    let (mut states, mut removals) = (Vec::new(), Vec::new());
    for (id, loaded) in group {
        match loaded {
            Ok(Some(state)) => states.push(state),
            Ok(None) => removals.push(id),
            Err(error) if is_transient(&error) => return Err(error),
            Err(error) => rebuilt.problems.push(left_out(id, &error)),
        }
    }
    rebuilt.removals += removals.len() as u64;
    rebuilt.topics += states.iter().map(|state| state.topics.len() as u64).sum::<u64>();
    catalog.announce_removals(&removals).await?;
    let same_name: HashSet<SequenceId> = catalog.restore_sequences(&states).await?.into_iter().collect();
    for state in states.iter().filter(|state| same_name.contains(&state.record.id)) {
        rebuilt.topics -= state.topics.len() as u64;
        let text = format!("an older sequence has the name `{}` too", state.record.name);
        rebuilt.problems.push(left_out(state.record.id, &Error::Invalid(text)));
    }
    Ok(())
}

fn left_out(id: SequenceId, why: &Error) -> Problem {
    problem(SequencePaths(id).folder().to_string(), "the sequence is left out of the catalog", why)
}

/// A permanent problem. Its cause is logged here, because the report may go to a client.
pub(super) fn problem(path: String, what: &str, why: &Error) -> Problem {
    tracing::error!(path, cause = %why.detail(), "{what}");
    Problem { path, text: format!("{what}: {why}"), repaired: false }
}

/// First events of the event files, oldest first.
async fn event_files(store: &Store) -> Result<Vec<String>> {
    let names = store.list_files(&EVENTS.into()).await?;
    let mut firsts: Vec<String> =
        names.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect();
    firsts.sort_unstable();
    Ok(firsts)
}
