//! The catalog in SQLite: changes of a recording, and looking one up. The syncs are those of the disk that has the
//! temporary folder.
//!
//! `make bench-rust`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mosaico_catalog::{Catalog, Database, FILE, OwnStore, StoreLink};
use mosaico_storage::format::column_stats::{ColumnKind, ColumnStats};
use mosaico_storage::format::records::{ChunkRecord, SequenceRecord, TopicRecord};
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_types::{SequenceName, SerializationFormat, TopicPath};
use mosaico_wire::event::OnError;
use serde_json::json;
use tokio::runtime::Runtime;

fn sequence(number: u64) -> SequenceRecord {
    SequenceRecord {
        id: SequenceId::generate(),
        name: SequenceName::parse(&format!("run-{number}")).unwrap(),
        key: uuid::Uuid::nil().to_string(),
        user_metadata: json!({"driver": {"name": "d"}, "km": 12.5}),
        created_ns: 1,
        on_error: OnError::default(),
        owner_epoch: 0,
        moved_from: None,
    }
}

fn topic(sequence: SequenceId, number: u64) -> TopicRecord {
    TopicRecord {
        id: TopicId::generate(),
        sequence,
        path: TopicPath::parse(&format!("topic-{number}")).unwrap(),
        ontology_tag: "imu".into(),
        serialization_format: SerializationFormat::Default,
        user_metadata: json!({}),
        key: uuid::Uuid::nil().to_string(),
        created_ns: 1,
    }
}

fn chunk(index: u32) -> ChunkRecord {
    let column = |name: &str| ColumnStats {
        path: vec!["acceleration".into(), name.into()],
        kind: ColumnKind::Float,
        nulls: 0,
        has_nan: false,
        bounds: Some(("-9.81".into(), "9.81".into())),
    };
    let rows = 1000;
    ChunkRecord {
        epoch: 0,
        index,
        row_start: u64::from(index) * rows,
        rows,
        bytes: 40_000,
        data_bytes: 56_000,
        ts_min: 0,
        ts_max: 1,
        crc32: 1,
        columns: ["x", "y", "z"].map(column).into(),
    }
}

/// A new sequence; returns its record.
async fn create(catalog: &Catalog, number: u64) -> SequenceRecord {
    let record = sequence(number);
    let change = catalog.begin(record.id, None).await.unwrap();
    catalog.sequence_created(change, &record).await.unwrap();
    record
}

async fn add_topic(catalog: &Catalog, record: &TopicRecord) {
    let change = catalog.begin(record.sequence, None).await.unwrap();
    catalog.topic_created(change, record).await.unwrap();
}

fn changes(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let database = Database::File(folder.path().join(FILE));
    let catalog = runtime.block_on(async {
        let (catalog, _) = database.open(&OwnStore::Known(None)).await.unwrap();
        catalog.filled().await.unwrap();
        let link = StoreLink { store: "s".into(), catalog: "c".into() };
        catalog.set_link(&link).await.unwrap();
        catalog.with_standing_intents()
    });
    let mut numbers = 0..;
    let mut next = || numbers.next().unwrap();
    let recording = runtime.block_on(create(&catalog, next()));
    let recorded = topic(recording.id, next());
    runtime.block_on(add_topic(&catalog, &recorded));
    let mut group = criterion.benchmark_group("catalog");
    group.sample_size(50);
    group.bench_function("create a sequence", |bench| {
        bench.iter_batched(
            &mut next,
            |number| runtime.block_on(create(&catalog, number)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("create a topic", |bench| {
        let setup = || topic(recording.id, next());
        bench.iter_batched(
            setup,
            |record| runtime.block_on(add_topic(&catalog, &record)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("record a chunk", |bench| {
        let mut indices = 0..;
        let record = |record: ChunkRecord| {
            runtime.block_on(async {
                let change = catalog.begin_chunk(recording.id).await.unwrap();
                catalog.chunk_stored(change, recording.id, recorded.id, &record).await.unwrap();
            });
        };
        bench.iter_batched(|| chunk(indices.next().unwrap()), record, BatchSize::PerIteration);
    });
    group.bench_function("open a sequence", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                let found = catalog.sequence(&recording.name).await.unwrap();
                catalog.topics(found.id).await.unwrap().len()
            })
        });
    });
    group.finish();
    runtime.block_on(catalog.close());
}

criterion_group!(benches, changes);
criterion_main!(benches);
