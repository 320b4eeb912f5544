//! Consistency of all places that handle records: the table of kinds, loading, the catalog, check and repair.

use std::collections::BTreeSet;

use mosaico_catalog::{Database, FILE, OwnStore};
use mosaico_engine::state::config::Config;
use mosaico_storage::format::checksum::add_checksum;
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::column_stats::{ColumnKind, ColumnStats};
use mosaico_storage::format::damage::DamagedSegment;
use mosaico_storage::format::durability::WalPlacement;
use mosaico_storage::format::paths::{StoreFile, locate};
use mosaico_storage::format::record_kind::{CheckRule, Level, RecordKind};
use mosaico_storage::format::records::{
    ChunkRecord, EpochRecord, NotificationRecord, SequenceRecord, TopicRecord,
};
use mosaico_storage::format::state::{SequenceState, TopicState};
use mosaico_storage::objects::location::StoreLocation;
use mosaico_storage::objects::{Store, StoreMetrics};
use mosaico_types::id::{NotificationId, SequenceId, TopicId};
use mosaico_types::{SequenceName, SerializationFormat, TopicPath};
use mosaico_wire::event::OnError;
use serde_json::json;

use super::records::Read;
use super::repair::expected;

fn chunk(epoch: u32, index: u32, row_start: u64) -> ChunkRecord {
    let columns = vec![ColumnStats {
        path: vec!["timestamp_ns".to_owned()],
        kind: ColumnKind::Int,
        nulls: 0,
        has_nan: false,
        bounds: Some(("1".to_owned(), "9".to_owned())),
    }];
    let (rows, bytes, data_bytes, ts_min, ts_max, crc32) = (10, 100, 200, 1, 9, 77);
    ChunkRecord { epoch, index, row_start, rows, bytes, data_bytes, ts_min, ts_max, crc32, columns }
}

fn damaged(epoch: u32, index: u32) -> DamagedSegment {
    let kept = format!("damaged/{epoch}-{index}.wal");
    DamagedSegment { id: ChunkId { epoch, index }, kept, lost: vec![3..5, 9..u64::MAX], found_ns: 8 }
}

/// A sequence with a complete topic of `rows`, and another topic that is open unless the sequence is
/// finalized.
fn state(is_final: bool) -> SequenceState {
    let id = SequenceId::generate();
    let mut ids = [TopicId::generate(), TopicId::generate()];
    ids.sort_unstable();
    let record = |at: usize| TopicRecord {
        id: ids[at],
        sequence: id,
        path: TopicPath::parse(&format!("/t{at}")).unwrap(),
        ontology_tag: "t".to_owned(),
        serialization_format: SerializationFormat::Default,
        user_metadata: json!({"at": at}),
        key: "k".to_owned(),
        created_ns: at as i64,
    };
    let schema = Some(mosaico_wire::ipc::schema_message(&arrow::datatypes::Schema::empty()));
    let complete = TopicState {
        record: record(0),
        schema: schema.clone(),
        committed_ns: Some(5),
        chunks: vec![chunk(0, 70_000, 0), chunk(1, 0, 10)],
        resumed: 2,
        damage: vec![damaged(0, 70_000)],
        epochs: Vec::new(),
        uploaded: None,
    };
    let epoch = |epoch: u32, row_start, resumed_at, wal| EpochRecord {
        epoch,
        daemon: format!("d{epoch}"),
        row_start,
        resumed_at,
        wal,
        begun_ns: 3,
    };
    let open = TopicState {
        record: record(1),
        schema,
        committed_ns: None,
        chunks: vec![chunk(0, 0, 0), chunk(0, 70_000, 10), chunk(1, 0, 20)],
        resumed: 0,
        damage: vec![damaged(0, 70_000), damaged(1, 0)],
        epochs: vec![
            epoch(0, 0, None, WalPlacement::default()),
            epoch(1, 20, Some(25), WalPlacement::Replicated),
        ],
        uploaded: Some(40),
    };
    let notification = |topic: Option<TopicId>| NotificationRecord {
        id: NotificationId::from(ulid::Ulid::new()),
        topic,
        notify_type: "error".to_owned(),
        msg: "m".to_owned(),
        created_ns: 4,
    };
    let mut notifications = vec![notification(None), notification(Some(ids[0]))];
    notifications.sort_by_key(|notification| notification.id);
    SequenceState {
        record: SequenceRecord {
            id,
            name: SequenceName::parse("run").unwrap(),
            key: "k".to_owned(),
            user_metadata: json!({"n": 1}),
            created_ns: 1,
            on_error: OnError::default(),
            owner_epoch: 0,
            moved_from: None,
        },
        finalized_ns: is_final.then_some(6),
        ended_ns: (!is_final).then_some(7),
        topics: if is_final { vec![complete] } else { vec![complete, open] },
        notifications,
    }
}

