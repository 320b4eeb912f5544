//! What nobody needs any more: files that no record names, and the rest of removals.

use std::collections::BTreeSet;
use std::path::Path as FilePath;
use std::time::{Duration, SystemTime};

use mosaico_engine::access::store_access::Hold;
use mosaico_storage::error::Result;
use mosaico_storage::format::paths::{LOG_FOLDER as LOG, SequencePaths, parse_chunk, parse_logged};
use mosaico_storage::objects::blocking;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_wire::maintenance::{Problem, Progress};
use object_store::ObjectMeta;
use object_store::path::Path;
use serde::Serialize;

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sequences whose records cannot be read; nothing of them is removed. `mosaicod check` tells more.
    pub problems: Vec<Problem>,
}

/// Removes what is older than `grace`.
pub(crate) async fn run(
    hold: &Hold,
    grace: Duration,
    dry_run: bool,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Collected> {
    let store = &hold.store;
    let before = SystemTime::now().checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut found = Collected::default();
    let ids = store.sequences().await?;
    let total = ids.len() as u64;
    for (done, id) in (1..).zip(ids) {
        sequence(hold, id, before, dry_run, &mut found).await?;
        progress(Progress { done, total });
    }
    if !dry_run {
        store.drop_scratch(before).await?;
    }
    Ok(found)
}

async fn sequence(
    hold: &Hold,
    id: SequenceId,
    before: SystemTime,
    dry_run: bool,
    found: &mut Collected,
) -> Result<()> {
    let (store, root) = (&hold.store, hold.folder.as_path());
    let paths = SequencePaths(id);
    let objects = store.objects_below(&paths.folder()).await?;
    let old = |object: &ObjectMeta| SystemTime::from(object.last_modified) < before;
    let state = match store.load_sequence(id).await {
        Ok(state) => state,
        Err(error) => {
            let path = paths.folder().to_string();
            found.problems.push(Problem {
                path,
                text: format!("left as it is: {}", error.detail()),
                repaired: false,
            });
            return Ok(());
        }
    };
    let Some(state) = state else {
        if objects.iter().all(old) {
            found.count(objects.iter());
            if !dry_run {
                let topics = topics_of(&objects, &paths);
                remove_logs(root, topics).await?;
                store.remove_folder(&paths.folder(), &paths.deleted()).await?;
            }
        }
        return Ok(());
    };
    let known: BTreeSet<TopicId> = state.topics.iter().map(|topic| topic.record.id).collect();
    for topic in topics_of(&objects, &paths).difference(&known) {
        let paths = paths.topic(*topic);
        let rest: Vec<&ObjectMeta> =
            objects.iter().filter(|object| object.location.prefix_matches(&paths.folder())).collect();
        if rest.iter().all(|object| old(object)) {
            found.count(rest.into_iter());
            if !dry_run {
                remove_logs(root, BTreeSet::from([*topic])).await?;
                store.remove_folder(&paths.folder(), &paths.deleted()).await?;
            }
        }
    }
    for topic in &state.topics {
        if hold.session.is_some() && topic.committed_ns.is_none() {
            // The log of a daemon elsewhere may have the rows of what no record names yet.
            continue;
        }
        let paths = paths.topic(topic.record.id);
        let named: BTreeSet<u32> = topic.chunks.iter().map(|chunk| chunk.index).collect();
        // A segment of the log may be about to become this chunk, or be just that.
        let in_log = log_folder(root, topic.record.id).is_dir();
        // It may have been in the place of other chunks since.
        let is_recent = objects.iter().any(|object| object.location == paths.committed() && !old(object));
        let index = |path: &Path| {
            let name = path.filename().filter(|_| path.prefix_matches(&paths.folder()))?;
            parse_chunk(name, ".parquet").or_else(|| parse_chunk(name, ".json"))
        };
        for object in objects.iter().filter(|object| old(object) && !in_log && !is_recent) {
            let logged = topic.committed_ns.is_some()
                && object.location.prefix_matches(&paths.folder())
                && parse_logged(&object.location).is_some();
            if logged || index(&object.location).is_some_and(|index| !named.contains(&index)) {
                found.count(std::iter::once(object));
                if !dry_run {
                    store.remove(&object.location).await?;
                }
            }
        }
    }
    Ok(())
}

impl Collected {
    fn count<'a>(&mut self, objects: impl Iterator<Item = &'a ObjectMeta>) {
        for object in objects {
            self.files += 1;
            self.bytes += object.size;
        }
    }
}

fn topics_of(objects: &[ObjectMeta], paths: &SequencePaths) -> BTreeSet<TopicId> {
    let below = paths.topics();
    let id = |object: &ObjectMeta| object.location.prefix_match(&below)?.next()?.as_ref().parse().ok();
    objects.iter().filter_map(id).collect()
}

fn log_folder(root: &FilePath, topic: TopicId) -> std::path::PathBuf {
    root.join(LOG).join(topic.to_string())
}

/// The logs of topics that are removed go first.
async fn remove_logs(root: &FilePath, topics: BTreeSet<TopicId>) -> Result<()> {
    for folder in topics.into_iter().map(|topic| log_folder(root, topic)) {
        blocking("removing the log of a deleted topic", move || match std::fs::remove_dir_all(folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
        .await?;
    }
    Ok(())
}
