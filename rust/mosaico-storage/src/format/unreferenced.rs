//! Garbage collection: decides which files of a sequence are unreferenced.
//!
//! [`unreferenced`] only decides: no I/O, no clock. The background job and `mosaicod gc` list a sequence,
//! read its records ([`crate::objects::Store::sequence_files`]), call it, and apply its decisions.
//!
//! Records decide, never the catalog. When the catalog names a chunk that would go, it first takes over what the
//! records say ([`Decision::chunk`]). An unreadable record may reference anything, so it keeps the files in its
//! scope.
//!
//! # What is alive
//!
//! A file that no record references may still be in use: a record may soon reference it, a request for it may
//! be on its way to the bucket, and readers that started before a compaction still read the old chunks. The
//! time stamp of a file does not show that: clocks jump, and a bucket has a clock of its own. So no file is
//! removed because of its time stamp. Each of these must agree:
//!
//! 1. **References.** No intact record references it, and no record near it is unreadable.
//! 2. **Changes in progress.** It does not belong to a change that this daemon or another one has begun
//!    ([`Live`]): chunks whose rows are in the WAL, resources that are being created.
//! 3. **Lock.** The lock of the sequence is held from before the listing until after the removal, so no change
//!    of the sequence happens in between. `mosaicod gc` has the whole store alone.
//! 4. **Observation.** A daemon removes only what it has found unreferenced before, and unchanged since, at
//!    least the grace period ago by a monotonic clock ([`observations::Observations`]). Unchanged are the files
//!    on which the decision rests ([`Decision::basis`]): the same names, sizes, times and versions. A restart
//!    of the daemon begins a new observation. `mosaicod gc` needs none in a folder, which nobody else uses; in a
//!    bucket it looks twice, since requests of a daemon that was killed may still arrive.
//!
//! The time stamp can only keep a file: `mosaicod gc` leaves those alone that look young.
//!
//! Staging files (`tmp/`) have no records; the locks of their processes decide ([`crate::objects`]).

pub mod observations;

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use mosaico_types::id::{SequenceId, TopicId};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::format::barrier::BARRIER_BYTES;
use crate::format::chunk_id::ChunkId;
use crate::format::paths::{Located, RecordKey, SequencePaths, StoreFile, TopicPaths, locate};
use crate::format::record::{FormatError, check_version, read};
use crate::format::record_kind::RecordKind;
use crate::format::records::{CommitRecord, FinalRecord};

/// A file in the folder of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListedFile {
    pub path: Path,
    pub bytes: u64,
    pub modified: SystemTime,
    /// Differs after a replacement: the inode, or the bucket's version.
    pub version: Option<String>,
}

impl ListedFile {
    /// Whether it is a barrier, which counts as no record.
    pub fn is_barrier(&self) -> bool {
        self.bytes == BARRIER_BYTES && matches!(locate(&self.path).file, StoreFile::Record(..))
    }
}

impl From<ObjectMeta> for ListedFile {
    fn from(object: ObjectMeta) -> Self {
        Self {
            path: object.location,
            bytes: object.size,
            modified: object.last_modified.into(),
            version: object.e_tag,
        }
    }
}

/// The references in the records of a sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Records that are readable and valid.
    pub usable: BTreeSet<Path>,
    /// Damaged records and those of newer versions, each with its problem.
    pub unusable: BTreeMap<Path, String>,
    /// The topics that the final record lists; `None`: the sequence is not finalized.
    pub topics: Option<BTreeSet<TopicId>>,
    /// The chunks that the commit records of topics list.
    pub chunks: BTreeMap<TopicId, BTreeSet<ChunkId>>,
}

/// Changes in progress.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// The catalog has the sequence: a resource without a creation record is being created or removed.
    pub sequence: bool,
    /// Topics that the catalog has, with the same meaning.
    pub topics: BTreeSet<TopicId>,
    /// Chunks that a record will soon reference: their rows are in the WAL of this daemon.
    pub pending: BTreeMap<TopicId, Pending>,
    /// Other daemons may be about to reference the files that they uploaded.
    pub is_shared: bool,
}

/// Chunks of a topic that a record may soon reference.
#[derive(Debug, Clone)]
pub enum Pending {
    /// Any chunk.
    All,
    /// These chunks.
    Chunks(BTreeSet<ChunkId>),
}

/// A decision about one item of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Remove the folder of the sequence.
    RemoveSequence,
    /// Remove the folder of a topic.
    RemoveTopic(TopicId),
    /// Remove one file.
    RemoveFile(Path),
    /// Keep the file, for the given reason: an operator has to look at it.
    Keep(Path, String),
}