async fn stored(state: &SequenceState) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(StoreLocation::Local(folder.path().to_owned()));
    let store = Store::open(&config.store_options().unwrap(), &StoreMetrics::default()).unwrap();
    for (path, bytes) in expected(state).unwrap() {
        store.put(&path, bytes).await.unwrap();
    }
    (folder, store)
}

async fn read(store: &Store, state: &SequenceState) -> Read {
    let paths: Vec<_> = expected(state).unwrap().into_keys().collect();
    Read::all(store, paths.iter()).await.unwrap()
}

#[test]
fn repair_writes_every_kind_of_a_sequence() {
    let paths = [true, false].map(|is_final| expected(&state(is_final)).unwrap());
    let written: BTreeSet<RecordKind> = paths
        .iter()
        .flat_map(|paths| paths.keys())
        .filter_map(|path| match locate(path).file {
            StoreFile::Record(kind, _) => Some(kind),
            _ => None,
        })
        .collect();
    let is_of_sequence = |kind: &&RecordKind| {
        // A removal is not repaired: the next start finishes it.
        !kind.spec().levels.contains(&Level::Store) && **kind != RecordKind::Tombstone
    };
    assert_eq!(written, RecordKind::ALL.iter().filter(is_of_sequence).copied().collect());
    let in_catalog = |kind: &&RecordKind| kind.spec().in_catalog && **kind != RecordKind::Events;
    assert_eq!(written, RecordKind::ALL.iter().filter(in_catalog).copied().collect());
}

#[tokio::test]
async fn what_is_written_is_loaded_checked_and_known_to_the_catalog() {
    for is_final in [true, false] {
        let mut state = state(is_final);
        let (folder, store) = stored(&state).await;
        let id = state.record.id;
        assert_eq!(store.load_sequence(id).await.unwrap().as_ref(), Some(&state));
        assert_eq!(read(&store, &state).await.state(id, None).as_ref(), Some(&state));
        // A SQLite catalog belongs to one daemon, and writer epochs exist only with several;
        // tests/it/cluster.rs rebuilds those.
        for topic in &mut state.topics {
            (topic.epochs, topic.uploaded) = (Vec::new(), None);
        }
        let (catalog, _) = Database::File(folder.path().join(FILE)).open(&OwnStore::Unknown).await.unwrap();
        catalog.restore_sequences(&[state.clone()]).await.unwrap();
        assert_eq!(catalog.state(id).await.unwrap().as_ref(), Some(&state));
        catalog.close().await;
    }
}

#[tokio::test]
async fn every_record_that_is_damaged_or_newer_is_noticed() {
    let state = state(false);
    let (_folder, store) = stored(&state).await;
    let complete = state.topics[0].record.id;
    for (path, bytes) in expected(&state).unwrap() {
        let StoreFile::Record(kind, _) = locate(&path).file else { continue };
        assert_eq!(kind.spec().check, CheckRule::Content, "{path}");
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        let newer =
            add_checksum(format!(r#"{{"format_version":{},"x":1}}"#, kind.version() + 1).into_bytes());
        store.put(&path, damaged).await.unwrap();
        let found = read(&store, &state).await;
        assert!(found.damaged.contains_key(&path) && found.newer.is_empty(), "{path}");
        // A complete topic needs only its commit record.
        let is_needed = locate(&path).topic != Some(complete)
            || matches!(kind, RecordKind::Commit | RecordKind::Resumed | RecordKind::Damage);
        let loaded = store.load_sequence(state.record.id).await;
        assert_eq!(loaded.is_err(), is_needed, "{path}");
        store.put(&path, newer).await.unwrap();
        let found = read(&store, &state).await;
        assert!(found.newer.contains_key(&path) && found.damaged.is_empty(), "{path}");
        let loaded = store.load_sequence(state.record.id).await.map(|_| ());
        let code = loaded.map_err(|error| error.code().as_str());
        assert_eq!(code, if is_needed { Err("newer_format") } else { Ok(()) }, "{path}");
        store.put(&path, bytes).await.unwrap();
    }
    assert_eq!(store.load_sequence(state.record.id).await.unwrap(), Some(state));
}
