//! Garbage collection on demand: [`unreferenced`] selects the files; this module deletes or only counts them.
//! The command has the store alone, so nothing in it is in use.

use std::collections::BTreeSet;
use std::path::Path as FilePath;
use std::time::{Duration, Instant, SystemTime};

use mosaico_catalog::{Catalog, OwnStore};
use mosaico_engine::access::store_access::StoreAccess;
use mosaico_engine::access::store_link;
use mosaico_engine::maintenance::link_problems;
use mosaico_storage::error::Result;
use mosaico_storage::format::paths::{SequencePaths, WAL_FOLDER as LOG, locate};
use mosaico_storage::format::unreferenced::observations::Observations;
use mosaico_storage::format::unreferenced::{Decision, ListedFile, Live, Pending, unreferenced};
use mosaico_storage::objects::blocking;
use mosaico_types::id::{SequenceId, TopicId};
use object_store::path::Path;
use serde::Serialize;
use tokio::time::sleep;

use mosaico_wire::maintenance::{Problem, Progress};

/// The deleted files, or those that a real run would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Unreadable records; files near them are kept. `mosaicod check` reports the details. Symbolic links, which
    /// are not followed.
    pub problems: Vec<Problem>,
}

/// How long requests of a daemon that was killed may still arrive in a bucket.
const LATE_REQUESTS: Duration = Duration::from_secs(60);

/// Deletes unreferenced files, unless their time stamps are younger than `grace`.
pub(crate) async fn run(
    hold: &StoreAccess,
    grace: Duration,
    dry_run: bool,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Collected> {
    let store = &hold.store;
    // An incomplete one is rebuilt.
    let own = store_link::own(store).await.unwrap_or(OwnStore::Unknown);
    let catalog = hold.database.open_filled(&own).await?;
    let (begun, now) = (Instant::now(), SystemTime::now());
    let before = now.checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH);
    // Nobody else uses a folder. In a bucket, the second look confirms the first one.
    let wait = if store.is_remote() && !dry_run { grace.min(LATE_REQUESTS) } else { Duration::ZERO };
    let mut run = Run { hold, catalog, before, found: Collected::default() };
    let (mut seen, mut again) = (Observations::default(), Vec::new());
    let ids = store.sequences().await?;
    let total = ids.len() as u64;
    for (done, id) in (1..).zip(ids) {
        let (decisions, files) = run.decide(id).await?;
        if wait.is_zero() {
            run.apply(id, decisions, &files, dry_run).await?;
        } else if !decisions.is_empty() {
            seen.confirm(id, decisions, &files, begun.elapsed(), wait);
            again.push(id);
        }
        progress(Progress { done, total });
    }
    if !again.is_empty() {
        sleep(wait).await;
    }
    for id in again {
        let (decisions, files) = run.decide(id).await?;
        let confirmed = seen.confirm(id, decisions, &files, begun.elapsed(), wait);
        run.apply(id, confirmed, &files, dry_run).await?;
    }
    if let Some(catalog) = run.catalog {
        catalog.close().await;
    }
    if !dry_run {
        store.clean_up_staging().await?;
    }
    run.found.problems.extend(link_problems(store));
    Ok(run.found)
}

struct Run<'a> {
    hold: &'a StoreAccess,
    catalog: Option<Catalog>,
    /// Files with a later time stamp stay.
    before: SystemTime,
    found: Collected,
}

impl Run<'_> {
    /// The decisions about a sequence, and its files.
    async fn decide(&self, id: SequenceId) -> Result<(Vec<Decision>, Vec<ListedFile>)> {
        let (files, references) = self.hold.store.sequence_files(id).await?;
        let live = live(self.hold, &files);
        let mut decisions = unreferenced(id, &files, &references, &live);
        decisions.retain(|decision| {
            let is_report = matches!(decision, Decision::Keep(..));
            is_report || decision.basis(id, &files).iter().all(|file| file.modified < self.before)
        });
        Ok((decisions, files))
    }

    async fn apply(
        &mut self,
        id: SequenceId,
        decisions: Vec<Decision>,
        files: &[ListedFile],
        dry_run: bool,
    ) -> Result<()> {
        for decision in decisions {
            // It takes over what the records say when a server runs.
            if let (Some((topic, chunk)), Some(catalog)) = (decision.chunk(), &self.catalog)
                && catalog.has_chunk(topic, chunk).await?
            {
                continue;
            }
            self.found.count(id, &decision, files);
            if !dry_run {
                carry_out(self.hold, id, decision, files).await?;
            }
        }
        Ok(())
    }
}

/// No server runs: the rows in this folder's WAL wait for the next start.
fn live(hold: &StoreAccess, files: &[ListedFile]) -> Live {
    let topics: BTreeSet<TopicId> = files.iter().filter_map(|file| locate(&file.path).topic).collect();
    let waiting = topics.into_iter().filter(|topic| wal_folder(&hold.folder, *topic).is_dir());
    let pending = waiting.map(|topic| (topic, Pending::All)).collect();
    Live { pending, is_shared: hold.session.is_some(), ..Live::default() }
}

async fn carry_out(
    hold: &StoreAccess,
    id: SequenceId,
    decision: Decision,
    files: &[ListedFile],
) -> Result<()> {
    let paths = SequencePaths(id);
    match decision {
        Decision::RemoveSequence => {
            let topics = files.iter().filter_map(|file| locate(&file.path).topic).collect();
            remove_logs(&hold.folder, topics).await?;
            hold.store.remove_folder(&paths.folder(), &paths.deleted()).await
        }
        Decision::RemoveTopic(topic) => {
            remove_logs(&hold.folder, BTreeSet::from([topic])).await?;
            let paths = paths.topic(topic);
            hold.store.remove_folder(&paths.folder(), &paths.deleted()).await
        }
        Decision::RemoveFile(path) => hold.store.remove(&path).await,
        Decision::Keep(..) => Ok(()),
    }
}

impl Collected {
    fn count(&mut self, id: SequenceId, decision: &Decision, files: &[ListedFile]) {
        let removed: Path = match decision {
            Decision::RemoveSequence => SequencePaths(id).folder(),
            Decision::RemoveTopic(topic) => SequencePaths(id).topic(*topic).folder(),
            Decision::RemoveFile(path) => path.clone(),
            Decision::Keep(path, reason) => {
                let text = format!("left as it is: {reason}");
                self.problems.push(Problem { path: path.to_string(), text, repaired: false });
                return;
            }
        };
        for file in files.iter().filter(|file| file.path.prefix_matches(&removed)) {
            self.files += 1;
            self.bytes += file.bytes;
        }
    }
}

fn wal_folder(root: &FilePath, topic: TopicId) -> std::path::PathBuf {
    root.join(LOG).join(topic.to_string())
}

/// Deletes the WALs of removed topics first.
async fn remove_logs(root: &FilePath, topics: BTreeSet<TopicId>) -> Result<()> {
    for folder in topics.into_iter().map(|topic| wal_folder(root, topic)) {
        blocking("removing the log of a deleted topic", move || match std::fs::remove_dir_all(folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
        .await?;
    }
    Ok(())
}