impl Decision {
    /// The chunk that loses a file. If the catalog names this chunk, another daemon replaced the commit record, for
    /// example a former owner of the bucket whose write came late. The chunk stays until the catalog agrees with the
    /// record.
    pub fn chunk(&self) -> Option<(TopicId, ChunkId)> {
        let Self::RemoveFile(path) = self else { return None };
        match locate(path) {
            Located {
                topic: Some(topic),
                file: StoreFile::Chunk(chunk) | StoreFile::Record(_, RecordKey::Chunk(chunk)),
                ..
            } => Some((topic, chunk)),
            _ => None,
        }
    }

    /// The files on which the decision rests, in the order of their paths: if one of them changes, it is
    /// another decision.
    pub fn basis<'a>(&self, id: SequenceId, listing: &'a [ListedFile]) -> Vec<&'a ListedFile> {
        let paths = SequencePaths(id);
        let folder = match self {
            Self::RemoveSequence => paths.folder(),
            Self::RemoveTopic(topic) => paths.topic(*topic).folder(),
            Self::RemoveFile(path) | Self::Keep(path, _) => path.clone(),
        };
        // While the commit record is young, readers may still read chunks that it replaced.
        let commit = match self {
            Self::RemoveFile(path) => locate(path).topic.map(|topic| paths.topic(topic).committed()),
            _ => None,
        };
        let is_basis = |file: &&ListedFile| {
            file.path.prefix_matches(&folder) || commit.as_ref().is_some_and(|commit| file.path == *commit)
        };
        let mut basis: Vec<&ListedFile> = listing.iter().filter(is_basis).collect();
        basis.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        basis
    }
}

/// Decides about the files of a sequence: `listing` contains all files in its folder. Whether an unreferenced
/// file is still in use, the caller has to find out, see the head of this module.
pub fn unreferenced(
    id: SequenceId,
    listing: &[ListedFile],
    references: &References,
    live: &Live,
) -> Vec<Decision> {
    let files: Vec<File<'_>> = listing
        .iter()
        .map(|file| File { path: &file.path, located: locate(&file.path), is_barrier: file.is_barrier() })
        .filter(|file| file.located.sequence == Some(id))
        .collect();
    let paths = SequencePaths(id);
    let folder = Folder { path: paths.folder(), files: files.iter().collect(), references };
    if folder.has(&paths.deleted()) || !folder.has(&paths.created()) {
        return folder.remains(&paths.deleted(), live.sequence, Decision::RemoveSequence);
    }
    let mut of_topics: BTreeMap<TopicId, Vec<&File<'_>>> = BTreeMap::new();
    let mut own = Vec::new();
    for file in &files {
        match file.located.topic {
            Some(topic) => of_topics.entry(topic).or_default().push(file),
            None => own.push(file),
        }
    }
    if let Some(reason) = (Folder { files: own, ..folder }).unreadable() {
        return vec![reason];
    }
    let mut decisions = Vec::new();
    for (topic, files) in of_topics {
        let paths = paths.topic(topic);
        let folder = Folder { path: paths.folder(), files, references };
        decisions.extend(folder.of_topic(paths, live));
    }
    decisions
}

struct File<'a> {
    path: &'a Path,
    located: Located,
    is_barrier: bool,
}

impl File<'_> {
    fn proves_use(&self) -> bool {
        !self.is_barrier && self.located.file.proves_use()
    }
}

/// The folder of a sequence or of a topic.
struct Folder<'a> {
    path: Path,
    files: Vec<&'a File<'a>>,
    references: &'a References,
}

