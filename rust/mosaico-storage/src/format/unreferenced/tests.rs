//! Random histories of one sequence, and the invariants of every decision about it.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::record::write;
use super::super::records::{
    ChunkRecord, DeletedRecord, EndedRecord, SchemaRecord, SequenceRecord, TopicRecord,
};
use super::*;
use crate::format::checksum::add_checksum;
use crate::format::paths::LoggedRows;

const TOPICS: usize = 3;

/// An operation, with its own time.
#[derive(Debug, Clone)]
enum Step {
    CreateTopic(usize),
    /// A chunk; a crash may interrupt the operation before it writes the record.
    Chunk {
        topic: usize,
        is_superseded: bool,
    },
    Wal(usize),
    Commit(usize),
    /// New chunks that replace all others; a crash may interrupt the operation before the commit record lists
    /// them.
    Compact {
        topic: usize,
        is_superseded: bool,
    },
    Finalize,
    BuryTopic(usize),
    BurySequence,
    /// Some file vanishes: an interrupted removal, or damage.
    Lose(Index),
    /// Some record loses a byte.
    Damage(Index),
    /// Some record gets a newer version.
    Newer(Index),
    /// A record of a kind that this version does not know.
    Unknown(Option<usize>),
    /// A file that this program did not write.
    Foreign(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let topic = || 0..TOPICS;
    let index = any::<Index>;
    prop_oneof![
        4 => topic().prop_map(Step::CreateTopic),
        8 => (topic(), prop::bool::weighted(0.3)).prop_map(|(topic, is_superseded)| Step::Chunk { topic, is_superseded }),
        3 => topic().prop_map(Step::Wal),
        4 => topic().prop_map(Step::Commit),
        3 => (topic(), any::<bool>()).prop_map(|(topic, is_superseded)| Step::Compact { topic, is_superseded }),
        1 => Just(Step::Finalize),
        1 => topic().prop_map(Step::BuryTopic),
        1 => Just(Step::BurySequence),
        1 => index().prop_map(Step::Lose),
        1 => index().prop_map(Step::Damage),
        1 => index().prop_map(Step::Newer),
        1 => prop::option::of(topic()).prop_map(Step::Unknown),
        1 => topic().prop_map(Step::Foreign),
    ]
}

/// The folder of a sequence, and the references among its records.
struct History {
    id: SequenceId,
    topics: Vec<TopicId>,
    files: BTreeMap<Path, (SystemTime, Vec<u8>)>,
    now: SystemTime,
    next_chunk: ChunkId,
    /// The chunks in the commit record of each topic.
    committed: BTreeMap<TopicId, BTreeSet<ChunkId>>,
    damaged: BTreeSet<Path>,
    lost: BTreeSet<Path>,
}

fn chunk_record(ChunkId { epoch, index }: ChunkId) -> ChunkRecord {
    let (row_start, rows, bytes, data_bytes, ts_min, ts_max, crc32) = (0, 1, 1, 1, 0, 0, 0);
    ChunkRecord {
        epoch,
        index,
        row_start,
        rows,
        bytes,
        data_bytes,
        ts_min,
        ts_max,
        crc32,
        columns: Vec::new(),
    }
}

impl History {
    fn new() -> Self {
        let id = SequenceId::generate();
        let topics = (0..TOPICS).map(|_| TopicId::generate()).collect();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let (files, committed, damaged, lost) = Default::default();
        let mut history =
            Self { id, topics, files, now, next_chunk: ChunkId::first(0), committed, damaged, lost };
        let record = SequenceRecord {
            id,
            name: mosaico_types::SequenceName::parse("run").unwrap(),
            key: "k".to_owned(),
            user_metadata: serde_json::json!({}),
            created_ns: 0,
            on_error: mosaico_wire::event::OnError::default(),
            owner_epoch: 0,
            moved_from: None,
        };
        history.put(SequencePaths(id).created(), write(&record).unwrap());
        history
    }

    fn put(&mut self, path: Path, bytes: Vec<u8>) {
        self.damaged.remove(&path);
        self.files.insert(path, (self.now, bytes));
    }

