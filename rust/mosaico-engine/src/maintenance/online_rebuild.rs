//! Online rebuild: the server that uses the catalog rebuilds it, one sequence at a time, concurrently with
//! readers and writers.
//!
//! Under the lock of a sequence, its records are read and its rows are replaced in one transaction. Puts
//! continue: only calls that create, end or remove something in the sequence wait. Each step is independent,
//! so an interrupted run is simply restarted.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, stream};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::SequenceRecord;
use mosaico_types::id::SequenceId;
use mosaico_wire::maintenance::{Progress, Rebuilt};
use tokio_util::sync::CancellationToken;

use super::link_problems;
use super::rebuild::{is_transient, restore_events};
use crate::maintenance::rebuild::problem;
use crate::reconcile::{self, sequence_lock};
use crate::state::engine::Engine;

/// Sequences that are read concurrently.
const AT_ONCE: usize = 8;

/// Rebuilds the catalog, until `enough` is cancelled.
pub async fn run(
    core: &Arc<Engine>,
    progress: &(dyn Fn(Progress) + Sync),
    enough: &CancellationToken,
) -> Result<Rebuilt> {
    let problems = {
        let _unchanged = core.archive.hold().await;
        restore_events(&core.catalog, &core.store).await?
    };
    let known: BTreeSet<SequenceId> = core.catalog.sequence_ids().await?.into_iter().collect();
    let stored: BTreeSet<SequenceId> = core.store.sequences().await?.into_iter().collect();
    let mut missing: BTreeSet<SequenceId> = stored.difference(&known).copied().collect();
    let mut run = Run {
        total: (known.len() + missing.len()) as u64,
        done: 0,
        rebuilt: Rebuilt { problems, ..Rebuilt::default() },
        progress,
    };
    progress(Progress { done: 0, total: run.total });
    let mut known = stream::iter(known)
        .take_while(|_| std::future::ready(!enough.is_cancelled()))
        .map(async |id| (id, refresh(core, id).await))
        .buffer_unordered(AT_ONCE);
    while let Some((id, found)) = known.next().await {
        if !run.note(id, found?) {
            // An outdated row of another sequence may have had its name: retry after all rows are replaced.
            missing.insert(id);
        }
    }
    // Oldest first: if two sequences have the same name, it belongs to the older one.
    for id in missing {
        if enough.is_cancelled() {
            break;
        }
        if !run.note(id, refresh(core, id).await?) {
            run.refuse(id, &Error::Invalid("another sequence has its name".into()));
        }
    }
    if enough.is_cancelled() {
        return Err(core.ended());
    }
    let mut rebuilt = run.rebuilt;
    rebuilt.problems.extend(link_problems(&core.store));
    rebuilt.sequences = core.catalog.sequence_ids().await?.len() as u64;
    Ok(rebuilt)
}

/// The result for one sequence.
enum Found {
    /// With this number of topics.
    Replaced(u64),
    TakenOut,
    /// Neither the store nor the catalog has the sequence.
    Nothing,
    NameTaken,
    Damaged(Error),
}

struct Run<'a> {
    total: u64,
    done: u64,
    rebuilt: Rebuilt,
    progress: &'a (dyn Fn(Progress) + Sync),
}

impl Run<'_> {
    /// False if the sequence must be visited again.
    fn note(&mut self, id: SequenceId, found: Found) -> bool {
        match found {
            Found::NameTaken => return false,
            Found::Replaced(topics) => self.rebuilt.topics += topics,
            Found::TakenOut => self.rebuilt.taken_out += 1,
            Found::Nothing => {}
            Found::Damaged(error) => {
                self.refuse(id, &error);
                return true;
            }
        }
        self.step();
        true
    }

    fn refuse(&mut self, id: SequenceId, why: &Error) {
        let path = SequencePaths(id).folder().to_string();
        self.rebuilt.problems.push(problem(path, "the catalog stays as it is about this sequence", why));
        self.step();
    }

    fn step(&mut self) {
        self.done += 1;
        (self.progress)(Progress { done: self.done, total: self.total });
    }
}

async fn refresh(core: &Arc<Engine>, id: SequenceId) -> Result<Found> {
    // Prevents a client from creating a sequence with the name of a lost one meanwhile.
    let _name = match core.catalog.has_sequence(id).await? {
        true => None,
        false => match core.store.get_json::<SequenceRecord>(&SequencePaths(id).created()).await {
            Ok(Some(record)) => Some(sequence_lock::lock_name(core, &record.name).await?),
            _ => None,
        },
    };
    let _lock = match sequence_lock::lock(core, id).await {
        // An interrupted change cannot be reconciled, because a record of it is damaged.
        Err(error) if !is_transient(&error) => return Ok(Found::Damaged(error)),
        lock => lock?,
    };
    let live = core.live.of_sequence(id);
    let mut still = Vec::new();
    for topic in &live {
        still.push(topic.chunk_commit_lock.write().await);
    }
    match core.store.load_sequence(id).await {
        Ok(Some(state)) => Ok(match core.catalog.replace_sequence(&state).await? {
            true => Found::Replaced(state.topics.len() as u64),
            false => Found::NameTaken,
        }),
        Ok(None) if core.catalog.has_sequence(id).await? => {
            drop(still);
            core.catalog.apply_removal(id).await?;
            reconcile::finish_sequence_removal(core, id).await?;
            Ok(Found::TakenOut)
        }
        Ok(None) => Ok(Found::Nothing),
        Err(error) if is_transient(&error) => Err(error),
        Err(error) => Ok(Found::Damaged(error)),
    }
}