impl Folder<'_> {
    fn has(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file.path == path && !file.is_barrier)
    }

    /// Unreadable or unknown records in the folder: they may reference anything.
    fn unreadable(&self) -> Option<Decision> {
        let keep = |file: &&File<'_>| {
            if let Some(error) = self.references.unusable.get(file.path) {
                return Some(Decision::Keep(file.path.clone(), error.clone()));
            }
            let is_unknown = file.located.file == StoreFile::UnknownRecord;
            let reason = "this daemon knows no record of this name; a newer version may have written it";
            is_unknown.then(|| Decision::Keep(file.path.clone(), reason.to_owned()))
        };
        self.files.iter().find_map(keep)
    }

    /// Decides about a folder without a creation record, or with a tombstone.
    fn remains(&self, tombstone: &Path, is_live: bool, remove: Decision) -> Vec<Decision> {
        if self.files.is_empty() || is_live {
            return Vec::new();
        }
        if self.has(tombstone) {
            // Only the tombstone counts: the loader does not read the files below it.
            let unusable = self.references.unusable.get(tombstone);
            return vec![unusable.map_or(remove, |error| Decision::Keep(tombstone.clone(), error.clone()))];
        }
        if let Some(keep) = self.unreadable() {
            return vec![keep];
        }
        // A crash leaves no such folder: the creation record was lost, so its files must be kept.
        if let Some(file) = self.files.iter().find(|file| file.proves_use()) {
            let reason = format!("the record of its creation is missing, and it has {}", file.path);
            return vec![Decision::Keep(self.path.clone(), reason)];
        }
        vec![remove]
    }

    fn of_topic(&self, paths: TopicPaths, live: &Live) -> Vec<Decision> {
        let topic = paths.topic;
        let is_committed = self.has(&paths.committed());
        if self.has(&paths.deleted()) || !(is_committed || self.has(&paths.created())) {
            let is_live = live.topics.contains(&topic);
            return self.remains(&paths.deleted(), is_live, Decision::RemoveTopic(topic));
        }
        if let Some(keep) = self.unreadable() {
            return vec![keep];
        }
        if self.references.topics.as_ref().is_some_and(|named| !named.contains(&topic)) {
            // The creation was interrupted, or the folder was damaged.
            let is_used = self.files.iter().any(|file| file.proves_use());
            let goes = !is_used && !live.topics.contains(&topic);
            return goes.then_some(Decision::RemoveTopic(topic)).into_iter().collect();
        }
        let Some(named) = self.named_chunks(paths, is_committed, live) else { return Vec::new() };
        let is_unreferenced = |file: &&&File<'_>| match file.located.file {
            StoreFile::Chunk(chunk) => !named.contains(&chunk),
            StoreFile::Record(kind, RecordKey::Chunk(chunk)) => {
                kind.spec().named_by == Some(RecordKind::Commit)
                    && is_committed
                    && !named.contains(&chunk)
                    && self.references.usable.contains(file.path)
            }
            // Its rows are in chunks.
            StoreFile::Wal(_) => is_committed,
            // They need no reference, or do not belong to this program.
            StoreFile::Record(..) | StoreFile::UnknownRecord | StoreFile::Foreign => false,
        };
        let unreferenced = self.files.iter().filter(is_unreferenced);
        unreferenced.map(|file| Decision::RemoveFile(file.path.clone())).collect()
    }

    /// The chunks of a topic that a record references or is about to reference; `None` if unknown.
    fn named_chunks(&self, paths: TopicPaths, is_committed: bool, live: &Live) -> Option<BTreeSet<ChunkId>> {
        let pending = match live.pending.get(&paths.topic) {
            Some(Pending::All) => return None,
            Some(Pending::Chunks(chunks)) => chunks.clone(),
            None => BTreeSet::new(),
        };
        if is_committed {
            return self.references.chunks.get(&paths.topic).cloned();
        }
        if live.is_shared {
            return None;
        }
        let named = self.files.iter().filter_map(|file| match file.located.file {
            StoreFile::Record(_, RecordKey::Chunk(chunk)) => Some(chunk),
            _ => None,
        });
        Some(named.chain(pending).collect())
    }
}

impl References {
    /// Adds the references in a record.
    pub(crate) fn add(&mut self, path: &Path, bytes: &[u8]) {
        let Located { topic, file, .. } = locate(path);
        let StoreFile::Record(kind, _) = file else { return };
        let read = match (kind, topic) {
            (RecordKind::Tombstone, _) => match check_version(kind, bytes) {
                Err(error @ FormatError::Newer { .. }) => Err(error),
                // Only the presence of the record counts, even if it is damaged.
                _ => Ok(()),
            },
            (RecordKind::Final, _) => read::<FinalRecord>(bytes)
                .map(|(record, _)| self.topics = Some(record.topics.into_iter().collect())),
            (RecordKind::Commit, Some(topic)) => read::<CommitRecord>(bytes).map(|(record, _)| {
                let chunks = record.chunks.iter().map(|chunk| chunk.id()).collect();
                self.chunks.insert(topic, chunks);
            }),
            _ => crate::format::record::verify(kind, bytes).map(drop),
        };
        match read {
            Ok(()) => drop(self.usable.insert(path.clone())),
            Err(FormatError::Damaged(text)) => drop(self.unusable.insert(path.clone(), text)),
            Err(newer) => drop(self.unusable.insert(path.clone(), newer.at("record", path).to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