    fn topic(&self, topic: usize) -> TopicPaths {
        SequencePaths(self.id).topic(self.topics[topic])
    }

    fn topic_record(&self, paths: TopicPaths) -> TopicRecord {
        TopicRecord {
            id: paths.topic,
            sequence: self.id,
            path: mosaico_types::TopicPath::parse("/t").unwrap(),
            ontology_tag: "t".to_owned(),
            serialization_format: mosaico_types::SerializationFormat::Default,
            user_metadata: serde_json::json!({}),
            key: "k".to_owned(),
            created_ns: 0,
        }
    }

    fn is_there(&self, paths: TopicPaths) -> bool {
        self.files.contains_key(&paths.created()) && !self.files.contains_key(&paths.deleted())
    }

    fn is_final(&self) -> bool {
        self.files.contains_key(&SequencePaths(self.id).finalized())
    }

    /// Whether the topic still accepts rows.
    fn is_open(&self, paths: TopicPaths) -> bool {
        // A topic whose removal began and lost its tombstone keeps its commit record.
        let is_committed =
            self.committed.contains_key(&paths.topic) || self.files.contains_key(&paths.committed());
        self.is_there(paths) && !is_committed && !self.is_final()
    }

    /// The chunks that have a record.
    fn recorded(&self, paths: TopicPaths) -> BTreeSet<ChunkId> {
        let chunks = self.files.keys().filter(|path| path.prefix_matches(&paths.folder()));
        let chunks = chunks.filter_map(|path| match locate(path).file {
            StoreFile::Record(_, RecordKey::Chunk(chunk)) => Some(chunk),
            _ => None,
        });
        chunks.collect()
    }

    fn chunk(&mut self, paths: TopicPaths, is_superseded: bool) -> ChunkId {
        let chunk = self.next_chunk;
        self.next_chunk = chunk.next().unwrap();
        self.put(paths.chunk(chunk), b"PAR1".to_vec());
        if !is_superseded {
            self.put(paths.chunk_record(chunk), write(&chunk_record(chunk)).unwrap());
        }
        chunk
    }

    fn commit(&mut self, paths: TopicPaths, chunks: BTreeSet<ChunkId>) {
        let record = CommitRecord {
            topic: self.topic_record(paths),
            schema: Vec::new(),
            committed_ns: 0,
            chunks: chunks.iter().map(|chunk| chunk_record(*chunk)).collect(),
        };
        self.put(paths.committed(), write(&record).unwrap());
        self.committed.insert(paths.topic, chunks);
    }

    fn record(&self, index: &Index) -> Option<Path> {
        let records = self.files.keys().filter(|path| matches!(locate(path).file, StoreFile::Record(..)));
        let records: Vec<&Path> = records.collect();
        (!records.is_empty()).then(|| (*index.get(&records)).clone())
    }

