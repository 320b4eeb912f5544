//! Garbage collection on demand: [`unreferenced`] selects the files; this module deletes or only counts them.

use std::collections::BTreeSet;
use std::path::Path as FilePath;
use std::time::{Duration, SystemTime};

use mosaico_engine::access::store_access::StoreAccess;
use mosaico_storage::error::Result;
use mosaico_storage::format::paths::{SequencePaths, WAL_FOLDER as LOG, locate};
use mosaico_storage::format::unreferenced::{Decision, ListedFile, Live, Pending, unreferenced};
use mosaico_storage::objects::blocking;
use mosaico_types::id::{SequenceId, TopicId};
use object_store::path::Path;
use serde::Serialize;

use mosaico_wire::maintenance::{Problem, Progress};

/// The deleted files, or those that a real run would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Unreadable records; files near them are kept. `mosaicod check` reports the details.
    pub problems: Vec<Problem>,
}

/// Deletes unreferenced files older than `grace`.
pub(crate) async fn run(
    hold: &StoreAccess,
    grace: Duration,
    dry_run: bool,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Collected> {
    let store = &hold.store;
    let now = SystemTime::now();
    let mut found = Collected::default();
    let ids = store.sequences().await?;
    let total = ids.len() as u64;
    // An incomplete one is rebuilt.
    let catalog = hold.database.open_filled().await?;
    for (done, id) in (1..).zip(ids) {
        let (files, references) = store.sequence_files(id).await?;
        let live = live(hold, &files);
        for decision in unreferenced(id, &files, &references, &live, now, grace) {
            // It takes over what the records say when a server runs.
            if let (Some((topic, chunk)), Some(catalog)) = (decision.chunk(), &catalog)
                && catalog.has_chunk(topic, chunk).await?
            {
                continue;
            }
            found.count(id, &decision, &files);
            if !dry_run {
                run_with_retries(hold, id, decision, &files).await?;
            }
        }
        progress(Progress { done, total });
    }
    if let Some(catalog) = catalog {
        catalog.close().await;
    }
    if !dry_run {
        store.drop_staging_files(now.checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH)).await?;
    }
    Ok(found)
}

/// No server runs: the rows in this folder's WAL wait for the next start.
fn live(hold: &StoreAccess, files: &[ListedFile]) -> Live {
    let topics: BTreeSet<TopicId> = files.iter().filter_map(|file| locate(&file.path).topic).collect();
    let waiting = topics.into_iter().filter(|topic| wal_folder(&hold.folder, *topic).is_dir());
    let pending = waiting.map(|topic| (topic, Pending::All)).collect();
    Live { pending, is_shared: hold.session.is_some(), ..Live::default() }
}

async fn run_with_retries(
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