    fn step(&mut self, step: &Step) {
        self.now += Duration::from_secs(10);
        match step {
            Step::CreateTopic(topic) => {
                let paths = self.topic(*topic);
                if !self.is_final() && !self.files.keys().any(|path| path.prefix_matches(&paths.folder())) {
                    self.put(paths.created(), write(&self.topic_record(paths)).unwrap());
                }
            }
            Step::Chunk { topic, is_superseded } => {
                let paths = self.topic(*topic);
                if self.is_open(paths) {
                    self.put(paths.schema(), write(&SchemaRecord { schema: Vec::new() }).unwrap());
                    self.chunk(paths, *is_superseded);
                }
            }
            Step::Wal(topic) => {
                let paths = self.topic(*topic);
                let row_start = u64::from(self.next_chunk.index);
                let rows = LoggedRows { segment: self.next_chunk, row_start, row_end: row_start + 1 };
                if self.is_open(paths) {
                    self.put(paths.schema(), write(&SchemaRecord { schema: Vec::new() }).unwrap());
                    self.put(paths.wal_object(rows), Vec::new());
                }
            }
            Step::Commit(topic) => {
                let paths = self.topic(*topic);
                if self.is_open(paths) {
                    let chunks = self.recorded(paths);
                    self.commit(paths, chunks);
                }
            }
            Step::Compact { topic, is_superseded } => {
                let paths = self.topic(*topic);
                if self.is_there(paths) && self.committed.contains_key(&paths.topic) {
                    let chunk = self.chunk(paths, false);
                    if !is_superseded {
                        self.commit(paths, BTreeSet::from([chunk]));
                    }
                }
            }
            Step::Finalize => {
                // Excludes topics whose creation was interrupted.
                let is_used =
                    |paths: TopicPaths| self.is_open(paths) && self.files.contains_key(&paths.schema());
                if !self.is_final() && !(0..TOPICS).any(|topic| is_used(self.topic(topic))) {
                    let topics = self.committed.keys().copied().collect();
                    let record = FinalRecord { finalized_ns: 0, topics };
                    self.put(SequencePaths(self.id).finalized(), write(&record).unwrap());
                }
            }
            Step::BuryTopic(topic) => {
                let paths = self.topic(*topic);
                if self.is_there(paths) && !self.is_final() {
                    self.put(paths.deleted(), write(&DeletedRecord { deleted_ns: 0 }).unwrap());
                    self.committed.remove(&paths.topic);
                }
            }
            Step::BurySequence => {
                let tombstone = write(&DeletedRecord { deleted_ns: 0 }).unwrap();
                self.put(SequencePaths(self.id).deleted(), tombstone);
            }
            Step::Lose(index) => {
                if let Some(path) = self.record(index) {
                    self.files.remove(&path);
                    self.lost.insert(path);
                }
            }
            Step::Damage(index) => {
                // Damaging a record twice would repair it.
                if let Some(path) = self.record(index).filter(|path| !self.damaged.contains(path)) {
                    let (_, bytes) = self.files.get_mut(&path).unwrap();
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                    self.damaged.insert(path);
                }
            }
            Step::Newer(index) => {
                if let Some(path) = self.record(index) {
                    let newer = add_checksum(br#"{"format_version":99,"chunks":"elsewhere"}"#.to_vec());
                    self.put(path.clone(), newer);
                    self.damaged.insert(path);
                }
            }
            Step::Unknown(topic) => {
                let folder = match topic {
                    Some(topic) => self.topic(*topic).folder(),
                    None => SequencePaths(self.id).folder(),
                };
                self.put(folder.join("grants.json"), add_checksum(br#"{"format_version":1,"x":1}"#.to_vec()));
            }
            Step::Foreign(topic) => {
                let path = self.topic(*topic).folder().join("notes.txt");
                self.put(path, Vec::new());
            }
        }
    }

    fn listing(&self) -> Vec<ListedFile> {
        let file = |(path, (modified, bytes)): (&Path, &(SystemTime, Vec<u8>))| ListedFile {
            path: path.clone(),
            bytes: bytes.len() as u64,
            modified: *modified,
            version: None,
        };
        self.files.iter().map(file).collect()
    }

    /// The references as [`Store::sequence_files`] reads them, plus references that no decision depends on.
    fn references(&self) -> References {
        let mut references = References::default();
        for (path, (_, bytes)) in &self.files {
            references.add(path, bytes);
        }
        references
    }

    fn decide(&self, live: &Live) -> (Vec<Decision>, BTreeSet<Path>) {
        let listing = self.listing();
        let decisions = unreferenced(self.id, &listing, &self.references(), live);
        let mut removed = BTreeSet::new();
        for decision in &decisions {
            let folder = match decision {
                Decision::RemoveSequence => SequencePaths(self.id).folder(),
                Decision::RemoveTopic(topic) => SequencePaths(self.id).topic(*topic).folder(),
                Decision::RemoveFile(path) => path.clone(),
                Decision::Keep(..) => continue,
            };
            let gone: BTreeSet<Path> =
                self.files.keys().filter(|path| path.prefix_matches(&folder)).cloned().collect();
            let basis: BTreeSet<Path> =
                decision.basis(self.id, &listing).into_iter().map(|file| file.path.clone()).collect();
            assert!(gone.is_subset(&basis), "{decision:?} rests on {basis:?}");
            removed.extend(gone);
        }
        (decisions, removed)
    }

    /// Whether a removal that this version understands has begun for the file's topic or sequence.
    fn is_buried(&self, path: &Path) -> bool {
        let paths = SequencePaths(self.id);
        let topic = locate(path).topic.map(|topic| paths.topic(topic).deleted());
        let is_newer = |tombstone: &Path| {
            let bytes = &self.files[tombstone].1;
            bytes.starts_with(br#"{"format_version":99"#)
        };
        let tombstones = [Some(paths.deleted()), topic];
        tombstones.iter().flatten().any(|path| self.files.contains_key(path) && !is_newer(path))
    }

    /// Whether the folder contains something that this version does not understand.
    fn is_unclear(&self, folder: &Path) -> bool {
        let mut below = self.files.keys().filter(|path| path.prefix_matches(folder));
        below.any(|path| self.damaged.contains(path) || locate(path).file == StoreFile::UnknownRecord)
            || self.lost.iter().any(|path| path.prefix_matches(folder))
    }
}

fn live(history: &History, sequence: bool, topics: &[usize], pending: &[usize], is_shared: bool) -> Live {
    // The newest chunks: the server chunks segments in order.
    let next = history.next_chunk;
    let newest = (next.index.saturating_sub(4)..next.index).map(|index| ChunkId { index, ..next });
    let newest: BTreeSet<ChunkId> = newest.collect();
    let id = |topic: &usize| history.topics[*topic];
    Live {
        sequence,
        topics: topics.iter().map(id).collect(),
        pending: pending.iter().map(|topic| (id(topic), Pending::Chunks(newest.clone()))).collect(),
        is_shared,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_somebody_needs_is_returned(
        steps in prop::collection::vec(step(), 0..40),
        (sequence, topics, pending, is_shared) in (
            prop::bool::weighted(0.2),
            prop::collection::vec(0..TOPICS, 0..2),
            prop::collection::vec(0..TOPICS, 0..2),
            prop::bool::weighted(0.2),
        ),
        any_chunk in prop::option::weighted(0.2, 0..TOPICS),
    ) {
        let mut history = History::new();
        steps.iter().for_each(|step| history.step(step));
        let mut live = live(&history, sequence, &topics, &pending, is_shared);
        live.pending.extend(any_chunk.map(|topic| (history.topics[topic], Pending::All)));
        let (decisions, removed) = history.decide(&live);
        let listing = history.listing();
        let paths = SequencePaths(history.id);
        for path in &removed {
            if history.is_buried(path) {
                continue;
            }
            let located = locate(path);
            prop_assert!(!history.damaged.contains(path), "{path} is damaged or newer");
            // An unknown record of the sequence, or of the file's topic, may reference the file.
            let mut others = history.files.keys().map(|other| (other, locate(other)));
            let near = others.find(|(_, other)| {
                other.file == StoreFile::UnknownRecord && other.topic.is_none_or(|topic| Some(topic) == located.topic)
            });
            prop_assert!(near.is_none(), "{path} is near {near:?}");
            // A folder that lost its creation record belongs to no resource; neither does one that never had
            // a creation record and was not used.
            let has_lost = |path: &Path| history.lost.contains(path) && !history.files.contains_key(path);
            let Some(topic) = located.topic.map(|topic| paths.topic(topic)) else {
                prop_assert!(decisions == [Decision::RemoveSequence], "{path} stands for itself");
                continue;
            };
            if decisions == [Decision::RemoveSequence] {
                let is_used = history.files.keys().any(|path| locate(path).file.proves_use());
                prop_assert!(!is_used, "{path}: the record of the sequence was lost");
                continue;
            }
            prop_assert!(!history.is_unclear(&paths.created()), "the record of the sequence");
            if has_lost(&topic.created()) && has_lost(&topic.committed()) {
                let mut below = history.files.keys().filter(|path| path.prefix_matches(&topic.folder()));
                prop_assert!(!below.any(|path| locate(path).file.proves_use()), "{path}: its record was lost");
            }
            let chunk = match located.file {
                StoreFile::Chunk(chunk) | StoreFile::Record(_, RecordKey::Chunk(chunk)) => chunk,
                StoreFile::Wal(_) => {
                    let is_committed = history.files.contains_key(&topic.committed());
                    let is_rest = decisions.contains(&Decision::RemoveTopic(topic.topic));
                    prop_assert!(is_committed || is_rest, "{path} has rows");
                    continue;
                }
                _ => {
                    prop_assert!(decisions.contains(&Decision::RemoveTopic(topic.topic)), "{path}");
                    continue;
                }
            };
            let is_rest = decisions.contains(&Decision::RemoveTopic(topic.topic));
            let any_is_named = matches!(live.pending.get(&topic.topic), Some(Pending::All));
            prop_assert!(is_rest || !any_is_named, "{path} is about to be named");
            if history.files.contains_key(&topic.committed()) {
                let basis = Decision::RemoveFile(path.clone()).basis(history.id, &listing);
                let rests = is_rest || basis.iter().any(|file| file.path == topic.committed());
                prop_assert!(rests, "{path} is being read");
                let named = history.committed.get(&topic.topic);
                prop_assert!(named.is_none_or(|named| !named.contains(&chunk)), "{path} is named");
            } else {
                prop_assert!(!history.files.contains_key(&topic.chunk_record(chunk)), "{path} is named");
                let is_pending = matches!(
                    live.pending.get(&topic.topic), Some(Pending::Chunks(chunks)) if chunks.contains(&chunk)
                );
                let is_rest = decisions.contains(&Decision::RemoveTopic(topic.topic));
                prop_assert!(is_rest || !(is_pending || is_shared), "{path} is about to be named");
            }
        }
    }

    #[test]
    fn everything_else_is_returned_in_the_end(steps in prop::collection::vec(step(), 0..40)) {
        let mut history = History::new();
        steps.iter().for_each(|step| history.step(step));
        let (decisions, removed) = history.decide(&Live::default());
        let paths = SequencePaths(history.id);
        if history.is_buried(&paths.deleted()) {
            prop_assert_eq!(decisions, [Decision::RemoveSequence]);
            return Ok(());
        }
        if history.is_unclear(&paths.folder()) {
            return Ok(());
        }
        for path in history.files.keys().filter(|path| !removed.contains(*path)) {
            let located = locate(path);
            let topic = located.topic.map(|topic| paths.topic(topic));
            prop_assert!(!topic.is_some_and(|topic| history.files.contains_key(&topic.deleted())), "{path} is buried");
            let chunk = match located.file {
                StoreFile::Chunk(chunk) | StoreFile::Record(_, RecordKey::Chunk(chunk)) => chunk,
                StoreFile::Wal(_) => {
                    let is_open = topic.is_some_and(|topic| !history.committed.contains_key(&topic.topic));
                    prop_assert!(is_open, "{path} has no use");
                    continue;
                }
                _ => continue,
            };
            let topic = topic.unwrap();
            let is_named = match history.committed.get(&topic.topic) {
                Some(named) => named.contains(&chunk),
                None => history.files.contains_key(&topic.chunk_record(chunk)),
            };
            prop_assert!(is_named, "{path} has no name");
        }
        removed.iter().for_each(|path| drop(history.files.remove(path)));
        let (again, _) = history.decide(&Live::default());
        prop_assert!(again.iter().all(|decision| matches!(decision, Decision::Keep(..))), "{again:?}");
    }
}

#[test]
fn a_record_that_is_left_over_keeps_its_folder() {
    let mut history = History::new();
    history.step(&Step::CreateTopic(0));
    let paths = history.topic(0);
    history.step(&Step::Chunk { topic: 0, is_superseded: false });
    history.files.remove(&paths.created());
    let (decisions, removed) = history.decide(&Live::default());
    assert!(removed.is_empty());
    assert!(matches!(&decisions[..], [Decision::Keep(path, _)] if *path == paths.folder()), "{decisions:?}");
    let ended = EndedRecord { ended_ns: 1 };
    history.put(SequencePaths(history.id).ended(), write(&ended).unwrap());
    history.files.remove(&SequencePaths(history.id).created());
    let (_, removed) = history.decide(&Live::default());
    assert!(removed.is_empty());
}
